//! Holds what is decided: which archives are loaded, in which order, and which never.

use std::collections::HashSet;

use super::object::Object;
use crate::config::PassedOver;
use crate::key::Key;

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

/// What a dataset's listings say, as far as it decides anything.
///
/// However long the history is, a plan holds the archives that are not settled, under truncate the newest 1,000 of them, and
/// a few more. For a decision about the others it does not matter which they are: only the newest good one bears on what truncate lets in, and of
/// settled ones only those that the selection names are looked for. A plan that keeps everything decides the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Oldest first: the archives that are not settled, those that the plan's selection names, the newest of the other
    /// good ones and the newest of the other bad ones. So the newest archive of all is the last.
    pub archives: Vec<Archive>,
    /// The keys of objects that `doc` matches and that are no archives, and why, in the listing's order: those that
    /// somebody must rename, those that the selection names, and the last 20.
    pub passed_over: Vec<(Key, PassedOver)>,
    /// Whether only the newest that is not bad may be loaded.
    pub truncate: bool,
    /// What was found besides.
    pub forgotten: Forgotten,
}

/// How many there are of what a plan does not hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Archives settled as good.
    pub good: usize,
    /// Archives settled as bad.
    pub bad: usize,
    /// Archives that newer ones supersede, of which a plan holds as many as could be bad in one run.
    pub superseded: usize,
    /// Objects passed over.
    pub passed_over: usize,
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

impl Plan {
    /// Tells, under truncate, the unsettled archive that may be loaded from those that a newer one supersedes.
    pub(super) fn supersede(&mut self) {
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

    /// Takes into account that an archive, one of the queue or the selection's own, was settled as bad since the plan
    /// was made.
    pub fn settle_as_bad(&mut self, key: &str) {
        if let Some(archive) = self.archives.iter_mut().find(|archive| *archive.object.key == *key) {
            archive.state = ArchiveState::Bad;
        }
        self.supersede();
    }

    /// How many archives there are.
    pub fn found(&self) -> usize {
        let Forgotten { good, bad, superseded, .. } = self.forgotten;
        self.archives.len() + good + bad + superseded
    }

    /// How many archives are in a state.
    pub fn count(&self, state: ArchiveState) -> usize {
        let forgotten = match state {
            ArchiveState::Good => self.forgotten.good,
            ArchiveState::Bad => self.forgotten.bad,
            ArchiveState::Superseded => self.forgotten.superseded,
            ArchiveState::Queued => 0,
        };
        self.in_state(state).count() + forgotten
    }

    /// How many objects were passed over.
    pub fn passed_over_count(&self) -> usize {
        self.passed_over.len() + self.forgotten.passed_over
    }

    /// The archives in a state, oldest first: of settled ones those that the plan holds.
    pub fn in_state(&self, state: ArchiveState) -> impl Iterator<Item = &Object> {
        self.archives.iter().filter(move |archive| archive.state == state).map(|archive| &archive.object)
    }

    /// The keys of superseded archives, oldest first: those that the plan holds.
    pub fn superseded_keys(&self) -> impl Iterator<Item = Key> {
        self.in_state(ArchiveState::Superseded).map(|archive| archive.key.clone())
    }

    /// The archives that a run works on, in this order. `selection` is the one that the plan was made for.
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
