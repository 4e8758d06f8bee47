//! Defines the faults that the stand-in injects on demand.

use std::time::Duration;

use crate::fault::{self, Callback, Gate};

/// A fault that affects some of the next statements, or of the next connections.
pub type Fault = fault::Fault<Pattern, Action>;

/// The statements or connections that match.
#[derive(Clone)]
pub enum Pattern {
    /// Statements that contain a text, given in lower case.
    Statement(String),
    /// Connections, before their first byte is read.
    Connection,
    /// Connections that ask for TLS, after their first message.
    Handshake,
}

impl Fault {
    /// Creates a fault for every statement that contains a text, in upper or lower case.
    pub fn on(statement_contains: &str, action: Action) -> Self {
        Self::new(Pattern::Statement(statement_contains.to_ascii_lowercase()), action)
    }

    /// Creates a fault for every connection that asks for TLS: it gets `bytes` instead of the server's part
    /// of the handshake, and is closed.
    pub fn on_handshake(bytes: &'static [u8]) -> Self {
        Self::new(Pattern::Handshake, Action::SendBytes(bytes))
    }

    /// Creates a fault for every connection: it is accepted, and stays silent until a gate opens, or for
    /// good.
    pub fn on_connection(gate: Option<Gate>) -> Self {
        Self::new(Pattern::Connection, gate.map_or(Action::Silence, Action::Wait))
    }
}

/// No bytes: the server only closes the connection, instead of its part of the TLS handshake.
pub const CLOSES: &[u8] = &[];
/// The alert `protocol_version`, from a server that has only older versions (RFC 8446, 6.2).
pub const ALERT_PROTOCOL_VERSION: &[u8] = &[0x15, 3, 1, 0, 2, 2, 70];
/// The alert `handshake_failure`, from a server without a common cipher.
pub const ALERT_HANDSHAKE_FAILURE: &[u8] = &[0x15, 3, 3, 0, 2, 2, 40];
/// The alert `internal_error`.
pub const ALERT_INTERNAL_ERROR: &[u8] = &[0x15, 3, 3, 0, 2, 2, 80];
/// A ServerHello of TLS 1.1 (RFC 4346, 7.4.1.3), without a session, from a server that knows no newer
/// version.
pub const HELLO_OF_TLS_1_1: &[u8] = &[
    0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
    20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 0, 0, 0x2f, 0,
];

/// The stand-in's faults.
pub(super) type Faults = fault::Faults<Pattern, Action>;

impl Faults {
    /// Returns what happens to a statement.
    pub(super) fn of(&self, sql: &str) -> Option<Action> {
        let sql = sql.to_ascii_lowercase();
        self.take(|pattern| matches!(pattern, Pattern::Statement(text) if sql.contains(text)))
    }

    /// Returns what is sent in place of the server's part of a handshake.
    pub(super) fn of_handshake(&self) -> Option<&'static [u8]> {
        match self.take(|pattern| matches!(pattern, Pattern::Handshake))? {
            Action::SendBytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Returns what happens to a connection.
    pub(super) fn of_connection(&self) -> Option<Action> {
        self.take(|pattern| matches!(pattern, Pattern::Connection))
    }
}

/// What happens to a statement, a connection or a handshake.
#[derive(Clone)]
pub enum Action {
    /// For handshakes: these bytes are sent, and the connection ends.
    SendBytes(&'static [u8]),
    /// The connection breaks before the statement is carried out.
    CutBefore,
    /// The statement is carried out, and the connection breaks before the answer.
    CutAfter,
    /// The statement is refused with an SQLSTATE and a message.
    Refuse(String, String),
    /// The statement is carried out later.
    Delay(Duration),
    /// An action is run first.
    RunBefore(Callback),
    /// An action is run instead of the statement, and the connection breaks.
    RunInstead(Callback),
    /// The statement is carried out, an action is run, and the connection breaks before the answer.
    RunAfter(Callback),
    /// The statement is carried out, or the connection served, when a gate opens.
    Wait(Gate),
    /// For COPY: its load errors have line -1, as those of a file that is read in parts may
    /// (`r_STL_LOAD_ERRORS.md`).
    HideLines,
    /// For COPY: its load errors are in none of the tables.
    HideLoadErrors,
    /// The statement or the connection is accepted, and no answer comes; the connection stays open.
    Silence,
    /// For COPY: `pg_last_copy_count()` is higher by this number than the rows that were loaded.
    Miscount(u64),
}
