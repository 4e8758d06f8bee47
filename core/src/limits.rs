//! Holds what the columns of the tables take, as far as it is known before a load.
//!
//! Redshift stays the judge: what is refused here is what COPY refuses however its documents are read. A text
//! in doubt, such as a number with an exponent or a word that they do not list, is left to COPY.

mod column_type;

use std::collections::BTreeMap;

use crate::config::Table;
use crate::problem::Reason;

pub use self::column_type::ColumnType;

/// What a table's column takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ColumnLimit {
    /// Its type.
    pub column_type: ColumnType,
    /// The most bytes of a text.
    pub max_bytes: Option<u64>,
    /// Whether it takes no NULL.
    pub not_null: bool,
}

impl ColumnLimit {
    /// The bytes of the shortest text that may be refused: each shorter one is taken, whatever it says.
    pub fn shortest_refused(&self) -> usize {
        match (self.column_type, self.max_bytes) {
            (ColumnType::Text, Some(max_bytes)) => {
                usize::try_from(max_bytes).unwrap_or(usize::MAX).saturating_add(1)
            }
            (ColumnType::Text, None) => usize::MAX,
            _ => 0,
        }
    }

    /// Why COPY is certain to refuse a text that is not the one for NULL.
    #[inline]
    pub fn refusal(&self, text: &[u8]) -> Option<Reason> {
        if text.len() < self.shortest_refused() { None } else { self.judge(text) }
    }

    /// Judges by more than the length. Texts, which are most cells, do not come here.
    #[inline(never)]
    fn judge(&self, text: &[u8]) -> Option<Reason> {
        let found_bytes = text.len() as u64;
        if let Some(column_bytes) = self.max_bytes.filter(|max_bytes| found_bytes > *max_bytes) {
            return Some(Reason::TextTooLong { column_bytes, found_bytes });
        }
        if matches!(self.column_type, ColumnType::Text) {
            return None;
        }
        // "Empty fields of other types always NULL"; BLANKSASNULL: "blank non-char fields always NULL" (Amazon
        // Redshift Database Developer Guide, Data conversion parameters).
        if text.iter().all(|byte| *byte == b' ') {
            return self.not_null.then_some(Reason::EmptyNotAllowed);
        }
        self.column_type.refusal(text)
    }
}

/// What a dataset's tables take. The default knows nothing of their columns, so that every text fits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableLimits {
    columns: BTreeMap<String, Vec<ColumnLimit>>,
    are_few_rows_accepted: bool,
}

impl TableLimits {
    /// Sets what the columns of a table take, by position in the staged file.
    pub fn set(&mut self, table: &Table, columns: Vec<ColumnLimit>) {
        self.columns.insert(table.member.clone(), columns);
    }

    /// What the columns of a table take, by position in the staged file; nothing is known of columns beyond
    /// its end.
    pub fn of(&self, table: &Table) -> &[ColumnLimit] {
        self.columns.get(&table.member).map_or(&[], Vec::as_slice)
    }

    /// Takes any number of rows, whatever the configuration says.
    pub fn accept_few_rows(&mut self) {
        self.are_few_rows_accepted = true;
    }

    /// The fewest rows that a table's member may have.
    pub fn min_rows(&self, table: &Table) -> u64 {
        if self.are_few_rows_accepted { 0 } else { table.min_rows }
    }
}
