//! Writes the metrics for CloudWatch: a report as one line of the embedded metric format, which CloudWatch
//! Logs reads from the output of the function and of a container task (Amazon CloudWatch User Guide,
//! "Specification: Embedded metric format").
//!
//! The only dimension is the dataset: each further value of a dimension would be another metric, with its own
//! cost and alarm. The values that identify one invocation are plain members of the line, for CloudWatch Logs
//! Insights.

use std::io;

use chrono::{DateTime, Utc};
use cmslite_core::error::{Area, Error};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::report::{GoodOutcome, Report};

/// The metrics' namespace.
pub const NAMESPACE: &str = "CmsLiteUserData";

/// The metrics' only dimension.
pub const DIMENSION: &str = "Dataset";

/// The units of CloudWatch that the metrics use (Amazon CloudWatch API Reference, MetricDatum).
mod unit {
    pub(super) const COUNT: &str = "Count";
    pub(super) const BYTES: &str = "Bytes";
    pub(super) const MEGABYTES: &str = "Megabytes";
    pub(super) const SECONDS: &str = "Seconds";
    pub(super) const PERCENT: &str = "Percent";
}

/// The time and memory that a run has used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RunMetrics {
    /// The percentage of its time limit; `None` if there is no limit.
    pub duration_percent: Option<f64>,
    /// The process's peak memory in megabytes of 2^20 bytes, the unit of Lambda's limit; `None` if the system
    /// does not report it.
    pub memory_peak_megabytes: Option<f64>,
}

impl RunMetrics {
    /// Returns what a run that began at `begun` has used so far.
    pub fn since(begun: Instant, deadline: Option<Instant>) -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            duration_percent: deadline.map(|deadline| percent(begun, deadline, Instant::now())),
            memory_peak_megabytes: memory_peak_megabytes(&status),
        }
    }

    /// Returns the metrics of one run over one dataset, as one line of the embedded metric format.
    pub fn to_emf_line(&self, report: &Report, failure: Option<&Error>, now: DateTime<Utc>) -> String {
        let mut root = Map::new();
        let mut definitions = Vec::new();
        for (name, unit, value) in self.metrics(report, failure) {
            // An unknown value is not a number, and is left out.
            if value.is_number() {
                definitions.push(json!({"Name": name, "Unit": unit}));
                root.insert(name.to_owned(), value);
            }
        }
        let directive = json!({"Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": definitions});
        root.insert(
            "_aws".to_owned(),
            json!({"Timestamp": now.timestamp_millis(), "CloudWatchMetrics": [directive]}),
        );
        root.insert(DIMENSION.to_owned(), dimension_value(&report.dataset).into());
        root.insert("request_id".to_owned(), report.request_id.clone().into());
        if let Some(error) = failure {
            root.insert("error_type".to_owned(), error.error_type().into());
        }
        Value::Object(root).to_string()
    }

    fn metrics(&self, report: &Report, failure: Option<&Error>) -> Vec<(&'static str, &'static str, Value)> {
        let good = |outcome| report.good.iter().filter(|archive| archive.outcome == outcome).count();
        vec![
            ("ArchivesLoaded", unit::COUNT, json!(good(GoodOutcome::Loaded))),
            (
                "ArchivesAlreadyLoaded",
                unit::COUNT,
                json!(good(GoodOutcome::AlreadyLoaded) + good(GoodOutcome::Repeated)),
            ),
            ("ArchivesBad", unit::COUNT, json!(report.bad.len())),
            ("ArchivesSuperseded", unit::COUNT, json!(report.superseded.len() + report.superseded_further)),
            ("ArchivesNotProcessed", unit::COUNT, json!(report.not_processed.len())),
            ("UnusableKeys", unit::COUNT, json!(report.unusable_keys.len())),
            ("RowsLoaded", unit::COUNT, json!(report.rows())),
            ("EmptiedTables", unit::COUNT, json!(report.emptied_tables.len())),
            ("BytesLoaded", unit::BYTES, json!(report.bytes)),
            ("QueueLength", unit::COUNT, json!(report.queue_length)),
            ("OldestUnsettledAge", unit::SECONDS, json!(report.oldest_unsettled_age_seconds)),
            ("QueueSeconds", unit::SECONDS, json!(report.seconds.queue)),
            ("StageSeconds", unit::SECONDS, json!(report.seconds.stage)),
            ("LoadSeconds", unit::SECONDS, json!(report.seconds.load)),
            ("SettleSeconds", unit::SECONDS, json!(report.seconds.settle)),
            ("DurationPercent", unit::PERCENT, json!(self.duration_percent)),
            ("MemoryPeak", unit::MEGABYTES, json!(self.memory_peak_megabytes)),
            (
                "DeploymentFailures",
                unit::COUNT,
                json!(u8::from(matches!(failure, Some(Error::Deployment(_))))),
            ),
            ("RetryableFailures", unit::COUNT, json!(u8::from(matches!(failure, Some(Error::Retryable(_)))))),
        ]
        .into_iter()
        .chain(failed_area(failure).map(|name| (name, unit::COUNT, json!(1))))
        .collect()
    }
}

