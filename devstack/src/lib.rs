//! Runs everything around the loader on one machine without an AWS account: a real S3 API, a Redshift
//! stand-in in front of a real PostgreSQL, and Lambda's runtime API. It is for the demo, the tests, and
//! people; nothing of it is linked into the function.

// A module uses only modules listed below it.

/// Serves the status page to a browser.
pub mod status_page;

/// The dataset that a stack is for.
pub mod dataset;

/// S3, PostgreSQL and the stand-in together, with a bucket and the tables.
pub mod stack;

/// Lambda: the runtime API, and functions run against it.
pub mod lambda;

/// Puts TLS in front of a server without it, and counts the bytes on the wire.
pub mod tls_proxy;

/// The part of Redshift's API that issues IAM logins.
pub mod redshift_api;

/// The Redshift stand-in, in front of a PostgreSQL.
pub mod redshift;

/// The local S3.
pub mod s3;

/// Starts the machine's PostgreSQL, or a fetched one.
pub mod postgres;

/// Python programs, each with its packages from PyPI.
pub mod python;

/// Sample archives.
pub mod samples;

/// A small HTTP server.
mod http_server;

/// A certificate authority, and a certificate issued by it.
pub mod certificates;

/// Injected faults, for S3 and the stand-ins.
pub mod fault;

/// Processes and directories that end with their owner, however it ends.
pub mod guard;

/// Waits for conditions that are not announced.
pub mod wait;
