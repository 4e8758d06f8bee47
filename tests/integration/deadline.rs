//! Tests that a function that runs out of time leaves its work to the next one.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use devstack::lambda::Outcome;
use devstack::redshift;
use devstack::s3::{Action, Fault, Gate};
use serde_json::json;

use crate::faults::fails;
use crate::harness::{Harness, expected, members, sample, sample_with, words};

/// The remaining time below which no archive is started or read further, as in the program.
const RESERVE: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn a_function_with_too_little_time_begins_nothing() {
    let harness = Harness::builder().timeout(Duration::from_secs(10)).start().await;
    fails(&harness, "Retryable.DeadlineNear", &["time"]).await;
}

/// The time is nearly up in the middle of a download, when a part of a staged file is already uploaded.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_out_of_time_leaves_no_unfinished_upload() {
    let mut rows = String::from("id,name,active,site_key\n");
    for (n, word) in words(7).take(600_000).enumerate() {
        let _ = writeln!(rows, "{n},{word:016x},t,007");
    }
    let archive = sample_with("analytics_group.csv", rows);
    // The time that this machine needs for the first part of the archive is not known. A function that did
    // not get that far proves nothing about the rest.
    for seconds in [2, 8, 32, 128] {
        if is_out_of_time_in_a_download(&archive, Duration::from_secs(seconds)).await {
            return;
        }
    }
    panic!("the time was up before the download was interrupted");
}

/// Gives a function `time` to reach the middle of the download, and stops it there until its time is nearly
/// up. Returns whether it got that far.
async fn is_out_of_time_in_a_download(archive: &[u8], time: Duration) -> bool {
    let harness = Harness::builder().timeout(RESERVE + time).start().await;
    let gate = Gate::new();
    let most = archive.len() as u64 * 9 / 10;
    let s3 = &harness.stack.s3;
    s3.inject(Fault::on("GetObject", "client/", Action::CutBodyAfter(most)).times(1));
    s3.inject(Fault::on("GetObject", "client/", Action::Wait(gate.clone())).times(1));
    let key = harness.put("a", archive, 1);
    let mut invocation = std::pin::pin!(harness.invoke(&key));
    tokio::select! {
        outcome = &mut invocation => {
            assert!(matches!(&outcome, Outcome::Failed { error_type, .. } if error_type == "Retryable.DeadlineNear"), "{outcome:?}");
            return false;
        }
        () = gate.reached() => {}
    }
    // The function started before it sent its first request.
    let nearly_up = s3.requests()[0].at + time;
    tokio::time::sleep(nearly_up.saturating_duration_since(Instant::now())).await;
    gate.open();
    let Outcome::Failed { error_type, message } = invocation.await else { panic!("it was in time") };
    assert_eq!(error_type, "Retryable.DeadlineNear", "{message}");
    let is_of = |operation: &str| {
        s3.requests().iter().any(|request| {
            request.operation == operation && request.key.as_ref().is_none_or(|key| key.contains("/batch/"))
        })
    };
    assert!(is_of("PutObject") && is_of("DeleteObject"));
    assert!(!harness.keys().iter().any(|key| key.contains("/batch/")), "{:?}", harness.keys());
    assert!(harness.is_unsettled("a"));
    true
}

/// Lambda kills a function that exceeds its time, as in any other kill.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_over_its_time_is_killed_and_the_next_invocation_goes_on() {
    let harness = Harness::builder().appending().start().await;
    let gate = Gate::new();
    harness.stack.s3.inject(Fault::on("CopyObject", "", Action::Wait(gate.clone())).times(1));
    let archive = harness.put("a", &sample(3, 50), 1);
    let over_its_time = async {
        gate.reached().await;
        harness.lambda.time_out();
    };
    let (outcome, ()) = tokio::join!(harness.invoke(&archive), over_its_time);
    let Outcome::Failed { error_type, .. } = outcome else { panic!("it was in time") };
    assert_eq!(error_type, "Sandbox.Timedout");
    let report = Harness::report(harness.invoke(&archive).await);
    assert_eq!(report["good"][0]["outcome"], "already_loaded");
    assert_eq!(harness.tables().await, expected(&members(3, 50)));
}

/// The function asks Redshift for the other refused rows only while there is time to settle the archive.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_out_of_time_tells_the_refused_rows_that_it_knows() {
    // The time that this machine needs until the first refused row is not known.
    for seconds in [4, 16, 64, 128] {
        let harness = Harness::builder().timeout(RESERVE + Duration::from_secs(seconds)).start().await;
        Harness::report(harness.invoke(&harness.put("first", &sample(5, 4), 0)).await);
        harness.admin("REVOKE SELECT ON pg_catalog.svv_columns FROM PUBLIC").await;
        let gate = Gate::new();
        harness.stack.redshift.inject(redshift::Fault::on("NOLOAD", redshift::Action::Wait(gate.clone())));
        let text = "id,name,active,site_key\n1,a,maybe,k\n2,a,maybe,k\n";
        let key = harness.put("a", &sample_with("analytics_group.csv", text), 1);
        match harness.invoke(&key).await {
            Outcome::Ok(_) => {}
            Outcome::Failed { error_type, .. } if error_type == "Retryable.DeadlineNear" => continue,
            failed @ Outcome::Failed { .. } => panic!("{failed:?}"),
        }
        gate.open();
        assert!(harness.is_bad("a"));
        let error = harness.error_json("a");
        assert_eq!((&error["problems_found"], &error["problems"][0]["line"]), (&json!(1), &json!(2)));
        let why = error["incomplete"].as_str().unwrap();
        assert!(why.contains("analytics_group.csv") && why.ends_with("(Retryable.DeadlineNear)"), "{why}");
        return;
    }
    panic!("the time was up before Redshift was asked");
}
