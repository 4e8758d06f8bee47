//! Splits a file's bytes into records and fields, by the rules of CSV or of delimited text.

use std::ops::Range;

use super::statement::CopyOptions;

/// The limit for a record: "The maximum size of a single input row from any source is 4 MB" (`r_COPY.md`).
const RECORD_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// The number of bytes of a record that are kept as they are in the file: the size of the column in
/// `STL_LOAD_ERRORS`.
const RAW_BYTES: usize = 1024;

/// A record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Record {
    /// The line on which the record begins, counted from 1.
    pub(super) line: u64,
    /// The record's beginning as it is in the file.
    pub(super) raw: Vec<u8>,
    /// The fields' texts one after another, without quotes and escapes.
    text: Vec<u8>,
    /// The end of each field in `text`.
    ends: Vec<usize>,
}

impl Record {
    /// Returns the number of fields.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns a field's text; `None` if there are fewer fields.
    pub(super) fn field(&self, at: usize) -> Option<&[u8]> {
        let end = *self.ends.get(at)?;
        let begin = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.text.get(begin..end)
    }

    fn open_field(&self) -> Range<usize> {
        self.ends.last().copied().unwrap_or(0)..self.text.len()
    }

    fn clear(&mut self) {
        self.raw.clear();
        self.text.clear();
        self.ends.clear();
    }
}

/// The reason why a record cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadRecord {
    pub(super) line: u64,
    pub(super) raw: Vec<u8>,
    pub(super) code: i64,
    pub(super) reason: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the header lines, of which this many are left.
    Header(u64),
    /// At a field's beginning; only blanks so far.
    Start,
    Plain,
    Escaped,
    Quoted,
    EscapedInQuoted,
    /// After a quote inside a quoted field: it closes the field or is doubled.
    QuoteInQuoted,
    /// In the rest of a record that cannot be read.
    Bad,
}

/// A reader that takes a file piece by piece.
#[expect(clippy::struct_excessive_bools, reason = "each is an option of COPY")]
pub(super) struct RecordReader {
    csv: bool,
    escape: bool,
    remove_quotes: bool,
    quote: u8,
    delimiter: u8,
    skip_blank: bool,
    state: State,
    line: u64,
    /// The number of bytes of the record so far.
    length: usize,
    /// The length of the field's text when a carriage return had just been added unchanged.
    carriage_return: Option<usize>,
    record: Record,
}

impl RecordReader {
    pub(super) fn new(options: &CopyOptions) -> Self {
        Self {
            csv: options.csv,
            escape: options.escape,
            remove_quotes: options.remove_quotes,
            quote: options.quote,
            delimiter: options.delimiter(),
            skip_blank: options.ignore_blank_lines,
            state: if options.ignore_header > 0 {
                State::Header(options.ignore_header)
            } else {
                State::Start
            },
            line: 1,
            length: 0,
            carriage_return: None,
            record: Record { line: 1, ..Record::default() },
        }
    }

    /// Takes the next bytes of the file and passes the records that they complete to `sink`, until that
    /// returns false.
    pub(super) fn feed(&mut self, bytes: &[u8], mut sink: impl FnMut(Result<&Record, BadRecord>) -> bool) {
        let mut at = 0;
        while at < bytes.len() {
            let plain =
                bytes[at..].iter().position(|byte| self.is_special(*byte)).unwrap_or(bytes.len() - at);
            if plain > 0 {
                self.take_plain(&bytes[at..at + plain]);
                at += plain;
            } else {
                let wanted = self.take_special(bytes[at], &mut sink);
                at += 1;
                if !wanted {
                    return;
                }
            }
            if self.length > RECORD_LIMIT_BYTES
                && self.state != State::Bad
                && !self.bad(1216, "Input row exceeds 4 MB", &mut sink)
            {
                return;
            }
        }
    }

