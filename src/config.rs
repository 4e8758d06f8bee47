//! A dataset's configuration file, read into types whose invariants the rest of the program relies on.
//!
//! Every mistake of every file is found at start, before an event is handled, and told with file, key and
//! reason.

mod json;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use regex::Regex;
use serde_json::Value;

use crate::dates::DateFormat;

include!(concat!(env!("OUT_DIR"), "/bundled_config.rs"));

/// One configuration file: where archives come from and which tables they fill.
///
/// Invariants: `source`, `destination` and `directory` are non-empty and neither begin nor end with `/`;
/// nothing is written below the prefix that is read; there is at least one table; no two tables under
/// truncate are the same.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The file's name without `.json`.
    pub name: String,
    /// The bucket that is read and written.
    pub bucket: String,
    /// The first prefix of archives.
    pub source: String,
    /// The first prefix of everything written.
    pub destination: String,
    /// The prefix between `source` or `destination` and an archive's name.
    pub directory: String,
    /// Searched in the key, anchored at its end.
    pub doc: Regex,
    /// Whether a load replaces the tables' rows; then only the newest archive counts.
    pub truncate: bool,
    /// The character between cells, one ASCII character.
    pub delimiter: u8,
    /// A cell equal to this becomes NULL.
    pub null_as: Option<String>,
    /// The table with one row per archive revision loaded.
    pub ledger: TableName,
    /// The most bytes that an archive may unpack to, tar headers and padding included.
    pub max_unpacked_bytes: u64,
    /// The tables in the fixed order in which every load touches them: by name.
    pub tables: Vec<Table>,
}

/// A table and the member that fills it.
#[derive(Debug, Clone)]
pub struct Table {
    /// The member's base name up to its first `.`.
    pub member: String,
    /// The table.
    pub name: TableName,
    /// The member's columns, by position. Never empty, names unique together with those of `derived`.
    pub columns: Vec<Column>,
    /// Columns made from others, appended in this order.
    pub derived: Vec<Derived>,
    /// What the table was found to take, by position in the staged file; nothing is known of columns beyond
    /// its end.
    pub limits: Vec<Limit>,
}

/// What a table's column takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limit {
    /// The most bytes of a text.
    pub max_bytes: Option<u64>,
    /// Whether it takes no NULL.
    pub not_null: bool,
}

impl Limit {
    /// Whether a text is longer than the column takes.
    pub fn is_exceeded_by(self, text: &[u8]) -> bool {
        self.max_bytes.is_some_and(|max_bytes| text.len() as u64 > max_bytes)
    }
}

/// A column of a member.
#[derive(Debug, Clone)]
pub struct Column {
    /// The column's name in the table.
    pub name: String,
    /// How its dates are written in the member, if it holds dates.
    pub date: Option<DateFormat>,
}

/// A column made from another: one of the texts between separators, empty if there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    /// The new column's name in the table.
    pub name: String,
    /// The position of the column it is made from.
    pub from: usize,
    /// The separator, never empty.
    pub split: String,
    /// Which of the texts, counted from 0.
    pub index: usize,
}

/// A schema-qualified table name.
///
/// Plain identifiers are folded to lower case, as Redshift and `PostgreSQL` fold them, so that they can be
/// quoted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The schema.
    pub schema: String,
    /// The table in it.
    pub table: String,
}

impl TableName {
    /// `name`, or `schema.name` when it carries none of its own.
    fn parse(name: &str, schema: &str) -> Result<Self, String> {
        let (schema, table) = name.split_once('.').unwrap_or((schema, name));
        for part in [schema, table] {
            if part.is_empty() || part.contains('.') || part.chars().any(char::is_control) {
                return Err(format!("{name:?} is not a table name; write TABLE or SCHEMA.TABLE"));
            }
        }
        Ok(Self { schema: fold(schema), table: fold(table) })
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// An identifier as an unquoted one would be understood; any other name is left as it is.
fn fold(name: &str) -> String {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'$')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if plain { name.to_ascii_lowercase() } else { name.to_owned() }
}

impl Table {
    /// All columns of the table that a load fills, in the staged file's order.
    pub fn loaded_columns(&self) -> impl Iterator<Item = &str> {
        self.columns
            .iter()
            .map(|column| column.name.as_str())
            .chain(self.derived.iter().map(|derived| derived.name.as_str()))
    }
}

impl Dataset {
    /// The prefix under which archives are looked for.
    pub fn source_prefix(&self) -> String {
        format!("{}/{}/", self.source, self.directory)
    }

