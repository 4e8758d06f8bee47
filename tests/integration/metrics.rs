//! Tests the metrics for CloudWatch: they are valid, agree with the report, and include all that the
//! template's alarms and dashboard use.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use devstack::lambda::Outcome;
use devstack::s3;
use devstack::stack::function_keys;
use serde_json::{Value, json};

use crate::harness::{Harness, moment, moto, sample, sample_with, told};

const DATASET: &str = "cmslite_user_group_metadata";

const GROUPS: &str = "analytics_group.csv";

const GROUPS_HEADER: &str = "id,name,active,site_key\n";

const NAMESPACE: &str = "CmsLiteUserData";

/// The metrics that say where an operator must correct a failure.
const AREAS: [&str; 4] = ["LoginFailures", "TableFailures", "StorageFailures", "ConfigurationFailures"];

/// Amazon CloudWatch API Reference, MetricDatum.
const UNITS: &str = "Seconds Microseconds Milliseconds Bytes Kilobytes Megabytes Gigabytes Terabytes Bits Kilobits Megabits Gigabits Terabits \
                     Percent Count Bytes/Second Kilobytes/Second Megabytes/Second Gigabytes/Second Terabytes/Second Bits/Second Kilobits/Second \
                     Megabits/Second Gigabits/Second Terabits/Second Count/Second None";

/// A line of metrics: their units and values, and the invocation.
#[derive(Debug, Clone)]
struct Line {
    request_id: String,
    error_type: Option<String>,
    metrics: BTreeMap<String, (String, f64)>,
}

impl Line {
    #[track_caller]
    fn value(&self, name: &str) -> f64 {
        self.metrics.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}")).1
    }

    #[track_caller]
    fn is(&self, expected: &[(&str, f64)]) {
        for (name, value) in expected {
            assert!((self.value(name) - value).abs() < 1e-9, "{name} is not {value}: {self:?}");
        }
    }
}

/// Reads a line as CloudWatch would (Amazon CloudWatch User Guide, "Specification: Embedded metric format":
/// the text and its JSON schema).
#[track_caller]
fn valid(text: &str) -> Line {
    let line: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let root = line.as_object().unwrap();
    let aws = root["_aws"].as_object().unwrap();
    assert_eq!(aws.keys().collect::<Vec<_>>(), ["CloudWatchMetrics", "Timestamp"], "{text}");
    let age = chrono::Utc::now().timestamp_millis() - aws["Timestamp"].as_i64().unwrap();
    assert!((0..600_000).contains(&age), "{text}");
    let [directive] = aws["CloudWatchMetrics"].as_array().unwrap().as_slice() else { panic!("{text}") };
    assert_eq!(
        directive.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["Dimensions", "Metrics", "Namespace"],
        "{text}"
    );
    assert_eq!(
        (&directive["Namespace"], &directive["Dimensions"]),
        (&json!(NAMESPACE), &json!([["Dataset"]])),
        "{text}"
    );
    assert_eq!(root["Dataset"], json!(DATASET), "{text}");
    let definitions = directive["Metrics"].as_array().unwrap();
    assert!((1..=100).contains(&definitions.len()));
    let mut metrics = BTreeMap::new();
    for definition in definitions {
        assert_eq!(definition.as_object().unwrap().keys().collect::<Vec<_>>(), ["Name", "Unit"], "{text}");
        let (name, unit) = (definition["Name"].as_str().unwrap(), definition["Unit"].as_str().unwrap());
        assert!(
            (1..=255).contains(&name.len()) && name.is_ascii() && UNITS.split(' ').any(|known| known == unit),
            "{name} in {unit}"
        );
        let value = root[name].as_f64().unwrap_or_else(|| panic!("{name} is no number: {text}"));
        assert!(value.is_finite() && value >= 0.0, "{name}: {text}");
        assert!(metrics.insert(name.to_owned(), (unit.to_owned(), value)).is_none(), "{name} twice");
    }
    let others: BTreeSet<&str> =
        root.keys().map(String::as_str).filter(|name| !metrics.contains_key(*name)).collect();
    assert!(others.is_subset(&BTreeSet::from(["_aws", "Dataset", "request_id", "error_type"])), "{others:?}");
    let request_id = root["request_id"].as_str().unwrap().to_owned();
    Line {
        request_id,
        error_type: root.get("error_type").map(|error| error.as_str().unwrap().to_owned()),
        metrics,
    }
}

