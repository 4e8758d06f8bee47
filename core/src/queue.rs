//! Which archives are unsettled, in which order, and which will never be loaded: a function of three
//! listings.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use crate::config::{Dataset, PassedOver};
use crate::key::Key;

/// The largest object that one request copies: "up to 5 GB" (Amazon S3 API Reference, `CopyObject`). The bad marker of
/// a larger archive is an object without a body, whose metadata says what it stands for.
pub const LARGEST_COPY_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// An object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The key.
    pub key: Key,
    /// The `ETag` as S3 gives it, quotes included.
    pub etag: String,
    /// Whole seconds; for a multipart upload the time at which it began.
    pub last_modified: DateTime<Utc>,
    /// Bytes.
    pub size: u64,
}

impl Object {
    /// The order in which archives are loaded: oldest first, ties by key.
    fn load_order(&self) -> (DateTime<Utc>, &str) {
        (self.last_modified, &self.key)
    }

    /// The `ETag` without quotes, as markers and the ledger keep it.
    pub fn revision(&self) -> &str {
        self.etag.trim_matches('"')
    }
}

/// Which archives of the queue a run works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All of it.
    WholeQueue,
    /// Everything up to and including the last of these keys.
    UpTo(HashSet<Key>),
    /// This archive alone, even if it is loaded already.
    Reload(Key),
    /// This archive alone, unless it is loaded already, and however few rows it has.
    AcceptShrink(Key),
}

impl Selection {
    /// Whether somebody asks for one archive by hand, whatever is known of it.
    pub fn is_by_hand(&self) -> bool {
        matches!(self, Self::Reload(_) | Self::AcceptShrink(_))
    }

    /// Whether a run of this kind is for this archive above all.
    pub fn names(&self, key: &str) -> bool {
        match self {
            Self::WholeQueue => false,
            Self::UpTo(keys) => keys.contains(key),
            Self::Reload(alone) | Self::AcceptShrink(alone) => *alone == *key,
        }
    }
}

/// What the markers and the newer archives say of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveState {
    /// Settled as good.
    Good,
    /// Settled as bad.
    Bad,
    /// Unsettled, and under truncate older than the newest that is not bad: not loaded, unless that is found bad.
    Superseded,
    /// Unsettled, to be loaded.
    Queued,
}

/// An archive and its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The archive's revision.
    pub object: Object,
    /// Its state.
    pub state: ArchiveState,
}

/// The listings of a dataset's three prefixes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listings {
    /// Below `source/directory/`.
    pub source: Vec<Object>,
    /// Below `destination/good/`.
    pub good: Vec<Object>,
    /// Below `destination/bad/`.
    pub bad: Vec<Object>,
}

/// A marker that by time and size may be an archive's, while its `ETag` differs: the marker itself must be
/// asked which revision it is the copy of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmbiguousMarker {
    /// The archive's key.
    pub archive: Key,
    /// When the archive was modified.
    pub last_modified: DateTime<Utc>,
    /// The marker's key.
    pub marker: Key,
}

/// Which revision a marker is the copy of, by the marker's key: what it says of itself, where it was asked.
pub type MarkerRevisions = HashMap<Key, String>;

/// What a dataset's listings say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Every archive found, oldest first.
    pub archives: Vec<Archive>,
    /// The keys of objects that `doc` matches and that are no archives, and why, in the listing's order.
    pub passed_over: Vec<(Key, PassedOver)>,
    /// Whether only the newest that is not bad may be loaded.
    pub truncate: bool,
}

/// Why an archive cannot be loaded alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReloadRefused {
    /// It is not there.
    #[error("there is no archive {0} in the dataset")]
    NoSuchArchive(Key),
    /// It is no archive, by its name.
    #[error(
        "{0} is no archive but {1}, by its name: such objects are passed over; name the archive beside it, or rename it"
    )]
    PassedOver(Key, PassedOver),
    /// Archives before it would be loaded after it.
    #[error("{0} waits before it in the queue: load the queue first")]
    OthersWait(Key),
    /// Older data would replace newer.
    #[error(
        "{0} is newer, and only the newest archive that is not bad may be loaded; to replace it with the older one, upload that again"
    )]
    NotNewest(Key),
}

/// The markers of a prefix by key.
struct Markers<'a>(HashMap<&'a str, &'a Object>);

impl<'a> Markers<'a> {
    fn new(objects: &'a [Object]) -> Self {
        Self(objects.iter().map(|object| (object.key.as_str(), object)).collect())
    }

