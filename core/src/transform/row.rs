//! Judges and writes the cells of one row.

use std::ops::Range;

use memchr::memchr;

use super::derivation::Derivation;
use super::header::Header;
use crate::config::{Dataset, Table};
use crate::csv::{BYTE_ORDER_MARK, Flaw, Record, push_quoted};
use crate::limits::{ColumnLimit, ColumnType};
use crate::problem::{Problem, Quote, Reason};
use crate::strptime::DateFormat;

/// The text that means NULL in a staged file. A cell with this text is bad input, so no cell can become NULL
/// by accident.
pub const NULL_TEXT: &str = "%cmslite-null%";

/// The rules for judging and writing the cells of one member's rows.
pub(super) struct Row<'a> {
    member: &'a str,
    table: &'a Table,
    delimiter: u8,
    header: &'a Header,
    null_as: Option<&'a [u8]>,
    /// One entry for each column, then one for each derived column.
    outputs: Vec<OutputColumn<'a>>,
    derivations: Vec<Derivation<'a>>,
    /// Whether a cell that begins with this byte may have a special meaning, and last whether an empty cell
    /// may.
    means: [bool; 257],
}

/// The rules for the cells of one column.
#[derive(Clone, Copy)]
pub(super) struct OutputColumn<'a> {
    name: &'a str,
    pub(super) date: Option<&'a DateFormat>,
    limit: ColumnLimit,
    /// The length below which texts may be loaded unchanged, if they have no special meaning.
    pub(super) plain_below: usize,
}

impl OutputColumn<'_> {
    /// Checks whether a text without a special meaning may be loaded unchanged.
    #[inline]
    pub(super) fn takes(&self, text: &[u8]) -> bool {
        text.len() < self.plain_below || (self.date.is_none() && self.limit.refusal(text).is_none())
    }
}

impl<'a> Row<'a> {
    pub(super) fn new(
        member: &'a str,
        table: &'a Table,
        dataset: &'a Dataset,
        limits: &[ColumnLimit],
        header: &'a Header,
    ) -> Self {
        let null_as = dataset.null_as.as_deref().map(str::as_bytes);
        let mut means = [false; 257];
        for text in null_as.into_iter().chain([NULL_TEXT.as_bytes()]) {
            means[text.first().map_or(256, |first| usize::from(*first))] = true;
        }
        let columns = table.columns.iter().map(|column| (column.name.as_str(), column.date.as_ref()));
        let derived = table.derived.iter().map(|derived| (derived.name.as_str(), None));
        let limits = limits.iter().copied().chain(std::iter::repeat(ColumnLimit::default()));
        let output = |((name, date), limit): ((&'a str, Option<&'a DateFormat>), ColumnLimit)| {
            // The loaded text of a date is the rewritten one.
            let limit = if date.is_some() { limit_of_date(limit) } else { limit };
            let plain_below = if date.is_some() { 0 } else { limit.shortest_refused() };
            OutputColumn { name, date, limit, plain_below }
        };
        Self {
            member,
            table,
            delimiter: dataset.delimiter,
            header,
            null_as,
            outputs: columns.chain(derived).zip(limits).map(output).collect(),
            derivations: table.derived.iter().map(Derivation::of).collect(),
            means,
        }
    }