/// Returns every line of metrics that a function wrote.
#[track_caller]
fn lines(log: &str) -> Vec<Line> {
    log.lines().filter(|line| line.contains("_aws")).map(valid).collect()
}

/// Returns the reports in a function's log, by invocation.
fn reports(log: &str) -> BTreeMap<String, Value> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let reports = lines.filter(|line| line["message"] == "report").map(|line| {
        let report = serde_json::from_str(line["report"].as_str().unwrap()).unwrap();
        (line["request_id"].as_str().unwrap().to_owned(), report)
    });
    reports.collect()
}

/// Compares a line with the report of its invocation.
#[track_caller]
fn agrees(line: &Line, report: &Value) {
    let good = |outcome: &str| {
        report["good"].as_array().unwrap().iter().filter(|archive| archive["outcome"] == outcome).count()
            as f64
    };
    let count = |list: &str| report[list].as_array().unwrap().len() as f64;
    line.is(&[
        ("ArchivesLoaded", good("loaded")),
        ("ArchivesAlreadyLoaded", good("already_loaded")),
        ("ArchivesBad", count("bad")),
        ("ArchivesSuperseded", count("superseded")),
        ("ArchivesNotProcessed", count("not_processed")),
        ("RowsLoaded", report["rows"].as_f64().unwrap()),
        ("BytesLoaded", report["bytes"].as_f64().unwrap()),
        ("EmptiedTables", count("emptied_tables")),
    ]);
    for (phase, name) in [
        ("queue", "QueueSeconds"),
        ("stage", "StageSeconds"),
        ("load", "LoadSeconds"),
        ("settle", "SettleSeconds"),
    ] {
        line.is(&[(name, report["seconds"][phase].as_f64().unwrap())]);
    }
    for (field, name) in
        [("queue_length", "QueueLength"), ("oldest_unsettled_age_seconds", "OldestUnsettledAge")]
    {
        assert_eq!(
            report[field].as_f64(),
            line.metrics.get(name).map(|(_, value)| *value),
            "{name}: {line:?}"
        );
    }
    let failure = report["failure"]["error_type"].as_str();
    assert_eq!(line.error_type.as_deref(), failure);
    let is = |class: &str| f64::from(u8::from(failure.is_some_and(|failure| failure.starts_with(class))));
    line.is(&[("DeploymentFailures", is("Deployment.")), ("RetryableFailures", is("Retryable."))]);
    let areas = AREAS.iter().filter(|area| line.metrics.contains_key(**area)).count();
    assert_eq!(areas, usize::from(is("Deployment.") > 0.0), "{line:?}");
    let used = line.value("DurationPercent");
    assert!(used > 0.0 && used < 100.0, "{used} percent");
    let memory = line.value("MemoryPeak");
    assert!((5.0..500.0).contains(&memory), "{memory} megabytes");
}

/// Checks that each report has one line of metrics that agrees with it. Returns all lines, and the last one.
async fn checked(harness: &Harness) -> (Vec<Line>, Line) {
    let log = harness.log().await;
    let (lines, reports) = (lines(&log), reports(&log));
    for line in &lines {
        agrees(line, &reports[&line.request_id]);
    }
    assert_eq!(lines.len(), reports.len());
    let last = lines.last().unwrap().clone();
    (lines, last)
}

#[track_caller]
fn failed(outcome: Outcome) -> String {
    let Outcome::Failed { error_type, .. } = outcome else { panic!("{outcome:?}") };
    error_type
}

