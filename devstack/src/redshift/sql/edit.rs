//! Edits the text of a statement.

use std::ops::Range;

/// A range of a statement and its replacement.
pub(super) type Edit = (Range<usize>, String);

/// Returns a part of a text with the edits inside it.
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
