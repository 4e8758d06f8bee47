//! Reads SQL as far as the stand-in must understand it: where statements end, which words are Redshift's alone and
//! which are none of its.

// A module names only those below it.

/// Statements in PostgreSQL's words.
mod translate;

/// CREATE TABLE and ALTER TABLE in PostgreSQL's words.
mod ddl;

/// What Redshift refuses.
mod refusals;

/// Where statements end, of which kind they are, and what a log may show of them.
mod statements;

/// Edits of a statement's text.
mod edit;

/// Tokens.
pub(super) mod lexer;

pub use self::translate::postgresql_ddl;

pub(super) use self::statements::{StatementKind, has_parameters, kind, redact, split};
pub(super) use self::translate::{SessionValues, translate};