    /// Passes the record that the end of the file completes to `sink`, if one is open.
    pub(super) fn finish(&mut self, mut sink: impl FnMut(Result<&Record, BadRecord>) -> bool) {
        match self.state {
            State::Header(_) | State::Bad => {}
            _ if self.length == 0 => {}
            State::Quoted | State::EscapedInQuoted => {
                self.bad(1214, "Delimited value missing end quote", &mut sink);
            }
            State::Start | State::Plain | State::Escaped | State::QuoteInQuoted => {
                self.end_record(&mut sink);
            }
        }
    }

    /// Checks whether a byte may have a special meaning.
    fn is_special(&self, byte: u8) -> bool {
        match self.state {
            State::Header(_) | State::Bad => byte == b'\n',
            State::Quoted => byte == self.quote || byte == b'\n' || self.escape && byte == b'\\',
            State::Plain => {
                byte == self.delimiter || byte == b'\n' || byte == b'\r' || self.escape && byte == b'\\'
            }
            State::Start | State::Escaped | State::EscapedInQuoted | State::QuoteInQuoted => true,
        }
    }

    fn keep_raw(&mut self, bytes: &[u8]) {
        self.length += bytes.len();
        let room = RAW_BYTES.saturating_sub(self.record.raw.len());
        self.record.raw.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn take_plain(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Header(_) | State::Bad) {
            self.keep_raw(bytes);
            self.record.text.extend_from_slice(bytes);
        }
    }

    fn take_special(&mut self, byte: u8, sink: &mut impl FnMut(Result<&Record, BadRecord>) -> bool) -> bool {
        let ends_line = byte == b'\n';
        self.line += u64::from(ends_line);
        match self.state {
            // "IGNOREHEADER n: skips n lines" (copy-parameters-data-conversion.md): lines, whatever they
            // contain.
            State::Header(left) => {
                self.state = if left > 1 { State::Header(left - 1) } else { State::Start };
                self.record.line = self.line;
                return true;
            }
            State::Bad => {
                self.begin_record();
                return true;
            }
            State::Start | State::Plain | State::QuoteInQuoted if ends_line => return self.end_record(sink),
            _ => self.keep_raw(&[byte]),
        }
        match self.state {
            State::Start | State::Plain | State::QuoteInQuoted if byte == self.delimiter => {
                self.record.ends.push(self.record.text.len());
                self.state = State::Start;
            }
            State::Start | State::Plain if self.escape && byte == b'\\' => self.state = State::Escaped,
            State::Start if self.opens_quote(byte) => {
                // "white space between delimiter and quotes … is ignored" (copy-parameters-data-format.md)
                let blanks = self.record.open_field();
                self.record.text.truncate(blanks.start);
                self.state = State::Quoted;
            }
            State::Start if self.csv && matches!(byte, b' ' | b'\t') => self.record.text.push(byte),
            State::Start | State::Plain => {
                self.record.text.push(byte);
                self.state = State::Plain;
                if byte == b'\r' {
                    self.carriage_return = Some(self.record.text.len());
                }
            }
            State::Escaped => {
                self.record.text.push(byte);
                self.state = State::Plain;
            }
            State::Quoted if self.escape && byte == b'\\' => self.state = State::EscapedInQuoted,
            State::Quoted if byte == self.quote => self.state = State::QuoteInQuoted,
            State::Quoted => self.record.text.push(byte),
            State::EscapedInQuoted => {
                self.record.text.push(byte);
                self.state = State::Quoted;
            }
            State::QuoteInQuoted if byte == self.quote => {
                self.record.text.push(byte);
                self.state = State::Quoted;
            }
            State::QuoteInQuoted if matches!(byte, b' ' | b'\t' | b'\r') => {}
            State::QuoteInQuoted => return self.bad(1214, "Invalid quote formatting for CSV", sink),
            State::Header(_) | State::Bad => {}
        }
        true
    }

    fn opens_quote(&self, byte: u8) -> bool {
        byte == self.quote && (self.csv || self.remove_quotes && self.record.open_field().is_empty())
    }

