//! Takes rows without problems straight from the reader's buffer, many at a time.
//!
//! One walk from mark to mark counts and judges a row's cells, and unchanged text is copied together, over
//! cells and rows. It is only a faster way to do what [`Row`] does, and has no rules of its own: if a row is
//! incomplete, or unusual in any way that a byte can show, the walk ends before it, and the row goes the
//! general way (`RecordReader::advance`, `Row::check`, `Row::write`). The result is right for these reasons:
//!
//! - The walk begins where a record begins, and continues only after a line end that is not enclosed in
//!   quotes: at the next record.
//! - It continues only if each mark is one that the form of CSV has at this position: the delimiter after a
//!   cell, the line end, LF or CRLF, after the last cell, and quotes around a whole cell, in which they are
//!   doubled. A row with any other mark, such as a quote or a CR within a cell, or with more or fewer cells,
//!   is not taken.
//! - Its input is UTF-8 without NUL.
//! - A cell stays unchanged if it is shorter than any text that its column refuses, and does not begin like
//!   a text with a special meaning. Every other cell is judged and written as `Row` does it.
//! - If a row is not taken, everything that was appended for it is removed again.

mod cell;

use std::io::{self, Read};
use std::ops::Range;

use memchr::memchr_iter;

use self::cell::{Form, cell};
use super::header::Header;
use super::line_map::LineMap;
use super::row::Row;
use crate::csv::{
    Ahead, BUFFER_BYTES, BYTE_ORDER_MARK, Cursor, KEPT_CELLS, RecordReader, RowSink, RowWriter,
    StructuralIndex, needs_quotes,
};
use crate::strptime::DateFormat;

/// The delimiter of staged files; rows with another delimiter cannot be copied.
const COMMA: u8 = b',';

/// The maximum number of rows that go the general way before the next one is tried, where hardly any row is
/// plain: each try costs time.
const MAX_UNTRIED: u32 = 63;

/// A taker of the rows of one member, as long as they are plain.
pub(super) struct PlainRows<'a> {
    row: &'a Row<'a>,
    header: &'a Header,
    limit_bytes: usize,
    columns: Vec<Column<'a>>,
    /// Whether a cell that has this byte after its preceding delimiter must be examined.
    hints: [bool; 256],
    /// The number of rows that go the general way after a try that failed, and how many of them are left.
    untried: u32,
    untried_left: u32,
}

/// The action at the mark after a cell.
struct Column<'a> {
    /// The mark that is expected.
    ends_with: u8,
    /// The length below which cells stay unchanged.
    plain_below: usize,
    /// The format of its dates, if nothing else is done with them.
    date: Option<&'a DateFormat>,
}

/// The rows that were taken.
struct Taken {
    rows: u64,
    /// The position and the line of the next record, and the line of the staged file for its row.
    to: usize,
    line: u64,
    staged_line: u64,
}

/// The row that is being taken.
struct Walk<'w> {
    text: &'w [u8],
    index: &'w StructuralIndex,
    out: &'w mut Vec<u8>,
    /// The beginning of the text that is not copied yet.
    from: usize,
    /// The beginning of the row.
    begin: usize,
    /// The end of the loaded part of the row, if that is before the LF.
    end: Option<usize>,
    /// The line ends within its cells, as they are read and as they are written.
    lines_read: u64,
    lines_written: u64,
    /// The source cell of each derived column.
    sources: Vec<(Range<usize>, Form)>,
}

impl<'a> PlainRows<'a> {
    /// Creates a taker of the rows below this header; `None` if all of them go the general way.
    pub(super) fn new(row: &'a Row<'a>, header: &'a Header, limit_bytes: usize) -> Option<Self> {
        let derived = &row.table().derived;
        // Separators are searched in text whose quotes are still doubled.
        let is_fit = row.delimiter() == COMMA
            && header.len == header.named
            && header.len <= KEPT_CELLS
            && row.outputs().len() > 1
            && derived.iter().all(|derived| !derived.split.contains('"'));
        if !is_fit {
            return None;
        }
        let loaded = row.table().columns.len();
        let column = |at: usize| {
            let is_source = derived.iter().any(|derived| derived.from == at);
            let plain_below = match row.outputs().get(at) {
                Some(output) if at < loaded && !is_source => output.plain_below,
                // The row is to be cut at the first column that is not loaded.
                _ if at <= loaded => 0,
                _ => usize::MAX,
            };
            let date =
                row.outputs().get(at).and_then(|output| output.date).filter(|_| at < loaded && !is_source);
            Column { ends_with: if at + 1 == header.len { b'\n' } else { COMMA }, plain_below, date }
        };
        let mut hints = row.hints();
        // An empty cell, of which only the byte after it is seen.
        for byte in [COMMA, b'\r', b'\n'] {
            hints[usize::from(byte)] = row.means_something(b"");
        }
        hints[usize::from(BYTE_ORDER_MARK[0])] = true;
        Some(Self {
            row,
            header,
            limit_bytes,
            columns: (0..header.len).map(column).collect(),
            hints,
            untried: 0,
            untried_left: 0,
        })
    }

