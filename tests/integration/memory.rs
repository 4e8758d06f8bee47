//! Tests how much memory the function takes: as docs/explanation/performance.md says, whatever the size of
//! the archive.

use devstack::redshift::{Action, Fault};
use devstack::stack::BUCKET;
use serde_json::Value;

use crate::harness::{Harness, SHIPPED, good_key, key, long_sample, moment, sample, sample_with};

/// The maximum size of the buffers according to docs/explanation/performance.md, and the overhead of the
/// allocator and the HTTP client, in MiB. Together with the 22 MiB of a release build itself, this is below
/// the limit of 64 MiB. (A debug build takes more itself.)
const BUFFERS: f64 = 33.0 + 6.0;

/// Returns the maximum memory of a new function while it stages an archive, in MiB, as the kernel counts it.
async fn peak(harness: &Harness, archive: &[u8]) -> f64 {
    peak_beside(harness, archive, 0, 0).await
}

/// As [`peak`], with this number of older archives, of which this number have a marker.
async fn peak_beside(harness: &Harness, archive: &[u8], older: usize, marked: usize) -> f64 {
    harness.reset().await;
    let name = |n: usize| format!("{n:09}");
    let s3 = &harness.stack.s3;
    s3.put_all_at(BUCKET, (0..older).map(|n| key(&name(n))), b"x", moment(0)).unwrap();
    s3.put_all_at(BUCKET, (0..marked).map(|n| good_key(&name(n))), b"x", moment(0)).unwrap();
    // Redshift refuses when everything is staged: loading takes no memory in the function, and a second
    // function would be told that the archive is loaded.
    harness
        .stack
        .redshift
        .inject(Fault::on("COPY", Action::Refuse("42501".to_owned(), "permission denied".to_owned())));
    harness.lambda.kill_and_wait();
    harness.invoke(&harness.put("a", archive, 1)).await;
    let log = harness.log().await;
    let metrics: Value =
        serde_json::from_str(log.lines().rfind(|line| line.contains("_aws")).unwrap()).unwrap();
    assert_eq!(metrics["error_type"], "Deployment.Privilege", "{metrics}");
    metrics["MemoryPeak"].as_f64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_has_a_ceiling_that_no_size_moves() {
    let plain = SHIPPED.replacen('{', "{\"staging\": \"plain\",", 1);
    let harness = Harness::builder().config(plain).start().await;
    let mut peaks = vec![peak(&harness, &long_sample(1, 60_000_000)).await];
    let harness = Harness::builder().appending().start().await;
    let tiny = peak(&harness, &sample(1, 5)).await;
    for megabytes in [10, 40, 160] {
        peaks.push(peak(&harness, &long_sample(1, megabytes * 1_000_000)).await);
    }
    // Rows of nearly the maximum length, which consist mostly of quotes. Each is held as it was read, and
    // once more with half of its quotes. The cell is in a column that is not loaded, because no column is
    // that wide.
    let cell = "\"\"".repeat(1_900_000);
    let row = format!("1,2,3,4,\"{cell}\"\n");
    let long_rows =
        peak(&harness, &sample_with("analytics_group.csv", format!("a,b,c,d,e\n{}", row.repeat(3)))).await;
    println!("peaks in MiB: {tiny:.1}, {peaks:.1?}, of long rows {long_rows:.1}");
    for peak in peaks.iter().chain([&long_rows]) {
        assert!(*peak <= tiny + BUFFERS, "{tiny}, {peaks:?}, {long_rows}");
    }
    // Once the buffers are full, a larger archive takes no more memory.
    assert!((peaks[3] - peaks[2]).abs() <= 8.0, "{peaks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_grow_with_history() {
    for (builder, marked) in [
        (Harness::builder().appending(), 100_000),
        // With truncate, a superseded archive has no marker.
        (Harness::builder(), 0),
    ] {
        let harness = builder.start().await;
        let alone = peak(&harness, &sample(1, 5)).await;
        let beside = peak_beside(&harness, &sample(1, 5), 100_000, marked).await;
        println!("peaks in MiB: {alone:.1} alone, {beside:.1} beside 100,000 archives, {marked} marked");
        assert!(beside <= alone + 8.0, "{beside} beside history, {alone} alone");
    }
}
