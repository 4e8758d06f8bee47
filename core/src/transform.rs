//! A member's text in, the staged file's text out.
//!
//! Cells pass through untouched; only configured dates are rewritten, configured nulls marked, surplus
//! columns dropped and derived columns appended.

mod line_map;
mod row;

use std::io::{self, Read, Write};

use memchr::{memchr, memchr_iter};

use crate::config::{Dataset, Table};
use crate::csv::{Record, RecordError, RecordReader, RowWriter, has_lone_return};
use crate::limits::ColumnLimit;
use crate::problem::{Problem, Problems, Reason};
use crate::progress::Progress;

pub use self::line_map::LineMap;
pub use self::row::NULL_TEXT;
use self::row::Row;

/// Redshift's limit for one row of COPY's input: "The maximum size of a single input row from any source is 4
/// MB" (Amazon Redshift Database Developer Guide, COPY).
pub const RECORD_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// Rows that are counted together.
const ROWS_REPORTED: u64 = 1024;

/// What became of a member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transformed {
    /// Rows written, the header not counted.
    pub rows: u64,
    /// Rows that the member has, written or not; none where it was not read to its end.
    pub rows_found: Option<u64>,
    /// From the staged file's lines back to the member's.
    pub lines: LineMap,
}

/// Why a member could not be transformed to its end, other than for what it says.
#[derive(Debug)]
pub enum TransformError {
    /// The member cannot be read on: the archive, or the network beneath it.
    Read(io::Error),
    /// The staged file cannot be written.
    Write(io::Error),
}

/// One member's way into its table's staged file.
#[derive(Clone, Copy)]
pub struct Transform<'a> {
    /// The member's name inside the archive.
    pub member: &'a str,
    /// The table that it fills.
    pub table: &'a Table,
    /// The dataset of the table.
    pub dataset: &'a Dataset,
    /// What the table's columns take, by position in the staged file; nothing is known of columns beyond its
    /// end.
    pub limits: &'a [ColumnLimit],
    /// Where the rows are counted while the member is read.
    pub progress: &'a Progress,
}

impl Transform<'_> {
    /// Reads the member from `reader` and writes the staged file to `out`, header line included.
    ///
    /// What is wrong with the text goes to `problems`; from the first problem on nothing more is written,
    /// since a bad archive is not loaded, but reading goes on so that its uploader learns more than the
    /// first.
    ///
    /// # Errors
    ///
    /// [`TransformError`] when input or output fails.
    pub fn run<R: Read, W: Write>(
        &self,
        reader: R,
        out: W,
        problems: &mut Problems,
    ) -> Result<Transformed, TransformError> {
        let Self { member, table, dataset, limits, progress } = *self;
        let before = problems.found();
        let mut records = RecordReader::new(reader, dataset.delimiter, RECORD_LIMIT_BYTES);
        let mut rows = RowWriter::new(out, table.loaded_columns()).map_err(TransformError::Write)?;
        let begin = records.peek().map_err(TransformError::Read)?;
        if is_utf16(begin) {
            problems.push(Problem::member(member, Reason::Utf16).at_line(1));
            return Ok(Transformed::default());
        }
        if begin.starts_with(b"\xef\xbb\xbf") {
            records.skip(3);
        }

        if !advance(&mut records, member, problems)? {
            if problems.found() == before {
                problems.push(Problem::member(member, Reason::EmptyMember));
            }
            return Ok(Transformed::default());
        }
        let header = records.record();
        if let Some(problem) = header_problem(member, &header, table, dataset.delimiter) {
            problems.push(problem);
            return Ok(Transformed::default());
        }
        let header_columns = header.len();

        let row = Row::new(member, table, limits, dataset.null_as.as_deref(), header_columns);
        let mut transformed = Transformed::default();
        let (mut refused, mut dropped) = (0, 0);
        let before_rows = problems.found();
        while advance(&mut records, member, problems)? {
            let record = records.record();
            match row.check(&record).and_then(|()| rows.row(|out| row.write(&record, out))) {
                Err(problem) => {
                    refused += 1;
                    problems.push(*problem);
                }
                Ok(()) if problems.is_empty() => {
                    transformed.lines.note(rows.line(), record.line);
                    transformed.rows += 1;
                    if transformed.rows.is_multiple_of(ROWS_REPORTED) {
                        progress.rows(ROWS_REPORTED);
                    }
                    rows.keep_row(record.is_one_line).map_err(TransformError::Write)?;
                }
                Ok(()) => {
                    dropped += 1;
                    rows.drop_row();
                }
            }
            if problems.is_full() {
                break;
            }
        }
        progress.rows(transformed.rows % ROWS_REPORTED);
        // What is no row's problem ended the reading.
        if !problems.is_full() && problems.found() == before_rows + refused {
            transformed.rows_found = Some(transformed.rows + refused + dropped);
        }
        rows.flush().map_err(TransformError::Write)?;
        Ok(transformed)
    }
}

/// Goes on to the next record, if there is one and anything further can be read with sense.
#[inline]
fn advance<R: Read>(
    records: &mut RecordReader<R>,
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

#[cfg(test)]
mod tests;
