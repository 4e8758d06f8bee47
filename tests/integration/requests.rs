//! What a load costs in requests to S3, by a formula.

use std::collections::BTreeMap;

use devstack::redshift::{Action, Fault};
use devstack::stack::{BUCKET, function_keys};

use crate::harness::{Harness, long_sample, sample};

/// As `stage` has it.
const PART_BYTES: u64 = 5 * 1024 * 1024;

/// The function's own requests by operation: what COPY reads is signed with the role's keys. Of a lease's writes the
/// first one counts; how often it is renewed is a matter of time.
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

/// Of an archive that is alone in its queue: two looks for its marker, a lease and its end, three listings, one read, what S3 knows of it, a file and a manifest for each member,
/// a file from one part on in parts (its beginning, its parts, its end), two removals and one copy.
fn formula(staged_bytes: &[u64]) -> BTreeMap<String, u64> {
    let (large, small): (Vec<u64>, Vec<u64>) = staged_bytes.iter().partition(|bytes| **bytes >= PART_BYTES);
    let counts = [
        ("HeadObject", 3),
        ("ListObjectsV2", 3),
        ("GetObject", 1),
        ("PutObject", (1 + small.len() + staged_bytes.len()) as u64),
        ("CreateMultipartUpload", large.len() as u64),
        ("UploadPart", large.iter().map(|bytes| bytes.div_ceil(PART_BYTES)).sum()),
        ("CompleteMultipartUpload", large.len() as u64),
        ("DeleteObject", 3),
        ("CopyObject", 1),
    ];
    counts
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(operation, count)| (operation.to_owned(), count))
        .collect()
}

fn staged_bytes(harness: &Harness) -> Vec<u64> {
    let staged = harness
        .stack
        .s3
        .objects(BUCKET)
        .into_iter()
        .filter(|object| object.key.starts_with("processed/batch/"));
    staged
        .filter(|object| !object.key.ends_with(".manifest"))
        .map(|object| harness.stack.s3.read(BUCKET, &object.key).unwrap().len() as u64)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_those_of_the_formula() {
    let harness = Harness::builder().appending().env("COPY_IAM_ROLE", "default").start().await;
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    let staged = staged_bytes(&harness);
    assert_eq!(staged.len(), 4);
    assert_eq!(own_requests(&harness), formula(&staged));
    assert_eq!(own_requests(&harness).values().sum::<u64>(), 20);

    // COPY is refused once everything is staged, since only staging differs: nothing is settled then.
    harness.reset().await;
    harness
        .stack
        .redshift
        .inject(Fault::on("COPY", Action::Refuse("42501".to_owned(), "permission denied".to_owned())));
    harness.invoke(&harness.put("b", &long_sample(7, 60_000_000), 1)).await;
    let staged = staged_bytes(&harness);
    assert!(staged.iter().any(|bytes| *bytes >= PART_BYTES), "{staged:?}");
    let mut expected = formula(&staged);
    // The lease is given back all the same.
    expected.insert("DeleteObject".to_owned(), 1);
    expected.remove("CopyObject");
    expected.insert("HeadObject".to_owned(), 2);
    assert_eq!(own_requests(&harness), expected);
}
