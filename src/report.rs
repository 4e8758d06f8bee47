//! Describes what a run did, for a person and for a program.

// The report as JSON.
mod json;
// The report as text for a person.
mod text;
// The level of detail for long lists.
mod detail;
// A list in a text for a person.
mod section;

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use cmslite_core::config::{Dataset, PassedOver};
use cmslite_core::error::Error;
use cmslite_core::key::Key;
use cmslite_core::problem::{Problem, Problems};
use cmslite_core::queue::Object;
use cmslite_core::row_counts::{EmptiedTable, FewRows, JudgedRows};
use cmslite_core::transform::DroppedColumns;
use schemars::JsonSchema;
use serde::Serialize;

use crate::redshift::LedgerRow;

pub use self::detail::{Detail, Ends, MAX_BYTES, omitted};
pub use self::json::ReportJson;
pub use self::section::{Section, Shown, few};
pub use self::text::superseded;

/// The version of the JSON forms of [`Report`] and [`ErrorFile`].
pub const FORMAT_VERSION: u32 = 1;

/// The result of one run over one dataset.
///
/// The lists are complete, and counts are made from them. Only `superseded` may lack archives, which
/// `superseded_further` counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// The dataset's name.
    pub dataset: String,
    /// The dataset's bucket.
    pub bucket: String,
    /// The invocation's id.
    pub request_id: String,
    /// The number of archives found, settled or not.
    pub objects_found: usize,
    /// The archives that ended as good.
    pub good: Vec<GoodArchive>,
    /// The archives that ended as bad, and why.
    pub bad: Vec<BadArchive>,
    /// The archives that were worked on and left unsettled.
    pub unsettled: Vec<Key>,
    /// The archives that were worked on and found older than the archive in the tables.
    pub found_superseded: Vec<Key>,
    /// The archives of the queue that were not reached or left unsettled.
    pub not_processed: Vec<Key>,
    /// The archive that is too large for this run's time. It and the archives after it are left to the
    /// container task.
    pub left_to_task: Option<Key>,
    /// The archives that were settled already when the run came to them: another run settled them after they
    /// were listed, or before their event came.
    pub settled_meanwhile: Vec<Key>,
    /// The archives that are older than the newest archive that is not bad. They are not loaded, unless that
    /// archive is found bad.
    pub superseded: Vec<Key>,
    /// The number of further superseded archives, older than those that `superseded` lists.
    pub superseded_further: usize,
    /// The objects that are not archives because of their keys alone: they must be renamed.
    pub unusable_keys: Vec<PassedOverObject>,
    /// The tables loaded.
    pub loaded_tables: Vec<LoadedTable>,
    /// The tables with a row that Redshift refused, or that would have shrunk.
    pub failed_tables: Vec<String>,
    /// The tables that a load emptied.
    pub emptied_tables: Vec<TableEmptied>,
    /// The tables that got fewer rows than the configuration allows, because the run was told to accept them.
    pub accepted_shrinks: Vec<AcceptedShrink>,
    /// The markers that lack something of their archives.
    pub incomplete_markers: Vec<IncompleteMarker>,
    /// The number of bytes of the loaded archives.
    pub bytes: u64,
    /// The duration of each phase, in seconds.
    pub seconds: PhaseSeconds,
    /// The number of archives that the run left unsettled, without superseded ones; `None` if S3 could not be
    /// asked.
    pub queue_length: Option<usize>,
    /// The seconds since the oldest archive in `queue_length` was uploaded; 0 if there is none.
    pub oldest_unsettled_age_seconds: Option<u64>,
    /// The failure that ended the run early, if there was one.
    pub failure: Option<Failure>,
}

/// The result for one archive that a run worked on.
#[derive(Debug)]
pub struct ArchiveOutcome {
    /// The state in which the run left the archive.
    pub end: ArchiveEnd,
    /// The tables that this run loaded from it; `None` if there was no committed transaction.
    pub loaded_tables: Option<Vec<LoadedTable>>,
    /// The tables with a row that Redshift refused, or that would have shrunk.
    pub failed_tables: Vec<String>,
    /// The result of judging the archive's numbers of rows.
    pub judged: JudgedRows,
    /// What its marker lacks, in words.
    pub marker_lacks: Vec<String>,
    /// The earlier load of this archive or of the same bytes, if the ledger knows one.
    pub loaded_before: Option<LedgerRow>,
    /// Whether it was not loaded because its bytes were loaded under another key.
    pub is_repeated: bool,
    /// The SHA-256 of its bytes, if these were read and not loaded.
    pub unloaded_sha256: Option<String>,
}

/// A marker that lacks something of its archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct IncompleteMarker {
    /// The archive's key.
    pub key: Key,
    /// What is missing, in words.
    pub lacks: Vec<String>,
}

