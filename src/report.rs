//! What a run did, for a person and for a program.

use std::collections::HashSet;
use std::fmt::{self, Write as _};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::problem::{Problem, Problems, ToldProblem};
use crate::queue::Object;

/// Version of the JSON forms of [`Report`] and [`ErrorFile`].
pub const FORMAT_VERSION: u32 = 1;

/// What one run over one dataset did.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Version of this form.
    pub version: u32,
    /// The dataset.
    pub dataset: String,
    /// Its bucket.
    pub bucket: String,
    /// The invocation.
    pub request_id: String,
    /// Archives found, settled or not.
    pub objects_found: usize,
    /// Archives worked on in this run.
    pub objects_processed: usize,
    /// Archives worked on that did not end as good.
    pub objects_failed: usize,
    /// Archives that ended as good.
    pub objects_good: usize,
    /// Archives that ended as bad.
    pub objects_bad: usize,
    /// Tables loaded, over all archives.
    pub tables_loaded: usize,
    /// The archives that ended as good.
    pub good: Vec<GoodArchive>,
    /// The archives that ended as bad, and why.
    pub bad: Vec<BadArchive>,
    /// The archives of the queue that were not reached or left unsettled.
    pub not_processed: Vec<String>,
    /// The archives that are older than the newest and never loaded.
    pub superseded: Vec<String>,
    /// The tables loaded.
    pub loaded_tables: Vec<LoadedTable>,
    /// The tables that Redshift refused a row for.
    pub failed_tables: Vec<String>,
    /// Rows loaded.
    pub rows: u64,
    /// Bytes of archives loaded.
    pub bytes: u64,
    /// Seconds by phase.
    pub seconds: Phases,
    /// Archives that the run left unsettled, superseded ones aside; none where S3 could not be asked.
    pub queue_length: Option<usize>,
    /// Seconds since the oldest of them was uploaded, 0 when there is none.
    pub oldest_unsettled_age_seconds: Option<u64>,
    /// Why the run ended early, if it did.
    pub failure: Option<Failure>,
}

/// An archive that ended as good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GoodArchive {
    /// Its key.
    pub key: String,
    /// Its revision.
    pub etag: String,
    /// Whether this run loaded it, or an earlier one had.
    pub outcome: GoodOutcome,
    /// Rows loaded by this run.
    pub rows: u64,
}

/// How an archive came to be good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GoodOutcome {
    /// This run loaded it.
    Loaded,
    /// The ledger says that it was loaded before; this run only settled it.
    AlreadyLoaded,
}

/// An archive that ended as bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BadArchive {
    /// Its key.
    pub key: String,
    /// Its revision.
    pub etag: String,
    /// How many problems were found.
    pub problems_found: u64,
    /// The first of them.
    pub problems: Vec<Problem>,
}

/// A table that was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoadedTable {
    /// The table.
    pub table: String,
    /// The archive.
    pub key: String,
    /// Rows loaded.
    pub rows: u64,
}

/// Why a run ended early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The stable name of the error's kind.
    pub error_type: &'static str,
    /// The whole story.
    pub message: String,
}

/// Time spent by phase, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Phases {
    /// Listing source, good and bad.
    pub queue: f64,
    /// Reading archives, transforming and staging them.
    pub stage: f64,
    /// Loading, from connecting to COMMIT.
    pub load: f64,
    /// Setting markers.
    pub settle: f64,
}

impl Phases {
    /// Adds `spent` to a phase, to the millisecond.
    pub fn add(phase: &mut f64, spent: Duration) {
        *phase = ((*phase + spent.as_secs_f64()) * 1000.0).round() / 1000.0;
    }
}

/// The object beside a bad marker: `NAME.tgz.error.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
    /// The first of them.
    pub problems: &'a [Problem],
}

/// An `error.json` as it is read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldErrorFile {
    /// When the archive was found bad.
    pub at: String,
    /// How many problems were found.
    pub problems_found: u64,
    /// The first of them.
    pub problems: Vec<ToldProblem>,
}

impl Report {
    /// Says what the run has left, at `now`, of the archives that were unsettled when it began.
    pub fn left_of(&mut self, unsettled: &[Object], now: DateTime<Utc>) {
        let good = self.good.iter().map(|archive| archive.key.as_str());
        let bad = self.bad.iter().map(|archive| archive.key.as_str());
        let settled: HashSet<&str> =
            good.chain(bad).chain(self.superseded.iter().map(String::as_str)).collect();
        let left = unsettled.iter().filter(|archive| !settled.contains(archive.key.as_str()));
        let (count, oldest) =
            left.fold((0, now), |(count, oldest), archive| (count + 1, oldest.min(archive.last_modified)));
        self.queue_length = Some(count);
        self.oldest_unsettled_age_seconds = Some((now - oldest).num_seconds().unsigned_abs());
    }
}

