//! RFC 4180 records, read strictly and without copying.
//!
//! The `csv` crate accepts whatever it is given: an unclosed quote swallows the rest of the file as one cell, and
//! `"x"y` becomes `xy`. Here both are errors with a line number, no record is buffered beyond a limit, and a cell is
//! exactly the bytes that were written.

use std::io::{self, Read};
use std::ops::Range;

use memchr::{memchr, memchr_iter, memchr2};

/// Bytes read at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// Bytes of a record that are given with an error: more than are shown.
const EXCERPT_BYTES: usize = 150;

/// Cells of a record that are kept; more are only counted, since a record of 4 MB may have millions. Redshift's tables have
/// 1,600 columns at the most (Amazon Redshift Database Developer Guide, CREATE TABLE).
const KEPT_CELLS: usize = 1_600;

/// A reader of records from `R`, one at a time.
pub struct Records<R> {
    reader: R,
    delimiter: u8,
    limit_bytes: usize,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    exhausted: bool,
    line: u64,
    cells: Vec<Range<usize>>,
    count: usize,
    halved: Vec<u8>,
}

/// A record, borrowed from the reader's buffer.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The line on which it begins, counted from 1.
    pub line: u64,
    bytes: &'a [u8],
    /// Cells with doubled quotes, the quotes halved, one behind the other.
    halved: &'a [u8],
    /// Where each cell lies in `bytes`, or beyond its end in `halved`.
    cells: &'a [Range<usize>],
    count: usize,
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
    /// A CR without LF where only a delimiter or a line end can stand, or a first line of which CRs leave no end: the lines
    /// end with CR only.
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
    /// How many cells it has.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether it has none, which no record read from an input has.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// A cell by position; empty beyond the last, and beyond those that any table has columns for.
    pub fn cell(&self, at: usize) -> &'a [u8] {
        let Some(Range { start, end }) = self.cells.get(at).cloned() else { return &[] };
        let length = self.bytes.len();
        // A cell of `halved` has a quote at least, and so ends beyond `bytes`.
        let cell = if end > length { self.halved.get(start - length..end - length) } else { self.bytes.get(start..end) };
        cell.unwrap_or_default()
    }

    /// The record as it was written, for a person to recognise it by.
    pub fn raw(&self) -> &'a [u8] {
        self.bytes
    }
}

/// What a look at the buffer found.
enum Scan {
    /// A record that ends before `next`, with `lines` line ends in and behind it.
    Whole { content: Range<usize>, next: usize, lines: u64 },
    /// More input is needed; an open quote began on this line, at this place, if there is one.
    Partial { open_quote: Option<(u64, usize)> },
    /// Text after a closing quote, at this place on this line.
    Garbled { line: u64, at: usize },
}

impl<R: Read> Records<R> {
    /// Reads records of cells between `delimiter`s, none longer than `limit_bytes`. A byte order mark is skipped.
    pub fn new(reader: R, delimiter: u8, limit_bytes: usize) -> Self {
        Self {
            reader,
            delimiter,
            limit_bytes,
            buffer: vec![0; CHUNK_BYTES.min(limit_bytes + 1)],
            start: 0,
            end: 0,
            exhausted: false,
            line: 1,
            cells: Vec::new(),
            count: 0,
            halved: Vec::new(),
        }
    }

    /// The bytes with which the input begins, up to four, without consuming them.
    ///
    /// # Errors
    ///
    /// The input's own.
    pub fn peek(&mut self) -> io::Result<&[u8]> {
        while self.end - self.start < 4 && !self.exhausted {
            self.fill()?;
        }
        Ok(&self.buffer[self.start..self.end.min(self.start + 4)])
    }

    /// Skips `count` bytes that were peeked at.
    pub fn skip(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }

