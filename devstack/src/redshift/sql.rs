//! Reads SQL as far as the stand-in must understand it: where statements end, which words only Redshift has
//! and which it lacks.

// A module uses only modules listed below it.

/// Statements translated for PostgreSQL.
mod translate;

/// CREATE TABLE and ALTER TABLE translated for PostgreSQL.
mod ddl;

/// The statements that Redshift refuses.
mod refusals;

/// The ends and kinds of statements, and what a log may show of them.
mod statements;

/// Edits of a statement's text.
mod edit;

/// Tokens.
pub(super) mod lexer;

pub use self::translate::postgresql_ddl;

pub(super) use self::statements::{StatementKind, has_parameters, kind, redact, split};
pub(super) use self::translate::{SessionValues, translate};
