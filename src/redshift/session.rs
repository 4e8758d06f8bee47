//! Runs statements one after the other in a session, with the simple query protocol.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cmslite_core::config::{Dataset, LOAD_ERROR_NAME_BYTES, Table, TableName};
use cmslite_core::error::{Deployment, Error, Retryable};
use cmslite_core::row_counts::RowsByTable;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::{Client, SimpleQueryMessage};
use tracing::debug;

use super::error::{Limit, StatementError, classify, gone, name, unanswered};
use super::relation::{RelationKind, left_out};
use super::rows::{
    Column, LedgerRow, RefusedRows, Rows, column, ledger_row, query_id, refused_rows, table_rows, table_type,
};
use super::statement::{LoadErrorTable, Statement};
use crate::cancellation::Cancellation;
use crate::task::Task;
use crate::waits::Waits;

/// The time that is left when the program stops waiting for an answer. It is enough to report that. Redshift
/// has stopped the statement by then (`statement_timeout`), so this happens only if the answer is lost.
pub(super) const ANSWER_RESERVE: Duration = Duration::from_secs(2);

/// The time that the program waits beyond a statement's limit. Redshift stops the statement at the limit, and
/// needs time to report that.
const ANSWER_GRACE: Duration = Duration::from_secs(10);

/// The time limit for closing a connection: a server that does not hang up must not delay the run.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// A session. Dropping it breaks the connection, and Redshift rolls back an open transaction.
pub struct Session {
    client: Client,
    connection: Task<()>,
    deadline: Option<Instant>,
    statement_timeout: Option<Duration>,
    waits: Waits,
    /// Whether a statement was not answered. Then no other statement is sent.
    is_silent: AtomicBool,
    asked_about: Mutex<BTreeSet<i64>>,
}

impl Session {
    /// Lets Redshift end each further statement that runs longer than `limit`. Zero would mean no limit, so
    /// it is raised.
    ///
    /// # Errors
    ///
    /// [`StatementError`].
    pub async fn limit_statements(&self, limit: Duration) -> Result<(), StatementError> {
        self.run(&Statement::StatementTimeout(limit.as_millis().max(1))).await?;
        Ok(())
    }

    pub(super) fn new(
        client: Client,
        connection: Task<()>,
        cancellation: &Cancellation,
        waits: &Waits,
    ) -> Self {
        Self {
            client,
            connection,
            deadline: cancellation.deadline(),
            statement_timeout: cancellation.statement_timeout(),
            waits: waits.clone(),
            is_silent: AtomicBool::new(false),
            asked_about: Mutex::default(),
        }
    }

