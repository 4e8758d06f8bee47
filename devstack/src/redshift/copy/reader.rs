//! A file's bytes into records and fields, by the rules of CSV or of delimited text.

use super::statement::Options;

/// "The maximum size of a single input row from any source is 4 MB" (`r_COPY.md`).
const RECORD_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// The line on which it begins, counted from 1.
    pub(super) line: u64,
    /// Its fields, quotes and escapes undone.
    pub(super) fields: Vec<Field>,
    /// Its beginning as it stands in the file.
    pub(super) raw: Vec<u8>,
}

/// A field's text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Field {
    pub(super) text: Vec<u8>,
}

/// Why a file cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadLine {
    pub(super) line: u64,
    pub(super) raw: Vec<u8>,
    pub(super) code: i64,
    pub(super) reason: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At a field's beginning, blanks so far.
    Start,
    Plain,
    Escaped,
    Quoted,
    /// Behind a quote inside a quoted field: it closes the field or is doubled.
    QuoteInQuoted,
}

/// Takes a file piece by piece.
pub(super) struct Reader {
    csv: bool,
    escape: bool,
    remove_quotes: bool,
    quote: u8,
    delimiter: u8,
    skip_blank: bool,
    header_left: u64,
    state: State,
    line: u64,
    begun: u64,
    field: Field,
    fields: Vec<Field>,
    raw: Vec<u8>,
    raw_length: usize,
    last_was_cr: bool,
}

impl Reader {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            csv: options.csv,
            escape: options.escape,
            remove_quotes: options.remove_quotes,
            quote: options.quote,
            delimiter: options.delimiter(),
            skip_blank: options.ignore_blank_lines,
            header_left: options.ignore_header,
            state: State::Start,
            line: 1,
            begun: 1,
            field: Field::default(),
            fields: Vec::new(),
            raw: Vec::new(),
            raw_length: 0,
            last_was_cr: false,
        }
    }

    /// Takes the next bytes of the file and hands out the records that they complete.
    pub(super) fn feed(&mut self, bytes: &[u8], mut record: impl FnMut(Record)) -> Result<(), BadLine> {
        for byte in bytes {
            if self.header_left > 0 {
                // "IGNOREHEADER n: skips n lines" (copy-parameters-data-conversion.md): lines, whatever they hold.
                if *byte == b'\n' {
                    self.header_left -= 1;
                    self.line += 1;
                    self.begun = self.line;
                }
                continue;
            }
            if let Some(done) = self.step(*byte)? {
                record(done);
            }
        }
        Ok(())
    }

    /// The record that the end of the file completes, if one is open.
    pub(super) fn finish(&mut self) -> Result<Option<Record>, BadLine> {
        if self.raw_length == 0 {
            return Ok(None);
        }
        if self.state == State::Quoted {
            return Err(self.bad(1214, "Delimited value missing end quote"));
        }
        Ok(self.end_record())
    }

    fn bad(&self, code: i64, reason: &'static str) -> BadLine {
        BadLine { line: self.begun, raw: self.raw.clone(), code, reason }
    }

    fn step(&mut self, byte: u8) -> Result<Option<Record>, BadLine> {
        let ends_line = byte == b'\n';
        if ends_line && !(matches!(self.state, State::Quoted | State::Escaped)) {
            self.line += 1;
            return Ok(self.end_record());
        }
        if ends_line {
            self.line += 1;
        }
        self.raw_length += 1;
        if self.raw.len() < 1024 {
            self.raw.push(byte);
        }
        if self.raw_length > RECORD_LIMIT_BYTES {
            return Err(self.bad(1216, "Input line is not valid: row exceeds 4 MB"));
        }
        let cr_before = std::mem::replace(&mut self.last_was_cr, byte == b'\r');
        let _ = cr_before;
        match self.state {
            State::Start | State::Plain if byte == self.delimiter => self.end_field(),
            State::Start if (self.csv || self.remove_quotes) && byte == self.quote => {
                // "Leading and trailing white space characters between the delimiter and the quotes are ignored."
                self.field.text.clear();
                self.state = State::Quoted;
            }
            State::Start | State::Plain if self.escape && byte == b'\\' => self.state = State::Escaped,
            State::Start => {
                self.field.text.push(byte);
                if !(self.csv && (byte == b' ' || byte == b'\t')) {
                    self.state = State::Plain;
                }
            }
            State::Plain => self.field.text.push(byte),
            State::Escaped => {
                self.field.text.push(byte);
                self.state = State::Plain;
            }
            State::Quoted if byte == self.quote => self.state = State::QuoteInQuoted,
            State::Quoted => self.field.text.push(byte),
            State::QuoteInQuoted if byte == self.quote => {
                self.field.text.push(byte);
                self.state = State::Quoted;
            }
            State::QuoteInQuoted if byte == self.delimiter => self.end_field(),
            State::QuoteInQuoted if matches!(byte, b' ' | b'\t' | b'\r') => {}
            State::QuoteInQuoted => return Err(self.bad(1214, "Delimiter not found")),
        }
        Ok(None)
    }

    fn end_field(&mut self) {
        self.fields.push(std::mem::take(&mut self.field));
        self.state = State::Start;
    }

    fn end_record(&mut self) -> Option<Record> {
        let blank = self.raw.is_empty();
        if self.last_was_cr && matches!(self.state, State::Plain | State::Start) && self.field.text.last() == Some(&b'\r') {
            self.field.text.pop();
        }
        self.end_field();
        let record = Record { line: self.begun, fields: std::mem::take(&mut self.fields), raw: std::mem::take(&mut self.raw) };
        self.begun = self.line;
        self.raw_length = 0;
        self.last_was_cr = false;
        (!(blank && self.skip_blank)).then_some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &Options, text: &str) -> Result<Vec<(u64, Vec<String>)>, BadLine> {
        let mut reader = Reader::new(options);
        let mut records = Vec::new();
        for byte in text.as_bytes() {
            reader.feed(&[*byte], |record| records.push(record))?;
        }
        records.extend(reader.finish()?);
        Ok(records
            .into_iter()
            .map(|record| (record.line, record.fields.into_iter().map(|field| String::from_utf8(field.text).unwrap()).collect()))
            .collect())
    }

    fn rows(options: &Options, text: &str) -> Vec<Vec<String>> {
        read(options, text).unwrap().into_iter().map(|(_, row)| row).collect()
    }

    /// copy-parameters-data-format.md: quotes protect delimiters and line ends, a doubled quote is one, and white space
    /// between delimiter and quotes is ignored.
    #[test]
    fn csv_quotes_protect() {
        let csv = Options { csv: true, ignore_header: 1, ..Options::default() };
        let read = read(&csv, "head,\"er\n\"a,b\",\"c\"\"d\", \"e\nf\" ,\\n\n, x,\n").unwrap();
        assert_eq!(
            read,
            [
                (2, vec!["a,b".to_owned(), "c\"d".to_owned(), "e\nf".to_owned(), "\\n".to_owned()]),
                (4, vec![String::new(), " x".to_owned(), String::new()])
            ]
        );
    }

    /// copy-parameters-data-conversion.md: with ESCAPE the character behind a backslash is taken as it is.
    #[test]
    fn escape_takes_the_next_character_as_it_is() {
        let escape = Options { escape: true, ..Options::default() };
        assert_eq!(rows(&escape, "a\\|b|c\\\\|\\012|l1\\\nl2\n"), [["a|b", "c\\", "012", "l1\nl2"]]);
        assert_eq!(rows(&Options::default(), "a\\|\"b\"\n"), [["a\\", "\"b\""]]);
    }
}
