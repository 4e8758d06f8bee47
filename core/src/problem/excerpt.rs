//! A part of a record, with a place in it.

use std::ops::Range;

use crate::text::{printable_end, printable_start};

/// How many characters of a record are shown on either side of the place.
const AROUND_CHARS: usize = 40;

/// How many characters of the place itself are shown.
const PLACE_CHARS: usize = 60;

/// What stands before a place in a record, at it, and behind it; all of it cut and made printable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// Before the place.
    pub before: String,
    /// At the place; empty where something is missing there.
    pub at: String,
    /// Behind the place.
    pub after: String,
}

impl Excerpt {
    /// The part of `record` around a place in its bytes.
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