impl BadArchive {
    /// An archive and what is wrong with it.
    pub fn new(key: &str, etag: &str, problems: &Problems) -> Self {
        Self {
            key: key.to_owned(),
            etag: etag.to_owned(),
            problems_found: problems.found(),
            problems: problems.told().to_vec(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Report: {} (s3://{})", self.dataset, self.bucket)?;
        writeln!(f, "  Objects found:      {}", self.objects_found)?;
        writeln!(f, "  Objects processed:  {}", self.objects_processed)?;
        writeln!(f, "  Objects failed:     {}", self.objects_failed)?;
        writeln!(f, "  Objects good:       {}", self.objects_good)?;
        writeln!(f, "  Objects bad:        {}", self.objects_bad)?;
        writeln!(f, "  Tables loaded:      {}", self.tables_loaded)?;
        writeln!(f, "  Rows, bytes:        {}, {}", self.rows, self.bytes)?;
        let Phases { queue, stage, load, settle } = self.seconds;
        writeln!(
            f,
            "  Seconds:            queue {queue:.3}, stage {stage:.3}, load {load:.3}, settle {settle:.3}"
        )?;
        let lines: Vec<String> = self
            .good
            .iter()
            .map(|archive| match archive.outcome {
                GoodOutcome::Loaded => format!("{}: {} rows", archive.key, archive.rows),
                GoodOutcome::AlreadyLoaded => format!("{}: loaded before, now settled", archive.key),
            })
            .collect();
        list(f, "Good", &lines)?;
        let lines: Vec<String> = self.bad.iter().map(BadArchive::text).collect();
        list(f, "Bad", &lines)?;
        list(f, "Not processed", &self.not_processed)?;
        list(f, "Superseded by a newer archive, never loaded", &self.superseded)?;
        let lines: Vec<String> =
            self.loaded_tables.iter().map(|table| format!("{}: {} rows", table.table, table.rows)).collect();
        list(f, "Tables loaded", &lines)?;
        list(f, "Tables failed", &self.failed_tables)?;
        if let Some(failure) = &self.failure {
            writeln!(f, "  Ended early: {}: {}", failure.error_type, failure.message)?;
        }
        Ok(())
    }
}

impl BadArchive {
    /// Its key and its problems, a line each.
    pub fn text(&self) -> String {
        let mut text = self.key.clone();
        for problem in &self.problems {
            let _ = write!(text, "\n      {problem}");
        }
        let untold = self.problems_found.saturating_sub(self.problems.len() as u64);
        if untold > 0 {
            let _ = write!(text, "\n      and {untold} more");
        }
        text
    }
}

fn list(f: &mut fmt::Formatter<'_>, title: &str, lines: &[String]) -> fmt::Result {
    if !lines.is_empty() {
        writeln!(f, "  {title}:")?;
        for line in lines {
            writeln!(f, "    {line}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_what_was_unsettled_and_is_neither_good_nor_bad_nor_superseded() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let object = |key: &str, seconds| Object {
            key: key.to_owned(),
            etag: String::new(),
            last_modified: at(seconds),
            size: 1,
        };
        let unsettled =
            [object("good", 1), object("bad", 2), object("superseded", 3), object("d", 40), object("e", 50)];
        let bad = BadArchive::new("bad", "", &Problems::default());
        let good = GoodArchive {
            key: "good".to_owned(),
            etag: String::new(),
            outcome: GoodOutcome::Loaded,
            rows: 1,
        };
        let mut report = Report {
            good: vec![good],
            bad: vec![bad],
            superseded: vec!["superseded".to_owned()],
            ..Report::default()
        };
        let left = |report: &Report| (report.queue_length, report.oldest_unsettled_age_seconds);
        assert_eq!(left(&report), (None, None));
        report.left_of(&unsettled, at(100));
        assert_eq!(left(&report), (Some(2), Some(60)));
        report.left_of(&unsettled[..3], at(100));
        assert_eq!(left(&report), (Some(0), Some(0)));
        // S3's clock may be ahead of the function's.
        report.left_of(&unsettled, at(30));
        assert_eq!(left(&report), (Some(2), Some(0)));
    }
}
