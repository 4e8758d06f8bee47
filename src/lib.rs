//! Loads CMS Lite user data from archives in S3 into Redshift: once, in order, with nothing lost and everything
//! explained.
//!
//! This crate reaches out; what is to be done is decided in [`cmslite_core`]. One run goes this way:
//!
//! ```text
//! event or command line
//!   -> load: the queue, and for each archive
//!        consult the ledger -> stage (download, unpack, transform, upload) -> transaction -> settle
//!   -> report
//! ```
//!
//! The modules stand in rooms, entry points first: a file names only modules further down.

// Entry points.
// For people: the command line.
pub mod cli;
// For AWS Lambda.
pub mod lambda;

// Jobs.
// Could a dataset be loaded?
pub mod check;
// What would a load find?
pub mod dry_run;
// Where does a dataset stand?
pub mod status;
// Load a dataset's queue.
pub mod load;

// What jobs work with.
// The connections to the outside.
pub mod clients;
// What a run did.
pub mod report;

// Steps.
// What S3 says of a dataset.
pub mod listing;
// From an archive to its staged files.
pub mod stage;

// Adapters.
pub mod redshift;
pub mod s3;
pub mod sns;

// Base.
// Configuration files, from a directory or bundled.
pub mod config_files;
// The environment variables.
pub mod environment;
// What a run is asked for.
pub mod run_request;
// When a run must end.
pub mod cancellation;
// Text that cannot be printed.
pub mod secret;
