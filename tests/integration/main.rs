//! What the program promises, held against a local S3, a local Redshift and a local Lambda. One binary: it is
//! linked once, and all of its tests share one PostgreSQL.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at what it did not expect"
)]

// What a test works on, and tables of cases.
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
// No revision of an archive is loaded twice, unless somebody asks for it.
mod once;
// The same bytes once more.
mod repeated;
// Whoever reads the ledger waits for no load and delays none.
mod locks;
// Several functions at once cost little more than one, and nothing is told twice.
mod several;
// Archives are loaded oldest first, and never an older one over newer data.
mod order;
// Cells arrive as they were written.
mod text;
// Keys are text by strangers.
mod keys;

// What goes wrong.

// Bad input is marked bad, explained, and leaves the tables as they were.
mod refusals;
// Staged files and their pieces.
mod pieces;
// An archive with too few rows is refused, and one that empties a table is told of.
mod row_guards;
// What a column's type cannot hold is refused before anything is staged, where that is certain.
mod column_types;
// Faults of S3 and Redshift pass: nothing is marked, and a later run loads.
mod faults;
// What Redshift's errors mean, and tables that cannot be loaded.
mod redshift_errors;
// A download that is damaged on its way blames nobody.
mod damage;
// Logins, certificates, tables, rights and configuration: what only who operates can mend is named.
mod deployment;
// Logins as Redshift has them, and TLS that says what it is.
mod logins;
// Logins by IAM, without a password.
mod iam_logins;
// A function that runs out of time leaves its work for the next one.
mod deadline;
// No object blocks the queue: what takes too long, or is too large, is bad in the end.
mod blocked;
// Nothing hangs: whatever is silent is given up before the time is up, and named.
mod hangs;
// A configuration by itself: its mistakes, and what it says.
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
// `status` shows the queue, what is settled, and where markers and ledger disagree.
mod status;
// The status page.
mod page;
// A bar on a terminal, lines elsewhere, while an archive is read.
mod progress;
// Results on standard output, all else on standard error; who reads neither changes nothing.
mod streams;
// `--json`: one document, whatever the command does.
mod json;
// What a person is told who has made a mistake; long lists.
mod mistakes;
// The function's log: flat JSON that says what each line belongs to.
mod logs;
// CloudWatch's metrics: valid, true to the report, and all that the template looks at.
mod metrics;
// Messages about bad archives.
mod notices;
// Every request to S3 names the account that the bucket must belong to.
mod bucket_owner;
// A marker keeps what S3 knows of its archive.
mod markers;
// Everything written is encrypted by a key of one's own.
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
// A long history costs listings alone.
mod scale;

// What docs/explanation/performance.md computes from what was measured.
mod reach;

// Others' programs and our adapters.

// `init`: what it writes is sound, and the archive good by it.
mod init;
// moto as the S3, the AWS command line as the uploader.
mod interoperability;
// What is written over TLS bears a CRC, and no signed SHA-256.
mod payloads;
// Operations of the S3 client that no small archive reaches.
mod s3_client;

// The template and the runbook: its stack in moto, its permissions, its commands as they stand there.
#[path = "../operations/mod.rs"]
mod operations;

// How it is built.

// Which module may name which, which crate is used where, and how long a file may get.
mod structure;
