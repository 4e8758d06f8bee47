//! Defines the reasons for which an archive is bad, and their stable codes.

use super::quote::Quote;

/// What is wrong, with what is needed to say how to correct it.
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
    /// The archive itself is larger than the configuration allows.
    PackedTooLarge {
        /// The limit, in bytes.
        limit_bytes: u64,
        /// The archive's size, in bytes.
        found_bytes: u64,
    },
    /// What is unpacked is larger, against what it was unpacked from, than the configuration allows.
    RatioTooHigh {
        /// The limit: bytes for a byte.
        limit: u64,
        /// Bytes that were read when it was passed.
        packed_bytes: u64,
        /// Bytes that were unpacked from them.
        unpacked_bytes: u64,
    },
    /// Names and attributes in pax headers take more than the configuration allows, all of them together.
    PaxTooLarge {
        /// The limit, in bytes.
        limit_bytes: u64,
        /// What the headers take up to the one that passed it, in bytes.
        found_bytes: u64,
    },
    /// A function could not read the archive to its end within its time, however often it tried.
    TookTooLong {
        /// Whole seconds that each try took.
        seconds: Vec<u64>,
        /// The archive's size, in bytes.
        size_bytes: u64,
        /// Bytes that the try read that came furthest.
        read_bytes: u64,
        /// Bytes that it unpacked.
        unpacked_bytes: u64,
        /// Files that it read to their ends.
        members: u64,
        /// Rows that it found.
        rows: u64,
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

    /// A stable name for programs, one for all that is corrected in the same way; the text is for people.
    pub fn code(&self) -> &'static str {
        match self {
            Self::EmptyMember => "empty_member",
            Self::CorruptGzip { .. } | Self::NotGzip { .. } => "corrupt_gzip",
            Self::Truncated { .. } | Self::EmptyArchive => "truncated",
            Self::CorruptTar { .. } | Self::NotTar { .. } => "corrupt_tar",
            Self::TooLarge { .. } | Self::PackedTooLarge { .. } => "too_large",
            Self::RatioTooHigh { .. } => "ratio_too_high",
            Self::PaxTooLarge { .. } => "pax_too_large",
            Self::TookTooLong { .. } => "took_too_long",
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