    /// Sends a statement and waits for its answer.
    ///
    /// # Errors
    ///
    /// [`StatementError`].
    pub async fn run(&self, statement: &Statement<'_>) -> Result<Rows, StatementError> {
        debug!(%statement, "to Redshift");
        if self.is_silent.load(Ordering::Relaxed) {
            return Err(gone(statement));
        }
        let text = statement.wire_text();
        let answer = self.client.simple_query(text.expose());
        let answer = self.waits.during(format!("Redshift: {}", name(statement)), answer);
        let answer = match self.limit() {
            None => answer.await,
            Some((at, limit)) => timeout_at(at, answer).await.map_err(|_| {
                self.is_silent.store(true, Ordering::Relaxed);
                unanswered(statement, limit)
            })?,
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

    /// Returns the time until which the program waits for an answer, and the reason for that limit; `None` if
    /// there is no limit.
    fn limit(&self) -> Option<(Instant, Limit)> {
        let time =
            self.deadline.and_then(|at| at.checked_sub(ANSWER_RESERVE)).map(|at| (at, Limit::TimeIsUp));
        let statement = self
            .statement_timeout
            .and_then(|limit| Some((Instant::now().checked_add(limit + ANSWER_GRACE)?, Limit::After(limit))));
        [time, statement].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// Returns the columns of each of `tables`, in order; none for a table that the user does not see.
    ///
    /// # Errors
    ///
    /// [`StatementError`].
    pub async fn columns(&self, tables: &[&TableName]) -> Result<Vec<Vec<Column>>, StatementError> {
        let rows = self.run(&Statement::Columns(tables)).await?;
        let found: Vec<(String, String, Column)> = rows.into_iter().filter_map(column).collect();
        let of = |name: &&TableName| {
            found
                .iter()
                .filter(|(schema, table, _)| is_named(name, schema, table))
                .map(|(.., column)| column.clone())
                .collect()
        };
        Ok(tables.iter().map(of).collect())
    }

    /// Reads which columns have a default, if a load leaves out a NOT NULL column without a known default.
    ///
    /// `SVV_COLUMNS` may not show defaults to a user who does not own the table: in PostgreSQL 8.0, on which
    /// Redshift is based, `information_schema.columns` does not. If the defaults cannot be read, every column
    /// is assumed to have one, and COPY decides.
    ///
    /// # Errors
    ///
    /// Temporary faults, such as a lost connection. A refusal of the query is not an error.
    pub async fn reveal_defaults(
        &self,
        tables: &[Table],
        columns: &mut [Vec<Column>],
    ) -> Result<(), StatementError> {
        let lacking: Vec<&TableName> = tables
            .iter()
            .zip(columns.iter())
            .filter(|(table, columns)| left_out(table, columns).next().is_some())
            .map(|(table, _)| &table.name)
            .collect();
        if lacking.is_empty() {
            return Ok(());
        }
        let rows = match self.run(&Statement::Defaults(&lacking)).await {
            Ok(rows) => Some(rows),
            Err(StatementError::Other(Error::Retryable(fault))) if fault.kind != Retryable::Unknown => {
                return Err(StatementError::Other(fault.into()));
            }
            Err(error) => {
                debug!(error = %Error::from(error).chain(), "cannot read which columns have a default");
                None
            }
        };
        let has_default = |table: &TableName, column: &str| {
            rows.as_ref().is_none_or(|rows| {
                rows.iter().any(|row| match row.as_slice() {
                    [Some(schema), Some(name), Some(its)] => {
                        is_named(table, schema, name) && its.eq_ignore_ascii_case(column)
                    }
                    _ => false,
                })
            })
        };
        for (table, columns) in tables.iter().zip(columns) {
            for column in columns {
                column.has_default |= has_default(&table.name, &column.name);
            }
        }
        Ok(())
    }

    /// Returns the kind of relation with the name of each of `tables`; `None` if the user does not see it.
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
            let own = found.iter().find(|(schema, table, _)| is_named(name, schema, table));
            own.map(|(.., table_type)| RelationKind::of(table_type))
        };
        Ok(tables.iter().map(of).collect())
    }

    /// Returns the loads of a dataset, oldest first. It also reads a ledger of an earlier version.
    ///
    /// # Errors
    ///
    /// [`StatementError`]; [`StatementError::MissingRelation`] if there is no ledger yet.
    pub async fn loads(&self, dataset: &Dataset) -> Result<Vec<LedgerRow>, StatementError> {
        match self.read_loads(dataset, true).await {
            Err(StatementError::Other(Error::Deployment(fault)))
                if fault.kind == Deployment::SchemaMismatch =>
            {
                self.read_loads(dataset, false).await
            }
            loads => loads,
        }
    }

    /// Returns a load of a dataset by its number; `None` if the ledger has no such row, or only one that is
    /// not understood: no decision depends on the row.
    ///
    /// # Errors
    ///
    /// [`StatementError`].
    pub async fn load(&self, dataset: &Dataset, sequence: i64) -> Result<Option<LedgerRow>, StatementError> {
        Ok(self.rows_of_loads(dataset, Some(sequence), true).await?.into_iter().find_map(ledger_row))
    }

    async fn read_loads(
        &self,
        dataset: &Dataset,
        has_sha256: bool,
    ) -> Result<Vec<LedgerRow>, StatementError> {
        let rows = self.rows_of_loads(dataset, None, has_sha256).await?;
        let loads: Option<Vec<LedgerRow>> = rows.into_iter().map(ledger_row).collect();
        loads.ok_or_else(|| {
            StatementError::Other(Error::retryable(
                Retryable::Unknown,
                "the ledger's rows are not understood",
            ))
        })
    }

    async fn rows_of_loads(
        &self,
        dataset: &Dataset,
        sequence: Option<i64>,
        has_sha256: bool,
    ) -> Result<Rows, StatementError> {
        let Dataset { ledger, name, bucket, .. } = dataset;
        self.run(&Statement::ReadLoads { ledger, dataset: name, bucket, sequence, has_sha256 }).await
    }

    /// Returns how many rows a load of a dataset added to each table; empty for a load for which this was not
    /// recorded.
    ///
    /// # Errors
    ///
    /// [`StatementError`]; [`StatementError::MissingRelation`] if the ledger or the table of rows beside it
    /// does not exist yet.
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

    /// Returns the rows that this session's COPYs of a staged file refused, each once and in the file's
    /// order; the URLs of its pieces begin with `files`.
    ///
    /// The load-error tables store only the first [`LOAD_ERROR_NAME_BYTES`] of a name. For a longer name, the
    /// rows are those of all COPYs whose rows were not returned yet. So the caller must call this after each
    /// COPY that refused rows.
    ///
    /// # Errors
    ///
    /// Temporary faults, such as a lost connection. A table that does not exist or may not be read is not an
    /// error.
    pub async fn refused_rows(&self, files: &str) -> Result<RefusedRows, Error> {
        let mut is_readable = false;
        let is_cut = files.len() > LOAD_ERROR_NAME_BYTES;
        let passed_over: Vec<i64> =
            if is_cut { self.asked_about().iter().copied().collect() } else { vec![] };
        for table in [LoadErrorTable::Sys, LoadErrorTable::Stl] {
            match self.run(&Statement::LoadErrors { table, files, passed_over: &passed_over }).await {
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

    /// Returns the ids of the queries whose refused rows were already returned.
    fn asked_about(&self) -> MutexGuard<'_, BTreeSet<i64>> {
        self.asked_about.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the connection cleanly.
    pub async fn close(self) {
        let Self { client, connection, .. } = self;
        drop(client);
        let _ = timeout(CLOSE_WITHIN, connection).await;
    }
}

/// Checks whether a row is about this table. Redshift returns names in lower case.
fn is_named(table: &TableName, schema: &str, name: &str) -> bool {
    table.schema.to_lowercase() == schema && table.table.to_lowercase() == name
}
