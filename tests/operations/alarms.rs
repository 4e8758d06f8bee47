//! Tests what the runbook says about each alarm.

use devstack::lambda::Outcome;
use devstack::s3::{Action, Fault};
use devstack::stack::{LOADER, LOADER_PASSWORD};
use serde_json::json;

use super::page::Section;
use super::reader::{Ran, Reader};
use crate::harness::{Harness, SHIPPED, expected, key, members, sample, sample_with};

const REVOKE: &str = "REVOKE INSERT ON cmslite.user_group FROM cmslite_loader";
const GRANT: &str = "GRANT INSERT ON cmslite.user_group TO cmslite_loader";

#[tokio::test(flavor = "multi_thread")]
async fn bad_archives_are_explained_and_their_correction_is_loaded() {
    let mut reader = Reader::start(SHIPPED).await;
    let (name, corrected) = ("2024-03-02", sample(4, 9));
    let bad = reader.harness.put(name, &sample_with("analytics_group.csv", "a,b\n1,2\n"), 10);
    Harness::report(reader.harness.invoke(&bad).await);
    let told = reader.moto.heard().await;
    assert!(told.len() == 1 && told[0].0.contains(name) && told[0].1.contains("2 of 4 columns"), "{told:?}");

    let mut section = Section::of("runbook.md", "Alarm: bad archives");
    let status = reader.run(section.take("status")).await;
    assert!(status.contains("bad 1") && status.contains("2 of 4 columns"), "{status}");
    reader.run(section.take("NAME=")).await;
    let explanation = reader.run(section.take("error.json")).await;
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&explanation).unwrap(),
        reader.harness.error_json(name),
        "{explanation}"
    );

    std::fs::write(reader.directory.path().join(format!("cms-analytics-csv_{name}.tgz")), &corrected)
        .unwrap();
    let mut section = Section::of("how-to/load-again.md", "Upload a corrected archive");
    reader.run(section.take("NAME=")).await;
    reader.run(section.take("aws s3 cp")).await;
    Harness::report(reader.harness.invoke(&bad).await);
    let status = reader.run(section.take("status")).await;
    assert!(
        status.contains("Queue 0, superseded 0, bad 0, good 1")
            && status.contains("Markers and ledger agree"),
        "{status}"
    );
    assert_eq!(reader.harness.tables().await, expected(&members(4, 9)));
    assert!(reader.harness.is_good(name) && !reader.harness.is_bad(name));
}

