//! Decides what the loader does: bytes and values in, bytes and values out.
//!
//! The crate has no network, file system, clock or async runtime, so everything in it is tested and fuzzed
//! without a server. The data goes one way:
//!
//! ```text
//! event: S3 notification, EventBridge, schedule, or by hand, each directly or through SNS and SQS
//!   -> queue: which archives are candidates, in which order (from listings of S3, not a queue of SQS)
//!   -> archive: gzip -> tar -> one member after the other
//!   -> transform: header, rows, cells -> the staged file, which COPY reads
//!
//! Any of these steps -> problem: what is wrong, where, and the remedy
//! ```
//!
//! Where to put what:
//!
//! - a rule about gzip, tar or members: [`archive`] (`archive/entry.rs` for what an entry of the tar may be);
//! - a rule about the form of CSV, such as quotes and line ends: [`csv`];
//! - a rule about a header, or about a row's cells and their meaning: [`transform`] (`transform/row.rs` for
//!   rows);
//! - a rule about how many rows an archive must have: [`row_counts`];
//! - its code, its message and its remedy: [`problem::Reason`];
//! - which archives are candidates, and their order: [`queue`]. The program then skips those that the ledger
//!   knows.
//!
//! The `mod` lines are in import order: a module uses only modules listed below it.

// From an archive to a first configuration, for a new dataset.
pub mod guess;

// From an archive's bytes to its members' staged files.
pub mod archive;
// From a member's text to the staged file's text.
pub mod transform;

// From a Lambda event to what it asks for.
pub mod event;
// Which archives take too long.
pub mod overdue;
// From the listings of S3 to the archives to load, in their order.
pub mod queue;
// Which run works on a dataset's queue, and until when.
pub mod lease;

// Which permissions a load needs in Redshift.
pub mod grants;
// Whether an archive has too few rows.
pub mod row_counts;
// From CREATE TABLE statements to the limits of the tables' columns.
pub mod ddl;
// The limits of the tables' columns: types, lengths, NOT NULL.
pub mod limits;
// From a configuration's text to a dataset: one configuration file, its prefixes, members and tables.
pub mod config;
// Dates as Python's strptime reads them.
pub mod strptime;

// Failures, sorted by who must act.
pub mod error;
// What is wrong with an archive: problems, their reasons and remedies.
pub mod problem;

// Records of CSV, read strictly, and written.
pub mod csv;
// The type of a file, as far as its first bytes show it.
mod file_type;
// Progress within the current archive.
pub mod progress;
// Keys of objects, made safe to show.
pub mod key;
// The known name that was probably meant.
pub mod similar;
// Untrusted text, made safe to show.
pub mod text;
