//! Finds cells of a staged file by their lines. Redshift names the line and the column that it refused, but
//! not always the text.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use memchr::memchr2;

use super::RECORD_LIMIT_BYTES;
use crate::csv::RecordReader;

/// The number of bytes of a cell that are kept: as many as `STL_LOAD_ERRORS` keeps in `raw_field_value`
/// (Amazon Redshift Database Developer Guide, `STL_LOAD_ERRORS`), and more than are shown.
const KEPT_BYTES: usize = 1024;

/// The size of the largest record of a staged file: every byte of it may be a quote, which is doubled there.
const STAGED_LIMIT_BYTES: usize = 2 * RECORD_LIMIT_BYTES;

/// The position of a cell in a staged file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CellPlace {
    /// A line of the cell's record, counted from 1, with the header line.
    pub line: u64,
    /// The column's position in the file, counted from 0.
    pub column: usize,
}

/// A cell of a staged file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedCell {
    /// The cell's text, cut to 1,024 bytes.
    pub text: Vec<u8>,
    /// The number of bytes of the whole text.
    pub length_bytes: usize,
}

/// A search for cells in a staged file, which is given from its beginning, in pieces of any size. It holds
/// one record and the cells found.
#[derive(Debug)]
pub struct CellFinder {
    wanted: BTreeSet<CellPlace>,
    found: BTreeMap<CellPlace, StagedCell>,
    line: u64,
    record_line: u64,
    record: Vec<u8>,
    is_quoted: bool,
}

impl CellFinder {
    /// Creates a search for the cells at these positions.
    pub fn new(wanted: impl IntoIterator<Item = CellPlace>) -> Self {
        Self {
            wanted: wanted.into_iter().collect(),
            found: BTreeMap::new(),
            line: 1,
            record_line: 1,
            record: Vec::new(),
            is_quoted: false,
        }
    }

    /// Takes the next bytes of the file; breaks when nothing more is looked for.
    pub fn push(&mut self, bytes: &[u8]) -> ControlFlow<()> {
        let mut rest = bytes;
        while !self.wanted.is_empty() {
            let Some(at) = memchr2(b'"', b'\n', rest) else {
                self.keep(rest);
                return ControlFlow::Continue(());
            };
            let (piece, behind) = rest.split_at(at + 1);
            self.keep(piece);
            if piece.ends_with(b"\"") {
                // A doubled quote closes and opens the cell again, with nothing in between.
                self.is_quoted = !self.is_quoted;
            } else {
                self.line += 1;
                if !self.is_quoted {
                    self.end_record();
                }
            }
            rest = behind;
        }
        ControlFlow::Break(())
    }

    /// Returns the cells found.
    pub fn finish(self) -> BTreeMap<CellPlace, StagedCell> {
        self.found
    }

