//! A dataset's configuration file, read into types whose invariants the rest of the program relies on.
//!
//! Every mistake of every file is found at start, before an event is handled, and reported with file, key
//! and reason.

mod parse;

mod row_guards;

mod checker;
mod json;
mod keys;

mod dataset;
mod mistake;
mod passed_over;

pub use dataset::{Column, Dataset, Derived, Table, TableName};
pub use mistake::{Mistake, Mistakes};
pub use parse::{DEFAULT_MAX_UNPACKED_BYTES, parse, parse_all};
pub use passed_over::PassedOver;

#[cfg(test)]
mod tests;
