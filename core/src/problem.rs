//! Defines what is wrong with an archive, so that its uploader can correct it.

mod error_file;
mod excerpt;
mod message;
mod reason;

mod quote;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::text::printable;

pub use error_file::{MAX_READ_BACK_BYTES, ReportedErrorFile, problem_lines};
pub use excerpt::Excerpt;
pub use quote::{Quote, Quoting};
pub use reason::Reason;

/// The number of problems of one archive that are reported in full; more are only counted.
pub const REPORTED_PROBLEMS: usize = 20;

/// One thing that is wrong with an archive, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The member's name in the archive; `None` if the archive itself is wrong.
    pub member: Option<String>,
    /// The line in the member at which the record begins, counted from 1.
    pub line: Option<u64>,
    /// The column's name in the configuration.
    pub column: Option<String>,
    /// The reason: what is wrong.
    pub reason: Reason,
    quoted: Box<Quoted>,
}

/// The cells that a problem quotes, and the text shown instead. Boxed, since results carry problems.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Quoted {
    path: Option<String>,
    text: Option<Quote>,
    text_bytes: Option<u64>,
    at_byte: Option<u64>,
    excerpt: Option<Excerpt>,
    quoting: Quoting,
}

impl Problem {
    /// Creates a problem of the archive as a whole.
    pub fn archive(reason: Reason) -> Self {
        Self {
            member: None,
            line: None,
            column: None,
            reason,
            quoted: Box::new(Quoted {
                path: None,
                text: None,
                text_bytes: None,
                at_byte: None,
                excerpt: None,
                quoting: Quoting::Withheld,
            }),
        }
    }

    /// Creates a problem of a member as a whole.
    pub fn member(member: &str, reason: Reason) -> Self {
        Self { member: Some(member.to_owned()), ..Self::archive(reason) }
    }

    /// Sets the line of the problem.
    #[must_use]
    pub fn at_line(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }

    /// Sets the column of the problem.
    #[must_use]
    pub fn in_column(mut self, column: &str) -> Self {
        self.column = Some(column.to_owned());
        self
    }

    /// Adds the whole text at fault. When it is shown, it is cut and made printable.
    #[must_use]
    pub fn with_text(self, text: &[u8]) -> Self {
        self.with_beginning(text).of_bytes(text.len())
    }

    /// Adds the path of the member, which is not a cell.
    #[must_use]
    pub fn with_path(mut self, path: &[u8]) -> Self {
        self.quoted.path = Some(printable(path));
        self
    }

    /// Adds the beginning of the text at fault.
    #[must_use]
    pub fn with_beginning(mut self, text: &[u8]) -> Self {
        self.quoted.text = Some(Quote::new(printable(text), ""));
        self
    }

    /// Adds the length of the text at fault.
    #[must_use]
    pub fn of_bytes(mut self, bytes: usize) -> Self {
        self.quoted.text_bytes = u64::try_from(bytes).ok();
        self
    }

    /// Adds the record of the problem, and the range of its bytes that are wrong.
    #[must_use]
    pub fn in_record(mut self, record: &[u8], place: Range<usize>) -> Self {
        self.quoted.at_byte = u64::try_from(place.start).ok().map(|start| start + 1);
        self.quoted.excerpt = Some(Excerpt::of(record, place));
        self
    }

    /// Adds the byte of the record at which the problem begins, counted from 0.
    #[must_use]
    pub fn at_byte(mut self, byte: usize) -> Self {
        self.quoted.at_byte = u64::try_from(byte).ok().map(|byte| byte + 1);
        self
    }

    /// Returns the text at fault, cut and made printable, if it may be shown.
    pub fn text(&self) -> Option<&str> {
        self.quoted.path.as_deref().or_else(|| self.quoted.text.as_ref()?.shown())
    }

    /// Returns the record around the position, if it may be shown, for a person at a terminal; `error.json`
    /// and the report have the text alone.
    pub fn excerpt(&self) -> Option<&Excerpt> {
        self.quoted.excerpt.as_ref().filter(|_| self.quoted.quoting == Quoting::Shown)
    }

