//! Tests a formula for the number of requests to S3 in a load.

use std::collections::BTreeMap;

use devstack::redshift::{Action, Fault};
use devstack::stack::function_keys;

use crate::harness::{Harness, long_sample, sample};

/// Returns the function's own requests by operation. The requests of COPY are signed with other keys. Of the
/// writes of a lease, only the first one counts, because the number of renewals depends on time.
fn own_requests(harness: &Harness) -> BTreeMap<String, u64> {
    let own = function_keys().access_key_id;
    let mut counts = BTreeMap::new();
    let mut is_leased = false;
    for request in
        harness.stack.s3.requests().into_iter().filter(|request| request.access_key_id.as_ref() == Some(&own))
    {
        let is_lease =
            request.operation == "PutObject" && request.key.is_some_and(|key| key.contains("/lease/"));
        if is_lease && std::mem::replace(&mut is_leased, true) {
            continue;
        }
        *counts.entry(request.operation).or_default() += 1;
    }
    counts
}

/// Returns the requests for an archive that is alone in its queue: two looks for its marker, a lease and its
/// deletion, three listings, one download, its attributes, the pieces and a manifest for each of four
/// members, two deletions and one copy.
fn formula(pieces: u64) -> BTreeMap<String, u64> {
    let counts = [
        ("HeadObject", 3),
        ("ListObjectsV2", 3),
        ("GetObject", 1),
        ("PutObject", 1 + pieces + 4),
        ("DeleteObject", 3),
        ("CopyObject", 1),
    ];
    counts.into_iter().map(|(operation, count)| (operation.to_owned(), count)).collect()
}

/// Returns the number of pieces that were written, including those that were removed.
fn pieces(harness: &Harness) -> u64 {
    let is_piece = |key: &Option<String>| {
        key.as_ref().is_some_and(|key| key.contains("/batch/") && !key.contains(".manifest"))
    };
    let requests = harness.stack.s3.requests();
    requests.iter().filter(|request| request.operation == "PutObject" && is_piece(&request.key)).count()
        as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_those_of_the_formula() {
    let harness = Harness::builder().appending().env("COPY_IAM_ROLE", "default").start().await;
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    assert_eq!(pieces(&harness), 4);
    assert_eq!(own_requests(&harness), formula(4));
    assert_eq!(own_requests(&harness).values().sum::<u64>(), 20);

    // COPY refuses when everything is staged, because only the staging differs. So nothing is settled.
    harness.reset().await;
    harness
        .stack
        .redshift
        .inject(Fault::on("COPY", Action::Refuse("42501".to_owned(), "permission denied".to_owned())));
    harness.invoke(&harness.put("b", &long_sample(7, 60_000_000), 1)).await;
    let pieces = pieces(&harness);
    assert!(pieces > 8, "{pieces}");
    let mut expected = formula(pieces);
    // The lease is still deleted, and the staged files are removed.
    expected.insert("DeleteObject".to_owned(), 1 + pieces + 4);
    expected.remove("CopyObject");
    expected.insert("HeadObject".to_owned(), 2);
    assert_eq!(own_requests(&harness), expected);
}
