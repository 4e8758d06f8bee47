//! How much memory the function takes: what docs/explanation/performance.md says, whatever the size of the archive.

use devstack::redshift::{Action, Fault};
use devstack::stack::BUCKET;
use serde_json::Value;

use crate::harness::{Harness, SHIPPED, good_key, key, long_sample, moment, sample, sample_with};

/// The most that the buffers take by docs/explanation/performance.md, and what the allocator and the HTTP client may add, in MiB. With
/// what the program of a release takes by itself, 22, this is below the ceiling of 64. (A program that is not optimised
/// takes more by itself.)
const BUFFERS: f64 = 33.0 + 6.0;

/// The most memory that a fresh function ever had while it staged an archive, in MiB, as the kernel counts
/// it.
async fn peak(harness: &Harness, archive: &[u8]) -> f64 {
    peak_beside(harness, archive, 0, 0).await
}

/// As [`peak`], beside so many older archives, of which so many have a marker.
async fn peak_beside(harness: &Harness, archive: &[u8], older: usize, marked: usize) -> f64 {
    harness.reset().await;
    let name = |n: usize| format!("{n:09}");
    let s3 = &harness.stack.s3;
    s3.put_all_at(BUCKET, (0..older).map(|n| key(&name(n))), b"x", moment(0)).unwrap();
    s3.put_all_at(BUCKET, (0..marked).map(|n| good_key(&name(n))), b"x", moment(0)).unwrap();
    // Refused, but everything is staged by then; loading is Redshift's work, and tells a function that comes
    // second.
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
    // Rows that are nearly as long as one may be, nearly all quotes: each is held as it is read, and with its
    // quotes halved. The cell is behind the last that is loaded, since no column takes so much.
    let cell = "\"\"".repeat(1_900_000);
    let row = format!("1,2,3,4,\"{cell}\"\n");
    let long_rows =
        peak(&harness, &sample_with("analytics_group.csv", format!("a,b,c,d,e\n{}", row.repeat(3)))).await;
    println!("peaks in MiB: {tiny:.1}, {peaks:.1?}, of long rows {long_rows:.1}");
    for peak in peaks.iter().chain([&long_rows]) {
        assert!(*peak <= tiny + BUFFERS, "{tiny}, {peaks:?}, {long_rows}");
    }
    // Beyond what fills the buffers, a size costs nothing.
    assert!((peaks[3] - peaks[2]).abs() <= 8.0, "{peaks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_grow_with_history() {
    for (builder, marked) in [
        (Harness::builder().appending(), 100_000),
        // With truncate, what a newer archive supersedes gets no marker.
        (Harness::builder(), 0),
    ] {
        let harness = builder.start().await;
        let alone = peak(&harness, &sample(1, 5)).await;
        let beside = peak_beside(&harness, &sample(1, 5), 100_000, marked).await;
        println!("peaks in MiB: {alone:.1} alone, {beside:.1} beside 100,000 archives, {marked} marked");
        assert!(beside <= alone + 8.0, "{beside} beside history, {alone} alone");
    }
}
