//! Writes the reasons for people: what is wrong, and the remedy.

use std::fmt;

use super::reason::Reason;

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
            Self::NotTar { found } => write!(f, "the gzip does not contain a tar but {found}; put the files into a tar, as `tar -czf` does"),
            Self::TooLarge { limit_bytes } => write!(
                f,
                "the archive unpacks to more than {limit_bytes} bytes, the limit of this dataset; find out why it is so large, or raise \
                 \"max_unpacked_bytes\" in the configuration"
            ),
            Self::PackedTooLarge { limit_bytes, found_bytes } => write!(
                f,
                "the archive has {found_bytes} bytes, and the limit of this dataset is {limit_bytes}; find out why it is so large, or raise \
                 \"max_packed_bytes\" in the configuration"
            ),
            Self::RatioTooHigh { limit, packed_bytes, unpacked_bytes } => write!(
                f,
                "{packed_bytes} bytes of the archive unpack to {unpacked_bytes}, more than {limit} times as many, the limit of this \
                 dataset; find out why its data is so repetitive, or raise \"max_unpacked_ratio\" in the configuration"
            ),
            Self::PaxTooLarge { limit_bytes, found_bytes } => write!(
                f,
                "names and attributes in the archive take {found_bytes} bytes or more, and the limit of this dataset is {limit_bytes}; leave \
                 attributes out (`tar --no-xattrs`), or raise \"max_pax_bytes\" in the configuration"
            ),
            Self::TookTooLong { seconds, size_bytes, read_bytes, unpacked_bytes, members, rows } => {
                let tries = seconds.len();
                let seconds: Vec<String> = seconds.iter().map(u64::to_string).collect();
                write!(
                    f,
                    "the function could not read the archive within its time, in {tries} tries of {} seconds; the one that got furthest read \
                     {read_bytes} of {size_bytes} bytes and unpacked {unpacked_bytes}, with {members} whole files and {rows} rows; find out why it \
                     takes so long, give the function more memory (and so more of a processor) or time, or load it with the command or the container \
                     task: `load CONFIG --again KEY`",
                    seconds.join(", ")
                )
            }
            Self::CorruptGzip { detail } => write!(f, "the archive is not a sound gzip file ({detail}); make it again and upload it again"),
            Self::Truncated { detail } => write!(f, "the archive ends too early ({detail}); the upload or the export was cut off: upload it again"),
            Self::CorruptTar { detail } => write!(f, "the archive does not hold a sound tar ({detail}); make it again with `tar -czf`"),
            Self::DataAfterEnd => {
                f.write_str("there is data after the end of the archive, which would be lost; make one archive of all files, with nothing after it")
            }
            Self::UnknownMember { expected } => {
                let expected = expected.join(", ");
                write!(f, "the configuration does not name this file: leave it out, or rename it; it names {expected} (a name counts up to \
                           its first dot)")
            }
            Self::MissingMember => f.write_str("the file is missing from the archive; add it, with its header line even if it has no rows"),
            Self::DuplicateMember { first } => {
                write!(f, "the archive has {first} for the same table (a name counts up to its first dot); leave one of them out")
            }
            Self::NotARegularFile { kind } => {
                write!(f, "this entry is {kind}, not a file; put the file itself into the archive (`tar` follows links with `-h --hard-dereference`)")
            }
            Self::SparseMember => f.write_str(
                "the archive stores this file as a sparse file, without its holes; make it again without `tar`'s option `--sparse` (`-S`)",
            ),
            Self::LongerThanDeclared { declared_bytes } => write!(
                f,
                "the archive has more bytes of this file than the {declared_bytes} that its header declares, and the rest would be lost; \
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
                "this line names {found:?} as the delimiter, and the configuration names {delimiter:?}: export with \
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
                "the header is repeated here, as in files that were concatenated; leave it out, and look for duplicate rows",
            ),
            Self::TooFewColumns { expected, found } => write!(
                f,
                "the row has {found} of {expected} columns; look for a missing delimiter, or a line end in an unquoted cell"
            ),
            Self::TooFewRows { expected, found } => write!(
                f,
                "the file has {found} rows, and the configuration expects {expected} or more (\"min_rows\"); export it again, or, \
                 if there are really so few, load it with `load CONFIG --accept-shrink KEY`"
            ),
            Self::Shrunk { before, expected, found, max_shrink_percent } => write!(
                f,
                "the file has {found} rows, the previous load had {before} for its table, and the configuration allows {max_shrink_percent} \
                 % fewer (\"max_shrink_percent\"), which is {expected} or more; export it again, or, if there are really so few, load it with \
                 `load CONFIG --accept-shrink KEY`"
            ),
            Self::BadDate { format, detail } => write!(f, "not a date of the form {format:?}: {detail}"),
            Self::TooManyColumns { expected, found } => write!(
                f,
                "the row has {found} cells and its header names {expected}; look for a delimiter in an unquoted cell, or a missing line end"
            ),
            Self::NulByte => f.write_str("a NUL byte, which Redshift cannot store; remove it"),
            Self::InvalidUtf8 => f.write_str("not UTF-8, but perhaps Latin-1 or Windows-1252; export the file as UTF-8"),
            Self::NotText { found } => {
                write!(f, "the file is not delimited text but {found}; export the table as a text file, and check what the exporter received")
            }
            Self::Utf16 => f.write_str("the file is UTF-16; export it as UTF-8"),
            Self::LoneReturn => f.write_str(
                "a carriage return (CR) is here without a line feed (LF): end lines with LF or CRLF, and quote a cell that contains a line end",
            ),
            Self::ByteOrderMark => f.write_str(
                "a byte order mark is here, which belongs only at the start of a file, as in files that were concatenated; remove it, and \
                 the header after it",
            ),
            Self::BlankBeforeQuote => f.write_str(
                "there are blanks between a delimiter and a quote, so the quotes would be text; export without blanks around quoted cells",
            ),
            Self::BackslashEscape => f.write_str(
                "a quote inside a quoted cell is written as a backslash and a quote; write it as two quotes, and leave backslashes unchanged",
            ),
            Self::UnclosedQuote { limit_bytes: None } => {
                f.write_str("a quoted cell begins here and is never closed; close it, or double the quotes inside it")
            }
            Self::UnclosedQuote { limit_bytes: Some(limit_bytes) } => write!(
                f,
                "a quoted cell begins here and is not closed within {limit_bytes} bytes, Redshift's limit for a row; close it, \
                 double the quotes inside it, or shorten it"
            ),
            Self::TextAfterQuote => f.write_str("text follows a closing quote; a quote inside a quoted cell must be doubled"),
            Self::RecordTooLong { limit_bytes } => {
                write!(f, "the record is larger than {limit_bytes} bytes, Redshift's limit for a row; shorten it")
            }
            Self::ReservedText => f.write_str("the cell is the text that means NULL in this program's staged files; change the cell"),
            Self::TextTooLong { column_bytes, found_bytes } => {
                write!(f, "the text has {found_bytes} bytes in UTF-8, and its column holds {column_bytes}; shorten it, or lengthen the column")
            }
            Self::NullNotAllowed => f.write_str(
                "the cell means NULL (\"null_as\" in the configuration), and its column is NOT NULL; fill it, or let the column take NULL",
            ),
            Self::EmptyNotAllowed => f.write_str(
                "the cell is empty, which means NULL in a column that is not text, and this column is NOT NULL; fill it, or let the column take NULL",
            ),
            Self::BadBoolean => f.write_str("not a boolean; write true, t, yes, y or 1, or false, f, no, n or 0"),
            Self::BadNumber { column_type } => {
                write!(f, "not a number, but its column is {column_type}; write digits, with a decimal point if there is a fraction, and \
                           nothing else")
            }
            Self::OutOfRange { column_type, range } => write!(
                f,
                "the number is outside the range of its column, {column_type} ({range}); correct it, or change the column to a larger type"
            ),
            Self::Refused { code: Some(code), message } => write!(f, "Redshift refused the row: {message} (code {code})"),
            Self::Refused { code: None, message } => write!(f, "Redshift refused the row: {message}"),
        }
    }
}
