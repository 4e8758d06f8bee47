//! Runs the Redshift stand-in: a front that speaks the PostgreSQL protocol, passes SQL through to a real
//! PostgreSQL, carries out `COPY ... FROM 's3://...'` itself, and refuses what Redshift refuses.
//!
//! Its behaviour follows AWS's documentation, named where it is used, and reports of users where the
//! documentation is silent. Where both are silent, it makes choices of its own, on which no test depends:
//!
//! - The statements of one simple query are separate unless BEGIN is among them.
//! - A quoted CSV field that equals the null string is NULL, like an unquoted one; so is, with ESCAPE, an
//!   escaped one.
//! - The carriage return of a CRLF is dropped, outside quotes and unless escaped; a missing last newline
//!   does no harm.
//! - A NUL byte in a field is error 1218; misplaced quotes are error 1214; a number too large for its
//!   DECIMAL is 1204.
//! - DATE takes `YYYY-MM-DD` only, and TIMESTAMP no date alone; a seventh digit of a second is an error.
//! - `pg_last_copy_id()` and `pg_last_copy_count()` keep their values when the transaction is rolled back.
//! - NOLOAD requires the privileges that loading requires, and counts the rows that it would load.
//! - A body from S3 that breaks off fails the COPY at once.
//! - Keys (PRIMARY KEY, UNIQUE, FOREIGN KEY) are dropped from DDL without a trace, and VARCHAR's length is
//!   measured in bytes by COPY, but in characters by INSERT, as PostgreSQL does.
//!
//! Known limits: a prepared statement keeps the values of `pg_last_copy_id()` and `pg_last_copy_count()` with
//! which it was prepared; the load errors of a COPY that succeeded (MAXERROR) are visible from the next
//! transaction on.

// A module uses only modules listed below it.

/// The running stand-in, for the stack and its tests.
mod server;

/// A session: the client on one side, PostgreSQL on the other.
mod session;

/// From a connection's first byte to a session: TLS and the password.
mod login;

/// COPY from S3.
mod copy;

/// The state that all sessions share.
mod state;

/// A log of the statements, without the secrets in them.
mod statement_log;

/// SQL, as far as the stand-in must understand it.
mod sql;

/// The system tables and functions that PostgreSQL lacks.
mod system_tables;

/// A session's connection to PostgreSQL.
mod upstream;

/// Messages of the PostgreSQL protocol.
mod wire;

/// The options of the stand-in.
mod options;

/// The reason why the stand-in cannot start.
mod error;

/// Injected faults.
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
