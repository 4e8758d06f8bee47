//! The pure parts, each alone: `cargo bench --bench parts`.
#![allow(clippy::unwrap_used, missing_docs, reason = "a measurement ends where it cannot go on")]

use std::io::{self, Read as _};

use chrono::{DateTime, TimeDelta, Utc};
use cmslite_user_data_to_redshift::config::{self, Dataset};
use cmslite_user_data_to_redshift::dates::DateFormat;
use cmslite_user_data_to_redshift::problem::Problems;
use cmslite_user_data_to_redshift::progress::Progress;
use cmslite_user_data_to_redshift::queue::{Listings, Object, Revisions, plan};
use cmslite_user_data_to_redshift::records::Records;
use cmslite_user_data_to_redshift::transform::transform;
use devstack::samples::{self, Member};
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use std::io::Write as _;

fn main() {
    divan::main();
}

fn dataset() -> Dataset {
    config::parse(
        "cmslite_user_group_metadata.json",
        include_str!("../config.d/cmslite_user_group_metadata.json"),
    )
    .unwrap()
}

/// Some megabytes of the file whose dates are rewritten and whose group names are derived.
fn activity() -> Member {
    samples::real_dataset(1, 50_000).unwrap().remove(2)
}

#[divan::bench]
fn inflate(bencher: Bencher) {
    let contents = activity().contents;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&contents).unwrap();
    let gzip = encoder.finish().unwrap();
    let mut buffer = vec![0; 256 * 1024];
    bencher.counter(BytesCount::new(contents.len())).bench_local(|| {
        let mut decoder = GzDecoder::new(gzip.as_slice());
        while decoder.read(black_box(&mut buffer)).unwrap() > 0 {}
    });
}

#[divan::bench]
fn records(bencher: Bencher) {
    let contents = activity().contents;
    bencher.counter(BytesCount::new(contents.len())).bench_local(|| {
        let mut records = Records::new(contents.as_slice(), b',', 4 * 1024 * 1024);
        let mut cells = 0;
        while let Ok(Some(record)) = records.read() {
            cells += record.len();
        }
        cells
    });
}

/// The `csv` crate's reader on the same text, which does not look at whether it is one.
#[divan::bench]
fn records_by_the_csv_crate(bencher: Bencher) {
    let contents = activity().contents;
    bencher.counter(BytesCount::new(contents.len())).bench_local(|| {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(contents.as_slice());
        let mut record = csv::ByteRecord::new();
        let mut cells = 0;
        while reader.read_byte_record(&mut record).unwrap() {
            cells += record.len();
        }
        cells
    });
}

#[divan::bench]
fn transform_rows(bencher: Bencher) {
    let (contents, dataset) = (activity().contents, dataset());
    let table = dataset.table_of("analytics_user_activity").unwrap();
    bencher.counter(BytesCount::new(contents.len())).bench_local(|| {
        transform(
            "analytics_user_activity.csv",
            contents.as_slice(),
            table,
            &dataset,
            io::sink(),
            &mut Problems::default(),
            &Progress::default(),
        )
        .unwrap()
        .rows
    });
}

#[divan::bench(args = ["%Y-%m-%d %H:%M:%S.%f", "%d/%b/%Y %H:%M:%S"])]
fn date(bencher: Bencher, format: &str) {
    let compiled = DateFormat::compile(format).unwrap();
    let text = if format.contains('b') { "01/Mar/2024 09:15:42" } else { "2024-03-01 09:15:42.5" };
    let mut out = Vec::new();
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        out.clear();
        compiled.rewrite(black_box(text.as_bytes()), &mut out)
    });
}

/// The queue beside so many settled archives.
#[divan::bench(args = [0, 1_000, 100_000])]
fn queue(bencher: Bencher, settled: usize) {
    let dataset = dataset();
    let object = |prefix: &str, n: usize| Object {
        key: format!("{prefix}client/cmslite_gdx/cms-analytics-csv_{n:09}.tgz"),
        etag: format!("\"{n:032x}\""),
        last_modified: DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(n as i64),
        size: 1000,
    };
    let listings = Listings {
        source: (0..=settled).map(|n| object("", n)).collect(),
        good: (0..settled).map(|n| object("processed/good/", n)).collect(),
        bad: Vec::new(),
    };
    bencher
        .counter(ItemsCount::new(settled))
        .bench_local(|| plan(&dataset, black_box(&listings), &Revisions::default()));
}