    /// The marker under `key`, if it can be one of this revision.
    ///
    /// Its time alone does not tell: S3 gives whole seconds, and for a multipart upload the time at which the
    /// upload began, so that a revision may be completed after the marker of the one before it and yet look
    /// older.
    fn of(&self, archive: &Object, key: &str) -> Option<&'a Object> {
        self.0.get(key).copied().filter(|marker| may_settle(marker, archive))
    }

    fn settles(&self, archive: &Object, key: &str, revisions: &MarkerRevisions) -> bool {
        self.of(archive, key)
            .is_some_and(|marker| settles(marker, revisions.get(&marker.key).map(String::as_str), archive))
    }
}

/// Whether a marker can be one of this revision, by its time and size.
fn may_settle(marker: &Object, archive: &Object) -> bool {
    let is_note = marker.size == 0 && archive.size > LARGEST_COPY_BYTES;
    marker.last_modified >= archive.last_modified && (marker.size == archive.size || is_note)
}

/// Whether a marker settles this revision; `copied` is the revision that it says it is a copy of.
///
/// A copy's `ETag` is its source's only where both were made in one piece and without KMS; else the marker itself
/// says what it is the copy of, and one that says nothing was made by the script.
pub fn settles(marker: &Object, copied: Option<&str>, archive: &Object) -> bool {
    may_settle(marker, archive)
        && (marker.revision() == archive.revision()
            || copied.is_none_or(|revision| revision == archive.revision()))
}

