//! Reads a member's first line: whether it is a header, and whether it matches the configured columns.

use memchr::{memchr, memchr_iter};

use schemars::JsonSchema;
use serde::Serialize;

use super::kind::{self, Kind};
use crate::config::Table;
use crate::csv::Record;
use crate::problem::Reason;
use crate::text::printable;

/// The delimiters that exports use.
const DELIMITERS: [u8; 4] = *b",|\t;";

/// The number of rows that are compared with a first line that may be a row itself.
const ROWS_COMPARED: usize = 100;

/// The number of names of dropped columns that are kept, to be shown.
const DROPPED_NAMES: usize = 20;

/// The number of bytes of a header that are kept, to be shown: more than are shown.
const EXCERPT_BYTES: usize = 1_000;

/// The bit that distinguishes upper and lower case in ASCII.
const CASE_BIT: u8 = 0x20;

/// The columns of a member that are not loaded, since the configuration does not have them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DroppedColumns {
    /// The number of these columns.
    pub count: usize,
    /// The names of the first of them, made printable.
    pub names: Vec<String>,
}

/// A header that was accepted.
pub(super) struct Header {
    /// The line on which the header begins.
    pub(super) line: u64,
    /// The header as it is written, or the beginning of it.
    pub(super) raw: Vec<u8>,
    cells: Vec<Vec<u8>>,
    /// A byte of the first cell, by which most rows differ from the header, and its position there.
    probe: (usize, Option<u8>),
    /// The number of cells.
    pub(super) len: usize,
    /// The number of cells without those at the end that have no name. A row's cells beyond them must be
    /// empty.
    pub(super) named: usize,
}

/// A first line that may be a row: the kinds of its cells.
pub(super) struct Suspect<'a> {
    kinds: Vec<Kind>,
    null_as: Option<&'a [u8]>,
    rows_left: usize,
}

impl Header {
    /// Judges a first line whose cells are text.
    pub(super) fn new(record: &Record<'_>, table: &Table, delimiter: u8) -> Result<Self, Reason> {
        let expected = table.columns.len();
        let len = record.len();
        if len < expected {
            return Err(too_short(record, expected, delimiter));
        }
        let cells: Vec<Vec<u8>> = record.cells().map(|cell| cell.text.to_vec()).collect();
        let names: Vec<String> = cells.iter().map(|cell| comparable(cell)).collect();
        if let Some(reason) = reordered(&names, table) {
            return Err(reason);
        }
        for (column, cell) in table.columns.iter().zip(&cells) {
            let is_date = |format: &crate::strptime::DateFormat| {
                !cell.is_empty() && format.rewrite(cell, &mut Vec::new()).is_ok()
            };
            if column.date.as_ref().is_some_and(is_date) {
                return Err(Reason::NoHeader { like_row: None });
            }
        }
        let is_exact = || {
            len == expected
                && table.columns.iter().zip(&cells).all(|(column, cell)| column.name.as_bytes() == cell)
        };
        if table.exact_header && !is_exact() {
            let expected = table.columns.iter().map(|column| column.name.clone()).collect();
            return Err(Reason::HeaderDiffers { expected });
        }
        // Cells beyond those that are kept may have names.
        let last_named = if len > cells.len() {
            len
        } else {
            cells.iter().rposition(|cell| !cell.is_empty()).map_or(0, |at| at + 1)
        };
        let raw = record.raw().iter().copied().take(EXCERPT_BYTES).collect();
        let at = usize::from(cells.first().is_some_and(|cell| cell.len() > 1 && !cell.starts_with(b"\"")));
        let probe = (at, cells.first().and_then(|cell| cell.get(at)).map(|byte| byte | CASE_BIT));
        Ok(Self { line: record.line, raw, cells, probe, len, named: last_named.max(expected) })
    }

    /// Returns the columns that are not loaded.
    pub(super) fn dropped(&self, table: &Table) -> DroppedColumns {
        let loaded = table.columns.len();
        DroppedColumns {
            count: self.named.saturating_sub(loaded),
            names: self
                .cells
                .iter()
                .take(self.named)
                .skip(loaded)
                .take(DROPPED_NAMES)
                .map(|name| printable(name))
                .collect(),
        }
    }

    /// Checks whether a record may be the repeated header, as far as one byte, and then its first cell, show.
    #[allow(clippy::inline_always, reason = "called for each row")]
    #[inline(always)]
    pub(super) fn may_be(&self, record: &Record<'_>) -> bool {
        let raw = record.raw();
        let quote = usize::from(raw.first() == Some(&b'"'));
        let (at, byte) = self.probe;
        (byte.is_none() || raw.get(at + quote).map(|found| found | CASE_BIT) == byte)
            && self.cells.first().is_some_and(|cell| cell.eq_ignore_ascii_case(record.text(0)))
    }

