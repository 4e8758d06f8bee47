//! The newest bad archives of merged listings, as many as somebody shows.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::merge::Listed;
use super::object::settles;
use crate::config::Dataset;
use crate::key::Key;

/// Of the archives that bear a bad marker those that were uploaded last, however many there are.
///
/// Markers are taken at their word by time and size: one whose `ETag` differs is asked by nobody here. So a plan, which has
/// them asked, may say otherwise of an archive that it holds.
#[derive(Debug)]
pub struct NewestBad {
    most: usize,
    found: BTreeSet<(DateTime<Utc>, Key)>,
}

impl NewestBad {
    /// None yet, and `most` at the most.
    pub fn new(most: usize) -> Self {
        Self { most, found: BTreeSet::new() }
    }

    /// Takes in the next key.
    pub fn add(&mut self, dataset: &Dataset, listed: &Listed) {
        let Listed { source: Some(archive), bad: Some(marker), .. } = listed else { return };
        if dataset.matches(&archive.key) && settles(marker, None, archive) {
            self.found.insert((archive.last_modified, archive.key.clone()));
            if self.found.len() > self.most {
                self.found.pop_first();
            }
        }
    }

    /// Their keys and when they were uploaded, the oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Key, DateTime<Utc>)> {
        self.found.iter().map(|(uploaded, key)| (key, *uploaded))
    }
}
