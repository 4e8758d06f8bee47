//! Tests several functions on one queue at once: the cost in requests and downloads, and that no work is done
//! twice if it is known to be done.

use std::collections::BTreeMap;

use std::time::Duration;

use devstack::lambda::{self, Outcome};
use devstack::redshift;
use devstack::s3::{Action, Fault, Gate};
use devstack::stack::{BUCKET, function_keys};
use serde_json::{Value, json};

use crate::harness::moto;
use crate::harness::{HANGS_AFTER, Harness, bad_key, cases, key, sample};
use crate::notices::topic;

const ARCHIVES: u64 = 60;

/// One of this number of archives is bad.
const BAD_EVERY: u64 = 12;

/// The number of rows that a good archive has for each table.
const ROWS: usize = 3;

/// `SEVERAL_SEED` changes the order of events.
fn seed() -> u64 {
    std::env::var("SEVERAL_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

/// Puts `items` in an order that depends on the seed (Marsaglia's xorshift, the shuffle of Fisher and Yates).
fn shuffle<T>(items: &mut [T], mut state: u64) {
    state |= 1;
    for last in (1..items.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        items.swap(last, usize::try_from(state % (last as u64 + 1)).unwrap());
    }
}

fn name(n: u64) -> String {
    format!("{n:03}")
}

fn is_bad(n: u64) -> bool {
    n % BAD_EVERY == BAD_EVERY / 2
}

/// Returns the number of the function's own requests to S3, by operation and prefix. Of the `PutObject`
/// requests for `error.json`, only the successful ones count.
fn counts(harness: &Harness) -> BTreeMap<String, u64> {
    let own = function_keys().access_key_id;
    let mut counts = BTreeMap::new();
    for request in harness.stack.s3.requests() {
        if request.access_key_id.as_ref() != Some(&own) {
            continue;
        }
        let place = match request.key.as_deref() {
            None | Some("") => String::new(),
            Some(key) if key.starts_with("client/") => " archive".to_owned(),
            Some(key) if key.ends_with(".error.json") && request.status != Some(200) => {
                " error.json, refused".to_owned()
            }
            Some(key) if key.ends_with(".error.json") => " error.json".to_owned(),
            Some(key) => format!(" {}", key.split('/').nth(1).unwrap_or_default()),
        };
        *counts.entry(format!("{}{place}", request.operation)).or_default() += 1;
    }
    counts
}

/// There are 60 archives and two events for each, in any order.
async fn cost_little_more_than_one(functions: usize, with_leases: bool) {
    let moto = moto::start().await;
    let topic = topic(&moto).await;
    let builder = Harness::builder()
        .appending()
        .concurrency(functions)
        .env("COPY_IAM_ROLE", "default")
        .env("AWS_ENDPOINT_URL_SNS", moto.endpoint())
        .env("BAD_ARCHIVE_TOPIC_ARN", topic);
    let harness = builder.start().await;
    if !with_leases {
        harness.deny_leases();
    }
    let mut events = Vec::new();
    for n in 0..ARCHIVES {
        let at = i64::try_from(n).unwrap();
        let archive = if is_bad(n) { format!("no archive {n}").into_bytes() } else { sample(n, ROWS) };
        let key = harness.put(&name(n), &archive, at);
        let event = harness.upload_event(&key);
        events.extend([event.clone(), event]);
    }
    shuffle(&mut events, seed());
    let begun = std::time::Instant::now();
    for event in events {
        harness.lambda.invoke_asynchronously(event);
    }
    harness.idle().await;
    // Lambda gives up an event after three tries. A sweep continues, up to the next bad archive.
    let mut sweeps = 0;
    while (0..ARCHIVES).any(|n| harness.is_unsettled(&name(n))) {
        assert!(sweeps < ARCHIVES, "the queue does not end");
        harness.sweep().await;
        sweeps += 1;
    }
    let took = begun.elapsed();

    let counts = counts(&harness);
    let requests: u64 = counts.values().sum();
    let downloads = counts["GetObject archive"];
    let told: Vec<String> = moto.heard().await.into_iter().map(|(subject, _)| subject).collect();
    let bad: Vec<u64> = (0..ARCHIVES).filter(|n| is_bad(*n)).collect();
    println!(
        "SEVERAL_SEED={} functions {functions} leases {with_leases}: {:.1} requests and {:.2} downloads an archive, {} explanations and {} messages for \
         {} bad archives, {sweeps} sweeps, {took:.1?}\n{counts:#?}",
        seed(),
        requests as f64 / ARCHIVES as f64,
        downloads as f64 / ARCHIVES as f64,
        counts["PutObject error.json"],
        told.len(),
        bad.len(),
    );
    for n in 0..ARCHIVES {
        assert_eq!((harness.is_good(&name(n)), harness.is_bad(&name(n))), (!is_bad(n), is_bad(n)), "{n}");
    }
    let good: Vec<String> = (0..ARCHIVES).filter(|n| !is_bad(*n)).map(|n| key(&name(n))).collect();
    assert_eq!(harness.ledger().await, good);
    assert_eq!(harness.rows("user_status").await.len(), good.len() * ROWS);
    assert_eq!(counts["PutObject error.json"], bad.len() as u64);
    let mut told = told;
    told.sort();
    let expected: Vec<String> =
        bad.iter().map(|n| bad_key(&name(*n)).rsplit('/').next().unwrap().to_owned()).collect();
    assert!(
        told.len() == bad.len() && told.iter().zip(&expected).all(|(subject, name)| subject.ends_with(name)),
        "{told:?}"
    );
    if with_leases {
        assert!(requests <= 30 * ARCHIVES, "{requests} requests");
        assert!(downloads * 2 <= 3 * ARCHIVES, "{downloads} downloads");
    }
    assert!(harness.stack.s3.objects(BUCKET).iter().all(|object| !object.key.contains("/lease/")));
}

cases! {
    async functions: cost_little_more_than_one {
        one(1, true);
        six(6, true);
        six_without_leases(6, false);
    }
}

/// The number of requests for late events does not depend on the number of settled archives.
async fn late_events(archives: u64) -> BTreeMap<String, u64> {
    let harness = Harness::builder().appending().start().await;
    let mut events: Vec<Value> = Vec::new();
    for n in 0..archives {
        let archive = if n == 1 { b"no archive".to_vec() } else { sample(n, 1) };
        let key = harness.put(&name(n), &archive, i64::try_from(n).unwrap());
        events.push(harness.upload_event(&key));
    }
    // One sweep goes up to the bad archive, the next one past it.
    harness.sweep().await;
    harness.sweep().await;
    harness.stack.s3.clear_requests();
    for event in events {
        let report = Harness::report(harness.lambda.invoke(event).await);
        assert_eq!(report["settled_meanwhile"].as_array().unwrap().len(), 1, "{report}");
    }
    counts(&harness)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_event_of_a_settled_archive_costs_two_heads_at_the_most() {
    for archives in [3, 9] {
        let expected =
            BTreeMap::from([("HeadObject good".to_owned(), archives), ("HeadObject bad".to_owned(), 1)]);
        assert_eq!(late_events(archives).await, expected);
    }
}

/// The same bytes, uploaded again, are the newest upload, whatever the markers of the first upload say.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_of_the_same_bytes_after_the_marker_is_no_late_event() {
    let harness = Harness::start().await;
    let a = harness.put("a", &sample(1, 5), 1);
    Harness::report(harness.lambda.invoke(harness.upload_event(&a)).await);
    let b = harness.put("b", &sample(2, 7), 2);
    Harness::report(harness.lambda.invoke(harness.upload_event(&b)).await);
    assert_eq!(harness.rows("user_status").await.len(), 7);
    let later = chrono::Utc::now() + chrono::TimeDelta::seconds(5);
    harness.stack.s3.put_at(BUCKET, &a, &sample(1, 5), later).unwrap();
    Harness::report(harness.lambda.invoke(harness.upload_event(&a)).await);
    assert_eq!(harness.rows("user_status").await.len(), 5);
}

fn asked(harness: &Harness, operation: &str, place: &str) -> usize {
    let requests = harness.stack.s3.requests();
    let fits = requests.iter().filter(|request| {
        request.operation == operation && request.key.as_ref().is_some_and(|key| key.contains(place))
    });
    fits.count()
}

/// A lease is renewed while its holder works, so no other function stages the archive meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_long_load_waits_until_its_end() {
    let harness = Harness::builder().appending().concurrency(2).start().await;
    let a = harness.put("a", &sample(1, 5), 1);
    // Such a long load waits for Redshift, since no request to S3 may take that long.
    let gate = Gate::new();
    let copy = redshift::Fault::on("COPY", redshift::Action::Wait(gate.clone())).times(1);
    harness.stack.redshift.inject(copy);
    harness.lambda.invoke_asynchronously(harness.upload_event(&a));
    tokio::time::timeout(HANGS_AFTER, gate.reached()).await.expect("nothing is loaded");
    let (begun, taken) = (std::time::Instant::now(), asked(&harness, "PutObject", "/lease/"));
    let waiting = harness.lambda.invoke(harness.upload_event(&a));
    let opened = async {
        // This is longer than a lease is valid without renewal.
        let is_renewed = || {
            asked(&harness, "PutObject", "/lease/") >= taken + 4 && begun.elapsed() > Duration::from_secs(25)
        };
        lambda::eventually(HANGS_AFTER, is_renewed).await.expect("the lease is not renewed");
        gate.open();
    };
    let (waited, ()) = tokio::join!(waiting, opened);
    assert_eq!(Harness::report(waited)["settled_meanwhile"], json!([a]));
    harness.idle().await;
    assert_eq!(asked(&harness, "GetObject", &a), 1);
    assert_eq!(harness.ledger().await, [a]);
    assert!(harness.keys().iter().all(|key| !key.contains("/lease/")));
}

/// A killed function leaves its lease, and the next one waits until the lease has expired.
#[tokio::test(flavor = "multi_thread")]
async fn who_died_is_not_waited_for_longer_than_its_lease() {
    let harness = Harness::builder().appending().start().await;
    let a = harness.put("a", &sample(1, 5), 1);
    let gate = Gate::new();
    harness.stack.s3.inject(Fault::on("GetObject", &a, Action::Wait(gate.clone())).times(1));
    let killed = async {
        gate.reached().await;
        harness.lambda.kill_and_wait();
    };
    let (outcome, ()) = tokio::join!(harness.invoke(&a), killed);
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    assert!(harness.keys().iter().any(|key| key.contains("/lease/")));
    Harness::report(harness.invoke(&a).await);
    assert!(harness.is_good("a"));
    assert!(harness.log().await.contains("taking over a lease"));
    assert!(harness.keys().iter().all(|key| !key.contains("/lease/")));
}

/// A run that takes longer than an event should wait, such as a backlog that is loaded by hand, makes no
/// event fail.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_waited_for_half_of_its_time_works_without_a_lease() {
    let harness =
        Harness::builder().appending().concurrency(2).timeout(Duration::from_secs(45)).start().await;
    let a = harness.put("a", &sample(1, 5), 1);
    // This is like a run on another machine that renews its lease.
    let note = json!({"holder": "command-by-hand", "until": "2999-01-01T00:00:00Z"});
    let lease = "processed/lease/client/cmslite_gdx/cmslite_user_group_metadata.json";
    let renewed = async {
        for n in 0.. {
            let note = format!("{note}{}", " ".repeat(n % 7));
            harness.stack.s3.put_at(BUCKET, lease, note.as_bytes(), chrono::Utc::now()).unwrap();
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    };
    let outcome = tokio::select! {
        outcome = harness.invoke(&a) => outcome,
        () = renewed => panic!("it is renewed for ever"),
    };
    Harness::report(outcome);
    assert!(harness.is_good("a"));
    assert_eq!(harness.ledger().await, [a]);
    let log = harness.log().await;
    assert!(log.contains("working without a lease on the queue: another run (command-by-hand)"), "{log}");
    assert!(harness.keys().contains(&lease.to_owned()), "the other run's lease was taken away");
}

/// An object that is not a lease, or one with a wrong clock, delays no function for long.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_nobody_renews_is_taken_over_whatever_it_says() {
    let lease = "processed/lease/client/cmslite_gdx/cmslite_user_group_metadata.json";
    for note in ["", "no lease", r#"{"holder": "x", "until": "2999-01-01T00:00:00Z"}"#] {
        let harness = Harness::builder().appending().start().await;
        let a = harness.put("a", &sample(1, 5), 1);
        harness.stack.s3.put_at(BUCKET, lease, note.as_bytes(), chrono::Utc::now()).unwrap();
        Harness::report(harness.invoke(&a).await);
        assert!(harness.is_good("a") && !harness.keys().contains(&lease.to_owned()), "{note}");
    }
}

