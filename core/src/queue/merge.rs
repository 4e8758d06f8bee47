//! Merges three listings in key order page by page: what lies in the source under a key, and its markers.
//!
//! "List results are always returned in UTF-8 binary order" (Amazon S3 User Guide, "Listing object keys
//! programmatically"), and the markers' prefixes are followed by the archives' keys: below their prefixes all three
//! listings have one order.

use std::vec;

use super::object::Object;
use crate::config::Dataset;
use crate::key::Key;

/// One of a dataset's three listings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// Below `source/directory/`.
    Source,
    /// Below `destination/good/`.
    Good,
    /// Below `destination/bad/`.
    Bad,
}

impl Listing {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Source, Self::Good, Self::Bad];

    /// What its keys begin with.
    pub fn prefix(self, dataset: &Dataset) -> String {
        match self {
            Self::Source => dataset.source_prefix(),
            Self::Good => dataset.good_prefix(),
            Self::Bad => dataset.bad_prefix(),
        }
    }
}

/// What lies under one key and at the places of its markers: one object at the least.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// In the source.
    pub source: Option<Object>,
    /// At the place of its good marker.
    pub good: Option<Object>,
    /// At the place of its bad marker.
    pub bad: Option<Object>,
}

/// How a merge goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It needs the next page of this listing, or its end.
    Wanted(Listing),
    /// The next key.
    Listed(Box<Listed>),
    /// There are no more keys.
    End,
}

/// A listing that is not in the order of its keys, so that it cannot be merged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{after} was listed after {before}, which is not the order of S3's general purpose buckets")]
pub struct Disorder {
    /// A key.
    pub before: Key,
    /// The key behind it, which is not greater.
    pub after: Key,
}

/// Three listings, of which a page each is in memory.
#[derive(Debug)]
pub struct Merge {
    sides: [Side; 3],
}

/// One listing, as far as it has been read.
#[derive(Debug)]
struct Side {
    prefix: String,
    page: vec::IntoIter<Object>,
    /// The last key of the page.
    last: Option<Key>,
    has_ended: bool,
}

/// Whether a key was listed by its own bytes: where these were no UTF-8, U+FFFD stands in it, and its place in the
/// order tells nothing. No archive has such a key.
fn is_exact(key: &str) -> bool {
    !key.contains(char::REPLACEMENT_CHARACTER)
}

impl Side {
    fn new(prefix: String) -> Self {
        Self { prefix, page: Vec::new().into_iter(), last: None, has_ended: false }
    }

    fn push(&mut self, mut page: Vec<Object>) -> Result<(), Disorder> {
        page.retain(|object| object.key.starts_with(&self.prefix));
        let mut last = self.last.as_ref();
        for Object { key, .. } in page.iter().filter(|object| is_exact(&object.key)) {
            if let Some(before) = last.filter(|before| *before >= key) {
                return Err(Disorder { before: before.clone(), after: key.clone() });
            }
            last = Some(key);
        }
        self.last = last.cloned();
        self.page = page.into_iter();
        Ok(())
    }

    /// The next object.
    fn head(&self) -> Option<&Object> {
        self.page.as_slice().first()
    }

    /// The next object's key below the prefix.
    fn key(&self) -> Option<&str> {
        self.head().map(|object| &object.key[self.prefix.len()..])
    }
}

impl Merge {
    /// A merge of the dataset's listings, of which nothing was read.
    pub fn of(dataset: &Dataset) -> Self {
        Self { sides: Listing::ALL.map(|listing| Side::new(listing.prefix(dataset))) }
    }

    fn side(&mut self, listing: Listing) -> &mut Side {
        let [source, good, bad] = &mut self.sides;
        match listing {
            Listing::Source => source,
            Listing::Good => good,
            Listing::Bad => bad,
        }
    }

    /// Takes the next page of a listing, which was wanted. What does not begin with the listing's prefix is left out.
    ///
    /// # Errors
    ///
    /// [`Disorder`]: what was merged until then may have lacked its markers.
    pub fn push(&mut self, listing: Listing, page: Vec<Object>) -> Result<(), Disorder> {
        self.side(listing).push(page)
    }

    /// Takes note that a listing has no more pages.
    pub fn end(&mut self, listing: Listing) {
        self.side(listing).has_ended = true;
    }

    /// How it goes on.
    pub fn step(&mut self) -> Step {
        for listing in Listing::ALL {
            let side = self.side(listing);
            if side.head().is_none() && !side.has_ended {
                return Step::Wanted(listing);
            }
        }
        // What has no place in the order stands where it was listed.
        let alone =
            self.sides.iter().position(|side| side.head().is_some_and(|object| !is_exact(&object.key)));
        let is_next = if let Some(alone) = alone {
            std::array::from_fn(|side| side == alone)
        } else {
            let Some(least) = self.sides.iter().filter_map(Side::key).min() else { return Step::End };
            self.sides.each_ref().map(|side| side.key() == Some(least))
        };
        let [source, good, bad] = &mut self.sides;
        let [takes_source, takes_good, takes_bad] = is_next;
        let take = |side: &mut Side, takes: bool| takes.then(|| side.page.next()).flatten();
        Step::Listed(Box::new(Listed {
            source: take(source, takes_source),
            good: take(good, takes_good),
            bad: take(bad, takes_bad),
        }))
    }
}
