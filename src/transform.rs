//! A member's text in, the staged file's text out.
//!
//! Cells pass through untouched; only configured dates are rewritten, configured nulls marked, surplus columns dropped
//! and derived columns appended.

use std::io::{self, Read, Write};

use memchr::{memchr, memchr_iter};

use crate::config::{Column, Dataset, Derived, Limit, Table};
use crate::problem::{Problem, Problems, Reason};
use crate::records::{Record, RecordError, Records, has_lone_return};

/// What stands for NULL in a staged file. A cell that equals it is bad input, so no cell can become NULL by accident.
pub const NULL_TEXT: &str = "%cmslite-null%";

/// Redshift's limit for one row of COPY's input: "The maximum size of a single input row from any source is 4 MB"
/// (Amazon Redshift Database Developer Guide, COPY).
pub const RECORD_LIMIT_BYTES: usize = 4 * 1024 * 1024;

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
/// The distance between the two changes only where blank lines or line ends in dropped columns were left out, so the
/// map holds just the places where it does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LineMap {
    steps: Vec<(u64, u64)>,
    full: bool,
}

impl LineMap {
    fn note(&mut self, staged: u64, source: u64) {
        let expected = self.steps.last().map(|(a, b)| b + (staged - a));
        if expected != Some(source) {
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
/// What is wrong with the text goes to `problems`; from the first problem on nothing more is written, since a bad
/// archive is not loaded, but reading goes on so that its uploader learns more than the first.
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

    let header_columns = match next(&mut records, member, problems)? {
        Some(header) => {
            if let Some(problem) = header_problem(member, &header, table, dataset.delimiter) {
                problems.push(problem);
                return Ok(Tally::default());
            }
            header.len()
        }
        None if problems.found() == before => {
            problems.push(Problem::member(member, Reason::EmptyMember));
            return Ok(Tally::default());
        }
        None => return Ok(Tally::default()),
    };

    let mut row = Row { member, table, header_columns, null_as: dataset.null_as.as_deref().map(str::as_bytes), date: Vec::new() };
    let mut tally = Tally::default();
    while let Some(record) = next(&mut records, member, problems)? {
        if let Err(problem) = row.check(&record) {
            problems.push(problem);
        } else if problems.is_empty() {
            tally.lines.note(staged.line, record.line);
            match row.write(&record, &mut staged).map_err(TransformError::Write)? {
                Ok(()) => tally.rows += 1,
                Err(problem) => problems.push(problem),
            }
        } else if let Err(problem) = row.write(&record, &mut Discard).map_err(TransformError::Write)? {
            problems.push(problem);
        }
        if problems.is_full() {
            break;
        }
    }
    staged.flush().map_err(TransformError::Write)?;
    Ok(tally)
}

/// The next record, or none at the end or where nothing further can be read with sense.
fn next<'r, R: Read>(records: &'r mut Records<R>, member: &str, problems: &mut Problems) -> Result<Option<Record<'r>>, TransformError> {
    let (line, text, reason) = match records.read() {
        Ok(record) => return Ok(record),
        Err(RecordError::Io(error)) => return Err(TransformError::Read(error)),
        Err(RecordError::UnclosedQuote { beyond_limit, line, text }) => {
            (line, text, Reason::UnclosedQuote { limit_bytes: beyond_limit.then_some(RECORD_LIMIT_BYTES) })
        }
        Err(RecordError::LoneReturn { line, text }) => (line, text, Reason::LoneReturn),
        Err(RecordError::TextAfterQuote { line, text }) => (line, text, Reason::TextAfterQuote),
        Err(RecordError::TooLong { line, text }) => (line, text, Reason::RecordTooLong { limit_bytes: RECORD_LIMIT_BYTES }),
    };
    problems.push(Problem::member(member, reason).at_line(line).with_text(&text));
    Ok(None)
}

