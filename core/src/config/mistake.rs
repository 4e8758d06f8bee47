//! Describes what is wrong with a configuration, and where.

use std::fmt;
use std::ops::Range;

use unicode_width::UnicodeWidthStr as _;

use crate::error::{Deployment, Error, Fault};
use crate::problem::Excerpt;
use crate::text::one_line;

/// One mistake in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file's name.
    pub file: String,
    /// The position in the file; `None` for a file that cannot be read.
    pub place: Option<Place>,
    /// The key, as a path such as `files.user_group.columns[2]`; empty for the file as a whole.
    pub key: String,
    /// The reason: what is wrong and what was expected.
    pub reason: String,
}

/// A position in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted in characters from 1.
    pub column: usize,
    /// The text at the position, and the line around it.
    pub excerpt: Excerpt,
}

impl Mistake {
    /// Creates a mistake of a file as a whole.
    pub fn of_file(file: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { file: file.into(), place: None, key: String::new(), reason: reason.into() }
    }
}

impl Place {
    /// Returns the position of a range of bytes in a text. Lines after the first are not shown.
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

/// Writes the mistake on one line, without its excerpt.
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

/// Writes the line, and carets below the text at fault.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Excerpt { before, at, after } = &self.excerpt;
        let number = self.line.to_string();
        // The indentation of a line is not helpful.
        let shown = before.trim_start_matches(' ');
        writeln!(f, "  {number} | {shown}{at}{after}")?;
        let margin = " ".repeat(number.len());
        write!(f, "  {margin} | {}{}", " ".repeat(shown.width()), "^".repeat(at.width().max(1)))
    }
}

/// All mistakes that were found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(pub Vec<Mistake>);

impl Mistakes {
    /// Returns each mistake with its excerpt. If several mistakes have the same position, only the last has
    /// the excerpt.
    pub fn messages(&self) -> Vec<String> {
        let next = self.0.iter().skip(1).map(Some).chain([None]);
        let messages = self.0.iter().zip(next).map(|(mistake, next)| match &mistake.place {
            Some(place) if next.is_none_or(|next| next.place.as_ref() != Some(place)) => {
                format!("{mistake}\n{place}")
            }
            _ => mistake.to_string(),
        });
        messages.collect()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.messages().join("\n"))
    }
}

/// An error for the operator, with a line for each mistake and the excerpt below it.
impl From<Mistakes> for Error {
    fn from(mistakes: Mistakes) -> Self {
        Self::Deployment(Fault::of_lines(Deployment::Configuration, &mistakes.to_string()))
    }
}
