//! Writes the texts of the statements about the ledger and the tables beside it.

use chrono::{DateTime, Utc};
use cmslite_core::config::TableName;
use cmslite_core::row_counts::RowsByTable;

use super::quote::{literal, table, timestamp};
use crate::redshift::ledger::{ColumnType, SHA256};

/// The values that identify an archive's revision in the ledger.
pub struct LedgerKey<'a> {
    /// The dataset's name.
    pub dataset: &'a str,
    /// The bucket's name.
    pub bucket: &'a str,
    /// The archive's key.
    pub key: &'a str,
    /// The archive's `ETag`.
    pub etag: &'a str,
    /// The SHA-256 of its bytes in hexadecimal digits; `None` before they were read.
    pub sha256: Option<&'a str>,
    /// The revision's last-modified time in S3.
    pub last_modified: DateTime<Utc>,
}

/// The values that the ledger stores about a load.
pub struct Load<'a> {
    /// The archive's revision.
    pub entry: &'a LedgerKey<'a>,
    /// The size of the archive in bytes.
    pub size_bytes: u64,
    /// The number of rows loaded into all tables.
    pub rows: u64,
    /// The number of the load: one more than the dataset's highest.
    pub sequence: i64,
    /// The time of the load.
    pub loaded_at: DateTime<Utc>,
    /// The invocation's id.
    pub request_id: &'a str,
}

pub(super) fn create(name: &TableName, columns: &[(&str, ColumnType)]) -> String {
    let columns = columns.iter().map(|(name, kind)| format!("{name} {}", kind.definition()));
    let columns: Vec<String> = columns.collect();
    format!("CREATE TABLE IF NOT EXISTS {} ({})", table(name), columns.join(", "))
}

pub(super) fn add_sha256(ledger: &TableName) -> String {
    let (name, kind) = SHA256;
    format!("ALTER TABLE {} ADD COLUMN {name} {}", table(ledger), kind.definition())
}

/// Returns the query for one row: the highest sequence of the dataset, of this revision, of the same bytes
/// under its key, and of the same bytes under other keys; and the number of the ledger's rows about newer
/// archives.
pub(super) fn read(ledger: &TableName, entry: &LedgerKey<'_>, by_request: Option<&str>) -> String {
    let by_request =
        by_request.map(|request| format!(" AND request_id = {}", literal(request))).unwrap_or_default();
    let time = timestamp(entry.last_modified);
    let key = literal(entry.key);
    format!(
        "SELECT COALESCE(MAX(sequence), 0), \
         COALESCE(MAX(CASE WHEN bucket = {bucket} AND key = {key} AND etag = {etag}{by_request} THEN sequence END), 0), \
         COALESCE(MAX(CASE WHEN bucket = {bucket} AND key = {key} AND sha256 = {sha256}{by_request} THEN sequence END), 0), \
         COALESCE(MAX(CASE WHEN bucket = {bucket} AND key <> {key} AND sha256 = {sha256} THEN sequence END), 0), \
         COALESCE(SUM(CASE WHEN last_modified > {time} OR (last_modified = {time} AND key > {key}) THEN 1 ELSE 0 END), 0) \
         FROM {ledger} WHERE dataset = {dataset}",
        bucket = literal(entry.bucket),
        etag = literal(entry.etag),
        // No row has an empty value. The column is used even without a value, to find out early whether it
        // exists.
        sha256 = literal(entry.sha256.unwrap_or_default()),
        ledger = table(ledger),
        dataset = literal(entry.dataset),
    )
}

/// Returns the query for the loads of a dataset, or for one of them by its sequence; `has_sha256` tells
/// whether the ledger has the column.
pub(super) fn loads(
    ledger: &TableName,
    dataset: &str,
    bucket: &str,
    sequence: Option<i64>,
    has_sha256: bool,
) -> String {
    let sequence = sequence.map(|sequence| format!(" AND sequence = {sequence}")).unwrap_or_default();
    format!(
        "SELECT key, etag, row_count, loaded_at, request_id, last_modified, {} FROM {} WHERE dataset = {} AND bucket = {}{sequence} ORDER BY sequence",
        if has_sha256 { SHA256.0 } else { "NULL" },
        table(ledger),
        literal(dataset),
        literal(bucket),
    )
}

pub(super) fn table_rows(
    ledger: &TableName,
    ledger_tables: &TableName,
    dataset: &str,
    sequence: i64,
) -> String {
    format!(
        "SELECT t.table_name, t.row_count FROM {} t \
         JOIN {} l ON l.dataset = t.dataset AND l.sequence = t.sequence AND l.request_id = t.request_id \
         WHERE l.dataset = {} AND l.sequence = {sequence}",
        table(ledger_tables),
        table(ledger),
        literal(dataset),
    )
}

/// Returns the query for the loads of a dataset with its `most` highest numbers. There are fewer loads if
/// rows of the ledger were deleted, or if some of these loads were from another bucket.
pub(super) fn recent_loads(
    ledger: &TableName,
    ledger_tables: &TableName,
    dataset: &str,
    bucket: &str,
    most: usize,
) -> String {
    let (ledger, dataset) = (table(ledger), literal(dataset));
    format!(
        "SELECT l.sequence, l.key, l.row_count, l.loaded_at, l.last_modified, t.table_name, t.row_count FROM {ledger} l \
         LEFT JOIN {} t ON t.dataset = l.dataset AND t.sequence = l.sequence AND t.request_id = l.request_id \
         WHERE l.dataset = {dataset} AND l.bucket = {} \
         AND l.sequence > (SELECT COALESCE(MAX(sequence), 0) - {most} FROM {ledger} WHERE dataset = {dataset}) \
         ORDER BY l.sequence, t.table_name",
        table(ledger_tables),
        literal(bucket),
    )
}

pub(super) fn write(ledger: &TableName, load: &Load<'_>) -> String {
    let Load { entry, size_bytes, rows, sequence, loaded_at, request_id } = load;
    format!(
        "INSERT INTO {} (dataset, bucket, key, etag, last_modified, size_bytes, row_count, sequence, loaded_at, request_id, sha256) \
         VALUES ({}, {}, {}, {}, {}, {size_bytes}, {rows}, {sequence}, {}, {}, {})",
        table(ledger),
        literal(entry.dataset),
        literal(entry.bucket),
        literal(entry.key),
        literal(entry.etag),
        timestamp(entry.last_modified),
        timestamp(*loaded_at),
        literal(request_id),
        entry.sha256.map_or_else(|| "NULL".to_owned(), literal),
    )
}

pub(super) fn write_table_rows(
    ledger_tables: &TableName,
    dataset: &str,
    sequence: i64,
    request_id: &str,
    rows: &RowsByTable,
) -> String {
    let key = format!("{}, {sequence}, {}", literal(dataset), literal(request_id));
    let rows = rows.iter().map(|(name, rows)| format!("({key}, {}, {rows})", literal(name)));
    let rows: Vec<String> = rows.collect();
    format!(
        "INSERT INTO {} (dataset, sequence, request_id, table_name, row_count) VALUES {}",
        table(ledger_tables),
        rows.join(", ")
    )
}
