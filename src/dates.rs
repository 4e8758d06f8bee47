//! Dates, read as Python's `datetime.strptime` reads them, written as Redshift's default formats.
//!
//! A format is compiled once into a regular expression, as `CPython`'s `_strptime.py` does it, so that what
//! is accepted is what the script accepted. The common format `%Y-%m-%d %H:%M:%S.%f` has a path of its own
//! without one.
//!
//! The meaning is that of Python 3.9 to 3.13, in the C locale. What is refused although some or all of them
//! accept it:
//!
//! - An offset with seconds is refused: Redshift cannot read it. Seconds of zero are dropped.
//! - `%G` and `%V` are taken only together, with a weekday and without `%j`, `%Y` and `%y`. What else Python
//!   makes of them beside other directives changed with 3.13.
//! - A week that its ISO year does not have is refused. Before 3.12 Python counts on into the next year.
//! - `%Z` reads `UTC` and `GMT`, not the names of the machine's own zone.
//! - Later versions also read a blank before an hour of one digit and nothing at all for `%z`, and know
//!   further directives.

use std::fmt::Write as _;

use chrono::{Datelike, NaiveDate, Weekday};
use regex::Regex;

use crate::problem::printable;

/// A compiled `strptime` format.
#[derive(Debug, Clone)]
pub struct DateFormat {
    text: String,
    regex: Regex,
    groups: Vec<(usize, char)>,
    common: bool,
}

/// A format that cannot be honoured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// No such directive in Python, or none that makes a date and time.
    #[error("unknown strptime directive %{0}")]
    Unknown(char),
    /// A directive given twice, which Python refuses too.
    #[error("strptime directive %{0} is given twice")]
    Twice(char),
    /// A lone `%` at the end.
    #[error("the format ends in a lone %")]
    Unfinished,
    /// A directive whose result would depend on the machine or would be no date.
    #[error("strptime directive %{0} is not supported: {1}")]
    Unsupported(char, &'static str),
    /// The pattern made of the format is too large.
    #[error("the format is too long")]
    TooLong,
}

const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// A moment as its parts, ready to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    date: NaiveDate,
    hour: u32,
    minute: u32,
    second: u32,
    microsecond: u32,
    offset: Option<Offset>,
}

/// An offset from UTC, in microseconds, as `%z` reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Offset {
    seconds: i32,
}

impl DateFormat {
    /// Compiles `format`.
    ///
    /// # Errors
    ///
    /// [`FormatError`] names the directive that cannot be honoured.
    pub fn compile(format: &str) -> Result<Self, FormatError> {
        let mut pattern = String::from("^(?i:");
        let mut groups = Vec::new();
        let expanded = expand(format);
        let mut chars = expanded.chars().peekable();
        while let Some(c) = chars.next() {
            if is_blank(c) {
                while chars.peek().is_some_and(|next| is_blank(*next)) {
                    chars.next();
                }
                // Python's blanks are Unicode's and the four separators of ASCII.
                pattern.push_str(r"[\s\x1c-\x1f]+");
            } else if c == '%' {
                let directive = chars.next().ok_or(FormatError::Unfinished)?;
                if directive == '%' {
                    pattern.push('%');
                    continue;
                }
                let piece = directive_pattern(directive)?;
                if groups.iter().any(|(_, seen)| *seen == directive) {
                    return Err(FormatError::Twice(directive));
                }
                groups.push((groups.len() + 1, directive));
                let _ = write!(pattern, "({piece})");
            } else if "iIİı".contains(c) {
                // Python folds these four into one letter; Unicode's simple folding knows only the two of
                // ASCII.
                pattern.push_str("[iIİı]");
            } else {
                pattern.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
            }
        }
        pattern.push(')');
        if let Some((_, directive)) = groups.iter().find(|(_, d)| *d == 'G' || *d == 'V') {
            let has = |wanted| groups.iter().any(|(_, d)| *d == wanted);
            let whole = has('G') && has('V') && (has('u') || has('a') || has('A') || has('w'));
            if !whole || has('j') || has('Y') || has('y') {
                return Err(FormatError::Unsupported(
                    *directive,
                    "an ISO week date needs %G, %V and a weekday, and no %j, %Y or %y",
                ));
            }
        }
        let regex = Regex::new(&pattern).map_err(|_| FormatError::TooLong)?;
        Ok(Self { common: format == "%Y-%m-%d %H:%M:%S.%f", text: format.to_owned(), regex, groups })
    }

