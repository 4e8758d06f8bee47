//! Defines the values of a status.

use chrono::{DateTime, Utc};
use cmslite_core::error::Error;
use cmslite_core::key::Key;
use cmslite_core::problem::ReportedErrorFile;
use schemars::JsonSchema;
use serde::Serialize;

use crate::redshift::{LedgerRow, RecentLoad};
use crate::report::PassedOverObject;

/// The state of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ledger {
    /// The ledger's rows of this dataset, in the order of their loads.
    Rows(Vec<LedgerRow>),
    /// The ledger does not exist yet: the first load creates it.
    Absent,
    /// The ledger could not be read.
    Unreadable(Unreadable),
}

/// The reason why the ledger could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The stable name of the error's type.
    pub error_type: &'static str,
    /// The error with all of its causes.
    pub message: String,
    /// The remedy for the error.
    pub remedy: &'static str,
}

impl From<Error> for Unreadable {
    fn from(error: Error) -> Self {
        Self { error_type: error.error_type(), message: error.chain(), remedy: error.remedy() }
    }
}

/// The state of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The dataset's name.
    pub dataset: String,
    /// The dataset's bucket.
    pub bucket: String,
    /// The archives to load, oldest first.
    pub queue: Vec<Waiting>,
    /// The archives that are older than the newest that is not bad. They are not loaded, unless that one is
    /// found bad.
    pub superseded: Vec<Waiting>,
    /// The archives settled as bad, oldest first, and why.
    pub bad: Vec<Bad>,
    /// The archives settled as good, oldest first.
    pub good: Vec<Good>,
    /// The objects that match `doc` and are not archives, by key.
    pub passed_over: Vec<PassedOverObject>,
    /// The number of rows of the ledger; `None` if it does not exist or could not be read.
    pub ledger_rows: Option<usize>,
    /// The reason why the ledger could not be read.
    pub ledger_unreadable: Option<Unreadable>,
    /// With `truncate`, the archive that the tables hold, according to the ledger.
    pub tables_hold: Option<LedgerRow>,
    /// The latest loads with their rows by table, oldest first; empty if the ledger does not say so.
    pub recent_loads: Vec<RecentLoad>,
    /// The disagreements of the markers and the ledger.
    pub disagreements: Vec<Disagreement>,
    /// Whether the text shows everything.
    pub(super) all: bool,
}

/// An archive that is not settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Waiting {
    /// The archive's key.
    pub key: Key,
    /// The archive's revision.
    pub etag: String,
    /// The time when the archive was uploaded.
    pub last_modified: DateTime<Utc>,
    /// The size in bytes.
    pub size_bytes: u64,
}

/// An archive settled as bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Bad {
    /// The archive's key.
    pub key: Key,
    /// The archive's revision.
    pub etag: String,
    /// The time when the archive was uploaded.
    #[serde(skip)]
    pub last_modified: DateTime<Utc>,
    /// The archive's `error.json`, if it exists and was asked for.
    pub error: Option<ReportedErrorFile>,
}

/// An archive settled as good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Good {
    /// The archive's key.
    pub key: Key,
    /// The archive's revision.
    pub etag: String,
    /// The time when the archive was uploaded.
    #[serde(skip)]
    pub last_modified: DateTime<Utc>,
    /// The latest load of this revision, if the ledger has one.
    pub load: Option<LedgerRow>,
    /// Without `truncate`, the load of the same bytes that came before this archive's load, or that is the
    /// reason why this archive was not loaded.
    pub same_bytes_as: Option<LedgerRow>,
}

/// A disagreement of markers and ledger, or of markers, about an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Disagreement {
    /// The archive's key.
    pub key: Key,
    /// The kind of disagreement.
    pub kind: DisagreementKind,
}

/// The kind of a disagreement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DisagreementKind {
    /// The archive is in the ledger, but not marked: a run ended in between.
    LoadedNotMarked,
    /// The archive was marked good after the ledger began, but is not in it.
    MarkedNotLoaded,
    /// The archive is in the ledger, but marked bad.
    LoadedMarkedBad,
    /// The archive is marked good and bad.
    TwoMarkers,
    /// The archive is marked bad, but has no `error.json`.
    BadWithoutReason,
    /// The archive has an `error.json`, but no bad marker.
    ReasonWithoutMarker,
    /// The archive is the newest good one, but the tables hold another.
    TablesHoldAnother,
    /// The archive belongs to another dataset too: neither loads it.
    TwoDatasets,
}
