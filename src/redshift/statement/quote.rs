//! Quotes names and values in the text of a statement.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use cmslite_core::config::TableName;
use cmslite_core::ddl::quoted;

/// Returns a table's name with its schema, both quoted.
pub(super) fn table(name: &TableName) -> String {
    format!("{}.{}", quoted(&name.schema), quoted(&name.table))
}

/// Returns a text literal. Redshift reads a backslash in a literal as an escape (`r_CREATE_USER.md`), so a
/// backslash is doubled like a quote.
pub(super) fn literal(text: &str) -> String {
    let escaped: Cow<'_, str> = if text.contains(['\'', '\\']) {
        text.replace('\\', "\\\\").replace('\'', "''").into()
    } else {
        text.into()
    };
    format!("'{escaped}'")
}

/// Returns a literal for a TIMESTAMP, in UTC.
pub(super) fn timestamp(time: DateTime<Utc>) -> String {
    literal(&time.format("%Y-%m-%d %H:%M:%S%.6f").to_string())
}

/// Returns the condition for rows about one of `tables`. `in_schema` is the column with the schema's name,
/// and `named` the column with the table's.
pub(super) fn one_of(tables: &[&TableName], in_schema: &str, named: &str) -> String {
    let wanted = tables.iter().map(|name| {
        let (schema, table) = (literal(&name.schema.to_lowercase()), literal(&name.table.to_lowercase()));
        format!("(LOWER({in_schema}) = {schema} AND LOWER({named}) = {table})")
    });
    wanted.collect::<Vec<String>>().join(" OR ")
}
