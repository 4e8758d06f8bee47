//! The staged file's text: CSV as the `csv` crate writes it, quoted where that is needed and nowhere else.

use std::io::{self, Write};

use memchr::{memchr, memchr_iter, memchr3};

/// Bytes that are handed on together.
const BUFFER_BYTES: usize = 64 * 1024;

/// A staged file being written, a row at a time.
pub(crate) struct RowWriter<W> {
    out: W,
    buffer: Vec<u8>,
    /// Where the row begins that is neither kept nor dropped.
    row: usize,
    line: u64,
}

impl<W: Write> RowWriter<W> {
    /// A file that begins with these columns' names.
    pub(crate) fn new<'a>(out: W, columns: impl Iterator<Item = &'a str>) -> io::Result<Self> {
        let mut header = csv::Writer::from_writer(Vec::with_capacity(BUFFER_BYTES * 2));
        header.write_record(columns).map_err(io::Error::from)?;
        let buffer = header.into_inner().map_err(csv::IntoInnerError::into_error)?;
        Ok(Self { out, row: buffer.len(), buffer, line: 2 })
    }

    /// The line on which the next row begins, counted from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Has `write` append a row, which is then to be kept or dropped. A row that is refused is dropped.
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
        // Else it would be a blank line, and no row.
        if row.is_empty() {
            self.buffer.extend_from_slice(b"\"\"");
        }
        self.buffer.push(b'\n');
        self.line += 1;
        self.row = self.buffer.len();
        if self.row >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    /// Hands on every row that was kept.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(self.buffer.get(..self.row).unwrap_or_default())?;
        self.buffer.clear();
        self.row = 0;
        Ok(())
    }
}

/// Appends a cell, in quotes if it needs them.
pub(crate) fn push_quoted(text: &[u8], out: &mut Vec<u8>) {
    if memchr3(b',', b'"', b'\n', text).is_none() && memchr(b'\r', text).is_none() {
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
