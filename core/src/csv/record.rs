//! Holds a record as it was read: its cells, or why there is none.

use std::io;
use std::ops::Range;

use memchr::{memchr, memchr_iter};

/// Cells of a record that are kept; more are only counted, since a record of 4 MB may have millions.
/// Redshift's tables have 1,600 columns at the most (Amazon Redshift Database Developer Guide, CREATE TABLE).
pub(crate) const KEPT_CELLS: usize = 1_600;

/// Where a cell lies in its record, within the quotes around it, if there are any: its beginning, and its end
/// above two bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    start: u32,
    end_and_bits: u32,
}

impl Place {
    /// There are quotes around it.
    const QUOTED: u32 = 1;
    /// It holds a delimiter, a comma, a quote, a CR or an LF.
    const MARKED: u32 = 2;

    /// No record is longer than 30 bits count.
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

/// A cell with doubled quotes: its position, and where it lies in what is halved.
#[derive(Debug, Clone)]
struct Halved {
    cell: usize,
    place: Range<usize>,
}

/// The cells of a record.
#[derive(Debug)]
pub(super) struct Cells {
    has_commas: bool,
    /// Those of the record, and beyond them those of other records.
    pub(super) places: Vec<Place>,
    pub(super) count: usize,
    /// The cells with doubled quotes, and their texts with the quotes halved, one behind the other.
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

    /// Forgets the halved quotes of the record before.
    #[inline]
    pub(super) fn clear_halved(&mut self) {
        self.doubled.clear();
        self.halved.clear();
    }

    /// Halves the doubled quotes of `record`, beside it.
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

/// What was noticed of a record while its cells were looked for, a bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Flaws(u8);

impl Flaws {
    /// It is not UTF-8, or has a NUL.
    pub(super) const NOT_TEXT: Self = Self(1);
    /// A cell without quotes around it holds a CR that is no part of a CRLF.
    pub(super) const LONE_RETURN: Self = Self(2);
    /// It begins with a byte order mark.
    pub(super) const BYTE_ORDER_MARK: Self = Self(4);
    /// A cell begins with blanks and then a quote.
    pub(super) const BLANK_BEFORE_QUOTE: Self = Self(8);
    /// A cell without quotes around it holds one. This is text, unless an earlier cell ends in a backslash.
    pub(super) const STRAY_QUOTE: Self = Self(16);

    #[inline]
    pub(super) fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// Why a record is not to be taken as it is, although its cells can be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It is not UTF-8, or has a NUL.
    NotText,
    /// A CR without LF stands in a cell without quotes around it.
    LoneReturn,
    /// It begins with a byte order mark.
    ByteOrderMark,
    /// Blanks stand between a delimiter and a quote, which is then no quote around a cell.
    BlankBeforeQuote,
    /// A quoted cell ends in a backslash, and a later cell that has no quote at its beginning in a quote.
    BackslashEscape,
}

/// A record, borrowed from the reader's buffer.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The line on which it begins, counted from 1.
    pub line: u64,
    /// Whether no cell holds a line end.
    pub is_one_line: bool,
    flaws: Flaws,
    bytes: &'a [u8],
    cells: &'a Cells,
}

/// A cell of a record.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'a> {
    /// Its text, without the quotes around it.
    pub text: &'a [u8],
    /// Whether it is written as CSV with commas has it: in quotes if it holds a comma, a quote, a CR or an
    /// LF, and else without.
    pub is_canonical: bool,
    /// Where it is written in the record, quotes included.
    pub written: (usize, usize),
}

/// Why no record can be read.
#[derive(Debug)]
pub enum RecordError {
    /// The input failed.
    Io(io::Error),
    /// A quoted cell is never closed, or not within the limit.
    UnclosedQuote {
        /// Whether the input goes on behind the limit.
        beyond_limit: bool,
        /// The line on which the quote stands.
        line: u64,
        /// What begins there.
        text: Vec<u8>,
    },
    /// Text stands between a closing quote and the next delimiter.
    TextAfterQuote {
        /// The line on which the closing quote stands.
        line: u64,
        /// The record up to a little beyond that place.
        text: Vec<u8>,
    },
    /// As [`RecordError::TextAfterQuote`], and a backslash stands in front of the quote.
    BackslashEscape {
        /// The line on which the closing quote stands.
        line: u64,
        /// The record up to a little beyond that place.
        text: Vec<u8>,
    },
    /// A CR without LF where only a delimiter or a line end can stand, or a first line of which CRs leave no
    /// end: the lines end with CR only.
    LoneReturn {
        /// The line on which it stands, if lines ended with LF.
        line: u64,
        /// The beginning of the record, or what is around the CR.
        text: Vec<u8>,
    },
    /// The record is larger than the limit.
    TooLong {
        /// The line on which it begins.
        line: u64,
        /// Its beginning.
        text: Vec<u8>,
    },
}

impl<'a> Record<'a> {
    #[inline]
    pub(super) fn new(line: u64, is_one_line: bool, flaws: Flaws, bytes: &'a [u8], cells: &'a Cells) -> Self {
        Self { line, is_one_line, flaws, bytes, cells }
    }

    /// Whether nothing was noticed of it; if something was, it may still have no flaw.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.flaws == Flaws::default()
    }

    /// Why it is not to be taken as it is, if it is not.
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

    /// The backslash and the quote that end the last quoted cell before one that has no quote at its beginning
    /// and one at its end.
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

    /// How many cells it has.
    pub fn len(&self) -> usize {
        self.cells.count
    }

    /// Whether it has none, which no record read from an input has.
    pub fn is_empty(&self) -> bool {
        self.cells.count == 0
    }

    /// A cell's text by position; empty beyond the last, and beyond those that any table has columns for.
    pub fn text(&self, at: usize) -> &'a [u8] {
        self.places().get(at).map_or(&[], |place| self.cell(at, *place).text)
    }

    /// Its cells, as far as any table has columns for them.
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

    /// Whether no cell has a text.
    pub fn has_only_empty_cells(&self, delimiter: u8) -> bool {
        self.bytes.iter().all(|byte| *byte == delimiter || *byte == b'"') && self.is_empty_from(0, delimiter)
    }

    /// Whether no cell from this position on has a text.
    pub fn is_empty_from(&self, at: usize, delimiter: u8) -> bool {
        let unkept = self.cells.count.saturating_sub(self.places().len().max(at));
        // Of cells that are not kept nothing is known but the delimiters behind which they are.
        let is_end_empty =
            || self.bytes.iter().rev().take_while(|byte| **byte == delimiter).count() >= unkept;
        self.cells().skip(at).all(|cell| cell.text.is_empty()) && (unkept == 0 || is_end_empty())
    }

    /// The record as it was written, from this cell on; all of it if the cell is none of those that are kept.
    pub fn raw_from(&self, at: usize) -> &'a [u8] {
        let start = self.places().get(at).map_or(0, |place| self.cell(at, *place).written.0);
        self.bytes.get(start..).unwrap_or_default()
    }

    /// The record as it was written, for a person to recognise it by.
    pub fn raw(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Whether a CR stands in `text` without an LF behind it.
pub(super) fn has_lone_return(text: &[u8]) -> bool {
    memchr_iter(b'\r', text).any(|at| text.get(at + 1) != Some(&b'\n'))
}

/// Appends a quoted cell with its doubled quotes halved; nothing if it has none.
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