    /// Takes rows up to the first that is not plain, or to the end of the buffer: writes them, notes their
    /// lines, and consumes them. Returns their number.
    pub(super) fn take<R: Read, W: RowSink>(
        &mut self,
        records: &mut RecordReader<R>,
        writer: &mut RowWriter<'_, W>,
        lines: &mut LineMap,
    ) -> io::Result<u64> {
        if self.untried_left > 0 {
            self.untried_left -= 1;
            return Ok(0);
        }
        let mut rows = 0;
        loop {
            let staged_line = writer.line();
            let taken = self.take_some(&records.ahead(), writer.kept(), staged_line, lines);
            rows += taken.rows;
            records.consume(taken.to, taken.line);
            // Fewer rows than fill the buffer: the next one is not plain.
            if !writer.keep_rows(taken.staged_line)? {
                self.untried = if rows > 0 { 0 } else { (2 * self.untried + 1).min(MAX_UNTRIED) };
                self.untried_left = self.untried;
                return Ok(rows);
            }
        }
    }

    /// Appends rows up to the first that is not plain, or until there are enough to be handed on.
    fn take_some(
        &self,
        ahead: &Ahead<'_>,
        out: &mut Vec<u8>,
        mut staged_line: u64,
        lines: &mut LineMap,
    ) -> Taken {
        let mut line = ahead.line;
        let mut marks = ahead.index.from(ahead.start);
        let mut rows = 0;
        let mut walk = Walk {
            text: ahead.text,
            index: ahead.index,
            out,
            from: ahead.start,
            begin: ahead.start,
            end: None,
            lines_read: 0,
            lines_written: 0,
            sources: vec![(0..0, Form::Bare); self.row.derivations().len()],
        };
        // The result for whole rows: the length of `out`, and the position from which the text follows.
        let mut whole = (walk.out.len(), walk.from);
        let mut distance = None;
        while whole.0 + (walk.begin - whole.1) < BUFFER_BYTES
            && let Some((line_end, behind)) = self.row(&mut walk, marks)
        {
            marks = behind;
            // Most rows are as far from their staged lines as the row before.
            let lines_apart = Some(line.wrapping_sub(staged_line));
            if distance != lines_apart {
                distance = lines_apart;
                lines.note(staged_line, line);
            }
            line += 1 + walk.lines_read;
            staged_line += 1 + walk.lines_written;
            rows += 1;
            walk.begin = line_end + 1;
            whole = (walk.out.len(), walk.from);
        }
        let Walk { text, out, begin, .. } = walk;
        out.truncate(whole.0);
        out.extend_from_slice(text.get(whole.1..begin).unwrap_or_default());
        Taken { rows, to: begin, line, staged_line }
    }

