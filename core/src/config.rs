//! A dataset's configuration file, read into types whose invariants the rest of the program relies on.
//!
//! Every mistake of every file is found at start, before an event is handled, and reported with file, key
//! and reason.

mod parse;

mod row_guards;
mod size_limits;
mod staging;

mod checker;
mod json;
mod rivals;

mod keys;

mod dataset;
mod mistake;
mod passed_over;

pub use dataset::{Column, Dataset, Derived, Rival, SizeLimits, Staging, Table, TableName};
pub use keys::LOAD_ERROR_NAME_BYTES;
pub use mistake::{Mistake, Mistakes};
pub use parse::{parse, parse_all};
pub use passed_over::PassedOver;
pub use size_limits::DEFAULT_MAX_UNPACKED_BYTES;

#[cfg(test)]
mod tests;