/// Without the permission for a lease, the load continues, and the log says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_leases_loads_all_the_same() {
    let harness = Harness::builder().appending().start().await;
    harness.deny_leases();
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    assert!(harness.is_good("a"));
    assert!(harness.log().await.contains("working without a lease"));
}

/// What another run has settled since the listings is skipped and reported.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_settled_since_the_listings_is_not_read() {
    let harness = std::sync::Arc::new(Harness::builder().appending().start().await);
    let (a, b) = (harness.put("a", &sample(1, 5), 1), harness.put("b", &sample(2, 5), 2));
    harness.put("c", &sample(3, 5), 3);
    // `b` gets its marker, as if from another run, while `a` is downloaded.
    let weak = std::sync::Arc::downgrade(&harness);
    let settle = move || {
        let harness = weak.upgrade().unwrap();
        harness
            .stack
            .s3
            .put_at(BUCKET, &crate::harness::good_key("b"), &sample(2, 5), chrono::Utc::now())
            .unwrap();
    };
    let during = Action::RunBefore(std::sync::Arc::new(settle));
    harness.stack.s3.inject(Fault::on("GetObject", &a, during).times(1));
    let report = Harness::report(harness.sweep().await);
    assert_eq!(report["settled_meanwhile"], json!([b]));
    assert_eq!((&report["objects_good"], &report["queue_length"]), (&json!(2), &json!(0)));
    assert_eq!(harness.ledger().await, [a, key("c")]);
}

