//! Says what of a statement is not understood, and where.

use std::fmt;

/// Why statements do not say what a dataset's tables take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DdlError {
    /// The line, counted from 1; none where something is missing from the whole text.
    pub line: Option<u64>,
    /// What is wrong there.
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
