//! The reasons for which an archive is bad: their stable codes, and their texts with the remedy.

use std::fmt;

use super::quote::Quote;

/// What is wrong, with what is needed to say how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// No header and no rows.
    EmptyMember,
    /// An archive of no bytes.
    EmptyArchive,
    /// Another kind of file in the place of the archive.
    NotGzip {
        /// What it is, where its first bytes tell.
        found: Option<&'static str>,
    },
    /// Another kind of file inside the gzip.
    NotTar {
        /// What it is.
        found: &'static str,
    },
    /// The archive unpacks to more than the configuration allows.
    TooLarge {
        /// The limit, in bytes.
        limit_bytes: u64,
    },
    /// The gzip stream is damaged, or fails its checksum.
    CorruptGzip {
        /// What the decoder said.
        detail: String,
    },
    /// The archive ends before it is complete.
    Truncated {
        /// What was being read when it ended.
        detail: String,
    },
    /// The tar structure inside the gzip is damaged or is none.
    CorruptTar {
        /// What the reader said.
        detail: String,
    },
    /// Bytes that are not padding follow the end of the tar, or of the gzip.
    DataAfterEnd,
    /// A member that the configuration does not name.
    UnknownMember {
        /// The members that it does name.
        expected: Vec<String>,
    },
    /// A member that the configuration names is absent.
    MissingMember,
    /// A second member for the same table.
    DuplicateMember {
        /// The first one's name.
        first: String,
    },
    /// A link, device or other entry under a name that should be a file.
    NotARegularFile {
        /// What it is.
        kind: &'static str,
    },
    /// A file stored without its holes, which Redshift could not hold either.
    SparseMember,
    /// A file that goes on behind the size that its header declares.
    LongerThanDeclared {
        /// That size, in bytes.
        declared_bytes: u64,
    },
    /// A header with fewer columns than are configured.
    ShortHeader {
        /// Columns configured.
        expected: usize,
        /// Columns found.
        found: usize,
        /// The configured delimiter.
        delimiter: char,
    },
    /// A header with fewer columns than are configured, which another delimiter would split.
    WrongDelimiter {
        /// The configured delimiter.
        delimiter: char,
        /// Columns found with it.
        found: usize,
        /// The other one.
        other: char,
        /// Columns that it would give.
        other_found: usize,
    },
    /// A first line `sep=` that names another delimiter than is configured.
    OtherSeparator {
        /// The configured delimiter.
        delimiter: char,
        /// The one that the line names.
        found: char,
    },
    /// A configured name in the header, at another position than it is configured for.
    ColumnsReordered {
        /// The name.
        column: String,
        /// The position that is configured, counted from 1.
        expected: usize,
        /// The position in the header, counted from 1.
        found: usize,
    },
    /// A row where the header should be.
    NoHeader {
        /// The line of a row of the same kind; none where a date stands in a date column.
        like_row: Option<u64>,
    },
    /// Other names in the header than are configured, where they must be the same.
    HeaderDiffers {
        /// The names configured.
        expected: Vec<String>,
    },
    /// The header once more, further down.
    HeaderAgain,
    /// A row with fewer cells than its header.
    TooFewColumns {
        /// Cells of the header.
        expected: usize,
        /// Cells found.
        found: usize,
    },
    /// A row with more cells than its header, and not only empty ones.
    TooManyColumns {
        /// Cells of the header that have a name.
        expected: usize,
        /// Cells found.
        found: usize,
    },
    /// A file with fewer rows than `min_rows`.
    TooFewRows {
        /// The fewest that the configuration allows.
        expected: u64,
        /// Rows found.
        found: u64,
    },
    /// A file with so many fewer rows than the latest load brought that its table would shrink by more than
    /// `max_shrink_percent`.
    Shrunk {
        /// Rows that the latest load brought to the table.
        before: u64,
        /// The fewest that the configuration allows after these.
        expected: u64,
        /// Rows found.
        found: u64,
        /// The configured share, in percent.
        max_shrink_percent: u8,
    },
    /// A date that its format does not match.
    BadDate {
        /// The configured format.
        format: String,
        /// What exactly does not match.
        detail: Quote,
    },
    /// A NUL byte, which Redshift cannot hold.
    NulByte,
    /// Bytes that are not UTF-8.
    InvalidUtf8,
    /// Another kind of file in the place of a table.
    NotText {
        /// What it is.
        found: &'static str,
    },
    /// UTF-16 by its byte order mark or by its zeros.
    Utf16,
    /// A CR without LF outside of quotes.
    LoneReturn,
    /// A byte order mark at the start of another line than the first.
    ByteOrderMark,
    /// Blanks between a delimiter and a quote.
    BlankBeforeQuote,
    /// A quote that is escaped with a backslash.
    BackslashEscape,
    /// A quoted cell that never ends.
    UnclosedQuote {
        /// The limit within which it does not end, in bytes; none when the file ends before.
        limit_bytes: Option<usize>,
    },
    /// Text between a closing quote and the next delimiter.
    TextAfterQuote,
    /// A record larger than Redshift loads.
    RecordTooLong {
        /// The limit, in bytes.
        limit_bytes: usize,
    },
    /// A cell equal to the text that stands for NULL in a staged file.
    ReservedText,
    /// A text longer than its column.
    TextTooLong {
        /// The column's length, in bytes.
        column_bytes: u64,
        /// The text's, in bytes of UTF-8.
        found_bytes: u64,
    },
    /// A cell that means NULL for a column that takes none.
    NullNotAllowed,
    /// An empty cell, which is NULL where the column's type is not text, for a column that takes none.
    EmptyNotAllowed,
    /// No text that Redshift takes for a truth value.
    BadBoolean,
    /// No number, for a column of numbers.
    BadNumber {
        /// The column's type.
        column_type: String,
    },
    /// A number that the column's type does not hold.
    OutOfRange {
        /// The column's type.
        column_type: String,
        /// What it holds.
        range: String,
    },
    /// Redshift refused the row.
    Refused {
        /// Redshift's error code, when it gave one.
        code: Option<i64>,
        /// What Redshift said.
        message: Quote,
    },
}

