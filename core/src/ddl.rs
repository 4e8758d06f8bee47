//! Reads what tables take from their `CREATE TABLE` statements, where no database can be asked.
//!
//! Statements about other tables are passed over. What is not understood of a configured table's statement is
//! an error, since a check that is left out without a word would pass for one that was made.

// Columns and types of one statement.
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

/// A name as a statement has it, which may be any text and any word of SQL.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What the tables of `dataset` take by the statements of `text`, which are separated by semicolons.
///
/// A name without a schema is that of a configured table of any schema. Names are compared without regard to
/// case, as Redshift does by default.
///
/// # Errors
///
/// [`DdlError`] where a statement about a configured table is not understood, or one of them has none or two,
/// or lacks a configured column.
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
            let reason = format!("{name} is made here and in line {}; keep one of the two", first.line);
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
