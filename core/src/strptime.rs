//! Reads dates as Python's `datetime.strptime` does, and writes them in Redshift's default formats.
//!
//! A format is compiled once into a regular expression, as in `CPython`'s `_strptime.py`, so that the
//! script's dates are accepted. The common format `%Y-%m-%d %H:%M:%S.%f` has a faster path without an
//! expression.
//!
//! The meaning is that of Python 3.9 to 3.13, in the C locale. These are refused although some or all of
//! these versions accept them:
//!
//! - An offset with seconds, which Redshift cannot read. Seconds of zero are dropped.
//! - `%G` and `%V` without each other, without a weekday, or with `%j`, `%Y` or `%y`. Python's meaning of
//!   other combinations changed with 3.13.
//! - A week that its ISO year does not have. Before 3.12, Python counts on into the next year.
//! - For `%Z`, names other than `UTC` and `GMT`: the names of the machine's own zone.
//! - A blank before a one-digit hour, an empty text for `%z`, and further directives, which later versions
//!   accept.
//!
//! These are accepted although Python refuses them, because pandas 1.3 accepted them for the script:
//!
//! - In `%S.%f`, the fraction with its dot may be absent: a whole second.
//! - The fraction may also have more than six digits if the rest are zeros, which are dropped. Redshift
//!   stores microseconds.

mod canonical;
mod departure;
mod element;
mod fields;

mod directive;
mod moment;
mod number;

use regex::{Captures, Regex};

use self::canonical::Canonical;
use self::departure::{departure, departure_place};
use self::element::{Element, elements, lenient_pattern, strict_pattern};
use self::fields::Fields;
use self::moment::Moment;

pub use self::directive::FormatError;

/// A compiled `strptime` format.
#[derive(Debug, Clone)]
pub struct DateFormat {
    text: String,
    elements: Vec<Element>,
    /// The expression for what Python accepts.
    strict: Regex,
    /// The expression for what is accepted beyond that. It is tried second, so that no text that Python
    /// accepts gets another meaning.
    lenient: Option<Regex>,
    /// The number of each directive's group in both expressions.
    groups: Vec<(usize, char)>,
    common: bool,
}

impl DateFormat {
    /// Compiles `format`.
    ///
    /// # Errors
    ///
    /// [`FormatError`] names the directive that is not supported.
    pub fn compile(format: &str) -> Result<Self, FormatError> {
        let elements = elements(format)?;
        let directives = elements.iter().filter_map(|element| match element {
            Element::Directive(directive) => Some(*directive),
            Element::Blank | Element::Literal(_) => None,
        });
        let groups: Vec<(usize, char)> = (1..).zip(directives).collect();
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
        let compiled = |pattern: &str| Regex::new(pattern).map_err(|_| FormatError::TooLong);
        Ok(Self {
            text: format.to_owned(),
            strict: compiled(&strict_pattern(&elements)?)?,
            lenient: lenient_pattern(&elements)?.as_deref().map(compiled).transpose()?,
            common: format == "%Y-%m-%d %H:%M:%S.%f",
            elements,
            groups,
        })
    }

    /// Returns the format as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Reads `text` and appends it to `out` as `YYYY-MM-DD HH:MM:SS[.ffffff]`, with the offset if the format
    /// has `%z`.
    ///
    /// # Errors
    ///
    /// What does not match, for the uploader; `out` is then unchanged.
    pub fn rewrite(&self, text: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        if let Some(date) = self.canonical(text) {
            out.extend_from_slice(text.get(..date.kept_bytes()).unwrap_or_default());
            out.extend_from_slice(date.zeros());
            return Ok(());
        }
        let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())?;
        self.parse(text)?.write(out);
        Ok(())
    }

    /// Returns a text that is quickly recognised as a date.
    #[inline]
    pub(crate) fn canonical<'t>(&self, text: &'t [u8]) -> Option<Canonical<'t>> {
        if self.common { Canonical::of(text) } else { None }
    }

    /// Says why a text that [`rewrite`](Self::rewrite) refuses is not a date of this format. Of the text
    /// itself the answer has only the position.
    pub fn departure(&self, text: &[u8]) -> String {
        let Ok(text) = std::str::from_utf8(text) else { return "it is not UTF-8".to_owned() };
        let is_read = self.strict.captures(text).is_some_and(|found| is_whole(&found, text))
            || self.read_leniently(text).is_some();
        if is_read {
            "there is no such date or time".to_owned()
        } else {
            departure_place(&self.elements, text)
        }
    }

    fn parse(&self, text: &str) -> Result<Moment, String> {
        let found = self.strict.captures(text).filter(|found| is_whole(found, text));
        let Some(found) = found.or_else(|| self.read_leniently(text)) else {
            return Err(departure(&self.elements, text));
        };
        let mut fields = Fields::default();
        for (group, directive) in &self.groups {
            if let Some(part) = found.get(*group) {
                fields.set(*directive, part.as_str())?;
            }
        }
        fields.resolve()
    }

    #[cold]
    fn read_leniently<'t>(&self, text: &'t str) -> Option<Captures<'t>> {
        self.lenient.as_ref()?.captures(text).filter(|found| is_whole(found, text))
    }
}