    /// Whether an object of the bucket is an archive of this dataset. A key that ends in `/` is a folder of a
    /// console, not one.
    pub fn matches(&self, key: &str) -> bool {
        key.starts_with(&self.source_prefix()) && !key.ends_with('/') && self.doc.is_match(key)
    }

    /// The prefix of good markers.
    pub fn good_prefix(&self) -> String {
        format!("{}/good/{}", self.destination, self.source_prefix())
    }

    /// The prefix of bad markers.
    pub fn bad_prefix(&self) -> String {
        format!("{}/bad/{}", self.destination, self.source_prefix())
    }

    /// The prefix of staged files.
    pub fn batch_prefix(&self) -> String {
        format!("{}/batch/{}", self.destination, self.source_prefix())
    }

    /// The good marker of an archive.
    pub fn good_key(&self, key: &str) -> String {
        format!("{}/good/{key}", self.destination)
    }

    /// The bad marker of an archive.
    pub fn bad_key(&self, key: &str) -> String {
        format!("{}/bad/{key}", self.destination)
    }

    /// The explanation beside the bad marker of an archive.
    pub fn error_key(&self, key: &str) -> String {
        format!("{}/bad/{key}.error.json", self.destination)
    }

    /// The staged file of one table of an archive's revision, without its ending: `.csv` or `.manifest`
    /// follows.
    pub fn staged_stem(&self, key: &str, etag: &str, member: &str) -> String {
        let revision: String = etag.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
        let name = key.strip_suffix(".tgz").unwrap_or(key);
        format!("{}/batch/{name}/{revision}/{member}", self.destination)
    }

    /// The table that a member fills, by the member's base name up to its first `.`.
    pub fn table_of(&self, member: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.member == member)
    }
}

/// One mistake in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file.
    pub file: String,
    /// The key, as a path such as `files.user_group.columns[2]`; empty for the file as a whole.
    pub key: String,
    /// What is wrong and what is expected.
    pub reason: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            write!(f, "{}: {}", self.file, self.reason)
        } else {
            write!(f, "{}: {}: {}", self.file, self.key, self.reason)
        }
    }
}

/// Every mistake found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, mistake) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("; ")?;
            }
            mistake.fmt(f)?;
        }
        Ok(())
    }
}

/// Reads the files of `directory`, or those bundled into the program when there is none given.
///
/// # Errors
///
/// Every mistake of every file, those between files included; a directory that cannot be read or holds no
/// configuration.
pub fn load_all(directory: Option<&Path>) -> Result<Vec<Dataset>, Mistakes> {
    let files = match directory {
        None => BUNDLED.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
        Some(directory) => read_directory(directory).map_err(|mistake| Mistakes(vec![mistake]))?,
    };
    parse_all(&files)
}

/// The names of the datasets of `directory`, or of those bundled into the program, whatever their files hold:
/// a configuration that cannot be read still has a name under which that can be told.
pub fn names(directory: Option<&Path>) -> Vec<String> {
    let files: Vec<String> = match directory {
        None => BUNDLED.iter().map(|(name, _)| (*name).to_owned()).collect(),
        Some(directory) => {
            let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
        }
    };
    let mut names: Vec<String> =
        files.iter().filter_map(|file| file.strip_suffix(".json")).map(str::to_owned).collect();
    names.sort();
    names
}

/// Reads one file.
///
/// # Errors
///
/// Every mistake in it.
pub fn load_file(path: &Path) -> Result<Dataset, Mistakes> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Mistakes(vec![Mistake {
            file: file.clone(),
            key: String::new(),
            reason: format!("cannot be read: {error}"),
        }])
    })?;
    parse(&file, &text)
}

