//! Holds the state of a session; logs and refuses statements.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::fault::Callback;
use crate::redshift::options::Isolation;
use crate::redshift::sql::SessionValues;
use crate::redshift::state::State;
use crate::redshift::statement_log::{LogEntry, Statement};
use crate::redshift::upstream::Upstream;
use crate::redshift::wire::{Frame, Framed, Report};

/// The reason why a session ends without the client's request.
pub(super) enum SessionEnd {
    Io(io::Error),
    /// An injected fault.
    Cut,
}

impl From<io::Error> for SessionEnd {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A message of the extended protocol that PostgreSQL has not answered yet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pending {
    Parse(LogEntry),
    Execute(LogEntry),
    Sync,
}

/// A prepared statement.
#[derive(Clone)]
pub(super) struct Prepared {
    pub(super) text: String,
    pub(super) entry: LogEntry,
    /// Whether its log entry already represents an execution.
    pub(super) executed: bool,
    /// Whether the stand-in carries it out, and PostgreSQL does not know it.
    pub(super) own: bool,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a state of the protocol, and they are independent"
)]
pub(super) struct Session {
    pub(super) state: Arc<State>,
    pub(super) client: Framed,
    pub(super) upstream: Upstream,
    pub(super) number: u64,
    pub(super) user: String,
    pub(super) database: String,
    pub(super) backend: i64,
    pub(super) values: SessionValues,
    pub(super) pending: VecDeque<Pending>,
    /// Whether PostgreSQL has received messages of the extended protocol since the last synchronisation.
    pub(super) unsynced: bool,
    /// Whether PostgreSQL skips the extended protocol's messages up to the next synchronisation.
    pub(super) batch_failed: bool,
    /// Whether the stand-in skips the extended protocol's messages up to the next synchronisation.
    pub(super) skipping: bool,
    /// Whether the connection breaks when the current work has ended.
    pub(super) cut_when_ready: bool,
    /// The action that is run just before the connection breaks.
    pub(super) run_after: Option<Callback>,
    pub(super) prepared: HashMap<String, Prepared>,
    /// The portals, with their statements and the number of parameters that they bind.
    pub(super) portals: HashMap<String, (String, usize)>,
}

impl Session {
    pub(super) fn cut(&mut self) -> SessionEnd {
        if let Some(callback) = self.run_after.take() {
            callback();
        }
        SessionEnd::Cut
    }

    /// Answers nothing until the client hangs up, which ends the session and its transaction.
    pub(super) async fn stay_silent<T>(&mut self) -> Result<T, SessionEnd> {
        while self.client.next().await?.is_some() {}
        Err(SessionEnd::Cut)
    }

    pub(super) fn log(&self, text: &str, extended: bool) -> LogEntry {
        self.state.log.add(Statement {
            session: self.number,
            user: self.user.clone(),
            database: self.database.clone(),
            sql: text.to_owned(),
            extended,
            parameters: 0,
            at: Instant::now(),
            outcome: None,
        })
    }

    pub(super) fn note(&self, entry: LogEntry, outcome: Result<String, (String, String)>) {
        self.state.log.change(entry, |statement| statement.outcome = Some(outcome));
    }

    /// Returns one of PostgreSQL's errors in Redshift's words, or unchanged if Redshift's words are not
    /// known to differ.
    pub(super) fn translated(&self, report: &Report) -> Report {
        match (report.code.as_str(), self.state.options.isolation) {
            // aws/aws-sdk-pandas#665: the message is "1023", the SQLSTATE XX000; DETAIL as in
            // c_serial_isolation.md.
            ("40001", Isolation::Serializable) => Report::error("XX000", "1023")
                .with_detail("Serializable isolation violation on table - 1, transactions forming the cycle are: 1, 2 (pid:1)"),
            // amazon-redshift-jdbc-driver#147
            ("40001", Isolation::Snapshot) => Report::error("XX000", "could not complete because of conflict with concurrent transaction"),
            // r_statement_timeout.md
            ("57014", _) => Report::error("57014", format!("Query ({}) canceled on user's request", self.state.queries.load(Ordering::Relaxed))),
            _ => report.clone(),
        }
    }

    /// Queues PostgreSQL's error for the client, unchanged unless Redshift words it differently.
    pub(super) fn put_error(&mut self, frame: &Frame) -> Report {
        let report = Report::of(frame);
        let translated = self.translated(&report);
        let reworded = (translated != report).then(|| translated.frame());
        self.client.put(reworded.as_ref().unwrap_or(frame));
        translated
    }

    /// Refuses a statement before any part of it is carried out. In a transaction that has already failed,
    /// the statement gets the same answer as every other.
    pub(super) async fn refuse(&mut self, entry: LogEntry, report: Report) -> Result<bool, SessionEnd> {
        let report = match self.upstream.status() {
            b'E' => Report::error(
                "25P02",
                "current transaction is aborted, commands ignored until end of transaction block",
            ),
            _ => report,
        };
        self.fail(entry, &report).await
    }

    /// Tells the client that a statement failed; this fails an open transaction like any error.
    pub(super) async fn fail(&mut self, entry: LogEntry, report: &Report) -> Result<bool, SessionEnd> {
        if self.upstream.status() == b'T' {
            let _ = self.upstream.ask("SELECT 1/0").await?;
        }
        self.note(entry, Err((report.code.clone(), report.message.clone())));
        self.client.put(&report.frame());
        Ok(false)
    }
}
