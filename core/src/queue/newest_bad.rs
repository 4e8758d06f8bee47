//! Collects the newest bad archives of merged listings, up to the number that is shown.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::merge::Listed;
use super::object::settles;
use crate::config::Dataset;
use crate::key::Key;

/// The archives with a bad marker that were uploaded last.
///
/// Time and size of a marker decide: a marker with another `ETag` is not asked here. So a plan, which asks
/// such markers, may disagree about an archive.
#[derive(Debug)]
pub struct NewestBad {
    most: usize,
    found: BTreeSet<(DateTime<Utc>, Key)>,
}

impl NewestBad {
    /// Creates an empty collection of at most `most` archives.
    pub fn new(most: usize) -> Self {
        Self { most, found: BTreeSet::new() }
    }

    /// Adds the objects of the next key.
    pub fn add(&mut self, dataset: &Dataset, listed: &Listed) {
        let Listed { source: Some(archive), bad: Some(marker), .. } = listed else { return };
        if dataset.matches(&archive.key) && settles(marker, None, archive) {
            self.found.insert((archive.last_modified, archive.key.clone()));
            if self.found.len() > self.most {
                self.found.pop_first();
            }
        }
    }

    /// Returns the archives' keys and upload times, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Key, DateTime<Utc>)> {
        self.found.iter().map(|(uploaded, key)| (key, *uploaded))
    }
}