    /// The format as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Reads `text` and appends it to `out` as `YYYY-MM-DD HH:MM:SS[.ffffff]`, with the offset if `%z` was
    /// given.
    ///
    /// # Errors
    ///
    /// What does not match, for the uploader; `out` is then unchanged.
    pub fn rewrite(&self, text: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        if self.common && is_already_canonical(text) {
            // A fraction of whole zeros is left out, as the general path does.
            let digits = &text[20..];
            out.extend_from_slice(&text[..19]);
            if digits.iter().any(|d| *d != b'0') {
                out.push(b'.');
                out.extend_from_slice(digits);
                out.extend(std::iter::repeat_n(b'0', 6 - digits.len()));
            }
            return Ok(());
        }
        let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())?;
        self.parse(text)?.write(out);
        Ok(())
    }

    fn parse(&self, text: &str) -> Result<Moment, String> {
        let found = self.regex.captures(text).ok_or_else(|| "it does not match".to_owned())?;
        let end = found.get(0).map_or(0, |m| m.end());
        if end != text.len() {
            return Err(format!("\"{}\" is left over at its end", printable(&text.as_bytes()[end..])));
        }
        let mut fields = Fields::default();
        for (group, directive) in &self.groups {
            if let Some(part) = found.get(*group) {
                fields.set(*directive, part.as_str())?;
            }
        }
        fields.resolve()
    }
}

/// What Python's `str.isspace` takes for a blank.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// `%c`, `%x` and `%X` mean what they mean in Python's C locale.
fn expand(format: &str) -> String {
    let mut expanded = String::with_capacity(format.len());
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        expanded.push(c);
        if c != '%' {
            continue;
        }
        match chars.next() {
            Some('c') => {
                expanded.pop();
                expanded.push_str("%a %b %d %H:%M:%S %Y");
            }
            Some('x') => {
                expanded.pop();
                expanded.push_str("%m/%d/%y");
            }
            Some('X') => {
                expanded.pop();
                expanded.push_str("%H:%M:%S");
            }
            Some(other) => expanded.push(other),
            None => {}
        }
    }
    expanded
}

/// The pattern of one directive, as in `CPython`'s `_strptime.TimeRE`; alternatives are longest first where
/// it matters.
fn directive_pattern(directive: char) -> Result<String, FormatError> {
    let names = |full: &[&str], short: bool| {
        let all: Vec<&str> = full.iter().map(|name| if short { &name[..3] } else { name }).collect();
        let mut sorted = all;
        sorted.sort_by_key(|name| std::cmp::Reverse(name.len()));
        sorted.join("|")
    };
    Ok(match directive {
        'd' => r"3[0-1]|[1-2]\d|0[1-9]|[1-9]| [1-9]".to_owned(),
        'f' => r"[0-9]{1,6}".to_owned(),
        'H' => r"2[0-3]|[0-1]\d|\d".to_owned(),
        'G' | 'Y' => r"\d\d\d\d".to_owned(),
        'j' => r"36[0-6]|3[0-5]\d|[1-2]\d\d|0[1-9]\d|00[1-9]|[1-9]\d|0[1-9]|[1-9]".to_owned(),
        'I' | 'm' => r"1[0-2]|0[1-9]|[1-9]".to_owned(),
        'M' => r"[0-5]\d|\d".to_owned(),
        'S' => r"6[0-1]|[0-5]\d|\d".to_owned(),
        'U' | 'W' => r"5[0-3]|[0-4]\d|\d".to_owned(),
        'w' => r"[0-6]".to_owned(),
        'u' => r"[1-7]".to_owned(),
        'V' => r"5[0-3]|0[1-9]|[1-4]\d|\d".to_owned(),
        'y' => r"\d\d".to_owned(),
        'z' => r"[+-]\d\d:?[0-5]\d(?::?[0-5]\d(?:\.\d{1,6})?)?|(?-i:Z)".to_owned(),
        'A' => names(&WEEKDAYS, false),
        'a' => names(&WEEKDAYS, true),
        'B' => names(&MONTHS, false),
        'b' => names(&MONTHS, true),
        'p' => "am|pm".to_owned(),
        // Python also accepts the two names of the machine's own zone; these are the ones that mean the same
        // everywhere.
        'Z' => "utc|gmt".to_owned(),
        other => return Err(FormatError::Unknown(other)),
    })
}

