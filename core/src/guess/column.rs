//! Collects what is seen of a column's values, and guesses its type.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Serialize;

use crate::strptime::DateFormat;

/// Texts that often mean a missing value.
pub(super) const MARKERS: [&str; 7] = ["\\N", "NULL", "null", "(null)", "-", "N/A", "None"];

/// The number of [`MARKERS`], from the first on, that hardly ever mean anything but a missing value.
pub(super) const PLAIN_MARKERS: usize = 4;

/// Words for true and false, in lower or upper case.
const BOOLEANS: [&[u8]; 8] = [b"true", b"false", b"t", b"f", b"yes", b"no", b"y", b"n"];

/// Digits that mean true and false if some of [`BOOLEANS`] are among them; alone they are numbers.
const DIGITS: [&[u8]; 2] = [b"1", b"0"];

/// The formats of dates, in order of preference among formats that accept the same texts. `%f` also accepts a
/// time without a fraction.
const FORMATS: [&str; 22] = [
    "%Y-%m-%d %H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%S.%f",
    "%Y-%m-%d %H:%M:%S.%f%z",
    "%Y-%m-%dT%H:%M:%S.%f%z",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M:%S",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %I:%M:%S %p",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M:%S",
    "%d-%b-%Y",
    "%d-%b-%Y %H:%M:%S",
    "%d %b %Y",
    "%b %d, %Y",
];

/// The lengths of VARCHAR in bytes that are guessed. Redshift allows nothing longer than the last.
const LENGTHS: [u64; 6] = [255, 512, 1024, 4096, 16_384, 65_535];

static COMPILED: LazyLock<Vec<DateFormat>> =
    LazyLock::new(|| FORMATS.iter().filter_map(|format| DateFormat::compile(format).ok()).collect());

/// The guess for a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ColumnGuess {
    /// The column's name in the header.
    pub header: String,
    /// The column's name in the table.
    pub name: String,
    /// The column's kind.
    #[serde(flatten)]
    pub kind: ColumnKind,
    /// The length of the column's longest text, in bytes.
    pub longest_bytes: u64,
    /// The number of its cells that are not empty.
    pub filled: u64,
}

/// The kind of a column's values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ColumnKind {
    /// Text or numbers, which stay as they are written.
    Text {
        /// The length of the VARCHAR, in bytes.
        bytes: u64,
    },
    /// True or false.
    Boolean,
    /// Dates.
    Date {
        /// The strptime format of the dates.
        format: String,
        /// Other formats that accept the same texts but mean other days.
        or: Vec<String>,
    },
}

impl ColumnKind {
    /// Returns the type in DDL.
    pub fn sql(&self) -> String {
        match self {
            Self::Text { bytes } => format!("VARCHAR({bytes})"),
            Self::Boolean => "BOOL".to_owned(),
            Self::Date { format, .. } if format.contains("%z") => "TIMESTAMPTZ".to_owned(),
            Self::Date { .. } => "TIMESTAMP".to_owned(),
        }
    }
}

/// What was seen of a column.
#[derive(Debug, Clone)]
pub(super) struct ColumnSeen {
    pub(super) filled: u64,
    longest_bytes: u64,
    /// The number of cells for each of [`MARKERS`].
    pub(super) markers: [u64; MARKERS.len()],
    are_booleans: bool,
    has_long_boolean: bool,
    /// The first truth value, and whether there was another.
    boolean: Option<Vec<u8>>,
    has_two_booleans: bool,
    /// The indexes of the formats that accept all values so far.
    formats: Vec<usize>,
}

impl Default for ColumnSeen {
    fn default() -> Self {
        Self {
            filled: 0,
            longest_bytes: 0,
            markers: [0; MARKERS.len()],
            are_booleans: true,
            has_long_boolean: false,
            boolean: None,
            has_two_booleans: false,
            formats: (0..COMPILED.len()).collect(),
        }
    }
}

impl ColumnSeen {
    pub(super) fn see(&mut self, text: &[u8], scratch: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        self.filled += 1;
        self.longest_bytes = self.longest_bytes.max(text.len() as u64);
        if let Some(marker) = MARKERS.iter().position(|marker| marker.as_bytes() == text) {
            self.markers[marker] += 1;
            return;
        }
        if self.are_booleans {
            let is_digit = DIGITS.contains(&text);
            self.are_booleans = is_digit || BOOLEANS.iter().any(|word| word.eq_ignore_ascii_case(text));
            self.has_long_boolean |= text.len() > 3;
            match &self.boolean {
                _ if is_digit => {}
                None => self.boolean = Some(text.to_ascii_lowercase()),
                Some(first) => self.has_two_booleans |= !first.eq_ignore_ascii_case(text),
            }
        }
        self.formats.retain(|format| {
            scratch.clear();
            COMPILED.get(*format).is_some_and(|format| format.rewrite(text, scratch).is_ok())
        });
    }

    /// Checks whether all values, without those that mean NULL, are of a kind that text rarely matches by
    /// chance.
    fn is_typed(&self, null: Option<usize>) -> bool {
        let marked: u64 = self.markers.iter().sum();
        let unexplained = marked - null.map_or(0, |null| self.markers[null]);
        // A single one-letter word may be a code.
        let are_booleans = self.are_booleans && (self.has_two_booleans || self.has_long_boolean);
        unexplained == 0 && self.filled > marked && (are_booleans || !self.formats.is_empty())
    }

    /// Checks whether the column holds only dates or truth values, apart from one of the markers.
    pub(super) fn is_explained_by(&self, marker: usize) -> bool {
        self.markers[marker] > 0 && self.is_typed(Some(marker))
    }

    pub(super) fn guess(&self, header: String, name: String, null: Option<usize>) -> ColumnGuess {
        let formats: Vec<&DateFormat> = self.formats.iter().filter_map(|at| COMPILED.get(*at)).collect();
        let kind = match formats.split_first() {
            Some((format, _)) if self.is_typed(null) => {
                // Day first or month first: both formats accept the 3rd of April.
                let is_ambiguous =
                    |other: &&&DateFormat| other.as_str() == format.as_str().replace("%d/%m", "%m/%d");
                ColumnKind::Date {
                    format: format.as_str().to_owned(),
                    or: formats
                        .iter()
                        .skip(1)
                        .filter(is_ambiguous)
                        .map(|other| other.as_str().to_owned())
                        .collect(),
                }
            }
            _ if self.is_typed(null) => ColumnKind::Boolean,
            _ => ColumnKind::Text { bytes: self.length() },
        };
        ColumnGuess { header, name, kind, longest_bytes: self.longest_bytes, filled: self.filled }
    }

    /// Returns a length of at least twice the longest text, up to Redshift's maximum: the next archive may
    /// have a longer text.
    fn length(&self) -> u64 {
        let wanted = self.longest_bytes.saturating_mul(2);
        LENGTHS.into_iter().find(|length| *length >= wanted).unwrap_or(65_535)
    }
}
