//! Defines a report's JSON form.

use std::collections::BTreeMap;

use cmslite_core::key::Key;
use cmslite_core::text::{start_of, visible_json};
use schemars::JsonSchema;
use serde::Serialize;

use super::detail::{Detail, Ends, omitted};
use super::{
    AcceptedShrink, BadArchive, FORMAT_VERSION, Failure, GoodArchive, IncompleteMarker, LoadedTable,
    PassedOverObject, PhaseSeconds, Report, TableEmptied,
};

/// The result of one run over one dataset: its lists, and their counts, which are always complete.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Report")]
pub struct ReportJson<'a> {
    /// The version of this form.
    version: u32,
    /// The dataset's name.
    dataset: &'a str,
    /// The dataset's bucket.
    bucket: &'a str,
    /// The run's request id.
    request_id: &'a str,
    /// The number of archives found, settled or not.
    objects_found: usize,
    /// The number of archives worked on.
    objects_processed: usize,
    /// The number of archives worked on that ended as bad or were left unsettled.
    objects_failed: usize,
    /// The number of archives that ended as good.
    objects_good: usize,
    /// The number of archives that ended as bad.
    objects_bad: usize,
    /// The number of archives that are older than the newest that is not bad, including those that are only
    /// counted.
    objects_superseded: usize,
    /// The number of archives of the queue that were not reached or left unsettled.
    objects_not_processed: usize,
    /// The number of objects that are not archives because of their keys alone.
    objects_unusable_keys: usize,
    /// The number of table loads.
    tables_loaded: usize,
    /// The archives that ended as good.
    good: Ends<'a, GoodArchive>,
    /// The archives that ended as bad, and why.
    bad: Ends<'a, BadArchive>,
    /// The archives of the queue that were not reached or left unsettled.
    not_processed: Ends<'a, Key>,
    /// The archive that is too large for the time of this run. It and the archives after it are left to the
    /// container task.
    left_to_task: Option<&'a Key>,
    /// The archives that another run had settled when this one came to them.
    settled_meanwhile: Ends<'a, Key>,
    /// The archives that are older than the newest that is not bad. They are never loaded, unless that one is
    /// found bad.
    superseded: Ends<'a, Key>,
    /// The objects that are not archives because of their keys alone: they must be renamed.
    unusable_keys: Ends<'a, PassedOverObject>,
    /// The tables loaded.
    loaded_tables: Ends<'a, LoadedTable>,
    /// The tables with a row that Redshift refused, or that would have shrunk.
    failed_tables: Ends<'a, String>,
    /// The tables that a load emptied.
    emptied_tables: Ends<'a, TableEmptied>,
    /// The tables that got fewer rows than the configuration allows, because the run was told to accept them.
    accepted_shrinks: Ends<'a, AcceptedShrink>,
    /// The markers that lack something of their archives.
    incomplete_markers: Ends<'a, IncompleteMarker>,
    /// The number of elements that each list leaves out, by its name.
    omitted: BTreeMap<&'static str, usize>,
    /// The number of rows loaded.
    rows: u64,
    /// The number of bytes of the loaded archives.
    bytes: u64,
    /// The duration of each phase, in seconds.
    seconds: PhaseSeconds,
    /// The number of archives that the run left unsettled, without superseded ones; null if S3 could not be
    /// asked.
    queue_length: Option<usize>,
    /// The seconds since the oldest archive in `queue_length` was uploaded; 0 if there is none.
    oldest_unsettled_age_seconds: Option<u64>,
    /// Why the run ended early, if it did.
    failure: Option<Failure>,
}

