//! Tests that archives are loaded oldest first, and never an older one over newer data.

use devstack::lambda::Outcome;
use devstack::stack::BUCKET;
use serde_json::json;

use crate::command_line::{again, load};
use crate::harness::{Harness, bad_key, expected, key, members, moment, sample, told};

#[tokio::test(flavor = "multi_thread")]
async fn appending_adds_to_what_is_there_and_oldest_comes_first() {
    let harness = Harness::builder().appending().start().await;
    let (b, a) = (harness.put("b", &sample(1, 5), 1), harness.put("a", &sample(2, 7), 2));
    Harness::report(harness.invoke(&a).await);
    assert_eq!(harness.ledger().await, [b, a]);
    assert_eq!(harness.rows("user_status").await.len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_truncate_the_newest_replaces_and_older_ones_are_superseded() {
    let harness = Harness::start().await;
    let (a, b) = (harness.put("a", &sample(1, 5), 1), harness.put("b", &sample(2, 7), 2));
    let report = Harness::report(harness.invoke(&b).await);
    assert_eq!(report["superseded"], json!([a]));
    assert_eq!(harness.tables().await, expected(&members(2, 7)));
    let report = Harness::report(harness.invoke(&a).await);
    assert_eq!(report["objects_processed"], json!(0));
    assert_eq!(harness.tables().await, expected(&members(2, 7)));
    assert!(harness.is_unsettled("a"));
}

/// Yesterday's archive was not yet loaded when today's bad one arrived. The run that finds the bad one stops.
/// The next run, even for the same event, loads what the bad one would have replaced.
#[tokio::test(flavor = "multi_thread")]
async fn under_truncate_a_bad_archive_supersedes_nothing() {
    let harness = Harness::start().await;
    let (a, b) = (harness.put("a", &sample(1, 5), 1), harness.put("b", &sample(2, 6), 2));
    let c = harness.put("c", b"no archive", 3);
    // Until a run has read it, the bad archive is the newest one.
    for older in [&a, &b] {
        let report = Harness::report(harness.lambda.invoke(harness.upload_event(older)).await);
        assert_eq!(
            (&report["objects_processed"], &report["superseded"]),
            (&json!(0), &json!([a.as_str(), b.as_str()]))
        );
    }
    let report = Harness::report(harness.lambda.invoke(harness.upload_event(&c)).await);
    assert_eq!(report["bad"][0]["key"], json!(c));
    assert_eq!(
        (&report["not_processed"], &report["superseded"], &report["queue_length"]),
        (&json!([b.as_str()]), &json!([a.as_str()]), &json!(1))
    );
    assert!(harness.is_unsettled("b") && harness.ledger().await.is_empty());

    // S3 delivers events at least once.
    let report = Harness::report(harness.lambda.invoke(harness.upload_event(&c)).await);
    assert_eq!(
        (&report["good"][0]["key"], &report["superseded"], &report["queue_length"]),
        (&json!(b), &json!([a.as_str()]), &json!(0))
    );
    assert_eq!(harness.tables().await, expected(&members(2, 6)));
    assert!(harness.is_good("b") && harness.is_bad("c") && harness.is_unsettled("a"));
    let before = harness.keys();
    Harness::report(harness.lambda.invoke(harness.upload_event(&c)).await);
    Harness::report(harness.sweep().await);
    assert_eq!((harness.keys(), harness.ledger().await), (before, vec![b]));

    // After its correction, the bad archive is the newest one.
    let later = chrono::Utc::now() + chrono::TimeDelta::seconds(5);
    harness.stack.s3.put_at(BUCKET, &c, &sample(3, 7), later).unwrap();
    let report = Harness::report(harness.lambda.invoke(harness.upload_event(&c)).await);
    assert_eq!(report["good"][0]["key"], json!(c));
    assert_eq!(harness.tables().await, expected(&members(3, 7)));
}

#[tokio::test(flavor = "multi_thread")]
async fn under_truncate_a_sweep_that_meets_a_bad_archive_fails_and_its_retry_loads_the_one_before() {
    let harness = Harness::start().await;
    harness.put("a", &sample(1, 5), 1);
    let (b, c) = (harness.put("b", b"no archive", 2), harness.put("c", b"no archive either", 3));
    harness.lambda.invoke_asynchronously(json!({"dataset": "cmslite_user_group_metadata"}));
    harness.becomes_good("a").await;
    harness.idle().await;
    assert!(harness.is_bad("b") && harness.is_bad("c"));
    assert_eq!(harness.tables().await, expected(&members(1, 5)));
    let messages: Vec<String> = harness
        .lambda
        .history()
        .iter()
        .filter_map(|ended| match &ended.outcome {
            Outcome::Failed { error_type, message } => {
                assert_eq!(error_type, "Retryable.StoppedAtBadArchive");
                Some(message.clone())
            }
            Outcome::Ok(_) => None,
        })
        .collect();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(
        messages[0].contains(&format!("{c} is bad and was settled as bad; stopped before {b},")),
        "{messages:?}"
    );
}

/// One invocation is for both archives, as with a queue. Its retry returns to the one that was not reached.
#[tokio::test(flavor = "multi_thread")]
async fn under_truncate_the_retry_of_an_event_that_names_both_loads_the_one_before_the_bad() {
    let harness = Harness::start().await;
    let (a, b) = (harness.put("a", &sample(1, 5), 1), harness.put("b", b"no archive", 2));
    let mut event = harness.upload_event(&a);
    let other = harness.upload_event(&b)["Records"][0].clone();
    event["Records"].as_array_mut().unwrap().push(other);
    harness.lambda.invoke_asynchronously(event);
    harness.becomes_good("a").await;
    harness.idle().await;
    assert!(harness.is_bad("b"));
    assert_eq!(harness.lambda.history().len(), 2);
}

/// What waits behind a bad archive is not loaded over newer data.
#[tokio::test(flavor = "multi_thread")]
async fn under_truncate_nothing_older_than_what_the_tables_hold_is_loaded_for_a_bad_archive() {
    let harness = Harness::start().await;
    let (a, b) = (harness.put("a", &sample(1, 5), 1), harness.put("b", &sample(2, 6), 2));
    Harness::report(harness.invoke(&b).await);
    // Only the ledger knows the revision that was loaded.
    harness.put("b", b"no archive", 3);
    let config = harness.config_file();
    let status = ["status", config.to_str().unwrap()];
    assert_eq!(load(&harness).await.0, Some(1));
    let waiting = format!("Superseded by a newer archive, never loaded:\n    {a} (uploaded ");
    let (output, _) = harness.command(&status).await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("Queue 0, superseded 1, bad 1, good 0") && told.contains(&waiting), "{told}");
    for key in [&a, &b] {
        Harness::report(harness.lambda.invoke(harness.upload_event(key)).await);
    }
    let report = Harness::report(harness.sweep().await);
    assert_eq!((&report["superseded"], &report["queue_length"]), (&json!([a]), &json!(0)));
    assert_eq!(again(&harness, "a").await.0, Some(0));
    assert_eq!((harness.tables().await, harness.ledger().await), (expected(&members(2, 6)), vec![b]));
    assert!(harness.is_unsettled("a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn under_truncate_the_newest_that_is_not_bad_is_loaded_again() {
    let harness = Harness::start().await;
    harness.put("a", &sample(1, 5), 1);
    assert_eq!(load(&harness).await.0, Some(0));
    harness.put("b", b"no archive", 2);
    assert_eq!(load(&harness).await.0, Some(1));
    harness.admin("DELETE FROM cmslite.user_group").await;
    assert_eq!(again(&harness, "a").await.0, Some(0));
    assert_eq!(harness.tables().await, expected(&members(1, 5)));
    // Loading the bad archive by hand finds it bad again and does nothing else.
    assert_eq!(again(&harness, "b").await.0, Some(1));
    assert_eq!(harness.ledger().await, [key("a"), key("a")]);
}

/// This was found in a trial: the checksum file, being the newest object, was settled as bad and superseded
/// its archive.
#[tokio::test(flavor = "multi_thread")]
async fn a_checksum_beside_an_archive_is_passed_over_and_supersedes_nothing() {
    let harness = Harness::start().await;
    let a = harness.put("a", &sample(1, 5), 1);
    let checksum = format!("{a}.MD5");
    harness
        .stack
        .s3
        .put_at(BUCKET, &checksum, b"0f343b0931126a20f133d67c2b018a3b  a.tgz\n", moment(2))
        .unwrap();
    let before = harness.keys();

    // The event of the checksum file requests nothing, and the answer says why.
    let Outcome::Ok(answer) = harness.invoke(&checksum).await else { panic!() };
    assert_eq!(
        answer,
        json!({"version": 1, "reports": [], "ignored": [format!("s3://{BUCKET}/{checksum}")], "omitted": {}})
    );
    assert_eq!(harness.keys(), before);
    let log = harness.log().await;
    assert!(log.contains("ignored: it is a checksum, not an archive"), "{log}");

    // For a sweep and for its own event, the archive is the newest one.
    let report = Harness::report(harness.sweep().await);
    assert_eq!(
        (&report["objects_found"], &report["objects_good"], &report["superseded"]),
        (&json!(1), &json!(1), &json!([]))
    );
    Harness::report(harness.invoke(&a).await);
    assert_eq!(harness.tables().await, expected(&members(1, 5)));
    assert!(harness.is_good("a"));
    let of_checksum = harness.keys().into_iter().filter(|key| key.contains(".MD5")).collect::<Vec<_>>();
    assert_eq!(of_checksum, [checksum.as_str()]);
    let log = harness.log().await;
    let named = format!("passed over, not archives by their names: {checksum} (a checksum)");
    assert!(log.contains(&named), "{log}");

    // If somebody requests the checksum file by its key, that is a usage error.
    let config = harness.config_file();
    for dry_run in [&[][..], &["--dry-run"]] {
        let again = [&["load", config.to_str().unwrap(), "--again", &checksum], dry_run].concat();
        let (output, _) = harness.command(&again).await;
        let said = told(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains(&format!("{checksum} is not an archive but a checksum, by its name")),
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_archive_stops_the_queue_and_the_retry_goes_on_behind_it() {
    let harness = Harness::builder().appending().start().await;
    let a = harness.put("a", b"no archive", 1);
    let b = harness.put("b", &sample(1, 5), 2);
    harness.lambda.invoke_asynchronously(Harness::event(&b));
    harness.becomes_good("b").await;
    assert!(harness.is_bad("a"));
    let first = &harness.lambda.history()[0];
    let Outcome::Failed { error_type, message } = &first.outcome else { panic!("{first:?}") };
    assert_eq!(error_type, "Retryable.StoppedAtBadArchive");
    assert!(message.contains(&a) && message.contains(&b), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_upload_under_the_same_name_is_loaded_and_clears_the_bad_marker() {
    let harness = Harness::start().await;
    let a = harness.put("a", b"no archive", 1);
    Harness::report(harness.invoke(&a).await);
    assert!(harness.is_bad("a"));
    // The marker has the current time, so the corrected upload is made a moment later.
    let later = chrono::Utc::now() + chrono::TimeDelta::seconds(5);
    harness.stack.s3.put_at(BUCKET, &a, &sample(1, 5), later).unwrap();
    Harness::report(harness.invoke(&a).await);
    assert!(harness.is_good("a") && !harness.is_bad("a"));
    assert!(!harness.keys().contains(&format!("{}.error.json", bad_key("a"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn loading_again_breaks_no_order() {
    let harness = Harness::start().await;
    harness.put("a", &sample(1, 5), 1);
    harness.put("b", &sample(2, 6), 2);
    assert_eq!(load(&harness).await.0, Some(0));
    for (name, reason) in [
        ("a", "is newer, and only the newest archive that is not bad may be loaded"),
        ("z", "there is no archive"),
    ] {
        let (status, stdout) = again(&harness, name).await;
        assert_eq!(status, Some(2), "{name}: {stdout}");
        assert!(stdout.contains(reason), "{name}: {stdout}");
    }
    assert_eq!(harness.tables().await, expected(&members(2, 6)));
    // Rows that somebody else deleted are loaded again.
    harness.admin("DELETE FROM cmslite.user_group").await;
    assert_eq!(again(&harness, "b").await.0, Some(0));
    assert_eq!(harness.tables().await, expected(&members(2, 6)));

    let appending = Harness::builder().appending().start().await;
    appending.put("a", &sample(1, 5), 1);
    appending.put("b", &sample(2, 6), 2);
    let (status, stdout) = again(&appending, "b").await;
    assert_eq!(status, Some(2));
    assert!(stdout.contains("cms-analytics-csv_a.tgz waits before it in the queue"), "{stdout}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_and_a_last_key_leave_the_rest_in_the_queue() {
    let harness = Harness::builder().appending().start().await;
    for (n, name) in ["a", "b", "c", "d"].iter().enumerate() {
        harness.put(name, &sample(n as u64, 2), n as i64);
    }
    let config = harness.config_file();
    let config = config.to_str().unwrap();
    let (output, _) = harness.command(&["load", config, "--limit", "1"]).await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(told.contains("Not processed:\n    client/cmslite_gdx/cms-analytics-csv_b.tgz\n"), "{told}");
    assert_eq!(harness.ledger().await, [key("a")]);
    assert_eq!(harness.command(&["load", config, "--until", &key("c")]).await.0.status.code(), Some(0));
    assert_eq!(harness.ledger().await, ["a", "b", "c"].map(key));
    assert_eq!(
        harness.command(&["load", config, "--until", &key("c"), "--again", &key("c")]).await.0.status.code(),
        Some(2)
    );
}
