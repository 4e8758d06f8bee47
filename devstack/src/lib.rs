//! Runs everything around the loader on one machine with no AWS account: a real S3 API, a Redshift stand-in
//! before a real PostgreSQL, and Lambda's runtime API. For the demo, the tests, and people; nothing of it is
//! linked into the function.

// A module names only those below it.

/// Serves the status page to a browser.
pub mod status_page;

/// The dataset that a stack is for.
pub mod dataset;

/// S3, PostgreSQL and the stand-in together, with a bucket and the tables.
pub mod stack;

/// Lambda: the runtime API, and functions run against it.
pub mod lambda;

/// TLS before a server that speaks none, and the bytes on its wire.
pub mod tls_proxy;

/// Redshift's API, as far as it gives out logins by IAM.
pub mod redshift_api;

/// The Redshift stand-in, before a PostgreSQL.
pub mod redshift;

/// The local S3.
pub mod s3;

/// A PostgreSQL of the machine's or a fetched one, started for us.
pub mod postgres;

/// Python programs, each with what it needs from PyPI.
pub mod python;

/// Sample archives.
pub mod samples;

/// A small HTTP server.
mod http_server;

/// A certificate authority, and a certificate by it.
pub mod certificates;

/// Faults on demand, for S3 and the stand-ins.
pub mod fault;

/// Processes and directories that end with their owner, however it ends.
pub mod guard;

/// Waiting for what nobody reports.
pub mod wait;