/// Appends archives that are loaded, bad, behind a bad one, or already loaded, with failures of both classes.
async fn appending() -> Vec<Line> {
    let harness = Harness::builder().appending().start().await;
    let archive = sample(1, 10);
    let a = harness.put("a", &archive, 1);
    Harness::report(harness.invoke(&a).await);
    let (_, last) = checked(&harness).await;
    last.is(&[
        ("ArchivesLoaded", 1.0),
        ("RowsLoaded", 40.0),
        ("BytesLoaded", archive.len() as f64),
        ("QueueLength", 0.0),
        ("OldestUnsettledAge", 0.0),
    ]);

    let loaded = harness.put("loaded", &sample(4, 5), 2);
    harness.stack.s3.inject(s3::Fault::on("CopyObject", "", s3::Action::Refuse(503, "SlowDown".to_owned())));
    assert_eq!(failed(harness.invoke(&loaded).await), "Retryable.S3Unavailable");
    checked(&harness).await.1.is(&[
        ("ArchivesLoaded", 0.0),
        ("ArchivesNotProcessed", 1.0),
        ("RowsLoaded", 20.0),
        ("QueueLength", 1.0),
    ]);
    harness.stack.s3.clear_faults();
    Harness::report(harness.invoke(&loaded).await);
    checked(&harness).await.1.is(&[
        ("ArchivesLoaded", 0.0),
        ("ArchivesAlreadyLoaded", 1.0),
        ("RowsLoaded", 0.0),
        ("QueueLength", 0.0),
    ]);

    harness.put("b", b"no archive", 3);
    let c = harness.put("c", &sample(2, 5), 4);
    assert_eq!(failed(harness.invoke(&c).await), "Retryable.StoppedAtBadArchive");
    let (_, last) = checked(&harness).await;
    last.is(&[
        ("ArchivesBad", 1.0),
        ("ArchivesNotProcessed", 1.0),
        ("QueueLength", 1.0),
        ("RetryableFailures", 1.0),
        ("DeploymentFailures", 0.0),
    ]);
    let age = (chrono::Utc::now() - moment(4)).num_seconds() as f64;
    assert!((last.value("OldestUnsettledAge") - age).abs() < 60.0, "{last:?}");

    harness.admin("REVOKE INSERT ON cmslite.user_group FROM cmslite_loader").await;
    assert!(failed(harness.invoke(&c).await).starts_with("Deployment."));
    checked(&harness).await.1.is(&[
        ("ArchivesNotProcessed", 1.0),
        ("QueueLength", 1.0),
        ("RetryableFailures", 0.0),
        ("DeploymentFailures", 1.0),
        ("TableFailures", 1.0),
    ]);
    harness.admin("GRANT INSERT ON cmslite.user_group TO cmslite_loader").await;

    harness.stack.s3.inject(s3::Fault::on(
        "ListObjectsV2",
        "",
        s3::Action::Refuse(503, "SlowDown".to_owned()),
    ));
    assert_eq!(failed(harness.sweep().await), "Retryable.S3Unavailable");
    let (_, last) = checked(&harness).await;
    assert!(
        !last.metrics.contains_key("QueueLength") && !last.metrics.contains_key("OldestUnsettledAge"),
        "{last:?}"
    );
    harness.stack.s3.clear_faults();

    // The event of an earlier archive leaves later uploads alone.
    let d = harness.put("d", &sample(3, 5), 5);
    Harness::report(harness.invoke(&c).await);
    checked(&harness).await.1.is(&[
        ("ArchivesLoaded", 1.0),
        ("ArchivesNotProcessed", 0.0),
        ("QueueLength", 1.0),
    ]);

    // The key belongs to no dataset, so there is no work and no metric.
    let Outcome::Ok(_) = harness.invoke("client/other/x.tgz").await else { panic!() };
    Harness::report(harness.invoke(&d).await);
    let lines = checked(&harness).await.0;
    assert_eq!(lines.len(), harness.lambda.history().len() - 1);
    lines
}

