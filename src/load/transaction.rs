//! Loads one archive: the order of statements in its one transaction.

use std::time::Duration;

use chrono::Utc;
use cmslite_core::config::TableName;
use cmslite_core::error::{Error, Retryable};
use tracing::{debug, warn};

use super::consult::{ArchiveLoad, Decided};
use super::refusals::copy_of;
use crate::clients::Clients;
use crate::redshift::ledger::LoadDecision;
use crate::redshift::session::Session;
use crate::redshift::statement::{Authorization, Load, Statement};
use crate::redshift::{LedgerRow, StatementError};
use crate::stage::StagedTable;
use cmslite_core::row_counts::{JudgedRows, RowsByTable};

/// The time that is left when LOCK is stopped. It is enough to ask which session holds the lock.
const LOCK_RESERVE: Duration = Duration::from_secs(8);

/// The facts that attempts to load an archive found out. They are kept if COMMIT has no answer, since the
/// next attempt finds the archive loaded and does not find them out again.
#[derive(Debug, Default)]
pub struct Learned {
    /// The result of judging the archive's numbers of rows.
    pub judged: JudgedRows,
    /// The load that had the same bytes under another key.
    pub repeats: Option<LedgerRow>,
    /// Whether Redshift refused rows and did not show which.
    pub has_unknown_refusals: bool,
}

impl ArchiveLoad<'_> {
    /// Loads all tables in one transaction. [`LoadDecision::Load`] means that it is committed; with any other
    /// decision nothing was loaded.
    ///
    /// `learned` gets its values as soon as they are known.
    ///
    /// # Errors
    ///
    /// [`Error::BadInput`] when Redshift refused rows or the archive has too few; else Redshift's errors,
    /// classified by who must act. Nothing is loaded then, unless the connection broke after COMMIT was sent:
    /// the ledger has the answer.
    pub async fn run(
        &self,
        clients: &Clients,
        authorization: &Authorization,
        tables: &[StagedTable<'_>],
        learned: &mut Learned,
    ) -> Result<Decided, Error> {
        let session = clients.redshift.connect(&self.request.cancellation).await?;
        let result = self.transaction(&session, authorization, &clients.region, tables, learned).await;
        if result.is_err() {
            // The answer does not matter: closing the connection rolls back too.
            let _ = session.run(&Statement::Rollback).await;
        }
        let result = match result {
            Err(Failure::Rows(tables, fault)) => {
                let error = self.refusals(clients, &session, authorization, tables, fault).await;
                learned.has_unknown_refusals = !matches!(error, Error::BadInput(_));
                Err(error)
            }
            Err(Failure::Stopped(table, error)) => {
                Err(self.name_lock_holders(&clients.redshift, table, error).await)
            }
            Err(Failure::Other(error)) => Err(error),
            Ok(loaded) => Ok(loaded),
        };
        session.close().await;
        result
    }

    async fn transaction<'t>(
        &'t self,
        session: &Session,
        authorization: &Authorization,
        region: &str,
        tables: &'t [StagedTable<'t>],
        learned: &mut Learned,
    ) -> Result<Decided, Failure<'t>> {
        let dataset = &self.request.dataset;
        self.leave(session, LOCK_RESERVE, || format!("nothing of {} was loaded", self.archive.key)).await?;
        session.run(&Statement::Begin).await?;
        let lock = &dataset.ledger_lock;
        session.run(&Statement::Lock(lock)).await.map_err(|error| Failure::at(lock, error))?;
        let decided = self.read_ledger(session).await?;
        let LoadDecision::Load { sequence, .. } = decided.decision else {
            session.run(&Statement::Rollback).await?;
            return Ok(decided);
        };
        if let Some(before) = &decided.before
            && learned.repeats.as_ref() != Some(before)
        {
            warn!(
                same_bytes_as = %before.key,
                "the archive has the same bytes as {}, which was loaded at {}: they are loaded again",
                before.key,
                before.loaded_at
            );
            learned.repeats = Some(before.clone());
        }
        learned.judged = self.judge_rows(session, sequence, tables).await?;
        let mut rows = RowsByTable::new();
        for (at, staged) in tables.iter().enumerate() {
            let table = &staged.table.name;
            self.limit_statements(session).await?;
            if dataset.truncate {
                let deleted = session.run(&Statement::DeleteAll(table)).await;
                deleted.map_err(|error| Failure::at(table, error))?;
            }
            match session.run(&Statement::Copy(copy_of(staged, authorization, region, dataset.quoting))).await
            {
                Ok(_) => {}
                Err(StatementError::RowsRefused(fault)) => {
                    return Err(Failure::Rows(tables.get(at..).unwrap_or_default(), fault.into()));
                }
                Err(error) => return Err(Failure::at(table, error)),
            }
            let counted = session.run(&Statement::LastCopyCount).await?;
            let loaded = counted
                .first()
                .and_then(|row| row.first())
                .and_then(Option::as_ref)
                .and_then(|text| text.parse::<u64>().ok());
            if loaded != Some(staged.rows) {
                let message = format!(
                    "COPY loaded {} rows into {table}, but {} were staged",
                    loaded.map_or("unknown".to_owned(), |n| n.to_string()),
                    staged.rows
                );
                return Err(Failure::Other(Error::retryable(Retryable::CountsDiffer, message)));
            }
            debug!(%table, rows = staged.rows, "copied");
            *rows.entry(table.to_string()).or_default() += staged.rows;
        }
        let entry = self.key();
        let load = Load {
            entry: &entry,
            size_bytes: self.archive.size,
            rows: rows.values().sum(),
            sequence,
            loaded_at: Utc::now(),
            request_id: &self.request.request_id,
        };
        session.run(&Statement::WriteLedger { ledger: &dataset.ledger, load }).await?;
        let write = Statement::WriteTableRows {
            ledger_tables: &dataset.ledger_tables,
            dataset: &dataset.name,
            sequence,
            request_id: &self.request.request_id,
            rows: &rows,
        };
        session.run(&write).await?;
        session.run(&Statement::Commit).await?;
        Ok(decided)
    }
}

/// The reason why a transaction was not committed.
enum Failure<'t> {
    /// Redshift refused rows of the first of these tables; the others were not tried.
    Rows(&'t [StagedTable<'t>], Error),
    /// A statement, which may have waited for a lock on this table, was stopped at its limit.
    Stopped(&'t TableName, Error),
    /// Any other error.
    Other(Error),
}

impl<'t> Failure<'t> {
    /// Returns the failure of a statement that may have waited for a lock on a table.
    fn at(table: &'t TableName, error: StatementError) -> Self {
        match Error::from(error) {
            Error::Retryable(fault) if fault.kind == Retryable::StatementTimeout => {
                Self::Stopped(table, fault.into())
            }
            error => Self::Other(error),
        }
    }
}

impl From<StatementError> for Failure<'_> {
    fn from(error: StatementError) -> Self {
        Self::Other(error.into())
    }
}

impl From<Error> for Failure<'_> {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}
