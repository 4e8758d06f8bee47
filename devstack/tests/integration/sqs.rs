//! Tests an SQS queue whose messages go to a function: which are deleted, and which are received again.
use devstack::lambda::{Invocation, Lambda, Queue, QueueOptions, eventually};
use serde_json::json;

use crate::lambda::{HANGS_AFTER, options, start};

/// Sends messages to a queue, passes them to the function until none is left, and returns how often each was
/// received.
async fn received(queue: &Queue, lambda: &Lambda, bodies: &[&str]) -> Vec<usize> {
    for body in bodies {
        queue.send(*body);
    }
    let _mapping = lambda.map(queue);
    eventually(HANGS_AFTER, || queue.is_empty()).await.unwrap();
    let batches = lambda.history();
    let of_batch = |batch: &Invocation| -> Vec<String> {
        let records = batch.payload["Records"].as_array().unwrap();
        records.iter().map(|record| record["body"].as_str().unwrap().to_owned()).collect()
    };
    let all: Vec<String> = batches.iter().flat_map(of_batch).collect();
    bodies.iter().map(|body| all.iter().filter(|received| received == body).count()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_answer_names_comes_again_and_the_rest_is_deleted() {
    let lambda = start(options()).await;
    let queue = Queue::new(QueueOptions::default());
    let bodies = ["fail messages: a 0", "fail messages: b 2", "fail messages: c 3", "fail messages: d 1"];
    assert_eq!(received(&queue, &lambda, &bodies).await, [1, 2, 3, 1]);
    assert!(queue.dead_letters().is_empty());
    let first = &lambda.history()[0].payload["Records"];
    assert_eq!(first.as_array().unwrap().len(), 4);
    assert_eq!(
        (&first[0]["eventSource"], &first[0]["attributes"]["ApproximateReceiveCount"]),
        (&json!("aws:sqs"), &json!("1"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_fails_too_often_is_a_dead_letter() {
    let lambda = start(options()).await;
    let queue = Queue::new(QueueOptions { max_receive_count: 3, batch_size: 2, ..QueueOptions::default() });
    let bodies = ["fail messages: a 9", "fail messages: b 0", "fail messages: c 0"];
    assert_eq!(received(&queue, &lambda, &bodies).await, [3, 1, 1]);
    assert_eq!(queue.dead_letters(), ["fail messages: a 9"]);
}

/// Returns how often a message is received, five times at most, if the function answers as `body` says.
async fn times_received(reports_batch_item_failures: bool, body: &str) -> usize {
    let lambda = start(options()).await;
    let queue = Queue::new(QueueOptions { reports_batch_item_failures, ..QueueOptions::default() });
    received(&queue, &lambda, &[body]).await[0]
}

/// "Lambda treats a batch as a complete failure" or "as a complete success" (AWS Lambda Developer Guide,
/// "Handling errors for an SQS event source").
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cannot_be_read_fails_the_batch() {
    for (reports, body, times) in [
        (true, "fail", 5),
        (true, "panic", 5),
        (true, "an answer of another form", 5),
        (true, "answer {}", 1),
        (true, r#"answer {"batchItemFailures": null}"#, 1),
        (true, r#"answer {"batchItemFailures": []}"#, 1),
        (true, r#"answer {"batchItemFailures": [{"itemIdentifier": ""}]}"#, 5),
        (true, r#"answer {"batchItemFailures": [{"itemIdentifier": null}]}"#, 5),
        (true, r#"answer {"batchItemFailures": [{"messageId": "x"}]}"#, 5),
        (true, r#"answer {"batchItemFailures": [{"itemIdentifier": "another"}]}"#, 5),
        // Lambda does not read the answer.
        (false, "fail messages: a 9", 1),
        (false, "fail", 5),
    ] {
        assert_eq!(times_received(reports, body).await, times, "{reports} {body}");
    }
}
