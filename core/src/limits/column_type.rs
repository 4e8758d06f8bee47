//! Defines the types of columns, and finds the texts that COPY is certain to refuse for them.

use std::fmt;
use std::num::IntErrorKind;

use crate::problem::Reason;

/// A column's type, as far as it decides whether a text fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColumnType {
    /// Text, or an unknown type: an empty cell is not NULL, and every text fits.
    #[default]
    Text,
    /// True or false.
    Boolean,
    /// Integers of 2 bytes.
    Smallint,
    /// Integers of 4 bytes.
    Integer,
    /// Integers of 8 bytes.
    Bigint,
    /// Decimals.
    Numeric {
        /// The precision and the scale, if they are known.
        digits: Option<(u32, u32)>,
    },
    /// Another type whose empty cells are NULL, such as a date. The rest is left to COPY.
    Other,
}

/// The words in the page "Boolean type" (Amazon Redshift Database Developer Guide).
const BOOLEANS: [&[u8]; 10] = [b"t", b"f", b"true", b"false", b"1", b"0", b"y", b"n", b"yes", b"no"];

/// Words whose beginnings COPY may accept: the documentation does not say which list COPY uses, and
/// PostgreSQL, on which Redshift is based, accepts these words and their beginnings.
const BOOLEANS_IN_DOUBT: [&str; 6] = ["true", "false", "yes", "no", "on", "off"];

impl ColumnType {
    /// Returns the type that `SVV_COLUMNS` calls `name`, with its precision and scale.
    pub fn of(name: &str, digits: Option<(u32, u32)>) -> Self {
        match name {
            "boolean" => Self::Boolean,
            "smallint" => Self::Smallint,
            "integer" => Self::Integer,
            "bigint" => Self::Bigint,
            "numeric" => Self::Numeric { digits },
            "real"
            | "double precision"
            | "date"
            | "timestamp without time zone"
            | "timestamp with time zone"
            | "time without time zone"
            | "time with time zone" => Self::Other,
            _ => Self::Text,
        }
    }

    /// Returns the minimum and the maximum of an integer type.
    fn range(self) -> Option<(i64, i64)> {
        match self {
            Self::Smallint => Some((i16::MIN.into(), i16::MAX.into())),
            Self::Integer => Some((i32::MIN.into(), i32::MAX.into())),
            Self::Bigint => Some((i64::MIN, i64::MAX)),
            Self::Text | Self::Boolean | Self::Numeric { .. } | Self::Other => None,
        }
    }

    /// Returns why COPY is certain to refuse a text that is neither NULL nor blank.
    pub(super) fn refusal(self, text: &[u8]) -> Option<Reason> {
        if self == Self::Boolean && BOOLEANS.contains(&text) {
            return None;
        }
        // It is not documented whether COPY accepts blanks around a value. A text that is refused without
        // them is refused with them.
        let text = std::str::from_utf8(text).ok()?.trim();
        if text.is_empty() {
            return None;
        }
        match self {
            Self::Text | Self::Other => None,
            Self::Boolean => {
                let may_be_word = BOOLEANS_IN_DOUBT
                    .iter()
                    .any(|word| word.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text)));
                (!may_be_word && Number::parse(text).is_none()).then_some(Reason::BadBoolean)
            }
            Self::Smallint | Self::Integer | Self::Bigint => self.integer_refusal(text),
            Self::Numeric { digits } => {
                // Values of PostgreSQL's decimals that are not numbers.
                let word = text.strip_prefix(['+', '-']).unwrap_or(text);
                if ["nan", "inf", "infinity"].iter().any(|known| word.eq_ignore_ascii_case(known)) {
                    return None;
                }
                let Some(number) = Number::parse(text) else { return Some(self.bad_number()) };
                let (precision, scale) = digits?;
                // Digits after the decimal point are cut off ("truncated unless ROUNDEC", Data conversion
                // parameters), those before it are not.
                let is_beyond = number.exponent.is_none()
                    && number.whole.trim_start_matches('0').len() as u64
                        > u64::from(precision.saturating_sub(scale));
                is_beyond.then(|| self.out_of_range())
            }
        }
    }

    fn integer_refusal(self, text: &str) -> Option<Reason> {
        let (least, greatest) = self.range()?;
        let is_beyond = match text.parse::<i128>() {
            Ok(number) => !(i128::from(least)..=i128::from(greatest)).contains(&number),
            Err(error) if *error.kind() == IntErrorKind::InvalidDigit => {
                // A fraction or an exponent is left to COPY.
                return Number::parse(text).is_none().then(|| self.bad_number());
            }
            Err(_) => true,
        };
        is_beyond.then(|| self.out_of_range())
    }

    fn bad_number(self) -> Reason {
        Reason::BadNumber { column_type: self.to_string() }
    }

    fn out_of_range(self) -> Reason {
        let range = match (self.range(), self) {
            (Some((least, greatest)), _) => format!("{least} to {greatest}"),
            (None, Self::Numeric { digits: Some((precision, scale)) }) => {
                format!("at most {} digits before the decimal point", precision.saturating_sub(scale))
            }
            (None, _) => String::new(),
        };
        Reason::OutOfRange { column_type: self.to_string(), range }
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Boolean => "boolean",
            Self::Smallint => "smallint",
            Self::Integer => "integer",
            Self::Bigint => "bigint",
            Self::Numeric { digits: Some((precision, scale)) } => {
                return write!(f, "numeric({precision},{scale})");
            }
            Self::Numeric { digits: None } => "numeric",
            Self::Other => "other",
        })
    }
}

/// The parts of a text that may be read as a number.
struct Number<'a> {
    /// The digits before the decimal point.
    whole: &'a str,
    exponent: Option<&'a str>,
}

impl<'a> Number<'a> {
    /// Splits a text into a sign, digits with a decimal point, and an exponent. Nothing else is a number
    /// under any reading of the documentation.
    fn parse(text: &'a str) -> Option<Self> {
        let unsigned = |text: &'a str| text.strip_prefix(['+', '-']).unwrap_or(text);
        let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let (mantissa, exponent) = match unsigned(text).split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(unsigned(exponent))),
            None => (unsigned(text), None),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_number = are_digits(whole)
            && are_digits(fraction)
            && whole.len() + fraction.len() > 0
            && exponent.is_none_or(|exponent| !exponent.is_empty() && are_digits(exponent));
        is_number.then_some(Self { whole, exponent })
    }
}

#[cfg(test)]
mod tests;
