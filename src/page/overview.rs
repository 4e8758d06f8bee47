//! Defines the page's contents as a plain value.

use chrono::{DateTime, Utc};
use cmslite_core::key::Key;
use cmslite_core::problem::ReportedErrorFile;

use crate::redshift::RecentLoad;
use crate::report::{Failure, PassedOverObject};
use crate::status::{Disagreement, Waiting};

/// The number of bad archives that are shown: the newest.
pub const BAD_SHOWN: usize = 10;

/// The number of waiting archives that are shown: the oldest.
pub const WAITING_SHOWN: usize = 20;

/// The number of disagreements that are shown: the first.
pub const DISAGREEMENTS_SHOWN: usize = 20;

/// The number of passed-over objects that are shown: the last.
pub const PASSED_OVER_SHOWN: usize = 10;

/// The state of a dataset, as far as the page shows it. Lists are cut to what is shown, and counts are
/// complete: the page does not grow with the history.
#[derive(Debug, Clone, PartialEq)]
pub struct Overview {
    /// The dataset's name.
    pub dataset: String,
    /// The prefix to which its archives are uploaded: `s3://BUCKET/PREFIX/`.
    pub uploads: String,
    /// Whether a load replaces the tables' rows; then only the newest archive counts.
    pub truncate: bool,
    /// The time when the page was made.
    pub made_at: DateTime<Utc>,
    /// The maker of the page.
    pub made_by: MadeBy,
    /// The numbers of archives.
    pub counts: Counts,
    /// The archives that wait to be loaded, oldest first, at most [`WAITING_SHOWN`].
    pub waiting: Vec<Waiting>,
    /// The bad archives, newest first, at most [`BAD_SHOWN`].
    pub bad: Vec<BadArchive>,
    /// The state of the ledger.
    pub ledger: LedgerState,
    /// The latest loads, oldest first.
    pub loads: Vec<RecentLoad>,
    /// The disagreements of markers and ledger, at most [`DISAGREEMENTS_SHOWN`]; `None` if they were not
    /// compared.
    pub disagreements: Option<Vec<Disagreement>>,
    /// The objects that are not archives by their names, at most [`PASSED_OVER_SHOWN`], beginning with those
    /// that should have been archives.
    pub passed_over: Vec<PassedOverObject>,
}

/// The maker of a page.
#[derive(Debug, Clone, PartialEq)]
pub enum MadeBy {
    /// The command `status`.
    Command,
    /// A run of the function.
    Run {
        /// The invocation's id.
        request_id: String,
        /// The failure that ended the run early; `None` if there was none, or if the run stopped after a bad
        /// archive, which is not a failure of the run.
        failure: Option<Failure>,
    },
}

/// The numbers of archives and objects, shown or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// The number of archives settled as good.
    pub good: usize,
    /// The number of archives settled as bad.
    pub bad: usize,
    /// The number of bad archives whose data is missing: with `truncate`, those that are not older than the
    /// archive in the tables.
    pub bad_and_missing: usize,
    /// The number of archives to be loaded.
    pub waiting: usize,
    /// The number of superseded archives.
    pub superseded: usize,
    /// The number of disagreements of markers and ledger.
    pub disagreements: usize,
    /// The number of objects that are not archives by their names.
    pub passed_over: usize,
}

/// A bad archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadArchive {
    /// The archive's key.
    pub key: Key,
    /// The time when it was uploaded.
    pub uploaded: DateTime<Utc>,
    /// Whether its data is missing from the tables.
    pub is_missing: bool,
    /// The contents of its `error.json`, if they can be read.
    pub error: Option<ReportedErrorFile>,
}

/// The state of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerState {
    /// The ledger was read.
    Read,
    /// The ledger does not exist yet: the first load creates it.
    Absent,
    /// The ledger was not read, for this reason.
    Unread(String),
}

impl Overview {
    /// Returns the latest load.
    pub fn latest(&self) -> Option<&RecentLoad> {
        self.loads.last()
    }
}

/// Returns when the archive in the tables was uploaded, for a dataset with `truncate` whose ledger was not
/// read: the time of the newest good archive. If there is none, it returns the latest possible time, so that
/// no bad archive counts as missing.
pub fn held_by_markers(good: impl Iterator<Item = DateTime<Utc>>) -> DateTime<Utc> {
    good.max().unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Returns the passed-over objects to show: those that should have been archives, and the last of the others.
pub fn shown_of_passed_over(
    all: impl DoubleEndedIterator<Item = PassedOverObject> + Clone,
) -> Vec<PassedOverObject> {
    let unusable = all.clone().filter(|object| object.why.is_unusable_key());
    let mut shown: Vec<PassedOverObject> = unusable.take(PASSED_OVER_SHOWN).collect();
    let others = all.rev().filter(|object| !object.why.is_unusable_key());
    let others: Vec<PassedOverObject> = others.take(PASSED_OVER_SHOWN - shown.len()).collect();
    shown.extend(others.into_iter().rev());
    shown
}

/// Checks whether the data of a bad archive, uploaded at this time, is missing from the tables. Without
/// `truncate` it always is; with `truncate` only if the archive is not older than the one in the tables, or
/// the tables hold none.
pub fn is_missing(truncate: bool, uploaded: DateTime<Utc>, held: Option<DateTime<Utc>>) -> bool {
    !truncate || held.is_none_or(|held| uploaded >= held)
}
