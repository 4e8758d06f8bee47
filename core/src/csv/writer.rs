//! Writes the text of a staged file: CSV as the `csv` crate writes it, with quotes only where they are
//! needed.

use std::io::{self, Write};

use memchr::{memchr, memchr_iter, memchr3};

/// The number of bytes that are handed on together.
pub(crate) const BUFFER_BYTES: usize = 64 * 1024;

/// The line of the first row. The header takes one line, since column names have no line ends.
pub const FIRST_ROW_LINE: u64 = 2;

/// A destination for the text of a staged file: its header line, then rows. Each call gets whole rows, so
/// that the file can be cut between two calls.
pub trait RowSink {
    /// Takes the header line, with its line end, before any row.
    ///
    /// # Errors
    ///
    /// When the line cannot be written.
    fn header(&mut self, line: &[u8]) -> io::Result<()>;

    /// Takes rows, the first of which begins on line `first_line` of the file, counted from 1.
    ///
    /// # Errors
    ///
    /// When the rows cannot be written.
    fn rows(&mut self, rows: &[u8], first_line: u64) -> io::Result<()>;
}

/// Writes a file in one piece.
impl<W: Write> RowSink for W {
    fn header(&mut self, line: &[u8]) -> io::Result<()> {
        self.write_all(line)
    }

    fn rows(&mut self, rows: &[u8], _first_line: u64) -> io::Result<()> {
        self.write_all(rows)
    }
}

/// A staged file that is written row by row.
pub(crate) struct RowWriter<'o, W> {
    out: &'o mut W,
    buffer: Vec<u8>,
    /// The beginning of the row that is neither kept nor dropped yet.
    row: usize,
    /// The line of the first row in the buffer.
    first_line: u64,
    line: u64,
}

impl<'o, W: RowSink> RowWriter<'o, W> {
    /// Begins a file with these column names.
    pub(crate) fn new<'a>(out: &'o mut W, columns: impl Iterator<Item = &'a str>) -> io::Result<Self> {
        let mut header = csv::Writer::from_writer(Vec::new());
        header.write_record(columns).map_err(io::Error::from)?;
        out.header(&header.into_inner().map_err(csv::IntoInnerError::into_error)?)?;
        let buffer = Vec::with_capacity(BUFFER_BYTES * 2);
        Ok(Self { out, buffer, row: 0, first_line: FIRST_ROW_LINE, line: FIRST_ROW_LINE })
    }

    /// Returns the line on which the next row begins, counted from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Lets `write` append a row, which the caller then keeps or drops. A refused row is dropped.
    pub(crate) fn row<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        write(&mut self.buffer).inspect_err(|_| self.drop_row())
    }

    pub(crate) fn drop_row(&mut self) {
        self.buffer.truncate(self.row);
    }

    pub(crate) fn keep_row(&mut self, is_one_line: bool) -> io::Result<()> {
        let row = self.buffer.get(self.row..).unwrap_or_default();
        if !is_one_line {
            self.line += memchr_iter(b'\n', row).count() as u64;
        }
        // Otherwise it would be a blank line instead of a row.
        if row.is_empty() {
            self.buffer.extend_from_slice(b"\"\"");
        }
        self.buffer.push(b'\n');
        self.line += 1;
        self.row = self.buffer.len();
        if self.row >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    /// Returns the rows that were kept and not handed on. A caller that appends rows then calls
    /// [`RowWriter::keep_rows`].
    pub(crate) fn kept(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Keeps the whole rows that were appended, with their line ends. The next row begins on `line`. Returns
    /// whether the rows were handed on because there were enough.
    pub(crate) fn keep_rows(&mut self, line: u64) -> io::Result<bool> {
        self.line = line;
        self.row = self.buffer.len();
        let are_enough = self.row >= BUFFER_BYTES;
        if are_enough {
            self.flush()?;
        }
        Ok(are_enough)
    }

    /// Hands on every kept row.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.row > 0 {
            self.out.rows(self.buffer.get(..self.row).unwrap_or_default(), self.first_line)?;
        }
        self.buffer.clear();
        self.row = 0;
        self.first_line = self.line;
        Ok(())
    }
}

/// Checks whether a cell needs quotes.
pub(crate) fn needs_quotes(text: &[u8]) -> bool {
    memchr3(b',', b'"', b'\n', text).is_some() || memchr(b'\r', text).is_some()
}

/// Appends a cell, with quotes if it needs them.
pub(crate) fn push_quoted(text: &[u8], out: &mut Vec<u8>) {
    if !needs_quotes(text) {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    let mut rest = text;
    while let Some(quote) = memchr(b'"', rest) {
        let (before, behind) = rest.split_at(quote + 1);
        out.extend_from_slice(before);
        out.push(b'"');
        rest = behind;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}