/// The state in which a run leaves an archive.
#[derive(Debug)]
pub enum ArchiveEnd {
    /// The archive is loaded, now or before, and settled as good.
    Good,
    /// The tables hold a newer archive, so this one is never loaded.
    Superseded,
    /// The archive is too large for this run's time, and is left unsettled.
    LeftToTask,
    /// The archive is settled as bad.
    Bad(Problems),
    /// The archive is left unsettled.
    Unsettled(Error),
}

/// An archive that ended as good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GoodArchive {
    /// The archive's key.
    pub key: Key,
    /// The archive's revision.
    pub etag: String,
    /// Whether this run or an earlier run loaded the archive.
    pub outcome: GoodOutcome,
    /// The number of rows loaded by this run.
    pub rows: u64,
    /// The earlier load because of which this run did not load the archive. If this run loaded it, the load
    /// of the same bytes under another key.
    pub loaded_before: Option<LedgerRow>,
}

/// The way in which an archive became good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GoodOutcome {
    /// This run loaded it.
    Loaded,
    /// The ledger says that it was loaded before, or the same bytes under its key; this run only settled it.
    AlreadyLoaded,
    /// The ledger says that the same bytes were loaded under another key, and the configuration skips such
    /// archives; this run only settled it.
    Repeated,
}

/// An archive that ended as bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BadArchive {
    /// The archive's key.
    pub key: Key,
    /// The archive's revision.
    pub etag: String,
    /// The number of problems found.
    pub problems_found: u64,
    /// Why there may be more problems; null if no check is known to have been left out.
    pub incomplete: Option<String>,
    /// The first of the problems.
    pub problems: Vec<Problem>,
}

/// An object that matches `doc` and is not an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PassedOverObject {
    /// The object's key.
    pub key: Key,
    /// The reason why the object is not an archive.
    pub why: PassedOver,
}

/// A table that was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LoadedTable {
    /// The table's name.
    pub table: String,
    /// The archive's key.
    pub key: Key,
    /// The number of rows loaded.
    pub rows: u64,
    /// The number of rows of the member left out because all of their cells are empty.
    pub empty_rows: u64,
    /// The columns of the member that the configuration does not have.
    pub dropped_columns: DroppedColumns,
}

/// A table that got no rows from an archive although the previous load had some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TableEmptied {
    /// The table's name.
    pub table: String,
    /// The archive's key.
    pub key: Key,
    /// The number of rows of the previous load.
    pub rows_before: u64,
}

/// A table that got fewer rows than the configuration allows, because the run was told to accept them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AcceptedShrink {
    /// The table's name.
    pub table: String,
    /// The archive's key.
    pub key: Key,
    /// The code of the problem that it would have been.
    pub code: &'static str,
    /// The number of rows loaded.
    pub rows: u64,
    /// The minimum number of rows that the configuration allows.
    pub expected: u64,
}

/// The failure that ended a run early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Failure {
    /// The stable name of the error's type.
    pub error_type: &'static str,
    /// The error with all of its causes.
    pub message: String,
}

impl Failure {
    /// Checks whether the failure lasts until the operator acts.
    pub fn lasts(&self) -> bool {
        self.error_type.starts_with("Deployment.")
    }
}

/// The duration of each phase, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, JsonSchema)]
pub struct PhaseSeconds {
    /// Waiting for the lease, listing source, good and bad, and checking what other runs did with an archive.
    pub queue: f64,
    /// Reading archives, transforming and staging them.
    pub stage: f64,
    /// Working with Redshift: asking the ledger, and loading, from connecting to COMMIT.
    pub load: f64,
    /// Setting markers.
    pub settle: f64,
}

impl PhaseSeconds {
    /// Adds `spent` to a phase, to the millisecond.
    pub fn add(phase: &mut f64, spent: Duration) {
        *phase = ((*phase + spent.as_secs_f64()) * 1000.0).round() / 1000.0;
    }
}

/// The object beside a bad marker: `NAME.tgz.error.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ErrorFile<'a> {
    /// The version of this form.
    pub version: u32,
    /// The dataset's name.
    pub dataset: &'a str,
    /// The bucket's name.
    pub bucket: &'a str,
    /// The archive's key.
    pub key: &'a str,
    /// The archive's revision.
    pub etag: &'a str,
    /// The time when it was found bad, as RFC 3339.
    pub at: String,
    /// The invocation that found it bad.
    pub request_id: &'a str,
    /// The number of problems found.
    pub problems_found: u64,
    /// Why there may be more problems.
    pub incomplete: Option<&'a str>,
    /// The first of the problems.
    pub problems: &'a [Problem],
    /// Whether the message about the archive was sent although the marker could not be set. Then no other
    /// message is sent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub told: bool,
}

