//! Fields into a table's columns: NULLs, lengths in bytes, and the forms that each type takes.

use chrono::{NaiveDate, NaiveDateTime};

use super::reader::Record;
use super::statement::Options;

/// A column that COPY fills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// The type's name, for the load-error tables.
    pub(super) type_name: String,
    /// Its length in bytes, where it has one.
    pub(super) length: Option<usize>,
    pub(super) not_null: bool,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Varchar,
    Char,
    Bool,
    Integer { min: i64, max: i64 },
    Decimal,
    Float,
    Date,
    Timestamp,
    TimestampTz,
}

/// A field that cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadField {
    /// Which column; none if the record as a whole is at fault.
    pub(super) column: Option<usize>,
    pub(super) value: Vec<u8>,
    /// `r_Load_Error_Reference`.
    pub(super) code: i64,
    pub(super) reason: String,
}

impl BadField {
    fn record(code: i64, reason: &str) -> Self {
        Self { column: None, value: Vec::new(), code, reason: reason.to_owned() }
    }
}

/// Appends a record to `out` as a line of PostgreSQL's COPY text format.
pub(super) fn convert(record: &Record, columns: &[Column], options: &Options, out: &mut Vec<u8>) -> Result<(), BadField> {
    let begun = out.len();
    let result = append(record, columns, options, out);
    if result.is_err() {
        out.truncate(begun);
    }
    result
}

fn append(record: &Record, columns: &[Column], options: &Options, out: &mut Vec<u8>) -> Result<(), BadField> {
    let mut fields = record.fields.as_slice();
    // "One trailing delimiter is tolerated" (t_preparing-input-data.md, venue_noseats example).
    if fields.len() == columns.len() + 1 && fields.last().is_some_and(|last| last.text.is_empty()) {
        fields = &fields[..columns.len()];
    }
    if fields.len() > columns.len() {
        return Err(BadField::record(1202, "Extra column(s) found"));
    }
    if fields.len() < columns.len() && !options.fill_record {
        return Err(BadField::record(1203, "Delimiter not found"));
    }
    for (at, column) in columns.iter().enumerate() {
        if at > 0 {
            out.push(b'\t');
        }
        let bad = |code, reason: &str, value: &[u8]| BadField { column: Some(at), value: value.to_vec(), code, reason: reason.to_owned() };
        let field = fields.get(at).map(|field| field.text.as_slice());
        let text = match field {
            // FILLRECORD: NULL, but '' for VARCHAR unless EMPTYASNULL.
            None if column.kind == Kind::Varchar && !options.empty_as_null => Some(&b""[..]),
            None => None,
            Some(text) if text == options.null_as.as_bytes() => None,
            Some(text) => Some(text),
        };
        let textual = matches!(column.kind, Kind::Varchar | Kind::Char);
        let text = text.filter(|text| {
            let blank = text.iter().all(u8::is_ascii_whitespace);
            // "Empty fields of other types always NULL"; "blank non-char fields always NULL".
            !(blank && !textual || text.is_empty() && options.empty_as_null || blank && !text.is_empty() && options.blanks_as_null)
        });
        let Some(text) = text else {
            if column.not_null {
                return Err(bad(1213, "Missing data for not-null field", field.unwrap_or_default()));
            }
            out.extend_from_slice(b"\\N");
            continue;
        };
        if text.contains(&0) {
            return Err(bad(1218, "Missing newline: Unexpected character 0x00 found", text));
        }
        let valid: String;
        let value = match std::str::from_utf8(text) {
            Ok(value) => value,
            Err(_) => match options.accept_invalid_chars {
                Some(replacement) if column.kind == Kind::Varchar => {
                    valid = replace_invalid(text, replacement);
                    &valid
                }
                _ => return Err(bad(1220, "String contains invalid or unsupported UTF8 codepoints", text)),
            },
        };
        let value = fit(value, column, options).map_err(|(code, reason)| bad(code, &reason, text))?;
        escape(value.as_bytes(), out);
    }
    out.push(b'\n');
    Ok(())
}

/// "each invalid character is replaced with a string of equal length" (copy-parameters-data-conversion.md).
fn replace_invalid(text: &[u8], replacement: char) -> String {
    let mut valid = String::new();
    for chunk in text.utf8_chunks() {
        valid.push_str(chunk.valid());
        valid.extend(std::iter::repeat_n(replacement, chunk.invalid().len()));
    }
    valid
}

