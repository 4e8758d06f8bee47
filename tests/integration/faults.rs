//! Tests that faults of S3 and Redshift are temporary: no marker is set, and a later run loads the archive.

use std::sync::Arc;

use devstack::lambda::Outcome;
use devstack::stack::BUCKET;
use devstack::{redshift, s3};

use crate::harness::{Harness, cases, expected, key, members, moment, sample};

/// AWS Lambda Developer Guide, "Error handling for asynchronous invocations": two retries, then the
/// on-failure destination.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_keeps_failing_ends_as_a_dead_letter_and_a_sweep_makes_it_good() {
    let harness = Harness::builder().appending().start().await;
    harness.stack.redshift.inject(redshift::Fault::on("COPY", redshift::Action::CutBefore));
    let archive = harness.put("a", &sample(3, 50), 1);
    harness.lambda.invoke_asynchronously(Harness::event(&archive));
    harness.idle().await;
    assert_eq!(harness.lambda.dead_letters().len(), 1);
    assert_eq!(harness.lambda.history().len(), 3);
    assert!(harness.is_unsettled("a"));
    harness.stack.redshift.clear_faults();
    Harness::report(harness.sweep().await);
    assert!(harness.is_good("a"));
    assert_eq!(harness.ledger().await, [key("a")]);
}

/// Invokes the function for an archive, and expects a failure of type `error_type` whose message contains all
/// `words`. Nothing is settled or loaded.
pub async fn fails(harness: &Harness, error_type: &str, words: &[&str]) {
    let archive = harness.put("a", &sample(3, 50), 1);
    let before = harness.tables().await;
    match harness.invoke(&archive).await {
        Outcome::Failed { error_type: found, message } => {
            assert_eq!(found, error_type, "{message}");
            for word in words {
                assert!(message.contains(word), "{word:?} is not in {message:?}");
            }
        }
        Outcome::Ok(answer) => panic!("it went well: {answer}"),
    }
    assert!(harness.is_unsettled("a"), "{:?}", harness.keys());
    assert_eq!(harness.tables().await, before);
    assert_eq!(harness.stack.s3.unfinished_uploads(), 0);
}

/// Checks that the next invocation loads what the last one left.
pub async fn recovers(harness: &Harness) {
    Harness::report(harness.invoke(&key("a")).await);
    assert!(harness.is_good("a"));
    assert_eq!(harness.tables().await, expected(&members(3, 50)));
    assert_eq!(harness.ledger().await, [key("a")]);
}

/// Refuses every request of an operation.
async fn passes(operation: &str, status: u16, code: &str) {
    let harness = Harness::start().await;
    harness.stack.s3.inject(s3::Fault::on(operation, "", s3::Action::Refuse(status, code.to_owned())));
    if operation == "CopyObject" {
        // If the archive is loaded but not settled, the tables have changed.
        let archive = harness.put("a", &sample(3, 50), 1);
        let Outcome::Failed { error_type, .. } = harness.invoke(&archive).await else { panic!() };
        assert_eq!(error_type, "Retryable.S3Unavailable");
        assert!(harness.is_unsettled("a"));
    } else {
        fails(&harness, "Retryable.S3Unavailable", &[code]).await;
    }
    harness.stack.s3.clear_faults();
    recovers(&harness).await;
}

cases! {
    async s3_throttling_and_errors_pass: passes {
        throttled_listing("ListObjectsV2", 503, "SlowDown");
        throttled_download("GetObject", 503, "SlowDown");
        throttled_download_by_others("GetObject", 429, "TooManyRequests");
        failing_download("GetObject", 500, "InternalError");
        throttled_upload("PutObject", 503, "SlowDown");
        failing_copy("CopyObject", 500, "InternalError");
    }
}

/// Each request fails more often than the SDK alone would try. `AWS_MAX_ATTEMPTS` of 3, the SDK's default,
/// counts as not set, so the function uses its own number of attempts.
#[tokio::test(flavor = "multi_thread")]
async fn s3_that_throttles_for_a_while_is_waited_for() {
    let harness = Harness::builder().env("AWS_MAX_ATTEMPTS", "3").start().await;
    for operation in ["ListObjectsV2", "PutObject", "CopyObject"] {
        let refused = s3::Action::Refuse(503, "SlowDown".to_owned());
        harness.stack.s3.inject(s3::Fault::on(operation, "", refused).times(4));
    }
    harness.put("a", &sample(3, 50), 1);
    recovers(&harness).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_breaks_is_resumed_where_it_stands() {
    let harness = Harness::start().await;
    for at in [1000, 900, 800] {
        harness.stack.s3.inject(s3::Fault::on("GetObject", "client/", s3::Action::CutBodyAfter(at)).times(1));
    }
    harness.put("a", &sample(3, 50), 1);
    recovers(&harness).await;
    let reads = harness
        .stack
        .s3
        .requests()
        .iter()
        .filter(|request| request.operation == "GetObject" && request.key == Some(key("a")))
        .count();
    assert_eq!(reads, 4);
}

/// To the parsers, the network's fault looks like a broken archive. It must not be treated as one.
#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_breaks_for_good_marks_nothing() {
    let harness = Harness::start().await;
    harness.stack.s3.inject(s3::Fault::on("GetObject", "client/", s3::Action::CutBodyAfter(0)).times(6));
    fails(&harness, "Retryable.S3Unavailable", &["cannot read"]).await;
    recovers(&harness).await;
}