impl ArchiveOutcome {
    /// Creates the result of an archive of which only the end is known.
    pub fn new(end: ArchiveEnd) -> Self {
        Self {
            end,
            loaded_tables: None,
            failed_tables: Vec::new(),
            judged: JudgedRows::default(),
            marker_lacks: Vec::new(),
            loaded_before: None,
            is_repeated: false,
            unloaded_sha256: None,
        }
    }
}

impl Report {
    /// Creates the report of a run that has done nothing yet.
    pub fn of(dataset: &Dataset, request_id: &str) -> Self {
        Self {
            dataset: dataset.name.clone(),
            bucket: dataset.bucket.clone(),
            request_id: request_id.to_owned(),
            ..Self::default()
        }
    }

    /// Records the result of an archive.
    pub fn record(&mut self, archive: &Object, outcome: &ArchiveOutcome) {
        let key = archive.key.clone();
        let loaded = outcome.loaded_tables.as_deref();
        self.failed_tables.extend_from_slice(&outcome.failed_tables);
        for EmptiedTable { table, rows_before } in outcome.judged.emptied.clone() {
            self.emptied_tables.push(TableEmptied { table, key: key.clone(), rows_before });
        }
        for FewRows { table, rows, expected, problem } in outcome.judged.too_few.clone() {
            let code = problem.reason.code();
            self.accepted_shrinks.push(AcceptedShrink { table, key: key.clone(), code, rows, expected });
        }
        if !outcome.marker_lacks.is_empty() {
            self.incomplete_markers
                .push(IncompleteMarker { key: key.clone(), lacks: outcome.marker_lacks.clone() });
        }
        if let Some(tables) = loaded {
            self.bytes += archive.size;
            self.loaded_tables.extend_from_slice(tables);
        }
        match &outcome.end {
            ArchiveEnd::Good => self.good.push(GoodArchive {
                key,
                etag: archive.revision().to_owned(),
                outcome: match loaded {
                    Some(_) => GoodOutcome::Loaded,
                    None if outcome.is_repeated => GoodOutcome::Repeated,
                    None => GoodOutcome::AlreadyLoaded,
                },
                rows: rows(loaded.unwrap_or_default()),
                loaded_before: outcome.loaded_before.clone(),
            }),
            ArchiveEnd::Superseded => {
                self.found_superseded.push(key.clone());
                self.superseded.push(key);
            }
            ArchiveEnd::Bad(problems) => {
                self.bad.push(BadArchive::new(&archive.key, archive.revision(), problems));
            }
            ArchiveEnd::LeftToTask => {
                self.left_to_task = Some(key.clone());
                self.not_processed.push(key);
            }
            ArchiveEnd::Unsettled(_) => {
                self.unsettled.push(key.clone());
                self.not_processed.push(key);
            }
        }
    }

    /// Records the passed-over objects of a plan that must be renamed.
    pub fn record_unusable_keys(&mut self, passed_over: &[(Key, PassedOver)]) {
        let unusable = passed_over.iter().filter(|(_, why)| why.is_unusable_key());
        self.unusable_keys =
            unusable.map(|(key, why)| PassedOverObject { key: key.clone(), why: *why }).collect();
    }

    /// Checks whether the run left undone what an event asked for up to this key. A failed run that lists no
    /// archive in `not_processed` has left everything undone.
    pub fn has_left(&self, key: &Key) -> bool {
        self.failure.is_some() && (self.not_processed.is_empty() || self.not_processed.contains(key))
    }

    /// Returns the number of archives worked on in this run.
    pub fn objects_processed(&self) -> usize {
        self.good.len() + self.found_superseded.len() + self.objects_failed()
    }

    /// Returns the number of archives worked on that ended as bad or were left unsettled.
    pub fn objects_failed(&self) -> usize {
        self.bad.len() + self.unsettled.len()
    }

    /// Returns the number of rows loaded.
    pub fn rows(&self) -> u64 {
        rows(&self.loaded_tables)
    }

    /// Records what the run has left, at `now`, of the archives that were unsettled when it began.
    pub fn record_remaining(&mut self, unsettled: &[Object], now: DateTime<Utc>) {
        let good = self.good.iter().map(|archive| archive.key.as_str());
        let bad = self.bad.iter().map(|archive| archive.key.as_str());
        let superseded = self.superseded.iter().map(Key::as_str);
        let meanwhile = self.settled_meanwhile.iter().map(Key::as_str);
        let settled: HashSet<&str> = good.chain(bad).chain(superseded).chain(meanwhile).collect();
        let left = unsettled.iter().filter(|archive| !settled.contains(archive.key.as_str()));
        let (count, oldest) =
            left.fold((0, now), |(count, oldest), archive| (count + 1, oldest.min(archive.last_modified)));
        self.queue_length = Some(count);
        self.oldest_unsettled_age_seconds = Some((now - oldest).num_seconds().unsigned_abs());
    }
}

