//! Writes a guess as the text of a configuration.

use std::fmt::Write as _;

use serde_json::json;

use super::column::ColumnKind;
use super::dataset::Guess;
use super::member::MemberGuess;

/// The settings of a dataset that an archive does not reveal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The bucket's name.
    pub bucket: String,
    /// The first part of the archives' prefix.
    pub source: String,
    /// The first part of the prefix of everything that the loader writes.
    pub destination: String,
    /// The prefix between `source` or `destination` and an archive's name.
    pub directory: String,
    /// The pattern of the archives' keys.
    pub doc: String,
    /// The schema of the tables.
    pub schema: String,
    /// Whether a load replaces the tables' rows.
    pub truncate: bool,
}

/// Returns the configuration, one list on each line, as a person would write it.
pub fn config_text(guess: &Guess, place: &Place) -> String {
    let mut text = String::from("{\n");
    let mut line = |key: &str, value: serde_json::Value| {
        // Writing into memory does not fail.
        let _ = writeln!(text, "  {}: {value},", json!(key));
    };
    line("bucket", json!(place.bucket));
    line("source", json!(place.source));
    line("destination", json!(place.destination));
    line("directory", json!(place.directory));
    line("doc", json!(place.doc));
    line("schema", json!(place.schema));
    line("truncate", json!(place.truncate));
    line("delim", json!(guess.delimiter));
    if let Some(null_as) = &guess.null_as {
        line("null_as", json!(null_as));
    }
    let members: Vec<String> = guess.members.iter().map(member).collect();
    let _ = write!(text, "  \"files\": {{\n{}\n  }}\n}}\n", members.join(",\n"));
    text
}

fn member(member: &MemberGuess) -> String {
    let columns: Vec<&str> = member.columns.iter().map(|column| column.name.as_str()).collect();
    let dates: Vec<String> = member
        .columns
        .iter()
        .filter_map(|column| match &column.kind {
            ColumnKind::Date { format, .. } => {
                Some(format!("{{\"field\": {}, \"format\": {}}}", json!(column.name), json!(format)))
            }
            ColumnKind::Text { .. } | ColumnKind::Boolean => None,
        })
        .collect();
    let columns_listed: Vec<String> = columns.iter().map(|name| json!(name).to_string()).collect();
    format!(
        "    {}: {{\n      \"dbtable\": {},\n      \"column_count\": {},\n      \"columns\": [{}],\n      \"dateformat\": [{}]\n    }}",
        json!(member.member),
        json!(member.table),
        columns.len(),
        columns_listed.join(", "),
        dates.join(", ")
    )
}