    /// Walks over a row, if it is plain: up to its LF, and past the marks after it.
    #[allow(
        clippy::needless_bitwise_bool,
        reason = "a branch that is not foreseen costs more than what it saves"
    )]
    #[inline]
    fn row<'w>(&self, walk: &mut Walk<'w>, mut marks: Cursor<'w>) -> Option<(usize, Cursor<'w>)> {
        let text = walk.text;
        let mut at = walk.begin;
        (walk.end, walk.lines_read, walk.lines_written) = (None, 0, 0);
        if self.header.may_begin(text, at) && self.is_like_header(text, at, walk.index) {
            return None;
        }
        for (number, column) in self.columns.iter().enumerate() {
            let mark = marks.next()?;
            let byte = *text.get(mark)?;
            let first = *text.get(at)?;
            let is_plain = (byte == column.ends_with)
                & (mark - at < column.plain_below)
                & !self.hints[usize::from(first)];
            if is_plain {
                at = mark + 1;
            } else {
                at = self.look_at_cell(walk, number, column, at, mark)?;
                marks = walk.index.from(at);
            }
        }
        let line_end = at - 1;
        let bytes = line_end - walk.begin;
        // A row of empty cells has no more than a delimiter and two quotes for each, and a CR.
        let is_odd = bytes > self.limit_bytes
            || (bytes <= 3 * self.columns.len() && is_empty(text.get(walk.begin..line_end)?));
        if is_odd {
            return None;
        }
        if !self.row.derivations().is_empty() || walk.end.is_some() {
            walk.copy_to(walk.end.unwrap_or(line_end), line_end);
            self.write_derived(walk)?;
        }
        Some((line_end, marks))
    }

    /// Continues after a cell that is not recognised as plain at once: from its beginning and its first mark
    /// to the beginning of the next cell.
    #[inline(never)]
    fn look_at_cell(
        &self,
        walk: &mut Walk<'_>,
        number: usize,
        column: &Column<'_>,
        start: usize,
        mark: usize,
    ) -> Option<usize> {
        let text = walk.text;
        if let Some(format) = column.date
            && text.get(mark) == Some(&column.ends_with)
            && let Some(cell) = text.get(start..mark)
            && let Some(date) = format.canonical(cell)
            && !self.row.means_something(cell)
        {
            let kept = date.kept_bytes();
            let zeros = date.zeros();
            if kept < cell.len() || !zeros.is_empty() {
                walk.copy_to(start + kept, mark);
                walk.out.extend_from_slice(zeros);
            }
            return Some(mark + 1);
        }
        let cell = cell(text, column.ends_with, start, mark, walk.index)?;
        let inner = text.get(cell.inner.clone())?;
        if number == 0
            && (text.get(cell.written.start..)?.starts_with(BYTE_ORDER_MARK)
                || cell.form == Form::Doubled
                || (cell.form == Form::Quoted && self.header.begins_with(inner)))
        {
            return None;
        }
        walk.lines_read += cell.lines;
        // The CR of a CRLF is not loaded.
        if cell.next > cell.written.end + 1 {
            walk.end = walk.end.or(Some(cell.written.end));
        }
        let loaded = self.row.table().columns.len();
        if number >= loaded {
            if number == loaded {
                walk.end = Some(cell.written.start - 1);
            }
            return Some(cell.next);
        }
        for (derivation, source) in self.row.derivations().iter().zip(&mut walk.sources) {
            if derivation.from == number {
                *source = (cell.inner.clone(), cell.form);
            }
        }
        let output = self.row.outputs().get(number)?;
        let stays = cell.is_canonical
            && !self.row.means_something(inner)
            && if cell.form == Form::Doubled {
                inner.len() < output.plain_below
            } else {
                output.takes(inner)
            };
        if stays {
            walk.lines_written += cell.lines;
        } else {
            if cell.form == Form::Doubled || cell.lines > 0 {
                return None;
            }
            walk.copy_to(cell.written.start, cell.written.end);
            self.row.write_cell(output, inner, walk.out).ok()?;
        }
        Some(cell.next)
    }

    /// Appends the columns derived from other columns' cells.
    fn write_derived(&self, walk: &mut Walk<'_>) -> Option<()> {
        let outputs = self.row.outputs().get(self.row.table().columns.len()..)?;
        let derivations = self.row.derivations().iter().zip(&walk.sources);
        for ((derivation, (source, form)), output) in derivations.zip(outputs) {
            let found = derivation.find(walk.text.get(source.clone())?);
            walk.out.push(COMMA);
            if found.len() < output.plain_below && !self.row.means_something(found) {
                let is_quoted = *form != Form::Bare && needs_quotes(found);
                let quote: &[u8] = if is_quoted { b"\"" } else { b"" };
                for part in [quote, found, quote] {
                    walk.out.extend_from_slice(part);
                }
            } else if *form == Form::Doubled {
                return None;
            } else {
                self.row.write_cell(output, found, walk.out).ok()?;
            }
            if walk.lines_read > 0 {
                walk.lines_written += memchr_iter(b'\n', found).count() as u64;
            }
        }
        Some(())
    }

    #[cold]
    fn is_like_header(&self, text: &[u8], at: usize, index: &StructuralIndex) -> bool {
        index
            .from(at)
            .next()
            .is_none_or(|mark| text.get(at..mark).is_none_or(|cell| self.header.begins_with(cell)))
    }
}

impl Walk<'_> {
    /// Copies the text up to `to`, and continues from `from`.
    fn copy_to(&mut self, to: usize, from: usize) {
        self.out.extend_from_slice(self.text.get(self.from..to).unwrap_or_default());
        self.from = from;
    }
}

/// Checks whether a row is blank, or has only empty cells.
fn is_empty(row: &[u8]) -> bool {
    row.iter().all(|byte| matches!(*byte, COMMA | b'"' | b'\r'))
}

#[cfg(test)]
mod tests;
