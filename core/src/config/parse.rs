//! From a configuration's text to its types, with every mistake found at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use regex::Regex;
use serde_json::Value;

use super::checker::{Checker, Object};
use super::dataset::{Column, Dataset, Derived, Table, TableName, fold};
use super::json;
use super::mistake::{Mistake, Mistakes};
use crate::key::MOST_KEY_BYTES;
use crate::problem::Quoting;
use crate::strptime::DateFormat;

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
            if let Some(key) = dataset.common_key(other) {
                mistakes.push(Mistake {
                    file: other_file.clone(),
                    key: "doc".to_owned(),
                    reason: format!("reads the same archives as {file}, such as {key:?}"),
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
        Ok(introduced(&datasets.into_iter().map(|(_, dataset)| dataset).collect::<Vec<Dataset>>()))
    } else {
        Err(Mistakes(mistakes))
    }
}

/// The datasets, each of which knows the others.
fn introduced(datasets: &[Dataset]) -> Vec<Dataset> {
    let mut met = datasets.to_vec();
    for dataset in &mut met {
        for other in datasets {
            dataset.meet(other);
        }
    }
    met
}

/// Whether anything that `writer` writes can come to lie below the prefix that `reader` reads.
fn feeds(writer: &Dataset, reader: &Dataset) -> bool {
    let read = reader.source_prefix();
    let written = [
        writer.good_prefix(),
        writer.bad_prefix(),
        writer.batch_prefix(),
        writer.lease_prefix(),
        writer.status_prefix(),
    ];
    written.iter().any(|written| written.starts_with(&read) || read.starts_with(written.as_str()))
}

/// Parses one file.
///
/// # Errors
///
/// Every mistake in it.
pub fn parse(file: &str, text: &str) -> Result<Dataset, Mistakes> {
    let mut checker = Checker::new(file);
    let dataset = checker.dataset(text);
    match dataset {
        Some(dataset) if checker.mistakes.is_empty() => Ok(dataset),
        _ => Err(Mistakes(checker.mistakes)),
    }
}

const DATASET_KEYS: [&str; 19] = [
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
    "max_packed_bytes",
    "max_unpacked_ratio",
    "max_pax_bytes",
    "max_shrink_percent",
    "quote_cells",
    "repeated",
    "staging",
];
const FILE_KEYS: [&str; 7] =
    ["dbtable", "column_count", "columns", "dateformat", "derived", "header", "min_rows"];
const DATE_KEYS: [&str; 2] = ["field", "format"];
const DERIVED_KEYS: [&str; 4] = ["column", "from", "split", "index"];

impl Checker<'_> {
    fn dataset(&mut self, text: &str) -> Option<Dataset> {
        let value = match json::parse(text) {
            Ok(value) => value,
            Err(error) => {
                self.report("", format!("not valid JSON: {error}"));
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
                self.report("truncate", "expected true or false");
                None
            }
        });
        let delimiter = self.delimiter(object);
        let null_as = object.contains_key("null_as").then(|| self.text(object, "null_as", "")).flatten();
        let size_limits = self.size_limits(object);
        let max_shrink_percent = self.max_shrink_percent(object, truncate);
        let quoting = self.quoting(object);
        let skips_repeated = self.skips_repeated(object, truncate);
        let staging = self.staging(object);
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
            ledger_tables: ledger.as_ref()?.beside("_tables"),
            ledger_lock: ledger.as_ref()?.beside("_lock"),
            ledger: ledger?,
            size_limits: size_limits?,
            max_shrink_percent,
            skips_repeated,
            staging,
            quoting,
            rivals: Vec::new(),
            tables: tables?,
        };
        if feeds(&dataset, &dataset) {
            let reason = format!(
                "a loop: what is written below {:?} would be read again below {:?}; choose another destination",
                dataset.destination,
                dataset.source_prefix()
            );
            self.report("destination", reason);
        }
        let key_bytes = dataset.fixed_key_bytes();
        if key_bytes > MOST_KEY_BYTES {
            let reason = format!(
                "too long: with source, directory and the names of members, keys of staged files would have {key_bytes} \
                 bytes, and S3 takes {MOST_KEY_BYTES}"
            );
            self.report("destination", reason);
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
            self.report("files", "names no file");
        }
        let mut tables = Vec::new();
        for (member, value) in files {
            let path = format!("files.{member}");
            if member.is_empty() || member.contains(['.', '/']) {
                self.report(
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
                self.report(
                    path,
                    format!("with truncate, {} would lose the rows of {:?}", pair[1].name, pair[0].member),
                );
            }
        }
        for table in &tables {
            if let Some(ledger) = ledger
                && [ledger, &ledger.beside("_tables"), &ledger.beside("_lock")].contains(&&table.name)
            {
                self.report(format!("files.{}.dbtable", table.member), "is the ledger's table");
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
        let exact_header = self.exact_header(object, path);
        let min_rows = self.min_rows(object, path);
        let columns = columns?
            .into_iter()
            .map(|name| {
                let date = dates.get(&name).cloned();
                Column { name: fold(&name), date }
            })
            .collect();
        Some(Table { member: member.to_owned(), name: name?, columns, derived, exact_header, min_rows })
    }

    fn columns(&mut self, object: &Object, path: &str) -> Option<Vec<String>> {
        let key = format!("{path}.columns");
        let count = self.required(object, "column_count", path).and_then(|value| match value.as_u64() {
            Some(count) if count > 0 => Some(count),
            _ => {
                self.report(format!("{path}.column_count"), "expected a whole number above 0");
                None
            }
        });
        let list = self.required(object, "columns", path)?;
        let Some(list) = list.as_array() else {
            self.report(key, "expected a list of column names");
            return None;
        };
        let mut names = Vec::new();
        let mut seen = BTreeSet::new();
        for (n, value) in list.iter().enumerate() {
            match value.as_str() {
                Some(name) if !name.is_empty() && !name.chars().any(char::is_control) => {
                    if !seen.insert(fold(name)) {
                        self.report(format!("{key}[{n}]"), format!("{name:?} is listed twice"));
                    }
                    names.push(name.to_owned());
                }
                _ => self.report(format!("{key}[{n}]"), "expected a column name"),
            }
        }
        if let Some(count) = count.filter(|count| *count != list.len() as u64) {
            self.report(key, format!("lists {} columns, but column_count is {count}", list.len()));
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
                    self.report(format!("{path}.format"), error.to_string());
                    None
                }
            });
            if let (Some(field), Some(format)) = (field, format)
                && dates.insert(field.clone(), format).is_some()
            {
                self.report(format!("{path}.field"), format!("{field:?} has two formats"));
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
                    self.report(format!("{path}.index"), "expected a whole number from 0");
                    None
                }
            });
            let from = from.filter(|from| self.is_column(from, columns, &format!("{path}.from")));
            let from = from.and_then(|from| columns.iter().position(|column| *column == from));
            if let Some(column) = &column
                && (columns.iter().any(|other| fold(other) == fold(column))
                    || derived.iter().any(|other| other.name == fold(column)))
            {
                self.report(format!("{path}.column"), format!("{column:?} is a column already"));
            }
            if let (Some(column), Some(from), Some(split), Some(index)) = (column, from, split, index) {
                derived.push(Derived { name: fold(&column), from, split, index });
            }
        }
        derived
    }

    fn exact_header(&mut self, object: &Object, path: &str) -> bool {
        let Some(value) = object.get("header") else { return false };
        if value.as_str() != Some("exact") {
            self.report(
                format!("{path}.header"),
                "expected \"exact\"; leave the key out where the header may bear other names than \"columns\"",
            );
        }
        true
    }

    fn is_column(&mut self, name: &str, columns: &[String], key: &str) -> bool {
        let known = columns.iter().any(|column| column == name);
        if !known {
            self.report(key, format!("{name:?} is none of the columns"));
        }
        known
    }

    fn table_name(&mut self, name: &str, schema: &str, key: &str) -> Option<TableName> {
        TableName::parse(name, schema).map_err(|reason| self.report(key, reason)).ok()
    }

    fn doc(&mut self, object: &Object) -> Option<Regex> {
        let doc = self.text(object, "doc", "")?;
        match Regex::new(&format!("{doc}$")) {
            Ok(regex) => Some(regex),
            Err(error) => {
                self.report(
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
                self.report(
                    "delim",
                    format!("expected one ASCII character other than a quote or a line end, found {delim:?}"),
                );
                None
            }
        }
    }

    fn quoting(&mut self, object: &Object) -> Quoting {
        match object.get("quote_cells").map(Value::as_bool) {
            None | Some(Some(true)) => Quoting::Shown,
            Some(Some(false)) => Quoting::Withheld,
            Some(None) => {
                self.report("quote_cells", "expected true or false");
                Quoting::Withheld
            }
        }
    }

    fn prefix(&mut self, object: &Object, key: &str) -> Option<String> {
        let prefix = self.text(object, key, "")?;
        if prefix.starts_with('/') || prefix.ends_with('/') {
            self.report(key, format!("write {:?} without '/' at either end", prefix.trim_matches('/')));
            return None;
        }
        Some(prefix)
    }
}
