//! Tests which events are accepted, from an upload's notification to a sweep by hand.

use devstack::lambda::Outcome;
use devstack::s3::{self, Notification, Target};
use devstack::samples;
use devstack::stack::{BUCKET, uploader_keys};
use serde_json::{Value, json};

use crate::harness::{Harness, expected, key, members, moment, sample};

/// Returns a client with the keys of the uploading team.
pub fn uploader(harness: &Harness) -> aws_sdk_s3::Client {
    let keys = uploader_keys();
    let keys =
        aws_sdk_s3::config::Credentials::new(keys.access_key_id, keys.secret_access_key, None, None, "test");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
        .region(aws_sdk_s3::config::Region::new("ca-central-1"))
        .endpoint_url(harness.stack.s3_endpoint())
        .force_path_style(true)
        .credentials_provider(keys);
    aws_sdk_s3::Client::from_conf(config.build())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_alone_fills_four_tables_with_the_cells_of_its_files() {
    let harness = Harness::start().await;
    let target = Target::Invoke(harness.lambda.invoke_url("cmslite"));
    harness.stack.s3.notify(Notification {
        bucket: BUCKET.to_owned(),
        prefix: "client/cmslite_gdx/".to_owned(),
        suffix: String::new(),
        target,
    });
    let members = members(7, 200);
    let name = "2024 ü+%";
    let body = samples::archive(&members).unwrap().into();
    uploader(&harness).put_object().bucket(BUCKET).key(key(name)).body(body).send().await.unwrap();
    harness.becomes_good(name).await;
    assert_eq!(harness.tables().await, expected(&members));
    assert_eq!(harness.ledger().await, [key(name)]);
    assert_eq!(harness.stack.s3.unfinished_uploads(), 0);
}

/// What a sample event must do with an archive that waits under its key.
#[derive(Clone, Copy, PartialEq)]
enum Sample {
    /// The archive is loaded, and the report says so.
    Loads,
    /// The archive and another one are loaded.
    LoadsTwo,
    /// The archive is loaded, and the batch has no failures.
    LoadsInBatch,
    /// The archive is not loaded, and the answer names the event.
    IsPassedOver,
    /// The archive is not loaded, and the answer names nothing.
    IsATest,
    /// The archive is not loaded, and the batch has no failures.
    IsATestInBatch,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_event_is_served() {
    use Sample::{IsATest, IsATestInBatch, IsPassedOver, Loads, LoadsInBatch, LoadsTwo};
    let samples = [
        ("s3-object-created", Loads),
        ("s3-least", Loads),
        ("s3-several-records", LoadsTwo),
        ("s3-object-restore-completed", Loads),
        ("s3-object-removed", IsPassedOver),
        ("s3-test-event", IsATest),
        ("sns-s3-object-created", Loads),
        ("sqs-s3-object-created", LoadsInBatch),
        ("sqs-s3-test-event", IsATestInBatch),
        ("sqs-sns-s3-object-created", LoadsInBatch),
        ("sqs-eventbridge-object-created", LoadsInBatch),
        ("sqs-fifo-eventbridge-object-created", LoadsInBatch),
        ("eventbridge-object-created", Loads),
        ("eventbridge-object-restore-completed", Loads),
        ("eventbridge-object-deleted", IsPassedOver),
        ("eventbridge-schedule", Loads),
        ("failed-invocation", Loads),
        ("by-hand-sweep", Loads),
        ("by-hand-key", Loads),
        ("by-hand-again", Loads),
        ("by-hand-accept-shrink", Loads),
    ];
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/events");
    assert_eq!(std::fs::read_dir(directory).unwrap().count(), samples.len(), "another sample is in events/");
    let harness = Harness::builder().appending().start().await;
    let key = "client/cmslite_gdx/cms-analytics-csv_2024-03-01.tgz";
    let other = "client/cmslite_gdx/cms-analytics-csv_ü 100%+.tgz";
    let mut rows = 0;
    for (n, (name, does)) in (0_u64..).zip(samples) {
        let later = chrono::Utc::now() + chrono::TimeDelta::seconds(n as i64 * 60);
        harness.stack.s3.put_at(BUCKET, key, &sample(n, 1), later).unwrap();
        if does == LoadsTwo {
            harness.stack.s3.put_at(BUCKET, other, &sample(99, 1), moment(0)).unwrap();
        }
        let event = std::fs::read(format!("{directory}/{name}.json")).unwrap();
        let outcome = harness.lambda.invoke(serde_json::from_slice(&event).unwrap()).await;
        let Outcome::Ok(answer) = outcome else { panic!("{name}: {outcome:?}") };
        let (loaded, named) = match does {
            Loads => (1, json!(1)),
            LoadsTwo => (2, json!(2)),
            LoadsInBatch => (1, json!({"batchItemFailures": []})),
            IsPassedOver => (
                0,
                json!({"version": 1, "reports": [], "ignored": [format!("s3://{BUCKET}/{key}")], "omitted": {}}),
            ),
            IsATest => (0, json!({"version": 1, "reports": [], "ignored": [], "omitted": {}})),
            IsATestInBatch => (0, json!({"batchItemFailures": []})),
        };
        let told =
            if answer["reports"][0].is_object() { &answer["reports"][0]["objects_good"] } else { &answer };
        assert_eq!(*told, named, "{name}");
        rows += loaded;
        assert_eq!(harness.rows("user_status").await.len(), rows, "{name}");
    }
    let log = harness.log().await;
    for event in
        ["ObjectRemoved:Delete does not create an archive", "Object Deleted does not create an archive"]
    {
        assert!(log.lines().any(|line| line.contains(event) && line.contains("\"INFO\"")), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_no_dataset_is_ignored() {
    let harness = Harness::start().await;
    harness.stack.s3.put_at(BUCKET, "client/other/x.tgz", b"x", moment(1)).unwrap();
    let Outcome::Ok(answer) = harness.invoke("client/other/x.tgz").await else { panic!() };
    assert_eq!(
        answer,
        json!({"version": 1, "reports": [], "ignored": [format!("s3://{BUCKET}/client/other/x.tgz")], "omitted": {}})
    );
}

/// Returns EventBridge's event about an object, with the key unchanged.
fn bridge_event(detail_type: &str, key: &str) -> Value {
    let mut event: Value =
        serde_json::from_str(include_str!("../../events/eventbridge-object-created.json")).unwrap();
    event["detail-type"] = json!(detail_type);
    event["detail"]["object"]["key"] = json!(key);
    event
}

/// Returns the requests to S3 for a new archive under `name`, if the event names the key `told`.
async fn requests_of(name: &str, told: &str) -> Vec<String> {
    let harness = Harness::start().await;
    let archive = harness.put(name, &sample(1, 5), 1);
    let report = Harness::report(harness.lambda.invoke(bridge_event("Object Created", told)).await);
    assert_eq!(report["good"][0]["key"], json!(archive), "{told}: {report}");
    let requests = harness.stack.s3.requests();
    let mut operations: Vec<String> = requests.into_iter().map(|request| request.operation).collect();
    operations.sort();
    operations
}

/// It is not documented whether EventBridge encodes keys. The listing, which is read in any case, shows which
/// of the two keys exists.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_eventbridge_is_found_as_it_stands_or_decoded_without_a_further_request() {
    let usual = requests_of("plain", &key("plain")).await;
    for (name, told) in [
        ("ü 1+2", key("ü 1+2")),
        ("ü 1+2", key("%C3%BC+1%2B2")),
        ("100%25", key("100%25")),
        ("a%2Bb", key("a%2Bb")),
    ] {
        assert!(requests_of(name, &told).await.len() <= usual.len(), "{told}");
    }
}

/// If both keys exist, both archives are processed in order.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_there_as_it_stands_and_decoded_is_both() {
    let harness = Harness::builder().appending().start().await;
    let (first, second) = (harness.put("a b", &sample(1, 5), 1), harness.put("a+b", &sample(2, 5), 2));
    harness.put("later", &sample(3, 5), 3);
    Harness::report(harness.lambda.invoke(bridge_event("Object Created", &second)).await);
    assert_eq!(harness.ledger().await, [first, second]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_another_form_is_refused_with_the_forms_accepted_and_its_keys() {
    let harness = Harness::start().await;
    for (event, words) in [
        // The event of the S3 console.
        (
            json!({"key1": "value1", "key2": "value2", "key3": "value3"}),
            "its keys are \"key1\", \"key2\", \"key3\"",
        ),
        (json!({"a\u{202e}\n\"": 1}), "its keys are \"a\\u202e\\n\\\"\""),
        (json!([1]), "not a JSON object"),
        (json!({"Records": [{"Sns": {"Message": "{\"key1\": 1}"}}]}), "its keys are \"key1\""),
    ] {
        let Outcome::Failed { error_type, message } = harness.lambda.invoke(event).await else {
            panic!("{words}")
        };
        assert_eq!(error_type, "Deployment.UnknownEvent");
        assert!(message.contains(words), "{message} has not {words}");
        for form in [
            "S3 notifications",
            "EventBridge",
            "SNS",
            "SQS",
            "{\"dataset\": NAME}",
            "docs/reference/events.md",
        ] {
            assert!(message.contains(form), "{message} has not {form}");
        }
    }
    assert!(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/events.md")).exists());
}

/// An archive in Glacier is neither bad nor silently passed over. The operator learns how to restore it, and
/// the event of the restoration loads it and what waited behind it.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_came_back_from_glacier_is_loaded_by_the_event_of_its_return() {
    for by_bridge in [false, true] {
        let harness = Harness::builder().appending().start().await;
        let archive = harness.put("a ü", &sample(1, 5), 1);
        let behind = harness.put("b", &sample(2, 5), 2);
        let frozen = s3::Action::Refuse(403, "InvalidObjectState".to_owned());
        harness.stack.s3.inject(s3::Fault::on("GetObject", "client/", frozen));
        let Outcome::Failed { error_type, message } = harness.invoke(&behind).await else {
            panic!("it loaded")
        };
        assert_eq!(error_type, "Deployment.ObjectUnreadable");
        assert!(message.contains("restore-object"), "{message}");
        assert!(harness.is_unsettled("a ü") && harness.is_unsettled("b"));

        harness.stack.s3.clear_faults();
        let restored = |name_of_event: &str| {
            if by_bridge {
                return bridge_event(name_of_event, &archive);
            }
            let mut event = harness.upload_event(&archive);
            event["Records"][0]["eventName"] = json!(name_of_event);
            event
        };
        let (begun, done) = if by_bridge {
            ("Object Restore Initiated", "Object Restore Completed")
        } else {
            ("ObjectRestore:Post", "ObjectRestore:Completed")
        };
        let Outcome::Ok(answer) = harness.lambda.invoke(restored(begun)).await else { panic!("{begun}") };
        assert_eq!(answer["reports"], json!([]));
        Harness::report(harness.lambda.invoke(restored(done)).await);
        assert_eq!(harness.ledger().await, [archive.as_str()]);
        Harness::report(harness.invoke(&behind).await);
        assert!(harness.is_good("b"));
    }
}
