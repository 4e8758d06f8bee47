//! The stand-ins as their clients see them. `cargo test -p devstack --test integration s3::reads` runs one module.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at what it did not expect"
)]

use std::process::{Command, Stdio};

/// Processes and directories end with their owner, however it ends.
mod guard;

/// The local Lambda as its function, its callers and whoever kills it see it.
mod lambda;

// A queue of SQS before a function.
mod sqs;

/// A private PostgreSQL: it starts, it answers, and it leaves nothing behind.
mod postgres;

/// Python programs: one installs, the others wait.
mod python;

/// Sample archives.
mod samples;

/// The local S3 against AWS's own SDK and command line: it does what S3 does, and above all refuses what S3
/// refuses.
mod s3 {
    /// Reads: what comes back, ranges, and conditions.
    mod reads;

    /// Writes and deletes, and their conditions.
    mod writes;

    /// Checksums that come with a body, ahead of it or behind it.
    mod checksums;

    /// Buckets, and listings of their keys.
    mod listings;

    /// Copies of whole objects, and the limit from which they are made in parts.
    mod copies;

    /// Multipart uploads, from their beginning to completion or abort.
    mod multipart_uploads;

    /// Signatures, session tokens, presigned URLs and denied operations.
    mod permissions;

    /// KMS keys: rights to them, and `ETag`s that are no MD5.
    mod encryption;

    /// Notifications of created objects.
    mod notifications;

    /// Faults on demand.
    mod faults;

    /// What a test can ask of the server beside S3: set times, the log of requests, a clean end.
    mod server;

    /// A second opinion: AWS's own command line.
    mod aws_cli;

    /// A server with a bucket and three kinds of keys, and clients that show how a request was refused.
    mod support;
}

/// The Redshift stand-in as a PostgreSQL driver, `psql` and psycopg see it.
mod redshift {
    /// Login and TLS.
    mod login;

    /// SQL that Redshift takes and SQL that it refuses, by both protocols.
    mod sql;

    /// Transactions, isolation, time limits and cancellation.
    mod transactions;

    /// Faults on demand.
    mod faults;

    /// COPY: prefixes, manifests, credentials and compression.
    mod copy_sources;

    /// COPY: CSV, ESCAPE, conversion options and types.
    mod copy_formats;

    /// COPY: what the statement itself may say.
    mod copy_statement;

    /// COPY: load errors, and where they are recorded.
    mod copy_errors;

    /// COPY: transactions, protocols and limits.
    mod copy_transactions;

    /// Clients that people use: `psql`, psycopg and AWS's own driver, all with `verify-full`.
    mod clients;

    /// A table to COPY into, and what a COPY of one text comes to.
    mod copy_support;

    /// One PostgreSQL for all tests; for each test a database, an S3 and a stand-in of its own.
    mod support;
}

/// One test of this program, by its whole path, to be run in a process of its own; its standard error is a pipe.
fn test_in_a_process(module: &str, name: &str) -> Command {
    let path = match module.split_once("::") {
        Some((_, module)) => format!("{module}::{name}"),
        None => name.to_owned(),
    };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &path, "--nocapture"]).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Prints the name of a case, so that a failure ends with it.
fn case(name: &str) {
    println!("case: {name}");
}
