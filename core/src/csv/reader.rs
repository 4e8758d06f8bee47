//! Reads RFC 4180 records strictly and without copying.
//!
//! The positions of delimiters, quotes and line ends are found for many bytes at once (`structural`). A
//! record is then read from mark to mark, without reading the bytes in between.
//!
//! The `csv` crate accepts any input: an unclosed quote swallows the rest of the file as one cell, and `"x"y`
//! becomes `xy`. Here both are errors with a line number, no record is buffered beyond a limit, and a cell is
//! exactly the bytes that were written.

use std::io::{self, Read};
use std::ops::Range;

use memchr::memchr;
use simdutf8::compat::from_utf8;

use super::record::{Cells, Flaws, Place, Record, RecordError, has_lone_return};
use super::structural::{BLOCK_BYTES, StructuralIndex};

/// The number of bytes read at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// The number of a record's bytes in an error. It is more than is shown.
const EXCERPT_BYTES: usize = 150;

/// U+FEFF in UTF-8, which some programs write at the beginning of a file.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Ctrl-Z, which programs of CP/M and DOS write at the end of a text.
const END_OF_TEXT: u8 = 0x1a;

/// The largest possible limit: positions in a record have 30 bits.
const MAX_BYTES: usize = (1 << 30) - 1;

/// A reader of records from `R`, one at a time.
pub struct RecordReader<R> {
    reader: R,
    delimiter: u8,
    limit_bytes: usize,
    buffer: Vec<u8>,
    index: StructuralIndex,
    start: usize,
    end: usize,
    /// The end of the part of the buffer that is known to be text.
    text_to: usize,
    /// The end of the part of the buffer that was indexed.
    looked_to: usize,
    exhausted: bool,
    line: u64,
    found: Found,
    cells: Cells,
}

/// The bytes that were read and not consumed.
pub(crate) struct Ahead<'a> {
    /// The part of the buffer that is UTF-8 without NUL.
    pub(crate) text: &'a [u8],
    /// The position of the next record.
    pub(crate) start: usize,
    /// The line of that position.
    pub(crate) line: u64,
    /// The marks in the buffer; some may be after the text.
    pub(crate) index: &'a StructuralIndex,
}

/// The record that was found last.
#[derive(Default)]
struct Found {
    line: u64,
    content: Range<usize>,
    is_one_line: bool,
    flaws: Flaws,
}

/// The result of scanning the buffer.
enum Scan {
    /// A record that ends before `next` and has `inner_lines` line ends inside.
    Whole { content: Range<usize>, next: usize, inner_lines: u64, flaws: Flaws },
    /// More input is needed. If a quote is open, this is its line and position.
    Partial { open_quote: Option<(u64, usize)> },
    /// Text after a closing quote, on this line at this position.
    Garbled { line: u64, at: usize },
}

impl<R: Read> RecordReader<R> {
    /// Creates a reader of records whose cells are separated by `delimiter`. A record has at most
    /// `limit_bytes`. The caller skips a byte order mark at the beginning; the reader ignores every Ctrl-Z at
    /// the very end, unless Ctrl-Z is the delimiter.
    pub fn new(reader: R, delimiter: u8, limit_bytes: usize) -> Self {
        let limit_bytes = limit_bytes.min(MAX_BYTES);
        Self {
            reader,
            delimiter,
            limit_bytes,
            buffer: vec![0; CHUNK_BYTES.min(limit_bytes + 1)],
            index: StructuralIndex::new(delimiter),
            start: 0,
            end: 0,
            text_to: 0,
            looked_to: 0,
            exhausted: false,
            line: 1,
            found: Found::default(),
            cells: Cells::new(delimiter),
        }
    }