/// `YYYY-MM-DD HH:MM:SS.f` of ASCII digits, 1 to 6 of them last, every field in range for any month.
fn is_already_canonical(b: &[u8]) -> bool {
    if !(21..=26).contains(&b.len()) {
        return false;
    }
    let digits = |range: std::ops::Range<usize>| b[range].iter().all(u8::is_ascii_digit);
    let two = |at: usize| (b[at] - b'0') * 10 + (b[at + 1] - b'0');
    digits(0..4)
        && b[4] == b'-'
        && digits(5..7)
        && b[7] == b'-'
        && digits(8..10)
        && b[10] == b' '
        && digits(11..13)
        && b[13] == b':'
        && digits(14..16)
        && b[16] == b':'
        && digits(17..19)
        && b[19] == b'.'
        && digits(20..b.len())
        && &b[0..4] != b"0000"
        && (1..=12).contains(&two(5))
        // Days 29 to 31 depend on month and year: the general path knows.
        && (1..=28).contains(&two(8))
        && two(11) < 24
        && two(14) < 60
        && two(17) < 60
}

#[derive(Default)]
struct Fields {
    year: Option<i32>,
    month: Option<u32>,
    day: Option<u32>,
    hour: u32,
    hour12: Option<u32>,
    afternoon: Option<bool>,
    minute: u32,
    second: u32,
    microsecond: u32,
    weekday: Option<u32>,
    day_of_year: Option<u32>,
    week: Option<(u32, u32)>,
    iso_year: Option<i32>,
    iso_week: Option<u32>,
    offset: Option<Offset>,
}

impl Fields {
    fn set(&mut self, directive: char, text: &str) -> Result<(), String> {
        match directive {
            'Y' => self.year = Some(number(text)? as i32),
            'G' => self.iso_year = Some(number(text)? as i32),
            'y' => {
                let two = number(text)? as i32;
                self.year = Some(if two <= 68 { two + 2000 } else { two + 1900 });
            }
            'm' => self.month = Some(number(text)?),
            'B' => self.month = Some(position(&MONTHS, text, false)? + 1),
            'b' => self.month = Some(position(&MONTHS, text, true)? + 1),
            'd' => self.day = Some(number(text)?),
            'H' => {
                self.hour = number(text)?;
                // Of %H and %I the later one counts.
                self.hour12 = None;
            }
            'I' => self.hour12 = Some(number(text)?),
            'p' => self.afternoon = Some(text.eq_ignore_ascii_case("pm")),
            'M' => self.minute = number(text)?,
            'S' => self.second = number(text)?,
            'f' => {
                let digits = text.chars().count() as u32;
                self.microsecond = number(text)? * 10_u32.pow(6_u32.saturating_sub(digits));
            }
            'A' => self.weekday = Some(position(&WEEKDAYS, text, false)?),
            'a' => self.weekday = Some(position(&WEEKDAYS, text, true)?),
            'w' => self.weekday = Some((number(text)? + 6) % 7),
            'u' => self.weekday = Some(number(text)? - 1),
            'j' => self.day_of_year = Some(number(text)?),
            'U' => self.week = Some((number(text)?, 6)),
            'W' => self.week = Some((number(text)?, 0)),
            'V' => self.iso_week = Some(number(text)?),
            'z' => self.offset = Some(offset(text)?),
            _ => {}
        }
        Ok(())
    }

    fn resolve(mut self) -> Result<Moment, String> {
        if let Some(hour) = self.hour12 {
            // Python adds twelve only for PM and takes 12 AM as midnight; without %p the hour stands as it
            // is.
            self.hour = match (self.afternoon, hour) {
                (Some(true), 12) => 12,
                (Some(true), hour) => hour + 12,
                (Some(false) | None, 12) => 0,
                (Some(false) | None, hour) => hour,
            };
        }
        let date = self.date()?;
        if self.second > 59 {
            return Err(format!("there is no second {}", self.second));
        }
        Ok(Moment {
            date,
            hour: self.hour,
            minute: self.minute,
            second: self.second,
            microsecond: self.microsecond,
            offset: self.offset,
        })
    }

    /// The date, found as Python finds it: by the day of the year, else by week and weekday, else by month
    /// and day.
    fn date(&self) -> Result<NaiveDate, String> {
        let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
        // Python takes 1900 for a year that is not given; with 29 February it reckons in 1904 and then goes
        // back to 1900.
        let leap_day = self.year.is_none() && (month, day) == (2, 29);
        let year = self.year.unwrap_or(if leap_day { 1904 } else { 1900 });
        let date = match (self.day_of_year, self.week, self.iso_year.zip(self.iso_week), self.weekday) {
            (Some(day_of_year), ..) => ordinal(year, i64::from(day_of_year))?,
            (None, Some((week, first_day)), _, Some(weekday)) => {
                ordinal(year, day_of_week(january_1(year)?, week, first_day, weekday))?
            }
            (None, None, Some((iso_year, week)), Some(weekday)) => iso_date(iso_year, week, weekday)?,
            _ if leap_day => return Err("29 February needs a year".to_owned()),
            _ => {
                january_1(year)?;
                NaiveDate::from_ymd_opt(year, month, day)
                    .ok_or_else(|| format!("{year:04}-{month:02} has no day {day}"))?
            }
        };
        if leap_day {
            return date.with_year(1900).ok_or_else(|| "29 February needs a year".to_owned());
        }
        Ok(date)
    }
}

