//! Converts fields for a table's columns: NULLs, lengths in bytes, and the forms that each type accepts.
//! PostgreSQL accepts every field that passes here.

use std::borrow::Cow;

use chrono::NaiveDate;

use super::reader::Record;
use super::statement::CopyOptions;

/// A column that COPY fills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: ColumnType,
    /// The type's name, for the load-error tables.
    pub(super) type_name: String,
    /// The column's length in bytes, if it has one.
    pub(super) length: Option<usize>,
    pub(super) not_null: bool,
}

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnType {
    Varchar,
    Char,
    Bool,
    Integer {
        min: i64,
        max: i64,
    },
    /// A decimal with precision and scale, if they are limited.
    Decimal(Option<(usize, usize)>),
    Float {
        /// Whether the type has four bytes rather than eight.
        single: bool,
    },
    Date,
    Timestamp,
    TimestampTz,
}

/// A field that cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadField {
    /// The column's index; `None` if the record as a whole is wrong.
    pub(super) column: Option<usize>,
    pub(super) value: Vec<u8>,
    /// The error code (`r_Load_Error_Reference`).
    pub(super) code: i64,
    pub(super) reason: String,
}

/// Appends a record to `out` as a line of PostgreSQL's COPY text format.
pub(super) fn convert(
    record: &Record,
    columns: &[Column],
    options: &CopyOptions,
    out: &mut Vec<u8>,
) -> Result<(), BadField> {
    let begun = out.len();
    let result = append(record, columns, options, out);
    if result.is_err() {
        out.truncate(begun);
    }
    result
}

fn append(
    record: &Record,
    columns: &[Column],
    options: &CopyOptions,
    out: &mut Vec<u8>,
) -> Result<(), BadField> {
    let mut count = record.len();
    // "One trailing delimiter is tolerated" (t_preparing-input-data.md, venue_noseats example).
    if count == columns.len() + 1 && record.field(columns.len()).is_some_and(<[u8]>::is_empty) {
        count -= 1;
    }
    if count > columns.len() {
        return Err(BadField {
            column: None,
            value: Vec::new(),
            code: 1202,
            reason: "Extra column(s) found".to_owned(),
        });
    }
    if count < columns.len() && !options.fill_record {
        return Err(BadField {
            column: Some(count),
            value: Vec::new(),
            code: 1203,
            reason: "Delimiter not found".to_owned(),
        });
    }
    for (at, column) in columns.iter().enumerate() {
        if at > 0 {
            out.push(b'\t');
        }
        let field = record.field(at).filter(|_| at < count);
        let bad = |(code, reason): (i64, Cow<'_, str>)| BadField {
            column: Some(at),
            value: field.unwrap_or_default().to_vec(),
            code,
            reason: reason.into_owned(),
        };
        match present(field, column, options) {
            Some(text) => {
                let value = fit(&readable(text, column, options).map_err(bad)?, column, options)
                    .map_err(bad)?
                    .into_owned();
                escape(value.as_bytes(), out);
            }
            None if column.not_null => return Err(bad((1213, "Missing data for not-null field".into()))),
            None => out.extend_from_slice(b"\\N"),
        }
    }
    out.push(b'\n');
    Ok(())
}

/// Returns a field's text, unless it is NULL.
fn present<'f>(field: Option<&'f [u8]>, column: &Column, options: &CopyOptions) -> Option<&'f [u8]> {
    let Some(text) = field else {
        // FILLRECORD: NULL, but '' for VARCHAR unless EMPTYASNULL.
        return (column.kind == ColumnType::Varchar && !options.empty_as_null).then_some(b"");
    };
    if text == options.null_as.as_bytes() {
        return None;
    }
    let blank = text.iter().all(u8::is_ascii_whitespace);
    let null = match column.kind {
        ColumnType::Varchar | ColumnType::Char if text.is_empty() => options.empty_as_null,
        ColumnType::Varchar | ColumnType::Char => blank && options.blanks_as_null,
        // "Empty fields of other types always NULL"; "blank non-char fields always NULL".
        _ => blank,
    };
    (!null).then_some(text)
}

