//! Checks what a file's keys mean, and whether they contradict each other.

use std::path::Path;

use regex::Regex;

use super::checker::Checker;
use super::dataset::{Dataset, SizeLimits, Staging, TableName};
use super::form::DEFAULT_LEDGER;
use super::json::Node;
use crate::key::MAX_KEY_BYTES;
use crate::problem::Quoting;

impl Checker<'_> {
    /// Returns the dataset, as far as the file's shape allows.
    pub(super) fn dataset(&mut self, object: &Node) -> Option<Dataset> {
        let bucket = self.text_of(object, "bucket");
        let source = self.text_of(object, "source");
        let destination = self.text_of(object, "destination");
        let directory = self.text_of(object, "directory");
        let doc = self.doc(object);
        let schema = self.text_of(object, "schema");
        let truncate = self.fit(object, "truncate").and_then(Node::as_truth);
        let delimiter = self.text_of(object, "delim").and_then(|delim| delim.bytes().next());
        let max_shrink_percent = self.max_shrink_percent(object, truncate);
        let skips_repeated = self.skips_repeated(object, truncate);
        let staging = self.text_of(object, "staging");
        let quote_cells = self.fit(object, "quote_cells").and_then(Node::as_truth);
        let ledger = schema.as_deref().and_then(|schema| self.ledger(object, schema));
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
            null_as: self.text_of(object, "null_as"),
            ledger_tables: ledger.as_ref()?.beside("_tables"),
            ledger_lock: ledger.as_ref()?.beside("_lock"),
            ledger: ledger?,
            size_limits: self.size_limits(object),
            max_shrink_percent,
            skips_repeated,
            staging: match staging.as_deref() {
                Some("plain") => Some(Staging::Plain),
                Some("zstd") => Some(Staging::Zstd),
                _ => None,
            },
            quoting: if quote_cells == Some(false) { Quoting::Withheld } else { Quoting::Shown },
            rivals: Vec::new(),
            tables: tables?,
        };
        self.destination(object, &dataset);
        Some(dataset)
    }

    /// Checks that nothing written below the destination is read again, and that its keys fit S3's limit.
    fn destination(&mut self, object: &Node, dataset: &Dataset) {
        let Some(node) = object.get("destination") else { return };
        if dataset.writes_into(dataset) {
            let reason = format!(
                "a loop: objects written below {:?} would be read again below {:?}; choose another destination",
                dataset.destination,
                dataset.source_prefix()
            );
            self.report(node, reason);
        }
        let key_bytes = dataset.fixed_key_bytes();
        if key_bytes > MAX_KEY_BYTES {
            let reason = format!(
                "too long: with source, directory and the names of members, keys of staged files would have {key_bytes} bytes, and S3 \
                 allows {MAX_KEY_BYTES}"
            );
            self.report(node, reason);
        }
    }

    fn doc(&mut self, object: &Node) -> Option<Regex> {
        let node = self.fit(object, "doc")?;
        match Regex::new(&format!("{}$", node.as_text()?)) {
            Ok(regex) => Some(regex),
            Err(error) => {
                let error = error.to_string();
                // The message repeats the expression over several lines; the last line says what is wrong.
                let what = error.lines().last().unwrap_or_default();
                self.report(
                    node,
                    format!("not a regular expression: {}", what.strip_prefix("error: ").unwrap_or(what)),
                );
                None
            }
        }
    }

    fn ledger(&mut self, object: &Node, schema: &str) -> Option<TableName> {
        let Some(node) = object.get("ledger") else { return TableName::parse(DEFAULT_LEDGER, schema).ok() };
        self.table_name(Some(node).filter(|node| self.is_fit(node))?, schema)
    }

    /// Returns the table that a value names.
    pub(super) fn table_name(&mut self, node: &Node, schema: &str) -> Option<TableName> {
        TableName::parse(node.as_text()?, schema).map_err(|reason| self.report(node, reason)).ok()
    }

    fn size_limits(&self, object: &Node) -> SizeLimits {
        let limit = |key, default| self.fit(object, key).and_then(Node::as_number).unwrap_or(default);
        let default = SizeLimits::default();
        SizeLimits {
            packed_bytes: limit("max_packed_bytes", default.packed_bytes),
            unpacked_bytes: limit("max_unpacked_bytes", default.unpacked_bytes),
            unpacked_ratio: limit("max_unpacked_ratio", default.unpacked_ratio),
            pax_bytes: limit("max_pax_bytes", default.pax_bytes),
        }
    }
}
