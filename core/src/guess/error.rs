//! Says why nothing can be guessed from an archive.

use crate::problem::Problem;

/// The reason, for a person, why nothing can be guessed from an archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuessError {
    /// The archive is damaged.
    #[error("the archive cannot be read: {}", .0.reason)]
    Archive(Box<Problem>),
    /// The archive contains no file.
    #[error("the archive contains no file")]
    NoMember,
    /// A file has no header with names.
    #[error("{member} is empty; a member needs a header line")]
    NoHeader {
        /// The file's name.
        member: String,
    },
    /// A file is not a table.
    #[error("{member} is not delimited text in UTF-8, but {found}")]
    NotText {
        /// The file's name.
        member: String,
        /// The kind of file that was found.
        found: &'static str,
    },
    /// A file's name has no part that a configuration could use.
    #[error("{member} has no name before its first '.', so a configuration cannot name it")]
    NoName {
        /// The file's name.
        member: String,
    },
    /// Two files have the same member name.
    #[error(
        "{first} and {second} have the same name up to the first '.', so a configuration cannot distinguish them"
    )]
    SameName {
        /// The first file.
        first: String,
        /// The second file.
        second: String,
    },
    /// The files have different delimiters, but a configuration has one for all.
    #[error("the files have different delimiters: {first} has {:?}, {second} has {:?}; a dataset has one delimiter", char::from(*.first_delimiter), char::from(*.second_delimiter))]
    Delimiters {
        /// The first file.
        first: String,
        /// The first file's delimiter.
        first_delimiter: u8,
        /// The second file.
        second: String,
        /// The second file's delimiter.
        second_delimiter: u8,
    },
}

impl From<Problem> for GuessError {
    fn from(problem: Problem) -> Self {
        Self::Archive(Box::new(problem))
    }
}