impl Reason {
    /// The part of it that quotes cells.
    pub(super) fn quote_mut(&mut self) -> Option<&mut Quote> {
        match self {
            Self::BadDate { detail: quote, .. } | Self::Refused { message: quote, .. } => Some(quote),
            _ => None,
        }
    }

    /// A stable name for programs, one for all that is mended in the same way; the text is for people.
    pub fn code(&self) -> &'static str {
        match self {
            Self::EmptyMember => "empty_member",
            Self::CorruptGzip { .. } | Self::NotGzip { .. } => "corrupt_gzip",
            Self::Truncated { .. } | Self::EmptyArchive => "truncated",
            Self::CorruptTar { .. } | Self::NotTar { .. } => "corrupt_tar",
            Self::TooLarge { .. } => "too_large",
            Self::DataAfterEnd => "data_after_end",
            Self::UnknownMember { .. } => "unknown_member",
            Self::MissingMember => "missing_member",
            Self::DuplicateMember { .. } => "duplicate_member",
            Self::NotARegularFile { .. } => "not_a_regular_file",
            Self::SparseMember => "sparse_member",
            Self::LongerThanDeclared { .. } => "longer_than_declared",
            Self::ShortHeader { .. } => "short_header",
            Self::WrongDelimiter { .. } | Self::OtherSeparator { .. } => "wrong_delimiter",
            Self::ColumnsReordered { .. } => "columns_reordered",
            Self::NoHeader { .. } => "no_header",
            Self::HeaderDiffers { .. } => "header_differs",
            Self::HeaderAgain => "header_again",
            Self::TooFewColumns { .. } => "too_few_columns",
            Self::TooManyColumns { .. } => "too_many_columns",
            Self::TooFewRows { .. } => "too_few_rows",
            Self::Shrunk { .. } => "shrunk",
            Self::BadDate { .. } => "bad_date",
            Self::NulByte => "nul_byte",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::NotText { .. } => "not_text",
            Self::Utf16 => "utf16",
            Self::LoneReturn => "lone_carriage_return",
            Self::ByteOrderMark => "byte_order_mark",
            Self::BlankBeforeQuote => "blank_before_quote",
            Self::BackslashEscape => "backslash_escape",
            Self::UnclosedQuote { .. } => "unclosed_quote",
            Self::TextAfterQuote => "text_after_quote",
            Self::RecordTooLong { .. } => "record_too_long",
            Self::ReservedText => "reserved_text",
            Self::TextTooLong { .. } => "text_too_long",
            Self::NullNotAllowed | Self::EmptyNotAllowed => "null_not_allowed",
            Self::BadBoolean => "bad_boolean",
            Self::BadNumber { .. } => "bad_number",
            Self::OutOfRange { .. } => "number_out_of_range",
            Self::Refused { .. } => "refused_by_redshift",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyMember => f.write_str("the file is empty: it has no header and no rows; a file without rows needs at least its header line"),
            Self::EmptyArchive => f.write_str("the archive is empty, it has no bytes; the upload or the export failed: upload it again"),
            Self::NotGzip { found } => {
                f.write_str("the archive is not a sound gzip file: ")?;
                match found {
                    Some(found) => write!(f, "it is {found}")?,
                    None => f.write_str("it does not begin as one")?,
                }
                f.write_str("; upload a tar that is compressed with gzip, as `tar -czf` makes it")
            }
            Self::NotTar { found } => write!(f, "inside the gzip is no tar but {found}; put the files into a tar, as `tar -czf` does"),
            Self::TooLarge { limit_bytes } => write!(
                f,
                "the archive unpacks to more than {limit_bytes} bytes, the most that this dataset takes; find out why it is so large, or raise \
                 \"max_unpacked_bytes\" in the configuration"
            ),
            Self::CorruptGzip { detail } => write!(f, "the archive is not a sound gzip file ({detail}); make it again and upload it again"),
            Self::Truncated { detail } => write!(f, "the archive ends too early ({detail}); the upload or the export was cut off: upload it again"),
            Self::CorruptTar { detail } => write!(f, "the archive does not hold a sound tar ({detail}); make it again with `tar -czf`"),
            Self::DataAfterEnd => {
                f.write_str("there is data after the end of the archive, which would be lost; make one archive of all files, with nothing behind it")
            }
            Self::UnknownMember { expected } => {
                let expected = expected.join(", ");
                write!(f, "the configuration names no such file: leave it out, or rename it; it names {expected} (a name counts up to its first dot)")
            }
            Self::MissingMember => f.write_str("the file is missing from the archive; add it, with its header line even if it has no rows"),
            Self::DuplicateMember { first } => {
                write!(f, "the archive has {first} for the same table (a name counts up to its first dot); leave one of them out")
            }
            Self::NotARegularFile { kind } => {
                write!(f, "this entry is {kind}, not a file; put the file itself into the archive (`tar` follows links with `-h --hard-dereference`)")
            }
            Self::SparseMember => f.write_str(
                "the archive stores this file as a sparse one, with its holes left out; make it again without `tar`'s option `--sparse` (`-S`)",
            ),
            Self::LongerThanDeclared { declared_bytes } => write!(
                f,
                "the archive holds more of this file than the {declared_bytes} bytes that its header declares, and the rest would be lost; \
                 make the archive again with `tar -czf`"
            ),
            Self::ShortHeader { expected, found, delimiter } => write!(
                f,
                "the header has {found} of {expected} columns when split at {delimiter:?}; export all configured columns, in their order"
            ),
            Self::WrongDelimiter { delimiter, found, other, other_found } => write!(
                f,
                "this header splits into {other_found} with {other:?} and into {found} with {delimiter:?}: export with {delimiter:?}, or set \
                 \"delim\" in the configuration"
            ),
            Self::OtherSeparator { delimiter, found } => write!(
                f,
                "this line says that cells are separated by {found:?}, and the configuration that they are by {delimiter:?}: export with \
                 {delimiter:?}, or set \"delim\" in the configuration"
            ),
            Self::ColumnsReordered { column, expected, found } => write!(
                f,
                "the header has {column:?} as column {found}, and the configuration as column {expected}; export the columns in the configured \
                 order, or change \"columns\" in the configuration"
            ),
            Self::NoHeader { like_row: None } => f.write_str(
                "the first line has a date in a date column, so it is a row and not a header; export the file with a header line",
            ),
            Self::NoHeader { like_row: Some(line) } => write!(
                f,
                "the first line is of the same kind as line {line}, cell by cell, and has none of the configured names, so it is a row and not a \
                 header; export the file with a header line"
            ),
            Self::HeaderDiffers { expected } => {
                let expected = expected.join(", ");
                write!(f, "the names in the header must be exactly those of the configuration (\"header\": \"exact\"): {expected}")
            }
            Self::HeaderAgain => f.write_str(
                "the header stands here once more, as in files that were put one behind the other; leave it out, and look for rows that are there twice",
            ),
            Self::TooFewColumns { expected, found } => write!(
                f,
                "the row has {found} of {expected} columns; look for a delimiter that is missing, or a line end in a cell that is not quoted"
            ),
            Self::TooFewRows { expected, found } => write!(
                f,
                "the file has {found} rows, and the configuration expects {expected} or more (\"min_rows\"); export it again, or, \
                 if there are really so few, load it with `load CONFIG --accept-shrink KEY`"
            ),
            Self::Shrunk { before, expected, found, max_shrink_percent } => write!(
                f,
                "the file has {found} rows, the load before brought {before} to its table, and the configuration allows {max_shrink_percent} % fewer \
                 (\"max_shrink_percent\"), which is {expected} or more; export it again, or, if there are really so few, load it with \
                 `load CONFIG --accept-shrink KEY`"
            ),
            Self::BadDate { format, detail } => write!(f, "not a date of the form {format:?}: {detail}"),
            Self::TooManyColumns { expected, found } => write!(
                f,
                "the row has {found} cells and its header names {expected}; look for a delimiter in a cell that is not quoted, or a line end that is missing"
            ),
            Self::NulByte => f.write_str("a NUL byte, which Redshift cannot hold; remove it"),
            Self::InvalidUtf8 => f.write_str("not UTF-8, but perhaps Latin-1 or Windows-1252; export the file as UTF-8"),
            Self::NotText { found } => {
                write!(f, "the file is no delimited text but {found}; export the table as a text file, and look at what the exporter received")
            }
            Self::Utf16 => f.write_str("the file is UTF-16; export it as UTF-8"),
            Self::LoneReturn => f.write_str(
                "a carriage return (CR) stands here without a line feed (LF): end lines with LF or CRLF, and quote a cell that holds a line end",
            ),
            Self::ByteOrderMark => f.write_str(
                "a byte order mark stands here, which belongs at the start of a file only, as in files that were put one behind the other; remove it, \
                 and the header behind it",
            ),
            Self::BlankBeforeQuote => f.write_str(
                "blanks stand between a delimiter and a quote, so that the quotes would be text; export without blanks around quoted cells",
            ),
            Self::BackslashEscape => f.write_str(
                "a quote inside a quoted cell is written as a backslash and a quote; write it as two quotes, and backslashes as they are",
            ),
            Self::UnclosedQuote { limit_bytes: None } => {
                f.write_str("a quoted cell begins here and is never closed; close it, or double the quotes inside it")
            }
            Self::UnclosedQuote { limit_bytes: Some(limit_bytes) } => write!(
                f,
                "a quoted cell begins here and is not closed within {limit_bytes} bytes, the most that Redshift loads as one row; close it, \
                 double the quotes inside it, or shorten it"
            ),
            Self::TextAfterQuote => f.write_str("text follows a closing quote; a quote inside a quoted cell must be doubled"),
            Self::RecordTooLong { limit_bytes } => {
                write!(f, "the record is larger than {limit_bytes} bytes, the most that Redshift loads as one row; shorten it")
            }
            Self::ReservedText => f.write_str("the cell is the text that this program uses to mean NULL; change the cell"),
            Self::TextTooLong { column_bytes, found_bytes } => {
                write!(f, "the text has {found_bytes} bytes in UTF-8, and its column holds {column_bytes}; shorten it, or have the column made longer")
            }
            Self::NullNotAllowed => f.write_str(
                "the cell means NULL (\"null_as\" in the configuration), which its column does not take; fill it, or have the column made to take NULL",
            ),
            Self::EmptyNotAllowed => f.write_str(
                "the cell is empty, which is NULL in a column that is not text, and this one takes none; fill it, or have the column made to take NULL",
            ),
            Self::BadBoolean => f.write_str("not a boolean; write true, t, yes, y or 1, or false, f, no, n or 0"),
            Self::BadNumber { column_type } => {
                write!(f, "not a number, but its column is {column_type}; write digits, with a point if there is a fraction, and nothing else")
            }
            Self::OutOfRange { column_type, range } => write!(
                f,
                "the number is beyond what its column holds, {column_type} ({range}); correct it, or have the column made of a larger type"
            ),
            Self::Refused { code: Some(code), message } => write!(f, "Redshift refused the row: {message} (code {code})"),
            Self::Refused { code: None, message } => write!(f, "Redshift refused the row: {message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// The table of codes is for those who read `error.json`; it has every code that the program can write,
    /// and no other.
    #[test]
    fn every_code_is_documented() {
        let rows = include_str!("../../../docs/bad-archives.md").split("## Codes").nth(1).unwrap().lines();
        let cells =
            rows.filter_map(|line| line.strip_prefix("| `")).filter_map(|row| row.split(" | ").next());
        let documented: BTreeSet<&str> =
            cells.flat_map(|cell| cell.split('`').step_by(2)).filter(|code| !code.is_empty()).collect();
        let source = include_str!("reason.rs");
        let from = source.find("pub fn code(").unwrap();
        let code = &source[from..from + source[from..].find("\n    }\n}").unwrap()];
        let written: BTreeSet<&str> = code
            .lines()
            .filter_map(|line| line.split("=> \"").nth(1))
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert!(written.len() > 20);
        assert_eq!(documented, written);
    }

    #[test]
    fn every_code_is_documented_with_what_to_do() {
        let rows = include_str!("../../../docs/bad-archives.md").split("## Codes").nth(1).unwrap().lines();
        for row in rows.filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
            assert!(cells.len() == 3 && cells.iter().all(|cell| !cell.is_empty()), "{row}");
        }
    }
}
