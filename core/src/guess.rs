//! A first configuration for a new dataset, guessed from one of its archives: to be looked at and edited.
//!
//! Every value is read, not just the first ones: what is guessed fits the whole archive.

// The texts of a configuration and of DDL.
mod config_text;
mod ddl_text;

// What is guessed of a whole archive.
mod dataset;

// What is seen of a member.
mod member;
// What is seen of a column, and what is guessed of it.
mod column;
// What stands between cells.
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
