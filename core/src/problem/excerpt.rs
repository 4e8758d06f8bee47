//! Cuts a part of a record around a position.

use std::ops::Range;

use crate::text::{printable_end, printable_start};

/// The number of characters of a record that are shown on either side of the position.
const AROUND_CHARS: usize = 40;

/// The maximum number of characters shown at the position itself.
const PLACE_CHARS: usize = 60;

/// The text before, at and after a position in a record, cut and made printable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The text before the position.
    pub before: String,
    /// The text at the position; empty if something is missing there.
    pub at: String,
    /// The text after the position.
    pub after: String,
}

impl Excerpt {
    /// Returns the part of `record` around a range of its bytes.
    pub(crate) fn of(record: &[u8], place: Range<usize>) -> Self {
        let end = place.end.min(record.len());
        let start = place.start.min(end);
        let part = |range: Range<usize>| record.get(range).unwrap_or_default();
        Self {
            before: printable_end(part(0..start), AROUND_CHARS),
            at: printable_start(part(start..end), PLACE_CHARS),
            after: printable_start(part(end..record.len()), AROUND_CHARS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_shown_with_what_is_around_it() {
        let long = "é".repeat(100);
        for (record, place, before, at, after) in [
            ("1,no,x", 2..4, "1,", "no", ",x"),
            ("1,no,x", 6..6, "1,no,x", "", ""),
            ("1,no,x", 9..12, "1,no,x", "", ""),
            ("a\nb,c", 4..5, "a\\nb,", "c", ""),
            (
                &*format!("{long},no,{long}"),
                201..203,
                &*format!("…{},", "é".repeat(39)),
                "no",
                &*format!(",{}…", "é".repeat(39)),
            ),
        ] {
            let excerpt = Excerpt::of(record.as_bytes(), place.clone());
            assert_eq!(
                (&*excerpt.before, &*excerpt.at, &*excerpt.after),
                (before, at, after),
                "{record:?} {place:?}"
            );
        }
    }
}
