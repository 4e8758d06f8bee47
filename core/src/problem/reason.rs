//! Defines the reasons for which an archive is bad, and their stable codes.

use super::quote::Quote;

/// What is wrong, with the values that the message and its remedy need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A file has neither header nor rows.
    EmptyMember,
    /// The archive has no bytes.
    EmptyArchive,
    /// The archive is another kind of file.
    NotGzip {
        /// The kind of file, if its first bytes show it.
        found: Option<&'static str>,
    },
    /// The gzip contains another kind of file.
    NotTar {
        /// The kind of file.
        found: &'static str,
    },
    /// The archive unpacks to more than the configuration allows.
    TooLarge {
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// The archive itself is larger than the configuration allows.
    PackedTooLarge {
        /// The limit in bytes.
        limit_bytes: u64,
        /// The archive's size in bytes.
        found_bytes: u64,
    },
    /// The ratio of unpacked to packed bytes is larger than the configuration allows.
    RatioTooHigh {
        /// The limit: unpacked bytes for one packed byte.
        limit: u64,
        /// The number of bytes read when the limit was passed.
        packed_bytes: u64,
        /// The number of bytes unpacked from them.
        unpacked_bytes: u64,
    },
    /// Names and attributes in all pax headers together are larger than the configuration allows.
    PaxTooLarge {
        /// The limit in bytes.
        limit_bytes: u64,
        /// The size of the headers up to the one that passed the limit, in bytes.
        found_bytes: u64,
    },
    /// The function could not read the archive to its end within its time, in several tries.
    TookTooLong {
        /// The duration of each try in whole seconds.
        seconds: Vec<u64>,
        /// The archive's size in bytes.
        size_bytes: u64,
        /// The number of bytes read by the try that came furthest.
        read_bytes: u64,
        /// The number of bytes that it unpacked.
        unpacked_bytes: u64,
        /// The number of files that it read to their ends.
        members: u64,
        /// The number of rows that it found.
        rows: u64,
    },
    /// The gzip stream is damaged, or its checksum is wrong.
    CorruptGzip {
        /// The decoder's message.
        detail: String,
    },
    /// The archive ends before it is complete.
    Truncated {
        /// The part that was being read when it ended.
        detail: String,
    },
    /// The tar inside the gzip is damaged, or is not a tar.
    CorruptTar {
        /// The reader's message.
        detail: String,
    },
    /// The end of the tar or of the gzip is followed by bytes that are not padding.
    DataAfterEnd,
    /// A member is not named in the configuration.
    UnknownMember {
        /// The members that the configuration names.
        expected: Vec<String>,
    },
    /// A member that the configuration names is missing.
    MissingMember,
    /// A second member is for the same table.
    DuplicateMember {
        /// The name of the first member.
        first: String,
    },
    /// An entry with the name of a table's file is a link, a device or similar.
    NotARegularFile {
        /// The kind of entry.
        kind: &'static str,
    },
    /// A file is stored without its holes. Redshift could not store the holes either.
    SparseMember,
    /// A file continues after the size that its header declares.
    LongerThanDeclared {
        /// The declared size in bytes.
        declared_bytes: u64,
    },
    /// The header has fewer columns than are configured.
    ShortHeader {
        /// The number of configured columns.
        expected: usize,
        /// The number of columns found.
        found: usize,
        /// The configured delimiter.
        delimiter: char,
    },
    /// The header has fewer columns than are configured, and another delimiter would split it.
    WrongDelimiter {
        /// The configured delimiter.
        delimiter: char,
        /// The number of columns found with it.
        found: usize,
        /// The other delimiter.
        other: char,
        /// The number of columns with the other delimiter.
        other_found: usize,
    },
    /// The first line is `sep=` with a delimiter that is not the configured one.
    OtherSeparator {
        /// The configured delimiter.
        delimiter: char,
        /// The delimiter that the line names.
        found: char,
    },
    /// A configured name is in the header at another position than configured.
    ColumnsReordered {
        /// The name.
        column: String,
        /// The configured position, counted from 1.
        expected: usize,
        /// The position in the header, counted from 1.
        found: usize,
    },
    /// A row is in the place of the header.
    NoHeader {
        /// The line of a row of the same kind; `None` if the first line has a date in a date column.
        like_row: Option<u64>,
    },
    /// The header has other names than the configuration, which requires the same names.
    HeaderDiffers {
        /// The configured names.
        expected: Vec<String>,
    },
    /// The header is repeated further down.
    HeaderAgain,
    /// A row has fewer cells than its header.
    TooFewColumns {
        /// The number of cells of the header.
        expected: usize,
        /// The number of cells found.
        found: usize,
    },
    /// A row has more cells than its header, and they are not all empty.
    TooManyColumns {
        /// The number of cells of the header that have a name.
        expected: usize,
        /// The number of cells found.
        found: usize,
    },
    /// A file has fewer rows than `min_rows`.
    TooFewRows {
        /// The minimum number of rows in the configuration.
        expected: u64,
        /// The number of rows found.
        found: u64,
    },
    /// A file has so many fewer rows than in the latest load that its table would shrink by more than
    /// `max_shrink_percent`.
    Shrunk {
        /// The number of rows that the latest load added to the table.
        before: u64,
        /// The minimum number of rows after that load.
        expected: u64,
        /// The number of rows found.
        found: u64,
        /// The configured percentage.
        max_shrink_percent: u8,
    },
    /// A date does not match its format.
    BadDate {
        /// The configured format.
        format: String,
        /// What exactly does not match.
        detail: Quote,
    },
    /// A cell has a NUL byte, which Redshift cannot store.
    NulByte,
    /// A cell has bytes that are not UTF-8.
    InvalidUtf8,
    /// A table's file is another kind of file.
    NotText {
        /// The kind of file.
        found: &'static str,
    },
    /// The file is UTF-16, according to its byte order mark or its zeros.
    Utf16,
    /// A CR without LF is outside quotes.
    LoneReturn,
    /// A byte order mark is at the start of a line that is not the first.
    ByteOrderMark,
    /// Blanks are between a delimiter and a quote.
    BlankBeforeQuote,
    /// A quote is escaped with a backslash.
    BackslashEscape,
    /// A quoted cell never ends.
    UnclosedQuote {
        /// The limit in bytes within which the cell does not end; `None` if the file ends first.
        limit_bytes: Option<usize>,
    },
    /// Text is between a closing quote and the next delimiter.
    TextAfterQuote,
    /// A record is larger than Redshift allows.
    RecordTooLong {
        /// The limit in bytes.
        limit_bytes: usize,
    },
    /// A cell is equal to the text that means NULL in a staged file.
    ReservedText,
    /// A text is longer than its column.
    TextTooLong {
        /// The column's length in bytes.
        column_bytes: u64,
        /// The text's length in bytes of UTF-8.
        found_bytes: u64,
    },
    /// A cell means NULL, and its column is NOT NULL.
    NullNotAllowed,
    /// A cell is empty, which means NULL because its column's type is not text, and the column is NOT NULL.
    EmptyNotAllowed,
    /// A cell is not a text that Redshift accepts as true or false.
    BadBoolean,
    /// A cell in a numeric column is not a number.
    BadNumber {
        /// The column's type.
        column_type: String,
    },
    /// A number is outside the range of its column's type.
    OutOfRange {
        /// The column's type.
        column_type: String,
        /// The range of the type.
        range: String,
    },
    /// Redshift refused the row.
    Refused {
        /// Redshift's error code, if it gave one.
        code: Option<i64>,
        /// Redshift's message.
        message: Quote,
    },
}

impl Reason {
    /// Returns the part of the reason that quotes cells.
    pub(super) fn quote_mut(&mut self) -> Option<&mut Quote> {
        match self {
            Self::BadDate { detail: quote, .. } | Self::Refused { message: quote, .. } => Some(quote),
            _ => None,
        }
    }

    /// Returns a stable code for programs, the same for all reasons with the same correction; the text is for
    /// people.
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

    /// The table of codes is for those who read `error.json`. It has every code that the program can write,
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
