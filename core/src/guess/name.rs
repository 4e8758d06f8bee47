//! Makes names for columns and tables from headers and file names.

use std::collections::BTreeSet;

use crate::transform::comparable;

/// The maximum number of bytes of a generated name. Redshift allows 127 (Amazon Redshift Database Developer
/// Guide, Names and identifiers); a number may be appended.
const MAX_BYTES: usize = 100;

/// Returns a text as an identifier: lower case letters, digits and `_`; empty if nothing of the text is left.
pub fn identifier(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
    }
    let name = name.get(..name.floor_char_boundary(MAX_BYTES)).unwrap_or_default().trim_end_matches('_');
    if name.starts_with(|c: char| c.is_numeric()) { format!("c_{name}") } else { name.to_owned() }
}

/// Returns a different name for each cell of a header. No name is the text of another cell, since a name at
/// another position means that columns were reordered.
pub(super) fn column_names(header: &[Vec<u8>]) -> Vec<String> {
    let texts: Vec<String> = header.iter().map(|cell| comparable(cell)).collect();
    let mut taken = BTreeSet::new();
    let mut names = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        let base = Some(identifier(text)).filter(|name| !name.is_empty());
        let base = base.unwrap_or_else(|| format!("column_{}", at + 1));
        let is_free = |name: &String| {
            !taken.contains(name) && texts.iter().enumerate().all(|(other, text)| other == at || text != name)
        };
        let name = unique_name(base, is_free);
        taken.insert(name.clone());
        names.push(name);
    }
    names
}

/// Returns `base` if it is free, or else `base` with the first number that makes it free.
pub(super) fn unique_name(base: String, is_free: impl Fn(&String) -> bool) -> String {
    if is_free(&base) {
        return base;
    }
    let mut number = 1_u64;
    loop {
        let name = format!("{base}_{number}");
        if is_free(&name) {
            return name;
        }
        number += 1;
    }
}

/// The common part of the names of a dataset's archives, guessed from one name: the part before a date or a
/// number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveName {
    /// The dataset's name.
    pub dataset: String,
    /// The pattern of the archives' keys, for `doc`.
    pub doc: String,
}

impl ArchiveName {
    /// Guesses the dataset's name and the pattern from an archive's file name.
    pub fn of(file: &str) -> Self {
        let endings = [".tgz", ".tar.gz"];
        let stem = endings.iter().find_map(|ending| file.strip_suffix(ending)).unwrap_or(file);
        let ending = file.get(stem.len()..).unwrap_or_default();
        let base = without_dates(stem);
        let dataset = Some(identifier(base)).filter(|name| !name.is_empty());
        Self {
            dataset: dataset.unwrap_or_else(|| "dataset".to_owned()),
            doc: format!("/{}[^/]*{}", escaped(base), escaped(ending)),
        }
    }
}

/// Returns a name without the dates and numbers at its end, and without the characters between them. A `T`
/// counts as such a character between digits only; elsewhere it is a letter of the name.
fn without_dates(stem: &str) -> &str {
    let bytes = stem.as_bytes();
    let is_digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let is_of_date = |&(at, c): &(usize, char)| match c {
        '-' | '_' | '.' | ' ' => true,
        'T' => is_digit(at.checked_sub(1)) && is_digit(at.checked_add(1)),
        _ => c.is_ascii_digit(),
    };
    let begin = stem.char_indices().rev().take_while(is_of_date).last().map_or(stem.len(), |(at, _)| at);
    stem.get(..begin).unwrap_or_default()
}

/// Returns a text as a regular expression, with escapes only where they are needed.
fn escaped(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | ' ');
    text.chars().map(|c| if is_plain(c) { c.to_string() } else { regex::escape(&c.to_string()) }).collect()
}
