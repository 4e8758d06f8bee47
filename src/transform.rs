//! A member's text in, the staged file's text out.
//!
//! Cells pass through untouched; only configured dates are rewritten, configured nulls marked, surplus
//! columns dropped and derived columns appended.

mod staged;

use std::io::{self, Read, Write};

use memchr::memmem;
use memchr::{memchr, memchr_iter};

use crate::config::{Dataset, Derived, Limit, Table};
use crate::dates::DateFormat;
use crate::problem::{Problem, Problems, Reason};
use crate::progress::Progress;
use crate::records::{Record, RecordError, Records, has_lone_return};
use staged::{Staged, push_quoted};

/// What stands for NULL in a staged file. A cell that equals it is bad input, so no cell can become NULL by
/// accident.
pub const NULL_TEXT: &str = "%cmslite-null%";

/// Redshift's limit for one row of COPY's input: "The maximum size of a single input row from any source is 4
/// MB" (Amazon Redshift Database Developer Guide, COPY).
pub const RECORD_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// Rows that are told of together.
const ROWS_TOLD: u64 = 1024;

/// Entries of a [`LineMap`] before it stops to grow: a megabyte.
const LINE_MAP_ENTRIES: usize = 65_536;

/// What became of a member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows written, the header not counted.
    pub rows: u64,
    /// From the staged file's lines back to the member's.
    pub lines: LineMap,
}

/// From a line of the staged file to the line of the member.
///
/// The distance between the two changes only where blank lines or line ends in dropped columns were left out,
/// so the map holds just the places where it does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LineMap {
    steps: Vec<(u64, u64)>,
    full: bool,
}

impl LineMap {
    fn note(&mut self, staged: u64, source: u64) {
        if self.steps.last().is_none_or(|(a, b)| b + (staged - a) != source) {
            if self.steps.len() < LINE_MAP_ENTRIES {
                self.steps.push((staged, source));
            } else {
                self.full = true;
            }
        }
    }

    /// The member's line for a line of the staged file, if it is known.
    pub fn source_line(&self, staged: u64) -> Option<u64> {
        let at = self.steps.partition_point(|(line, _)| *line <= staged).checked_sub(1)?;
        if self.full && at + 1 == self.steps.len() {
            return None;
        }
        self.steps.get(at).map(|(line, source)| source + (staged - line))
    }
}

/// Why a member could not be transformed to its end, other than for what it says.
#[derive(Debug)]
pub enum TransformError {
    /// The member cannot be read on: the archive, or the network beneath it.
    Read(io::Error),
    /// The staged file cannot be written.
    Write(io::Error),
}

/// Reads `member` from `reader` and writes the staged file of `table` to `out`, header line included.
///
/// What is wrong with the text goes to `problems`; from the first problem on nothing more is written, since a
/// bad archive is not loaded, but reading goes on so that its uploader learns more than the first.
///
/// # Errors
///
/// [`TransformError`] when input or output fails.
pub fn transform<R: Read, W: Write>(
    member: &str,
    reader: R,
    table: &Table,
    dataset: &Dataset,
    out: W,
    problems: &mut Problems,
    progress: &Progress,
) -> Result<Tally, TransformError> {
    let before = problems.found();
    let mut records = Records::new(reader, dataset.delimiter, RECORD_LIMIT_BYTES);
    let mut staged = Staged::new(out, table).map_err(TransformError::Write)?;
    let begin = records.peek().map_err(TransformError::Read)?;
    if is_utf16(begin) {
        problems.push(Problem::member(member, Reason::Utf16).at_line(1));
        return Ok(Tally::default());
    }
    if begin.starts_with(b"\xef\xbb\xbf") {
        records.skip(3);
    }

    if !advance(&mut records, member, problems)? {
        if problems.found() == before {
            problems.push(Problem::member(member, Reason::EmptyMember));
        }
        return Ok(Tally::default());
    }
    let header = records.record();
    if let Some(problem) = header_problem(member, &header, table, dataset.delimiter) {
        problems.push(problem);
        return Ok(Tally::default());
    }
    let header_columns = header.len();

    let row = Row::new(member, table, header_columns, dataset);
    let mut tally = Tally::default();
    while advance(&mut records, member, problems)? {
        let record = records.record();
        match row.check(&record).and_then(|()| staged.row(|out| row.write(&record, out))) {
            Err(problem) => problems.push(*problem),
            Ok(()) if problems.is_empty() => {
                tally.lines.note(staged.line(), record.line);
                tally.rows += 1;
                if tally.rows.is_multiple_of(ROWS_TOLD) {
                    progress.rows(ROWS_TOLD);
                }
                staged.keep_row(record.is_one_line).map_err(TransformError::Write)?;
            }
            Ok(()) => staged.drop_row(),
        }
        if problems.is_full() {
            break;
        }
    }
    progress.rows(tally.rows % ROWS_TOLD);
    staged.flush().map_err(TransformError::Write)?;
    Ok(tally)
}