    fn decide(&mut self, quoting: Quoting) {
        self.quoted.quoting = quoting;
        for quote in self.quoted.text.iter_mut().chain(self.reason.quote_mut()) {
            quote.decide(quoting);
        }
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

impl JsonSchema for Problem {
    fn schema_name() -> Cow<'static, str> {
        ReportedProblem::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        ReportedProblem::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        ReportedProblem::json_schema(generator)
    }
}

/// A problem in the form of `error.json` and the report, also when it is read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportedProblem {
    /// The member's name in the archive.
    pub member: Option<String>,
    /// The line in the member.
    pub line: Option<u64>,
    /// The column's name.
    pub column: Option<String>,
    /// The text at fault.
    pub text: Option<String>,
    /// If the text is withheld: its number of bytes, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_bytes: Option<u64>,
    /// If the text is withheld: the byte of the record at which the problem begins, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_byte: Option<u64>,
    /// The reason's stable code.
    pub code: String,
    /// The reason.
    pub reason: String,
}

impl From<&Problem> for ReportedProblem {
    fn from(problem: &Problem) -> Self {
        let Problem { member, line, column, reason, quoted } = problem;
        let Quoted { path: _, text, text_bytes, at_byte, excerpt: _, quoting } = &**quoted;
        let is_withheld = text.is_some() && *quoting == Quoting::Withheld;
        Self {
            member: member.clone(),
            line: *line,
            column: column.clone(),
            text: problem.text().map(str::to_owned),
            text_bytes: text_bytes.filter(|_| is_withheld),
            at_byte: at_byte.filter(|_| is_withheld),
            code: reason.code().to_owned(),
            reason: reason.to_string(),
        }
    }
}

impl ReportedProblem {
    /// Returns the problem without its text, and without a reason that quotes a cell.
    #[must_use]
    pub fn withheld(mut self) -> Self {
        let had_text = self.text.take().is_some();
        match self.code.as_str() {
            "bad_date" if had_text => "not a date of the configured form".clone_into(&mut self.reason),
            // Redshift's message may quote a value whose text is not known.
            "refused_by_redshift" => "Redshift refused the row".clone_into(&mut self.reason),
            _ => {}
        }
        self
    }
}

impl fmt::Display for ReportedProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { member, line, column, text, text_bytes, at_byte, code: _, reason } = self;
        f.write_str(member.as_deref().unwrap_or("archive"))?;
        if let Some(line) = line {
            write!(f, ", line {line}")?;
        }
        if let Some(column) = column {
            write!(f, ", column {column}")?;
        }
        write!(f, ": {reason}")?;
        match (text_bytes, at_byte) {
            (None, None) => {}
            (Some(bytes), None) => write!(f, " ({bytes} bytes)")?,
            (None, Some(at)) => write!(f, " (byte {at} of its record)")?,
            (Some(bytes), Some(at)) => write!(f, " ({bytes} bytes, byte {at} of its record)")?,
        }
        match text {
            // The text is printable already: escaped again, it would differ from the file.
            Some(text) => write!(f, ": \"{text}\""),
            None => Ok(()),
        }
    }
}

/// All problems of one archive: the first [`REPORTED_PROBLEMS`] in full, the rest as a count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    reported: Vec<Problem>,
    found: u64,
    incomplete: Option<String>,
}

impl Problems {
    /// Adds a problem; after [`REPORTED_PROBLEMS`] it is only counted.
    pub fn push(&mut self, problem: Problem) {
        self.found += 1;
        if self.reported.len() < REPORTED_PROBLEMS {
            self.reported.push(problem);
        }
    }

    /// Shows the texts of cells in the problems, or withholds them. Until then they are withheld.
    pub fn decide(&mut self, quoting: Quoting) {
        for problem in &mut self.reported {
            problem.decide(quoting);
        }
    }

    /// Checks whether there are no problems.
    pub fn is_empty(&self) -> bool {
        self.found == 0
    }

    /// Checks whether no further problem would be reported.
    pub fn is_full(&self) -> bool {
        self.reported.len() >= REPORTED_PROBLEMS
    }

    /// Returns the number of problems found, reported or not.
    pub fn found(&self) -> u64 {
        self.found
    }

    /// Returns the reported problems, in the order in which they were found.
    pub fn reported(&self) -> &[Problem] {
        &self.reported
    }

    /// Sets why there may be more problems than were found.
    pub fn set_incomplete(&mut self, why: String) {
        self.incomplete = Some(why);
    }

    /// Returns why there may be more problems than were found, because a check could not be made. The limit
    /// [`REPORTED_PROBLEMS`] is not such a reason.
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
