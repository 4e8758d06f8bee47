//! Runs the Redshift stand-in: a front that speaks the PostgreSQL protocol, passes SQL through to a real
//! PostgreSQL, carries out `COPY ... FROM 's3://...'` itself, and refuses what Redshift refuses.
//!
//! What it does rests on AWS's documentation, named where it is used, and where that is silent on reports of
//! users. Where both are silent it has choices of its own, on which nothing is tested:
//!
//! - The statements of one simple query stand each for itself unless BEGIN is among them.
//! - A quoted CSV field that equals the null string is NULL, as an unquoted one is; so is, with ESCAPE, an
//!   escaped one.
//! - The carriage return of a CRLF goes, outside quotes and unless escaped; a missing last newline does no
//!   harm.
//! - A NUL byte in a field is error 1218; misplaced quotes are error 1214; a number too large for its DECIMAL
//!   is 1204.
//! - DATE takes `YYYY-MM-DD` only, and TIMESTAMP no date alone; a seventh digit of a second is an error.
//! - `pg_last_copy_id()` and `pg_last_copy_count()` keep their values when the transaction is rolled back.
//! - NOLOAD asks for the rights that loading asks for, and counts the rows that it would load.
//! - A body from S3 that breaks off fails the COPY at once.
//! - Keys (PRIMARY KEY, UNIQUE, FOREIGN KEY) are dropped from DDL without a trace, and VARCHAR's length is
//!   measured in bytes by COPY, but in characters by INSERT, which is PostgreSQL's.
//!
//! Known limits: a prepared statement keeps the values of `pg_last_copy_id()` and `pg_last_copy_count()` that
//! it was prepared with; the load errors of a COPY that succeeded (MAXERROR) are seen from the next
//! transaction on.

// A module names only those below it.

/// The running stand-in, as the stack and its tests use it.
mod server;

/// A session: the client on one side, PostgreSQL on the other.
mod session;

/// From a connection's first byte to a session: TLS and the password.
mod login;

/// COPY from S3.
mod copy;

/// What all sessions share.
mod state;

/// The statements so far, without the secrets in them.
mod statement_log;

/// SQL as far as the stand-in must understand it.
mod sql;

/// The system tables and functions that PostgreSQL lacks.
mod system_tables;

/// A session's connection to PostgreSQL.
mod upstream;

/// Messages of the PostgreSQL protocol.
mod wire;

/// How to start the stand-in.
mod options;

/// Why the stand-in cannot start.
mod error;

/// Faults on demand.
mod faults;

pub use self::error::Error;
pub use self::faults::{
    ALERT_HANDSHAKE_FAILURE, ALERT_INTERNAL_ERROR, ALERT_PROTOCOL_VERSION, Action, CLOSES, Fault,
    HELLO_OF_TLS_1_1,
};
pub use self::options::{Auth, Isolation, Options, Role, Tls};
pub use self::server::{Issuer, Redshift};
pub use self::sql::postgresql_ddl;
pub use self::statement_log::Statement;
pub use crate::certificates::Certificate;
pub use crate::fault::Gate;
