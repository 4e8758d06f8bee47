//! Faults on demand.

use std::time::Duration;

use crate::fault::{self, Callback, Gate};

/// A fault that some of the next statements meet: those that contain a text, in capitals or not.
pub type Fault = fault::Fault<Pattern, Action>;

/// Which statements fit: a part of their text, in lower case.
#[derive(Clone)]
pub struct Pattern(String);

impl Fault {
    /// Every statement that contains a text.
    pub fn on(statement_contains: &str, action: Action) -> Self {
        Self::new(Pattern(statement_contains.to_ascii_lowercase()), action)
    }
}

/// The stand-in's faults.
pub(super) type Faults = fault::Faults<Pattern, Action>;

impl Faults {
    /// What happens to a statement.
    pub(super) fn of(&self, sql: &str) -> Option<Action> {
        let sql = sql.to_ascii_lowercase();
        self.take(|pattern| sql.contains(&pattern.0))
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
    /// COPY: `pg_last_copy_count()` will be so much more than what was loaded.
    Miscount(u64),
}
