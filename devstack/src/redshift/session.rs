//! Runs a session: the client on one side, PostgreSQL on the other, and what the stand-in does in between.

// A module names only those below it.

/// The session's beginning, and its messages in the order in which they come.
mod run;

/// Messages of the extended query protocol.
mod extended_query;

/// Queries of the simple protocol.
mod simple_query;

/// One statement, by either protocol.
mod statement;

/// PostgreSQL's answers to the extended query protocol.
mod answers;

/// What a session knows, and how it logs and refuses statements.
mod session_state;

pub(super) use self::run::serve;
