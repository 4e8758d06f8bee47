//! Makes a plan from the merged listings, key by key. Settled and superseded archives are counted and
//! forgotten unless a decision needs them: memory grows with the queue, not with history.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

use super::merge::Listed;
use super::object::{AmbiguousMarker, MarkerRevisions, Object, may_settle, settles};
use super::plan::{Archive, ArchiveState, Plan, Selection};
use crate::config::{Dataset, PassedOver};
use crate::key::Key;

/// The number of passed-over objects that a plan always keeps, from the end of the listing: there may be one
/// beside every archive.
const LAST_PASSED_OVER: usize = 20;

/// The number of unsettled archives that a plan keeps with `truncate`: the newest is loaded, and only if that
/// is bad the next. A run ends at its first bad archive; a dry run continues, but no further than this.
const MAX_UNSETTLED: usize = 1_000;

/// What a plan keeps of the settled, superseded or passed-over objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// What decisions need: see [`Plan`].
    WhatDecides,
    /// Everything, for a status.
    Everything,
}

/// A planner of a dataset.
#[derive(Debug)]
pub struct Planner<'a> {
    dataset: &'a Dataset,
    selection: &'a Selection,
    kept: Kept,
    asked_since: DateTime<Utc>,
    /// The number of unsettled archives to keep with `truncate`, at least 1.
    pub(super) most_unsettled: usize,
    /// The unsettled archives kept so far, up to twice that number.
    unsettled: Vec<Archive>,
    plan: Plan,
    newest_good: Option<Archive>,
    newest_bad: Option<Archive>,
    last_passed_over: VecDeque<(Key, PassedOver)>,
    doubtful: Vec<Marked>,
}

/// An archive, and the objects in place of its markers.
#[derive(Debug)]
struct Marked {
    archive: Object,
    good: Option<Object>,
    bad: Option<Object>,
}

impl Marked {
    /// Returns the markers that may be the archive's by time and size but have another `ETag`.
    fn ambiguous(&self) -> impl Iterator<Item = &Object> {
        let markers = self.good.iter().chain(&self.bad);
        markers.filter(|marker| may_settle(marker, &self.archive) && marker.etag != self.archive.etag)
    }

    /// Returns the archive with its state according to its markers, without regard to newer archives.
    fn judged(self, revisions: &MarkerRevisions) -> Archive {
        let is_settled = |marker: &Option<Object>| {
            marker.as_ref().is_some_and(|marker| {
                settles(marker, revisions.get(&marker.key).map(String::as_str), &self.archive)
            })
        };
        let state = if is_settled(&self.bad) {
            ArchiveState::Bad
        } else if is_settled(&self.good) {
            ArchiveState::Good
        } else {
            ArchiveState::Queued
        };
        Archive { object: self.archive, state }
    }
}

impl<'a> Planner<'a> {
    /// Creates a planner. Ambiguous markers of archives modified at `asked_since` or later, or named by
    /// `selection`, must be asked which revision they settle; the other markers settle their archives.
    pub fn new(
        dataset: &'a Dataset,
        selection: &'a Selection,
        kept: Kept,
        asked_since: DateTime<Utc>,
    ) -> Self {
        Self {
            dataset,
            selection,
            kept,
            asked_since,
            most_unsettled: MAX_UNSETTLED,
            unsettled: Vec::new(),
            plan: Plan { truncate: dataset.truncate, ..Plan::default() },
            newest_good: None,
            newest_bad: None,
            last_passed_over: VecDeque::new(),
            doubtful: Vec::new(),
        }
    }

    /// Adds the objects of the next key.
    pub fn add(&mut self, listed: Listed) {
        let Listed { source: Some(object), good, bad } = listed else { return };
        if self.dataset.matches(&object.key) {
            let marked = Marked { archive: object, good, bad };
            if marked.ambiguous().next().is_some() && self.is_asked(&marked.archive) {
                self.doubtful.push(marked);
            } else {
                self.keep(marked.judged(&MarkerRevisions::new()));
            }
        } else if let Some(why) = self.dataset.passed_over(&object.key) {
            self.last_passed_over.push_back((object.key, why));
            if self.last_passed_over.len() > LAST_PASSED_OVER {
                self.keep_passed_over();
            }
        }
    }

    fn is_asked(&self, archive: &Object) -> bool {
        archive.last_modified >= self.asked_since || self.selection.names(&archive.key)
    }

    /// Keeps an archive, or the newer one of it and the newest of its state.
    fn keep(&mut self, archive: Archive) {
        let is_kept = self.kept == Kept::Everything || self.selection.names(&archive.object.key);
        let (newest, forgotten) = match archive.state {
            ArchiveState::Good if !is_kept => (&mut self.newest_good, &mut self.plan.forgotten.good),
            ArchiveState::Bad if !is_kept => (&mut self.newest_bad, &mut self.plan.forgotten.bad),
            ArchiveState::Superseded | ArchiveState::Queued if !is_kept && self.dataset.truncate => {
                self.unsettled.push(archive);
                if self.unsettled.len() >= 2 * self.most_unsettled {
                    self.forget_older();
                }
                return;
            }
            ArchiveState::Good | ArchiveState::Bad | ArchiveState::Superseded | ArchiveState::Queued => {
                self.plan.archives.push(archive);
                return;
            }
        };
        *forgotten += usize::from(newest.is_some());
        if newest.as_ref().is_none_or(|newest| newest.object.load_order() < archive.object.load_order()) {
            *newest = Some(archive);
        }
    }

    /// Forgets the unsettled archives beyond the number to keep, oldest first: the newest supersedes them.
    fn forget_older(&mut self) {
        if self.unsettled.len() > self.most_unsettled {
            self.unsettled.sort_by(|a, b| b.object.load_order().cmp(&a.object.load_order()));
            self.plan.forgotten.superseded += self.unsettled.len() - self.most_unsettled;
            self.unsettled.truncate(self.most_unsettled);
        }
    }

    /// Keeps the first of the last passed-over objects, or forgets it.
    fn keep_passed_over(&mut self) {
        let Some((key, why)) = self.last_passed_over.pop_front() else { return };
        if self.kept == Kept::Everything || why.is_unusable_key() || self.selection.names(&key) {
            self.plan.passed_over.push((key, why));
        } else {
            self.plan.forgotten.passed_over += 1;
        }
    }

    /// Returns the markers that must be asked which revision they settle.
    pub fn ambiguous_markers(&self) -> impl Iterator<Item = AmbiguousMarker> {
        self.doubtful.iter().flat_map(|marked| {
            marked.ambiguous().map(|marker| AmbiguousMarker {
                archive: marked.archive.key.clone(),
                last_modified: marked.archive.last_modified,
                marker: marker.key.clone(),
            })
        })
    }

    /// Returns the plan, once all keys were added and the ambiguous markers were asked.
    ///
    /// An archive is settled if it has a marker of this revision whose `LastModified` is not before its own:
    /// a re-upload is a new revision. With `truncate`, only the newest archive that is not settled as bad may
    /// be loaded.
    pub fn finish(mut self, revisions: &MarkerRevisions) -> Plan {
        for marked in std::mem::take(&mut self.doubtful) {
            self.keep(marked.judged(revisions));
        }
        self.forget_older();
        let Self { mut plan, unsettled, newest_good, newest_bad, last_passed_over, .. } = self;
        plan.archives.extend(unsettled.into_iter().chain(newest_good).chain(newest_bad));
        plan.archives.sort_by(|a, b| a.object.load_order().cmp(&b.object.load_order()));
        plan.passed_over.extend(last_passed_over);
        plan.supersede();
        plan
    }
}