fn readable<'f>(
    text: &'f [u8],
    column: &Column,
    options: &CopyOptions,
) -> Result<Cow<'f, str>, (i64, Cow<'static, str>)> {
    if text.contains(&0) {
        return Err((1218, "Missing newline: Unexpected character 0x00 found".into()));
    }
    match (std::str::from_utf8(text), options.accept_invalid_chars) {
        (Ok(text), _) => Ok(text.into()),
        (Err(_), Some(replacement)) if column.kind == ColumnType::Varchar => {
            Ok(replace_invalid(text, replacement).into())
        }
        (Err(_), _) => Err((1220, "String contains invalid or unsupported UTF8 codepoints".into())),
    }
}

/// Replaces invalid characters: "each invalid character is replaced with a string of equal length"
/// (copy-parameters-data-conversion.md).
fn replace_invalid(text: &[u8], replacement: char) -> String {
    let mut valid = String::new();
    for chunk in text.utf8_chunks() {
        valid.push_str(chunk.valid());
        valid.extend(std::iter::repeat_n(replacement, chunk.invalid().len()));
    }
    valid
}

/// Returns a field in the form that PostgreSQL accepts.
fn fit<'v>(
    value: &'v str,
    column: &Column,
    options: &CopyOptions,
) -> Result<Cow<'v, str>, (i64, Cow<'static, str>)> {
    let trimmed = value.trim_ascii();
    match column.kind {
        ColumnType::Varchar | ColumnType::Char => {
            if column.kind == ColumnType::Char && !value.is_ascii() {
                return Err((1220, "String contains invalid or unsupported UTF8 codepoints".into()));
            }
            let cut = value.floor_char_boundary(column.length.unwrap_or(usize::MAX));
            // "an error unless the excess is all blanks" (r_Character_types.md).
            if options.truncate_columns || value[cut..].bytes().all(|byte| byte == b' ') {
                return Ok(value[..cut].into());
            }
            Err((1204, "String length exceeds DDL length".into()))
        }
        ColumnType::Bool => match trimmed.to_ascii_lowercase().as_str() {
            "t" | "true" | "y" | "yes" | "1" => Ok("t".into()),
            "f" | "false" | "n" | "no" | "0" => Ok("f".into()),
            _ => Err((1210, "Unknown boolean format".into())),
        },
        ColumnType::Integer { min, max } => integer(trimmed, min, max),
        ColumnType::Decimal(limits) => decimal(trimmed, limits),
        ColumnType::Float { single } => float(trimmed, single),
        ColumnType::Date if date(trimmed) => Ok(trimmed.into()),
        ColumnType::Date => Err((1205, "Invalid Date Format - length must be 10 or more".into())),
        ColumnType::Timestamp | ColumnType::TimestampTz => timestamp(trimmed, options.time_format_auto)
            .ok_or((1206, "Invalid timestamp format or value [YYYY-MM-DD HH24:MI:SS]".into())),
    }
}

fn integer(text: &str, min: i64, max: i64) -> Result<Cow<'_, str>, (i64, Cow<'static, str>)> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if let Some(at) = text
        .char_indices()
        .skip(text.len() - digits.len())
        .find(|(_, c)| !c.is_ascii_digit())
        .map(|(at, _)| at)
    {
        return Err((
            1207,
            format!(
                "Invalid digit, Value '{}', Pos {at}, Type: Integer",
                text[at..].chars().next().unwrap_or(' ')
            )
            .into(),
        ));
    }
    if digits.is_empty() {
        return Err((1207, format!("Invalid digit, Value '{text}', Pos 0, Type: Integer").into()));
    }
    match text.parse::<i64>() {
        Ok(number) if (min..=max).contains(&number) => Ok(text.into()),
        _ => Err((1222, "Overflow, Type: Integer".into())),
    }
}