/// The markers whose `ETag`s leave open which revision they settle.
pub fn ambiguous_markers(dataset: &Dataset, listings: &Listings) -> Vec<AmbiguousMarker> {
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
/// An archive is settled if it has a marker of this revision whose `LastModified` is at or after its own: a
/// re-upload is a new revision. Under truncate only the newest archive that is not settled as bad may be loaded.
pub fn plan(dataset: &Dataset, listings: &Listings, revisions: &MarkerRevisions) -> Plan {
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
    let mut plan = Plan { archives, passed_over, truncate: dataset.truncate };
    plan.supersede();
    plan
}

impl Plan {
    /// Tells, under truncate, the unsettled archive that may be loaded from those that a newer one supersedes.
    fn supersede(&mut self) {
        if !self.truncate {
            return;
        }
        let mut is_newest = true;
        for archive in self.archives.iter_mut().rev() {
            match archive.state {
                // It never was what the tables should hold: what it would have replaced is not lost for it.
                ArchiveState::Bad => {}
                ArchiveState::Good => is_newest = false,
                ArchiveState::Superseded | ArchiveState::Queued => {
                    archive.state = if is_newest { ArchiveState::Queued } else { ArchiveState::Superseded };
                    is_newest = false;
                }
            }
        }
    }

    /// Takes into account that an archive was settled as bad since the plan was made.
    pub fn settle_as_bad(&mut self, key: &str) {
        if let Some(archive) = self.archives.iter_mut().find(|archive| *archive.object.key == *key) {
            archive.state = ArchiveState::Bad;
        }
        self.supersede();
    }

    /// The archives in a state, oldest first.
    pub fn in_state(&self, state: ArchiveState) -> impl Iterator<Item = &Object> {
        self.archives.iter().filter(move |archive| archive.state == state).map(|archive| &archive.object)
    }

    /// The archives that a run works on, in this order.
    ///
    /// Keys of an event that are settled or gone ask for nothing beyond the archives before them.
    ///
    /// # Errors
    ///
    /// [`ReloadRefused`], for [`Selection::Reload`] and [`Selection::AcceptShrink`] only.
    pub fn queue(&self, selection: &Selection) -> Result<Vec<Object>, ReloadRefused> {
        match selection {
            Selection::WholeQueue => Ok(self.in_state(ArchiveState::Queued).cloned().collect()),
            Selection::UpTo(keys) => {
                let last = self
                    .archives
                    .iter()
                    .rposition(|archive| keys.contains(&archive.object.key))
                    .map_or(0, |last| last + 1);
                let wanted =
                    self.archives.iter().take(last).filter(|archive| archive.state == ArchiveState::Queued);
                Ok(wanted.map(|archive| archive.object.clone()).collect())
            }
            Selection::Reload(key) | Selection::AcceptShrink(key) => {
                self.reload(key).map(|archive| vec![archive])
            }
        }
    }

    fn no_such_archive(&self, key: &str) -> ReloadRefused {
        match self.passed_over.iter().find(|(passed_over, _)| **passed_over == *key) {
            Some((key, why)) => ReloadRefused::PassedOver(key.clone(), *why),
            None => ReloadRefused::NoSuchArchive(key.into()),
        }
    }

    fn reload(&self, key: &str) -> Result<Object, ReloadRefused> {
        let at = self
            .archives
            .iter()
            .position(|archive| *archive.object.key == *key)
            .ok_or_else(|| self.no_such_archive(key))?;
        let behind = self.archives.get(at + 1..).unwrap_or_default();
        let archive = &self.archives[at].object;
        if self.truncate {
            return match behind.iter().rev().find(|archive| archive.state != ArchiveState::Bad) {
                Some(newest) => Err(ReloadRefused::NotNewest(newest.object.key.clone())),
                // Older ones that wait are superseded by it, or are loaded if it is bad.
                None => Ok(archive.clone()),
            };
        }
        match self.archives.iter().take(at).find(|archive| archive.state == ArchiveState::Queued) {
            Some(waiting) => Err(ReloadRefused::OthersWait(waiting.object.key.clone())),
            None => Ok(archive.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(truncate: bool) -> Dataset {
        let text = include_str!("../../config.d/cmslite_user_group_metadata.json")
            .replace("true", if truncate { "true" } else { "false" });
        crate::config::parse("d.json", &text).unwrap()
    }

    fn object(key: &str, seconds: i64) -> Object {
        Object {
            key: key.into(),
            etag: format!("\"{seconds}\""),
            last_modified: DateTime::from_timestamp(seconds, 0).unwrap(),
            size: 1,
        }
    }

    fn archive(name: &str, seconds: i64) -> Object {
        object(&format!("client/cmslite_gdx/cms-analytics-csv_{name}.tgz"), seconds)
    }

    fn good(name: &str, seconds: i64) -> Object {
        object(&format!("processed/good/client/cmslite_gdx/cms-analytics-csv_{name}.tgz"), seconds)
    }

    fn bad(name: &str, seconds: i64) -> Object {
        object(&format!("processed/bad/client/cmslite_gdx/cms-analytics-csv_{name}.tgz"), seconds)
    }

    fn listings(source: &[Object], good: &[Object], bad: &[Object]) -> Listings {
        Listings { source: source.to_vec(), good: good.to_vec(), bad: bad.to_vec() }
    }

    fn planned(truncate: bool, source: &[Object], good: &[Object], bad: &[Object]) -> Plan {
        plan(&dataset(truncate), &listings(source, good, bad), &MarkerRevisions::new())
    }

    fn name(key: &str) -> String {
        key.trim_start_matches("client/cmslite_gdx/cms-analytics-csv_").trim_end_matches(".tgz").to_owned()
    }

    fn names(plan: &Plan, state: ArchiveState) -> Vec<String> {
        plan.in_state(state).map(|object| name(&object.key)).collect()
    }

    fn queue(plan: &Plan, selection: &Selection) -> Vec<String> {
        plan.queue(selection).unwrap().iter().map(|object| name(&object.key)).collect()
    }

    #[test]
    fn the_oldest_comes_first_and_ties_go_by_key() {
        let plan = planned(
            false,
            &[archive("b", 5), archive("a", 5), archive("z", 1), object("client/cmslite_gdx/readme", 0)],
            &[],
            &[],
        );
        assert_eq!(queue(&plan, &Selection::WholeQueue), ["z", "a", "b"]);
        assert_eq!(plan.archives.len(), 3);
    }

    #[test]
    fn a_marker_settles_only_what_is_not_newer() {
        let plan = planned(
            false,
            &[archive("a", 5), archive("b", 5), archive("c", 5)],
            &[good("a", 5)],
            &[bad("b", 9), bad("c", 4)],
        );
        assert_eq!(queue(&plan, &Selection::WholeQueue), ["c"]);
        assert_eq!(
            (names(&plan, ArchiveState::Good), names(&plan, ArchiveState::Bad)),
            (vec!["a".to_owned()], vec!["b".to_owned()])
        );
    }

    #[test]
    fn a_marker_of_another_size_is_of_another_revision() {
        let marker = Object { size: 2, ..good("a", 9) };
        assert_eq!(queue(&planned(false, &[archive("a", 5)], &[marker], &[]), &Selection::WholeQueue), ["a"]);
    }

    #[test]
    fn one_marker_settles_as_in_the_listings() {
        let revision = archive("a", 5);
        let marker = |etag: &str, seconds, size| Object { etag: etag.to_owned(), size, ..good("a", seconds) };
        for (found, copied, expected) in [
            (marker("\"5\"", 5, 1), Some("5"), true),
            (marker("\"x-2\"", 9, 1), Some("5"), true),
            // Made by the script.
            (marker("\"x\"", 9, 1), None, true),
            (marker("\"x\"", 9, 1), Some("4"), false),
            (marker("\"5\"", 4, 1), Some("5"), false),
            (marker("\"5\"", 9, 2), Some("5"), false),
        ] {
            assert_eq!(settles(&found, copied, &revision), expected, "{found:?} {copied:?}");
        }
        // As events name it.
        assert!(settles(&marker("\"5\"", 9, 1), None, &Object { etag: "5".to_owned(), ..revision }));
    }

    #[test]
    fn a_marker_of_another_etag_is_asked_what_it_is_a_copy_of() {
        let (dataset, listings) = (
            dataset(false),
            listings(&[archive("a", 5), archive("b", 9)], &[good("a", 9), good("b", 9)], &[]),
        );
        let ambiguous_markers = ambiguous_markers(&dataset, &listings);
        assert_eq!(
            ambiguous_markers,
            [AmbiguousMarker {
                archive: archive("a", 5).key,
                last_modified: archive("a", 5).last_modified,
                marker: good("a", 9).key
            }]
        );
        for (marked, expected) in [(None, vec![]), (Some("5"), vec![]), (Some("4"), vec!["a".to_owned()])] {
            let revisions =
                marked.map(|revision| (good("a", 9).key, revision.to_owned())).into_iter().collect();
            assert_eq!(queue(&plan(&dataset, &listings, &revisions), &Selection::WholeQueue), expected);
        }
    }

    #[test]
    fn under_truncate_only_the_newest_that_is_not_bad_may_be_loaded() {
        let source = [archive("a", 1), archive("b", 2), archive("c", 3)];
        let unsettled = planned(true, &source, &[], &[]);
        assert_eq!(
            (queue(&unsettled, &Selection::WholeQueue), names(&unsettled, ArchiveState::Superseded)),
            (vec!["c".to_owned()], vec!["a".to_owned(), "b".to_owned()])
        );
        let settled = planned(true, &source, &[good("c", 4)], &[]);
        assert!(queue(&settled, &Selection::WholeQueue).is_empty());
        assert_eq!(names(&settled, ArchiveState::Superseded), ["a", "b"]);
    }

    #[test]
    fn under_truncate_a_bad_archive_supersedes_nothing() {
        let source = [archive("a", 1), archive("b", 2), archive("c", 3)];
        let key = |name: &str| Selection::UpTo(HashSet::from([archive(name, 0).key]));
        let mut plan = planned(true, &source, &[], &[bad("c", 4)]);
        assert_eq!(names(&plan, ArchiveState::Superseded), ["a"]);
        for (selection, expected) in [
            (Selection::WholeQueue, vec!["b"]),
            (key("c"), vec!["b"]),
            (key("b"), vec!["b"]),
            (key("a"), vec![]),
        ] {
            assert_eq!(queue(&plan, &selection), expected, "{selection:?}");
        }
        plan.settle_as_bad(&archive("b", 0).key);
        assert_eq!(plan, planned(true, &source, &[], &[bad("b", 4), bad("c", 4)]));
        assert_eq!(queue(&plan, &Selection::WholeQueue), ["a"]);

        // A marker of a former revision settles nothing: the corrected upload is the newest.
        let corrected = [archive("a", 1), archive("b", 2), archive("c", 5)];
        let plan = planned(true, &corrected, &[], &[bad("c", 4)]);
        assert_eq!(queue(&plan, &Selection::WholeQueue), ["c"]);
        let listings = listings(&corrected, &[], &[bad("c", 9)]);
        let former = MarkerRevisions::from([(bad("c", 9).key, "4".to_owned())]);
        assert_eq!(queue(&super::plan(&dataset(true), &listings, &former), &Selection::WholeQueue), ["c"]);
    }

    /// All that three markers, or none, can say of four archives.
    #[test]
    fn whatever_is_settled_one_archive_at_the_most_may_be_loaded_and_none_before_a_good_one() {
        let named = ["a", "b", "c", "d"];
        let source: Vec<Object> = named.iter().zip(1..).map(|(name, at)| archive(name, at)).collect();
        for settled in 0..3_usize.pow(4) {
            let state = |n: usize| settled / 3_usize.pow(u32::try_from(n).unwrap()) % 3;
            let marked = |state_wanted, marker: fn(&str, i64) -> Object| -> Vec<Object> {
                let marked = named.iter().enumerate().filter(|(n, _)| state(*n) == state_wanted);
                marked.map(|(_, name)| marker(name, 9)).collect()
            };
            let plan = planned(true, &source, &marked(1, good), &marked(2, bad));
            let newest = (0..4).rev().find(|n| state(*n) != 2);
            let expected: Vec<&str> =
                newest.filter(|newest| state(*newest) == 0).map(|newest| named[newest]).into_iter().collect();
            assert_eq!(queue(&plan, &Selection::WholeQueue), expected, "{plan:?}");
            let unsettled = (0..4).filter(|n| state(*n) == 0).count();
            assert_eq!(names(&plan, ArchiveState::Superseded).len() + expected.len(), unsettled, "{plan:?}");
            for n in 0..4 {
                let again = plan.queue(&Selection::Reload(archive(named[n], 0).key));
                let newer = newest.filter(|newest| *newest > n).map(|newest| archive(named[newest], 0).key);
                assert_eq!(again.err(), newer.map(ReloadRefused::NotNewest), "{n} of {plan:?}");
            }
        }
    }

    #[test]
    fn what_lies_beside_archives_is_passed_over_and_supersedes_nothing() {
        let source = [archive("a", 1), object("client/cmslite_gdx/cms-analytics-csv_a.tgz.md5", 2)];
        for truncate in [true, false] {
            let plan = planned(truncate, &source, &[], &[]);
            assert_eq!(queue(&plan, &Selection::WholeQueue), ["a"]);
            let checksum = source[1].key.clone();
            assert_eq!(plan.passed_over, [(checksum.clone(), PassedOver::Checksum)]);
            assert!(plan.queue(&Selection::UpTo(HashSet::from([checksum.clone()]))).unwrap().is_empty());
            assert_eq!(
                plan.queue(&Selection::Reload(checksum.clone())).unwrap_err(),
                ReloadRefused::PassedOver(checksum, PassedOver::Checksum)
            );
        }
        // What `doc` does not match is none of the dataset's business.
        let other =
            [object("client/cmslite_gdx/readme.md5", 1), object("client/other/cms-analytics-csv.md5", 1)];
        assert!(planned(true, &other, &[], &[]).passed_over.is_empty());
    }

    #[test]
    fn an_event_asks_for_the_queue_up_to_its_key() {
        let plan = planned(false, &[archive("a", 1), archive("b", 2), archive("c", 3)], &[], &[]);
        let key = |name: &str| Selection::UpTo(HashSet::from([archive(name, 0).key]));
        assert_eq!(queue(&plan, &key("b")), ["a", "b"]);
        assert!(queue(&plan, &key("gone")).is_empty());
    }

    #[test]
    fn an_archive_is_loaded_again_where_that_breaks_no_order() {
        let source = [archive("a", 1), archive("b", 2), archive("c", 3)];
        let again = |truncate, markers: &[Object], name: &str| {
            planned(truncate, &source, markers, &[]).queue(&Selection::Reload(archive(name, 0).key))
        };
        let key = |name: &str| archive(name, 0).key;
        assert_eq!(again(false, &[good("a", 4)], "a").unwrap()[0].key, key("a"));
        assert_eq!(again(false, &[good("a", 4)], "b").unwrap()[0].key, key("b"));
        assert_eq!(again(false, &[good("a", 4)], "c").unwrap_err(), ReloadRefused::OthersWait(key("b")));
        assert_eq!(again(true, &[good("a", 4)], "a").unwrap_err(), ReloadRefused::NotNewest(key("c")));
        assert_eq!(again(true, &[good("c", 4)], "c").unwrap()[0].key, key("c"));
        assert_eq!(again(false, &[], "z").unwrap_err(), ReloadRefused::NoSuchArchive(key("z")));
        let accepted = |truncate, name: &str| {
            let plan = planned(truncate, &source, &[], &[bad("c", 4)]);
            plan.queue(&Selection::AcceptShrink(archive(name, 0).key))
        };
        assert_eq!(accepted(true, "c").unwrap()[0].key, key("c"));
        assert_eq!(accepted(true, "b").unwrap()[0].key, key("b"));
        assert_eq!(accepted(true, "a").unwrap_err(), ReloadRefused::NotNewest(key("b")));
        assert_eq!(accepted(false, "c").unwrap_err(), ReloadRefused::OthersWait(key("a")));
    }
}
