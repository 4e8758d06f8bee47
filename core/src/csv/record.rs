//! Holds a record as it was read: its cells, or why there is none.

use std::io;
use std::ops::Range;

use memchr::{memchr, memchr_iter};

/// The number of cells of a record that are kept. More are only counted, since a record of 4 MB may have
/// millions. Redshift's tables have 1,600 columns at most (Amazon Redshift Database Developer Guide, CREATE
/// TABLE).
pub(crate) const KEPT_CELLS: usize = 1_600;

/// The position of a cell in its record, without its quotes: its beginning, and its end above two bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    start: u32,
    end_and_bits: u32,
}

impl Place {
    /// The cell has quotes around it.
    const QUOTED: u32 = 1;
    /// The cell contains a delimiter, a comma, a quote, a CR or an LF.
    const MARKED: u32 = 2;

    /// Creates the position of a cell. Positions have 30 bits; no record is longer.
    #[inline]
    pub(super) fn new(start: usize, end: usize, is_quoted: bool, is_marked: bool) -> Self {
        Self {
            start: start as u32,
            end_and_bits: (end as u32) << 2 | u32::from(is_marked) << 1 | u32::from(is_quoted),
        }
    }

    fn start(self) -> usize {
        self.start as usize
    }

    fn end(self) -> usize {
        (self.end_and_bits >> 2) as usize
    }

    fn has(self, bits: u32) -> bool {
        self.end_and_bits & bits == bits
    }
}

/// A cell with doubled quotes: its index, and its position in the halved text.
#[derive(Debug, Clone)]
struct Halved {
    cell: usize,
    place: Range<usize>,
}

/// The cells of a record.
#[derive(Debug)]
pub(super) struct Cells {
    has_commas: bool,
    /// The positions of the record's cells, followed by those of other records.
    pub(super) places: Vec<Place>,
    pub(super) count: usize,
    /// The cells with doubled quotes, and their texts with the quotes halved, one after the other.
    doubled: Vec<Halved>,
    halved: Vec<u8>,
}

impl Cells {
    pub(super) fn new(delimiter: u8) -> Self {
        Self {
            has_commas: delimiter == b',',
            places: vec![Place::new(0, 0, false, false); KEPT_CELLS],
            count: 0,
            doubled: Vec::new(),
            halved: Vec::new(),
        }
    }

    /// Clears the halved quotes of the previous record.
    #[inline]
    pub(super) fn clear_halved(&mut self) {
        self.doubled.clear();
        self.halved.clear();
    }

    /// Halves the doubled quotes of `record`, in a separate buffer.
    pub(super) fn halve_quotes(&mut self, record: &[u8]) {
        let marked = self
            .places
            .iter()
            .take(self.count)
            .enumerate()
            .filter(|(_, place)| place.has(Place::QUOTED | Place::MARKED));
        for (cell, place) in marked {
            let start = self.halved.len();
            if halve(&record[place.start()..place.end()], &mut self.halved) {
                self.doubled.push(Halved { cell, place: start..self.halved.len() });
            }
        }
    }
}

/// What was noticed about a record during the search for its cells, one bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Flaws(u8);

impl Flaws {
    /// The record is not UTF-8, or has a NUL.
    pub(super) const NOT_TEXT: Self = Self(1);
    /// An unquoted cell contains a CR that is not part of a CRLF.
    pub(super) const LONE_RETURN: Self = Self(2);
    /// The record begins with a byte order mark.
    pub(super) const BYTE_ORDER_MARK: Self = Self(4);
    /// A cell begins with blanks and then a quote.
    pub(super) const BLANK_BEFORE_QUOTE: Self = Self(8);
    /// An unquoted cell contains a quote. This is text, unless an earlier cell ends in a backslash.
    pub(super) const STRAY_QUOTE: Self = Self(16);