/// Parses a decimal. Excess digits after the decimal point are cut off ("truncated unless ROUNDEC",
/// copy-parameters-data-conversion.md).
fn decimal(text: &str, limits: Option<(usize, usize)>) -> Result<Cow<'_, str>, (i64, Cow<'static, str>)> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + fraction.len() == 0
        || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit())
    {
        return Err((1209, "Invalid decimal value".into()));
    }
    let Some((precision, scale)) = limits else { return Ok(text.into()) };
    if whole.trim_start_matches('0').len() > precision.saturating_sub(scale) {
        return Err((1204, "Numeric data overflow".into()));
    }
    Ok(text[..text.len() - fraction.len().saturating_sub(scale)].into())
}

fn float(text: &str, single: bool) -> Result<Cow<'_, str>, (i64, Cow<'static, str>)> {
    let Ok(number) = text.parse::<f64>() else { return Err((1208, "Invalid float value".into())) };
    if !text.contains(|c: char| c.is_ascii_digit()) {
        return Ok(if number.is_nan() {
            "NaN".into()
        } else if number > 0.0 {
            "Infinity".into()
        } else {
            "-Infinity".into()
        });
    }
    let nonzero = text
        .split(['e', 'E'])
        .next()
        .is_some_and(|digits| digits.contains(|c: char| ('1'..='9').contains(&c)));
    let (zero, infinite) = if single {
        (number as f32 == 0.0, (number as f32).is_infinite())
    } else {
        (number == 0.0, number.is_infinite())
    };
    if infinite || zero && nonzero { Err((1204, "Float value out of range".into())) } else { Ok(text.into()) }
}

/// Parses a number of exactly `count` digits.
fn digits(text: &str, count: usize) -> Option<u32> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Checks whether a text is a date in the form `YYYY-MM-DD`.
fn date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let mut next = |count| digits(parts.next()?, count);
    match (next(4), next(2), next(2)) {
        (Some(year @ 1..), Some(month), Some(day)) => {
            NaiveDate::from_ymd_opt(year.cast_signed(), month, day).is_some()
        }
        _ => false,
    }
}

/// Checks whether a text is a time in the form `HH:MI:SS`, which may have a fraction to microseconds.
fn time(text: &str) -> bool {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) => (clock, digits(fraction, fraction.len().clamp(1, 6))),
        None => (text, Some(0)),
    };
    let mut parts = clock.splitn(3, ':');
    let mut next =
        |limit| parts.next().and_then(|part| digits(part, 2)).is_some_and(|number| number <= limit);
    next(23) && next(59) && next(59) && fraction.is_some()
}

/// Checks whether a text is empty or an offset such as `+HH`, `+HHMM` or `+HH:MM`. PostgreSQL accepts less
/// than 16 hours.
fn offset(text: &str) -> bool {
    let digits: Vec<u8> = match text.as_bytes() {
        [] => return true,
        [b'+' | b'-', h, i] => vec![*h, *i],
        [b'+' | b'-', h, i, m, n] | [b'+' | b'-', h, i, b':', m, n] => vec![*h, *i, *m, *n],
        _ => return false,
    };
    digits.iter().all(u8::is_ascii_digit)
        && digits.as_slice() < b"16".as_slice()
        && digits.get(2).is_none_or(|tens| *tens < b'6')
}

