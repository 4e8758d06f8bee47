//! Defines the configuration's types, whose invariants the rest of the program relies on.

use std::fmt;

use regex::Regex;

use crate::problem::Quoting;
use crate::strptime::DateFormat;

/// From how many bytes on a member is staged compressed where the configuration leaves it open. Below it, all bytes take less
/// time on the way than a request takes by itself (docs/explanation/performance.md).
const COMPRESSED_FROM_BYTES: u64 = 1024 * 1024;

/// One configuration file: where archives come from and which tables they fill.
///
/// Invariants: `source`, `destination` and `directory` are non-empty and neither begin nor end with `/`;
/// nothing is written below the prefix that is read; there is at least one table; no two tables under
/// truncate are the same.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The file's name without `.json`.
    pub name: String,
    /// The bucket that is read and written.
    pub bucket: String,
    /// The first prefix of archives.
    pub source: String,
    /// The first prefix of everything written.
    pub destination: String,
    /// The prefix between `source` or `destination` and an archive's name.
    pub directory: String,
    /// Searched in the key, anchored at its end.
    pub doc: Regex,
    /// Whether a load replaces the tables' rows; then only the newest archive counts.
    pub truncate: bool,
    /// The character between cells, one ASCII character.
    pub delimiter: u8,
    /// A cell equal to this becomes NULL.
    pub null_as: Option<String>,
    /// The table with one row per archive revision loaded.
    pub ledger: TableName,
    /// The table beside the ledger with the rows that each load brought to each table: `<ledger>_tables`.
    pub ledger_tables: TableName,
    /// The empty table beside the ledger that every load locks, and that nobody reads: `<ledger>_lock`.
    pub ledger_lock: TableName,
    /// How large an archive may be.
    pub size_limits: SizeLimits,
    /// Under truncate: by how many percent of the rows that the latest load brought to a table the next may
    /// bring fewer, 0 to 100; none where any number is loaded.
    pub max_shrink_percent: Option<u8>,
    /// While appending: whether an archive whose bytes were loaded under another key is settled without loading it.
    pub skips_repeated: bool,
    /// How staged files are written; none where it depends on the size of each.
    pub staging: Option<Staging>,
    /// Whether what is told of an archive may quote its cells.
    pub quoting: Quoting,
    /// The other datasets that may want keys of this one, as far as they are known.
    pub rivals: Vec<Rival>,
    /// The tables in the fixed order in which every load touches them: by name.
    pub tables: Vec<Table>,
}

/// How large an archive may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeLimits {
    /// The most bytes that it may have.
    pub packed_bytes: u64,
    /// The most bytes that it may unpack to, tar headers and padding included.
    pub unpacked_bytes: u64,
    /// How many times as many bytes it may unpack to, once those are some hundred megabytes.
    pub unpacked_ratio: u64,
    /// The most bytes that its pax headers may have, all of them together.
    pub pax_bytes: u64,
}

/// How the pieces of a staged file are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Staging {
    /// As CSV.
    Plain,
    /// As CSV that is compressed, each piece a Zstandard frame (RFC 8878).
    Zstd,
}

/// Another dataset, whose archives lie where a dataset's lie, or around or below them.
#[derive(Debug, Clone)]
pub struct Rival {
    /// Its name.
    pub name: String,
    /// The prefix under which its archives are looked for.
    pub source_prefix: String,
    /// Its pattern.
    pub doc: Regex,
}

/// A table and the member that fills it.
#[derive(Debug, Clone)]
pub struct Table {
    /// The member's base name up to its first `.`.
    pub member: String,
    /// The table.
    pub name: TableName,
    /// The member's columns, by position. Never empty, names unique together with those of `derived`.
    pub columns: Vec<Column>,
    /// Columns made from others, appended in this order.
    pub derived: Vec<Derived>,
    /// Whether the names in the member's header must be those of `columns`, in their order.
    pub exact_header: bool,
    /// The fewest rows that the member may have; 0 where any number is loaded.
    pub min_rows: u64,
}

/// A column of a member.
#[derive(Debug, Clone)]
pub struct Column {
    /// The column's name in the table.
    pub name: String,
    /// How its dates are written in the member, if it holds dates.
    pub date: Option<DateFormat>,
}

/// A column made from another: one of the texts between separators, empty if there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    /// The new column's name in the table.
    pub name: String,
    /// The position of the column it is made from.
    pub from: usize,
    /// The separator, never empty.
    pub split: String,
    /// Which of the texts, counted from 0.
    pub index: usize,
}

/// A schema-qualified table name.
///
/// Plain identifiers are folded to lower case, as Redshift and `PostgreSQL` fold them, so that they can be
/// quoted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The schema.
    pub schema: String,
    /// The table in it.
    pub table: String,
}

impl TableName {
    /// `name`, or `schema.name` when it carries none of its own.
    pub(super) fn parse(name: &str, schema: &str) -> Result<Self, String> {
        let (schema, table) = name.split_once('.').unwrap_or((schema, name));
        for part in [schema, table] {
            if part.is_empty() || part.contains('.') || part.chars().any(char::is_control) {
                return Err(format!("{name:?} is not a table name; write TABLE or SCHEMA.TABLE"));
            }
        }
        Ok(Self { schema: fold(schema), table: fold(table) })
    }

    /// The table beside this one whose name goes on with `suffix`.
    pub(super) fn beside(&self, suffix: &str) -> Self {
        Self { schema: self.schema.clone(), table: format!("{}{suffix}", self.table) }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// An identifier as an unquoted one would be understood; any other name is left as it is.
pub(super) fn fold(name: &str) -> String {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'$')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if plain { name.to_ascii_lowercase() } else { name.to_owned() }
}

impl Table {
    /// All columns of the table that a load fills, in the staged file's order.
    pub fn loaded_columns(&self) -> impl Iterator<Item = &str> {
        self.columns
            .iter()
            .map(|column| column.name.as_str())
            .chain(self.derived.iter().map(|derived| derived.name.as_str()))
    }
}

impl Dataset {
    /// The table that a member fills, by the member's base name up to its first `.`.
    pub fn table_of(&self, member: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.member == member)
    }

    /// Whether the bucket is not named yet: something in angle brackets stands for it.
    pub fn has_placeholder(&self) -> bool {
        self.bucket.starts_with('<') && self.bucket.ends_with('>')
    }

    /// How the staged file of a member of so many bytes is written.
    pub fn staging_of(&self, member_bytes: u64) -> Staging {
        let by_size = || if member_bytes < COMPRESSED_FROM_BYTES { Staging::Plain } else { Staging::Zstd };
        self.staging.unwrap_or_else(by_size)
    }
}

impl Staging {
    /// What COPY calls the compression, if there is one (Amazon Redshift Database Developer Guide, File compression
    /// parameters).
    pub fn copy_option(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Zstd => Some("ZSTD"),
        }
    }
}