impl Report {
    /// Returns the JSON form at this level of detail.
    pub fn json(&self, detail: Detail) -> ReportJson<'_> {
        let Detail { ends, message_bytes } = detail;
        let good = Ends::of(&self.good, ends);
        let bad = Ends::of(&self.bad, ends);
        let not_processed = Ends::of(&self.not_processed, ends);
        let settled_meanwhile = Ends::of(&self.settled_meanwhile, ends);
        let superseded = Ends::of(&self.superseded, ends);
        let unusable_keys = Ends::of(&self.unusable_keys, ends);
        let loaded_tables = Ends::of(&self.loaded_tables, ends);
        let failed_tables = Ends::of(&self.failed_tables, ends);
        let emptied_tables = Ends::of(&self.emptied_tables, ends);
        let accepted_shrinks = Ends::of(&self.accepted_shrinks, ends);
        let incomplete_markers = Ends::of(&self.incomplete_markers, ends);
        ReportJson {
            version: FORMAT_VERSION,
            dataset: &self.dataset,
            bucket: &self.bucket,
            request_id: &self.request_id,
            objects_found: self.objects_found,
            objects_processed: self.objects_processed(),
            objects_failed: self.objects_failed(),
            objects_good: self.good.len(),
            objects_bad: self.bad.len(),
            objects_superseded: self.superseded.len() + self.superseded_further,
            objects_not_processed: self.not_processed.len(),
            objects_unusable_keys: self.unusable_keys.len(),
            tables_loaded: self.loaded_tables.len(),
            omitted: omitted([
                ("good", good.omitted),
                ("bad", bad.omitted),
                ("not_processed", not_processed.omitted),
                ("settled_meanwhile", settled_meanwhile.omitted),
                ("superseded", superseded.omitted + self.superseded_further),
                ("unusable_keys", unusable_keys.omitted),
                ("loaded_tables", loaded_tables.omitted),
                ("failed_tables", failed_tables.omitted),
                ("emptied_tables", emptied_tables.omitted),
                ("accepted_shrinks", accepted_shrinks.omitted),
                ("incomplete_markers", incomplete_markers.omitted),
            ]),
            good,
            bad,
            not_processed,
            left_to_task: self.left_to_task.as_ref(),
            settled_meanwhile,
            superseded,
            unusable_keys,
            loaded_tables,
            failed_tables,
            emptied_tables,
            accepted_shrinks,
            incomplete_markers,
            rows: self.rows(),
            bytes: self.bytes,
            seconds: self.seconds,
            queue_length: self.queue_length,
            oldest_unsettled_age_seconds: self.oldest_unsettled_age_seconds,
            failure: self.failure.as_ref().map(|Failure { error_type, message }| Failure {
                error_type,
                message: start_of(message, message_bytes),
            }),
        }
    }

    /// Returns the JSON form for a log event, which contains it as text: quotes and backslashes are escaped
    /// again.
    pub fn to_log_text(&self) -> String {
        let text = |detail| {
            visible_json(&serde_json::to_string(&self.json(detail)).unwrap_or_default()).into_owned()
        };
        let escaped = |detail| serde_json::to_string(&text(detail)).unwrap_or_default();
        text(Detail::that_fits(escaped))
    }
}

#[cfg(test)]
mod tests {
    use cmslite_core::problem::Problems;
    use cmslite_core::transform::DroppedColumns;
    use serde_json::Value;

    use super::*;
    use crate::report::{GoodOutcome, MAX_BYTES};

    /// Returns a name of S3's maximum length, with the characters that are longest in JSON.
    fn name(n: usize) -> String {
        format!("{n:06}{}", "\u{1}".repeat(1_000))
    }

    fn report(archives: usize) -> Report {
        let good = |n| GoodArchive {
            key: name(n).into(),
            etag: String::new(),
            outcome: GoodOutcome::Loaded,
            rows: 1,
            loaded_before: None,
        };
        let table = |n| LoadedTable {
            table: "s.t".to_owned(),
            key: name(n).into(),
            rows: 1,
            empty_rows: 0,
            dropped_columns: DroppedColumns { count: 20, names: (0..20).map(name).collect() },
        };
        Report {
            superseded: (0..20_000).map(|n| name(n).into()).collect(),
            not_processed: (0..20_000).map(|n| name(n).into()).collect(),
            good: (0..archives).map(good).collect(),
            bad: (0..archives).map(|n| BadArchive::new(&name(n), "", &Problems::default())).collect(),
            loaded_tables: (0..archives * 4).map(table).collect(),
            failure: Some(Failure { error_type: "Retryable.Unknown", message: "\u{1}".repeat(1_000_000) }),
            ..Report::default()
        }
    }

    #[test]
    fn whatever_a_report_says_fits_a_log_event_and_counts_everything() {
        for archives in [0, 1, 500] {
            let text = report(archives).to_log_text();
            assert!(serde_json::to_string(&text).unwrap().len() < MAX_BYTES, "{archives}");
            let json: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(json["objects_superseded"], 20_000);
            assert_eq!(json["objects_good"], archives);
            let shown = json["superseded"].as_array().unwrap().len();
            assert_eq!(json["omitted"]["superseded"], 20_000 - shown);
        }
    }

    #[test]
    fn a_report_of_usual_size_is_said_in_full() {
        let report = Report {
            superseded: (0..40).map(|n| format!("client/archive_{n}.tgz").into()).collect(),
            ..Report::default()
        };
        let full = serde_json::to_string(&report.json(Detail::FULL)).unwrap();
        assert_eq!(report.to_log_text(), full);
        assert!(full.contains(r#""omitted":{}"#));
    }
}