async fn replacing() -> Vec<Line> {
    let harness = Harness::start().await;
    harness.put("a", &sample(1, 5), 1);
    let b = harness.put("b", &sample(2, 7), 2);
    Harness::report(harness.invoke(&b).await);
    let (_, last) = checked(&harness).await;
    last.is(&[
        ("ArchivesLoaded", 1.0),
        ("ArchivesSuperseded", 1.0),
        ("QueueLength", 0.0),
        ("OldestUnsettledAge", 0.0),
        ("EmptiedTables", 0.0),
    ]);

    Harness::report(harness.invoke(&harness.put("c", &sample_with(GROUPS, GROUPS_HEADER), 3)).await);
    checked(&harness).await.1.is(&[("ArchivesLoaded", 1.0), ("EmptiedTables", 1.0)]);
    harness.log().await.lines().find(|line| line.contains("cmslite.cms_group is emptied")).unwrap();
    checked(&harness).await.0
}

/// A failure before any dataset is processed counts for each of them.
async fn failing_before_any() -> Vec<Line> {
    let mut seen = Vec::new();
    let unready = Harness::builder().env("PGPORT", "none").start().await;
    assert_eq!(failed(unready.sweep().await), "Deployment.Configuration");
    let misconfigured = Harness::builder().config("{").start().await;
    assert_eq!(failed(misconfigured.sweep().await), "Deployment.Configuration");
    let harness = Harness::start().await;
    assert_eq!(failed(harness.lambda.invoke(json!({"what": "is this"})).await), "Deployment.UnknownEvent");
    for harness in [unready, misconfigured, harness] {
        let lines = lines(&harness.log().await);
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        line.is(&[("DeploymentFailures", 1.0), ("ConfigurationFailures", 1.0)]);
        line.is(&[("RetryableFailures", 0.0), ("ArchivesLoaded", 0.0)]);
        assert!(!line.metrics.contains_key("QueueLength"));
        assert_eq!(line.request_id, harness.lambda.history()[0].request_id);
        seen.extend(lines);
    }
    seen
}