/// Checks whether a match covers all of `text`. As in Python, the first match counts, wherever it ends.
fn is_whole(found: &Captures<'_>, text: &str) -> bool {
    found.get(0).is_some_and(|all| all.end() == text.len())
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
    fn a_departure_tells_the_place_and_nothing_of_the_text() {
        for (text, expected) in [
            ("2024-13-01", "at character 7 `-` was expected"),
            ("2023-02-30", "there is no such date or time"),
            ("Qx", "at character 1 a year (4 digits) was expected"),
            ("2024-03-01Qx", "at character 11 its end was expected"),
            ("2024-03", "it ends after character 7 where `-` was expected"),
            ("", "it is empty where a year (4 digits) was expected"),
        ] {
            let format = DateFormat::compile("%Y-%m-%d").unwrap();
            assert!(format.rewrite(text.as_bytes(), &mut Vec::new()).is_err(), "{text}");
            let told = format.departure(text.as_bytes());
            assert!(told.contains(expected) && !told.contains("Qx"), "{text}: {told}");
        }
    }

    #[test]
    fn what_does_not_match_whole_is_refused() {
        let format = "%Y-%m-%d %H:%M:%S.%f";
        for text in [
            "2024-03-01",
            "2024-03-01 09:15",
            "2024-03-01 09:15:42.",
            "2024-03-01 09:15:42.1234567",
            "2024-03-01 09:15:42.12345600000001",
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
    fn the_fraction_behind_a_second_may_be_absent_or_go_on_with_zeros() {
        for (format, text, expected) in [
            ("%Y-%m-%d %H:%M:%S.%f", "2024-03-01 09:15:42", "2024-03-01 09:15:42"),
            ("%Y-%m-%d %H:%M:%S.%f", "2024-02-29 09:15:42", "2024-02-29 09:15:42"),
            ("%Y-%m-%d %H:%M:%S.%f", "2024-3-1 9:5:2", "2024-03-01 09:05:02"),
            ("%Y-%m-%d %H:%M:%S.%f", "2024-03-01 09:15:42.0000000", "2024-03-01 09:15:42"),
            ("%Y-%m-%d %H:%M:%S.%f", "2024-03-01 09:15:42.123456000", "2024-03-01 09:15:42.123456"),
            ("%Y-%m-%d %H:%M:%S.%f", "2024-02-29 09:15:42.1234560", "2024-02-29 09:15:42.123456"),
            ("%Y-%m-%d %H:%M:%S.%f", "2024-03-01 09:15:42.12345600000000", "2024-03-01 09:15:42.123456"),
            ("%Y-%m-%dT%H:%M:%S.%f%z", "2024-03-01T09:15:42Z", "2024-03-01 09:15:42+00:00"),
            (
                "%Y-%m-%dT%H:%M:%S.%f%z",
                "2024-03-01T09:15:42.5000000+02:00",
                "2024-03-01 09:15:42.500000+02:00",
            ),
            ("%d %X.%f %Y", "1 09:15:42 2024", "2024-01-01 09:15:42"),
            // If Python accepts a text, it has no other meaning.
            ("%S.%f%H", "05.12345601", "1900-01-01 01:00:05.123456"),
        ] {
            assert_eq!(read(format, text).as_deref(), Ok(expected), "{format} {text}");
        }
        // Elsewhere `%f` means what it means in Python.
        for (format, text) in [
            ("%H%M%S%f", "0915420000000"),
            ("%H:%M:%S,%f", "09:15:42"),
            ("%H:%M:%S .%f", "09:15:42"),
            ("%H:%M.%f", "09:15"),
            ("%%S.%f", "%S"),
            ("%f", ""),
            ("%f", "0000000"),
        ] {
            assert!(read(format, text).is_err(), "{format} {text}");
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
