//! Collects what is seen of a member: its header, and every value below it.

use std::io::{self, Read};

use schemars::JsonSchema;
use serde::Serialize;

use super::column::{ColumnGuess, ColumnSeen};
use crate::csv::{BYTE_ORDER_MARK, RecordError, RecordReader};
use crate::text::printable;
use crate::transform::{RECORD_LIMIT_BYTES, separator};

/// The guess for a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MemberGuess {
    /// The file's name in the archive.
    pub file: String,
    /// The member's name in a configuration: the file's name up to its first `.`.
    pub member: String,
    /// The table that the member is to fill.
    pub table: String,
    /// The number of rows.
    pub rows: u64,
    /// The columns.
    pub columns: Vec<ColumnGuess>,
}

/// What was seen of a member.
#[derive(Debug, Default)]
pub(super) struct MemberSeen {
    pub(super) file: String,
    /// The cells of the header, without those at its end that have no values below them.
    pub(super) header: Vec<Vec<u8>>,
    pub(super) columns: Vec<ColumnSeen>,
    pub(super) rows: u64,
}

impl MemberSeen {
    /// Reads a member as far as its form allows. Mistakes in the cells are not looked for here.
    pub(super) fn read(file: &str, body: impl Read, delimiter: u8) -> io::Result<Self> {
        let mut seen = Self { file: file.to_owned(), ..Self::default() };
        let mut records = RecordReader::new(body, delimiter, RECORD_LIMIT_BYTES);
        if records.peek(BYTE_ORDER_MARK.len())? == BYTE_ORDER_MARK {
            records.skip(BYTE_ORDER_MARK.len());
        }
        let mut scratch = Vec::new();
        loop {
            let record = match records.read() {
                Ok(Some(record)) => record,
                Err(RecordError::Io(error)) => return Err(error),
                Ok(None) | Err(_) => break,
            };
            if seen.header.is_empty() {
                if seen.columns.is_empty() && separator(record.raw()).is_some() {
                    continue;
                }
                seen.header = record.cells().map(|cell| cell.text.to_vec()).collect();
                seen.columns = vec![ColumnSeen::default(); seen.header.len()];
                continue;
            }
            if record.has_only_empty_cells(delimiter) {
                continue;
            }
            seen.rows += 1;
            for (column, cell) in seen.columns.iter_mut().zip(record.cells()) {
                column.see(cell.text, &mut scratch);
            }
        }
        while seen.header.last().is_some_and(Vec::is_empty)
            && seen.columns.last().is_some_and(|last| last.filled == 0)
        {
            seen.header.pop();
            seen.columns.pop();
        }
        Ok(seen)
    }

    pub(super) fn guess(self, member: String, table: String, null: Option<usize>) -> MemberGuess {
        let names = super::name::column_names(&self.header);
        let columns = self.columns.iter().zip(self.header).zip(names);
        MemberGuess {
            file: self.file,
            member,
            table,
            rows: self.rows,
            columns: columns
                .map(|((column, header), name)| column.guess(printable(&header), name, null))
                .collect(),
        }
    }
}
