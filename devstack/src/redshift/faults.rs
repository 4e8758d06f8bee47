//! Faults on demand.

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
}

impl Fault {
    /// Every statement that contains a text, in capitals or not.
    pub fn on(statement_contains: &str, action: Action) -> Self {
        Self::new(Pattern::Statement(statement_contains.to_ascii_lowercase()), action)
    }

    /// Every connection: it is accepted, and stays silent until a gate opens, or for good.
    pub fn on_connection(gate: Option<Gate>) -> Self {
        Self::new(Pattern::Connection, gate.map_or(Action::Silence, Action::Wait))
    }
}

/// The stand-in's faults.
pub(super) type Faults = fault::Faults<Pattern, Action>;

impl Faults {
    /// What happens to a statement.
    pub(super) fn of(&self, sql: &str) -> Option<Action> {
        let sql = sql.to_ascii_lowercase();
        self.take(|pattern| matches!(pattern, Pattern::Statement(text) if sql.contains(text)))
    }

    /// What happens to a connection.
    pub(super) fn of_connection(&self) -> Option<Action> {
        self.take(|pattern| matches!(pattern, Pattern::Connection))
    }
}

/// What happens to a statement.
#[derive(Clone)]
pub enum Action {
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