fn header_problem(member: &str, header: &Record<'_>, table: &Table, delimiter: u8) -> Option<Problem> {
    let expected = table.columns.len();
    let found = header.len();
    let raw = header.raw();
    let at = |reason| Some(Problem::member(member, reason).at_line(header.line).with_text(raw));
    // A header is never looked at for its words; but with these it is no header, and the rows would go unread with it.
    if has_lone_return(raw) {
        return at(Reason::LoneReturn);
    }
    if memchr(0, raw).is_some() {
        return at(Reason::NulByte);
    }
    if found >= expected {
        return None;
    }
    let fits =
        [b',', b'|', b'\t', b';'].into_iter().find(|other| *other != delimiter && memchr_iter(*other, raw).count() + 1 >= expected && expected > 1);
    let reason = Reason::ShortHeader { expected, found, delimiter: char::from(delimiter), fits: fits.map(char::from) };
    at(reason)
}

/// Whether a text begins with the byte order mark of UTF-16, or with two characters of ASCII written so.
fn is_utf16(begin: &[u8]) -> bool {
    match begin {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        [a, b, c, d, ..] => matches!((*a == 0, *b == 0, *c == 0, *d == 0), (true, false, true, false) | (false, true, false, true)),
        _ => false,
    }
}

/// Where the cells of a row go.
trait Cells {
    fn cell(&mut self, text: &[u8]) -> io::Result<()>;
    fn end_row(&mut self) -> io::Result<()>;
}

/// The staged file: CSV with a header, lines counted.
struct Staged<W: Write> {
    writer: csv::Writer<W>,
    line: u64,
}

