use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::error::Error;
use crate::key::Key;
use crate::queue::{Object, Selection};

const BUCKET: &str = "sp-ca-bc-gov-131565110619-12-microservices";
const KEY: &str = "client/cmslite_gdx/cms-analytics-csv_2024-03-01.tgz";

macro_rules! sample {
    ($name:literal) => {
        include_str!(concat!("../../../events/", $name, ".json"))
    };
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Returns what an event asks for, if the event succeeds or fails as a whole.
fn parse(text: &str) -> Result<Asked, Error> {
    match Event::parse(&value(text))? {
        Event::Whole(asked) => Ok(asked),
        Event::Batch(messages) => panic!("a batch: {messages:?}"),
    }
}

fn batch(event: &Value) -> Vec<Message> {
    match Event::parse(event).unwrap() {
        Event::Batch(messages) => messages,
        Event::Whole(asked) => panic!("no batch: {asked:?}"),
    }
}

fn object(key: &str) -> ObjectRef {
    ObjectRef { bucket: BUCKET.to_owned(), key: key.into(), decoded: None, upload: None }
}

fn created(keys: &[&str]) -> Asked {
    Asked { objects: keys.iter().map(|key| object(key)).collect(), ..Asked::default() }
}

fn by_name(selection: Selection) -> Asked {
    let name = "cmslite_user_group_metadata".to_owned();
    Asked { by_name: vec![DatasetAsked { name, selection }], ..Asked::default() }
}

fn passed_over(name: &str) -> Asked {
    let event =
        PassedOverEvent { name: name.to_owned(), bucket: Some(BUCKET.to_owned()), key: Some(KEY.into()) };
    Asked { passed_over: vec![event], ..Asked::default() }
}

fn without_uploads(mut asked: Asked) -> Asked {
    for object in &mut asked.objects {
        object.upload = None;
    }
    asked
}

#[test]
fn every_sample_in_events_is_accepted() {
    let whole = [
        (sample!("s3-object-created"), created(&[KEY])),
        (sample!("s3-least"), created(&[KEY])),
        (sample!("s3-several-records"), created(&[KEY, "client/cmslite_gdx/cms-analytics-csv_ü 100%+.tgz"])),
        (sample!("s3-object-restore-completed"), created(&[KEY])),
        (sample!("s3-object-removed"), passed_over("ObjectRemoved:Delete")),
        (sample!("s3-test-event"), Asked::default()),
        (sample!("sns-s3-object-created"), created(&[KEY])),
        (sample!("eventbridge-object-created"), created(&[KEY])),
        (sample!("eventbridge-object-restore-completed"), created(&[KEY])),
        (sample!("eventbridge-object-deleted"), passed_over("Object Deleted")),
        (sample!("eventbridge-schedule"), Asked { sweep: true, ..Asked::default() }),
        (sample!("failed-invocation"), created(&[KEY])),
        (sample!("by-hand-sweep"), by_name(Selection::WholeQueue)),
        (sample!("by-hand-key"), by_name(Selection::UpTo(HashSet::from([KEY.into()])))),
        (sample!("by-hand-again"), by_name(Selection::Reload(KEY.into()))),
        (sample!("by-hand-accept-shrink"), by_name(Selection::AcceptShrink(KEY.into()))),
    ];
    let batches = [
        (sample!("sqs-s3-object-created"), vec![created(&[KEY]), created(&[KEY])]),
        (sample!("sqs-s3-test-event"), vec![Asked::default()]),
        (sample!("sqs-sns-s3-object-created"), vec![created(&[KEY])]),
        (sample!("sqs-eventbridge-object-created"), vec![created(&[KEY])]),
        (
            sample!("sqs-fifo-eventbridge-object-created"),
            vec![created(&[KEY]), passed_over("Object Deleted")],
        ),
    ];
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../events")).unwrap();
    assert_eq!(files.count(), whole.len() + batches.len(), "another sample is in events/");
    for (sample, expected) in whole {
        assert_eq!(without_uploads(parse(sample).unwrap()), expected, "{sample}");
    }
    for (sample, expected) in batches {
        let messages = batch(&value(sample));
        let ids: Vec<_> = messages.iter().map(|message| message.id.as_deref().unwrap().len()).collect();
        assert_eq!(ids, vec![36; expected.len()]);
        let is_fifo = sample.contains("uploads.fifo");
        let asked = messages.into_iter().map(|message| {
            assert_eq!(message.fifo_group.as_deref(), is_fifo.then_some("uploads"));
            without_uploads(message.asked.unwrap())
        });
        assert_eq!(asked.collect::<Vec<_>>(), expected, "{sample}");
    }
}

#[test]
fn an_event_tells_its_revision_if_it_says_all_of_it() {
    let upload = |event: &str| parse(event).unwrap().objects[0].upload.clone();
    for event in [sample!("s3-object-created"), sample!("eventbridge-object-created")] {
        let expected = Object {
            key: KEY.into(),
            etag: "d41d8cd98f00b204e9800998ecf8427e".to_owned(),
            last_modified: "2024-03-01T17:15:42Z".parse().unwrap(),
            size: 20480,
        };
        assert_eq!(upload(event), Some(expected));
        for (known, other) in [
            ("\"size\": 20480", "\"x\": 1"),
            ("\"size\": 20480", "\"size\": -1"),
            ("\"size\": 20480", "\"size\": null"),
            ("\"eTag\"", "\"x\""),
            ("\"etag\"", "\"x\""),
            ("2024-03-01T17:15:42.123Z", "yesterday"),
            ("\"eventTime\"", "\"x\""),
        ] {
            let incomplete = event.replace(known, other);
            assert_eq!(upload(&incomplete).is_none(), incomplete != event, "{other}");
        }
    }
    let undated = sample!("eventbridge-object-created").replace("\"time\"", "\"x\"");
    assert_eq!(upload(&undated), None);
}

/// The names are from both services' lists of events (Amazon S3 User Guide, "Supported event types" and
/// "Using EventBridge").
#[test]
fn what_is_neither_a_creation_nor_a_return_is_passed_over() {
    for name in [
        "ObjectRemoved:Delete",
        "ObjectRemoved:DeleteMarkerCreated",
        "ObjectRestore:Post",
        "ObjectRestore:Delete",
        "ObjectTagging:Put",
        "ObjectTagging:Delete",
        "ObjectAcl:Put",
        "LifecycleExpiration:Delete",
        "LifecycleExpiration:DeleteMarkerCreated",
        "LifecycleTransition",
        "IntelligentTiering",
        "ReducedRedundancyLostObject",
        "Replication:OperationFailedReplication",
        "s3:ObjectRemoved:Delete",
        "SomethingNew",
    ] {
        let event = sample!("s3-object-created").replace("ObjectCreated:Put", name);
        assert_eq!(parse(&event).unwrap(), passed_over(name));
    }
    for name in [
        "Object Deleted",
        "Object Restore Initiated",
        "Object Restore Expired",
        "Object Storage Class Changed",
        "Object Access Tier Changed",
        "Object ACL Updated",
        "Object Tags Added",
        "Object Tags Deleted",
        "Async Copy Completion",
        "Object Something New",
    ] {
        let event = sample!("eventbridge-object-created").replace("Object Created", name);
        assert_eq!(parse(&event).unwrap(), passed_over(name));
    }
    for name in
        ["s3:ObjectCreated:Put", "ObjectCreated:Post", "ObjectCreated:Copy", "ObjectRestore:Completed"]
    {
        let event = sample!("s3-object-created").replace("ObjectCreated:Put", name);
        assert_eq!(without_uploads(parse(&event).unwrap()), created(&[KEY]), "{name}");
    }
    // The event's name alone decides, whatever else the event lacks.
    assert_eq!(
        parse(r#"{"Records": [{"eventName": "ObjectRemoved:Delete", "s3": {}}]}"#).unwrap().objects,
        []
    );
}

#[test]
fn a_key_of_eventbridge_that_may_be_encoded_is_two() {
    for (key, decoded) in [
        ("client/cmslite_gdx/a%C3%BC+b.tgz", Some("client/cmslite_gdx/aü b.tgz")),
        ("client/cmslite_gdx/a+b.tgz", Some("client/cmslite_gdx/a b.tgz")),
        ("client/cmslite_gdx/a%2Bb.tgz", Some("client/cmslite_gdx/a+b.tgz")),
        ("client/cmslite_gdx/100% ü.tgz", None),
        (KEY, None),
    ] {
        let event = sample!("eventbridge-object-created").replace(KEY, key);
        let asked = parse(&event).unwrap();
        let decoded = decoded.map(Key::from);
        assert_eq!((asked.objects[0].key.as_str(), &asked.objects[0].decoded), (key, &decoded));
        assert_eq!(asked.objects[0].upload.is_some(), decoded.is_none());
        let keys: Vec<&str> = asked.objects[0].keys().map(Key::as_str).collect();
        assert_eq!(keys, [Some(key), decoded.as_deref()].into_iter().flatten().collect::<Vec<_>>());
    }
}

#[test]
fn another_form_is_refused_with_the_accepted_ones_and_its_keys() {
    let mut nested = json!({"dataset": "a"});
    for _ in 0..6 {
        nested = json!({"TopicArn": "t", "Message": nested.to_string()});
    }
    for (event, words) in [
        ("[]", "it is not a JSON object"),
        ("{}", "(it is empty)"),
        (
            r#"{"key1": "value1", "key2": "value2", "key3": "value3"}"#,
            r#"(its keys are "key1", "key2", "key3")"#,
        ),
        (r#"{"a\", \"dataset\n": 1}"#, r#"(its keys are "a\", \"dataset\n")"#),
        (r#"{"\u202e\u0000": 1}"#, r#"(its keys are "\u202e\u0000")"#),
        (
            r#"{"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1, "g": 1, "h": 1, "i": 1, "j": 1}"#,
            r#""g", "h" and 2 more)"#,
        ),
        (r#"{"dataset": 1}"#, "invalid type: integer `1`"),
        (r#"{"dataset": "a", "kye": "b"}"#, "unknown field `kye`"),
        (r#"{"dataset": "a", "again": true}"#, "needs a \"key\""),
        (r#"{"dataset": "a", "accept_shrink": true}"#, "needs a \"key\""),
        (r#"{"dataset": "a", "key": "k", "again": true, "accept_shrink": true}"#, "only one of"),
        (r#"{"Records": {}}"#, "not a list"),
        (r#"{"Records": [{"Sns": {}}]}"#, "no Message"),
        (r#"{"Records": [{"Sns": {"Message": "hello"}}]}"#, "is not JSON"),
        (r#"{"Records": [{"Sns": {"Type": "SubscriptionConfirmation"}}]}"#, "must be confirmed"),
        (
            r#"{"Records": [{"kinesis": {}, "eventID": "x"}]}"#,
            r#"not from S3, SNS or SQS (its keys are "eventID", "kinesis")"#,
        ),
        (r#"{"Records": [{"s3": {"bucket": {"name": "b"}, "object": {}}}]}"#, "lacks the bucket or the key"),
        (r#"{"Records": [{"s3": {}}]}"#, "missing field"),
        (
            r#"{"detail-type": "AWS API Call via CloudTrail", "source": "aws.s3", "detail": {}}"#,
            "AWS API Call via CloudTrail",
        ),
        (&nested.to_string(), "wrapped more than"),
    ] {
        let error = parse(event).unwrap_err();
        assert_eq!(error.error_type(), "Deployment.UnknownEvent");
        let error = error.to_string();
        assert!(
            error.contains("the accepted forms are S3 notifications") && error.contains("through SQS"),
            "{error}"
        );
        assert!(error.contains(words), "{error} has not {words}");
        assert!(!error.contains(|c: char| c.is_control() || c == '\u{202e}'), "{error}");
    }
}

/// A message may come twice, with a different invocation id each time.
#[test]
fn a_load_on_purpose_is_asked_for_directly() {
    let again = r#"{"dataset": "a", "key": "k", "again": true}"#;
    let sqs = serde_json::json!({"Records": [{"messageId": "m", "body": again}]});
    let Ok(Event::Batch(messages)) = Event::parse(&sqs) else { panic!() };
    let refused = messages[0].asked.as_ref().unwrap_err();
    assert!(refused.to_string().contains("could load twice"), "{refused}");
    let kept = serde_json::json!({"requestContext": {}, "requestPayload": serde_json::from_str::<serde_json::Value>(again).unwrap()});
    assert!(Event::parse(&kept).is_err());
}

/// The object is passed over later, because of its key. A refused event would come again, and end in the
/// dead-letter queue.
#[test]
fn an_event_whose_key_is_no_text_is_understood() {
    let event = sample!("s3-object-created").replace("cms-analytics", "a%FF%ED%A0%80");
    let objects = parse(&event).unwrap().objects;
    assert!(objects[0].key.starts_with("client/cmslite_gdx/a\u{fffd}"), "{:?}", objects[0].key);
}

fn in_sqs(bodies: &[String]) -> Value {
    let record = |(n, body)| json!({"messageId": format!("m{n}"), "body": body});
    json!({"Records": bodies.iter().enumerate().map(record).collect::<Vec<_>>()})
}

#[test]
fn a_message_that_is_not_understood_fails_alone() {
    let good = sample!("s3-object-created").to_owned();
    let mut event = in_sqs(&[good.clone(), "hello".to_owned(), r#"{"key1": 1}"#.to_owned(), good]);
    event["Records"].as_array_mut().unwrap().push(json!({"messageId": "m4"}));
    event["Records"].as_array_mut().unwrap().push(json!({"messageId": "m5", "body": {"key1": 1}}));
    event["Records"].as_array_mut().unwrap().push(json!({"messageId": "", "body": "{}"}));
    let messages = batch(&event);
    let failed: Vec<_> = messages.iter().map(|message| message.asked.is_err()).collect();
    assert_eq!(failed, [false, true, true, false, true, true, true]);
    let ids: Vec<_> = messages.iter().map(|message| message.id.as_deref().unwrap_or("none")).collect();
    assert_eq!(ids, ["m0", "m1", "m2", "m3", "m4", "m5", "none"]);
    let error = messages[2].asked.as_ref().unwrap_err().to_string();
    assert!(error.contains(r#"its keys are "key1""#), "{error}");
}

#[test]
fn of_a_fifo_queue_what_is_behind_a_failed_message_of_its_group_comes_again() {
    let groups = [Some("a"), Some("b"), None, Some("a"), Some("b"), None];
    for (failed, again) in [
        (vec![], [false; 6]),
        (vec![0], [true, false, false, true, false, false]),
        (vec![1, 2], [false, true, true, false, true, false]),
        (vec![3], [false, false, false, true, false, false]),
    ] {
        assert_eq!(messages_to_retry(groups, |n| failed.contains(&n)), again);
    }
    // A message group of a queue that is not FIFO is for fairness.
    let record = |queue: &str| json!({"Records": [{"messageId": "m", "body": "{}", "eventSourceARN": queue, "attributes": {"MessageGroupId": "a"}}]});
    assert_eq!(batch(&record("arn:aws:sqs:r:1:q.fifo"))[0].fifo_group.as_deref(), Some("a"));
    assert_eq!(batch(&record("arn:aws:sqs:r:1:q"))[0].fifo_group, None);
}

#[derive(Debug, Clone, Copy)]
enum Wrapping {
    Sns,
    SnsInSqs,
    Sqs,
    FailedInvocation,
}

fn wrapped(event: &Value, how: Wrapping) -> Value {
    match how {
        Wrapping::Sns => {
            json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Type": "Notification", "Message": event.to_string()}}]})
        }
        Wrapping::SnsInSqs => json!({"Type": "Notification", "TopicArn": "t", "Message": event.to_string()}),
        Wrapping::Sqs => in_sqs(&[event.to_string()]),
        Wrapping::FailedInvocation => json!({"requestContext": {}, "requestPayload": event}),
    }
}

/// Returns everything that an event asks for, through any service.
fn all_asked(event: &Value) -> Result<Asked, String> {
    match Event::parse(event).map_err(|error| error.to_string())? {
        Event::Whole(asked) => Ok(asked),
        Event::Batch(mut messages) => {
            assert_eq!(messages.len(), 1);
            messages.remove(0).asked.map_err(|error| error.to_string())
        }
    }
}

fn any_event() -> impl Strategy<Value = Value> {
    let key = prop_oneof![any::<String>(), "[a-z/ +%0-9.]{1,12}"];
    let name = prop_oneof!["[a-z-]{3,10}", any::<String>()];
    let record = (name.clone(), key.clone(), any::<bool>()).prop_map(|(bucket, key, is_removed)| {
        let event_name = if is_removed { "ObjectRemoved:Delete" } else { "ObjectCreated:Put" };
        json!({"eventName": event_name, "s3": {"bucket": {"name": bucket}, "object": {"key": key}}})
    });
    prop_oneof![
        prop::collection::vec(record, 0..4).prop_map(|records| json!({"Records": records})),
        (name, key.clone()).prop_map(|(bucket, key)| {
            json!({"source": "aws.s3", "detail-type": "Object Created", "detail": {"bucket": {"name": bucket}, "object": {"key": key}}})
        }),
        (any::<String>(), key).prop_map(|(dataset, key)| json!({"dataset": dataset, "key": key})),
        Just(value(sample!("eventbridge-schedule"))),
        Just(value(sample!("s3-test-event"))),
        any::<String>().prop_map(|name| json!({name: 1})),
    ]
}

proptest! {
    #[test]
    fn wrapping_changes_nothing_of_what_is_asked(
        event in any_event(),
        wrappings in prop::collection::vec(
            prop_oneof![Just(Wrapping::Sns), Just(Wrapping::SnsInSqs), Just(Wrapping::Sqs), Just(Wrapping::FailedInvocation)],
            1..5,
        ),
    ) {
        let by_itself = all_asked(&event);
        let wrapped = wrappings.into_iter().fold(event, |event, how| wrapped(&event, how));
        prop_assert_eq!(all_asked(&wrapped), by_itself);
    }
}