    /// Returns the next bytes of the input, up to `count`, without consuming them.
    ///
    /// # Errors
    ///
    /// The input's error.
    pub fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        while self.end - self.start < count && !self.exhausted {
            self.fill()?;
        }
        Ok(&self.buffer[self.start..self.end.min(self.start + count)])
    }

    /// Skips `count` bytes that were peeked at.
    pub fn skip(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }

    /// Returns the buffer, for a caller that takes whole records from it without [`RecordReader::advance`].
    pub(crate) fn ahead(&mut self) -> Ahead<'_> {
        if self.looked_to < self.end {
            self.look_at_text(self.start);
        }
        Ahead {
            text: self.buffer.get(..self.text_to.min(self.end)).unwrap_or_default(),
            start: self.start,
            line: self.line,
            index: &self.index,
        }
    }

    /// Consumes records of [`RecordReader::ahead`], up to this position and this line.
    pub(crate) fn consume(&mut self, to: usize, line: u64) {
        self.start = to.clamp(self.start, self.end);
        self.line = line;
    }

    /// Reads the next record that is not a blank line; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`RecordError`]; after an error, nothing further can be read.
    pub fn read(&mut self) -> Result<Option<Record<'_>>, RecordError> {
        Ok(self.advance()?.then(|| self.record()))
    }

    /// Returns the record that was found last.
    #[inline]
    pub fn record(&self) -> Record<'_> {
        let Found { line, ref content, is_one_line, flaws } = self.found;
        let bytes = self.buffer.get(content.clone()).unwrap_or_default();
        Record::new(line, is_one_line, flaws, bytes, &self.cells)
    }

    /// Advances to the next record that is not a blank line, and returns whether there is one.
    ///
    /// # Errors
    ///
    /// As [`RecordReader::read`].
    pub fn advance(&mut self) -> Result<bool, RecordError> {
        loop {
            if self.start == self.end && self.exhausted {
                return Ok(false);
            }
            match self.scan() {
                Scan::Whole { content, next, inner_lines, mut flaws } => {
                    let line = self.line;
                    let is_ended = next > content.end && self.buffer[next - 1] == b'\n';
                    self.line += inner_lines + u64::from(is_ended);
                    self.start = next;
                    if content.is_empty() {
                        continue;
                    }
                    if !self.is_text(&content) {
                        flaws.insert(Flaws::NOT_TEXT);
                    }
                    if self.buffer[content.start] == BYTE_ORDER_MARK[0]
                        && self.buffer[content.clone()].starts_with(BYTE_ORDER_MARK)
                    {
                        flaws.insert(Flaws::BYTE_ORDER_MARK);
                    }
                    self.found = Found { line, is_one_line: inner_lines == 0, flaws, content };
                    return Ok(true);
                }
                Scan::Garbled { line, at } => {
                    let text =
                        self.buffer[self.start.max(at.saturating_sub(60))..self.end.min(at + 40)].to_vec();
                    return Err(if self.buffer.get(at) == Some(&b'\r') {
                        RecordError::LoneReturn { line, text }
                    } else if self.buffer[self.start..at].ends_with(b"\\\"") {
                        RecordError::BackslashEscape { line, text }
                    } else {
                        RecordError::TextAfterQuote { line, text }
                    });
                }
                Scan::Partial { open_quote } => {
                    if self.exhausted || self.end - self.start > self.limit_bytes {
                        let excerpt =
                            |from: usize| self.buffer[from..self.end.min(from + EXCERPT_BYTES)].to_vec();
                        let line = self.line;
                        return Err(match open_quote {
                            Some((line, at)) => RecordError::UnclosedQuote {
                                beyond_limit: !self.exhausted,
                                line,
                                text: excerpt(at),
                            },
                            None if line == 1 && has_lone_return(&self.buffer[self.start..self.end]) => {
                                RecordError::LoneReturn { line, text: excerpt(self.start) }
                            }
                            None => RecordError::TooLong { line, text: excerpt(self.start) },
                        });
                    }
                    self.fill_on().map_err(RecordError::Io)?;
                }
            }
        }
    }

    /// Reads until the buffer has twice as many bytes, so that an input in small portions is not scanned
    /// again for each portion.
    fn fill_on(&mut self) -> io::Result<()> {
        let wanted = ((self.end - self.start) * 2).min(self.limit_bytes + 1);
        loop {
            self.fill()?;
            if self.exhausted || self.end - self.start >= wanted {
                return Ok(());
            }
        }
    }

    /// Makes room, and reads once.
    fn fill(&mut self) -> io::Result<()> {
        let blocks = self.start / BLOCK_BYTES;
        if blocks > 0 {
            let moved = blocks * BLOCK_BYTES;
            self.buffer.copy_within(moved..self.end, 0);
            self.index.forget(blocks);
            self.start -= moved;
            self.end -= moved;
            self.text_to = self.text_to.saturating_sub(moved);
            self.looked_to = self.looked_to.saturating_sub(moved);
        }
        if self.end == self.buffer.len() {
            // One byte beyond the limit shows that a record exceeds it.
            let size = (self.buffer.len() * 2).min(self.limit_bytes + CHUNK_BYTES);
            self.buffer.resize(size.max(self.end + 1), 0);
        }
        loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => {
                    self.exhausted = true;
                    self.drop_end_of_text();
                }
                Ok(count) => {
                    self.index.extend(&self.buffer, self.end, self.end + count);
                    self.end += count;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            return Ok(());
        }
    }

    fn drop_end_of_text(&mut self) {
        let rest = &self.buffer[self.start..self.end];
        if self.delimiter != END_OF_TEXT {
            self.end -= rest.iter().rev().take_while(|byte| **byte == END_OF_TEXT).count();
        }
    }

    /// Checks whether a record is UTF-8 without NUL.
    fn is_text(&mut self, record: &Range<usize>) -> bool {
        if record.end > self.text_to {
            self.look_at_text(record.start);
        }
        record.end <= self.text_to
    }

    /// Extends the part of the buffer that is known to be text, from `start` or from the end of that part.
    fn look_at_text(&mut self, start: usize) {
        let from = self.text_to.max(start);
        let rest = &self.buffer[from..self.end];
        let rest = &rest[..memchr(0, rest).unwrap_or(rest.len())];
        self.text_to = from + from_utf8(rest).map_or_else(|error| error.valid_up_to(), str::len);
        self.looked_to = self.end;
    }

    /// Finds the record at `start` and the positions of its cells. Doubled quotes are halved, in a separate
    /// buffer, once the record is known to be whole.
    fn scan(&mut self) -> Scan {
        let input = &self.buffer[..self.end];
        let mut marks = self.index.from(self.start);
        let mut at = self.start;
        let mut lines = 0;
        let mut doubled = false;
        let mut flaws = Flaws::default();
        let mut count = 0;
        let mut keep = |places: &mut [Place], start, end, is_quoted, is_marked| {
            if let Some(place) = places.get_mut(count) {
                *place = Place::new(start - self.start, end - self.start, is_quoted, is_marked);
            }
            count += 1;
        };
        // The marks inside an unquoted cell so far.
        let mut inner = 0;
        let mut next = marks.next();
        // Most cells end at their first mark.
        while let Some(mark) = next
            && input[mark] == self.delimiter
        {
            keep(&mut self.cells.places, at, mark, false, false);
            at = mark + 1;
            next = marks.next();
        }
        loop {
            let (mark, byte) = match next {
                Some(mark) => (mark, input[mark]),
                None if !self.exhausted => return Scan::Partial { open_quote: None },
                None => (input.len(), b'\n'),
            };
            if byte == self.delimiter {
                keep(&mut self.cells.places, at, mark, false, inner > 0);
                (at, inner) = (mark + 1, 0);
            } else if byte == b'\n' {
                let returned = mark > at && input[mark - 1] == b'\r';
                let content = mark - usize::from(returned);
                keep(&mut self.cells.places, at, content, false, inner > usize::from(returned));
                return self.whole(content, input.len().min(mark + 1), lines, flaws, doubled, count);
            } else if byte == b'"' && mark == at {
                let (opened, open_line) = (at, self.line + lines);
                let mut is_marked = false;
                let close = loop {
                    let Some(mark) = marks.next() else {
                        return Scan::Partial { open_quote: Some((open_line, opened)) };
                    };
                    match (input[mark], input.get(mark + 1)) {
                        (b'"', Some(b'"')) => {
                            marks.next();
                            doubled = true;
                        }
                        // Only the next byte shows whether the quote closes the cell or is doubled.
                        (b'"', None) if !self.exhausted => {
                            return Scan::Partial { open_quote: Some((open_line, opened)) };
                        }
                        (b'"', _) => break mark,
                        (b'\n', _) => lines += 1,
                        _ => {}
                    }
                    is_marked = true;
                };
                keep(&mut self.cells.places, opened + 1, close, true, is_marked);
                let mut after = close + 1;
                // A Ctrl-Z is dropped once the end of the input is known.
                let may_end =
                    |at: usize| !self.exhausted && input[at..].iter().all(|byte| *byte == END_OF_TEXT);
                if input.get(after) == Some(&b'\r') {
                    match input.get(after + 1) {
                        _ if may_end(after + 1) => return Scan::Partial { open_quote: None },
                        Some(b'\n') | None => after += 1,
                        Some(_) => {}
                    }
                }
                match input.get(after) {
                    Some(byte) if *byte == self.delimiter => {
                        marks.next();
                        at = after + 1;
                    }
                    Some(b'\n') => return self.whole(close + 1, after + 1, lines, flaws, doubled, count),
                    _ if may_end(after) => return Scan::Partial { open_quote: None },
                    None => return self.whole(close + 1, after, lines, flaws, doubled, count),
                    Some(_) => return Scan::Garbled { line: self.line + lines, at: after },
                }
            } else {
                flaws.insert(flaw_within(&input[at..], mark - at, inner == 0));
                inner += 1;
            }
            next = marks.next();
        }
    }

    fn whole(
        &mut self,
        end: usize,
        next: usize,
        inner_lines: u64,
        flaws: Flaws,
        doubled: bool,
        count: usize,
    ) -> Scan {
        let cells = &mut self.cells;
        cells.count = count;
        if end - self.start > self.limit_bytes {
            return Scan::Partial { open_quote: None };
        }
        cells.clear_halved();
        if doubled {
            cells.halve_quotes(&self.buffer[self.start..end]);
        }
        Scan::Whole { content: self.start..end, next, inner_lines, flaws }
    }
}

/// Checks whether a text has only blanks, of any script.
fn is_blank(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.chars().all(char::is_whitespace))
}

/// Returns the flaw that a mark shows in the unquoted cell at the beginning of `rest`.
#[cold]
fn flaw_within(rest: &[u8], mark: usize, is_first: bool) -> Flaws {
    match (rest.get(mark), rest.get(mark + 1)) {
        // A CR that is the last byte of the input is a line end, too.
        (Some(b'\r'), Some(next)) if *next != b'\n' => Flaws::LONE_RETURN,
        // The bytes before it are checked once for each cell: after another mark they are not blank.
        (Some(b'"'), _) if is_first && is_blank(&rest[..mark]) => Flaws::BLANK_BEFORE_QUOTE,
        (Some(b'"'), _) => Flaws::STRAY_QUOTE,
        _ => Flaws::default(),
    }
}

#[cfg(test)]
mod tests;
