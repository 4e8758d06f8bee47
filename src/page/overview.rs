//! What the page shows of a dataset, as a plain value.

use chrono::{DateTime, Utc};
use cmslite_core::key::Key;
use cmslite_core::problem::ReportedErrorFile;

use crate::redshift::RecentLoad;
use crate::report::{Failure, PassedOverObject};
use crate::status::{Disagreement, Waiting};

/// Bad archives that are shown, the newest of them.
pub const BAD_SHOWN: usize = 10;

/// Archives that wait and are shown, the oldest of them.
pub const WAITING_SHOWN: usize = 20;

/// Disagreements that are shown, the first of them.
pub const DISAGREEMENTS_SHOWN: usize = 20;

/// Objects passed over that are shown, the last of them.
pub const PASSED_OVER_SHOWN: usize = 10;

/// Where a dataset stands, as far as the page shows it. Lists are cut to what is shown, and counts are not: however long
/// the history is, the page is not.
#[derive(Debug, Clone, PartialEq)]
pub struct Overview {
    /// The dataset.
    pub dataset: String,
    /// Where its archives are uploaded: `s3://BUCKET/PREFIX/`.
    pub uploads: String,
    /// Whether a load replaces the tables' rows; then only the newest archive counts.
    pub truncate: bool,
    /// When the page was made.
    pub made_at: DateTime<Utc>,
    /// By what.
    pub made_by: MadeBy,
    /// How many archives there are.
    pub counts: Counts,
    /// The archives that wait to be loaded, the oldest first, [`WAITING_SHOWN`] at the most.
    pub waiting: Vec<Waiting>,
    /// The bad archives, the newest first, [`BAD_SHOWN`] at the most.
    pub bad: Vec<BadArchive>,
    /// What the ledger says.
    pub ledger: LedgerSays,
    /// The latest loads, the oldest first.
    pub loads: Vec<RecentLoad>,
    /// Where markers and ledger disagree, [`DISAGREEMENTS_SHOWN`] at the most; none where they were not compared.
    pub disagreements: Option<Vec<Disagreement>>,
    /// The objects that are no archives by their names, [`PASSED_OVER_SHOWN`] at the most:
    /// those first that should have been archives.
    pub passed_over: Vec<PassedOverObject>,
}

/// What has made a page.
#[derive(Debug, Clone, PartialEq)]
pub enum MadeBy {
    /// The command `status`.
    Command,
    /// A run of the function.
    Run {
        /// The invocation.
        request_id: String,
        /// Why the run ended early, if it did; one that stopped behind a bad archive did its work.
        failure: Option<Failure>,
    },
}

/// How many there are, shown or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Archives settled as good.
    pub good: usize,
    /// Archives settled as bad.
    pub bad: usize,
    /// Of these the ones whose data is missing: under truncate those that are newer than what the tables hold.
    pub bad_and_missing: usize,
    /// Archives to be loaded.
    pub waiting: usize,
    /// Archives that newer ones supersede.
    pub superseded: usize,
    /// Disagreements of markers and ledger.
    pub disagreements: usize,
    /// Objects that are no archives by their names.
    pub passed_over: usize,
}

/// A bad archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadArchive {
    /// Its key.
    pub key: Key,
    /// When it was uploaded.
    pub uploaded: DateTime<Utc>,
    /// Whether its data is missing.
    pub is_missing: bool,
    /// Why it is bad, if that is known.
    pub error: Option<ReportedErrorFile>,
}

/// What the ledger was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerSays {
    /// It was read.
    Read,
    /// There is none yet: the first load makes it.
    Absent,
    /// It was not read, and why.
    Unread(String),
}

impl Overview {
    /// The latest load.
    pub fn latest(&self) -> Option<&RecentLoad> {
        self.loads.last()
    }
}

/// Under truncate, when the archive was uploaded that the tables hold, where the ledger does not say so: the newest good one.
/// Where there is none, nothing is known to be missing.
pub fn held_by_markers(good: impl Iterator<Item = DateTime<Utc>>) -> DateTime<Utc> {
    good.max().unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// The objects passed over that are shown: those that should have been archives, and the last of the others.
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

/// Whether the data of a bad archive, uploaded at this time, is missing from the tables. While appending each archive's is;
/// under truncate that of an archive that is newer than what the tables hold.
pub fn is_missing(truncate: bool, uploaded: DateTime<Utc>, held: Option<DateTime<Utc>>) -> bool {
    !truncate || held.is_none_or(|held| uploaded >= held)
}
