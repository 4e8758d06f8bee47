//! Writes a guess as the statements that create its tables.

use std::fmt::Write as _;

use super::dataset::Guess;
use crate::ddl::quoted;

/// Returns `CREATE TABLE` statements for the tables of a guess. Every name is quoted, since any name may be a
/// word of SQL.
pub fn ddl_text(guess: &Guess, schema: &str) -> String {
    let mut text = format!(
        "-- Guessed from one archive: check each type and length before you create the tables.\n\n\
         CREATE SCHEMA IF NOT EXISTS {};\n",
        quoted(schema)
    );
    for member in &guess.members {
        let names: Vec<String> = member.columns.iter().map(|column| quoted(&column.name)).collect();
        let widest = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
        let types: Vec<String> = member.columns.iter().map(|column| column.kind.sql()).collect();
        let widest_type = types.iter().map(String::len).max().unwrap_or_default();
        // Writing into memory does not fail.
        let _ = write!(text, "\nCREATE TABLE IF NOT EXISTS {}.{} (\n", quoted(schema), quoted(&member.table));
        for (at, ((name, sql), column)) in names.iter().zip(&types).zip(&member.columns).enumerate() {
            let comma = if at + 1 < names.len() { "," } else { " " };
            let longest = column.longest_bytes;
            let _ = writeln!(
                text,
                "    {name:widest$} {sql:widest_type$} ENCODE ZSTD{comma} -- longest: {longest} bytes"
            );
        }
        text.push_str(");\n");
    }
    text.push_str(
        "\n-- The grants that a load needs; `check` tests each of them. Put in the name of the loader's user.\n",
    );
    let _ = writeln!(text, "-- GRANT USAGE, CREATE ON SCHEMA {} TO cmslite_loader;", quoted(schema));
    for member in &guess.members {
        let table = format!("{}.{}", quoted(schema), quoted(&member.table));
        let _ = writeln!(text, "-- GRANT INSERT, DELETE ON {table} TO cmslite_loader;");
    }
    text
}
