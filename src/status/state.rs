//! What a status says, as values.

use chrono::{DateTime, Utc};
use cmslite_core::error::Error;
use cmslite_core::key::Key;
use cmslite_core::problem::ReportedErrorFile;
use schemars::JsonSchema;
use serde::Serialize;

use crate::redshift::{LedgerRow, RecentLoad};
use crate::report::PassedOverObject;

/// What the ledger was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ledger {
    /// Its rows of this dataset, in the order of their loads.
    Rows(Vec<LedgerRow>),
    /// There is none yet: the first load makes it.
    Absent,
    /// It could not be read.
    Unreadable(Unreadable),
}

/// Why the ledger could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The stable name of the error's kind.
    pub error_type: &'static str,
    /// The whole story.
    pub message: String,
    /// What to do about it.
    pub remedy: &'static str,
}

impl From<Error> for Unreadable {
    fn from(error: Error) -> Self {
        Self { error_type: error.error_type(), message: error.chain(), remedy: error.remedy() }
    }
}

/// Where a dataset stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The dataset.
    pub dataset: String,
    /// Its bucket.
    pub bucket: String,
    /// The archives to load, oldest first.
    pub queue: Vec<Waiting>,
    /// The archives that are older than the newest that is not bad: not loaded, unless that is found bad.
    pub superseded: Vec<Waiting>,
    /// The archives settled as bad, oldest first, and why.
    pub bad: Vec<Bad>,
    /// The archives settled as good, oldest first.
    pub good: Vec<Good>,
    /// The objects that `doc` matches and that are no archives, by key.
    pub passed_over: Vec<PassedOverObject>,
    /// How many rows the ledger has; none where there is no ledger or it could not be read.
    pub ledger_rows: Option<usize>,
    /// Why the ledger could not be read.
    pub ledger_unreadable: Option<Unreadable>,
    /// Under truncate: the archive that the tables hold, by the ledger.
    pub tables_hold: Option<LedgerRow>,
    /// The latest loads with their rows by table, oldest first; empty where the ledger does not say so.
    pub recent_loads: Vec<RecentLoad>,
    /// Where markers and ledger disagree.
    pub disagreements: Vec<Disagreement>,
    /// Whether everything is shown.
    pub(super) all: bool,
}

/// An archive that is not settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Waiting {
    /// Its key.
    pub key: Key,
    /// Its revision.
    pub etag: String,
    /// When it was uploaded.
    pub last_modified: DateTime<Utc>,
    /// Bytes.
    pub size_bytes: u64,
}

/// An archive settled as bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Bad {
    /// Its key.
    pub key: Key,
    /// Its revision.
    pub etag: String,
    /// When it was uploaded.
    #[serde(skip)]
    pub last_modified: DateTime<Utc>,
    /// Its `error.json`, where there is one and it was asked for.
    pub error: Option<ReportedErrorFile>,
}

/// An archive settled as good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Good {
    /// Its key.
    pub key: Key,
    /// Its revision.
    pub etag: String,
    /// When it was uploaded.
    #[serde(skip)]
    pub last_modified: DateTime<Utc>,
    /// Its last load, where the ledger knows one.
    pub load: Option<LedgerRow>,
    /// While appending: the load that brought the same bytes, before this archive was loaded or why it was not.
    pub same_bytes_as: Option<LedgerRow>,
}

/// Markers and ledger, or markers among themselves, say different things of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Disagreement {
    /// Its key.
    pub key: Key,
    /// What disagrees.
    pub kind: DisagreementKind,
}

/// What disagrees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DisagreementKind {
    /// In the ledger, but not marked: a run ended in between.
    LoadedNotMarked,
    /// Marked good since the ledger began, but not in it.
    MarkedNotLoaded,
    /// In the ledger, but marked bad.
    LoadedMarkedBad,
    /// Marked good and bad.
    TwoMarkers,
    /// Marked bad with no `error.json`.
    BadWithoutReason,
    /// An `error.json` with no marker.
    ReasonWithoutMarker,
    /// The newest good archive, while the tables hold another.
    TablesHoldAnother,
    /// An archive of another dataset too: neither loads it.
    TwoDatasets,
}