fn fit<'v>(value: &'v str, column: &Column, options: &Options) -> Result<std::borrow::Cow<'v, str>, (i64, String)> {
    let refused = |code, reason: &str| Err((code, reason.to_owned()));
    match column.kind {
        Kind::Varchar | Kind::Char => {
            if column.kind == Kind::Char && !value.is_ascii() {
                return refused(1220, "String contains invalid or unsupported UTF8 codepoints");
            }
            let limit = column.length.unwrap_or(usize::MAX);
            if value.len() <= limit {
                return Ok(value.into());
            }
            let mut cut = limit;
            while !value.is_char_boundary(cut) {
                cut -= 1;
            }
            // "an error unless the excess is all blanks" (r_Character_types.md).
            if options.truncate_columns || value[cut..].bytes().all(|byte| byte == b' ') {
                return Ok(value[..cut].into());
            }
            refused(1204, "String length exceeds DDL length")
        }
        Kind::Bool => match value.trim().to_ascii_lowercase().as_str() {
            "t" | "true" | "y" | "yes" | "1" => Ok("t".into()),
            "f" | "false" | "n" | "no" | "0" => Ok("f".into()),
            _ => refused(1210, "Invalid boolean value"),
        },
        Kind::Integer { min, max } => match value.trim().parse::<i128>() {
            Ok(number) if (i128::from(min)..=i128::from(max)).contains(&number) => Ok(number.to_string().into()),
            Ok(_) => refused(1222, "Integer overflow"),
            Err(_) => refused(1207, "Invalid digit, Value, Pos 0, Type: Integer"),
        },
        Kind::Decimal => {
            let digits = value.trim().trim_start_matches(['+', '-']);
            let shape = digits.chars().all(|c| c.is_ascii_digit() || c == '.')
                && digits.matches('.').count() <= 1
                && digits.chars().any(|c| c.is_ascii_digit());
            if shape { Ok(value.trim().into()) } else { refused(1209, "Invalid decimal value") }
        }
        Kind::Float => match value.trim().parse::<f64>() {
            Ok(_) => Ok(value.trim().into()),
            Err(_) => refused(1208, "Invalid float value"),
        },
        Kind::Date => match NaiveDate::parse_from_str(value.trim(), "%Y-%m-%d") {
            Ok(_) => Ok(value.trim().into()),
            Err(_) => refused(1205, "Invalid Date Format - length must be 10 or more"),
        },
        Kind::Timestamp | Kind::TimestampTz => timestamp(value.trim(), options.time_format_auto)
            .map(Into::into)
            .ok_or((1206, "Invalid timestamp format or value [YYYY-MM-DD HH24:MI:SS]".to_owned())),
    }
}

/// `YYYY-MM-DD HH:MI:SS`, a fraction to microseconds, an offset; with TIMEFORMAT 'auto' ISO 8601's `T` and `Z` too.
fn timestamp(value: &str, auto: bool) -> Option<String> {
    let text = if auto { value.replacen('T', " ", 1).replacen('Z', "+00", 1) } else { value.to_owned() };
    let (date_time, offset) = match text.get(10..).and_then(|rest| rest.find(['+', '-'])) {
        Some(at) => text.split_at(at + 10),
        None => (text.as_str(), ""),
    };
    let fraction = date_time.split_once('.').map_or("", |(_, fraction)| fraction);
    let known = date_time.len() >= 19 && fraction.len() <= 6 && (date_time.len() == 19 || !fraction.is_empty());
    let offset_known = offset.is_empty() || offset[1..].chars().all(|c| c.is_ascii_digit() || c == ':');
    let valid = known && offset_known && NaiveDateTime::parse_from_str(date_time, "%Y-%m-%d %H:%M:%S%.f").is_ok();
    valid.then(|| text.clone())
}

fn escape(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            other => out.push(*other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::reader::Field;
    use super::*;

    fn column(kind: Kind, length: Option<usize>) -> Column {
        Column { name: "c".to_owned(), kind, type_name: "t".to_owned(), length, not_null: false }
    }

    fn load(kind: Kind, length: Option<usize>, text: &str, options: &Options) -> Result<String, i64> {
        let record = Record { line: 1, fields: vec![Field { text: text.as_bytes().to_vec() }], raw: Vec::new() };
        let mut out = Vec::new();
        convert(&record, &[column(kind, length)], options, &mut out).map_err(|bad| bad.code)?;
        Ok(String::from_utf8(out).unwrap().trim_end_matches('\n').to_owned())
    }

    /// r_Character_types.md: lengths are in bytes; an excess of blanks is cut, any other is an error.
    #[test]
    fn lengths_are_bytes() {
        let options = Options::default();
        assert_eq!(load(Kind::Varchar, Some(4), "éé", &options).as_deref(), Ok("éé"));
        assert_eq!(load(Kind::Varchar, Some(3), "éé", &options), Err(1204));
        assert_eq!(load(Kind::Varchar, Some(3), "abc   ", &options).as_deref(), Ok("abc"));
        assert_eq!(load(Kind::Varchar, Some(3), "éé", &Options { truncate_columns: true, ..options }).as_deref(), Ok("é"));
    }

    /// copy-parameters-data-conversion.md: empty is '' for text and NULL for others; the null string is NULL for all.
    #[test]
    fn empty_and_null_strings() {
        let options = Options { null_as: "-".to_owned(), ..Options::default() };
        assert_eq!(load(Kind::Varchar, Some(9), "", &options).as_deref(), Ok(""));
        assert_eq!(load(Kind::Timestamp, None, "", &options).as_deref(), Ok("\\N"));
        assert_eq!(load(Kind::Varchar, Some(9), "-", &options).as_deref(), Ok("\\N"));
        assert_eq!(load(Kind::Varchar, Some(9), "", &Options { empty_as_null: true, ..options }).as_deref(), Ok("\\N"));
    }

    /// live/r_Load_Error_Reference: the codes of refused values.
    #[test]
    fn refused_values_have_codes() {
        let options = Options::default();
        for (kind, text, code) in [
            (Kind::Bool, "maybe", 1210),
            (Kind::Integer { min: 0, max: 9 }, "x", 1207),
            (Kind::Integer { min: 0, max: 9 }, "10", 1222),
            (Kind::Date, "2024-02-30", 1205),
            (Kind::Timestamp, "2024-02-01T00:00:00", 1206),
            (Kind::Timestamp, "2024-02-01 00:00:00.1234567", 1206),
            (Kind::Char, "é", 1220),
        ] {
            assert_eq!(load(kind, Some(9), text, &options), Err(code), "{text}");
        }
        assert!(load(Kind::Timestamp, None, "2024-02-01 00:00:00.119568", &options).is_ok());
        assert!(load(Kind::Timestamp, None, "2019-02-11T05:09:12.195Z", &Options { time_format_auto: true, ..options }).is_ok());
    }
}
