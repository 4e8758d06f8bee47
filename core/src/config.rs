//! Reads a dataset's configuration file into types whose invariants the rest of the program relies on.
//!
//! Every mistake of every file is found at start, before an event is handled, and reported with file, key and
//! reason.

// From texts to datasets.
mod parse;

// The meaning of a file's keys: of the whole file, of each table, and those that depend on `truncate`.
mod meaning;
mod tables;

mod row_guards;

// The check that a file has the keys and values that it must have.
mod shape;
// The JSON Schema of the same keys, for editors.
mod schema;
// The tables of keys that both of these use.
mod form;

mod size_limits;

// The mistakes found so far.
mod checker;
mod rivals;

// JSON with the position of each value.
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
