//! Edits the text of a statement.

use std::ops::Range;

/// A piece of a statement and what takes its place.
pub(super) type Edit = (Range<usize>, String);

/// A part of a text, edited; edits outside it are left out.
pub(super) fn apply(text: &str, part: Range<usize>, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|(range, _)| range.start);
    let mut edited = String::new();
    let mut at = part.start;
    for (range, by) in edits {
        if range.start >= at && range.end <= part.end {
            edited.push_str(&text[at..range.start]);
            edited.push_str(&by);
            at = range.end;
        }
    }
    edited.push_str(&text[at..part.end]);
    edited
}
