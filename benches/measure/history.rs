//! Measures what one archive costs beside many settled ones.

use chrono::{TimeDelta, Utc};
use devstack::samples;
use devstack::stack::BUCKET;

use super::Bench;
use super::function::{Connection, Way, invoke};
use super::table::{Table, number};

/// Prints the measurements, by the number of settled archives.
pub async fn print(bench: &Bench) {
    let table = Table::begin(
        "One small archive beside settled ones:",
        &["settled archives", "requests to S3", "listing them, s", "peak memory, MiB"],
    );
    for &settled in &bench.arguments.histories {
        let (requests, seconds, memory) = history(bench, settled).await;
        table.row(&[
            number(settled as f64, 0),
            number(requests as f64, 0),
            number(seconds, 3),
            number(memory, 1),
        ]);
    }
    bench.stack.s3.empty_bucket(BUCKET);
}

/// Returns the number of requests, the seconds for the listings, and the memory.
async fn history(bench: &Bench, settled: usize) -> (usize, f64, f64) {
    let stack = &bench.stack;
    stack.s3.empty_bucket(BUCKET);
    let archive = samples::archive(&samples::real_dataset(1, 10).unwrap()).unwrap();
    let key = |n: usize| format!("client/cmslite_gdx/cms-analytics-csv_{n:09}.tgz");
    let long_ago = Utc::now() - TimeDelta::days(30);
    stack.s3.put_all_at(BUCKET, (0..settled).map(key), &archive, long_ago).unwrap();
    stack
        .s3
        .put_all_at(BUCKET, (0..settled).map(|n| format!("processed/good/{}", key(n))), &archive, long_ago)
        .unwrap();
    stack.s3.put_at(BUCKET, &key(settled), &archive, Utc::now() - TimeDelta::hours(1)).unwrap();
    stack.s3.clear_requests();
    let (metrics, _) = invoke(bench, &Way::new(Connection::Http, "default")).await;
    (
        stack.s3.requests().len(),
        metrics["QueueSeconds"].as_f64().unwrap(),
        metrics["MemoryPeak"].as_f64().unwrap(),
    )
}
