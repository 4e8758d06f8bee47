//! Tests events from SQS: each message is done or is received again, independently of the others, and
//! archives are loaded once and in order.

use std::sync::Arc;
use std::time::Duration;

use devstack::lambda::{Invocation, Outcome, Queue, QueueOptions, eventually};
use devstack::redshift;
use devstack::s3::{self, Notification, Target};
use devstack::samples;
use devstack::stack::BUCKET;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::events::uploader;
use crate::harness::{HANGS_AFTER, Harness, expected, key, members, sample};

/// Returns a batch of a queue whose messages have these bodies. They are named `m0`, `m1`, ...
fn batch(queue: &str, bodies: &[String]) -> Value {
    let record = |(n, body)| {
        let attributes = json!({"ApproximateReceiveCount": "1", "MessageGroupId": format!("g{}", n / 2)});
        let arn = format!("arn:aws:sqs:ca-central-1:000000000000:{queue}");
        json!({"messageId": format!("m{n}"), "body": body, "attributes": attributes, "eventSource": "aws:sqs", "eventSourceARN": arn})
    };
    json!({"Records": bodies.iter().enumerate().map(record).collect::<Vec<_>>()})
}

/// Returns the names of the messages that failed according to an answer.
#[track_caller]
fn failed(outcome: Outcome) -> Vec<String> {
    let Outcome::Ok(answer) = outcome else { panic!("{outcome:?}") };
    assert_eq!(answer.as_object().unwrap().len(), 1, "{answer}");
    let items = answer["batchItemFailures"].as_array().unwrap();
    items.iter().map(|item| item["itemIdentifier"].as_str().unwrap().to_owned()).collect()
}

/// Returns SNS's envelope for a message in a queue.
fn by_sns(event: &Value) -> String {
    json!({"Type": "Notification", "TopicArn": "arn:aws:sns:ca-central-1:000000000000:t", "Message": event.to_string()})
        .to_string()
}

const TEST: &str = include_str!("../../events/s3-test-event.json");

#[tokio::test(flavor = "multi_thread")]
async fn messages_in_any_order_and_more_than_once_load_each_archive_once_in_order() {
    let harness = Harness::builder().appending().concurrency(2).start().await;
    let names: Vec<String> = (0..6).map(|n| format!("{n} ü+%")).collect();
    let queue = Queue::new(QueueOptions { batch_size: 5, concurrency: 2, ..QueueOptions::default() });
    let mut events = Vec::new();
    for (n, name) in (0_u64..).zip(&names) {
        events.push(harness.upload_event(&harness.put(name, &sample(n, 5), n as i64)));
    }
    queue.send(TEST);
    for event in events.iter().rev() {
        queue.send(event.to_string());
        queue.send(by_sns(event));
    }
    let _mapping = harness.lambda.map(&queue);
    eventually(HANGS_AFTER, || queue.is_empty()).await.unwrap();
    assert_eq!(queue.dead_letters(), Vec::<String>::new());
    assert_eq!(harness.ledger().await, names.iter().map(|name| key(name)).collect::<Vec<_>>());
    assert!(names.iter().all(|name| harness.is_good(name)));
}

/// From the upload to the rows, with S3's own notification in a queue.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_told_through_a_queue_fills_four_tables() {
    let harness = Harness::start().await;
    let queue = Queue::new(QueueOptions::default());
    let (sender, mut told) = mpsc::unbounded_channel();
    harness.stack.s3.notify(Notification {
        bucket: BUCKET.to_owned(),
        prefix: "client/cmslite_gdx/".to_owned(),
        suffix: String::new(),
        target: Target::Channel(sender),
    });
    let _mapping = harness.lambda.map(&queue);
    let members = members(7, 50);
    let body = samples::archive(&members).unwrap().into();
    uploader(&harness).put_object().bucket(BUCKET).key(key("ü+ %")).body(body).send().await.unwrap();
    queue.send(told.recv().await.unwrap().to_string());
    harness.becomes_good("ü+ %").await;
    eventually(HANGS_AFTER, || queue.is_empty()).await.unwrap();
    assert_eq!(harness.tables().await, expected(&members));
}