    #[inline]
    pub(super) fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// The reason why a record is refused although its cells can be separated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// The record is not UTF-8, or has a NUL.
    NotText,
    /// An unquoted cell contains a CR without LF.
    LoneReturn,
    /// The record begins with a byte order mark.
    ByteOrderMark,
    /// Blanks are between a delimiter and a quote, which then does not quote the cell.
    BlankBeforeQuote,
    /// A quoted cell ends in a backslash, and a later cell ends in a quote but does not begin with one.
    BackslashEscape,
}

/// A record, borrowed from the reader's buffer.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The line on which the record begins, counted from 1.
    pub line: u64,
    /// Whether no cell contains a line end.
    pub is_one_line: bool,
    flaws: Flaws,
    bytes: &'a [u8],
    cells: &'a Cells,
}

/// A cell of a record.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'a> {
    /// The cell's text, without the quotes around it.
    pub text: &'a [u8],
    /// Whether the cell is written as in CSV with commas: with quotes if it contains a comma, a quote, a CR
    /// or an LF, and without quotes otherwise.
    pub is_canonical: bool,
    /// The range of the written cell in the record, with its quotes.
    pub written: (usize, usize),
}

/// The reason why no record can be read.
#[derive(Debug)]
pub enum RecordError {
    /// The input failed.
    Io(io::Error),
    /// A quoted cell is never closed, or not within the limit.
    UnclosedQuote {
        /// Whether the input continues after the limit.
        beyond_limit: bool,
        /// The line of the quote.
        line: u64,
        /// The text that begins there.
        text: Vec<u8>,
    },
    /// Text is between a closing quote and the next delimiter.
    TextAfterQuote {
        /// The line of the closing quote.
        line: u64,
        /// The record's text around that position.
        text: Vec<u8>,
    },
    /// As [`RecordError::TextAfterQuote`], with a backslash before the quote.
    BackslashEscape {
        /// The line of the closing quote.
        line: u64,
        /// The record's text around that position.
        text: Vec<u8>,
    },
    /// A CR without LF where only a delimiter or a line end is allowed, or a first line that CRs leave
    /// without an end: the lines end with CR only.
    LoneReturn {
        /// The line of the CR, if lines ended with LF.
        line: u64,
        /// The beginning of the record, or the text around the CR.
        text: Vec<u8>,
    },
    /// The record is larger than the limit.
    TooLong {
        /// The line on which the record begins.
        line: u64,
        /// The record's beginning.
        text: Vec<u8>,
    },
}

impl<'a> Record<'a> {
    #[inline]
    pub(super) fn new(line: u64, is_one_line: bool, flaws: Flaws, bytes: &'a [u8], cells: &'a Cells) -> Self {
        Self { line, is_one_line, flaws, bytes, cells }
    }