/// Returns the metric of the area that must be corrected, so that an alarm can name it. There is none if
/// nothing failed: a metric costs for each hour in which it is written.
fn failed_area(failure: Option<&Error>) -> Option<&'static str> {
    let Some(Error::Deployment(fault)) = failure else { return None };
    Some(match fault.kind.area() {
        Area::Login => "LoginFailures",
        Area::Tables => "TableFailures",
        Area::Storage => "StorageFailures",
        Area::Configuration => "ConfigurationFailures",
    })
}

/// Returns how much of the time from `begun` to `deadline` is used, in percent; 100 if there is no time at
/// all.
fn percent(begun: Instant, deadline: Instant, now: Instant) -> f64 {
    let limit = deadline.saturating_duration_since(begun);
    let used = now.saturating_duration_since(begun);
    if limit.is_zero() { 100.0 } else { thousandths(used.as_secs_f64() / limit.as_secs_f64() * 100.0) }
}

/// Returns the peak resident memory from `/proc/self/status`: `VmHWM` in units of 1024 bytes
/// (proc_pid_status(5)).
fn memory_peak_megabytes(status: &str) -> Option<f64> {
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = peak.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(thousandths(kibibytes / 1024.0))
}

fn thousandths(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// Returns a dataset's name as the value of a dimension, which must be printable ASCII (Amazon CloudWatch API
/// Reference, Dimension): CloudWatch would silently drop the whole line for any other character.
fn dimension_value(dataset: &str) -> String {
    dataset
        .chars()
        .map(|letter| if letter == ' ' || letter.is_ascii_graphic() { letter } else { '?' })
        .collect()
}

/// Writes the metrics of a run that began at `begun` as a separate, complete line for CloudWatch Logs. It
/// bypasses the log, whose lines add other members.
pub fn emit(
    mut output: impl io::Write,
    begun: Instant,
    deadline: Option<Instant>,
    report: &Report,
    failure: Option<&Error>,
) {
    let line = RunMetrics::since(begun, deadline).to_emf_line(report, failure, Utc::now());
    // A failure to write metrics does not fail the run.
    let _ = output.write_all(format!("{line}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cmslite_core::error::{Deployment, Retryable};

    use super::*;

    fn parsed(report: &Report, failure: Option<&Error>, metrics: RunMetrics) -> Value {
        let line =
            metrics.to_emf_line(report, failure, DateTime::from_timestamp_millis(1_700_000_000_123).unwrap());
        assert!(!line.contains('\n'));
        serde_json::from_str(&line).unwrap()
    }

    fn names(line: &Value) -> Vec<&str> {
        let definitions = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
        definitions.iter().map(|definition| definition["Name"].as_str().unwrap()).collect()
    }

    #[test]
    fn what_is_unknown_is_left_out() {
        let line = parsed(&Report::default(), None, RunMetrics::default());
        for name in ["QueueLength", "OldestUnsettledAge", "DurationPercent", "MemoryPeak"] {
            assert!(!names(&line).contains(&name) && line.get(name).is_none(), "{name}");
        }
        let nothing =
            RunMetrics { duration_percent: Some(f64::NAN), memory_peak_megabytes: Some(f64::INFINITY) };
        let line = parsed(&Report { queue_length: Some(0), ..Report::default() }, None, nothing);
        assert!(
            names(&line).contains(&"QueueLength")
                && !names(&line).contains(&"DurationPercent")
                && !names(&line).contains(&"MemoryPeak")
        );
    }

    #[test]
    fn a_failure_is_counted_for_who_must_act() {
        let of = |error: Error| {
            let line = parsed(&Report::default(), Some(&error), RunMetrics::default());
            (
                line["DeploymentFailures"].clone(),
                line["RetryableFailures"].clone(),
                line["error_type"].clone(),
            )
        };
        assert_eq!(
            of(Error::deployment(Deployment::Privilege, "x")),
            (json!(1), json!(0), json!("Deployment.Privilege"))
        );
        assert_eq!(
            of(Error::retryable(Retryable::DeadlineNear, "x")),
            (json!(0), json!(1), json!("Retryable.DeadlineNear"))
        );
    }

    #[test]
    fn the_dimension_is_ascii_and_the_time_in_milliseconds() {
        let line = parsed(
            &Report { dataset: "données 1".to_owned(), ..Report::default() },
            None,
            RunMetrics::default(),
        );
        assert_eq!(
            (line["Dataset"].as_str(), line["_aws"]["Timestamp"].as_i64()),
            (Some("donn?es 1"), Some(1_700_000_000_123))
        );
    }

    #[test]
    fn the_share_of_the_time_is_of_the_limit() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert!((percent(begun, at(900), at(720)) - 80.0).abs() < 1e-9);
        assert!((percent(begun, begun, at(1)) - 100.0).abs() < 1e-9);
        assert!((percent(begun, at(10), at(12)) - 120.0).abs() < 1e-9);
    }

    #[test]
    fn the_peak_of_memory_is_read_from_the_status() {
        let status = "Name:\tbootstrap\nVmPeak:\t  999999 kB\nVmHWM:\t   52736 kB\nVmRSS:\t   1 kB\n";
        assert_eq!(memory_peak_megabytes(status), Some(51.5));
        assert_eq!((memory_peak_megabytes(""), memory_peak_megabytes("VmHWM:\tmuch\n")), (None, None));
    }
}