    fn begin_record(&mut self) {
        self.record.clear();
        self.record.line = self.line;
        self.length = 0;
        self.carriage_return = None;
        self.state = State::Start;
    }

    /// Reports a record that cannot be read; the rest of its line is skipped.
    fn bad(
        &mut self,
        code: i64,
        reason: &'static str,
        sink: &mut impl FnMut(Result<&Record, BadRecord>) -> bool,
    ) -> bool {
        self.state = State::Bad;
        sink(Err(BadRecord { line: self.record.line, raw: self.record.raw.clone(), code, reason }))
    }

    fn end_record(&mut self, sink: &mut impl FnMut(Result<&Record, BadRecord>) -> bool) -> bool {
        let blank = self.length == 0;
        // The stand-in chooses to drop the carriage return of a CRLF: the documents name only the newline.
        if self.state != State::QuoteInQuoted && self.carriage_return == Some(self.record.text.len()) {
            self.record.text.pop();
        }
        self.record.ends.push(self.record.text.len());
        let wanted = blank && self.skip_blank || sink(Ok(&self.record));
        self.begin_record();
        wanted
    }
}

#[cfg(test)]
mod tests {
    use csv::{QuoteStyle, Terminator};
    use proptest::prelude::*;

    use super::*;

    /// The line and cells of a record, or the line of one that cannot be read.
    type Read = Vec<Result<(u64, Vec<String>), u64>>;

    /// Reads a text in pieces of every size up to its own: the position of the cuts must not matter.
    fn read(options: &CopyOptions, text: &str) -> Read {
        let mut first: Option<Read> = None;
        for size in 1..=text.len() {
            let mut reader = RecordReader::new(options);
            let mut read = Vec::new();
            let mut keep = |record: Result<&Record, BadRecord>| {
                let cells = |record: &Record| {
                    (0..record.len())
                        .map(|at| String::from_utf8(record.field(at).unwrap().to_vec()).unwrap())
                        .collect()
                };
                read.push(record.map(|record| (record.line, cells(record))).map_err(|bad| bad.line));
                true
            };
            for piece in text.as_bytes().chunks(size) {
                reader.feed(piece, &mut keep);
            }
            reader.finish(&mut keep);
            assert_eq!(*first.get_or_insert_with(|| read.clone()), read, "in pieces of {size}");
        }
        first.unwrap()
    }

    fn rows(options: &CopyOptions, text: &str) -> Vec<Vec<String>> {
        read(options, text).into_iter().map(|row| row.unwrap().1).collect()
    }

    fn row(line: u64, cells: &[&str]) -> (u64, Vec<String>) {
        (line, cells.iter().map(|cell| (*cell).to_owned()).collect())
    }

    /// `copy-parameters-data-format.md`: quotes protect delimiters and line ends, a doubled quote is one, and
    /// white space between delimiter and quotes is ignored.
    #[test]
    fn csv_quotes_protect() {
        let csv = CopyOptions { csv: true, ignore_header: 1, ..CopyOptions::default() };
        let text = "head,\"er\n\"a,b\",\"c\"\"d\", \"e\nf\" ,\\n\n, x,\n\"\"\nlast,\"\"";
        let expected = [
            Ok(row(2, &["a,b", "c\"d", "e\nf", "\\n"])),
            Ok(row(4, &["", " x", ""])),
            Ok(row(5, &[""])),
            Ok(row(6, &["last", ""])),
        ];
        assert_eq!(read(&csv, text), expected);
    }

    /// `copy-parameters-data-conversion.md`: with ESCAPE the character after a backslash is taken unchanged.
    #[test]
    fn escape_takes_the_next_character_as_it_is() {
        let escape = CopyOptions { escape: true, ..CopyOptions::default() };
        assert_eq!(
            rows(&escape, "a\\|b|c\\\\|\\012|l1\\\nl2|\\\r\n"),
            [["a|b", "c\\", "012", "l1\nl2", "\r"]]
        );
        assert_eq!(rows(&CopyOptions::default(), "a\\|\"b\"\n"), [["a\\", "\"b\""]]);
    }

