//! Describes what is not understood in a statement, and where.

use std::fmt;

/// The reason why statements do not give a dataset's column limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DdlError {
    /// The line, counted from 1; `None` if something is missing from the whole text.
    pub line: Option<u64>,
    /// The reason: what is wrong there.
    pub reason: String,
}

impl DdlError {
    pub(super) fn at(line: u64, reason: impl Into<String>) -> Self {
        Self { line: Some(line), reason: reason.into() }
    }
}

impl fmt::Display for DdlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

impl std::error::Error for DdlError {}
