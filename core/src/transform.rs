//! Turns a member's text into the text of its staged file.
//!
//! Cells stay unchanged, except that configured dates are rewritten, configured nulls marked, surplus columns
//! dropped and derived columns appended.

mod cell_finder;
mod plain;
mod row;

mod derivation;

mod header;
mod kind;
mod line_map;

use std::io::{self, Read};

use crate::config::{Dataset, Table};
use crate::csv::{BYTE_ORDER_MARK, RecordError, RecordReader, RowSink, RowWriter};
use crate::file_type;
use crate::limits::ColumnLimit;
use crate::problem::{Problem, Problems, Quoting, Reason};
use crate::progress::Progress;

pub use self::cell_finder::{CellFinder, CellPlace, StagedCell};
pub use self::header::DroppedColumns;
use self::header::Header;
pub(crate) use self::header::{comparable, separator};
pub use self::line_map::LineMap;
use self::plain::PlainRows;
pub use self::row::NULL_TEXT;
use self::row::{Row, flawed, place};

/// Redshift's limit for one row of COPY's input: "The maximum size of a single input row from any source is 4
/// MB" (Amazon Redshift Database Developer Guide, COPY).
pub const RECORD_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// The minimum number of rows that are counted together.
const ROWS_REPORTED: u64 = 1024;

/// The result of transforming a member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transformed {
    /// The number of rows written, without the header.
    pub rows: u64,
    /// The number of rows left out because all of their cells are empty.
    pub empty_rows: u64,
    /// The columns that are not loaded.
    pub dropped_columns: DroppedColumns,
    /// The number of rows of the member, written or not; `None` if it was not read to its end.
    pub rows_found: Option<u64>,
    /// The mapping from the staged file's lines to the member's.
    pub lines: LineMap,
}

/// The reason why a member could not be transformed to its end, other than its contents.
#[derive(Debug)]
pub enum TransformError {
    /// The member cannot be read further, because of the archive or of the network.
    Read(io::Error),
    /// The staged file cannot be written.
    Write(io::Error),
}

/// The transformation of one member into its table's staged file.
#[derive(Clone, Copy)]
pub struct Transform<'a> {
    /// The member's name in the archive.
    pub member: &'a str,
    /// The table that the member fills.
    pub table: &'a Table,
    /// The table's dataset.
    pub dataset: &'a Dataset,
    /// The limits of the table's columns, by position in the staged file. Columns after the end of the list
    /// have no known limit.
    pub limits: &'a [ColumnLimit],
    /// The progress, which counts the rows while the member is read.
    pub progress: &'a Progress,
}

