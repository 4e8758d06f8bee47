//! What a run did, for a person and for a program.

// As JSON.
mod json;
// As text for a person.
mod text;
// How much is said of long lists.
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

pub use self::detail::{Detail, Ends, MOST_BYTES, omitted};
pub use self::json::ReportJson;
pub use self::section::{Section, Shown, few};
pub use self::text::superseded;

/// Version of the JSON forms of [`Report`] and [`ErrorFile`].
pub const FORMAT_VERSION: u32 = 1;

/// What one run over one dataset did.
///
/// The lists say everything; what is counted is counted from them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// The dataset.
    pub dataset: String,
    /// Its bucket.
    pub bucket: String,
    /// The invocation.
    pub request_id: String,
    /// Archives found, settled or not.
    pub objects_found: usize,
    /// The archives that ended as good.
    pub good: Vec<GoodArchive>,
    /// The archives that ended as bad, and why.
    pub bad: Vec<BadArchive>,
    /// The archives that were worked on and left unsettled.
    pub unsettled: Vec<Key>,
    /// The archives that were worked on and found older than what the tables hold.
    pub found_superseded: Vec<Key>,
    /// The archives of the queue that were not reached or left unsettled.
    pub not_processed: Vec<Key>,
    /// The archive that is too large for this run's time: it, and what waits behind it, is left to the container task.
    pub left_to_task: Option<Key>,
    /// The archives that were settled already when the run came to them: another had done it since they were listed,
    /// or before their event came.
    pub settled_meanwhile: Vec<Key>,
    /// The archives that are older than the newest that is not bad: not loaded, unless that is found bad.
    pub superseded: Vec<Key>,
    /// How many there are that are older than these.
    pub superseded_further: usize,
    /// The objects that are no archives for their keys alone: somebody must rename them.
    pub unusable_keys: Vec<PassedOverObject>,
    /// The tables loaded.
    pub loaded_tables: Vec<LoadedTable>,
    /// The tables that Redshift refused a row for, or that would have shrunk.
    pub failed_tables: Vec<String>,
    /// The tables that a load emptied.
    pub emptied_tables: Vec<TableEmptied>,
    /// The tables that got fewer rows than the configuration allows, because the run was told to accept them.
    pub accepted_shrinks: Vec<AcceptedShrink>,
    /// The markers that lack something of the archives that they stand for.
    pub incomplete_markers: Vec<IncompleteMarker>,
    /// Bytes of archives loaded.
    pub bytes: u64,
    /// Seconds by phase.
    pub seconds: PhaseSeconds,
    /// Archives that the run left unsettled, superseded ones aside; none where S3 could not be asked.
    pub queue_length: Option<usize>,
    /// Seconds since the oldest of them was uploaded, 0 when there is none.
    pub oldest_unsettled_age_seconds: Option<u64>,
    /// Why the run ended early, if it did.
    pub failure: Option<Failure>,
}

/// What became of one archive that a run worked on.
#[derive(Debug)]
pub struct ArchiveOutcome {
    /// How it ended.
    pub end: ArchiveEnd,
    /// The tables that this run loaded from it; none where the transaction was not committed or not begun.
    pub loaded_tables: Option<Vec<LoadedTable>>,
    /// The tables that Redshift refused a row for, or that would have shrunk.
    pub failed_tables: Vec<String>,
    /// What is conspicuous about the rows that it brought.
    pub judged: JudgedRows,
    /// What its marker lacks of it, each in words.
    pub marker_lacks: Vec<String>,
    /// The earlier load of this archive or of the same bytes, where the ledger knows one.
    pub loaded_before: Option<LedgerRow>,
    /// Whether it was not loaded since its bytes were loaded under another key.
    pub is_repeated: bool,
    /// The SHA-256 of its bytes, where these were read and not loaded.
    pub unloaded_sha256: Option<String>,
}

/// A marker that lacks something of its archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct IncompleteMarker {
    /// The archive's key.
    pub key: Key,
    /// What is missing, each in words.
    pub lacks: Vec<String>,
}

/// How an archive ended.
#[derive(Debug)]
pub enum ArchiveEnd {
    /// Loaded, now or before, and settled as good.
    Good,
    /// The tables hold a newer archive: never loaded.
    Superseded,
    /// Too large for this run's time, and left unsettled.
    LeftToTask,
    /// Settled as bad.
    Bad(Problems),
    /// Left unsettled.
    Unsettled(Error),
}

/// An archive that ended as good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GoodArchive {
    /// Its key.
    pub key: Key,
    /// Its revision.
    pub etag: String,
    /// Whether this run loaded it, or an earlier one had.
    pub outcome: GoodOutcome,
    /// Rows loaded by this run.
    pub rows: u64,
    /// The earlier load that is why it was not loaded; or, of one that was loaded, that of the same bytes under another
    /// key.
    pub loaded_before: Option<LedgerRow>,
}

