//! Defines the keys of a configuration in one place. The parser checks files with these tables, and the JSON
//! Schema is generated from them.

use std::sync::LazyLock;

use regex::Regex;

use super::size_limits::{
    DEFAULT_MAX_PACKED_BYTES, DEFAULT_MAX_PAX_BYTES, DEFAULT_MAX_UNPACKED_BYTES, DEFAULT_MAX_UNPACKED_RATIO,
};

/// The default name of the ledger.
pub(super) const DEFAULT_LEDGER: &str = "load_ledger";

/// The key that names a file's schema for editors.
pub(super) const SCHEMA_KEY: &str = "$schema";

/// A key of an object.
pub(super) struct KeyForm {
    pub(super) name: &'static str,
    pub(super) form: Form,
    pub(super) need: Need,
    /// The key's meaning, for people.
    pub(super) says: &'static str,
}

/// Whether a key is required.
pub(super) enum Need {
    Required,
    /// A required key, with the hint that is shown if the key is missing.
    RequiredOr(&'static str),
    Optional,
    Default(DefaultValue),
}

/// What applies if a key is absent.
pub(super) enum DefaultValue {
    Text(&'static str),
    Number(u64),
    Truth(bool),
    EmptyList,
}

/// The form that a value must have.
pub(super) enum Form {
    /// A text that is not empty.
    Text(TextForm),
    Truth,
    /// A whole number.
    Number {
        least: u64,
        most: Option<u64>,
        expected: &'static str,
    },
    /// One of a list of words.
    Word {
        words: &'static [&'static str],
        otherwise: &'static str,
    },
    List {
        of: &'static Self,
        least: usize,
    },
    Object(&'static [KeyForm]),
    /// An object with keys that the file chooses.
    Map {
        names: TextForm,
        of: &'static Self,
    },
}

/// The form that a text must have, apart from not being empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextForm {
    Any,
    Prefix,
    Delimiter,
    Column,
    TableName,
    Member,
    /// A regular expression. Its meaning is checked elsewhere.
    Pattern,
}

impl TextForm {
    /// Returns the regular expression of such texts, with the same meaning in Rust and in ECMA-262, which
    /// JSON Schema uses.
    pub(super) fn pattern(self) -> Option<&'static str> {
        match self {
            Self::Any | Self::Pattern => None,
            Self::Prefix => Some(r"^[^/]([\s\S]*[^/])?$"),
            Self::Delimiter => Some(r"^[\x01-\x09\x0b\x0c\x0e-\x21\x23-\x7f]$"),
            Self::Column => Some(r"^[^\x00-\x1f\x7f-\x9f]+$"),
            Self::TableName => Some(r"^[^.\x00-\x1f\x7f-\x9f]+(\.[^.\x00-\x1f\x7f-\x9f]+)?$"),
            Self::Member => Some(r"^[^./]+$"),
        }
    }

    /// Checks whether a text has this form.
    pub(super) fn takes(self, text: &str) -> bool {
        static PATTERNS: LazyLock<Vec<(TextForm, Regex)>> = LazyLock::new(|| {
            let forms = [
                TextForm::Prefix,
                TextForm::Delimiter,
                TextForm::Column,
                TextForm::TableName,
                TextForm::Member,
            ];
            let pattern = |form: TextForm| Some((form, Regex::new(form.pattern()?).ok()?));
            forms.into_iter().filter_map(pattern).collect()
        });
        let pattern = PATTERNS.iter().find(|(form, _)| *form == self);
        !text.is_empty() && pattern.is_none_or(|(_, pattern)| pattern.is_match(text))
    }

    /// Returns what is expected instead of a text that does not have this form.
    pub(super) fn refusal(self, text: &str) -> String {
        match self {
            _ if text.is_empty() => "is empty".to_owned(),
            Self::Prefix => format!("write {:?} without '/' at either end", text.trim_matches('/')),
            Self::Delimiter => {
                format!("expected one ASCII character other than a quote or a line end, found {text:?}")
            }
            Self::Column => "expected a column name, without control characters".to_owned(),
            Self::TableName => format!("{text:?} is not a table name; write TABLE or SCHEMA.TABLE"),
            Self::Member => {
                "a member is named by its base name up to the first dot: no '.' and no '/'".to_owned()
            }
            Self::Any | Self::Pattern => "expected another text".to_owned(),
        }
    }
}

const fn required(name: &'static str, form: Form, says: &'static str) -> KeyForm {
    KeyForm { name, form, need: Need::Required, says }
}

const fn optional(name: &'static str, form: Form, says: &'static str) -> KeyForm {
    KeyForm { name, form, need: Need::Optional, says }
}

const fn by_default(name: &'static str, form: Form, default: DefaultValue, says: &'static str) -> KeyForm {
    KeyForm { name, form, need: Need::Default(default), says }
}

const fn number(least: u64, expected: &'static str) -> Form {
    Form::Number { least, most: None, expected }
}

/// The form of a whole file.
pub(super) const DATASET: Form = Form::Object(&DATASET_KEYS);

