//! What is wrong with a configuration, and where.

use std::fmt;
use std::ops::Range;

use unicode_width::UnicodeWidthStr as _;

use crate::error::{Deployment, Error, Fault};
use crate::problem::Excerpt;
use crate::text::one_line;

/// One mistake in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file.
    pub file: String,
    /// Where in the file; none of a file that cannot be read.
    pub place: Option<Place>,
    /// The key, as a path such as `files.user_group.columns[2]`; empty for the file as a whole.
    pub key: String,
    /// What is wrong and what is expected.
    pub reason: String,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted in characters from 1.
    pub column: usize,
    /// What stands in the line around it and at it.
    pub excerpt: Excerpt,
}

impl Mistake {
    /// A mistake of a file as a whole.
    pub fn of_file(file: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { file: file.into(), place: None, key: String::new(), reason: reason.into() }
    }
}

impl Place {
    /// The place of some bytes of a text; what stands in further lines is not shown.
    pub(super) fn of(text: &str, bytes: Range<usize>) -> Self {
        let start = text.floor_char_boundary(bytes.start);
        let (before, after) = text.split_at(start);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let line_end = after.find('\n').map_or(text.len(), |end| start + end);
        let line = text.get(line_start..line_end).unwrap_or_default();
        let line = line.strip_suffix('\r').unwrap_or(line);
        let in_line = start - line_start..bytes.end.max(start).saturating_sub(line_start);
        Self {
            line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            column: text.get(line_start..start).unwrap_or_default().chars().count() + 1,
            excerpt: Excerpt::of(line.as_bytes(), in_line),
        }
    }
}

/// Without its excerpt, on one line.
impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.file))?;
        if let Some(Place { line, column, .. }) = &self.place {
            write!(f, ":{line}:{column}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", one_line(&self.key))?;
        }
        write!(f, ": {}", one_line(&self.reason))
    }
}

/// The line, and carets under the place.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Excerpt { before, at, after } = &self.excerpt;
        let number = self.line.to_string();
        // The indentation of a line says nothing.
        let shown = before.trim_start_matches(' ');
        writeln!(f, "  {number} | {shown}{at}{after}")?;
        let margin = " ".repeat(number.len());
        write!(f, "  {margin} | {}{}", " ".repeat(shown.width()), "^".repeat(at.width().max(1)))
    }
}

/// Every mistake found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(pub Vec<Mistake>);

impl Mistakes {
    /// Each mistake with its excerpt; of several at one place only the last has it.
    pub fn told(&self) -> Vec<String> {
        let next = self.0.iter().skip(1).map(Some).chain([None]);
        let told = self.0.iter().zip(next).map(|(mistake, next)| match &mistake.place {
            Some(place) if next.is_none_or(|next| next.place.as_ref() != Some(place)) => {
                format!("{mistake}\n{place}")
            }
            _ => mistake.to_string(),
        });
        told.collect()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told().join("\n"))
    }
}

/// One for whoever operates, with a line for each mistake and under it the place.
impl From<Mistakes> for Error {
    fn from(mistakes: Mistakes) -> Self {
        Self::Deployment(Fault::of_lines(Deployment::Configuration, &mistakes.to_string()))
    }
}
