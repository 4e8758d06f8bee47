//! Defines the configuration's types, whose invariants the rest of the program relies on.

use std::fmt;

use regex::Regex;

use crate::problem::Quoting;
use crate::strptime::DateFormat;

/// The size in bytes from which a member is staged compressed, if the configuration does not decide. Below
/// it, sending the bytes takes less time than the request itself (docs/explanation/performance.md).
const COMPRESSED_FROM_BYTES: u64 = 1024 * 1024;

/// One configuration file: where archives come from and which tables they fill.
///
/// Invariants: `source`, `destination` and `directory` are not empty and neither begin nor end with `/`;
/// nothing is written below the source prefix; there is at least one table; with `truncate`, no two tables
/// are the same.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The file's name without `.json`.
    pub name: String,
    /// The bucket that the loader reads and writes.
    pub bucket: String,
    /// The first part of the archives' prefix.
    pub source: String,
    /// The first part of the prefix of everything that the loader writes.
    pub destination: String,
    /// The prefix between `source` or `destination` and an archive's name.
    pub directory: String,
    /// The pattern of the archives' keys, anchored at the end of the key.
    pub doc: Regex,
    /// Whether a load replaces the tables' rows; then only the newest archive counts.
    pub truncate: bool,
    /// The character between cells, an ASCII character.
    pub delimiter: u8,
    /// The text of a cell that becomes NULL.
    pub null_as: Option<String>,
    /// The table with one row for each loaded revision of an archive.
    pub ledger: TableName,
    /// The table beside the ledger with the number of rows that each load added to each table:
    /// `<ledger>_tables`.
    pub ledger_tables: TableName,
    /// The empty table beside the ledger that every load locks and nobody reads: `<ledger>_lock`.
    pub ledger_lock: TableName,
    /// The limits for the size of an archive.
    pub size_limits: SizeLimits,
    /// With `truncate`, the percentage, 0 to 100, by which a load may bring fewer rows to a table than the
    /// latest load did; `None` if there is no limit.
    pub max_shrink_percent: Option<u8>,
    /// Without `truncate`, whether an archive whose bytes were loaded under another key is settled without a
    /// load.
    pub skips_repeated: bool,
    /// How staged files are written; `None` if it depends on the size of each file.
    pub staging: Option<Staging>,
    /// Whether messages about an archive may quote its cells.
    pub quoting: Quoting,
    /// The known datasets that may match the same keys.
    pub rivals: Vec<Rival>,
    /// The tables in the order in which every load uses them: by name.
    pub tables: Vec<Table>,
}

/// The limits for the size of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeLimits {
    /// The maximum number of bytes of the archive.
    pub packed_bytes: u64,
    /// The maximum number of bytes that the archive unpacks to, with tar headers and padding.
    pub unpacked_bytes: u64,
    /// The maximum ratio of unpacked bytes to the archive's bytes, which applies above a few hundred
    /// megabytes.
    pub unpacked_ratio: u64,
    /// The maximum number of bytes of all of its pax headers together.
    pub pax_bytes: u64,
}

/// The format of the pieces of a staged file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Staging {
    /// Plain CSV.
    Plain,
    /// Compressed CSV; each piece is a Zstandard frame (RFC 8878).
    Zstd,
}

/// Another dataset, whose prefix is the same as this dataset's, above it or below it.
#[derive(Debug, Clone)]
pub struct Rival {
    /// The rival's name.
    pub name: String,
    /// The prefix of the rival's archives.
    pub source_prefix: String,
    /// The pattern of the rival's keys.
    pub doc: Regex,
}

/// A table and the member that fills it.
#[derive(Debug, Clone)]
pub struct Table {
    /// The member's base name up to its first `.`.
    pub member: String,
    /// The name of the table.
    pub name: TableName,
    /// The member's columns, by position. There is at least one; the names are unique, together with those of
    /// `derived`.
    pub columns: Vec<Column>,
    /// The columns made from other columns, appended in this order.
    pub derived: Vec<Derived>,
    /// Whether the names in the member's header must be those of `columns`, in their order.
    pub exact_header: bool,
    /// The minimum number of rows of the member; 0 if there is none.
    pub min_rows: u64,
}

/// A column of a member.
#[derive(Debug, Clone)]
pub struct Column {
    /// The column's name in the table.
    pub name: String,
    /// The format of the column's dates, if it holds dates.
    pub date: Option<DateFormat>,
}

/// A column made from another: one of the texts between separators, or an empty text if there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    /// The new column's name in the table.
    pub name: String,
    /// The position of the source column.
    pub from: usize,
    /// The separator, which is never empty.
    pub split: String,
    /// The index of the text between separators, counted from 0.
    pub index: usize,
}

/// A table name with its schema.
///
/// Plain identifiers are folded to lower case, as Redshift and `PostgreSQL` fold them, so that they can be
/// quoted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The schema's name.
    pub schema: String,
    /// The table's name in the schema.
    pub table: String,
}

impl TableName {
    /// Parses `name` or `schema.name`; `schema` is used if the name has none.
    pub(super) fn parse(name: &str, schema: &str) -> Result<Self, String> {
        let (schema, table) = name.split_once('.').unwrap_or((schema, name));
        for part in [schema, table] {
            if part.is_empty() || part.contains('.') || part.chars().any(char::is_control) {
                return Err(format!("{name:?} is not a table name; write TABLE or SCHEMA.TABLE"));
            }
        }
        Ok(Self { schema: fold(schema), table: fold(table) })
    }

    /// Returns the table beside this one whose name ends with `suffix`.
    pub(super) fn beside(&self, suffix: &str) -> Self {
        Self { schema: self.schema.clone(), table: format!("{}{suffix}", self.table) }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// Folds an identifier as Redshift folds an unquoted one. Any other name stays unchanged.
pub(super) fn fold(name: &str) -> String {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'$')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if plain { name.to_ascii_lowercase() } else { name.to_owned() }
}

impl Table {
    /// Returns all columns of the table that a load fills, in the staged file's order.
    pub fn loaded_columns(&self) -> impl Iterator<Item = &str> {
        self.columns
            .iter()
            .map(|column| column.name.as_str())
            .chain(self.derived.iter().map(|derived| derived.name.as_str()))
    }
}

impl Dataset {
    /// Returns the table that a member fills, by the member's base name up to its first `.`.
    pub fn table_of(&self, member: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.member == member)
    }

    /// Checks whether the bucket is still a placeholder in angle brackets.
    pub fn has_placeholder(&self) -> bool {
        self.bucket.starts_with('<') && self.bucket.ends_with('>')
    }

    /// Returns how the staged file of a member of `member_bytes` is written.
    pub fn staging_of(&self, member_bytes: u64) -> Staging {
        let by_size = || if member_bytes < COMPRESSED_FROM_BYTES { Staging::Plain } else { Staging::Zstd };
        self.staging.unwrap_or_else(by_size)
    }
}

impl Staging {
    /// Returns COPY's name for the compression, if there is one (Amazon Redshift Database Developer Guide,
    /// "File compression parameters").
    pub fn copy_option(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Zstd => Some("ZSTD"),
        }
    }
}
