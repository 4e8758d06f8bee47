//! Runs a session: the client on one side, PostgreSQL on the other, and the stand-in's own work in between.

// A module uses only modules listed below it.

/// The session's beginning, and its messages in order.
mod run;

/// Messages of the extended query protocol.
mod extended_query;

/// Queries of the simple protocol.
mod simple_query;

/// One statement, through either protocol.
mod statement;

/// PostgreSQL's answers to the extended query protocol.
mod answers;

/// The state of a session; logging and refusing statements.
mod session_state;

pub(super) use self::run::serve;