    /// Checks whether a record that begins here without a quote may be the repeated header, as far as one
    /// byte shows.
    #[inline]
    pub(super) fn may_begin(&self, text: &[u8], start: usize) -> bool {
        let (at, byte) = self.probe;
        byte.is_none() || text.get(start + at).map(|found| found | CASE_BIT) == byte
    }

    /// Checks whether the header's first cell has this text, in upper or lower case.
    pub(super) fn begins_with(&self, text: &[u8]) -> bool {
        self.cells.first().is_some_and(|cell| cell.eq_ignore_ascii_case(text))
    }

    /// Checks whether a record is the repeated header, with any quotes, and in upper or lower case. In a file
    /// with one column, a cell may be the column's name in another case.
    pub(super) fn is(&self, record: &Record<'_>) -> bool {
        let mut pairs = record.cells().map(|cell| cell.text).zip(&self.cells);
        record.len() == self.len
            && if self.len == 1 {
                pairs.all(|(text, name)| text == name)
            } else {
                pairs.all(|(text, name)| text.eq_ignore_ascii_case(name))
            }
    }

    /// Returns what to compare rows with, if the first line may be a row: it has none of the configured
    /// names, and a cell that is rarely a name.
    pub(super) fn suspect<'a>(&self, table: &Table, null_as: Option<&'a [u8]>) -> Option<Suspect<'a>> {
        let is_configured = |cell: &Vec<u8>| {
            let name = comparable(cell);
            table.columns.iter().any(|column| column.name.to_lowercase() == name)
        };
        if self.cells.iter().any(is_configured) {
            return None;
        }
        // Programs number columns that have no names.
        let is_numbered = |first: usize| {
            self.cells.iter().zip(first..).all(|(cell, number)| number.to_string().as_bytes() == cell)
        };
        if is_numbered(0) || is_numbered(1) {
            return None;
        }
        let cells = self.cells.iter().take(table.columns.len());
        let kinds: Vec<Kind> = cells.map(|cell| kind::of(cell, null_as)).collect();
        kinds.iter().any(|kind| kind.is_seldom_a_name()).then_some(Suspect {
            kinds,
            null_as,
            rows_left: ROWS_COMPARED,
        })
    }
}

impl Suspect<'_> {
    /// Checks whether rows are still to be compared.
    pub(super) fn is_open(&self) -> bool {
        self.rows_left > 0
    }

    /// Checks whether each cell of a row has the same kind as in the first line. After a number of rows the
    /// answer is always no.
    pub(super) fn is_like(&mut self, row: &Record<'_>) -> bool {
        let Some(rows_left) = self.rows_left.checked_sub(1) else { return false };
        self.rows_left = rows_left;
        let pairs =
            || self.kinds.iter().enumerate().map(|(at, kind)| (*kind, kind::of(row.text(at), self.null_as)));
        pairs().all(|(first, other)| first == other || first == Kind::Empty || other == Kind::Empty)
            && pairs().any(|(first, other)| first == other && first.is_seldom_a_name())
    }
}

/// Returns the problem of a header that has too few cells: usually another delimiter splits it.
fn too_short(record: &Record<'_>, expected: usize, delimiter: u8) -> Reason {
    let found = record.len();
    let split_at = |other: u8| memchr_iter(other, record.raw()).count() + 1;
    let other =
        DELIMITERS.into_iter().filter(|other| *other != delimiter).max_by_key(|other| split_at(*other));
    match other.map(|other| (other, split_at(other))) {
        Some((other, cells)) if cells >= expected && expected > 1 => Reason::WrongDelimiter {
            delimiter: char::from(delimiter),
            found,
            other: char::from(other),
            other_found: cells,
        },
        _ => Reason::ShortHeader { expected, found, delimiter: char::from(delimiter) },
    }
}

/// Returns the first configured name that is at the position of another column, or of none.
fn reordered(names: &[String], table: &Table) -> Option<Reason> {
    let configured: Vec<String> = table.columns.iter().map(|column| column.name.to_lowercase()).collect();
    let is_in_place = |at: usize| configured.get(at) == names.get(at);
    names.iter().enumerate().find_map(|(found, name)| {
        let expected = configured.iter().position(|column| column == name)?;
        let is_wrong = if found < configured.len() { !is_in_place(found) } else { !is_in_place(expected) };
        let column = table.columns.get(expected)?.name.clone();
        is_wrong.then_some(Reason::ColumnsReordered { column, expected: expected + 1, found: found + 1 })
    })
}

/// Returns a name in the form in which names are compared: without case, blanks and quotes around it.
pub(crate) fn comparable(cell: &[u8]) -> String {
    String::from_utf8_lossy(cell)
        .trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`'))
        .to_lowercase()
}

/// Returns the delimiter that a first line names in Excel's form: `sep=;`.
pub(crate) fn separator(first_line: &[u8]) -> Option<u8> {
    match first_line {
        [name @ .., separator]
            if name.eq_ignore_ascii_case(b"sep=") && memchr(*separator, b"\r\n\"").is_none() =>
        {
            Some(*separator)
        }
        _ => None,
    }
}
