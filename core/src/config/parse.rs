//! Turns the texts of configurations into their types, and finds every mistake at once.

use std::collections::BTreeMap;

use super::checker::Checker;
use super::dataset::Dataset;
use super::form::DATASET;
use super::json;
use super::mistake::{Mistake, Mistakes, Place};

/// The reason why a bucket in angle brackets is wrong.
const PLACEHOLDER: &str = "is a placeholder; write the bucket's name";

/// Parses files given as name and text, and checks them against each other.
///
/// # Errors
///
/// Every mistake of every file, and every pair of files that would feed or shadow each other.
pub fn parse_all(files: &BTreeMap<String, String>) -> Result<Vec<Dataset>, Mistakes> {
    let mut datasets: Vec<(&str, &str, Dataset)> = Vec::new();
    let mut mistakes = Vec::new();
    if files.is_empty() {
        mistakes.push(Mistake::of_file("config.d", "no configuration file (*.json)"));
    }
    for (file, text) in files {
        match parse(file, text) {
            Ok(dataset) => datasets.push((file, text, dataset)),
            Err(found) => mistakes.extend(found.0),
        }
    }
    for (file, text, _) in datasets.iter().filter(|(_, _, dataset)| dataset.has_placeholder()) {
        mistakes.push(mistake_at(file, text, "bucket", PLACEHOLDER.to_owned()));
    }
    for (n, (file, text, dataset)) in datasets.iter().enumerate() {
        for (other_file, other_text, other) in datasets.iter().skip(n + 1) {
            if let Some(key) = dataset.common_key(other) {
                let reason = format!("reads the same archives as {file}, such as {key:?}");
                mistakes.push(mistake_at(other_file, other_text, "doc", reason));
            }
            for (writer, (reader_file, reader_text, reader)) in
                [(dataset, (other_file, other_text, other)), (other, (file, text, dataset))]
            {
                if writer.bucket == reader.bucket && writer.writes_into(reader) {
                    let reason = format!(
                        "{:?} would read what dataset {} writes below {:?}",
                        reader.source_prefix(),
                        writer.name,
                        writer.destination
                    );
                    mistakes.push(mistake_at(reader_file, reader_text, "source", reason));
                }
            }
        }
    }
    if mistakes.is_empty() {
        Ok(with_rivals(&datasets.into_iter().map(|(_, _, dataset)| dataset).collect::<Vec<Dataset>>()))
    } else {
        Err(Mistakes(mistakes))
    }
}

/// Returns a mistake in the value of one of a file's outermost keys.
fn mistake_at(file: &str, text: &str, key: &str, reason: String) -> Mistake {
    let text = without_mark(text);
    let document = json::parse(text).ok();
    let node = document.as_ref().and_then(|document| document.root.get(key));
    let place = node.map(|node| Place::of(text, node.place.clone()));
    Mistake { file: file.to_owned(), place, key: key.to_owned(), reason }
}

/// Returns the datasets, each with the others as possible rivals.
fn with_rivals(datasets: &[Dataset]) -> Vec<Dataset> {
    let mut met = datasets.to_vec();
    for dataset in &mut met {
        for other in datasets {
            dataset.add_rival(other);
        }
    }
    met
}

/// Parses one file.
///
/// # Errors
///
/// Every mistake in the file, in the order of their positions.
pub fn parse(file: &str, text: &str) -> Result<Dataset, Mistakes> {
    let text = without_mark(text);
    let document = match json::parse(text) {
        Ok(document) => document,
        Err(error) => return Err(Mistakes(vec![syntax_mistake(file, text, &error)])),
    };
    let mut checker = Checker::new(file, text);
    for (path, place) in document.repeated {
        checker.report_at(&path, place, "the key is given twice");
    }
    checker.shape(&document.root, &DATASET);
    let dataset = checker.dataset(&document.root);
    match dataset {
        Some(dataset) if checker.is_clean() => Ok(dataset),
        _ => Err(Mistakes(checker.into_mistakes())),
    }
}

/// Removes a byte order mark, which some editors put before a file's text.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn syntax_mistake(file: &str, text: &str, error: &serde_json::Error) -> Mistake {
    // Line and column are counted from 1, in bytes, and point after the unexpected character. If the text
    // ends too early, they point to its end.
    let before: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let at = (before + error.column().saturating_sub(1)).min(text.len());
    let said = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    Mistake {
        file: file.to_owned(),
        place: Some(Place::of(text, at..at + 1)),
        key: String::new(),
        reason: format!("not valid JSON: {}", said.strip_suffix(&place).unwrap_or(&said)),
    }
}
