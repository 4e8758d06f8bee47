//! Compares a table with what the configuration loads into it.

use cmslite_core::config::{Dataset, Table};

use super::finding::Finding;
use crate::redshift::{Column, Obstacle, RelationKind, obstacles};

/// Compares a table with what the configuration loads into it, and returns the findings.
pub(super) fn compare(
    table: &Table,
    dataset: &Dataset,
    kind: Option<RelationKind>,
    found: &[Column],
) -> Vec<Finding> {
    let subject = format!("table {}", table.name);
    if found.is_empty() {
        return vec![Finding::bad(
            subject,
            "the table does not exist, or the user may not see it",
            "create it as ddl/tables.sql does, and grant as ddl/grants.sql does",
        )];
    }
    let position = |name: &str| found.iter().position(|column| column.name.eq_ignore_ascii_case(name));
    let mut findings = Vec::new();
    for Obstacle { text, remedy } in obstacles(table, kind, found) {
        findings.push(Finding::bad(&subject, text, remedy));
    }
    let is_loaded =
        |column: &&Column| table.loaded_columns().any(|name| name.eq_ignore_ascii_case(&column.name));
    let filled = found.iter().filter(|column| !column.nullable).filter(is_loaded);
    let filled: Vec<&str> = filled.map(|column| column.name.as_str()).collect();
    if let (Some(null), false) = (&dataset.null_as, filled.is_empty()) {
        let text = format!(
            "a cell {null:?} makes an archive bad in its columns that are NOT NULL: {}",
            filled.join(", ")
        );
        findings.push(Finding::note(&subject, text, "let the column take NULL if it may get such cells"));
    }
    for column in table.columns.iter().filter(|column| column.date.is_some()) {
        let Some(is) = position(&column.name).and_then(|at| found.get(at)) else { continue };
        if !is.data_type.starts_with("timestamp") {
            let text = format!(
                "its column {} is {}, but the configuration loads dates with times into it",
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
            "its columns have another order than in the configuration",
            "nothing: COPY names its columns",
        ));
    }
    findings
}