/// If S3 cannot serve a range, the object has another size than the listing said.
#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_is_not_there_leaves_the_archive_for_its_new_size() {
    let harness = Harness::start().await;
    harness.stack.s3.inject(s3::Fault::on("GetObject", ".tgz", s3::Action::CutBodyAfter(100)).times(1));
    harness.stack.s3.inject(s3::Fault::on(
        "GetObject",
        ".tgz",
        s3::Action::Refuse(416, "InvalidRange".to_owned()),
    ));
    fails(&harness, "Retryable.SourceChanged", &["InvalidRange"]).await;
    harness.stack.s3.clear_faults();
    recovers(&harness).await;
}

/// Uploads the archive again when the function sends a request of `operation`.
async fn is_left(operation: &str) {
    let harness = Arc::new(Harness::start().await);
    let changed = {
        let harness = Arc::downgrade(&harness);
        move || {
            let harness = harness.upgrade().unwrap();
            harness.stack.s3.put_at(BUCKET, &key("a"), &sample(4, 20), moment(9)).unwrap();
        }
    };
    let archive = harness.put("a", &sample(3, 50), 1);
    harness
        .stack
        .s3
        .inject(s3::Fault::on(operation, "cms-analytics", s3::Action::RunBefore(Arc::new(changed))).times(1));
    let Outcome::Failed { error_type, .. } = harness.invoke(&archive).await else { panic!() };
    assert_eq!(error_type, "Retryable.SourceChanged");
    assert!(harness.is_unsettled("a"));
    Harness::report(harness.invoke(&archive).await);
    assert!(harness.is_good("a"));
    assert_eq!(harness.tables().await, expected(&members(4, 20)));
}

cases! {
    async a_source_that_changes_while_it_is_worked_on_is_left_for_its_new_revision: is_left {
        before_it_is_read("GetObject");
        before_it_is_settled("CopyObject");
    }
}

/// Returns an action that refuses with one of Redshift's own codes and texts.
fn refuse(code: &str, message: &str) -> redshift::Action {
    redshift::Action::Refuse(code.to_owned(), message.to_owned())
}

/// Performs `action` at each statement that contains a text.
async fn redshift_passes(statement: &str, action: redshift::Action, error_type: &str) {
    let harness = Harness::start().await;
    harness.stack.redshift.inject(redshift::Fault::on(statement, action));
    fails(&harness, error_type, &[]).await;
    harness.stack.redshift.clear_faults();
    recovers(&harness).await;
}

const CONFLICT: &str = "could not complete because of conflict with concurrent transaction";
const THROTTLED: &str = "S3ServiceException:Please reduce your request rate,Status 503,Error SlowDown";

cases! {
    async faults_of_redshift_pass: redshift_passes {
        serialization("COPY", refuse("XX000", "1023"), "Retryable.Serialization");
        conflict_at_the_lock("LOCK ", refuse("XX000", CONFLICT), "Retryable.Serialization");
        timeout("COPY", refuse("57014", "Query (150) canceled on user's request"), "Retryable.StatementTimeout");
        s3_throttles_copy("COPY", refuse("XX000", THROTTLED), "Retryable.S3Unavailable");
        unknown_error("COPY", refuse("XX000", "something never seen"), "Retryable.Unknown");
        counts_that_differ("COPY", redshift::Action::Miscount(1), "Retryable.CountsDiffer");
        connection_lost_before_begin("BEGIN", redshift::Action::CutBefore, "Retryable.ConnectionLost");
        connection_lost_before_copy("COPY", redshift::Action::CutBefore, "Retryable.ConnectionLost");
        connection_lost_after_copy("COPY", redshift::Action::CutAfter, "Retryable.ConnectionLost");
        connection_lost_after_insert("INSERT", redshift::Action::CutAfter, "Retryable.ConnectionLost");
        connection_lost_before_commit("COMMIT", redshift::Action::CutBefore, "Retryable.ConnectionLost");
    }
}

/// Performs `action` at the first two statements that contain a text.
async fn is_tried_again(statement: &str, action: redshift::Action) {
    let harness = Harness::builder().appending().start().await;
    harness.stack.redshift.inject(redshift::Fault::on(statement, action).times(2));
    harness.put("a", &sample(3, 50), 1);
    recovers(&harness).await;
    let reads = harness
        .stack
        .s3
        .requests()
        .iter()
        .filter(|request| request.operation == "GetObject" && request.key == Some(key("a")))
        .count();
    assert_eq!(reads, 1);
}

cases! {
    /// Conflicts and lost connections are retried within the invocation, with the files that are already
    /// staged.
    async what_passes_at_once_is_tried_again_at_once: is_tried_again {
        serialization("COPY", refuse("XX000", "1023"));
        conflict_at_the_lock("LOCK ", refuse("XX000", CONFLICT));
        connection_lost_before_the_ledger_answers("SELECT COALESCE", redshift::Action::CutBefore);
        connection_lost_after_copy("COPY", redshift::Action::CutAfter);
        connection_lost_before_commit("COMMIT", redshift::Action::CutBefore);
        connection_lost_after_commit("COMMIT", redshift::Action::CutAfter);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_cannot_be_reached_passes() {
    let harness = Harness::builder().env("PGPORT", "1").start().await;
    fails(&harness, "Retryable.ConnectionLost", &["localhost:1/"]).await;
}
