//! How much memory the function takes: what docs/performance.md says, whatever the size of the archive.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at what it did not expect")]

mod support;

use std::time::Duration;

use devstack::lambda::eventually;
use devstack::redshift::{Action, Fault};
use devstack::samples;
use support::{Setup, World, sample, sample_with};

/// The ceiling of docs/performance.md, in MiB.
const CEILING: f64 = 64.0;

/// What the buffers take that docs/performance.md lists, and what the allocator and the HTTP client may add, in MiB.
const BUFFERS: f64 = 18.6 + 6.0;

/// The most memory that a fresh function ever had while it staged an archive, in MiB, as the kernel counts it.
async fn peak(world: &World, archive: &[u8]) -> f64 {
    world.reset().await;
    // Refused, but everything is staged by then; loading is Redshift's work, and tells a function that comes second.
    world.stack.redshift.inject(Fault::on("COPY", Action::Refuse("42501".to_owned(), "permission denied".to_owned())));
    let before = world.lambda.log().lines().filter(|line| line.contains("_aws")).count();
    world.lambda.kill_and_wait();
    world.invoke(&world.put("a", archive, 1)).await;
    let lines = || world.lambda.log().lines().filter(|line| line.contains("_aws")).map(str::to_owned).collect::<Vec<_>>();
    eventually(Duration::from_secs(30), || lines().len() > before).await.unwrap();
    let metrics: serde_json::Value = serde_json::from_str(lines().last().unwrap()).unwrap();
    assert_eq!(metrics["error_type"], "Deployment.Privilege", "{metrics}");
    metrics["MemoryPeak"].as_f64().unwrap()
}

fn long(csv_bytes: u64) -> Vec<u8> {
    let mut archive = Vec::new();
    samples::write_long(1, csv_bytes, &mut archive).unwrap();
    archive
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_has_a_ceiling_that_no_size_moves() {
    let world = Setup::appending().start().await;
    let tiny = peak(&world, &sample(1, 5)).await;
    let mut peaks = Vec::new();
    for megabytes in [10, 40, 160] {
        peaks.push(peak(&world, &long(megabytes * 1_000_000)).await);
    }
    // Rows that are nearly as long as one may be, nearly all quotes: each is held as it is read, and with its quotes halved. The
    // cell is behind the last that is loaded, since no column takes so much.
    let cell = "\"\"".repeat(1_900_000);
    let row = format!("1,2,3,4,\"{cell}\"\n");
    let long_rows = peak(&world, &sample_with("analytics_group.csv", format!("a,b,c,d,e\n{}", row.repeat(3)))).await;
    println!("peaks in MiB: {tiny:.1}, {peaks:.1?}, of long rows {long_rows:.1}");
    for peak in peaks.iter().chain([&long_rows]) {
        assert!(*peak <= CEILING && *peak <= tiny + BUFFERS, "{tiny}, {peaks:?}, {long_rows}");
    }
    // Beyond what fills the buffers, a size costs nothing.
    assert!((peaks[2] - peaks[1]).abs() <= 8.0, "{peaks:?}");
}
