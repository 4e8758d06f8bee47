//! Tests that no revision of an archive is loaded twice, unless somebody requests it.

use devstack::redshift::{Action, Fault};
use serde_json::json;

use crate::command_line::{again, load};
use crate::harness::{Harness, expected, key, members, sample};

#[tokio::test(flavor = "multi_thread")]
async fn the_same_event_twice_loads_once() {
    let harness = Harness::builder().appending().start().await;
    let a = harness.put("a", &sample(1, 5), 1);
    Harness::report(harness.invoke(&a).await);
    Harness::report(harness.invoke(&a).await);
    assert_eq!(harness.rows("user_status").await.len(), 5);
    assert_eq!(harness.ledger().await, [a]);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_functions_on_one_archive_load_it_once() {
    let harness = Harness::builder().appending().concurrency(3).start().await;
    let archive = harness.put("a", &sample(3, 200), 1);
    for _ in 0..6 {
        harness.lambda.invoke_asynchronously(Harness::event(&archive));
    }
    harness.idle().await;
    assert_eq!(harness.lambda.dead_letters(), []);
    assert!(harness.is_good("a"));
    assert_eq!(harness.tables().await, expected(&members(3, 200)));
    assert_eq!(harness.ledger().await, [key("a")]);
}

/// The connection is lost after COMMIT was executed. The ledger has the load, so nothing is loaded twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_without_an_answer_is_settled_by_the_ledger() {
    let harness = Harness::builder().appending().start().await;
    harness.stack.redshift.inject(Fault::on("COMMIT", Action::CutAfter).times(1));
    let archive = harness.put("a", &sample(3, 50), 1);
    let report = Harness::report(harness.invoke(&archive).await);
    assert_eq!(report["good"][0]["outcome"], "already_loaded");
    assert!(harness.is_good("a"));
    assert_eq!(harness.tables().await, expected(&members(3, 50)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_loaded_again_on_purpose_only() {
    let harness = Harness::builder().appending().start().await;
    harness.put("a", &sample(1, 5), 1);
    assert_eq!(load(&harness).await.0, Some(0));
    assert_eq!(load(&harness).await.0, Some(0));
    assert_eq!(harness.rows("user_group").await.len(), 5);
    let (status, stdout) = again(&harness, "a").await;
    assert_eq!(status, Some(0), "{stdout}");
    assert!(stdout.contains("cmslite.user_group: 5 rows"), "{stdout}");
    assert_eq!(harness.rows("user_group").await.len(), 10);
    assert_eq!(harness.ledger().await, [key("a"), key("a")]);

    // The same in Lambda: the answer to COMMIT is lost, and the archive is not loaded once more for that.
    harness.stack.redshift.inject(Fault::on("COMMIT", Action::CutAfter).times(1));
    let event = json!({"dataset": "cmslite_user_group_metadata", "key": key("a"), "again": true});
    let report = Harness::report(harness.lambda.invoke(event).await);
    assert_eq!(report["objects_good"], json!(1));
    assert_eq!(harness.rows("user_group").await.len(), 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_was_bad_is_tried_again_without_another_upload() {
    let harness = Harness::start().await;
    harness.admin("ALTER TABLE cmslite.cms_group ALTER COLUMN name TYPE VARCHAR(1)").await;
    harness.put("a", &sample(1, 5), 1);
    assert_eq!(load(&harness).await.0, Some(1));
    harness.admin("ALTER TABLE cmslite.cms_group ALTER COLUMN name TYPE VARCHAR(255)").await;
    assert_eq!(load(&harness).await.0, Some(0));
    assert!(harness.is_bad("a"));
    assert_eq!(again(&harness, "a").await.0, Some(0));
    assert!(harness.is_good("a") && !harness.is_bad("a"));
    assert_eq!(harness.tables().await, expected(&members(1, 5)));
}