    pub(super) fn table(&self) -> &'a Table {
        self.table
    }

    pub(super) fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// Returns one entry for each column, then one for each derived column.
    pub(super) fn outputs(&self) -> &[OutputColumn<'a>] {
        &self.outputs
    }

    /// Returns how the derived columns are computed.
    pub(super) fn derivations(&self) -> &[Derivation<'a>] {
        &self.derivations
    }

    /// Returns for each byte whether a cell that begins with it may have a special meaning.
    pub(super) fn hints(&self) -> [bool; 256] {
        std::array::from_fn(|byte| self.means[byte])
    }

    /// Checks whether a record is a row to be judged cell by cell, and not one with only empty cells. The
    /// problem is boxed, since a result is returned for each row.
    #[allow(clippy::inline_always, reason = "called for each row, it costs a tenth of the transform else")]
    #[inline(always)]
    pub(super) fn check(&self, record: &Record<'_>) -> Result<bool, Box<Problem>> {
        let Header { len, named, .. } = *self.header;
        // A row of empty cells has no more bytes than a delimiter and two quotes for each.
        let is_plain = record.is_plain()
            && record.len() == len
            && len == named
            && record.raw().len() >= 3 * len
            && !self.header.may_be(record);
        if is_plain { Ok(true) } else { self.check_closely(record) }
    }

    #[cold]
    fn check_closely(&self, record: &Record<'_>) -> Result<bool, Box<Problem>> {
        if record.has_only_empty_cells(self.delimiter) {
            return Ok(false);
        }
        let Header { len, named, .. } = *self.header;
        let raw = record.raw();
        let at = |reason| Problem::member(self.member, reason).at_line(record.line);
        let found = record.len();
        let problem = if let Some(flaw) = record.flaw() {
            flawed(self.member, self.table, record, flaw)
        } else if self.header.may_be(record) && self.header.is(record) {
            at(Reason::HeaderAgain).with_text(raw).in_record(raw, 0..raw.len())
        } else if found < len {
            let reason = Reason::TooFewColumns { expected: len, found };
            at(reason).with_text(raw).in_record(raw, raw.len()..raw.len())
        } else if !record.is_empty_from(named, self.delimiter) {
            let (surplus, reason) =
                (record.raw_from(named), Reason::TooManyColumns { expected: named, found });
            at(reason).with_text(surplus).in_record(raw, raw.len() - surplus.len()..raw.len())
        } else {
            return Ok(true);
        };
        Err(Box::new(problem))
    }

    /// Appends a checked record; the error is the first cell that cannot be loaded.
    ///
    /// Cells that stay unchanged are appended together, with the text between them.
    pub(super) fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) -> Result<(), Box<Problem>> {
        let (columns, derived) = self.outputs.split_at(self.table.columns.len());
        // The beginning of the text to append in the record: with the comma after the previous cell.
        let mut from = 0;
        let mut to = 0;
        for (at, (output, cell)) in columns.iter().zip(record.cells()).enumerate() {
            if cell.is_canonical && output.takes(cell.text) && !self.means_something(cell.text) {
                to = cell.written.1;
                continue;
            }
            out.extend_from_slice(record.raw().get(from..to).unwrap_or_default());
            if at > 0 {
                out.push(b',');
            }
            self.write_cell(output, cell.text, out)
                .map_err(|reason| Box::new(self.refused(reason, record, output, at)))?;
            (from, to) = (cell.written.1, cell.written.1);
        }
        out.extend_from_slice(record.raw().get(from..to).unwrap_or_default());
        for (derivation, output) in self.derivations.iter().zip(derived) {
            out.push(b',');
            let text = derivation.find(record.text(derivation.from));
            self.write_cell(output, text, out)
                .map_err(|reason| Box::new(self.refused(reason, record, output, derivation.from)))?;
        }
        Ok(())
    }

    #[cold]
    fn refused(
        &self,
        reason: Reason,
        record: &Record<'_>,
        output: &OutputColumn<'_>,
        from: usize,
    ) -> Problem {
        Problem::member(self.member, reason)
            .at_line(record.line)
            .in_column(output.name)
            .with_text(record.text(from))
            .in_record(record.raw(), place(record, from))
    }

    /// Checks whether a text may have a special meaning, as far as its first byte shows.
    pub(super) fn means_something(&self, text: &[u8]) -> bool {
        self.means[text.first().map_or(256, |first| usize::from(*first))]
    }

    /// Appends a cell's text as it is loaded, if it can be.
    pub(super) fn write_cell(
        &self,
        output: &OutputColumn<'_>,
        text: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Reason> {
        self.judge(&output.limit, text)?;
        match output.date {
            _ if self.is_null(text) => out.extend_from_slice(NULL_TEXT.as_bytes()),
            Some(format) if !text.is_empty() => {
                format.rewrite(text, out).map_err(|detail| Reason::BadDate {
                    format: format.as_str().to_owned(),
                    detail: Quote::new(detail, format.departure(text)),
                })?;
            }
            _ => push_quoted(text, out),
        }
        Ok(())
    }

    /// Checks whether the table accepts a text unchanged.
    fn judge(&self, limit: &ColumnLimit, text: &[u8]) -> Result<(), Reason> {
        if self.is_null(text) {
            return if limit.not_null { Err(Reason::NullNotAllowed) } else { Ok(()) };
        }
        if is(text, NULL_TEXT.as_bytes()) {
            return Err(Reason::ReservedText);
        }
        limit.refusal(text).map_or(Ok(()), Err)
    }

    fn is_null(&self, text: &[u8]) -> bool {
        self.null_as.is_some_and(|null_as| is(text, null_as))
    }
}

