//! Reads the tables of a file and their columns.

use std::collections::{BTreeMap, BTreeSet};

use super::checker::Checker;
use super::dataset::{Column, Derived, Table, TableName, fold};
use super::json::Node;
use crate::similar::closest;
use crate::strptime::DateFormat;

impl Checker<'_> {
    pub(super) fn tables(
        &mut self,
        object: &Node,
        schema: Option<&str>,
        truncate: Option<bool>,
        ledger: Option<&TableName>,
    ) -> Option<Vec<Table>> {
        let files = self.fit(object, "files")?;
        let mut tables: Vec<(Table, &Node)> = Vec::new();
        for node in files.members() {
            let table = self.table(node, schema);
            tables.extend(table.zip(node.get("dbtable")));
        }
        tables.sort_by(|(a, _), (b, _)| (&a.name, &a.member).cmp(&(&b.name, &b.member)));
        for pair in tables.windows(2) {
            if let [(first, _), (second, node)] = pair
                && truncate == Some(true)
                && first.name == second.name
            {
                self.report(
                    node,
                    format!("with truncate, {} would lose the rows of {:?}", second.name, first.member),
                );
            }
        }
        for (table, node) in &tables {
            if let Some(ledger) = ledger
                && [ledger, &ledger.beside("_tables"), &ledger.beside("_lock")].contains(&&table.name)
            {
                self.report(node, "is the ledger's table");
            }
        }
        Some(tables.into_iter().map(|(table, _)| table).collect())
    }

    fn table(&mut self, object: &Node, schema: Option<&str>) -> Option<Table> {
        let name =
            self.fit(object, "dbtable").zip(schema).and_then(|(node, schema)| self.table_name(node, schema));
        let columns = self.columns(object);
        let dates = self.dates(object, columns.as_deref());
        let derived = self.derived(object, columns.as_deref());
        let columns = columns?.into_iter().map(|name| {
            let date = dates.get(&name).cloned();
            Column { name: fold(&name), date }
        });
        Some(Table {
            member: object.key.as_ref()?.name.clone(),
            name: name?,
            columns: columns.collect(),
            derived,
            exact_header: object.get("header").is_some(),
            min_rows: self.fit(object, "min_rows").and_then(Node::as_number).unwrap_or_default(),
        })
    }

    /// Returns the columns as they are written.
    fn columns(&mut self, object: &Node) -> Option<Vec<String>> {
        let list = self.fit(object, "columns")?;
        let mut seen = BTreeSet::new();
        let mut names = Vec::new();
        for (node, name) in list.items().iter().filter_map(|node| Some((node, node.as_text()?))) {
            if !seen.insert(fold(name)) {
                self.report(node, format!("{name:?} is listed twice"));
            }
            names.push(name.to_owned());
        }
        let count = self.fit(object, "column_count").and_then(Node::as_number);
        let listed = list.items().len();
        if let Some(count) = count.filter(|count| *count != listed as u64) {
            self.report(list, format!("lists {listed} columns, but column_count is {count}"));
        }
        Some(names)
    }

    fn dates(&mut self, object: &Node, columns: Option<&[String]>) -> BTreeMap<String, DateFormat> {
        let mut dates = BTreeMap::new();
        for entry in self.fit(object, "dateformat").map_or(&[][..], Node::items) {
            let field = self.column_named(entry, "field", columns).map(|(_, field)| field);
            let format = self.fit(entry, "format").and_then(|node| {
                DateFormat::compile(node.as_text()?)
                    .map_err(|error| self.report(node, error.to_string()))
                    .ok()
            });
            if let (Some(field), Some(format)) = (field, format)
                && dates.insert(field.clone(), format).is_some()
                && let Some(node) = entry.get("field")
            {
                self.report(node, format!("{field:?} has two formats"));
            }
        }
        dates
    }

    fn derived(&mut self, object: &Node, columns: Option<&[String]>) -> Vec<Derived> {
        let mut derived: Vec<Derived> = Vec::new();
        for entry in self.fit(object, "derived").map_or(&[][..], Node::items) {
            let column = self.fit(entry, "column").and_then(|node| Some((node, fold(node.as_text()?))));
            if let Some((node, column)) = &column
                && (columns.iter().copied().flatten().any(|other| fold(other) == *column)
                    || derived.iter().any(|other| other.name == *column))
            {
                self.report(node, format!("{:?} is a column already", node.as_text().unwrap_or_default()));
            }
            let from = self.column_named(entry, "from", columns).map(|(position, _)| position);
            let split = self.text_of(entry, "split");
            let index = self.fit(entry, "index").and_then(Node::as_number);
            let index = index.and_then(|index| usize::try_from(index).ok());
            if let (Some((_, name)), Some(from), Some(split), Some(index)) = (column, from, split, index) {
                derived.push(Derived { name, from, split, index });
            }
        }
        derived
    }

    /// Returns the column that a value names, with its position; `None` if the columns are not known.
    fn column_named(
        &mut self,
        object: &Node,
        key: &str,
        columns: Option<&[String]>,
    ) -> Option<(usize, String)> {
        let node = self.fit(object, key)?;
        let (name, columns) = (node.as_text()?, columns?);
        let position = columns.iter().position(|column| column == name);
        if position.is_none() {
            let meant = closest(name, columns.iter().map(String::as_str));
            let meant = meant.map(|meant| format!("; did you mean {meant:?}?")).unwrap_or_default();
            self.report(node, format!("{name:?} is not one of the columns{meant}"));
        }
        position.map(|position| (position, name.to_owned()))
    }
}
