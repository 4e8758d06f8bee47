//! Reads the column types of tables from their `CREATE TABLE` statements, where no database can be asked.
//!
//! Statements about other tables are ignored. A part of a configured table's statement that is not understood
//! is an error: a check that is silently left out would look like one that passed.

// The columns and types of one statement.
mod statement;
// Words, quotes and comments.
mod token;
// The words that no name may be without quotes.
mod reserved_words;

// What is not understood, and where.
mod error;

use std::collections::BTreeMap;

use self::statement::{Definition, Statement, statement};
use self::token::tokens;
use crate::config::{Dataset, TableName};
use crate::limits::TableLimits;

pub use self::error::DdlError;
pub use self::reserved_words::is_reserved;

/// Returns a name in quotes. The name may be any text and any word of SQL.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns the column limits of `dataset`'s tables according to the statements in `text`, which are separated
/// by semicolons.
///
/// A name without a schema matches a configured table of any schema. Upper and lower case are equal, as in
/// Redshift by default.
///
/// # Errors
///
/// [`DdlError`] if a statement about a configured table is not understood, or if a configured table has no
/// statement or two, or lacks a configured column.
pub fn limits(text: &str, dataset: &Dataset) -> Result<TableLimits, DdlError> {
    let tokens = tokens(text)?;
    let mut found: BTreeMap<&TableName, Definition> = BTreeMap::new();
    for part in tokens.split(|token| token.is_symbol(';')) {
        let configured = |schema: Option<&str>, name: &str| {
            let is_it = |table: &&TableName| {
                table.table.eq_ignore_ascii_case(name)
                    && schema.is_none_or(|schema| table.schema.eq_ignore_ascii_case(schema))
            };
            dataset.tables.iter().map(|table| &table.name).find(is_it)
        };
        let Statement::Create(name, definition) = statement(part, configured)? else { continue };
        let line = definition.line;
        if let Some(first) = found.insert(name, definition) {
            let reason = format!("{name} is created here and in line {}; keep one of the two", first.line);
            return Err(DdlError::at(line, reason));
        }
    }
    let mut limits = TableLimits::default();
    for table in &dataset.tables {
        let Some(Definition { line, columns }) = found.get(&table.name) else {
            let reason = format!("there is no CREATE TABLE for {}", table.name);
            return Err(DdlError { line: None, reason });
        };
        let limit = |name: &str| {
            let column = columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
            let missing = || DdlError::at(*line, format!("{} has no column {name}", table.name));
            column.map(|column| column.limit).ok_or_else(missing)
        };
        limits.set(table, table.loaded_columns().map(limit).collect::<Result<_, _>>()?);
    }
    Ok(limits)
}

#[cfg(test)]
mod tests;
