//! The key that says how staged files are written.

use super::checker::{Checker, Object};
use super::dataset::Staging;

impl Checker<'_> {
    pub(super) fn staging(&mut self, object: &Object) -> Option<Staging> {
        const KEY: &str = "staging";
        match object.get(KEY)?.as_str() {
            Some("plain") => Some(Staging::Plain),
            Some("zstd") => Some(Staging::Zstd),
            _ => {
                self.report(
                    KEY,
                    "expected \"plain\" or \"zstd\"; leave the key out to have large files compressed",
                );
                None
            }
        }
    }
}
