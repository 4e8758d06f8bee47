//! Why nothing can be guessed of an archive.

use crate::problem::Problem;

/// Why nothing can be guessed of an archive, for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuessError {
    /// The archive is damaged.
    #[error("the archive cannot be read: {}", .0.reason)]
    Archive(Box<Problem>),
    /// No file is in it.
    #[error("there is no file in the archive")]
    NoMember,
    /// A file has no header to take names from.
    #[error("{member} is empty; a member needs a header line")]
    NoHeader {
        /// The file.
        member: String,
    },
    /// A file holds something else than a table.
    #[error("{member} holds no delimited text in UTF-8, but {found}")]
    NotText {
        /// The file.
        member: String,
        /// What it holds.
        found: &'static str,
    },
    /// Nothing is left of a file's name by which a configuration could name it.
    #[error("{member} has no name before its first '.', by which a configuration could name it")]
    NoName {
        /// The file.
        member: String,
    },
    /// Two files are one member by their names.
    #[error("{first} and {second} are the same up to the first '.', by which a configuration names them")]
    SameName {
        /// The first file.
        first: String,
        /// The second file.
        second: String,
    },
    /// The files are delimited differently, and a configuration has one delimiter for all.
    #[error("the files are delimited differently: {first} by {:?}, {second} by {:?}; a dataset has one delimiter", char::from(*.first_delimiter), char::from(*.second_delimiter))]
    Delimiters {
        /// A file.
        first: String,
        /// What delimits its cells.
        first_delimiter: u8,
        /// Another file.
        second: String,
        /// What delimits its cells.
        second_delimiter: u8,
    },
}

impl From<Problem> for GuessError {
    fn from(problem: Problem) -> Self {
        Self::Archive(Box::new(problem))
    }
}
