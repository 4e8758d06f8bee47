//! The keys that say how few rows are too few.

use super::checker::{Checker, Object};

impl Checker<'_> {
    /// The fewest rows that a file may have, 0 where nothing is said.
    pub(super) fn min_rows(&mut self, object: &Object, path: &str) -> u64 {
        let Some(value) = object.get("min_rows") else { return 0 };
        let min_rows = value.as_u64().filter(|rows| *rows > 0);
        if min_rows.is_none() {
            self.report(format!("{path}.min_rows"), "expected a whole number of rows above 0");
        }
        min_rows.unwrap_or_default()
    }

    pub(super) fn max_shrink_percent(&mut self, object: &Object, truncate: Option<bool>) -> Option<u8> {
        const KEY: &str = "max_shrink_percent";
        let value = object.get(KEY)?;
        if truncate == Some(false) {
            self.report(KEY, "needs \"truncate\": true: while appending, no load makes a table smaller");
        }
        let percent = value.as_u64().and_then(|percent| u8::try_from(percent).ok());
        let percent = percent.filter(|percent| *percent <= 100);
        if percent.is_none() {
            self.report(KEY, "expected a whole number from 0 to 100, in percent");
        }
        percent
    }

    pub(super) fn skips_repeated(&mut self, object: &Object, truncate: Option<bool>) -> bool {
        const KEY: &str = "repeated";
        let Some(value) = object.get(KEY) else { return false };
        if truncate == Some(true) {
            self.report(KEY, "needs \"truncate\": false: with truncate, no rows are there twice");
        }
        if value.as_str() != Some("skip") {
            self.report(
                KEY,
                "expected \"skip\"; leave the key out to have bytes that were loaded under another key loaded with a warning",
            );
        }
        true
    }
}
