//! Loads CMS Lite user data from archives in S3 into Redshift: once, in order, with nothing lost and
//! everything explained.
//!
//! This crate does the I/O; [`cmslite_core`] decides what to do. One run goes this way:
//!
//! ```text
//! Lambda event or command line
//!   -> load: waits for the lease on the queue (load/lease), reads it, and for each archive
//!        load/consult      has the ledger (the table of archives already loaded) loaded it before?
//!        stage             download, unpack, transform, upload as staged files
//!        load/transaction  BEGIN, lock, ledger, DELETE and COPY for each table, ledger row, COMMIT
//!        load/settle       sets the marker: a copy under good/, or under bad/ with error.json (load/explain)
//!   -> report
//! ```
//!
//! The `mod` lines are in layers and in import order: a module uses only modules listed below it.

// Entry points. The command line.
pub mod cli;
// AWS Lambda.
pub mod lambda;

// Jobs. The status page: `status --html`, and the page that the function writes after each run.
pub mod page;
// `check`: what a load lacks.
pub mod check;
// `show`: everything about one archive.
pub mod show;
// `init`: a first configuration, guessed from an archive on this machine.
pub mod init;
// `validate`: what a load would find in archives on this machine.
pub mod validate;
// `load --dry-run`: what a load would find.
pub mod dry_run;
// `status`: the queue, and the settled archives.
pub mod status;
// `load`, and the function's work: through a dataset's queue.
pub mod load;

// Shared by jobs. The clients of all services.
pub mod clients;
// Metrics for CloudWatch.
pub mod metrics;
// The report of a run, as JSON and as text.
pub mod report;

// Steps. The listings of a dataset in S3.
pub mod listing;
// From an archive to its staged files.
pub mod stage;

// Adapters, one for each service. They map each failure to a kind of `cmslite_core::error`. Sessions,
// statements, the ledger's columns, logins.
pub mod redshift;
// Listing, downloading, uploading, copying, deleting.
pub mod s3;
// Messages about bad archives.
pub mod sns;

// Base. Configuration files, from a directory or bundled.
pub mod config_files;
// The environment variables.
pub mod environment;
// A run's parameters.
pub mod run_request;
// The deadline and the cancellation of a run.
pub mod cancellation;
// What a run is waiting for.
pub mod waits;
// The time limits of requests to AWS.
pub mod time_limits;
// Tasks that end with the code that waits for them.
mod task;
// The events that are logged.
pub mod log_filter;
// Secrets: a type that cannot be printed.
pub mod secret;