    /// Checks whether nothing was noticed about the record. If something was noticed, the record may still
    /// have no flaw.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.flaws == Flaws::default()
    }

    /// Returns the record's flaw, if it has one.
    pub fn flaw(&self) -> Option<Flaw> {
        let flaws = self.flaws;
        let flaw = [
            (Flaws::NOT_TEXT, Flaw::NotText),
            (Flaws::LONE_RETURN, Flaw::LoneReturn),
            (Flaws::BYTE_ORDER_MARK, Flaw::ByteOrderMark),
            (Flaws::BLANK_BEFORE_QUOTE, Flaw::BlankBeforeQuote),
        ];
        let flaw = flaw.into_iter().find(|(bit, _)| flaws.has(*bit)).map(|(_, flaw)| flaw);
        let is_escaped = || flaws.has(Flaws::STRAY_QUOTE) && self.backslash_escape().is_some();
        flaw.or_else(|| is_escaped().then_some(Flaw::BackslashEscape))
    }

    /// Returns the range of the backslash and the quote at the end of the last quoted cell before a cell that
    /// has a quote at its end and none at its beginning.
    pub fn backslash_escape(&self) -> Option<Range<usize>> {
        let mut escape = None;
        for place in self.places() {
            let (start, end) = (place.start(), place.end());
            let text = self.bytes.get(start..end).unwrap_or_default();
            if place.has(Place::QUOTED) {
                if text.ends_with(b"\\") {
                    escape = Some(end - 1..end + 1);
                }
            } else if escape.is_some() && place.has(Place::MARKED) && text.ends_with(b"\"") {
                return escape;
            }
        }
        None
    }

    /// Returns the number of cells.
    pub fn len(&self) -> usize {
        self.cells.count
    }

    /// Checks whether the record has no cells. No record read from an input is empty.
    pub fn is_empty(&self) -> bool {
        self.cells.count == 0
    }

    /// Returns the text of the cell at this index; empty after the last cell, and after the maximum number of
    /// columns of a table.
    pub fn text(&self, at: usize) -> &'a [u8] {
        self.places().get(at).map_or(&[], |place| self.cell(at, *place).text)
    }

    /// Returns the cells, up to the maximum number of columns of a table.
    pub fn cells(&self) -> impl Iterator<Item = Cell<'a>> {
        let record = *self;
        self.places().iter().enumerate().map(move |(at, place)| record.cell(at, *place))
    }

    fn places(&self) -> &'a [Place] {
        self.cells.places.get(..self.cells.count).unwrap_or(&self.cells.places)
    }

    #[inline]
    fn cell(&self, at: usize, place: Place) -> Cell<'a> {
        let (start, end) = (place.start(), place.end());
        let (is_quoted, is_marked) = (place.has(Place::QUOTED), place.has(Place::MARKED));
        let halved = if is_quoted && is_marked {
            self.cells.doubled.iter().find(|halved| halved.cell == at)
        } else {
            None
        };
        let text = match halved {
            None => self.bytes.get(start..end),
            Some(Halved { place, .. }) => self.cells.halved.get(place.clone()),
        };
        let around = usize::from(is_quoted);
        Cell {
            text: text.unwrap_or_default(),
            is_canonical: self.cells.has_commas && is_quoted == is_marked,
            written: (start - around, end + around),
        }
    }

    /// Checks whether no cell has a text.
    pub fn has_only_empty_cells(&self, delimiter: u8) -> bool {
        self.bytes.iter().all(|byte| *byte == delimiter || *byte == b'"') && self.is_empty_from(0, delimiter)
    }

    /// Checks whether no cell from this index on has a text.
    pub fn is_empty_from(&self, at: usize, delimiter: u8) -> bool {
        let unkept = self.cells.count.saturating_sub(self.places().len().max(at));
        // Cells that are not kept are known only by their delimiters.
        let is_end_empty =
            || self.bytes.iter().rev().take_while(|byte| **byte == delimiter).count() >= unkept;
        self.cells().skip(at).all(|cell| cell.text.is_empty()) && (unkept == 0 || is_end_empty())
    }

    /// Returns the record as it was written, from this cell on; the whole record if the cell is not kept.
    pub fn raw_from(&self, at: usize) -> &'a [u8] {
        let start = self.places().get(at).map_or(0, |place| self.cell(at, *place).written.0);
        self.bytes.get(start..).unwrap_or_default()
    }

    /// Returns the record as it was written, so that a person can recognise it.
    pub fn raw(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Checks whether `text` contains a CR without an LF after it.
pub(super) fn has_lone_return(text: &[u8]) -> bool {
    memchr_iter(b'\r', text).any(|at| text.get(at + 1) != Some(&b'\n'))
}

/// Appends a quoted cell with its doubled quotes halved, and returns true. If the cell has no doubled quotes,
/// appends nothing and returns false.
fn halve(cell: &[u8], halved: &mut Vec<u8>) -> bool {
    let mut rest = cell;
    while let Some(quote) = memchr(b'"', rest) {
        halved.extend_from_slice(&rest[..=quote]);
        rest = rest.get(quote + 2..).unwrap_or_default();
        if memchr(b'"', rest).is_none() {
            halved.extend_from_slice(rest);
            return true;
        }
    }
    false
}
