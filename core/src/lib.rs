//! Decides what the loader does: bytes and values in, bytes and values out.
//!
//! No network, no file system, no clock, no async runtime: everything here is tested and fuzzed without a
//! server. The data goes one way:
//!
//! ```text
//! event: S3 notification, EventBridge, schedule, or by hand, each directly or through SNS and SQS
//!   -> queue: which archives are candidates, in which order (from listings of S3; no queue of SQS is meant)
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
//! - a rule about how many rows an archive must bring: [`row_counts`];
//! - its code, its message and its remedy: [`problem::Reason`];
//! - which archives are candidates, and their order: [`queue`]. The program then skips those that the ledger
//!   knows.
//!
//! The `mod` lines stand in import order: a module uses only modules listed below it.

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
// Who works on a dataset's queue, and until when.
pub mod lease;

// Which rights a load needs in Redshift.
pub mod grants;
// Whether an archive brings too few rows.
pub mod row_counts;
// From CREATE TABLE statements to what the tables' columns take.
pub mod ddl;
// What the tables' columns take: types, lengths, NOT NULL.
pub mod limits;
// From a configuration's text to a dataset: one configuration file, its prefixes, members and tables.
pub mod config;
// Dates as Python's strptime reads them.
pub mod strptime;

// Failures by who must act.
pub mod error;
// What is wrong with an archive: problems, their reasons and remedies.
pub mod problem;

// Records of CSV, read strictly, and written.
pub mod csv;
// What a file is, as far as its first bytes tell.
mod file_type;
// Progress within the current archive.
pub mod progress;
// Keys of objects, made safe to show.
pub mod key;
// Which known name somebody may have meant.
pub mod similar;
// Untrusted text, made safe to show.
pub mod text;