#[tokio::test(flavor = "multi_thread")]
async fn just_the_messages_of_what_was_not_done_come_again() {
    let harness = Harness::builder().appending().start().await;
    let settled = harness.put("settled", &sample(1, 5), 1);
    Harness::report(harness.invoke(&settled).await);
    let a = harness.put("a", &sample(2, 5), 10);
    let bad = harness.put("bad", b"no archive", 20);
    let c = harness.put("c", &sample(3, 5), 30);
    let event = |key: &str| harness.upload_event(key);
    let mut a_and_c = event(&a);
    a_and_c["Records"].as_array_mut().unwrap().extend(event(&c)["Records"].as_array().unwrap().clone());
    let bodies = [
        event(&a).to_string(),
        by_sns(&event(&c)),
        json!({"key1": "value1\u{202e}"}).to_string(),
        TEST.to_owned(),
        event(&bad).to_string(),
        event(&a).to_string(),
        a_and_c.to_string(),
        event(&settled).to_string(),
        "not JSON".to_owned(),
        json!({"dataset": "no such"}).to_string(),
        include_str!("../../events/s3-object-removed.json").to_owned(),
        Harness::event("client/other/x.tgz").to_string(),
    ];
    let answer = harness.lambda.invoke(batch("uploads", &bodies)).await;
    assert_eq!(failed(answer), ["m1", "m2", "m6", "m8", "m9"]);
    assert!(harness.is_good("a") && harness.is_bad("bad") && harness.is_unsettled("c"));
    let log = harness.log().await;
    for words in [
        r#"its keys are \"key1\""#,
        "is not JSON",
        "no dataset",
        "Retryable.StoppedAtBadArchive",
        "ObjectRemoved:Delete does not create an archive",
    ] {
        assert!(log.contains(words), "{words}: {log}");
    }
    let reports = log.lines().filter(|line| line.contains("\"message\":\"report\"")).count();
    assert_eq!(reports, 2, "one of the first invocation, one of the batch: {log}");
    // A message that cannot be read counts once for each dataset, as an event of its own does.
    let counted =
        log.lines().filter(|line| line.contains("Deployment.UnknownEvent") && line.contains("_aws"));
    assert_eq!(counted.count(), 1, "{log}");

    let answer = harness.lambda.invoke(batch("uploads", &bodies[1..2])).await;
    assert_eq!(failed(answer), Vec::<String>::new());
    assert_eq!(harness.ledger().await, [settled, a, c]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_archive_and_messages_that_nobody_understands_hold_up_no_queue() {
    let harness = Harness::builder().appending().start().await;
    let queue = Queue::new(QueueOptions { max_receive_count: 3, ..QueueOptions::default() });
    for (n, name) in (0_u64..).zip(["a", "bad", "c", "d"]) {
        let archive = if name == "bad" { b"no archive".to_vec() } else { sample(n, 5) };
        queue.send(harness.upload_event(&harness.put(name, &archive, n as i64)).to_string());
    }
    queue.send("{\"key1\": 1}");
    let _mapping = harness.lambda.map(&queue);
    eventually(HANGS_AFTER, || queue.is_empty()).await.unwrap();
    assert_eq!(queue.dead_letters(), ["{\"key1\": 1}"]);
    assert_eq!(harness.ledger().await, ["a", "c", "d"].map(key));
    assert!(harness.is_bad("bad"));
}

/// A function ends before it sets a marker, S3 throttles longer than the retries last, and a connection is
/// lost at COMMIT. Messages that are received again, also by another function, load nothing twice and nothing
/// out of order.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_ends_as_it_must_whatever_fails_meanwhile() {
    let harness = Arc::new(Harness::builder().appending().concurrency(2).start().await);
    let weak = Arc::downgrade(&harness);
    let kill = move || {
        let harness = weak.upgrade().unwrap();
        harness.lambda.kill_and_wait();
        harness.expire_leases();
    };
    let killed = s3::Action::RunInstead(Arc::new(kill));
    harness.stack.s3.inject(s3::Fault::on("CopyObject", "processed/good/", killed).times(1));
    let throttled = s3::Action::Refuse(503, "SlowDown".to_owned());
    harness.stack.s3.inject(s3::Fault::on("GetObject", "client/", throttled).times(6));
    harness.stack.redshift.inject(redshift::Fault::on("COMMIT", redshift::Action::CutAfter).times(1));
    let names = ["a", "bad 1", "b", "c", "bad 2", "bad 3", "d"];
    // No message is given up here.
    let options =
        QueueOptions { batch_size: 3, concurrency: 2, max_receive_count: 1_000, ..QueueOptions::default() };
    let queue = Queue::new(options);
    let mut events = Vec::new();
    for (n, name) in (0_u64..).zip(names) {
        let archive = if name.starts_with("bad") { b"no archive".to_vec() } else { sample(n, 5) };
        events.push(harness.upload_event(&harness.put(name, &archive, n as i64)));
    }
    // 5 and 7 have no common divisor, so this visits all names in another order.
    for n in 0..names.len() {
        let event = &events[n * 5 % names.len()];
        queue.send(event.to_string());
        queue.send(by_sns(event));
    }
    let _mapping = harness.lambda.map(&queue);
    eventually(HANGS_AFTER, || queue.is_empty()).await.unwrap();
    assert_eq!(queue.dead_letters(), Vec::<String>::new());
    assert_eq!(harness.ledger().await, ["a", "b", "c", "d"].map(key));
    assert_eq!(harness.rows("user_status").await.len(), 20);
    for name in names {
        assert_eq!(
            (harness.is_good(name), harness.is_bad(name)),
            (!name.starts_with("bad"), name.starts_with("bad")),
            "{name}"
        );
    }
    let died = |ended: &Invocation| matches!(&ended.outcome, Outcome::Failed { error_type, .. } if error_type == "Runtime.ExitError");
    assert!(harness.lambda.history().iter().any(died), "no function was killed at its work");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_time_does_not_suffice_for_comes_again() {
    // In the last fifteen seconds, no archive is started.
    let harness = Harness::builder().appending().timeout(Duration::from_secs(14)).start().await;
    let a = harness.put("a", &sample(1, 5), 1);
    let bodies = [harness.upload_event(&a).to_string(), TEST.to_owned()];
    assert_eq!(failed(harness.lambda.invoke(batch("uploads", &bodies)).await), ["m0"]);
    assert!(harness.log().await.contains("Retryable.DeadlineNear"));
    assert!(harness.is_unsettled("a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_s3_fails_each_message_that_asks_for_something() {
    let harness = Harness::builder().appending().start().await;
    let event = harness.upload_event(&harness.put("a", &sample(1, 5), 1)).to_string();
    let refused = s3::Action::Refuse(503, "SlowDown".to_owned());
    harness.stack.s3.inject(s3::Fault::on("ListObjectsV2", "", refused));
    let bodies = [
        TEST.to_owned(),
        event.clone(),
        event,
        json!({"dataset": "cmslite_user_group_metadata"}).to_string(),
    ];
    assert_eq!(failed(harness.lambda.invoke(batch("uploads", &bodies)).await), ["m1", "m2", "m3"]);
    harness.stack.s3.clear_faults();
    assert!(failed(harness.lambda.invoke(batch("uploads", &bodies)).await).is_empty());
    assert_eq!(harness.ledger().await, [key("a")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_duplicates_runs_once_and_is_done_by_two_requests_when_it_comes_again() {
    let harness = Harness::builder().appending().start().await;
    let event = harness.upload_event(&harness.put("a", &sample(1, 5), 1));
    let bodies: Vec<String> =
        (0..20).map(|n| if n % 2 == 0 { event.to_string() } else { by_sns(&event) }).collect();
    let batch = batch("uploads", &bodies);
    assert!(failed(harness.lambda.invoke(batch.clone()).await).is_empty());
    let reads = harness.stack.s3.requests().into_iter().filter(|request| {
        request.operation == "GetObject" && request.key.as_deref() == Some(key("a").as_str())
    });
    assert_eq!((reads.count(), harness.ledger().await.len()), (1, 1));
    harness.stack.s3.clear_requests();
    assert!(failed(harness.lambda.invoke(batch).await).is_empty());
    let requests = harness.stack.s3.requests();
    assert!(
        requests.len() <= 2 && requests.iter().all(|request| request.operation == "HeadObject"),
        "{requests:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_fifo_queue_what_is_behind_a_failed_message_in_its_group_comes_again_too() {
    let harness = Harness::builder().appending().start().await;
    let event = harness.upload_event(&harness.put("a", &sample(1, 5), 1)).to_string();
    // In the FIFO queue, each two messages form a group.
    let bodies = ["no JSON".to_owned(), event.clone(), event.clone(), "no JSON".to_owned(), event];
    assert_eq!(failed(harness.lambda.invoke(batch("uploads", &bodies)).await), ["m0", "m3"]);
    assert_eq!(failed(harness.lambda.invoke(batch("uploads.fifo", &bodies)).await), ["m0", "m1", "m3"]);
    assert_eq!(harness.ledger().await, [key("a")]);
}

/// A message without a name cannot be reported as failed on its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_with_a_failed_message_that_has_no_name_fails() {
    let harness = Harness::start().await;
    let mut event = batch("uploads", &[TEST.to_owned(), "not JSON".to_owned()]);
    event["Records"][1].as_object_mut().unwrap().remove("messageId");
    let Outcome::Failed { error_type, message } = harness.lambda.invoke(event).await else {
        panic!("it was done")
    };
    assert!(error_type == "Deployment.UnknownEvent" && message.contains("is not JSON"), "{message}");
}