fn read_directory(directory: &Path) -> Result<BTreeMap<String, String>, Mistake> {
    let fault =
        |reason: String| Mistake { file: directory.display().to_string(), key: String::new(), reason };
    let mut files = BTreeMap::new();
    for entry in
        std::fs::read_dir(directory).map_err(|error| fault(format!("CONFIG_DIR cannot be read: {error}")))?
    {
        let path = entry.map_err(|error| fault(format!("CONFIG_DIR cannot be read: {error}")))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = std::fs::read_to_string(&path)
                .map_err(|error| fault(format!("{} cannot be read: {error}", path.display())))?;
            files.insert(path.display().to_string(), text);
        }
    }
    Ok(files)
}

/// Parses files given as name and text, and checks them against each other.
///
/// # Errors
///
/// Every mistake of every file, and every pair of files that would feed or shadow each other.
pub fn parse_all(files: &BTreeMap<String, String>) -> Result<Vec<Dataset>, Mistakes> {
    let mut datasets: Vec<(String, Dataset)> = Vec::new();
    let mut mistakes = Vec::new();
    if files.is_empty() {
        mistakes.push(Mistake {
            file: "config.d".to_owned(),
            key: String::new(),
            reason: "no configuration file (*.json)".to_owned(),
        });
    }
    for (file, text) in files {
        match parse(file, text) {
            Ok(dataset) => datasets.push((file.clone(), dataset)),
            Err(found) => mistakes.extend(found.0),
        }
    }
    for (n, (file, dataset)) in datasets.iter().enumerate() {
        for (other_file, other) in datasets.iter().skip(n + 1) {
            if dataset.bucket == other.bucket
                && dataset.source_prefix() == other.source_prefix()
                && dataset.doc.as_str() == other.doc.as_str()
            {
                mistakes.push(Mistake {
                    file: other_file.clone(),
                    key: "doc".to_owned(),
                    reason: format!("reads the same archives as {file}"),
                });
            }
            for (writer, (reader_file, reader)) in [(dataset, (other_file, other)), (other, (file, dataset))]
            {
                if writer.bucket == reader.bucket && feeds(writer, reader) {
                    mistakes.push(Mistake {
                        file: reader_file.clone(),
                        key: "source".to_owned(),
                        reason: format!(
                            "{:?} would be fed by what dataset {} writes below {:?}",
                            reader.source_prefix(),
                            writer.name,
                            writer.destination
                        ),
                    });
                }
            }
        }
    }
    if mistakes.is_empty() {
        Ok(datasets.into_iter().map(|(_, dataset)| dataset).collect())
    } else {
        Err(Mistakes(mistakes))
    }
}

/// Whether anything that `writer` writes can come to lie below the prefix that `reader` reads.
fn feeds(writer: &Dataset, reader: &Dataset) -> bool {
    let read = reader.source_prefix();
    [writer.good_prefix(), writer.bad_prefix(), writer.batch_prefix()]
        .iter()
        .any(|written| written.starts_with(&read) || read.starts_with(written.as_str()))
}

/// Parses one file.
///
/// # Errors
///
/// Every mistake in it.
pub fn parse(file: &str, text: &str) -> Result<Dataset, Mistakes> {
    let mut checker = Checker { file, mistakes: Vec::new() };
    let dataset = checker.dataset(text);
    match dataset {
        Some(dataset) if checker.mistakes.is_empty() => Ok(dataset),
        _ => Err(Mistakes(checker.mistakes)),
    }
}

/// What an archive may unpack to where the configuration does not say: 64 GiB.
///
/// It is there so that a bomb ends as bad input, and not as a function that runs out of its time again and
/// again. An archive that is really larger has to say so in its dataset's configuration.
pub const DEFAULT_MAX_UNPACKED_BYTES: u64 = 64 * 1024 * 1024 * 1024;

