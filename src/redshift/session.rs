//! A session: statements one after the other, by the simple query protocol.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cmslite_core::config::{Dataset, TableName};
use cmslite_core::error::{Error, Retryable};
use cmslite_core::row_counts::RowsByTable;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::{Client, SimpleQueryMessage};
use tracing::debug;

use super::error::{StatementError, classify, unanswered};
use super::relation::RelationKind;
use super::rows::{
    Column, LedgerRow, RefusedRows, Rows, column, ledger_row, query_id, refused_rows, table_rows, table_type,
};
use super::statement::{FILE_NAME_BYTES, LoadErrorTable, Statement};

/// What is left of the function's time when an answer is waited for no longer: enough to say so. Redshift has
/// stopped the statement by then (`statement_timeout`); only a network that swallows its answer is met here.
pub(super) const ANSWER_RESERVE: Duration = Duration::from_secs(2);

/// A session. Dropping it closes the connection, and Redshift rolls an open transaction back.
pub struct Session {
    pub(super) client: Client,
    pub(super) connection: JoinHandle<()>,
    pub(super) deadline: Option<Instant>,
    pub(super) asked_about: Mutex<BTreeSet<i64>>,
}

impl Session {
    /// Sends a statement and waits for its answer.
    ///
    /// # Errors
    ///
    /// [`StatementError`].
    pub async fn run(&self, statement: &Statement<'_>) -> Result<Rows, StatementError> {
        debug!(%statement, "to Redshift");
        let text = statement.wire_text();
        let answer = self.client.simple_query(text.expose());
        let answer = match self.deadline.and_then(|deadline| deadline.checked_sub(ANSWER_RESERVE)) {
            None => answer.await,
            Some(deadline) => timeout_at(deadline, answer).await.map_err(|_| unanswered(statement))?,
        };
        let answer = answer.map_err(|error| classify(error, statement))?;
        let rows = answer.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect())
            }
            _ => None,
        });
        Ok(rows.collect())
    }

    /// The columns of each of `tables`, in their order; none of a table that the user does not see.
    ///
    /// # Errors
    ///
    /// [`StatementError`].
    pub async fn columns(&self, tables: &[&TableName]) -> Result<Vec<Vec<Column>>, StatementError> {
        let rows = self.run(&Statement::Columns(tables)).await?;
        let found: Vec<(String, String, Column)> = rows.into_iter().filter_map(column).collect();
        let of = |name: &&TableName| {
            let is_its = |(schema, table, _): &&(String, String, Column)| {
                *schema == name.schema.to_lowercase() && *table == name.table.to_lowercase()
            };
            found.iter().filter(is_its).map(|(.., column)| column.clone()).collect()
        };
        Ok(tables.iter().map(of).collect())
    }

    /// What bears the name of each of `tables`; none where the user does not see it.
    ///
    /// # Errors
    ///
    /// [`StatementError`].
    pub async fn table_types(
        &self,
        tables: &[&TableName],
    ) -> Result<Vec<Option<RelationKind>>, StatementError> {
        let rows = self.run(&Statement::TableTypes(tables)).await?;
        let found: Vec<(String, String, String)> = rows.into_iter().filter_map(table_type).collect();
        let of = |name: &&TableName| {
            let (schema, table) = (name.schema.to_lowercase(), name.table.to_lowercase());
            let own = found.iter().find(|found| found.0 == schema && found.1 == table);
            own.map(|(.., table_type)| RelationKind::of(table_type))
        };
        Ok(tables.iter().map(of).collect())
    }

    /// The loads of a dataset in their order.
    ///
    /// # Errors
    ///
    /// [`StatementError`]; [`StatementError::MissingRelation`] where there is no ledger yet.
    pub async fn loads(
        &self,
        ledger: &TableName,
        dataset: &str,
        bucket: &str,
    ) -> Result<Vec<LedgerRow>, StatementError> {
        let rows = self.run(&Statement::ReadLoads { ledger, dataset, bucket }).await?;
        let loads: Option<Vec<LedgerRow>> = rows.into_iter().map(ledger_row).collect();
        loads.ok_or_else(|| {
            StatementError::Other(Error::retryable(
                Retryable::Unknown,
                "the ledger's rows are not understood",
            ))
        })
    }

    /// How many rows a load of a dataset brought to each table; of no table where it did not say so yet.
    ///
    /// # Errors
    ///
    /// [`StatementError`]; [`StatementError::MissingRelation`] where there is no ledger or no table beside it
    /// yet.
    pub async fn table_rows(&self, dataset: &Dataset, sequence: i64) -> Result<RowsByTable, StatementError> {
        let rows = self
            .run(&Statement::ReadTableRows {
                ledger: &dataset.ledger,
                ledger_tables: &dataset.ledger_tables,
                dataset: &dataset.name,
                sequence,
            })
            .await?;
        let rows: Option<RowsByTable> = rows.into_iter().map(table_rows).collect();
        rows.ok_or_else(|| {
            StatementError::Other(Error::retryable(
                Retryable::Unknown,
                "the rows beside the ledger are not understood",
            ))
        })
    }

    /// The rows that this session's COPYs of a staged file refused, each once and in the file's order.
    ///
    /// The load-error tables keep a name's first [`FILE_NAME_BYTES`] only. Of a longer one, the rows are those
    /// of COPYs that were not asked about yet: so ask after each COPY.
    ///
    /// # Errors
    ///
    /// What passes, such as a lost connection; a table that is not there or may not be read is none.
    pub async fn refused_rows(&self, file: &str) -> Result<RefusedRows, Error> {
        let mut is_readable = false;
        let is_cut = file.len() > FILE_NAME_BYTES;
        let passed_over: Vec<i64> =
            if is_cut { self.asked_about().iter().copied().collect() } else { vec![] };
        for table in [LoadErrorTable::Sys, LoadErrorTable::Stl] {
            match self.run(&Statement::LoadErrors { table, file, passed_over: &passed_over }).await {
                Ok(rows) if rows.is_empty() => is_readable = true,
                Ok(rows) => {
                    self.asked_about().extend(rows.iter().filter_map(|row| query_id(row)));
                    return Ok(RefusedRows::Rows(refused_rows(rows)));
                }
                Err(error) => match Error::from(error) {
                    Error::Retryable(fault) if fault.kind != Retryable::Unknown => return Err(fault.into()),
                    error => debug!(error = %error.chain(), "a load-error table cannot be read"),
                },
            }
        }
        Ok(RefusedRows::Unknown { is_readable })
    }

    /// The queries whose refused rows are known.
    fn asked_about(&self) -> MutexGuard<'_, BTreeSet<i64>> {
        self.asked_about.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the connection in good order.
    pub async fn close(self) {
        let Self { client, connection, .. } = self;
        drop(client);
        // A server that does not hang up must not hold the function.
        let _ = timeout(Duration::from_secs(2), connection).await;
    }
}
