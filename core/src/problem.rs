//! What is wrong with an archive, reported so that its uploader can correct it.

mod excerpt;
mod message;
mod reason;

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::text::printable;

pub use excerpt::Excerpt;
pub use reason::Reason;

/// How many problems of one archive are reported in full; more are only counted.
pub const REPORTED_PROBLEMS: usize = 20;

/// One thing that is wrong with an archive, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The member's name inside the archive; none when the archive itself is at fault.
    pub member: Option<String>,
    /// The line in the member at which the record begins, counted from 1.
    pub line: Option<u64>,
    /// The column's name in the configuration.
    pub column: Option<String>,
    /// The offending text, cut and made printable.
    pub text: Option<String>,
    /// What is wrong with it.
    pub reason: Reason,
    /// The record around the place, for a person who looks at it at once; `error.json` and the report have
    /// the text alone.
    pub excerpt: Option<Box<Excerpt>>,
}

impl Problem {
    /// A problem of the archive as a whole.
    pub fn archive(reason: Reason) -> Self {
        Self { member: None, line: None, column: None, text: None, reason, excerpt: None }
    }

    /// A problem of a member as a whole.
    pub fn member(member: &str, reason: Reason) -> Self {
        Self { member: Some(member.to_owned()), ..Self::archive(reason) }
    }

    /// The same problem at a line.
    #[must_use]
    pub fn at_line(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }

    /// The same problem in a column.
    #[must_use]
    pub fn in_column(mut self, column: &str) -> Self {
        self.column = Some(column.to_owned());
        self
    }

    /// The same problem with the text that offends, cut and made printable.
    #[must_use]
    pub fn with_text(mut self, text: &[u8]) -> Self {
        self.text = Some(printable(text));
        self
    }

    /// The same problem with the record that it is in, and where in its bytes it is.
    #[must_use]
    pub fn in_record(mut self, record: &[u8], place: Range<usize>) -> Self {
        self.excerpt = Some(Box::new(Excerpt::of(record, place)));
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ReportedProblem::from(self).fmt(f)
    }
}

impl Serialize for Problem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ReportedProblem::from(self).serialize(serializer)
    }
}

/// A problem as `error.json` and the report have it, and as it is read back from there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedProblem {
    /// The member's name inside the archive.
    pub member: Option<String>,
    /// The line in the member.
    pub line: Option<u64>,
    /// The column.
    pub column: Option<String>,
    /// The offending text.
    pub text: Option<String>,
    /// The reason's stable name.
    pub code: String,
    /// The reason.
    pub reason: String,
}

impl From<&Problem> for ReportedProblem {
    fn from(problem: &Problem) -> Self {
        let Problem { member, line, column, text, reason, excerpt: _ } = problem;
        Self {
            member: member.clone(),
            line: *line,
            column: column.clone(),
            text: text.clone(),
            code: reason.code().to_owned(),
            reason: reason.to_string(),
        }
    }
}

impl fmt::Display for ReportedProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { member, line, column, text, reason, .. } = self;
        f.write_str(member.as_deref().unwrap_or("archive"))?;
        if let Some(line) = line {
            write!(f, ", line {line}")?;
        }
        if let Some(column) = column {
            write!(f, ", column {column}")?;
        }
        write!(f, ": {reason}")?;
        match text {
            // The text is printable already: escaped once more it would not be what the file holds.
            Some(text) => write!(f, ": \"{text}\""),
            None => Ok(()),
        }
    }
}

/// Everything found wrong with one archive: the first [`REPORTED_PROBLEMS`] in full, the rest as a count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    reported: Vec<Problem>,
    found: u64,
    incomplete: Option<String>,
}

impl Problems {
    /// Adds a problem; beyond [`REPORTED_PROBLEMS`] it is only counted.
    pub fn push(&mut self, problem: Problem) {
        self.found += 1;
        if self.reported.len() < REPORTED_PROBLEMS {
            self.reported.push(problem);
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.found == 0
    }

    /// Whether no further problem would be reported.
    pub fn is_full(&self) -> bool {
        self.reported.len() >= REPORTED_PROBLEMS
    }

    /// How many were found, reported or not.
    pub fn found(&self) -> u64 {
        self.found
    }

    /// Those reported, in the order found.
    pub fn reported(&self) -> &[Problem] {
        &self.reported
    }

    /// Says why there may be more problems than were found.
    pub fn set_incomplete(&mut self, why: String) {
        self.incomplete = Some(why);
    }

    /// Why there may be more problems than were found, where what was to be asked could not be asked. That
    /// looking ends at [`REPORTED_PROBLEMS`] is no such reason.
    pub fn incomplete(&self) -> Option<&str> {
        self.incomplete.as_deref()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self { reported: vec![problem], found: 1, incomplete: None }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.reported.iter().enumerate() {
            if n > 0 {
                f.write_str("; ")?;
            }
            problem.fmt(f)?;
        }
        let unreported = self.found - self.reported.len() as u64;
        if unreported > 0 {
            write!(f, "; and {unreported} more")?;
        }
        match &self.incomplete {
            Some(why) => write!(f, "; there may be more: {why}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_twenty_are_told_and_all_are_counted() {
        let mut problems = Problems::default();
        for line in 1..=25 {
            problems.push(Problem::member("m", Reason::NulByte).at_line(line));
        }
        assert_eq!(problems.reported().len(), 20);
        assert_eq!(problems.found(), 25);
        assert!(problems.to_string().ends_with("; and 5 more"));
        problems.set_incomplete("the rest was not asked for".to_owned());
        assert!(
            problems.to_string().ends_with("; and 5 more; there may be more: the rest was not asked for")
        );
    }
}
