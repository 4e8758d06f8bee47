//! Guesses the delimiter of a dataset's files.

use super::error::GuessError;
use super::head::Head;
use crate::transform::separator;

/// The delimiters that exports use, the most common first.
const DELIMITERS: [u8; 4] = *b",\t;|";

/// Returns the delimiter of all files, guessed from their first lines.
pub(super) fn delimiter(heads: &[Head]) -> Result<u8, GuessError> {
    let of_each: Vec<(&Head, u8)> =
        heads.iter().filter_map(|head| Some((head, of_head(&head.bytes)?))).collect();
    let count = |(_, wanted): &&(&Head, u8)| of_each.iter().filter(|(_, found)| found == wanted).count();
    let Some((_, chosen)) = of_each.iter().max_by_key(count) else { return Ok(b',') };
    let with = of_each.iter().find(|(_, found)| found == chosen);
    match (with, of_each.iter().find(|(_, found)| found != chosen)) {
        (Some((first, first_delimiter)), Some((second, second_delimiter))) => Err(GuessError::Delimiters {
            first: first.name.clone(),
            first_delimiter: *first_delimiter,
            second: second.name.clone(),
            second_delimiter: *second_delimiter,
        }),
        _ => Ok(*chosen),
    }
}

/// Returns the delimiter of one file; `None` if its header has only one name.
fn of_head(bytes: &[u8]) -> Option<u8> {
    let (header, rest) = line(bytes);
    if let Some(said) = separator(header) {
        return Some(said);
    }
    let (row, _) = line(rest);
    // Names may contain other delimiters, but rarely as many as the row below.
    let likeness = |delimiter: &u8| {
        let count = outside_quotes(header, *delimiter);
        (count > 0 && count == outside_quotes(row, *delimiter), count)
    };
    let delimiter = DELIMITERS.into_iter().rev().max_by_key(likeness)?;
    (outside_quotes(header, delimiter) > 0).then_some(delimiter)
}

/// Returns the first line that is not blank, up to a line end outside quotes, and the text after it.
fn line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    let (_, bytes) = bytes.split_at(start);
    let mut is_quoted = false;
    let end = bytes.iter().position(|byte| {
        is_quoted ^= *byte == b'"';
        !is_quoted && matches!(byte, b'\r' | b'\n')
    });
    bytes.split_at(end.unwrap_or(bytes.len()))
}

fn outside_quotes(line: &[u8], delimiter: u8) -> usize {
    let mut is_quoted = false;
    line.iter()
        .filter(|byte| {
            is_quoted ^= **byte == b'"';
            !is_quoted && **byte == delimiter
        })
        .count()
}
