//! Translates Redshift's DDL for PostgreSQL (`r_CREATE_TABLE_NEW.md`, `r_ALTER_TABLE.md`): what PostgreSQL
//! lacks is removed, what Redshift lacks is refused.

use super::edit::{Edit, apply};
use super::lexer::Token;
use super::refusals::unsupported;
use crate::redshift::wire::Report;

/// Returns the edits that CREATE TABLE needs; none for another statement.
pub(super) fn create_table(sql: &str, tokens: &[Token<'_>]) -> Result<Vec<Edit>, Report> {
    let mut at = 1;
    while tokens.get(at).is_some_and(|token| token.is_any(&["LOCAL", "GLOBAL", "TEMP", "TEMPORARY"])) {
        at += 1;
    }
    if !tokens.get(at).is_some_and(|token| token.is("TABLE")) {
        return Ok(Vec::new());
    }
    at += 1;
    if tokens.get(at).is_some_and(|token| token.is("IF")) {
        at += 3;
    }
    at = after_name(tokens, at);
    let mut edits = Vec::new();
    if tokens.get(at).is_some_and(|token| token.is_symbol('(')) {
        let close = closing(tokens, at);
        let mut kept = Vec::new();
        for element in elements(&tokens[at + 1..close]) {
            kept.extend(table_element(sql, element)?);
        }
        let end = tokens.get(close).map_or(sql.len(), |token| token.start);
        edits.push((tokens[at].range().end..end, kept.join(", ")));
        at = close + 1;
    }
    edits.extend(table_attributes(tokens, at));
    Ok(edits)
}

/// Returns the edits that ALTER TABLE needs; none for another statement.
pub(super) fn alter_table(sql: &str, tokens: &[Token<'_>]) -> Result<Vec<Edit>, Report> {
    if !tokens.get(1).is_some_and(|token| token.is("TABLE")) {
        return Ok(Vec::new());
    }
    let Some(add) = tokens.iter().position(|token| token.is("ADD")) else { return Ok(Vec::new()) };
    let begin = if tokens.get(add + 1).is_some_and(|token| token.is("COLUMN")) { add + 2 } else { add + 1 };
    let Some(first) = tokens.get(begin) else { return Ok(Vec::new()) };
    Ok(match table_element(sql, &tokens[begin..])? {
        Some(column) => vec![(first.start..sql.len(), column)],
        // A key is declared but not enforced: a clause that changes nothing replaces it.
        None => vec![(tokens[add].start..sql.len(), "RESET (fillfactor)".to_owned())],
    })
}

/// Returns the position after a name that may be qualified.
fn after_name(tokens: &[Token<'_>], mut at: usize) -> usize {
    at += 1;
    while tokens.get(at).is_some_and(|token| token.is_symbol('.')) {
        at += 2;
    }
    at
}

/// Returns the position of the parenthesis that closes the one at `open`; the end if there is none.
fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        if token.is_symbol('(') {
            depth += 1;
        } else if token.is_symbol(')') {
            depth -= 1;
            if depth == 0 {
                return at;
            }
        }
    }
    tokens.len()
}

/// Returns the elements between commas.
fn elements<'t, 's>(tokens: &'t [Token<'s>]) -> Vec<&'t [Token<'s>]> {
    let mut elements = Vec::new();
    let (mut begin, mut at) = (0, 0);
    while at < tokens.len() {
        if tokens[at].is_symbol('(') {
            at = closing(tokens, at);
        } else if tokens[at].is_symbol(',') {
            elements.push(&tokens[begin..at]);
            begin = at + 1;
        }
        at += 1;
    }
    elements.push(&tokens[begin.min(tokens.len())..]);
    elements.into_iter().filter(|element| !element.is_empty()).collect()
}

