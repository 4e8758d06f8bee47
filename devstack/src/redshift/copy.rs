//! Carries out COPY from S3: objects are read, split into records, converted by the target's column types,
//! and handed to PostgreSQL as `COPY FROM STDIN` in the client's own session.

// A module names only those below it.

/// One COPY from beginning to end.
mod load;

// Compressed files, unpacked as they come.
mod compression;

/// The table that it fills.
mod target;

/// The objects that it reads.
mod source;

/// Fields in the form that a column's type takes.
mod convert;

/// Bytes into records and fields.
mod reader;

/// The statement, parsed.
mod statement;

/// The session's `statement_timeout`.
mod deadline;

/// Why a COPY stops.
mod error;

pub(super) use self::load::{Outcome, run};
pub(super) use self::statement::parse;