fn january_1(year: i32) -> Result<NaiveDate, String> {
    NaiveDate::from_ymd_opt(year, 1, 1).filter(|_| year > 0).ok_or_else(|| format!("there is no year {year}"))
}

/// The day of `year` by its number, which may lie before or after the year.
fn ordinal(year: i32, day_of_year: i64) -> Result<NaiveDate, String> {
    january_1(year)?
        .checked_add_signed(chrono::Duration::days(day_of_year - 1))
        .filter(|date| (1..=9999).contains(&date.year()))
        .ok_or_else(|| "there is no such day".to_owned())
}

/// The number of the day in the year that begins with `january_1`; `first_day` of the week is 6 for `%U`, 0
/// for `%W`.
fn day_of_week(january_1: NaiveDate, week: u32, first_day: u32, weekday: u32) -> i64 {
    let within_week = |weekday: u32| i64::from((weekday + 7 - first_day) % 7);
    let (first, day) = (within_week(january_1.weekday().num_days_from_monday()), within_week(weekday));
    // The days before the first whole week are week 0.
    if week == 0 { 1 + day - first } else { 1 + (7 - first) % 7 + 7 * (i64::from(week) - 1) + day }
}

fn iso_date(iso_year: i32, week: u32, weekday: u32) -> Result<NaiveDate, String> {
    Weekday::try_from(weekday as u8)
        .ok()
        .and_then(|weekday| NaiveDate::from_isoywd_opt(iso_year, week, weekday))
        .ok_or_else(|| format!("the year {iso_year} has no week {week}"))
        .and_then(|date| {
            Some(date)
                .filter(|date| (1..=9999).contains(&date.year()))
                .ok_or_else(|| "there is no such day".to_owned())
        })
}

impl Moment {
    fn write(&self, out: &mut Vec<u8>) {
        let mut text = format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
            self.date.year(),
            self.date.month(),
            self.date.day(),
            self.hour,
            self.minute,
            self.second
        );
        if self.microsecond != 0 {
            let _ = write!(text, ".{:06}", self.microsecond);
        }
        if let Some(offset) = self.offset {
            let sign = if offset.seconds < 0 { '-' } else { '+' };
            let seconds = offset.seconds.abs();
            let _ = write!(text, "{sign}{:02}:{:02}", seconds / 3600, seconds / 60 % 60);
        }
        out.extend_from_slice(text.as_bytes());
    }
}

