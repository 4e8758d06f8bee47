//! One archive's load: the order of statements inside its one transaction.

use chrono::Utc;
use cmslite_core::error::{Error, Retryable};
use tracing::debug;

use super::consult::ArchiveLoad;
use super::refusals::copy_of;
use crate::clients::Clients;
use crate::redshift::StatementError;
use crate::redshift::ledger::LoadDecision;
use crate::redshift::session::Session;
use crate::redshift::statement::{Authorization, Statement};
use crate::stage::StagedTable;

impl ArchiveLoad<'_> {
    /// Loads all tables in one transaction. [`LoadDecision::Load`] says that it is committed; with any other
    /// decision nothing was loaded.
    ///
    /// # Errors
    ///
    /// [`Error::BadInput`] when Redshift refused rows; else Redshift's, by who must act. Nothing is loaded
    /// then, unless the connection broke after COMMIT was sent: the ledger knows.
    pub async fn run(
        &self,
        clients: &Clients,
        authorization: &Authorization,
        tables: &[StagedTable<'_>],
    ) -> Result<LoadDecision, Error> {
        let session = clients.redshift.connect(self.request.cancellation.deadline()).await?;
        let result = self.transaction(&session, authorization, &clients.region, tables).await;
        if result.is_err() {
            // Whatever this answers, the connection's end rolls back too.
            let _ = session.run(&Statement::Rollback).await;
        }
        let result = match result {
            Err(Failure::Rows(tables, fault)) => {
                Err(self.refusals(clients, &session, authorization, tables, fault).await)
            }
            Err(Failure::Other(error)) => Err(error),
            Ok(loaded) => Ok(loaded),
        };
        session.close().await;
        result
    }

    async fn transaction<'t>(
        &self,
        session: &Session,
        authorization: &Authorization,
        region: &str,
        tables: &'t [StagedTable<'t>],
    ) -> Result<LoadDecision, Failure<'t>> {
        let ledger = &self.request.dataset.ledger;
        self.limit_statements(session).await?;
        session.run(&Statement::Begin).await?;
        session.run(&Statement::LockLedger(ledger)).await?;
        let sequence = match self.read_ledger(session).await? {
            LoadDecision::Load { sequence } => sequence,
            decision @ (LoadDecision::AlreadyLoaded | LoadDecision::Superseded) => {
                session.run(&Statement::Rollback).await?;
                return Ok(decision);
            }
        };
        let mut rows = 0;
        for (at, staged) in tables.iter().enumerate() {
            let table = &staged.table.name;
            self.limit_statements(session).await?;
            if self.request.dataset.truncate {
                session.run(&Statement::DeleteAll(table)).await?;
            }
            match session.run(&Statement::Copy(copy_of(staged, authorization, region))).await {
                Ok(_) => {}
                Err(StatementError::RowsRefused(fault)) => {
                    return Err(Failure::Rows(tables.get(at..).unwrap_or_default(), fault.into()));
                }
                Err(error) => return Err(error.into()),
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
            rows += staged.rows;
        }
        let entry = self.key();
        let write = Statement::WriteLedger {
            ledger,
            entry: &entry,
            size_bytes: self.archive.size,
            rows,
            sequence,
            loaded_at: Utc::now(),
            request_id: &self.request.request_id,
        };
        session.run(&write).await?;
        session.run(&Statement::Commit).await?;
        Ok(LoadDecision::Load { sequence })
    }
}

/// Why a transaction was not committed.
enum Failure<'t> {
    /// Redshift refused rows of the first of these tables; the others were not tried.
    Rows(&'t [StagedTable<'t>], Error),
    /// Anything else.
    Other(Error),
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
