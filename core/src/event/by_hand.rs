//! Reads the event that a person writes: `{"dataset": NAME, "key": KEY, "again": true}`.
//!
//! `accept_shrink` may take the place of `again`. The key may be absent if neither is true.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;

use super::asked::{Asked, DatasetAsked};
use super::refusal::unknown;
use crate::error::Error;
use crate::key::Key;
use crate::queue::Selection;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ByHand {
    dataset: String,
    key: Option<Key>,
    #[serde(default)]
    again: bool,
    #[serde(default)]
    accept_shrink: bool,
}

/// Reads an event that a person wrote.
pub(super) fn read(event: &Value) -> Result<Asked, Error> {
    let ByHand { dataset, key, again, accept_shrink } =
        ByHand::deserialize(event).map_err(|error| unknown(&error.to_string(), event))?;
    let selection = match (key, again, accept_shrink) {
        (None, false, false) => Selection::WholeQueue,
        (Some(key), false, false) => Selection::UpTo(HashSet::from([key])),
        (Some(key), true, false) => Selection::Reload(key),
        (Some(key), false, true) => Selection::AcceptShrink(key),
        (_, true, true) => {
            return Err(unknown("only one of \"again\" and \"accept_shrink\" may be true", event));
        }
        (None, true, false) => return Err(unknown("\"again\" needs a \"key\"", event)),
        (None, false, true) => return Err(unknown("\"accept_shrink\" needs a \"key\"", event)),
    };
    Ok(Asked { by_name: vec![DatasetAsked { name: dataset, selection }], ..Asked::default() })
}