/// Goes on to the next record, if there is one and anything further can be read with sense.
#[inline]
fn advance<R: Read>(
    records: &mut Records<R>,
    member: &str,
    problems: &mut Problems,
) -> Result<bool, TransformError> {
    match records.advance() {
        Ok(is_there) => Ok(is_there),
        Err(error) => unreadable(error, member, problems).map(|()| false),
    }
}

#[cold]
fn unreadable(error: RecordError, member: &str, problems: &mut Problems) -> Result<(), TransformError> {
    let (line, text, reason) = match error {
        RecordError::Io(error) => return Err(TransformError::Read(error)),
        RecordError::UnclosedQuote { beyond_limit, line, text } => {
            (line, text, Reason::UnclosedQuote { limit_bytes: beyond_limit.then_some(RECORD_LIMIT_BYTES) })
        }
        RecordError::LoneReturn { line, text } => (line, text, Reason::LoneReturn),
        RecordError::TextAfterQuote { line, text } => (line, text, Reason::TextAfterQuote),
        RecordError::TooLong { line, text } => {
            (line, text, Reason::RecordTooLong { limit_bytes: RECORD_LIMIT_BYTES })
        }
    };
    problems.push(Problem::member(member, reason).at_line(line).with_text(&text));
    Ok(())
}

fn header_problem(member: &str, header: &Record<'_>, table: &Table, delimiter: u8) -> Option<Problem> {
    let expected = table.columns.len();
    let found = header.len();
    let raw = header.raw();
    let at = |reason| Some(Problem::member(member, reason).at_line(header.line).with_text(raw));
    // A header is never looked at for its words; but with these it is no header, and the rows would go unread
    // with it.
    if has_lone_return(raw) {
        return at(Reason::LoneReturn);
    }
    if memchr(0, raw).is_some() {
        return at(Reason::NulByte);
    }
    if found >= expected {
        return None;
    }
    let fits = [b',', b'|', b'\t', b';'].into_iter().find(|other| {
        *other != delimiter && memchr_iter(*other, raw).count() + 1 >= expected && expected > 1
    });
    let reason =
        Reason::ShortHeader { expected, found, delimiter: char::from(delimiter), fits: fits.map(char::from) };
    at(reason)
}

/// Whether a text begins with the byte order mark of UTF-16, or with two characters of ASCII written so.
fn is_utf16(begin: &[u8]) -> bool {
    match begin {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        [a, b, c, d, ..] => matches!(
            (*a == 0, *b == 0, *c == 0, *d == 0),
            (true, false, true, false) | (false, true, false, true)
        ),
        _ => false,
    }
}

/// How the cells of one member's rows are judged and written.
struct Row<'a> {
    member: &'a str,
    table: &'a Table,
    header_columns: usize,
    null_as: Option<&'a [u8]>,
    /// One for each column, then one for each that is derived.
    slots: Vec<Slot<'a>>,
    /// Whether a cell may mean something that begins with this byte, and last whether an empty one may.
    means: [bool; 257],
}

/// A column as a cell is judged for it.
#[derive(Clone, Copy)]
struct Slot<'a> {
    name: &'a str,
    date: Option<&'a DateFormat>,
    limit: Limit,
}

impl<'a> Row<'a> {
    fn new(member: &'a str, table: &'a Table, header_columns: usize, dataset: &'a Dataset) -> Self {
        let null_as = dataset.null_as.as_deref().map(str::as_bytes);
        let mut means = [false; 257];
        for text in null_as.into_iter().chain([NULL_TEXT.as_bytes()]) {
            means[text.first().map_or(256, |first| usize::from(*first))] = true;
        }
        let columns = table.columns.iter().map(|column| (column.name.as_str(), column.date.as_ref()));
        let derived = table.derived.iter().map(|derived| (derived.name.as_str(), None));
        let limits = table.limits.iter().copied().chain(std::iter::repeat(Limit::default()));
        let slot = |((name, date), limit): ((&'a str, Option<&'a DateFormat>), Limit)| {
            // What is loaded of a date is what it is rewritten to.
            let limit = if date.is_some() { Limit { max_bytes: None, ..limit } } else { limit };
            Slot { name, date, limit }
        };
        Self {
            member,
            table,
            header_columns,
            null_as,
            slots: columns.chain(derived).zip(limits).map(slot).collect(),
            means,
        }
    }

    /// Whether a record may be looked at cell by cell. The problem is boxed, since a result is handed on for
    /// each row.
    fn check(&self, record: &Record<'_>) -> Result<(), Box<Problem>> {
        if record.is_text && record.len() == self.header_columns {
            return Ok(());
        }
        self.wrong_with(record).map_or(Ok(()), |problem| Err(Box::new(problem)))
    }