/// Returns the problem of a record that has a flaw, with the cell that has it.
pub(super) fn flawed(member: &str, table: &Table, record: &Record<'_>, flaw: Flaw) -> Problem {
    let raw = record.raw();
    let at = |reason| Problem::member(member, reason).at_line(record.line);
    let in_cell_at = |reason, found: Option<usize>| {
        let place = found.map_or(0..raw.len(), |cell| place(record, cell));
        let problem = at(reason).with_text(found.map_or(raw, |cell| record.text(cell))).in_record(raw, place);
        match found.and_then(|cell| table.columns.get(cell)) {
            Some(column) => problem.in_column(&column.name),
            None => problem,
        }
    };
    let in_cell = |reason, is_wrong: &dyn Fn(&[u8]) -> bool| {
        in_cell_at(reason, record.cells().position(|cell| is_wrong(cell.text)))
    };
    match flaw {
        Flaw::NotText if std::str::from_utf8(raw).is_err() => {
            in_cell(Reason::InvalidUtf8, &|cell| std::str::from_utf8(cell).is_err())
        }
        Flaw::NotText => in_cell(Reason::NulByte, &|cell| cell.contains(&0)),
        Flaw::LoneReturn => {
            // A CR in quotes is text.
            let mut cells =
                record.cells().map(|cell| cell.written).filter(|(start, _)| raw.get(*start) != Some(&b'"'));
            let found = cells.find_map(|(start, end)| Some(start + memchr(b'\r', raw.get(start..end)?)?));
            let at_fault = found.unwrap_or_default();
            at(Reason::LoneReturn).with_text(raw).in_record(raw, at_fault..at_fault + 1)
        }
        Flaw::ByteOrderMark => {
            at(Reason::ByteOrderMark).with_text(raw).in_record(raw, 0..BYTE_ORDER_MARK.len())
        }
        Flaw::BlankBeforeQuote => {
            let begins_blank = |(start, end): (usize, usize)| {
                let written = String::from_utf8_lossy(raw.get(start..end).unwrap_or_default());
                written.starts_with(char::is_whitespace) && written.trim_start().starts_with('"')
            };
            in_cell_at(Reason::BlankBeforeQuote, record.cells().position(|cell| begins_blank(cell.written)))
        }
        Flaw::BackslashEscape => {
            let escape = record.backslash_escape().unwrap_or(0..raw.len());
            at(Reason::BackslashEscape).with_text(raw).in_record(raw, escape)
        }
    }
}

/// Returns the limits of a column whose dates are rewritten: the loaded text is not the text that is read.
fn limit_of_date(limit: ColumnLimit) -> ColumnLimit {
    let column_type = match limit.column_type {
        ColumnType::Text => ColumnType::Text,
        _ => ColumnType::Other,
    };
    ColumnLimit { column_type, max_bytes: None, ..limit }
}

/// Returns the range of a cell in its record, with its quotes.
pub(super) fn place(record: &Record<'_>, cell: usize) -> Range<usize> {
    let end = record.raw().len();
    record.cells().nth(cell).map_or(end..end, |cell| cell.written.0..cell.written.1)
}

/// Checks whether two texts are the same. Most differ in length or first byte, and are compared no further.
#[inline]
fn is(text: &[u8], other: &[u8]) -> bool {
    text.len() == other.len() && text.first() == other.first() && text == other
}