/// An offset as `%z` reads it: `+HHMM`, `+HH:MM`, `Z`, and with seconds if they are zero.
fn offset(text: &str) -> Result<Offset, String> {
    if text == "Z" {
        return Ok(Offset { seconds: 0 });
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: Vec<u32> = whole.chars().filter_map(digit).collect();
    if digits.len() == 6 && whole.matches(':').count() == 1 {
        return Err(format!("the offset {text:?} has a colon in one place only"));
    }
    let pair = |at: usize| digits.get(at).zip(digits.get(at + 1)).map_or(0, |(tens, ones)| tens * 10 + ones);
    if pair(4) != 0 || fraction.chars().any(|c| digit(c) != Some(0)) {
        return Err(format!("the offset {text:?} has seconds, which Redshift cannot read"));
    }
    let seconds = (pair(0) * 3600 + pair(2) * 60) as i32;
    if seconds >= 24 * 3600 {
        return Err(format!("the offset {text:?} is a day or more"));
    }
    Ok(Offset { seconds: if text.starts_with('-') { -seconds } else { seconds } })
}

/// Python's `\d` and `int()` take every script's digits; so does the expression above, and so must this.
fn digit(c: char) -> Option<u32> {
    if c.is_ascii() {
        return c.to_digit(10);
    }
    if !is_decimal(c) {
        return None;
    }
    // Decimal digits of a script stand together from 0 to 9, those of some, as the mathematical ones, several
    // times over.
    let before = (0..u32::from(c)).rev().map_while(char::from_u32).take_while(|c| is_decimal(*c)).count();
    Some(before as u32 % 10)
}

fn is_decimal(c: char) -> bool {
    // `regex` knows the category Nd; a cell with digits of another script is rare enough to ask it.
    static DECIMAL: std::sync::LazyLock<Option<Regex>> =
        std::sync::LazyLock::new(|| Regex::new(r"^\d$").ok());
    DECIMAL.as_ref().is_some_and(|regex| regex.is_match(c.encode_utf8(&mut [0; 4])))
}

fn number(text: &str) -> Result<u32, String> {
    let mut value = 0_u32;
    for c in text.trim_start().chars() {
        let digit = digit(c).ok_or_else(|| format!("{text:?} is not a number"))?;
        value = value * 10 + digit;
    }
    Ok(value)
}

/// Where `text` stands among `names`. The expression also takes letters that fold to ASCII's (`ſ`), which
/// Python then refuses.
fn position(names: &[&str], text: &str, short: bool) -> Result<u32, String> {
    let found = names.iter().position(|name| {
        if short { name[..3].eq_ignore_ascii_case(text) } else { name.eq_ignore_ascii_case(text) }
    });
    found.map(|at| at as u32).ok_or_else(|| format!("{text:?} is no name that is known"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: &str, text: &str) -> Result<String, String> {
        let mut out = Vec::new();
        DateFormat::compile(format).map_err(|e| e.to_string())?.rewrite(text.as_bytes(), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_fraction_is_left_aligned_as_in_python() {
        let format = "%Y-%m-%d %H:%M:%S.%f";
        for (text, expected) in [
            ("2024-03-01 09:15:42.5", "2024-03-01 09:15:42.500000"),
            ("2024-03-01 09:15:42.050", "2024-03-01 09:15:42.050000"),
            ("2024-03-01 09:15:42.123456", "2024-03-01 09:15:42.123456"),
            ("2024-03-01 09:15:42.000", "2024-03-01 09:15:42"),
            ("2024-3-1 9:5:2.1", "2024-03-01 09:05:02.100000"),
            ("2024-02-29 00:00:00.1", "2024-02-29 00:00:00.100000"),
        ] {
            assert_eq!(read(format, text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_does_not_match_whole_is_refused() {
        let format = "%Y-%m-%d %H:%M:%S.%f";
        for text in [
            "2024-03-01",
            "2024-03-01 09:15:42",
            "2024-03-01 09:15:42.",
            "2024-03-01 09:15:42.1234567",
            "2024-03-01 09:15:42.1 ",
            "2023-02-29 00:00:00.0",
            "0000-01-01 00:00:00.0",
            "2024-13-01 00:00:00.0",
            "2024-01-32 00:00:00.0",
            "2024-01-01 24:00:00.0",
            "2024-01-01 00:60:00.0",
            "2024-01-01 00:00:60.0",
            "",
            "-",
        ] {
            assert!(read(format, text).is_err(), "{text}");
        }
    }

    #[test]
    fn other_directives_mean_what_they_mean_in_python() {
        for (format, text, expected) in [
            ("%d/%b/%Y:%H:%M:%S %z", "01/Mar/2024:09:15:42 -0800", "2024-03-01 09:15:42-08:00"),
            ("%I:%M %p, %B %d %y", "12:05 am, march 7 68", "2068-03-07 00:05:00"),
            ("%I:%M %p, %B %d %y", "12:05 PM, March 7 69", "1969-03-07 12:05:00"),
            ("%Y %j", "2024 366", "2024-12-31 00:00:00"),
            ("%G-W%V-%u", "2020-W53-5", "2021-01-01 00:00:00"),
            ("%Y %U %w", "2024 9 5", "2024-03-08 00:00:00"),
            ("%Y-%m-%dT%H:%M:%S%z", "2024-03-01T09:15:42Z", "2024-03-01 09:15:42+00:00"),
            ("%H%%%M", "9%5", "1900-01-01 09:05:00"),
        ] {
            assert_eq!(read(format, text).as_deref(), Ok(expected), "{format} {text}");
        }
    }

    #[test]
    fn a_directive_that_cannot_be_honoured_is_named() {
        assert_eq!(DateFormat::compile("%Y-%q").unwrap_err(), FormatError::Unknown('q'));
        assert_eq!(DateFormat::compile("%Y %Y").unwrap_err(), FormatError::Twice('Y'));
        assert_eq!(DateFormat::compile("%Y%").unwrap_err(), FormatError::Unfinished);
    }
}
