//! Holds the decisions: which archives are loaded, in which order, and which never.

use std::collections::HashSet;

use super::object::Object;
use crate::config::PassedOver;
use crate::key::Key;

/// The archives of the queue that a run works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// The whole queue.
    WholeQueue,
    /// Everything up to and including the last of these keys.
    UpTo(HashSet<Key>),
    /// This archive alone, even if it is loaded already.
    Reload(Key),
    /// This archive alone, however few rows it has, unless it is loaded already.
    AcceptShrink(Key),
}

impl Selection {
    /// Checks whether one archive was asked for by hand, whatever is known about it.
    pub fn is_by_hand(&self) -> bool {
        matches!(self, Self::Reload(_) | Self::AcceptShrink(_))
    }

    /// Checks whether the selection names this archive.
    pub fn names(&self, key: &str) -> bool {
        match self {
            Self::WholeQueue => false,
            Self::UpTo(keys) => keys.contains(key),
            Self::Reload(alone) | Self::AcceptShrink(alone) => *alone == *key,
        }
    }
}

/// What the markers and the newer archives say about an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveState {
    /// Settled as good.
    Good,
    /// Settled as bad.
    Bad,
    /// Unsettled and, with `truncate`, older than the newest archive that is not bad. It is not loaded,
    /// unless the newest is found bad.
    Superseded,
    /// Unsettled, and to be loaded.
    Queued,
}

/// An archive and its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The archive's revision.
    pub object: Object,
    /// The archive's state.
    pub state: ArchiveState,
}

/// The decisions made from a dataset's listings.
///
/// A plan holds the unsettled archives (with `truncate` the newest 1,000 of them), and a few more, however
/// long the history is. The others do not change a decision: only the newest good archive decides what
/// `truncate` allows, and of the settled ones only those that the selection names are looked up. A plan that
/// keeps everything makes the same decisions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The archives, oldest first: the unsettled ones, those that the selection names, the newest of the
    /// other good ones and the newest of the other bad ones. So the last is the newest archive of all.
    pub archives: Vec<Archive>,
    /// The keys of objects that match `doc` but are not archives, and the reasons, in the listing's order:
    /// those that must be renamed, those that the selection names, and the last 20.
    pub passed_over: Vec<(Key, PassedOver)>,
    /// Whether only the newest archive that is not bad may be loaded.
    pub truncate: bool,
    /// The counts of what the plan does not hold.
    pub forgotten: Forgotten,
}

/// The counts of archives and objects that a plan does not hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// The number of archives settled as good.
    pub good: usize,
    /// The number of archives settled as bad.
    pub bad: usize,
    /// The number of superseded archives. The plan holds as many more as could turn out bad in one run.
    pub superseded: usize,
    /// The number of objects passed over.
    pub passed_over: usize,
}

/// The reason why an archive cannot be loaded alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReloadRefused {
    /// The archive does not exist.
    #[error("there is no archive {0} in the dataset")]
    NoSuchArchive(Key),
    /// The object is not an archive, by its name.
    #[error(
        "{0} is not an archive but {1}, by its name: such objects are passed over; name the archive itself, or rename this object"
    )]
    PassedOver(Key, PassedOver),
    /// Older archives would be loaded after it.
    #[error("{0} waits before it in the queue: load the queue first")]
    OthersWait(Key),
    /// Older data would replace newer data.
    #[error(
        "{0} is newer, and only the newest archive that is not bad may be loaded; to replace it with the older one, upload the older one again"
    )]
    NotNewest(Key),
}

impl Plan {
    /// With `truncate`, marks the unsettled archives that a newer one supersedes.
    pub(super) fn supersede(&mut self) {
        if !self.truncate {
            return;
        }
        let mut is_newest = true;
        for archive in self.archives.iter_mut().rev() {
            match archive.state {
                // A bad archive is never loaded, so it does not supersede the one before it.
                ArchiveState::Bad => {}
                ArchiveState::Good => is_newest = false,
                ArchiveState::Superseded | ArchiveState::Queued => {
                    archive.state = if is_newest { ArchiveState::Queued } else { ArchiveState::Superseded };
                    is_newest = false;
                }
            }
        }
    }

    /// Records that an archive, in the queue or selected by itself, was settled as bad after the plan was
    /// made.
    pub fn settle_as_bad(&mut self, key: &str) {
        if let Some(archive) = self.archives.iter_mut().find(|archive| *archive.object.key == *key) {
            archive.state = ArchiveState::Bad;
        }
        self.supersede();
    }

    /// Returns the number of archives.
    pub fn found(&self) -> usize {
        let Forgotten { good, bad, superseded, .. } = self.forgotten;
        self.archives.len() + good + bad + superseded
    }

    /// Returns the number of archives in a state.
    pub fn count(&self, state: ArchiveState) -> usize {
        let forgotten = match state {
            ArchiveState::Good => self.forgotten.good,
            ArchiveState::Bad => self.forgotten.bad,
            ArchiveState::Superseded => self.forgotten.superseded,
            ArchiveState::Queued => 0,
        };
        self.in_state(state).count() + forgotten
    }

    /// Returns the number of objects passed over.
    pub fn passed_over_count(&self) -> usize {
        self.passed_over.len() + self.forgotten.passed_over
    }

    /// Returns the archives in a state, oldest first; of the settled ones only those that the plan holds.
    pub fn in_state(&self, state: ArchiveState) -> impl Iterator<Item = &Object> {
        self.archives.iter().filter(move |archive| archive.state == state).map(|archive| &archive.object)
    }

    /// Returns the keys of the superseded archives that the plan holds, oldest first.
    pub fn superseded_keys(&self) -> impl Iterator<Item = Key> {
        self.in_state(ArchiveState::Superseded).map(|archive| archive.key.clone())
    }

    /// Returns the archives that a run works on, in order. `selection` is the one that the plan was made for.
    ///
    /// For keys of an event that are settled or gone, only the archives before them are returned.
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
                // Older archives in the queue are superseded by it, or are loaded if it is bad.
                None => Ok(archive.clone()),
            };
        }
        match self.archives.iter().take(at).find(|archive| archive.state == ArchiveState::Queued) {
            Some(waiting) => Err(ReloadRefused::OthersWait(waiting.object.key.clone())),
            None => Ok(archive.clone()),
        }
    }
}
