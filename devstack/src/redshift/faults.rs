//! Defines the faults that the stand-in injects on demand.

use std::time::Duration;

use crate::fault::{self, Callback, Gate};

/// A fault that some of the next statements, or of the next connections, meet.
pub type Fault = fault::Fault<Pattern, Action>;

/// What fits.
#[derive(Clone)]
pub enum Pattern {
    /// Statements that contain a text, which is in lower case.
    Statement(String),
    /// Connections, before their first byte is read.
    Connection,
    /// Connections that ask for TLS, after its first message.
    Handshake,
}

impl Fault {
    /// Every statement that contains a text, in capitals or not.
    pub fn on(statement_contains: &str, action: Action) -> Self {
        Self::new(Pattern::Statement(statement_contains.to_ascii_lowercase()), action)
    }

    /// Every connection that asks for TLS: it is told `bytes` instead of the server's part of the handshake, and
    /// closed.
    pub fn on_handshake(bytes: &'static [u8]) -> Self {
        Self::new(Pattern::Handshake, Action::Say(bytes))
    }

    /// Every connection: it is accepted, and stays silent until a gate opens, or for good.
    pub fn on_connection(gate: Option<Gate>) -> Self {
        Self::new(Pattern::Connection, gate.map_or(Action::Silence, Action::Wait))
    }
}

/// What a server says in place of its part of TLS's handshake, and then closes.
pub const CLOSES: &[u8] = &[];
/// An alert, `protocol_version`: what a server says that has only older versions (RFC 8446, 6.2).
pub const ALERT_PROTOCOL_VERSION: &[u8] = &[0x15, 3, 1, 0, 2, 2, 70];
/// An alert, `handshake_failure`: what a server says that has no cipher in common.
pub const ALERT_HANDSHAKE_FAILURE: &[u8] = &[0x15, 3, 3, 0, 2, 2, 40];
/// An alert, `internal_error`.
pub const ALERT_INTERNAL_ERROR: &[u8] = &[0x15, 3, 3, 0, 2, 2, 80];
/// A ServerHello of TLS 1.1 (RFC 4346, 7.4.1.3), with no session, as one says it who knows no newer one.
pub const HELLO_OF_TLS_1_1: &[u8] = &[
    0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
    20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 0, 0, 0x2f, 0,
];

/// The stand-in's faults.
pub(super) type Faults = fault::Faults<Pattern, Action>;

impl Faults {
    /// What happens to a statement.
    pub(super) fn of(&self, sql: &str) -> Option<Action> {
        let sql = sql.to_ascii_lowercase();
        self.take(|pattern| matches!(pattern, Pattern::Statement(text) if sql.contains(text)))
    }

    /// What is said in place of the server's part of a handshake.
    pub(super) fn of_handshake(&self) -> Option<&'static [u8]> {
        match self.take(|pattern| matches!(pattern, Pattern::Handshake))? {
            Action::Say(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// What happens to a connection.
    pub(super) fn of_connection(&self) -> Option<Action> {
        self.take(|pattern| matches!(pattern, Pattern::Connection))
    }
}

/// What happens to a statement.
#[derive(Clone)]
pub enum Action {
    /// Handshakes: these bytes are sent, and the connection ends.
    Say(&'static [u8]),
    /// The connection breaks before it is carried out.
    CutBefore,
    /// It is carried out, and the connection breaks before the answer.
    CutAfter,
    /// It is refused with an SQLSTATE and a message.
    Refuse(String, String),
    /// It is carried out later.
    Delay(Duration),
    /// Something else happens first.
    RunBefore(Callback),
    /// Something else happens in its place, and the connection breaks.
    RunInstead(Callback),
    /// It is carried out, something else happens, and the connection breaks before the answer.
    RunAfter(Callback),
    /// It is carried out when a gate opens.
    Wait(Gate),
    /// COPY: its load errors tell line -1, as those of a file that is read in parts may
    /// (`r_STL_LOAD_ERRORS.md`).
    HideLines,
    /// COPY: its load errors are in none of the tables.
    HideLoadErrors,
    /// It is taken, and nothing more is heard of it; the connection stays.
    Silence,
    /// COPY: `pg_last_copy_count()` will be so much more than what was loaded.
    Miscount(u64),
}
