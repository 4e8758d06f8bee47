//! Tests the function's log: every line is JSON and names its context.

use devstack::lambda::Outcome;
use serde_json::Value;

use crate::harness::{Harness, sample, sample_with};

/// Returns the lines with this message. There must be at least one.
#[track_caller]
fn lines<'a>(lines: &'a [Value], message: &str) -> Vec<&'a Value> {
    let found: Vec<&Value> =
        lines.iter().filter(|line| line["message"].as_str().unwrap().starts_with(message)).collect();
    assert!(!found.is_empty(), "no line says {message:?}: {lines:#?}");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_says_what_it_belongs_to() {
    let harness = Harness::builder().appending().start().await;
    let (a, b, c) = (
        harness.put("a", &sample(1, 5), 1),
        harness.put("b", b"no archive", 2),
        harness.put("c", &sample(2, 5), 3),
    );
    Harness::report(harness.invoke(&a).await);
    Harness::report(harness.invoke(&b).await);
    harness.admin("REVOKE INSERT ON cmslite.user_group FROM cmslite_loader").await;
    assert!(matches!(harness.invoke(&c).await, Outcome::Failed { .. }));
    let log = harness.log().await;
    let ids: Vec<String> = harness.lambda.history().into_iter().map(|ended| ended.request_id).collect();

    let log: Vec<Value> = log
        .lines()
        .filter(|line| !line.contains("_aws"))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for line in &log {
        let names: Vec<&str> = line
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, value)| value.is_object() || value.is_array())
            .map(|(name, _)| name.as_str())
            .collect();
        assert!(names.is_empty(), "not flat: {line}");
        assert!(ids.iter().any(|id| line["request_id"] == **id), "{line}");
        assert!(
            line["timestamp"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().is_ok()
                && line["target"].is_string(),
            "{line}"
        );
        assert!(line["dataset"] == "cmslite_user_group_metadata" || line["level"] == "ERROR", "{line}");
    }
    for (message, id, archive, phase) in [
        ("queue read", 0, None, None),
        ("archive begun", 0, Some(&a), None),
        ("creating the ledger", 0, Some(&a), Some("load")),
        ("member transformed", 0, Some(&a), Some("stage")),
        ("staged", 0, Some(&a), Some("stage")),
        ("settled as good", 0, Some(&a), Some("settle")),
        ("bad input: ", 1, Some(&b), Some("settle")),
        ("settled as bad", 1, Some(&b), Some("settle")),
        ("report", 2, None, None),
    ] {
        let line = lines(&log, message)
            .into_iter()
            .rfind(|line| line["request_id"] == *ids[id])
            .unwrap_or_else(|| panic!("{message}: {log:#?}"));
        assert_eq!(
            (line["archive"].as_str(), line["phase"].as_str()),
            (archive.map(String::as_str), phase),
            "{line}"
        );
    }
    let error = log.iter().rfind(|line| line["level"] == "ERROR").unwrap();
    assert!(
        error["error_type"].as_str().unwrap().starts_with("Deployment.") && error["request_id"] == *ids[2],
        "{error}"
    );
}

/// Nothing in an archive makes a line that is not JSON, or two lines.
#[tokio::test(flavor = "multi_thread")]
async fn cells_and_keys_of_any_text_keep_a_line_one_line() {
    let harness = Harness::builder().appending().start().await;
    let key = harness.put(
        "a \"ü\"\u{2028}\\+",
        &sample_with("analytics_group.csv", "id,name,active,site_key\n\"1\n{}\\\",\"\u{1}x\"\n"),
        1,
    );
    Harness::report(harness.invoke(&key).await);
    let log = harness.log().await;
    let parsed: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert!(parsed.iter().any(|line| line["archive"] == *key));
    assert!(
        parsed
            .iter()
            .any(|line| line["message"].as_str().is_some_and(|message| message.starts_with("bad input"))),
        "{log}"
    );
}
