//! Reads the rows of Redshift's answers into values.

use chrono::{DateTime, NaiveDateTime, Utc};
use cmslite_core::key::Key;
use schemars::JsonSchema;
use serde::Serialize;

/// The rows of an answer, as text.
pub type Rows = Vec<Vec<Option<String>>>;

/// A table's column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The column's name.
    pub name: String,
    /// The column's type without length, such as `character varying`.
    pub data_type: String,
    /// The maximum number of bytes of a text.
    pub length: Option<u64>,
    /// Whether the column allows NULL.
    pub nullable: bool,
    /// Whether the column has a default.
    pub has_default: bool,
    /// The precision and the scale of a numeric type, if they are limited.
    pub digits: Option<(u32, u32)>,
}

impl Column {
    /// Returns the type with its length.
    pub fn type_text(&self) -> String {
        let length = self.length.map(|length| format!("({length})")).unwrap_or_default();
        format!("{}{length}", self.data_type)
    }
}

/// A row of the ledger: one load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LedgerRow {
    /// The archive's key.
    pub key: Key,
    /// The archive's revision.
    pub etag: String,
    /// The number of rows loaded into all tables.
    pub rows: u64,
    /// The time of the load.
    pub loaded_at: DateTime<Utc>,
    /// The invocation's id.
    pub request_id: String,
    /// The time when the archive was uploaded.
    pub last_modified: DateTime<Utc>,
    /// The SHA-256 of the archive's bytes; `None` if an earlier version loaded it.
    pub sha256: Option<String>,
}

/// A row that COPY refused, as a load-error table reports it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefusedRow {
    /// The line in the file; `None` if Redshift read the file in parts, when it reports -1
    /// (`r_STL_LOAD_ERRORS.md`).
    pub line: Option<u64>,
    /// The file: one piece of a staged file. A long name is cut to its beginning.
    pub file: String,
    /// The column's name.
    pub column: Option<String>,
    /// The column's type.
    pub column_type: Option<String>,
    /// The column's length in bytes, if its type has one.
    pub column_length: Option<String>,
    /// The value, if the table stores it.
    pub value: Option<String>,
    /// Redshift's error code.
    pub code: Option<i64>,
    /// Redshift's reason.
    pub message: String,
}

/// What Redshift reports about the rows that it refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusedRows {
    /// The refused rows.
    Rows(Vec<RefusedRow>),
    /// Redshift reports no refused rows. The caller must not take this for success.
    Unknown {
        /// Whether a load-error table could be read at all.
        is_readable: bool,
    },
}

/// Reads a relation from a row. Returns its schema, its name and its kind.
pub(super) fn table_type(row: Vec<Option<String>>) -> Option<(String, String, String)> {
    let mut cells = row.into_iter();
    let mut next = || cells.next().flatten();
    let table_type = next()?;
    Some((next()?, next()?, table_type))
}

/// Reads a column from a row. Returns its schema, its table and the column.
pub(super) fn column(row: Vec<Option<String>>) -> Option<(String, String, Column)> {
    let mut cells = row.into_iter();
    let mut next = || cells.next().flatten();
    let column = Column {
        name: next()?,
        data_type: next()?.to_lowercase(),
        length: next().and_then(|length| length.parse().ok()),
        nullable: next().is_some_and(|told| told == "YES"),
        has_default: next().is_some(),
        digits: {
            let mut number = || next().and_then(|number| number.parse().ok());
            let (precision, scale) = (number(), number());
            precision.zip(scale)
        },
    };
    Some((next()?, next()?, column))
}

pub(super) fn ledger_row(row: Vec<Option<String>>) -> Option<LedgerRow> {
    let mut cells = row.into_iter();
    let mut next = || cells.next().flatten();
    Some(LedgerRow {
        key: next()?.into(),
        etag: next()?,
        rows: next()?.parse().ok()?,
        loaded_at: timestamp(&next()?)?,
        request_id: next()?,
        last_modified: timestamp(&next()?)?,
        sha256: next(),
    })
}

/// Parses a TIMESTAMP in the form that Redshift returns, as UTC; returns `None` for any other form.
pub fn timestamp(text: &str) -> Option<DateTime<Utc>> {
    Some(NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok()?.and_utc())
}

/// Returns the rows of a load-error table, each once.
pub(super) fn refused_rows(rows: Rows) -> Vec<RefusedRow> {
    let mut refused: Vec<RefusedRow> = Vec::new();
    for row in rows.into_iter().map(refused_row) {
        if !refused.contains(&row) {
            refused.push(row);
        }
    }
    refused
}

/// Returns the query id in a row of a load-error table: that of the COPY that refused the row.
pub(super) fn query_id(row: &[Option<String>]) -> Option<i64> {
    row.last()?.as_ref()?.trim().parse().ok()
}

/// Reads a table's name, and the number of rows that a load added to it, from a row.
pub(super) fn table_rows(row: Vec<Option<String>>) -> Option<(String, u64)> {
    let mut cells = row.into_iter();
    let mut next = || cells.next().flatten();
    Some((next()?, next()?.parse().ok()?))
}

fn refused_row(row: Vec<Option<String>>) -> RefusedRow {
    let mut cells =
        row.into_iter().map(|cell| cell.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()));
    let mut next = || cells.next().flatten();
    RefusedRow {
        line: next().and_then(|line| line.parse().ok()),
        file: next().unwrap_or_default(),
        column: next(),
        column_type: next(),
        column_length: next().filter(|length| length != "0"),
        value: next(),
        code: next().and_then(|code| code.parse().ok()),
        message: next().unwrap_or_default(),
    }
}