impl Transform<'_> {
    /// Reads the member from `reader` and writes the staged file to `out`, with its header line.
    ///
    /// Problems of the text go to `problems`. After the first problem nothing more is written, since a bad
    /// archive is not loaded, but reading continues, so that the uploader learns about more than the first.
    ///
    /// # Errors
    ///
    /// [`TransformError`] when input or output fails.
    pub fn run<R: Read, W: RowSink>(
        &self,
        reader: R,
        out: &mut W,
        problems: &mut Problems,
    ) -> Result<Transformed, TransformError> {
        self.run_by(reader, out, problems, true)
    }

    /// Reads the member. Unless plain rows are to be taken together, each row goes the general way, with the
    /// same result.
    fn run_by<R: Read, W: RowSink>(
        &self,
        reader: R,
        out: &mut W,
        problems: &mut Problems,
        are_taken_together: bool,
    ) -> Result<Transformed, TransformError> {
        let Self { member, table, dataset, limits, progress } = *self;
        let mut records = RecordReader::new(reader, dataset.delimiter, RECORD_LIMIT_BYTES);
        let mut rows = RowWriter::new(out, table.loaded_columns()).map_err(TransformError::Write)?;
        let Some(header) = self.header(&mut records, problems)? else {
            return Ok(Transformed::default());
        };
        let mut suspect = header.suspect(table, dataset.null_as.as_deref().map(str::as_bytes));
        let row = Row::new(member, table, dataset, limits, &header);
        let mut dropped_columns = header.dropped(table);
        if dataset.quoting == Quoting::Withheld {
            // The first line may be data instead of names.
            dropped_columns.names.clear();
        }
        let mut transformed = Transformed { dropped_columns, ..Transformed::default() };
        let mut plain_rows =
            if are_taken_together { PlainRows::new(&row, &header, RECORD_LIMIT_BYTES) } else { None };
        let (mut refused, mut dropped, mut counted) = (0, 0, 0);
        let before_rows = problems.found();
        loop {
            if let Some(plain_rows) = &mut plain_rows
                && problems.is_empty()
                && suspect.as_ref().is_none_or(|suspect| !suspect.is_open())
            {
                let taken = plain_rows.take(&mut records, &mut rows, &mut transformed.lines);
                transformed.rows += taken.map_err(TransformError::Write)?;
            }
            if transformed.rows >= counted + ROWS_REPORTED {
                progress.rows(transformed.rows - counted);
                counted = transformed.rows;
            }
            if !advance(&mut records, member, problems)? {
                break;
            }
            let record = records.record();
            if let Some(suspect) = &mut suspect
                && suspect.is_like(&record)
            {
                let reason = Reason::NoHeader { like_row: Some(record.line) };
                let problem =
                    Problem::member(member, reason).at_line(header.line).with_beginning(&header.raw);
                problems.push(problem.in_record(&header.raw, 0..header.raw.len()));
                break;
            }
            let is_row = row.check(&record).and_then(|is_row| {
                if is_row { rows.row(|out| row.write(&record, out)).map(|()| true) } else { Ok(false) }
            });
            match is_row {
                Err(problem) => {
                    refused += 1;
                    problems.push(*problem);
                }
                Ok(false) => transformed.empty_rows += 1,
                Ok(true) if problems.is_empty() => {
                    transformed.lines.note(rows.line(), record.line);
                    transformed.rows += 1;
                    rows.keep_row(record.is_one_line).map_err(TransformError::Write)?;
                }
                Ok(true) => {
                    dropped += 1;
                    rows.drop_row();
                }
            }
            if problems.is_full() {
                break;
            }
        }
        progress.rows(transformed.rows - counted);
        // A failure other than a row's problem ended the reading.
        if !problems.is_full() && problems.found() == before_rows + refused {
            transformed.rows_found = Some(transformed.rows + refused + dropped);
        }
        rows.flush().map_err(TransformError::Write)?;
        Ok(transformed)
    }

    /// Reads up to the header, and judges it. Reports the problem if there is no header.
    fn header<R: Read>(
        &self,
        records: &mut RecordReader<R>,
        problems: &mut Problems,
    ) -> Result<Option<Header>, TransformError> {
        let Self { member, table, dataset, .. } = *self;
        let before = problems.found();
        let begin = records.peek(file_type::HEAD_BYTES).map_err(TransformError::Read)?;
        if let Some(kind) = file_type::detect_other_than_table(begin) {
            let problem = Problem::member(member, Reason::NotText { found: kind.name });
            problems.push(if kind.is_text { problem.with_beginning(begin) } else { problem });
            return Ok(None);
        }
        if file_type::is_utf16(begin) {
            problems.push(Problem::member(member, Reason::Utf16).at_line(1));
            return Ok(None);
        }
        if begin.starts_with(BYTE_ORDER_MARK) {
            records.skip(BYTE_ORDER_MARK.len());
        }
        let mut is_there = advance(records, member, problems)?;
        if let Some(found) = is_there.then(|| separator(records.record().raw())).flatten() {
            if found != dataset.delimiter {
                let reason = Reason::OtherSeparator {
                    delimiter: char::from(dataset.delimiter),
                    found: char::from(found),
                };
                let record = records.record();
                problems.push(Problem::member(member, reason).at_line(record.line).with_text(record.raw()));
                return Ok(None);
            }
            is_there = advance(records, member, problems)?;
        }
        if !is_there {
            if problems.found() == before {
                problems.push(Problem::member(member, Reason::EmptyMember));
            }
            return Ok(None);
        }
        let record = records.record();
        let header = match record.flaw() {
            Some(flaw) => Err(flawed(member, table, &record, flaw)),
            None => Header::new(&record, table, dataset.delimiter).map_err(|reason| {
                let raw = record.raw();
                let place = match reason {
                    Reason::ColumnsReordered { found, .. } => place(&record, found - 1),
                    Reason::ShortHeader { .. } => raw.len()..raw.len(),
                    _ => 0..raw.len(),
                };
                Problem::member(member, reason).at_line(record.line).with_text(raw).in_record(raw, place)
            }),
        };
        Ok(header.map_err(|problem| problems.push(problem)).ok())
    }
}

/// Advances to the next record, if there is one and the input can still be read.
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
        RecordError::BackslashEscape { line, text } => (line, text, Reason::BackslashEscape),
        RecordError::TooLong { line, text } => {
            (line, text, Reason::RecordTooLong { limit_bytes: RECORD_LIMIT_BYTES })
        }
    };
    problems.push(Problem::member(member, reason).at_line(line).with_beginning(&text));
    Ok(())
}

#[cfg(test)]
mod tests;