const DATASET_KEYS: [KeyForm; 20] = [
    optional(
        SCHEMA_KEY,
        Form::Text(TextForm::Any),
        "Where an editor finds the schema of this file. The program ignores this key.",
    ),
    required(
        "bucket",
        Form::Text(TextForm::Any),
        "The bucket that archives are read from, and that everything is written to.",
    ),
    required(
        "source",
        Form::Text(TextForm::Prefix),
        "The first part of the archives' keys, which begin with SOURCE/DIRECTORY/. No '/' at either end.",
    ),
    required(
        "destination",
        Form::Text(TextForm::Prefix),
        "The first part of every key that is written: staged files, markers and error.json files. No such key may begin with \
         SOURCE/DIRECTORY/. No '/' at either end.",
    ),
    required(
        "directory",
        Form::Text(TextForm::Prefix),
        "The part of a key between SOURCE or DESTINATION and an archive's name. No '/' at either end.",
    ),
    required(
        "doc",
        Form::Text(TextForm::Pattern),
        "A regular expression. An object below SOURCE/DIRECTORY/ is an archive if its key ends with a match; the match may begin anywhere.",
    ),
    required("schema", Form::Text(TextForm::Any), "The schema of tables whose names have none."),
    required(
        "truncate",
        Form::Truth,
        "true: a load replaces the rows of the tables, and only the newest archive is loaded. false: a load appends, and every archive is loaded.",
    ),
    required(
        "delim",
        Form::Text(TextForm::Delimiter),
        "The character between the cells of a row: one ASCII character.",
    ),
    required(
        "files",
        Form::Map { names: TextForm::Member, of: &FILE },
        "The members of an archive, each by its base name up to the first '.', and the table that it fills.",
    ),
    optional("null_as", Form::Text(TextForm::Any), "A cell that is exactly this text becomes NULL."),
    by_default(
        "ledger",
        Form::Text(TextForm::TableName),
        DefaultValue::Text(DEFAULT_LEDGER),
        "The table with one row for each loaded archive. The tables ..._tables and ..._lock are beside it.",
    ),
    by_default(
        "max_unpacked_bytes",
        number(1, "a whole number of bytes above 0, such as 10000000000"),
        DefaultValue::Number(DEFAULT_MAX_UNPACKED_BYTES),
        "The maximum number of bytes that an archive may unpack to.",
    ),
    by_default(
        "max_packed_bytes",
        number(1, "a whole number of bytes above 0, such as 10000000000"),
        DefaultValue::Number(DEFAULT_MAX_PACKED_BYTES),
        "The maximum number of bytes of an archive.",
    ),
    by_default(
        "max_unpacked_ratio",
        number(1, "a whole number above 0, such as 500"),
        DefaultValue::Number(DEFAULT_MAX_UNPACKED_RATIO),
        "The maximum ratio of unpacked bytes to the archive's own bytes, for large archives.",
    ),
    by_default(
        "max_pax_bytes",
        number(1, "a whole number of bytes above 0, such as 100000000"),
        DefaultValue::Number(DEFAULT_MAX_PAX_BYTES),
        "The maximum number of bytes of all pax headers of an archive together.",
    ),
    optional(
        "max_shrink_percent",
        Form::Number { least: 0, most: Some(100), expected: "a whole number from 0 to 100, in percent" },
        "With \"truncate\": true: the percentage by which an archive may have fewer rows for a table than the last load. Without this key, \
         any number of rows is loaded.",
    ),
    by_default(
        "quote_cells",
        Form::Truth,
        DefaultValue::Truth(true),
        "Whether reports, logs, mails and error.json may quote the text of cells.",
    ),
    optional(
        "repeated",
        Form::Word {
            words: &["skip"],
            otherwise: "leave the key out to load bytes that were loaded under another key, with a warning",
        },
        "With \"truncate\": false: what happens to an archive whose bytes were loaded under another key. \"skip\": it is settled as good without loading it. Without the key it is loaded, with a warning.",
    ),
    optional(
        "staging",
        Form::Word { words: &["plain", "zstd"], otherwise: "leave the key out to compress large files" },
        "How staged files are written. Without this key, files of 1 MiB and more are compressed.",
    ),
];

const FILE: Form = Form::Object(&FILE_KEYS);

const FILE_KEYS: [KeyForm; 7] = [
    required(
        "dbtable",
        Form::Text(TextForm::TableName),
        "The table that the member fills: TABLE or SCHEMA.TABLE.",
    ),
    required(
        "column_count",
        number(1, "a whole number above 0"),
        "The number of columns that are loaded: the length of \"columns\". Further columns of the member are dropped.",
    ),
    required(
        "columns",
        Form::List { of: &Form::Text(TextForm::Column), least: 1 },
        "The table's columns, in the order of the member's.",
    ),
    KeyForm {
        name: "dateformat",
        form: Form::List { of: &DATE, least: 0 },
        need: Need::RequiredOr("write [] if no column holds dates"),
        says: "The columns that hold dates, and how the dates are written.",
    },
    by_default(
        "derived",
        Form::List { of: &DERIVED, least: 0 },
        DefaultValue::EmptyList,
        "Columns that are derived from others, appended in this order.",
    ),
    optional(
        "header",
        Form::Word {
            words: &["exact"],
            otherwise: "leave the key out if the header may have other names than \"columns\"",
        },
        "\"exact\": the names in the member's header must be \"columns\", in their order.",
    ),
    optional(
        "min_rows",
        number(1, "a whole number of rows above 0"),
        "The minimum number of rows of the member. An archive with fewer is bad.",
    ),
];

const DATE: Form = Form::Object(&DATE_KEYS);

const DATE_KEYS: [KeyForm; 2] = [
    required("field", Form::Text(TextForm::Any), "One of \"columns\"."),
    required(
        "format",
        Form::Text(TextForm::Any),
        "How its dates are written, in the directives of Python's strptime, such as \"%Y-%m-%d %H:%M:%S.%f\".",
    ),
];

const DERIVED: Form = Form::Object(&DERIVED_KEYS);

const DERIVED_KEYS: [KeyForm; 4] = [
    required("column", Form::Text(TextForm::Column), "The new column's name in the table."),
    required("from", Form::Text(TextForm::Any), "The source column, one of \"columns\"."),
    required("split", Form::Text(TextForm::Any), "The separator at which the text is split."),
    required(
        "index",
        number(0, "a whole number from 0"),
        "Which of the parts is taken, counted from 0. The new cell is empty if there is no such part.",
    ),
];