    /// Keeps a part of the record. A part that is too long for a record is cut, and is then not a record.
    fn keep(&mut self, bytes: &[u8]) {
        let room = (STAGED_LIMIT_BYTES + 1).saturating_sub(self.record.len());
        self.record.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    fn end_record(&mut self) {
        while let Some(place) = self.wanted.first().copied().filter(|place| place.line < self.line) {
            self.wanted.remove(&place);
            if place.line >= self.record_line
                && let Some(cell) = cell(&self.record, place.column)
            {
                self.found.insert(place, cell);
            }
        }
        self.record.clear();
        self.record_line = self.line;
    }
}

/// Returns a record's cell, unless the record is incomplete or has no such column.
fn cell(record: &[u8], column: usize) -> Option<StagedCell> {
    let mut reader = RecordReader::new(record, b',', STAGED_LIMIT_BYTES);
    let record = reader.read().ok().flatten().filter(|record| column < record.len())?;
    let text = record.text(column);
    Some(StagedCell { text: text.get(..KEPT_BYTES).unwrap_or(text).to_vec(), length_bytes: text.len() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::csv::{RowWriter, push_quoted};

    const FILE: &[u8] = b"id,name\n1,a\n2,\"two\nlines, \"\"and\"\" more\"\n3,\n4,unfinished";

    fn found(file: &[u8], piece_bytes: usize, places: &[(u64, usize)]) -> Vec<Option<String>> {
        let places: Vec<CellPlace> =
            places.iter().map(|(line, column)| CellPlace { line: *line, column: *column }).collect();
        let mut finder = CellFinder::new(places.clone());
        for piece in file.chunks(piece_bytes) {
            if finder.push(piece).is_break() {
                break;
            }
        }
        let found = finder.finish();
        let text = |place| found.get(place).map(|cell| String::from_utf8_lossy(&cell.text).into_owned());
        places.iter().map(text).collect()
    }

    #[test]
    fn cells_are_found_by_any_line_of_their_record() {
        for piece_bytes in [1, 2, 7, FILE.len()] {
            let found = found(
                FILE,
                piece_bytes,
                &[(2, 1), (3, 0), (3, 1), (4, 1), (5, 1), (1, 1), (2, 2), (6, 0), (0, 0), (99, 0)],
            );
            let lines = Some("two\nlines, \"and\" more".to_owned());
            let some = |text: &str| Some(text.to_owned());
            assert_eq!(
                found,
                [some("a"), some("2"), lines.clone(), lines, some(""), some("name"), None, None, None, None],
                "{piece_bytes}"
            );
        }
    }

    #[test]
    fn no_more_is_asked_for_than_is_needed() {
        let mut finder = CellFinder::new([CellPlace { line: 2, column: 0 }]);
        assert_eq!(finder.push(b"id,name\n1,"), ControlFlow::Continue(()));
        assert_eq!(finder.push(b"a\n"), ControlFlow::Break(()));
        assert_eq!(CellFinder::new([]).push(b"id\n"), ControlFlow::Break(()));
    }

    #[test]
    fn a_long_cell_is_cut_and_its_length_told() {
        let file = format!("a,b\n1,{}\n", "é".repeat(700));
        let mut finder = CellFinder::new([CellPlace { line: 2, column: 1 }]);
        assert!(finder.push(file.as_bytes()).is_break());
        let cells: Vec<StagedCell> = finder.finish().into_values().collect();
        assert_eq!((cells[0].text.len(), cells[0].length_bytes), (KEPT_BYTES, 1400));
    }

    #[test]
    fn what_is_no_record_is_not_kept_whole() {
        let mut finder = CellFinder::new([CellPlace { line: 1, column: 0 }]);
        for _ in 0..20 {
            assert!(finder.push(&vec![b'x'; 1024 * 1024]).is_continue());
        }
        assert_eq!(finder.record.len(), STAGED_LIMIT_BYTES + 1);
        assert!(finder.push(b"\n").is_break());
        assert!(finder.finish().is_empty());
    }

    proptest! {
        /// A cell is found on the line that the writer of staged files returned for it.
        #[test]
        fn what_was_written_is_found(
            rows in prop::collection::vec(prop::collection::vec("[a,\"\n\r é]{0,6}", 3), 1..12),
            piece_bytes in 1..40_usize,
        ) {
            let mut file = Vec::new();
            let mut places = Vec::new();
            let mut writer = RowWriter::new(&mut file, ["x", "y", "z"].into_iter()).unwrap();
            for row in &rows {
                places.extend((0..3).map(|column| (writer.line(), column)));
                writer.row(|out| {
                    for (n, cell) in row.iter().enumerate() {
                        if n > 0 {
                            out.push(b',');
                        }
                        push_quoted(cell.as_bytes(), out);
                    }
                    Ok::<(), ()>(())
                }).unwrap();
                writer.keep_row(false).unwrap();
            }
            writer.flush().unwrap();
            let written: Vec<Option<String>> = rows.into_iter().flatten().map(Some).collect();
            prop_assert_eq!(found(&file, piece_bytes, &places), written);
        }
    }
}
