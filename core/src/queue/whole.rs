//! Makes the plan from three whole listings in memory. Tests compare the merged plan with it.

use std::collections::HashMap;

use super::object::{AmbiguousMarker, MarkerRevisions, Object, may_settle, settles};
use super::plan::{Archive, ArchiveState, Forgotten, Plan};
use crate::config::Dataset;

/// The listings of a dataset's three prefixes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listings {
    /// The objects below `source/directory/`.
    pub(super) source: Vec<Object>,
    /// The objects below `destination/good/`.
    pub(super) good: Vec<Object>,
    /// The objects below `destination/bad/`.
    pub(super) bad: Vec<Object>,
}

/// The markers of a prefix, by key.
struct Markers<'a>(HashMap<&'a str, &'a Object>);

impl<'a> Markers<'a> {
    fn new(objects: &'a [Object]) -> Self {
        Self(objects.iter().map(|object| (object.key.as_str(), object)).collect())
    }

    /// Returns the marker under `key`, if it can be one of this revision.
    ///
    /// The time alone does not decide: S3 gives whole seconds, and for a multipart upload the time when it
    /// began. So a revision may be completed after the marker of the previous one and yet look older.
    fn of(&self, archive: &Object, key: &str) -> Option<&'a Object> {
        self.0.get(key).copied().filter(|marker| may_settle(marker, archive))
    }

    fn settles(&self, archive: &Object, key: &str, revisions: &MarkerRevisions) -> bool {
        self.of(archive, key)
            .is_some_and(|marker| settles(marker, revisions.get(&marker.key).map(String::as_str), archive))
    }
}

/// Returns the markers whose `ETag`s do not say which revision they settle.
pub(super) fn ambiguous_markers(dataset: &Dataset, listings: &Listings) -> Vec<AmbiguousMarker> {
    let markers = [
        (Markers::new(&listings.good), dataset.good_prefix()),
        (Markers::new(&listings.bad), dataset.bad_prefix()),
    ];
    let archives = listings.source.iter().filter(|object| dataset.matches(&object.key));
    let ambiguous_markers = archives.flat_map(|archive| {
        let keys = [dataset.good_key(&archive.key), dataset.bad_key(&archive.key)];
        let markers = markers.iter().zip(keys).filter_map(|((markers, _), key)| markers.of(archive, &key));
        let other: Vec<AmbiguousMarker> = markers
            .filter(|marker| marker.etag != archive.etag)
            .map(|marker| AmbiguousMarker {
                archive: archive.key.clone(),
                last_modified: archive.last_modified,
                marker: marker.key.clone(),
            })
            .collect();
        other
    });
    ambiguous_markers.collect()
}

/// Makes the plan of `dataset` from its listings.
///
/// An archive is settled if it has a marker of this revision whose `LastModified` is not before its own: a
/// re-upload is a new revision. With `truncate`, only the newest archive that is not settled as bad may be
/// loaded.
pub(super) fn plan(dataset: &Dataset, listings: &Listings, revisions: &MarkerRevisions) -> Plan {
    let (good, bad) = (Markers::new(&listings.good), Markers::new(&listings.bad));
    let (mut archives, mut passed_over) = (Vec::new(), Vec::new());
    for object in &listings.source {
        if dataset.matches(&object.key) {
            archives.push(object.clone());
        } else if let Some(why) = dataset.passed_over(&object.key) {
            passed_over.push((object.key.clone(), why));
        }
    }
    archives.sort_by(|a, b| a.load_order().cmp(&b.load_order()));
    let state = |archive: &Object| {
        if bad.settles(archive, &dataset.bad_key(&archive.key), revisions) {
            ArchiveState::Bad
        } else if good.settles(archive, &dataset.good_key(&archive.key), revisions) {
            ArchiveState::Good
        } else {
            ArchiveState::Queued
        }
    };
    let archives = archives.into_iter().map(|object| Archive { state: state(&object), object }).collect();
    let mut plan =
        Plan { archives, passed_over, truncate: dataset.truncate, forgotten: Forgotten::default() };
    plan.supersede();
    plan
}
