//! Records the statements that clients sent, and their outcomes.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::sql;

/// A statement that a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The session's number, counted from 1.
    pub session: u64,
    /// The user.
    pub user: String,
    /// The database.
    pub database: String,
    /// The statement's text, without credentials and passwords.
    pub sql: String,
    /// Whether it came through the extended protocol.
    pub extended: bool,
    /// The number of bound parameters.
    pub parameters: usize,
    /// The time of its arrival.
    pub at: Instant,
    /// The outcome: a command tag, or SQLSTATE and message. `None` while it runs, and if the connection broke
    /// first.
    pub outcome: Option<Result<String, (String, String)>>,
}

/// A statement's position in the log. No other statement gets the position after the log is cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogEntry(usize);

#[derive(Default)]
struct Statements {
    cleared: usize,
    kept: Vec<Statement>,
}

#[derive(Default)]
pub(super) struct StatementLog(Mutex<Statements>);

impl StatementLog {
    fn statements(&self) -> MutexGuard<'_, Statements> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, mut statement: Statement) -> LogEntry {
        statement.sql = sql::redact(&statement.sql);
        let mut statements = self.statements();
        statements.kept.push(statement);
        LogEntry(statements.cleared + statements.kept.len() - 1)
    }

    pub(super) fn change(&self, entry: LogEntry, change: impl FnOnce(&mut Statement)) {
        let mut statements = self.statements();
        let at = entry.0.checked_sub(statements.cleared);
        if let Some(statement) = at.and_then(|at| statements.kept.get_mut(at)) {
            change(statement);
        }
    }

    pub(super) fn all(&self) -> Vec<Statement> {
        self.statements().kept.clone()
    }

    pub(super) fn clear(&self) {
        let mut statements = self.statements();
        statements.cleared += statements.kept.len();
        statements.kept.clear();
    }
}