    /// What is wrong with a record before any cell is looked at for its meaning.
    #[cold]
    fn wrong_with(&self, record: &Record<'_>) -> Option<Problem> {
        let raw = record.raw();
        let at = |reason| Problem::member(self.member, reason).at_line(record.line);
        let in_cell = |reason, wrong: &dyn Fn(&[u8]) -> bool| {
            let found = (0..record.len()).find(|cell| wrong(record.text(*cell)));
            let problem = at(reason).with_text(found.map_or(raw, |cell| record.text(cell)));
            match found.and_then(|cell| self.table.columns.get(cell)) {
                Some(column) => problem.in_column(&column.name),
                None => problem,
            }
        };
        if !record.is_text && std::str::from_utf8(raw).is_err() {
            return Some(in_cell(Reason::InvalidUtf8, &|cell| std::str::from_utf8(cell).is_err()));
        }
        if !record.is_text {
            return Some(in_cell(Reason::NulByte, &|cell| cell.contains(&0)));
        }
        // Two lines taken for one: the second's cells would go with the columns that are dropped.
        if record.len() > self.header_columns && has_lone_return(raw) {
            return Some(at(Reason::LoneReturn).with_text(raw));
        }
        let expected = self.table.columns.len();
        let found = record.len();
        (found < expected).then(|| at(Reason::TooFewColumns { expected, found }).with_text(raw))
    }

    /// Appends a checked record; the error is the first cell that cannot be loaded.
    ///
    /// Cells that stay as they are written are appended together, with what is between them.
    fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) -> Result<(), Box<Problem>> {
        let (columns, derived) = self.slots.split_at(self.table.columns.len());
        // Where what is to be appended begins in the record: with the comma behind the cell before it.
        let mut from = 0;
        let mut to = 0;
        for (at, (slot, cell)) in columns.iter().zip(record.cells()).enumerate() {
            if cell.is_canonical
                && slot.date.is_none()
                && !slot.limit.is_exceeded_by(cell.text)
                && !self.means_something(cell.text)
            {
                to = cell.written.1;
                continue;
            }
            out.extend_from_slice(record.raw().get(from..to).unwrap_or_default());
            if at > 0 {
                out.push(b',');
            }
            self.write_cell(slot, cell.text, out).map_err(|reason| self.refused(reason, record, slot, at))?;
            (from, to) = (cell.written.1, cell.written.1);
        }
        out.extend_from_slice(record.raw().get(from..to).unwrap_or_default());
        for (derived, slot) in self.table.derived.iter().zip(derived) {
            out.push(b',');
            let text = derive(derived, record.text(derived.from));
            self.write_cell(slot, text, out)
                .map_err(|reason| self.refused(reason, record, slot, derived.from))?;
        }
        Ok(())
    }

    #[cold]
    fn refused(&self, reason: Reason, record: &Record<'_>, slot: &Slot<'_>, from: usize) -> Box<Problem> {
        Box::new(
            Problem::member(self.member, reason)
                .at_line(record.line)
                .in_column(slot.name)
                .with_text(record.text(from)),
        )
    }

    /// Whether a text may be more than a text, as far as its first byte tells.
    fn means_something(&self, text: &[u8]) -> bool {
        self.means[text.first().map_or(256, |first| usize::from(*first))]
    }

    fn write_cell(&self, slot: &Slot<'_>, text: &[u8], out: &mut Vec<u8>) -> Result<(), Reason> {
        self.judge(slot.limit, text)?;
        match slot.date {
            _ if self.is_null(text) => out.extend_from_slice(NULL_TEXT.as_bytes()),
            Some(format) if !text.is_empty() => {
                format
                    .rewrite(text, out)
                    .map_err(|detail| Reason::BadDate { format: format.as_str().to_owned(), detail })?;
            }
            _ => push_quoted(text, out),
        }
        Ok(())
    }

    /// Whether the table takes a text as it is.
    fn judge(&self, limit: Limit, text: &[u8]) -> Result<(), Reason> {
        if self.is_null(text) {
            return if limit.not_null { Err(Reason::NullNotAllowed) } else { Ok(()) };
        }
        if is(text, NULL_TEXT.as_bytes()) {
            return Err(Reason::ReservedText);
        }
        match limit.max_bytes {
            Some(column_bytes) if limit.is_exceeded_by(text) => {
                Err(Reason::TextTooLong { column_bytes, found_bytes: text.len() as u64 })
            }
            _ => Ok(()),
        }
    }

    fn is_null(&self, text: &[u8]) -> bool {
        self.null_as.is_some_and(|null_as| is(text, null_as))
    }
}

/// Whether two texts are the same; most differ in length or first byte, and are compared no further.
#[inline]
fn is(text: &[u8], other: &[u8]) -> bool {
    text.len() == other.len() && text.first() == other.first() && text == other
}

/// The text between the separators of another column's, empty if there is none.
fn derive<'r>(derived: &Derived, text: &'r [u8]) -> &'r [u8] {
    let separator = derived.split.as_bytes();
    let mut rest = text;
    for _ in 0..derived.index {
        let Some(found) = memmem::find(rest, separator) else { return &[] };
        rest = &rest[found + separator.len()..];
    }
    &rest[..memmem::find(rest, separator).unwrap_or(rest.len())]
}

#[cfg(test)]
mod tests;
