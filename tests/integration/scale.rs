//! Tests that a long history costs only listings.

use std::collections::BTreeMap;

use devstack::lambda::Outcome;
use devstack::s3::{Action, Fault, Gate};
use devstack::stack::BUCKET;
use serde_json::json;

use crate::harness::{HANGS_AFTER, Harness, expected, good_key, key, members, moment, sample};

const SETTLED: usize = 100_000;

/// The number of keys on a page of a listing (Amazon S3 API Reference, `ListObjectsV2`).
const PAGE: usize = 1000;

/// Returns the number of the function's requests of each operation. Renewals of the lease do not count,
/// because their number depends on time.
fn requests(harness: &Harness) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in harness.stack.s3.requests() {
        if request.operation == "PutObject" && request.key.is_some_and(|key| key.contains("/lease/")) {
            continue;
        }
        *counts.entry(request.operation).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_settled_archives_cost_their_listings() {
    let harness = Harness::builder().appending().start().await;
    Harness::report(harness.invoke(&harness.put("z1", &sample(1, 5), 20)).await);
    let alone = requests(&harness);

    harness.reset().await;
    let name = |n: usize| format!("{n:06}");
    let s3 = &harness.stack.s3;
    let content = sample(9, 1);
    s3.put_all_at(BUCKET, (0..SETTLED).map(|n| key(&name(n))), &content, moment(1)).unwrap();
    // The ETag of a marker differs if the archive was uploaded in parts. For old archives, the marker is not
    // asked for.
    s3.put_all_at(BUCKET, (0..SETTLED / 2).map(|n| good_key(&name(n))), &content, moment(2)).unwrap();
    let mut other = content.clone();
    other[9] ^= 1;
    s3.put_all_at(BUCKET, (SETTLED / 2..SETTLED).map(|n| good_key(&name(n))), &other, moment(2)).unwrap();
    let report = Harness::report(harness.invoke(&harness.put("z1", &sample(1, 5), 20)).await);
    assert_eq!((&report["objects_found"], &report["objects_processed"]), (&json!(SETTLED + 1), &json!(1)));
    assert_eq!(harness.tables().await, expected(&members(1, 5)));

    let mut long = requests(&harness);
    let listings = long.remove("ListObjectsV2").unwrap();
    let mut alone = alone;
    assert_eq!(alone.remove("ListObjectsV2"), Some(3));
    assert_eq!(listings, (SETTLED + 1).div_ceil(PAGE) + SETTLED.div_ceil(PAGE) + 1);
    assert_eq!(long, alone);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_three_listings_are_asked_for_side_by_side() {
    let harness = Harness::start().await;
    let gates = [Gate::new(), Gate::new(), Gate::new()];
    for gate in &gates {
        harness.stack.s3.inject(Fault::on("ListObjectsV2", "", Action::Wait(gate.clone())).times(1));
    }
    let archive = harness.put("a", &sample(1, 5), 1);
    let invocation = harness.invoke(&archive);
    let all_at_once = async {
        for gate in &gates {
            tokio::time::timeout(HANGS_AFTER, gate.reached()).await.expect("a listing waits for another");
        }
        for gate in &gates {
            gate.open();
        }
    };
    let (outcome, ()) = tokio::join!(invocation, all_at_once);
    Harness::report(outcome);
}

/// The names have the maximum length, and all archives waited while no function ran.
#[tokio::test(flavor = "multi_thread")]
async fn the_answer_and_the_log_stay_short_however_many_archives_are_superseded() {
    const SUPERSEDED: usize = 20_000;
    const HELD: usize = 1_000;
    const MAX_BYTES: usize = 200_000;
    let harness = Harness::start().await;
    let name = |n: usize| format!("{n:06}-{}", "n".repeat(920));
    let s3 = &harness.stack.s3;
    s3.put_all_at(BUCKET, (0..SUPERSEDED).map(|n| key(&name(n))), &sample(9, 1), moment(1)).unwrap();
    let newest = harness.put("z1", &sample(1, 5), 20);
    let outcome = harness.invoke(&newest).await;
    let Outcome::Ok(answer) = outcome else { panic!("{outcome:?}") };
    let answer_bytes = answer.to_string().len();
    assert!(answer_bytes < MAX_BYTES, "{answer_bytes} bytes");
    let report = &answer["reports"][0];
    assert_eq!(report["objects_superseded"], json!(SUPERSEDED));
    assert_eq!(report["omitted"], json!({ "superseded": SUPERSEDED - 40 }));
    let superseded = report["superseded"].as_array().unwrap();
    // The names of the older ones are not kept.
    assert_eq!((superseded.len(), &superseded[0]), (40, &json!(key(&name(SUPERSEDED - HELD)))));
    assert_eq!(superseded[39], json!(key(&name(SUPERSEDED - 1))));
    assert_eq!(harness.tables().await, expected(&members(1, 5)));
    let log = harness.log().await;
    let longest = log.lines().map(str::len).max().unwrap_or_default();
    assert!(longest > 20_000 && longest < MAX_BYTES, "{longest} bytes");
}
