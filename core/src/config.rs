//! A dataset's configuration file, read into types whose invariants the rest of the program relies on.
//!
//! Every mistake of every file is found at start, before an event is handled, and reported with file, key
//! and reason.

// From texts to datasets.
mod parse;

// What a file's keys mean: of the whole, of each table, and beside `truncate`.
mod meaning;
mod tables;

mod row_guards;

// Whether a file has the keys and values that it must have.
mod shape;
// The same, for editors.
mod schema;
// The tables of keys that both go by.
mod form;

mod size_limits;

// The mistakes that were found so far.
mod checker;
mod rivals;

// JSON, with the place of each value.
mod json;

mod keys;

mod dataset;
mod mistake;
mod passed_over;

pub use dataset::{Column, Dataset, Derived, Rival, SizeLimits, Staging, Table, TableName};
pub use keys::LOAD_ERROR_NAME_BYTES;
pub use mistake::{Mistake, Mistakes, Place};
pub use parse::{parse, parse_all};
pub use passed_over::PassedOver;
pub use schema::schema;
pub use size_limits::DEFAULT_MAX_UNPACKED_BYTES;

#[cfg(test)]
mod tests;
