//! Shows the bad archives, the reasons, and what to do.

use chrono::DateTime;
use cmslite_core::problem::{ReportedErrorFile, ReportedProblem};
use cmslite_core::text::start_of;
use maud::{Markup, html};

use super::left_out;
use crate::page::overview::{BadArchive, Overview};
use crate::page::words::{number, time};

/// The maximum number of bytes of a text from an `error.json` that the page shows: as many as a reason of the
/// program has.
const TEXT_BYTES: usize = 1_000;

/// The remedy for a reason that does not contain one.
const REMEDY: &str = "Correct it, and upload the archive again.";

impl Overview {
    pub(super) fn bad_archives(&self) -> Markup {
        html! {
            @if self.counts.bad > 0 {
                section aria-labelledby="bad" {
                    h2 id="bad" { "Bad archives" }
                    p.note { "A bad archive is refused as a whole: nothing of it is loaded." }
                    @for bad in &self.bad { (archive(bad)) }
                    (left_out(self.bad.len(), self.counts.bad, "the newest first"))
                }
            }
        }
    }
}

fn archive(bad: &BadArchive) -> Markup {
    html! {
        article {
            h3 { code { bdi { (bad.key) } } }
            p {
                "Uploaded at " (time(bad.uploaded))
                @if let Some(error) = &bad.error { ", found bad at " (time_or_text(&error.at)) }
                "."
                @if !bad.is_missing { " A newer archive has been loaded since then: there is nothing to do." }
            }
            @match &bad.error {
                Some(error) => (problems(error)),
                None => p {
                    "There is no " code { "error.json" } " that can be read: another program may have marked the archive as bad. "
                    code { "load CONFIG --again KEY" } " finds the reason."
                },
            }
        }
    }
}

/// Shows the time in an `error.json`, which may be any text.
fn time_or_text(at: &str) -> Markup {
    let parsed = DateTime::parse_from_rfc3339(at);
    parsed.map_or_else(|_| html! { (start_of(at, TEXT_BYTES)) }, |at| time(at.to_utc()))
}

fn problems(error: &ReportedErrorFile) -> Markup {
    let found = usize::try_from(error.problems_found).unwrap_or(usize::MAX);
    html! {
        table.problems role="table" {
            caption { "What is wrong: " (number(error.problems_found)) @if found == 1 { " problem" } @else { " problems" } }
            thead role="rowgroup" {
                tr role="row" {
                    @for name in ["File", "Line", "Column", "Text", "What is wrong", "What to do"] {
                        th scope="col" role="columnheader" { (name) }
                    }
                }
            }
            tbody role="rowgroup" {
                @for problem in &error.problems { (row(problem)) }
            }
        }
        (left_out(error.problems.len(), found, "the first ones"))
        @if let Some(why) = &error.incomplete { p.note { "There may be more: " (start_of(why, TEXT_BYTES)) } }
    }
}

fn row(problem: &ReportedProblem) -> Markup {
    let (wrong, remedy) = parts(&problem.reason);
    html! {
        tr role="row" {
            th scope="row" role="rowheader" {
                @match &problem.member {
                    Some(member) => code { bdi { (start_of(member, TEXT_BYTES)) } },
                    None => "the archive",
                }
            }
            (cell("Line", problem.line.map(|line| html! { (line) })))
            (cell("Column", problem.column.as_ref().map(|column| html! { code { bdi { (start_of(column, TEXT_BYTES)) } } })))
            (cell("Text", text(problem)))
            (cell("What is wrong", Some(html! { (start_of(wrong, TEXT_BYTES)) })))
            (cell("What to do", Some(html! { (start_of(remedy.unwrap_or(REMEDY), TEXT_BYTES)) })))
        }
    }
}

/// Returns a cell. The style sheet hides an empty one where it puts the cells of a row below each other.
fn cell(label: &str, content: Option<Markup>) -> Markup {
    html! {
        @if let Some(content) = content { td role="cell" data-label=(label) { (content) } } @else { td.empty role="cell" {} }
    }
}

/// Returns the text of a problem, or its position and length if the configuration withholds the text.
fn text(problem: &ReportedProblem) -> Option<Markup> {
    let place = match (problem.text_bytes, problem.at_byte) {
        (None, None) => None,
        (Some(bytes), None) => Some(format!("{bytes} bytes")),
        (None, Some(at)) => Some(format!("byte {at} of the row")),
        (Some(bytes), Some(at)) => Some(format!("{bytes} bytes, from byte {at} of the row on")),
    };
    match (&problem.text, place) {
        (Some(text), _) => Some(html! { code { bdi { (start_of(text, TEXT_BYTES)) } } }),
        (None, Some(place)) => Some(html! { "not shown: " (place) }),
        (None, None) => None,
    }
}

/// Splits a reason into the problem and the remedy: the program's reasons have them before and after their
/// first semicolon.
fn parts(reason: &str) -> (&str, Option<&str>) {
    match reason.split_once("; ") {
        Some((wrong, remedy)) => (wrong, Some(remedy)),
        None => (reason, None),
    }
}

#[cfg(test)]
mod tests {
    use cmslite_core::problem::Reason;

    use super::*;

    #[test]
    fn a_reason_and_its_remedy_are_separate() {
        for (reason, wrong, remedy) in [
            (
                Reason::TooFewColumns { expected: 4, found: 2 },
                "the row has 2 of 4 columns",
                Some("look for a missing delimiter, or a line end in an unquoted cell"),
            ),
            (Reason::NulByte, "a NUL byte, which Redshift cannot store", Some("remove it")),
            (
                Reason::MissingMember,
                "the file is missing from the archive",
                Some("add it, with its header line even if it has no rows"),
            ),
        ] {
            assert_eq!(parts(&reason.to_string()), (wrong, remedy));
        }
    }
}
