//! Merges three listings in key order, page by page: the object in the source under a key, and its markers.
//!
//! "List results are always returned in UTF-8 binary order" (Amazon S3 User Guide, "Listing object keys
//! programmatically"), and the markers' prefixes are followed by the archives' keys. So all three listings
//! have the same order after their prefixes.

use std::vec;

use super::object::Object;
use crate::config::Dataset;
use crate::key::Key;

/// One of a dataset's three listings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// The objects below `source/directory/`.
    Source,
    /// The objects below `destination/good/`.
    Good,
    /// The objects below `destination/bad/`.
    Bad,
}

impl Listing {
    /// All three listings.
    pub const ALL: [Self; 3] = [Self::Source, Self::Good, Self::Bad];

    /// Returns the prefix of the listing's keys.
    pub fn prefix(self, dataset: &Dataset) -> String {
        match self {
            Self::Source => dataset.source_prefix(),
            Self::Good => dataset.good_prefix(),
            Self::Bad => dataset.bad_prefix(),
        }
    }
}

/// The objects for one key, in the source and in place of its markers: at least one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// The object in the source.
    pub source: Option<Object>,
    /// The object in place of the good marker.
    pub good: Option<Object>,
    /// The object in place of the bad marker.
    pub bad: Option<Object>,
}

/// The next step of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The merge needs the next page of this listing, or its end.
    Wanted(Listing),
    /// The next key.
    Listed(Box<Listed>),
    /// There are no more keys.
    End,
}

/// A listing that is not in key order, so that it cannot be merged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{after} was listed after {before}, which is not the order of S3's general purpose buckets")]
pub struct Disorder {
    /// A key.
    pub before: Key,
    /// The key after it, which is not greater.
    pub after: Key,
}

/// A merge of three listings that holds one page of each in memory.
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

/// Checks whether a key was listed with its own bytes. U+FFFD replaces bytes that are not UTF-8, and the
/// position of such a key in the order is unknown. No archive has such a key.
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

    /// Returns the next object.
    fn head(&self) -> Option<&Object> {
        self.page.as_slice().first()
    }

    /// Returns the next object's key after the prefix.
    fn key(&self) -> Option<&str> {
        self.head().map(|object| &object.key[self.prefix.len()..])
    }
}

impl Merge {
    /// Creates a merge of the dataset's listings.
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

    /// Takes the next page of a listing that was wanted. Keys that do not begin with the listing's prefix are
    /// left out.
    ///
    /// # Errors
    ///
    /// [`Disorder`]: archives merged until then may have lacked their markers.
    pub fn push(&mut self, listing: Listing, page: Vec<Object>) -> Result<(), Disorder> {
        self.side(listing).push(page)
    }

    /// Records that a listing has no more pages.
    pub fn end(&mut self, listing: Listing) {
        self.side(listing).has_ended = true;
    }

    /// Returns the next step.
    pub fn step(&mut self) -> Step {
        for listing in Listing::ALL {
            let side = self.side(listing);
            if side.head().is_none() && !side.has_ended {
                return Step::Wanted(listing);
            }
        }
        // A key without a position in the order is handled where it was listed.
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
