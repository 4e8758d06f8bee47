//! Tests the stand-ins through their clients.
//!
//! `cargo test -p devstack --test integration s3::reads` runs one module.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at what it did not expect"
)]

use std::process::{Command, Stdio};

/// Tests that guarded processes and directories do not outlive their owner, however the owner ends.
mod guard;

/// Tests of the local Lambda with its function, its callers, and processes that are killed.
mod lambda;

// Tests of an SQS queue whose messages go to a function.
mod sqs;

/// Tests that a private PostgreSQL starts, answers, and leaves nothing behind.
mod postgres;

/// Tests of the package cache: of several processes, one installs and the others wait.
mod python;

/// Tests of the sample archives.
mod samples;

/// Tests of the local S3 with AWS's own SDK and command line: it does what S3 does, and above all refuses
/// what S3 refuses.
mod s3 {
    /// Tests of reads: answers, ranges and conditions.
    mod reads;

    /// Tests of writes and deletes, and of their conditions.
    mod writes;

    /// Tests of checksums that a client sends before or after a body.
    mod checksums;

    /// Tests of buckets and of listings of their keys.
    mod listings;

    /// Tests of copies of whole objects, and of the size above which they are made in parts.
    mod copies;

    /// Tests of multipart uploads, from their beginning to completion or abort.
    mod multipart_uploads;

    /// Tests of signatures, session tokens, presigned URLs and denied operations.
    mod permissions;

    /// Tests of KMS keys: permissions for them, and `ETag`s that are not an MD5.
    mod encryption;

    /// Tests of notifications of created objects.
    mod notifications;

    /// Tests of injected faults.
    mod faults;

    /// Tests of what the server offers to tests besides S3: set times, a log of requests, a clean end.
    mod server;

    /// Tests with AWS's own command line, as a second opinion.
    mod aws_cli;

    /// Helpers: a server with a bucket and three kinds of keys, and clients that show how a request was
    /// refused.
    mod support;
}

/// Tests of the Redshift stand-in with a PostgreSQL driver, `psql`, psycopg and AWS's own driver.
mod redshift {
    /// Tests of login and TLS.
    mod login;

    /// Tests of SQL that Redshift accepts and SQL that it refuses, by both protocols.
    mod sql;

    /// Tests of transactions, isolation, time limits and cancellation.
    mod transactions;

    /// Tests of injected faults.
    mod faults;

    /// Tests of COPY's prefixes, manifests, credentials and compression.
    mod copy_sources;

    /// Tests of COPY's CSV, ESCAPE, conversion options and types.
    mod copy_formats;

    /// Tests of the clauses that a COPY statement may have.
    mod copy_statement;

    /// Tests of COPY's load errors and of the tables that record them.
    mod copy_errors;

    /// Tests of COPY's transactions, protocols and limits.
    mod copy_transactions;

    /// Tests with clients that people use: `psql`, psycopg and AWS's own driver, all with `verify-full`.
    mod clients;

    /// Helpers: a table to COPY into, and the result of a COPY of one text.
    mod copy_support;

    /// Helpers: one PostgreSQL for all tests, and for each test its own database, S3 and stand-in.
    mod support;
}

/// Returns a command that runs one test of this program, given by its module and name, in a separate process.
/// Its standard error is a pipe.
fn test_in_a_process(module: &str, name: &str) -> Command {
    let path = match module.split_once("::") {
        Some((_, module)) => format!("{module}::{name}"),
        None => name.to_owned(),
    };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &path, "--nocapture"]).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Prints the name of a case, so that the output of a failed test ends with it.
fn case(name: &str) {
    println!("case: {name}");
}