/// Returns a timestamp for PostgreSQL; `None` for another text. The form is `YYYY-MM-DD HH:MI:SS`, which may
/// have a fraction to microseconds and an offset; with TIMEFORMAT 'auto', also ISO 8601's `T` and `Z`.
fn timestamp(value: &str, auto: bool) -> Option<Cow<'_, str>> {
    let text: Cow<'_, str> = if auto && value.contains(['T', 'Z']) {
        let text = value.replacen('T', " ", 1);
        text.strip_suffix('Z').map(|text| format!("{text}+00")).unwrap_or(text).into()
    } else {
        value.into()
    };
    let (day, rest) = text.split_at_checked(10)?;
    let clock = rest.strip_prefix(' ')?;
    let (clock, zone) = clock.split_at(clock.find(['+', '-']).unwrap_or(clock.len()));
    (date(day) && time(clock) && offset(zone)).then_some(text)
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
    use super::super::reader::RecordReader;
    use super::*;

    fn column(kind: ColumnType, length: Option<usize>) -> Column {
        Column { name: "c".to_owned(), kind, type_name: "t".to_owned(), length, not_null: false }
    }

    fn load(
        kind: ColumnType,
        length: Option<usize>,
        text: &str,
        options: &CopyOptions,
    ) -> Result<String, i64> {
        let mut loaded = Err(0);
        let mut out = Vec::new();
        let mut reader = RecordReader::new(&CopyOptions { delimiter: Some(0xff), ..CopyOptions::default() });
        reader.feed(format!("{text}\n").as_bytes(), |record| {
            loaded =
                convert(record.unwrap(), &[column(kind, length)], options, &mut out).map_err(|bad| bad.code);
            true
        });
        loaded?;
        Ok(String::from_utf8(out).unwrap().trim_end_matches('\n').to_owned())
    }

    /// `r_Character_types.md`: lengths are in bytes; an excess of blanks is cut, any other is an error.
    #[test]
    fn lengths_are_bytes() {
        let options = CopyOptions::default();
        assert_eq!(load(ColumnType::Varchar, Some(4), "éé", &options).as_deref(), Ok("éé"));
        assert_eq!(load(ColumnType::Varchar, Some(3), "éé", &options), Err(1204));
        assert_eq!(load(ColumnType::Varchar, Some(3), "abc   ", &options).as_deref(), Ok("abc"));
        assert_eq!(
            load(ColumnType::Varchar, Some(3), "éé", &CopyOptions { truncate_columns: true, ..options })
                .as_deref(),
            Ok("é")
        );
    }

    /// `copy-parameters-data-conversion.md`: empty is '' for text and NULL for others; the null string is
    /// NULL for all.
    #[test]
    fn empty_and_null_strings() {
        let options = CopyOptions { null_as: "-".to_owned(), ..CopyOptions::default() };
        assert_eq!(load(ColumnType::Varchar, Some(9), "", &options).as_deref(), Ok(""));
        assert_eq!(load(ColumnType::Timestamp, None, "", &options).as_deref(), Ok("\\N"));
        assert_eq!(load(ColumnType::Varchar, Some(9), "-", &options).as_deref(), Ok("\\N"));
        assert_eq!(
            load(ColumnType::Varchar, Some(9), "", &CopyOptions { empty_as_null: true, ..options })
                .as_deref(),
            Ok("\\N")
        );
    }

    /// `live/r_Load_Error_Reference`: the codes of refused values.
    #[test]
    fn refused_values_have_codes() {
        let options = CopyOptions::default();
        for (name, kind, text, code) in [
            ("neither true nor false", ColumnType::Bool, "maybe", 1210),
            ("no digit", ColumnType::Integer { min: 0, max: 9 }, "x", 1207),
            ("too large", ColumnType::Integer { min: 0, max: 9 }, "10", 1222),
            ("no such day", ColumnType::Date, "2024-02-30", 1205),
            ("a T in a timestamp", ColumnType::Timestamp, "2024-02-01T00:00:00", 1206),
            ("beyond ASCII", ColumnType::Char, "é", 1220),
        ] {
            assert_eq!(load(kind, Some(9), text, &options), Err(code), "{name}: {text}");
        }
        assert!(load(ColumnType::Timestamp, None, "2024-02-01 00:00:00.119568", &options).is_ok());
        assert!(
            load(
                ColumnType::Timestamp,
                None,
                "2019-02-11T05:09:12.195Z",
                &CopyOptions { time_format_auto: true, ..options }
            )
            .is_ok()
        );
    }
}