    /// `copy-parameters-data-conversion.md`: REMOVEQUOTES keeps the text inside the quotes, delimiters
    /// included.
    #[test]
    fn removequotes_strips_quotes() {
        let options = CopyOptions { remove_quotes: true, escape: true, ..CopyOptions::default() };
        assert_eq!(rows(&options, "\"a|b\"|c\"d|\"e\\\"\"\n"), [["a|b", "c\"d", "e\""]]);
    }

    /// `copy-parameters-data-load.md`: with MAXERROR a bad record is skipped, and the next is read.
    #[test]
    fn reading_goes_on_behind_a_bad_record() {
        let csv = CopyOptions { csv: true, ..CopyOptions::default() };
        assert_eq!(
            read(&csv, "a\n\"b\"c,\"\nd\ne,\"open\n"),
            [Ok(row(1, &["a"])), Err(2), Ok(row(3, &["d"])), Err(4)]
        );
    }

    #[test]
    fn blank_lines_are_records_unless_ignored() {
        assert_eq!(
            read(&CopyOptions::default(), "\na\n\n"),
            [Ok(row(1, &[""])), Ok(row(2, &["a"])), Ok(row(3, &[""]))]
        );
        assert_eq!(
            read(&CopyOptions { ignore_blank_lines: true, ..CopyOptions::default() }, "\na\n\n"),
            [Ok(row(2, &["a"]))]
        );
    }

    /// Generates rows of equal length, with letters that matter to CSV and others.
    fn table() -> impl Strategy<Value = Vec<Vec<String>>> {
        let cell = prop_oneof![3 => "[a\"',|\\\\ \t\r\nN.0]{0,6}", 1 => "\\PC{0,8}", 1 => any::<String>().prop_map(|text| text.replace('\0', ""))];
        (2..5_usize).prop_flat_map(move |columns| {
            prop::collection::vec(prop::collection::vec(cell.clone(), columns), 1..6)
        })
    }

    proptest! {
        /// Compares the reader with that of the `csv` crate, on texts that the crate writes with each kind of
        /// quotes and line ends.
        #[test]
        fn csv_is_read_as_another_reader_reads_it(
            table in table(),
            delimiter in prop::sample::select(b",|\t;^~".as_slice()),
            quotes in prop::sample::select([QuoteStyle::Necessary, QuoteStyle::Always, QuoteStyle::NonNumeric].as_slice()),
            crlf in any::<bool>(),
            piece in 1..50_usize,
        ) {
            let terminator = if crlf { Terminator::CRLF } else { Terminator::Any(b'\n') };
            let mut writer = csv::WriterBuilder::new().delimiter(delimiter).quote_style(quotes).terminator(terminator).from_writer(Vec::new());
            for row in &table {
                writer.write_record(row).unwrap();
            }
            let text = writer.into_inner().unwrap();
            let others = csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).from_reader(text.as_slice()).into_records();
            let others: Vec<Vec<String>> = others.map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
            prop_assert_eq!(&others, &table);

            let options = CopyOptions { csv: true, delimiter: Some(delimiter), ..CopyOptions::default() };
            let mut reader = RecordReader::new(&options);
            let mut ours: Vec<Vec<String>> = Vec::new();
            let mut keep = |record: Result<&Record, BadRecord>| {
                let record = record.unwrap();
                ours.push((0..record.len()).map(|at| String::from_utf8(record.field(at).unwrap().to_vec()).unwrap()).collect());
                true
            };
            for piece in text.chunks(piece) {
                reader.feed(piece, &mut keep);
            }
            reader.finish(&mut keep);
            prop_assert_eq!(ours, table);
        }
    }
}
