//! Collects the markers that were found, good and bad.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use cmslite_core::key::Key;
use cmslite_core::queue::{Listed, Object};

/// The objects that were found under the keys of markers.
#[derive(Debug, Default)]
pub(super) struct Markers {
    good: HashMap<Key, DateTime<Utc>>,
    /// The bad markers, and the `error.json` files.
    pub(super) bad: HashSet<Key>,
}

impl Markers {
    /// Adds the objects that were listed for a key.
    pub(super) fn add(&mut self, listed: &Listed) {
        let good = listed.good.iter().map(|marker: &Object| (marker.key.clone(), marker.last_modified));
        self.good.extend(good);
        self.bad.extend(listed.bad.iter().map(|marker| marker.key.clone()));
    }

    pub(super) fn is_good(&self, key: &str) -> bool {
        self.good.contains_key(key)
    }

    /// Returns the time when the good marker with this key was set.
    pub(super) fn good_since(&self, key: &str) -> Option<DateTime<Utc>> {
        self.good.get(key).copied()
    }

    pub(super) fn is_bad(&self, key: &str) -> bool {
        self.bad.contains(key)
    }
}