/// Returns a column or a constraint for PostgreSQL; `None` for a key, which is declared but not enforced.
fn table_element(sql: &str, tokens: &[Token<'_>]) -> Result<Option<String>, Report> {
    let second = |word: &str| tokens.get(1).is_some_and(|token| token.is(word));
    let opens = tokens.get(1).is_some_and(|token| token.is_symbol('('));
    match tokens.first() {
        None => Ok(None),
        Some(first) if first.is("CONSTRAINT") => table_element(sql, tokens.get(2..).unwrap_or_default()),
        Some(first) if first.is("CHECK") && opens => Err(unsupported("CHECK constraints are not supported")),
        Some(first) if first.is_any(&["PRIMARY", "FOREIGN"]) && second("KEY") => Ok(None),
        Some(first) if first.is("UNIQUE") && opens => Ok(None),
        Some(first) => {
            let mut edits = column_type(tokens)?;
            edits.extend(column_attributes(tokens)?);
            let end = tokens.last().map_or(first.start, |last| last.range().end);
            Ok(Some(apply(sql, first.start..end, edits)))
        }
    }
}

/// Translates a column's type (`c_unsupported-postgresql-datatypes.md`; `r_Character_types.md` for lengths).
fn column_type(tokens: &[Token<'_>]) -> Result<Vec<Edit>, Report> {
    let Some(name) = tokens.get(1) else { return Ok(Vec::new()) };
    for missing in [
        "SERIAL",
        "SERIAL2",
        "SERIAL4",
        "SERIAL8",
        "BIGSERIAL",
        "SMALLSERIAL",
        "UUID",
        "JSON",
        "JSONB",
        "BYTEA",
        "XML",
        "MONEY",
        "INET",
        "CIDR",
    ] {
        if name.is(missing) {
            return Err(unsupported(format!("column type {missing} is not supported")));
        }
    }
    if tokens.iter().skip(2).any(|token| token.is_symbol('[') || token.is("ARRAY")) {
        return Err(unsupported("array column types are not supported"));
    }
    let varying = tokens.get(2).is_some_and(|token| token.is("VARYING"));
    let open = if varying { 3 } else { 2 };
    let has_length = tokens.get(open).is_some_and(|token| token.is_symbol('('));
    let max = has_length && tokens.get(open + 1).is_some_and(|token| token.is("MAX"));
    let replacement = if name.is("TEXT") {
        "VARCHAR(256)"
    } else if name.is_any(&["VARCHAR", "NVARCHAR"]) || varying && name.is_any(&["CHARACTER", "CHAR"]) {
        if max {
            "VARCHAR(65535)"
        } else if has_length {
            "VARCHAR"
        } else {
            "VARCHAR(256)"
        }
    } else if name.is_any(&["CHAR", "CHARACTER", "NCHAR"]) && max {
        "CHAR(4096)"
    } else if name.is("BPCHAR") {
        "CHAR(256)"
    } else {
        return Ok(Vec::new());
    };
    let last = if max { tokens.get(open + 2) } else { tokens.get(open - 1) };
    Ok(vec![(name.start..last.unwrap_or(name).range().end, replacement.to_owned())])
}

fn column_attributes(tokens: &[Token<'_>]) -> Result<Vec<Edit>, Report> {
    let mut edits: Vec<Edit> = Vec::new();
    let mut at = 2;
    while at < tokens.len() {
        let token = tokens[at];
        let next = |word: &str| tokens.get(at + 1).is_some_and(|token| token.is(word));
        let mut end = at;
        let mut by = String::new();
        if token.is_symbol('(') {
            at = closing(tokens, at) + 1;
            continue;
        } else if token.is("CHECK") {
            return Err(unsupported("CHECK constraints are not supported"));
        } else if token.is_any(&["ENCODE", "CONSTRAINT"]) || token.is("PRIMARY") && next("KEY") {
            end = at + 1;
        } else if token.is("REFERENCES") {
            end = after_name(tokens, at + 1);
            end = if tokens.get(end).is_some_and(|token| token.is_symbol('(')) {
                closing(tokens, end)
            } else {
                end - 1
            };
        } else if token.is("IDENTITY") {
            let always = if tokens[at - 1].is("AS") { "" } else { "GENERATED ALWAYS AS " };
            // Without seed and step (aws/aws-sdk-pandas#1110) the column counts from 1.
            by = format!("{always}IDENTITY");
            if tokens.get(at + 1).is_some_and(|token| token.is_symbol('(')) {
                end = closing(tokens, at + 1);
                let values: Vec<String> = elements(&tokens[at + 2..end])
                    .iter()
                    .map(|element| element.iter().map(|token| token.text).collect())
                    .collect();
                let [seed, step] = values.as_slice() else {
                    return Err(unsupported("IDENTITY takes a seed and a step"));
                };
                by = format!("{by} (START WITH {seed} INCREMENT BY {step})");
            }
        } else if !token.is_any(&["DISTKEY", "SORTKEY", "UNIQUE"]) {
            at += 1;
            continue;
        }
        let last = tokens.get(end).or(tokens.last()).unwrap_or(&token);
        edits.push((token.start..last.range().end, by));
        at = end + 1;
    }
    Ok(edits)
}

/// Returns the edits that remove the table's attributes after the columns, up to AS.
fn table_attributes(tokens: &[Token<'_>], mut at: usize) -> Vec<Edit> {
    let mut edits = Vec::new();
    while let Some(token) = tokens.get(at) {
        if token.is("AS") {
            break;
        }
        let mut end = at;
        if token.is_any(&["DISTSTYLE", "BACKUP", "ENCODE"]) {
            end = at + 1;
        } else if token.is_any(&["DISTKEY", "SORTKEY"]) {
            end = if tokens.get(at + 1).is_some_and(|token| token.is_symbol('(')) {
                closing(tokens, at + 1)
            } else {
                at + 1
            };
        } else if !token.is_any(&["COMPOUND", "INTERLEAVED"]) {
            at += 1;
            continue;
        }
        if let Some(last) = tokens.get(end).or(tokens.last()) {
            edits.push((token.start..last.range().end, String::new()));
        }
        at = end + 1;
    }
    edits
}
