//! Tests the program's guarantees against a local S3, a local Redshift and a local Lambda. It is one binary:
//! it is linked once, and all of its tests share one PostgreSQL.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at what it did not expect"
)]

// The environment of a test, and tables of cases.
mod harness;

// An upload becomes rows.

// Which events are served, from an upload's notification to a sweep by hand.
mod events;
// `show`: one archive.
mod show;
// Events that come through SQS: each message is done or comes again by itself.
mod explanations;
mod sqs;
// What one load does: its staged files, its one transaction, its report.
mod load;
// No revision of an archive is loaded twice, unless that is asked for.
mod once;
// The same bytes once more.
mod repeated;
// A reader of the ledger waits for no load and delays none.
mod locks;
// Several functions at once cost little more than one, and no message is sent twice.
mod several;
// Archives are loaded oldest first, and never an older one over newer data.
mod order;
// Cells are loaded unchanged.
mod text;
// Keys are untrusted text.
mod keys;

// What goes wrong.

// Bad input is marked bad, explained, and leaves the tables as they were.
mod refusals;
// Staged files and their pieces.
mod pieces;
// An archive with too few rows is refused, and one that empties a table is reported.
mod row_guards;
// Values that a column's type does not allow are refused before anything is staged, if that is certain.
mod column_types;
// Faults of S3 and Redshift are temporary: nothing is marked, and a later run loads.
mod faults;
// What Redshift's errors mean, and tables that cannot be loaded.
mod redshift_errors;
// A damaged download does not make an archive bad.
mod damage;
// Logins, certificates, tables, permissions and configuration: the operator gets the cause.
mod deployment;
// Redshift's ways to log in, and the messages about TLS.
mod logins;
// Logins by IAM, without a password.
mod iam_logins;
// A function that runs out of time leaves its work for the next one.
mod deadline;
// No object blocks the queue: an archive that takes too long, or is too large, is bad in the end.
mod blocked;
// Nothing hangs: every silent server is given up before the time is up, and named.
mod hangs;
// A configuration by itself: its mistakes, and its meaning.
mod configuration;
// The function's end before and after each of its steps.
mod crash_points;
// Random histories of uploads, events and trouble against a model.
mod histories;

// What people see.

// `load`: exit statuses, report, log, and how it is stopped.
mod command_line;
// `load --dry-run` reads everything and changes nothing.
mod dry_run;
// `validate` reads local archives as a load reads them.
mod validate;
// `check` finds what a load lacks.
mod check;
// `status` shows the queue, the settled archives, and where markers and ledger disagree.
mod status;
// The status page.
mod page;
// A bar on a terminal, lines elsewhere, while an archive is read.
mod progress;
// Results on standard output, everything else on standard error; a closed pipe changes nothing.
mod streams;
// `--json`: one document, whatever the command does.
mod json;
// Pages and schemas that are generated from the program.
mod reference;
// Messages about mistakes; long lists.
mod mistakes;
// The function's log: flat JSON with the context of each line.
mod logs;
// CloudWatch's metrics: valid, equal to the report, and complete for the template.
mod metrics;
// Messages about bad archives.
mod notices;
// Every request to S3 names the account that the bucket must belong to.
mod bucket_owner;
// A marker keeps what S3 stores about its archive.
mod markers;
// Everything written is encrypted with one's own key.
mod encryption;
// No text of a cell is shown where the configuration withholds it.
mod quoting;
// No password, key or token is shown; a rotated password is read again.
mod secrets;

// What it costs.

// Memory has a ceiling.
mod memory;
// Requests follow a formula.
mod requests;
// A long history costs only its listings.
mod scale;

// The computed parts of docs/explanation/performance.md.
mod reach;

// Other programs and the adapters.

// `init`: the files that it writes are sound, and the archive is good with them.
mod init;
// moto as the S3, the AWS command line as the uploader.
mod interoperability;
// Objects written over TLS have a CRC, and no signed SHA-256.
mod payloads;
// Operations of the S3 client that no small archive reaches.
mod s3_client;

// The template and the runbook: the stack in moto, its permissions, and the commands of the documents.
#[path = "../operations/mod.rs"]
mod operations;

// The structure of the code.

// Which module may use which, which crate is used where, and how long a file may be.
mod structure;