    /// The next record that is not a blank line, or none at the end.
    ///
    /// # Errors
    ///
    /// [`RecordError`]; after one, nothing further can be read with sense.
    pub fn read(&mut self) -> Result<Option<Record<'_>>, RecordError> {
        loop {
            if self.start == self.end && self.exhausted {
                return Ok(None);
            }
            match self.scan() {
                Scan::Whole { content, next, lines } => {
                    let line = self.line;
                    self.line += lines;
                    self.start = next;
                    if content.is_empty() {
                        continue;
                    }
                    return Ok(Some(Record { line, bytes: &self.buffer[content], halved: &self.halved, cells: &self.cells, count: self.count }));
                }
                Scan::Garbled { line, at } => {
                    let text = self.buffer[self.start.max(at.saturating_sub(60))..self.end.min(at + 40)].to_vec();
                    let is_return = self.buffer.get(at) == Some(&b'\r');
                    return Err(if is_return { RecordError::LoneReturn { line, text } } else { RecordError::TextAfterQuote { line, text } });
                }
                Scan::Partial { open_quote } => {
                    if self.exhausted || self.end - self.start > self.limit_bytes {
                        let excerpt = |from: usize| self.buffer[from..self.end.min(from + EXCERPT_BYTES)].to_vec();
                        let line = self.line;
                        return Err(match open_quote {
                            Some((line, at)) => RecordError::UnclosedQuote { beyond_limit: !self.exhausted, line, text: excerpt(at) },
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

    /// Reads until there is twice as much to look at, so that an input which comes in crumbs is not looked at again for each.
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
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            // One byte beyond the limit is enough to know that a record exceeds it.
            let size = (self.buffer.len() * 2).min(self.limit_bytes + CHUNK_BYTES);
            self.buffer.resize(size.max(self.end + 1), 0);
        }
        loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.exhausted = true,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            return Ok(());
        }
    }

    /// Finds the record at `start`, its cells as ranges of its content. Doubled quotes are halved, beside it, once the record
    /// is known to be whole.
    fn scan(&mut self) -> Scan {
        self.cells.clear();
        let input = &self.buffer[self.start..self.end];
        let mut at = 0;
        let mut lines = 0;
        let mut doubled = false;
        let mut count = 0;
        loop {
            if input.get(at) == Some(&b'"') {
                let (opened, open_line) = (at, self.line + lines);
                let mut from = at + 1;
                let close = loop {
                    let Some(found) = memchr(b'"', &input[from..]) else {
                        return Scan::Partial { open_quote: Some((open_line, self.start + opened)) };
                    };
                    let quote = from + found;
                    match input.get(quote + 1) {
                        Some(b'"') => {
                            doubled = true;
                            from = quote + 2;
                        }
                        // Whether it closes or is doubled shows only with the next byte.
                        None if !self.exhausted => return Scan::Partial { open_quote: Some((open_line, self.start + opened)) },
                        _ => break quote,
                    }
                };
                lines += memchr_iter(b'\n', &input[opened..close]).count() as u64;
                keep(&mut self.cells, &mut count, opened + 1..close);
                let mut after = close + 1;
                if input.get(after) == Some(&b'\r') {
                    match input.get(after + 1) {
                        None if !self.exhausted => return Scan::Partial { open_quote: None },
                        Some(b'\n') | None => after += 1,
                        Some(_) => {}
                    }
                }
                match input.get(after) {
                    None if !self.exhausted => return Scan::Partial { open_quote: None },
                    None => return self.whole(close + 1, after, lines, doubled, count),
                    Some(b'\n') => return self.whole(close + 1, after + 1, lines + 1, doubled, count),
                    Some(byte) if *byte == self.delimiter => at = after + 1,
                    Some(_) => return Scan::Garbled { line: self.line + lines, at: self.start + after },
                }
            } else {
                match memchr2(self.delimiter, b'\n', &input[at..]) {
                    Some(found) if input[at + found] == self.delimiter => {
                        keep(&mut self.cells, &mut count, at..at + found);
                        at += found + 1;
                    }
                    Some(found) => {
                        let end = at + found;
                        let content = if end > at && input[end - 1] == b'\r' { end - 1 } else { end };
                        keep(&mut self.cells, &mut count, at..content);
                        return self.whole(content, end + 1, lines + 1, doubled, count);
                    }
                    None if !self.exhausted => return Scan::Partial { open_quote: None },
                    None => {
                        let content = if input.len() > at && input.last() == Some(&b'\r') { input.len() - 1 } else { input.len() };
                        keep(&mut self.cells, &mut count, at..content);
                        return self.whole(content, input.len(), lines, doubled, count);
                    }
                }
            }
        }
    }

    fn whole(&mut self, content: usize, next: usize, lines: u64, doubled: bool, count: usize) -> Scan {
        self.count = count;
        if content > self.limit_bytes {
            return Scan::Partial { open_quote: None };
        }
        self.halved.clear();
        if doubled {
            let record = &self.buffer[self.start..self.start + content];
            for cell in &mut self.cells {
                halve(record, cell, &mut self.halved);
            }
        }
        Scan::Whole { content: self.start..self.start + content, next: self.start + next, lines }
    }
}

/// Whether a CR stands in `text` without an LF behind it.
pub fn has_lone_return(text: &[u8]) -> bool {
    memchr_iter(b'\r', text).any(|at| text.get(at + 1) != Some(&b'\n'))
}

/// Counts a cell, and keeps where it lies.
fn keep(cells: &mut Vec<Range<usize>>, count: &mut usize, cell: Range<usize>) {
    *count += 1;
    if cells.len() < KEPT_CELLS {
        cells.push(cell);
    }
}

/// Appends a quoted cell with its doubled quotes halved to `halved`, and makes the cell lie there; an unquoted cell's quotes
/// are its own.
fn halve(record: &[u8], cell: &mut Range<usize>, halved: &mut Vec<u8>) {
    let quoted = cell.start > 0 && record.get(cell.start - 1) == Some(&b'"') && record.get(cell.end) == Some(&b'"');
    let mut rest = &record[cell.clone()];
    if !quoted || memchr(b'"', rest).is_none() {
        return;
    }
    let start = record.len() + halved.len();
    while let Some(quote) = memchr(b'"', rest) {
        halved.extend_from_slice(&rest[..=quote]);
        rest = rest.get(quote + 2..).unwrap_or_default();
    }
    halved.extend_from_slice(rest);
    *cell = start..record.len() + halved.len();
}

#[cfg(test)]
mod tests;