fn rows(tables: &[LoadedTable]) -> u64 {
    tables.iter().map(|table| table.rows).sum()
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self { error_type: error.error_type(), message: error.chain() }
    }
}

impl BadArchive {
    /// Creates the entry of a bad archive with its problems.
    pub fn new(key: &str, etag: &str, problems: &Problems) -> Self {
        Self {
            key: key.into(),
            etag: etag.to_owned(),
            problems_found: problems.found(),
            incomplete: problems.incomplete().map(str::to_owned),
            problems: problems.reported().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use cmslite_core::error::Retryable;

    use super::*;

    #[test]
    fn what_is_left_is_what_was_unsettled_and_is_neither_good_nor_bad_nor_superseded() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let object = |key: &str, seconds| Object {
            key: key.into(),
            etag: String::new(),
            last_modified: at(seconds),
            size: 1,
        };
        let unsettled =
            [object("good", 1), object("bad", 2), object("superseded", 3), object("d", 40), object("e", 50)];
        let bad = BadArchive::new("bad", "", &Problems::default());
        let good = GoodArchive {
            key: "good".into(),
            etag: String::new(),
            outcome: GoodOutcome::Loaded,
            rows: 1,
            loaded_before: None,
        };
        let mut report = Report {
            good: vec![good],
            bad: vec![bad],
            superseded: vec!["superseded".into()],
            ..Report::default()
        };
        let left = |report: &Report| (report.queue_length, report.oldest_unsettled_age_seconds);
        assert_eq!(left(&report), (None, None));
        report.record_remaining(&unsettled, at(100));
        assert_eq!(left(&report), (Some(2), Some(60)));
        report.record_remaining(&unsettled[..3], at(100));
        assert_eq!(left(&report), (Some(0), Some(0)));
        // S3's clock may be ahead of the function's.
        report.record_remaining(&unsettled, at(30));
        assert_eq!(left(&report), (Some(2), Some(0)));
    }

    #[test]
    fn a_run_that_failed_has_left_what_it_did_not_reach_or_everything() {
        let failure = Some(Failure::from(&Error::retryable(Retryable::S3Unavailable, "x")));
        let left = |failure: &Option<Failure>, not_processed: &[&str]| {
            let not_processed = not_processed.iter().map(|key| Key::from(*key)).collect();
            let report = Report { failure: failure.clone(), not_processed, ..Report::default() };
            ["a", "b"].map(|key| report.has_left(&key.into()))
        };
        assert_eq!(left(&None, &["b"]), [false, false]);
        assert_eq!(left(&failure, &["b"]), [false, true]);
        assert_eq!(left(&failure, &[]), [true, true]);
    }

    #[test]
    fn what_is_counted_is_what_the_lists_hold() {
        let archive = |key: &str| Object {
            key: key.into(),
            etag: String::new(),
            last_modified: DateTime::default(),
            size: 10,
        };
        let tables = |key: &str| {
            Some(vec![LoadedTable {
                table: "s.t".to_owned(),
                key: key.into(),
                rows: 3,
                empty_rows: 0,
                dropped_columns: DroppedColumns::default(),
            }])
        };
        let unsettled = || ArchiveEnd::Unsettled(Error::retryable(Retryable::S3Unavailable, "no marker"));
        let mut report = Report::default();
        for (key, end, loaded_tables) in [
            ("loaded", ArchiveEnd::Good, tables("loaded")),
            ("loaded before", ArchiveEnd::Good, None),
            ("superseded", ArchiveEnd::Superseded, None),
            ("bad", ArchiveEnd::Bad(Problems::default()), None),
            ("loaded, not marked", unsettled(), tables("loaded, not marked")),
            ("not loaded", unsettled(), None),
        ] {
            report.record(&archive(key), &ArchiveOutcome { loaded_tables, ..ArchiveOutcome::new(end) });
        }
        let json = serde_json::to_value(report.json(Detail::FULL)).unwrap();
        for (name, expected) in [
            ("objects_processed", 6),
            ("objects_failed", 3),
            ("objects_good", 2),
            ("objects_bad", 1),
            ("tables_loaded", 2),
            ("rows", 6),
            ("bytes", 20),
        ] {
            assert_eq!(json[name], expected, "{name}");
        }
        assert_eq!(json["not_processed"], serde_json::json!(["loaded, not marked", "not loaded"]));
        assert_eq!(json["superseded"], serde_json::json!(["superseded"]));
    }
}