/// How an archive came to be good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GoodOutcome {
    /// This run loaded it.
    Loaded,
    /// The ledger says that it was loaded before, or the same bytes under its key; this run only settled it.
    AlreadyLoaded,
    /// The ledger says that the same bytes were loaded under another key, and the configuration skips such archives; this
    /// run only settled it.
    Repeated,
}

/// An archive that ended as bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BadArchive {
    /// Its key.
    pub key: Key,
    /// Its revision.
    pub etag: String,
    /// How many problems were found.
    pub problems_found: u64,
    /// Why there may be more than were found; none where nothing is known to have been left out.
    pub incomplete: Option<String>,
    /// The first of them.
    pub problems: Vec<Problem>,
}

/// An object that `doc` matches and that is no archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PassedOverObject {
    /// Its key.
    pub key: Key,
    /// What it is.
    pub why: PassedOver,
}

/// A table that was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LoadedTable {
    /// The table.
    pub table: String,
    /// The archive.
    pub key: Key,
    /// Rows loaded.
    pub rows: u64,
    /// Rows of the member left out since all of their cells are empty.
    pub empty_rows: u64,
    /// Columns of the member that the configuration has no column for.
    pub dropped_columns: DroppedColumns,
}

/// A table that got no rows from an archive where the load before had brought some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TableEmptied {
    /// The table.
    pub table: String,
    /// The archive.
    pub key: Key,
    /// Rows that the load before brought.
    pub rows_before: u64,
}

/// A table that got fewer rows than the configuration allows, as the run was told to accept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AcceptedShrink {
    /// The table.
    pub table: String,
    /// The archive.
    pub key: Key,
    /// The code of the problem that it would have been.
    pub code: &'static str,
    /// Rows loaded.
    pub rows: u64,
    /// The fewest that the configuration allows.
    pub expected: u64,
}

/// Why a run ended early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Failure {
    /// The stable name of the error's kind.
    pub error_type: &'static str,
    /// The whole story.
    pub message: String,
}

impl Failure {
    /// Whether it lasts until somebody who operates acts.
    pub fn lasts(&self) -> bool {
        self.error_type.starts_with("Deployment.")
    }
}

/// Time spent by phase, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, JsonSchema)]
pub struct PhaseSeconds {
    /// Listing source, good and bad.
    pub queue: f64,
    /// Reading archives, transforming and staging them.
    pub stage: f64,
    /// Loading, from connecting to COMMIT.
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
    /// Version of this form.
    pub version: u32,
    /// The dataset.
    pub dataset: &'a str,
    /// The bucket.
    pub bucket: &'a str,
    /// The archive.
    pub key: &'a str,
    /// Its revision.
    pub etag: &'a str,
    /// When it was found bad, as RFC 3339.
    pub at: String,
    /// The invocation that found it bad.
    pub request_id: &'a str,
    /// How many problems were found.
    pub problems_found: u64,
    /// Why there may be more than were found.
    pub incomplete: Option<&'a str>,
    /// The first of them.
    pub problems: &'a [Problem],
    /// Whether a message was sent of it while its marker could not be set: then none is sent again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub told: bool,
}

impl ArchiveOutcome {
    /// An archive that ended so; nothing else is known of it.
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
    /// Of a run in which nothing was done yet.
    pub fn of(dataset: &Dataset, request_id: &str) -> Self {
        Self {
            dataset: dataset.name.clone(),
            bucket: dataset.bucket.clone(),
            request_id: request_id.to_owned(),
            ..Self::default()
        }
    }

    /// Records what became of an archive.
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

    /// Says which objects a plan passes over that somebody must rename.
    pub fn record_unusable_keys(&mut self, passed_over: &[(Key, PassedOver)]) {
        let unusable = passed_over.iter().filter(|(_, why)| why.is_unusable_key());
        self.unusable_keys =
            unusable.map(|(key, why)| PassedOverObject { key: key.clone(), why: *why }).collect();
    }

    /// Whether the run has left something undone that was asked of it about this key. A run that failed without
    /// having begun has left everything.
    pub fn has_left(&self, key: &Key) -> bool {
        self.failure.is_some() && (self.not_processed.is_empty() || self.not_processed.contains(key))
    }

    /// Archives worked on in this run.
    pub fn objects_processed(&self) -> usize {
        self.good.len() + self.found_superseded.len() + self.objects_failed()
    }

    /// Archives worked on that ended as bad or were left unsettled.
    pub fn objects_failed(&self) -> usize {
        self.bad.len() + self.unsettled.len()
    }

    /// Rows loaded.
    pub fn rows(&self) -> u64 {
        rows(&self.loaded_tables)
    }

    /// Says what the run has left, at `now`, of the archives that were unsettled when it began.
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
    /// An archive and what is wrong with it.
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
