//! Guesses a first configuration for a new dataset from one of its archives. A person must check and edit it.
//!
//! Every value is read, not only the first ones, so that the guess fits the whole archive.

// The texts of the configuration and of the DDL.
mod config_text;
mod ddl_text;

// The guess for a whole archive.
mod dataset;

// What is seen of a member.
mod member;
// What is seen of a column, and what is guessed from it.
mod column;
// The delimiter between cells.
mod delimiter;
// The beginnings of files.
mod head;
// Names for columns and tables.
mod name;

mod error;

pub use self::column::{ColumnGuess, ColumnKind};
pub use self::config_text::{Place, config_text};
pub use self::dataset::{Guess, guess};
pub use self::ddl_text::ddl_text;
pub use self::error::GuessError;
pub use self::head::{Head, heads};
pub use self::member::MemberGuess;
pub use self::name::{ArchiveName, identifier};
