//! How a table differs from what the configuration loads into it.

use cmslite_core::config::{Dataset, Table};

use super::finding::Finding;
use crate::redshift::Column;

/// How a table differs from what the configuration loads into it.
pub(super) fn compare(table: &Table, dataset: &Dataset, found: &[Column]) -> Vec<Finding> {
    let subject = format!("table {}", table.name);
    if found.is_empty() {
        return vec![Finding::bad(
            subject,
            "there is no such table, or the user may not see it",
            "make it as ddl/tables.sql does, and grant as ddl/grants.sql does",
        )];
    }
    let position = |name: &str| found.iter().position(|column| column.name.eq_ignore_ascii_case(name));
    let mut findings = Vec::new();
    let mut filled = Vec::new();
    for name in table.loaded_columns().filter(|name| position(name).is_none()) {
        let text = format!("it has no column {name}");
        findings.push(Finding::bad(
            &subject,
            text,
            "add the column to the table, or mend \"columns\" or \"derived\" in the configuration",
        ));
    }
    for column in found.iter().filter(|column| !column.nullable) {
        let is_loaded = table.loaded_columns().any(|name| name.eq_ignore_ascii_case(&column.name));
        if !is_loaded && !column.has_default {
            let text = format!("its column {} is NOT NULL, has no default, and is not loaded", column.name);
            findings.push(Finding::bad(&subject, text, "let it take NULL, give it a default, or load it"));
        } else if is_loaded {
            filled.push(column.name.as_str());
        }
    }
    if let (Some(null), false) = (&dataset.null_as, filled.is_empty()) {
        let text = format!(
            "a cell {null:?} makes an archive bad in its columns that are NOT NULL: {}",
            filled.join(", ")
        );
        findings.push(Finding::note(
            &subject,
            text,
            "let a column take NULL if such cells are expected in it",
        ));
    }
    for column in table.columns.iter().filter(|column| column.date.is_some()) {
        let Some(is) = position(&column.name).and_then(|at| found.get(at)) else { continue };
        if !is.data_type.starts_with("timestamp") {
            let text = format!(
                "its column {} is {}, but the configuration writes dates with their time into it",
                is.name,
                is.type_text()
            );
            findings.push(Finding::note(
                &subject,
                text,
                "make it TIMESTAMP, or leave the column out of \"dateformat\"",
            ));
        }
    }
    let positions: Vec<usize> = table.loaded_columns().filter_map(position).collect();
    if !positions.is_sorted() {
        findings.push(Finding::note(
            &subject,
            "its columns have another order than the configuration's",
            "nothing: COPY names its columns",
        ));
    }
    findings
}