/// There are two ways in which a store says that it does not support conditional writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_leases_is_loaded_from_without_them() {
    for (status, code) in [(501, "NotImplemented"), (400, "UnsupportedHeader")] {
        let harness = Harness::start().await;
        harness.stack.s3.inject(Fault::on("PutObject", "/lease/", Action::Refuse(status, code.to_owned())));
        Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
        assert!(harness.is_good("a"), "{code}");
        assert!(harness.log().await.contains("working without a lease on the queue"), "{code}");
    }
}

/// The headers of another run's lease arrive, but its body never does.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_never_comes_to_its_end_is_named() {
    let harness = Harness::builder().timeout(Duration::from_secs(20)).start().await;
    let lease = format!("processed/lease/client/cmslite_gdx/{}.json", "cmslite_user_group_metadata");
    let note = json!({"holder": "another", "until": "2999-01-01T00:00:00Z"}).to_string();
    harness.stack.s3.put_at(BUCKET, &lease, note.as_bytes(), chrono::Utc::now()).unwrap();
    harness.stack.s3.inject(Fault::on("GetObject", "/lease/", Action::SilenceAfter(1)));
    let Outcome::Failed { error_type, message } = harness.invoke(&harness.put("a", &sample(1, 5), 1)).await
    else {
        panic!("it was loaded")
    };
    assert_eq!(error_type, "Retryable.DeadlineNear", "{message}");
    assert!(
        message.contains("while waiting for S3: the bytes of s3://") && message.contains("/lease/"),
        "{message}"
    );
}
