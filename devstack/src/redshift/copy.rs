//! Carries out COPY from S3: objects are read, split into records, converted to the target's column types,
//! and passed to PostgreSQL as `COPY FROM STDIN` in the client's own session.

// A module uses only modules listed below it.

/// One COPY from beginning to end.
mod load;

/// Compressed files, unpacked as they arrive.
mod compression;

/// The target table.
mod target;

/// The source objects.
mod source;

/// Fields in the form that a column's type accepts.
mod convert;

/// From bytes to records and fields.
mod reader;

/// The statement, parsed.
mod statement;

/// The session's `statement_timeout`.
mod deadline;

/// The reason why a COPY stops.
mod error;

pub(super) use self::load::{Outcome, run};
pub(super) use self::statement::parse;
