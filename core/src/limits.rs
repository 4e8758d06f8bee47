//! What the tables' columns take, as far as it is known before a load.

use std::collections::BTreeMap;

use crate::config::Table;

/// What a table's column takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ColumnLimit {
    /// The most bytes of a text.
    pub max_bytes: Option<u64>,
    /// Whether it takes no NULL.
    pub not_null: bool,
}

impl ColumnLimit {
    /// Whether a text is longer than the column takes.
    pub fn is_exceeded_by(self, text: &[u8]) -> bool {
        self.max_bytes.is_some_and(|max_bytes| text.len() as u64 > max_bytes)
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