const DATASET_KEYS: [&str; 12] = [
    "bucket",
    "source",
    "destination",
    "directory",
    "doc",
    "schema",
    "truncate",
    "delim",
    "files",
    "null_as",
    "ledger",
    "max_unpacked_bytes",
];
const FILE_KEYS: [&str; 5] = ["dbtable", "column_count", "columns", "dateformat", "derived"];
const DATE_KEYS: [&str; 2] = ["field", "format"];
const DERIVED_KEYS: [&str; 4] = ["column", "from", "split", "index"];

type Object = serde_json::Map<String, Value>;

struct Checker<'a> {
    file: &'a str,
    mistakes: Vec<Mistake>,
}

impl Checker<'_> {
    fn say(&mut self, key: impl Into<String>, reason: impl Into<String>) {
        self.mistakes.push(Mistake { file: self.file.to_owned(), key: key.into(), reason: reason.into() });
    }

    fn dataset(&mut self, text: &str) -> Option<Dataset> {
        let value = match json::parse(text) {
            Ok(value) => value,
            Err(error) => {
                self.say("", format!("not valid JSON: {error}"));
                return None;
            }
        };
        let object = self.object(&value, "")?;
        self.unknown_keys(object, "", &DATASET_KEYS);

        let bucket = self.text(object, "bucket", "");
        let source = self.prefix(object, "source");
        let destination = self.prefix(object, "destination");
        let directory = self.prefix(object, "directory");
        let doc = self.doc(object);
        let schema = self.text(object, "schema", "");
        let truncate = self.required(object, "truncate", "").and_then(|value| {
            if let Some(truncate) = value.as_bool() {
                Some(truncate)
            } else {
                self.say("truncate", "expected true or false");
                None
            }
        });
        let delimiter = self.delimiter(object);
        let null_as = object.contains_key("null_as").then(|| self.text(object, "null_as", "")).flatten();
        let max_unpacked_bytes = self.max_unpacked_bytes(object);
        let ledger_name = if object.contains_key("ledger") {
            self.text(object, "ledger", "")?
        } else {
            "load_ledger".to_owned()
        };
        let ledger = schema.as_ref().and_then(|schema| self.table_name(&ledger_name, schema, "ledger"));
        let tables = self.tables(object, schema.as_deref(), truncate, ledger.as_ref());

        let name = Path::new(self.file)
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        let dataset = Dataset {
            name,
            bucket: bucket?,
            source: source?,
            destination: destination?,
            directory: directory?,
            doc: doc?,
            truncate: truncate?,
            delimiter: delimiter?,
            null_as,
            ledger: ledger?,
            max_unpacked_bytes: max_unpacked_bytes?,
            tables: tables?,
        };
        if feeds(&dataset, &dataset) {
            let reason = format!(
                "a loop: what is written below {:?} would be read again below {:?}; choose another destination",
                dataset.destination,
                dataset.source_prefix()
            );
            self.say("destination", reason);
        }
        Some(dataset)
    }

    fn tables(
        &mut self,
        object: &Object,
        schema: Option<&str>,
        truncate: Option<bool>,
        ledger: Option<&TableName>,
    ) -> Option<Vec<Table>> {
        let files = self.required(object, "files", "")?;
        let files = self.object(files, "files")?;
        if files.is_empty() {
            self.say("files", "names no file");
        }
        let mut tables = Vec::new();
        for (member, value) in files {
            let path = format!("files.{member}");
            if member.is_empty() || member.contains(['.', '/']) {
                self.say(
                    path.as_str(),
                    "a member is named by its base name up to the first dot: no '.' and no '/'",
                );
            }
            tables.extend(self.table(member, value, &path, schema));
        }
        tables.sort_by(|a, b| (&a.name, &a.member).cmp(&(&b.name, &b.member)));
        for pair in tables.windows(2) {
            if truncate == Some(true) && pair[0].name == pair[1].name {
                let path = format!("files.{}.dbtable", pair[1].member);
                self.say(
                    path,
                    format!("with truncate, {} would lose the rows of {:?}", pair[1].name, pair[0].member),
                );
            }
        }
        for table in &tables {
            if Some(&table.name) == ledger {
                self.say(format!("files.{}.dbtable", table.member), "is the ledger's table");
            }
        }
        Some(tables)
    }

    fn table(&mut self, member: &str, value: &Value, path: &str, schema: Option<&str>) -> Option<Table> {
        let object = self.object(value, path)?;
        self.unknown_keys(object, path, &FILE_KEYS);
        let dbtable = self.text(object, "dbtable", path);
        let name = dbtable
            .zip(schema)
            .and_then(|(name, schema)| self.table_name(&name, schema, &format!("{path}.dbtable")));
        let columns = self.columns(object, path);
        let names: Vec<String> = columns.clone().unwrap_or_default();
        let dates = self.dates(object, path, &names);
        let derived = self.derived(object, path, &names);
        let columns = columns?
            .into_iter()
            .map(|name| {
                let date = dates.get(&name).cloned();
                Column { name: fold(&name), date }
            })
            .collect();
        Some(Table { member: member.to_owned(), name: name?, columns, derived, limits: Vec::new() })
    }

    fn columns(&mut self, object: &Object, path: &str) -> Option<Vec<String>> {
        let key = format!("{path}.columns");
        let count = self.required(object, "column_count", path).and_then(|value| match value.as_u64() {
            Some(count) if count > 0 => Some(count),
            _ => {
                self.say(format!("{path}.column_count"), "expected a whole number above 0");
                None
            }
        });
        let list = self.required(object, "columns", path)?;
        let Some(list) = list.as_array() else {
            self.say(key, "expected a list of column names");
            return None;
        };
        let mut names = Vec::new();
        let mut seen = BTreeSet::new();
        for (n, value) in list.iter().enumerate() {
            match value.as_str() {
                Some(name) if !name.is_empty() && !name.chars().any(char::is_control) => {
                    if !seen.insert(fold(name)) {
                        self.say(format!("{key}[{n}]"), format!("{name:?} is listed twice"));
                    }
                    names.push(name.to_owned());
                }
                _ => self.say(format!("{key}[{n}]"), "expected a column name"),
            }
        }
        if let Some(count) = count.filter(|count| *count != list.len() as u64) {
            self.say(key, format!("lists {} columns, but column_count is {count}", list.len()));
        }
        Some(names)
    }

    fn dates(&mut self, object: &Object, path: &str, columns: &[String]) -> BTreeMap<String, DateFormat> {
        let mut dates = BTreeMap::new();
        let Some(list) = self.required(object, "dateformat", path) else { return dates };
        for (path, entry) in self.entries(list, &format!("{path}.dateformat")) {
            let Some(entry) = self.object(entry, &path) else { continue };
            self.unknown_keys(entry, &path, &DATE_KEYS);
            let field = self.text(entry, "field", &path);
            let format = self.text(entry, "format", &path);
            let field = field.filter(|field| self.is_column(field, columns, &format!("{path}.field")));
            let format = format.and_then(|format| match DateFormat::compile(&format) {
                Ok(format) => Some(format),
                Err(error) => {
                    self.say(format!("{path}.format"), error.to_string());
                    None
                }
            });
            if let (Some(field), Some(format)) = (field, format)
                && dates.insert(field.clone(), format).is_some()
            {
                self.say(format!("{path}.field"), format!("{field:?} has two formats"));
            }
        }
        dates
    }

    fn derived(&mut self, object: &Object, path: &str, columns: &[String]) -> Vec<Derived> {
        let mut derived: Vec<Derived> = Vec::new();
        let Some(list) = object.get("derived") else { return derived };
        for (path, entry) in self.entries(list, &format!("{path}.derived")) {
            let Some(entry) = self.object(entry, &path) else { continue };
            self.unknown_keys(entry, &path, &DERIVED_KEYS);
            let column = self.text(entry, "column", &path);
            let from = self.text(entry, "from", &path);
            let split = self.text(entry, "split", &path);
            let index = self.required(entry, "index", &path).and_then(|value| {
                if let Some(index) = value.as_u64().and_then(|index| usize::try_from(index).ok()) {
                    Some(index)
                } else {
                    self.say(format!("{path}.index"), "expected a whole number from 0");
                    None
                }
            });
            let from = from.filter(|from| self.is_column(from, columns, &format!("{path}.from")));
            let from = from.and_then(|from| columns.iter().position(|column| *column == from));
            if let Some(column) = &column
                && (columns.iter().any(|other| fold(other) == fold(column))
                    || derived.iter().any(|other| other.name == fold(column)))
            {
                self.say(format!("{path}.column"), format!("{column:?} is a column already"));
            }
            if let (Some(column), Some(from), Some(split), Some(index)) = (column, from, split, index) {
                derived.push(Derived { name: fold(&column), from, split, index });
            }
        }
        derived
    }

    fn entries<'v>(&mut self, list: &'v Value, key: &str) -> Vec<(String, &'v Value)> {
        if let Some(list) = list.as_array() {
            list.iter().enumerate().map(|(n, entry)| (format!("{key}[{n}]"), entry)).collect()
        } else {
            self.say(key, "expected a list");
            Vec::new()
        }
    }

    fn is_column(&mut self, name: &str, columns: &[String], key: &str) -> bool {
        let known = columns.iter().any(|column| column == name);
        if !known {
            self.say(key, format!("{name:?} is none of the columns"));
        }
        known
    }

    fn table_name(&mut self, name: &str, schema: &str, key: &str) -> Option<TableName> {
        TableName::parse(name, schema).map_err(|reason| self.say(key, reason)).ok()
    }

    fn doc(&mut self, object: &Object) -> Option<Regex> {
        let doc = self.text(object, "doc", "")?;
        match Regex::new(&format!("{doc}$")) {
            Ok(regex) => Some(regex),
            Err(error) => {
                self.say(
                    "doc",
                    format!("not a regular expression: {}", error.to_string().replace('\n', " ")),
                );
                None
            }
        }
    }

    fn delimiter(&mut self, object: &Object) -> Option<u8> {
        let delim = self.text(object, "delim", "")?;
        match delim.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r' | 0) => Some(*byte),
            _ => {
                self.say(
                    "delim",
                    format!("expected one ASCII character other than a quote or a line end, found {delim:?}"),
                );
                None
            }
        }
    }

    fn max_unpacked_bytes(&mut self, object: &Object) -> Option<u64> {
        let Some(value) = object.get("max_unpacked_bytes") else { return Some(DEFAULT_MAX_UNPACKED_BYTES) };
        let limit = value.as_u64().filter(|limit| *limit > 0);
        if limit.is_none() {
            self.say("max_unpacked_bytes", "expected a whole number of bytes above 0, such as 10000000000");
        }
        limit
    }

    fn prefix(&mut self, object: &Object, key: &str) -> Option<String> {
        let prefix = self.text(object, key, "")?;
        if prefix.starts_with('/') || prefix.ends_with('/') {
            self.say(key, format!("write {:?} without '/' at either end", prefix.trim_matches('/')));
            return None;
        }
        Some(prefix)
    }

    fn text(&mut self, object: &Object, key: &str, path: &str) -> Option<String> {
        match self.required(object, key, path)?.as_str() {
            Some(text) if !text.is_empty() => Some(text.to_owned()),
            Some(_) => {
                self.say(join(path, key), "is empty");
                None
            }
            None => {
                self.say(join(path, key), "expected a text");
                None
            }
        }
    }

    fn required<'v>(&mut self, object: &'v Object, key: &str, path: &str) -> Option<&'v Value> {
        let value = object.get(key);
        if value.is_none() {
            let hint = if key == "dateformat" { "; write [] if no column holds dates" } else { "" };
            self.say(join(path, key), format!("missing{hint}"));
        }
        value
    }

    fn object<'v>(&mut self, value: &'v Value, key: &str) -> Option<&'v Object> {
        let object = value.as_object();
        if object.is_none() {
            self.say(key, "expected an object {...}");
        }
        object
    }

    fn unknown_keys(&mut self, object: &Object, path: &str, known: &[&str]) {
        for key in object.keys().filter(|key| !known.contains(&key.as_str())) {
            self.say(join(path, key), format!("unknown key; known are {}", known.join(", ")));
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests;
