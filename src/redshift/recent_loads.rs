//! Reads the latest loads of a dataset, with the rows that each added to each table.

use chrono::{DateTime, Utc};
use cmslite_core::config::Dataset;
use cmslite_core::error::{Error, Retryable};
use cmslite_core::key::Key;
use cmslite_core::row_counts::RowsByTable;

use super::error::StatementError;
use super::rows::timestamp;
use super::session::Session;
use super::statement::Statement;

/// One of the latest loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecentLoad {
    /// The number of the load; the first load of a dataset has number 1.
    pub sequence: i64,
    /// The archive's key.
    pub key: Key,
    /// The number of rows loaded into all tables.
    pub rows: u64,
    /// The time of the load.
    pub loaded_at: DateTime<Utc>,
    /// The time when the archive was uploaded.
    pub last_modified: DateTime<Utc>,
    /// The number of rows loaded into each table; empty if this was not recorded.
    pub tables: RowsByTable,
}

impl Session {
    /// Returns the latest loads of a dataset, at most `most`, oldest first.
    ///
    /// # Errors
    ///
    /// [`StatementError`]; [`StatementError::MissingRelation`] if the ledger or the table of rows beside it
    /// does not exist yet.
    pub async fn recent_loads(
        &self,
        dataset: &Dataset,
        most: usize,
    ) -> Result<Vec<RecentLoad>, StatementError> {
        let rows = self
            .run(&Statement::ReadRecentLoads {
                ledger: &dataset.ledger,
                ledger_tables: &dataset.ledger_tables,
                dataset: &dataset.name,
                bucket: &dataset.bucket,
                most,
            })
            .await?;
        let rows: Option<Vec<_>> = rows.into_iter().map(load_and_table).collect();
        let rows = rows.ok_or_else(|| {
            StatementError::Other(Error::retryable(
                Retryable::Unknown,
                "the ledger's rows are not understood",
            ))
        })?;
        let mut loads: Vec<RecentLoad> = Vec::new();
        for (load, table) in rows {
            match loads.last_mut() {
                Some(last) if last.sequence == load.sequence => last.tables.extend(table),
                _ => loads.push(RecentLoad { tables: table.into_iter().collect(), ..load }),
            }
        }
        Ok(loads)
    }
}

/// Reads a load from a row, and the number of rows of one of its tables if the row names one.
fn load_and_table(row: Vec<Option<String>>) -> Option<(RecentLoad, Option<(String, u64)>)> {
    let mut cells = row.into_iter();
    let mut next = || cells.next().flatten();
    let load = RecentLoad {
        sequence: next()?.parse().ok()?,
        key: next()?.into(),
        rows: next()?.parse().ok()?,
        loaded_at: timestamp(&next()?)?,
        last_modified: timestamp(&next()?)?,
        tables: RowsByTable::new(),
    };
    let table = match next() {
        Some(table) => Some((table, next()?.parse().ok()?)),
        None => None,
    };
    Some((load, table))
}