/// A failure for the operator is counted in the metric of its area.
async fn failing_by_area() -> Vec<Line> {
    let refused = |keys: s3::Credentials| s3::Credentials { secret_access_key: "other".to_owned(), ..keys };
    let mut seen = Vec::new();
    for (builder, area) in [
        (Harness::builder().env("pgpass", "wrong"), "LoginFailures"),
        (Harness::builder().keys(refused(function_keys())), "StorageFailures"),
    ] {
        let harness = builder.start().await;
        let error_type = failed(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
        assert!(error_type.starts_with("Deployment."), "{error_type}");
        let (lines, last) = checked(&harness).await;
        last.is(&[("DeploymentFailures", 1.0), (area, 1.0)]);
        seen.extend(lines);
    }
    seen
}

async fn out_of_time() -> Vec<Line> {
    let harness = Harness::builder().timeout(Duration::from_secs(14)).start().await;
    assert_eq!(failed(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await), "Retryable.DeadlineNear");
    let (lines, last) = checked(&harness).await;
    last.is(&[("RetryableFailures", 1.0), ("QueueLength", 1.0)]);
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_valid_agree_with_the_report_and_are_all_that_the_template_looks_at() {
    let (one, two, three, four, five) =
        tokio::join!(appending(), replacing(), failing_before_any(), failing_by_area(), out_of_time());
    let seen = [one, two, three, four, five].concat();

    let emitted: BTreeMap<String, String> = seen
        .iter()
        .flat_map(|line| line.metrics.iter().map(|(name, (unit, _))| (name.clone(), unit.clone())))
        .collect();
    let template = template();
    let watched = watched(&template);
    let alarmed = watched.iter().filter(|metric| metric.by.ends_with("Alarm")).count();
    assert!(alarmed >= 7 && watched.len() - alarmed >= 17, "{watched:?}");
    assert_eq!(unknown(&watched, &emitted), Vec::<String>::new());

    // Tests the comparison itself: a metric that nobody emits, another namespace and another dimension are
    // found.
    let text = template.to_string();
    for (from, to) in [
        ("ArchivesBad", "ArchivesRotten"),
        (NAMESPACE, "CmsLite"),
        ("\"Dataset\"", "\"Data\""),
        ("\\\"Dataset\\\"", "\\\"Data\\\""),
    ] {
        assert!(text.contains(from), "{from}");
        let changed: Value = serde_json::from_str(&text.replace(from, to)).unwrap();
        assert!(!unknown(&self::watched(&changed), &emitted).is_empty(), "{from} -> {to}");
    }

    let watched: BTreeSet<&str> = watched.iter().map(|metric| metric.name.as_str()).collect();
    let unwatched: Vec<&String> = emitted.keys().filter(|name| !watched.contains(name.as_str())).collect();
    assert!(unwatched.is_empty(), "nobody looks at {unwatched:?}");
    documented(&template, &emitted);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_counts_nothing() {
    let harness = Harness::start().await;
    harness.put("a", &sample(1, 5), 1);
    let (output, _directory) = harness.command(&["load", harness.config_file().to_str().unwrap()]).await;
    assert!(output.status.success() && harness.is_good("a"));
    assert!(!told(&output).contains("_aws"));
}

/// Returns the template as JSON, with the long forms of CloudFormation's functions.
fn template() -> Value {
    let read = r#"
import json, sys, yaml

def short(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else "Fn::" + suffix: value}

yaml.SafeLoader.add_multi_constructor("!", short)
json.dump(yaml.safe_load(open(sys.argv[1], encoding="utf-8")), sys.stdout, default=str)
"#;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/template.yaml");
    let output = Command::new(moto::bin().join("python")).args(["-c", read, path]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A metric that an alarm or the dashboard uses.
#[derive(Debug)]
struct Watched {
    by: String,
    namespace: String,
    name: String,
    dimensions: BTreeMap<String, String>,
}

/// Returns a text of the template, with the defaults of parameters and the names of resources.
fn resolved(template: &Value, value: &Value) -> String {
    if let Some(text) = value.as_str() {
        return text.to_owned();
    }
    if let Some(name) = value["Ref"].as_str() {
        return default(template, name);
    }
    if let Some(text) = value["Fn::GetAtt"].as_str() {
        return text.to_owned();
    }
    let text = value["Fn::Sub"].as_str().unwrap_or_else(|| panic!("{value}"));
    let mut parts = text.split("${");
    let mut resolved = parts.next().unwrap().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('}').unwrap();
        resolved += &default(template, name);
        resolved += rest;
    }
    resolved
}

fn default(template: &Value, name: &str) -> String {
    match &template["Parameters"][name]["Default"] {
        Value::Null => name.to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn watched(template: &Value) -> Vec<Watched> {
    let mut watched = Vec::new();
    for (by, resource) in template["Resources"].as_object().unwrap() {
        let properties = &resource["Properties"];
        if resource["Type"] == "AWS::CloudWatch::Alarm" {
            let stats = properties["Metrics"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|query| &query["MetricStat"]["Metric"]);
            let metrics: Vec<&Value> =
                stats.chain([properties]).filter(|metric| metric["MetricName"].is_string()).collect();
            assert!(!metrics.is_empty(), "{by} looks at nothing");
            watched.extend(metrics.into_iter().map(|metric| {
                Watched {
                    by: by.clone(),
                    namespace: resolved(template, &metric["Namespace"]),
                    name: resolved(template, &metric["MetricName"]),
                    dimensions: metric["Dimensions"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|dimension| {
                            (resolved(template, &dimension["Name"]), resolved(template, &dimension["Value"]))
                        })
                        .collect(),
                }
            }));
        } else if resource["Type"] == "AWS::CloudWatch::Dashboard" {
            let body: Value =
                serde_json::from_str(&resolved(template, &properties["DashboardBody"])).unwrap();
            for metric in body["widgets"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|widget| widget["properties"]["metrics"].as_array().into_iter().flatten())
            {
                let texts: Vec<&str> = metric.as_array().unwrap().iter().filter_map(Value::as_str).collect();
                let [namespace, name, dimensions @ ..] = texts.as_slice() else { panic!("{metric}") };
                let dimensions =
                    dimensions.chunks(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect();
                watched.push(Watched {
                    by: by.clone(),
                    namespace: (*namespace).to_owned(),
                    name: (*name).to_owned(),
                    dimensions,
                });
            }
        }
    }
    watched
}

/// Returns the metrics that are used but that neither the function nor AWS emits.
fn unknown(watched: &[Watched], emitted: &BTreeMap<String, String>) -> Vec<String> {
    let is_known = |metric: &&Watched| {
        let dimensions: Vec<(&str, &str)> =
            metric.dimensions.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        match metric.namespace.as_str() {
            NAMESPACE => dimensions == [("Dataset", DATASET)] && emitted.contains_key(&metric.name),
            // AWS Lambda Developer Guide, "Types of metrics for Lambda functions".
            "AWS/Lambda" => dimensions == [("FunctionName", "Loader")] && metric.name == "Errors",
            // Amazon SQS Developer Guide, "Available CloudWatch metrics for Amazon SQS".
            "AWS/SQS" => {
                dimensions == [("QueueName", "FailedEvents.QueueName")]
                    && metric.name == "ApproximateNumberOfMessagesVisible"
            }
            _ => false,
        }
    };
    watched.iter().filter(|metric| !is_known(metric)).map(|metric| format!("{metric:?}")).collect()
}

/// Checks that each alarm notifies somebody, states how to treat missing data, and names a heading of the
/// runbook, and that each metric is documented.
#[track_caller]
fn documented(template: &Value, emitted: &BTreeMap<String, String>) {
    let runbook = include_str!("../../docs/runbook.md");
    let headings: BTreeSet<String> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .map(|heading| heading.to_lowercase().replace(':', "").replace(' ', "-"))
        .collect();
    let mut told = BTreeSet::new();
    for (name, alarm) in template["Resources"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, resource)| resource["Type"] == "AWS::CloudWatch::Alarm")
    {
        let properties = &alarm["Properties"];
        assert_eq!(properties["AlarmActions"], json!([{"Ref": "Notices"}]), "{name}");
        assert!(properties["TreatMissingData"].is_string(), "{name}");
        let description = resolved(template, &properties["AlarmDescription"]);
        let (_, anchor) =
            description.split_once("docs/runbook.md#").unwrap_or_else(|| panic!("{name} names no runbook"));
        assert!(headings.contains(anchor) && told.insert(anchor.to_owned()), "{name}: {anchor}");
        let alarm_name = resolved(template, &properties["AlarmName"]).replace("AWS::StackName", "STACK");
        assert!(runbook.contains(&format!("`{alarm_name}`")), "{alarm_name}");
    }
    assert_eq!(told, headings);
    let rows: BTreeMap<String, String> = include_str!("../../docs/reference/metrics.md")
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            (cells.len() == 5 && cells[1].starts_with('`'))
                .then(|| (cells[1].trim_matches('`').to_owned(), cells[2].to_owned()))
        })
        .collect();
    assert_eq!(&rows, emitted);
}

/// A load that cannot start counts only for the dataset that it names.
#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_cannot_start_counts_for_its_own_dataset() {
    let harness = Harness::start().await;
    for (named, dataset) in
        [("people.v2", "people.v2"), ("/none/people.v2.json", "people.v2"), ("people", "people")]
    {
        let (output, _directory) = harness.command(&["load", named, "--metrics"]).await;
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        let line = stderr.lines().find(|line| line.contains("_aws")).unwrap_or_else(|| panic!("{stderr}"));
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["Dataset"], json!(dataset), "{named}: {line}");
    }
}