impl<W: Write> Staged<W> {
    fn new(out: W, table: &Table) -> io::Result<Self> {
        let mut writer = csv::WriterBuilder::new().buffer_capacity(64 * 1024).from_writer(out);
        writer.write_record(table.loaded_columns()).map_err(io::Error::from)?;
        Ok(Self { writer, line: 2 })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl<W: Write> Cells for Staged<W> {
    fn cell(&mut self, text: &[u8]) -> io::Result<()> {
        if memchr(b'\n', text).is_some() {
            self.line += memchr_iter(b'\n', text).count() as u64;
        }
        self.writer.write_field(text).map_err(io::Error::from)
    }

    fn end_row(&mut self) -> io::Result<()> {
        self.line += 1;
        self.writer.write_record(None::<&[u8]>).map_err(io::Error::from)
    }
}

/// Nowhere: a row that is read only for its problems.
struct Discard;

impl Cells for Discard {
    fn cell(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn end_row(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Row<'a> {
    member: &'a str,
    table: &'a Table,
    header_columns: usize,
    null_as: Option<&'a [u8]>,
    date: Vec<u8>,
}

impl Row<'_> {
    /// What is wrong with a record before any cell is looked at for its meaning.
    fn check(&self, record: &Record<'_>) -> Result<(), Problem> {
        let raw = record.raw();
        let at = |reason| Problem::member(self.member, reason).at_line(record.line);
        let in_cell = |reason, wrong: &dyn Fn(&[u8]) -> bool| {
            let found = (0..record.len()).find(|cell| wrong(record.cell(*cell)));
            let problem = at(reason).with_text(found.map_or(raw, |cell| record.cell(cell)));
            match found.and_then(|cell| self.table.columns.get(cell)) {
                Some(column) => problem.in_column(&column.name),
                None => problem,
            }
        };
        if std::str::from_utf8(raw).is_err() {
            return Err(in_cell(Reason::InvalidUtf8, &|cell| std::str::from_utf8(cell).is_err()));
        }
        if memchr(0, raw).is_some() {
            return Err(in_cell(Reason::NulByte, &|cell| cell.contains(&0)));
        }
        // Two lines taken for one: the second's cells would go with the columns that are dropped.
        if record.len() > self.header_columns && has_lone_return(raw) {
            return Err(at(Reason::LoneReturn).with_text(raw));
        }
        let expected = self.table.columns.len();
        if record.len() < expected {
            return Err(at(Reason::TooFewColumns { expected, found: record.len() }).with_text(raw));
        }
        Ok(())
    }

    /// Writes a checked record; the inner error is the first cell that cannot be loaded.
    fn write(&mut self, record: &Record<'_>, out: &mut impl Cells) -> io::Result<Result<(), Problem>> {
        let table = self.table;
        // Every cell is judged before the first is written, so that a refused row leaves no half of it behind.
        for (at, column) in table.columns.iter().enumerate() {
            let limit = table.limits.get(at).copied().unwrap_or_default();
            if let Err(reason) = self.judge(column, limit, record.cell(at)) {
                let problem = Problem::member(self.member, reason).at_line(record.line).in_column(&column.name);
                return Ok(Err(problem.with_text(record.cell(at))));
            }
        }
        for (at, derived) in table.derived.iter().enumerate() {
            let limit = table.limits.get(table.columns.len() + at).copied().unwrap_or_default();
            if let Err(reason) = self.judge_text(limit, derive(derived, record)) {
                let problem = Problem::member(self.member, reason).at_line(record.line).in_column(&derived.name);
                return Ok(Err(problem.with_text(record.cell(derived.from))));
            }
        }
        let mut dates = std::mem::take(&mut self.date);
        let mut rest = dates.as_slice();
        for (at, column) in table.columns.iter().enumerate() {
            let cell = record.cell(at);
            if self.is_null(cell) {
                out.cell(NULL_TEXT.as_bytes())?;
            } else if column.date.is_some() && !cell.is_empty() {
                let end = memchr(b'\n', rest).unwrap_or(rest.len());
                out.cell(&rest[..end])?;
                rest = rest.get(end + 1..).unwrap_or_default();
            } else {
                out.cell(cell)?;
            }
        }
        for derived in &table.derived {
            let cell = derive(derived, record);
            out.cell(if self.is_null(cell) { NULL_TEXT.as_bytes() } else { cell })?;
        }
        dates.clear();
        self.date = dates;
        out.end_row()?;
        Ok(Ok(()))
    }

    /// Whether the table takes a text as it is.
    fn judge_text(&self, limit: Limit, text: &[u8]) -> Result<(), Reason> {
        if self.is_null(text) {
            return if limit.not_null { Err(Reason::NullNotAllowed) } else { Ok(()) };
        }
        if text == NULL_TEXT.as_bytes() {
            return Err(Reason::ReservedText);
        }
        match (limit.max_bytes, text.len() as u64) {
            (Some(column_bytes), found_bytes) if found_bytes > column_bytes => Err(Reason::TextTooLong { column_bytes, found_bytes }),
            _ => Ok(()),
        }
    }

    /// Reads a date cell into the row's dates, one a line.
    fn judge(&mut self, column: &Column, limit: Limit, cell: &[u8]) -> Result<(), Reason> {
        let Some(format) = &column.date else { return self.judge_text(limit, cell) };
        self.judge_text(Limit { max_bytes: None, ..limit }, cell)?;
        if self.is_null(cell) || cell.is_empty() {
            return Ok(());
        }
        let text = std::str::from_utf8(cell).map_err(|_| Reason::InvalidUtf8)?;
        if let Err(detail) = format.rewrite(text, &mut self.date) {
            self.date.clear();
            return Err(Reason::BadDate { format: format.as_str().to_owned(), detail });
        }
        self.date.push(b'\n');
        Ok(())
    }

    fn is_null(&self, cell: &[u8]) -> bool {
        self.null_as == Some(cell)
    }
}

/// The text between the separators of another column, empty if there is none.
fn derive<'r>(derived: &Derived, record: &Record<'r>) -> &'r [u8] {
    std::str::from_utf8(record.cell(derived.from))
        .ok()
        .and_then(|text| text.split(derived.split.as_str()).nth(derived.index))
        .unwrap_or_default()
        .as_bytes()
}

#[cfg(test)]
mod tests;
