//! Holds the limits of the tables' columns, as far as they are known before a load.
//!
//! Redshift decides: a text is refused here only if COPY refuses it under any reading of the documentation. A
//! doubtful text, such as a number with an exponent or an undocumented word, is left to COPY.

mod column_type;

use std::collections::BTreeMap;

use crate::config::Table;
use crate::problem::Reason;

pub use self::column_type::ColumnType;

/// The limits of a table's column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ColumnLimit {
    /// The column's type.
    pub column_type: ColumnType,
    /// The maximum number of bytes of a text.
    pub max_bytes: Option<u64>,
    /// Whether the column is NOT NULL.
    pub not_null: bool,
}

impl ColumnLimit {
    /// Returns the number of bytes of the shortest text that may be refused. Every shorter text is accepted.
    pub fn shortest_refused(&self) -> usize {
        match (self.column_type, self.max_bytes) {
            (ColumnType::Text, Some(max_bytes)) => {
                usize::try_from(max_bytes).unwrap_or(usize::MAX).saturating_add(1)
            }
            (ColumnType::Text, None) => usize::MAX,
            _ => 0,
        }
    }

    /// Returns why COPY is certain to refuse a text that does not mean NULL.
    #[inline]
    pub fn refusal(&self, text: &[u8]) -> Option<Reason> {
        if text.len() < self.shortest_refused() { None } else { self.judge(text) }
    }

    /// Judges a text by more than its length. Most cells are text, for which this is not called.
    #[inline(never)]
    fn judge(&self, text: &[u8]) -> Option<Reason> {
        let found_bytes = text.len() as u64;
        if let Some(column_bytes) = self.max_bytes.filter(|max_bytes| found_bytes > *max_bytes) {
            return Some(Reason::TextTooLong { column_bytes, found_bytes });
        }
        if matches!(self.column_type, ColumnType::Text) {
            return None;
        }
        // "Empty fields of other types always NULL"; BLANKSASNULL: "blank non-char fields always NULL"
        // (Amazon Redshift Database Developer Guide, Data conversion parameters).
        if text.iter().all(|byte| *byte == b' ') {
            return self.not_null.then_some(Reason::EmptyNotAllowed);
        }
        self.column_type.refusal(text)
    }
}

/// The limits of a dataset's tables. The default has no limits for their columns, so that every text fits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableLimits {
    columns: BTreeMap<String, Vec<ColumnLimit>>,
    are_few_rows_accepted: bool,
}

impl TableLimits {
    /// Sets the limits of a table's columns, by position in the staged file.
    pub fn set(&mut self, table: &Table, columns: Vec<ColumnLimit>) {
        self.columns.insert(table.member.clone(), columns);
    }

    /// Returns the limits of a table's columns, by position in the staged file. Columns after the end of the
    /// list have no known limit.
    pub fn of(&self, table: &Table) -> &[ColumnLimit] {
        self.columns.get(&table.member).map_or(&[], Vec::as_slice)
    }

    /// Accepts any number of rows, whatever the configuration says.
    pub fn accept_few_rows(&mut self) {
        self.are_few_rows_accepted = true;
    }

    /// Returns the minimum number of rows of a table's member.
    pub fn min_rows(&self, table: &Table) -> u64 {
        if self.are_few_rows_accepted { 0 } else { table.min_rows }
    }
}
