//! Reads the keys that apply to only one kind of load.

use super::checker::Checker;
use super::json::Node;

impl Checker<'_> {
    /// Reads the percentage by which a load may make a table smaller.
    pub(super) fn max_shrink_percent(&mut self, object: &Node, truncate: Option<bool>) -> Option<u8> {
        let node = object.get("max_shrink_percent")?;
        if truncate == Some(false) {
            self.report(node, "needs \"truncate\": true: without it, no load makes a table smaller");
        }
        node.as_number().and_then(|percent| u8::try_from(percent).ok())
    }

    pub(super) fn skips_repeated(&mut self, object: &Node, truncate: Option<bool>) -> bool {
        let Some(node) = object.get("repeated") else { return false };
        if truncate == Some(true) {
            self.report(node, "needs \"truncate\": false: with truncate, no rows are loaded twice");
        }
        true
    }
}