/// Checks that the archive is not loaded, that the log says why, and that `check` finds it.
async fn is_found(reader: &mut Reader, name: &str, mut section: Section, error_type: &str, obstacle: &str) {
    let archive = reader.harness.put(name, &sample(1, 5), if name == "a" { 10 } else { 20 });
    let Outcome::Failed { error_type: failed, .. } = reader.harness.invoke(&archive).await else {
        panic!("it was loaded")
    };
    assert_eq!(failed, error_type);
    reader.log_arrives().await;
    let log = reader.run(section.take("logs 1")).await;
    assert!(log.contains(error_type), "{error_type}: {log}");
    let Ran { status, output } = reader.try_to(section.take("check"), "").await;
    assert!(status == 3 && output.contains(obstacle) && output.contains(" obstacle"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_the_deployment_are_found_in_the_log_and_by_check() {
    let mut reader = Reader::start(SHIPPED).await;
    let event = json!({"what": "is this"});
    let Outcome::Failed { error_type, .. } = reader.harness.lambda.invoke(event).await else {
        panic!("it was understood")
    };
    reader.log_arrives().await;
    let mut section = Section::of("runbook.md", "Alarm: configuration failures");
    let log = reader.run(section.take("logs 1")).await;
    assert!(log.contains(&error_type), "{error_type}: {log}");
    // The event was wrong, not the configuration.
    let told = reader.run(section.take("check")).await;
    assert!(told.contains("ok    configuration"), "{told}");

    let refused = Action::Refuse(403, "AccessDenied".to_owned());
    reader.harness.stack.s3.inject(Fault::on("GetObject", "client/", refused));
    let section = Section::of("runbook.md", "Alarm: storage failures");
    is_found(&mut reader, "a", section, "Deployment.S3Access", "BAD   ").await;
    reader.harness.stack.s3.clear_faults();

    reader.harness.admin(REVOKE).await;
    let section = Section::of("runbook.md", "Alarm: table failures");
    let error_type = "Deployment.Privilege";
    is_found(&mut reader, "a", section, error_type, "BAD   GRANT INSERT, DELETE ON cmslite.user_group").await;

    let mut section = Section::of("runbook.md", "Alarm: oldest unsettled");
    let status = reader.run(section.take("status")).await;
    assert!(status.contains("Queue 1") && status.contains(&key("a")), "{status}");
    assert!(reader.run(section.take("logs 3")).await.contains(error_type));

    let mut section = Section::of("runbook.md", "Alarm: near timeout");
    reader.harness.admin(GRANT).await;
    reader.run(section.take("load")).await;
    assert!(reader.harness.is_good("a"));

    // This is last, because the function never sends a refused password again.
    reader.harness.stack.redshift.set_password(LOADER, "another");
    let section = Section::of("runbook.md", "Alarm: login failures");
    is_found(&mut reader, "b", section, "Deployment.LoginRefused", "BAD   Redshift: login").await;
    reader.harness.stack.redshift.set_password(LOADER, LOADER_PASSWORD);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_events_are_read_made_good_and_put_away() {
    let mut reader = Reader::start(SHIPPED).await;
    reader.harness.admin(REVOKE).await;
    let archive = reader.harness.put("a", &sample(1, 5), 10);
    reader.harness.lambda.invoke_asynchronously(Harness::event(&archive));
    reader.harness.idle().await;
    assert_eq!(reader.harness.lambda.dead_letters().len(), 1);
    assert_eq!(reader.harness.lambda.history().len(), 3);
    // The form is Lambda's (AWS Lambda Developer Guide, "Capturing records of Lambda asynchronous
    // invocations").
    let letter = reader.harness.lambda.dead_letters().remove(0);
    let Outcome::Failed { error_type, message } = letter.outcome else {
        panic!("a dead letter that did not fail")
    };
    let record = json!({
        "version": "1.0",
        "requestContext": {"requestId": letter.request_id, "condition": "RetriesExhausted", "approximateInvokeCount": 3},
        "requestPayload": letter.payload,
        "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
        "responsePayload": {"errorMessage": message, "errorType": error_type},
    });
    let queue = reader.outputs["FailedEventsQueue"].as_str().unwrap().to_owned();
    let send = "print(json.dumps(boto('sqs').send_message(QueueUrl=sys.argv[1], MessageBody=sys.argv[2])['MessageId']))";
    reader.moto.python(send, &[&queue, &record.to_string()]).await;

    let mut section = Section::of("runbook.md", "Alarm: failed events");
    let told = reader.run(section.take("receive-message")).await;
    assert!(told.contains(&error_type) && told.contains(&archive), "{told}");
    reader.harness.admin(GRANT).await;
    let invoked = reader.run(section.take("lambda invoke")).await;
    assert!(invoked.contains("202"), "{invoked}");
    reader.harness.idle().await;
    assert!(reader.harness.is_good("a"));
    reader.log_arrives().await;
    let reports = reader.run(section.take("logs 1")).await;
    assert!(reports.contains("objects_good\\\":1"), "{reports}");
    reader.run(section.take("purge-queue")).await;
    let length = "print(boto('sqs').get_queue_attributes(QueueUrl=sys.argv[1], AttributeNames=['All'])['Attributes']['ApproximateNumberOfMessages'])";
    assert_eq!(reader.moto.python(length, &[&queue]).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_loaded_uploads_runs_and_rules_are_seen() {
    let mut reader = Reader::start(SHIPPED).await;
    for (at, name) in ["2024-03-01", "2024-03-02", "2024-03-03", "2024-03-04"].into_iter().enumerate() {
        reader.harness.put(name, &sample(1, 5), i64::try_from(at).unwrap());
    }
    Harness::report(reader.harness.sweep().await);
    reader.log_arrives().await;
    let disable = "
rule = next(rule['Name'] for rule in boto('events').list_rules()['Rules'] if 'SweepRule' in rule['Name'])
boto('events').disable_rule(Name=rule)
print(json.dumps(rule))";
    let rule = reader.moto.python(disable, &[]).await;

    let mut section = Section::of("runbook.md", "Alarm: nothing loaded");
    let uploads = reader.run(section.take("aws s3 ls")).await;
    let names: Vec<&str> = uploads.lines().filter_map(|line| line.split(' ').next_back()).collect();
    assert_eq!(
        names,
        ["2024-03-02", "2024-03-03", "2024-03-04"].map(|name| format!("cms-analytics-csv_{name}.tgz"))
    );
    let status = reader.run(section.take("status")).await;
    assert!(status.contains(&format!("The tables hold {}", key("2024-03-04"))), "{status}");
    assert!(reader.run(section.take("logs 3")).await.contains(&key("2024-03-04")));
    assert_eq!(reader.run(section.take("list-rules")).await.trim(), rule.as_str().unwrap());
}
