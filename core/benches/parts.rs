//! Measures each pure part separately. Run it with `cargo bench -p cmslite-core --bench parts`.
#![allow(clippy::unwrap_used, missing_docs, reason = "a measurement ends where it cannot go on")]

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};

use chrono::{DateTime, TimeDelta, Utc};
use cmslite_core::config::{self, Dataset};
use cmslite_core::csv::RecordReader;
use cmslite_core::problem::Problems;
use cmslite_core::progress::Progress;
use cmslite_core::queue::{Kept, Listing, MarkerRevisions, Merge, Object, Planner, Selection, Step};
use cmslite_core::strptime::DateFormat;
use cmslite_core::transform::Transform;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;

fn main() {
    divan::main();
}

fn dataset() -> Dataset {
    config::parse(
        "cmslite_user_group_metadata.json",
        include_str!("../../config.d/cmslite_user_group_metadata.json"),
    )
    .unwrap()
}

/// Returns some megabytes of the file whose dates are rewritten and whose group names are derived.
fn activity() -> String {
    let mut text = String::from("user_id,user_idir,activity_type,memo,activity_date\n");
    for n in 0..50_000_u32 {
        let _ = writeln!(
            text,
            "U{:06},IDIR\\user{n},{},\"Page {n} - Group {}, Branch\",2024-03-{:02} {:02}:{:02}:{:02}.{}",
            n * 7919 % 1_000_000,
            if n % 3 == 0 { "login" } else { "publish" },
            n % 41,
            1 + n % 28,
            n % 24,
            n % 60,
            n * 7 % 60,
            n % 1000
        );
    }
    text
}

#[divan::bench]
fn inflate(bencher: Bencher) {
    let contents = activity();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(contents.as_bytes()).unwrap();
    let gzip = encoder.finish().unwrap();
    let mut buffer = vec![0; 256 * 1024];
    bencher.counter(BytesCount::new(contents.len())).bench_local(|| {
        let mut decoder = GzDecoder::new(gzip.as_slice());
        while decoder.read(black_box(&mut buffer)).unwrap() > 0 {}
    });
}

#[divan::bench]
fn records(bencher: Bencher) {
    let contents = activity();
    bencher.counter(BytesCount::new(contents.len())).bench_local(|| {
        let mut records = RecordReader::new(contents.as_bytes(), b',', 4 * 1024 * 1024);
        let mut cells = 0;
        while let Ok(Some(record)) = records.read() {
            cells += record.len();
        }
        cells
    });
}

/// Measures the `csv` crate's reader on the same text. That reader does not check whether it is text.
#[divan::bench]
fn records_by_the_csv_crate(bencher: Bencher) {
    let contents = activity();
    bencher.counter(BytesCount::new(contents.len())).bench_local(|| {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(contents.as_bytes());
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
    let (contents, dataset) = (activity(), dataset());
    let table = dataset.table_of("analytics_user_activity").unwrap();
    bencher.counter(BytesCount::new(contents.len())).bench_local(|| {
        let transform = Transform {
            member: "analytics_user_activity.csv",
            table,
            dataset: &dataset,
            limits: &[],
            progress: &Progress::default(),
        };
        transform.run(contents.as_bytes(), &mut io::sink(), &mut Problems::default()).unwrap().rows
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

/// Measures the planning of a queue with one unsettled archive and `settled` settled archives.
#[divan::bench(args = [0, 1_000, 100_000])]
fn queue(bencher: Bencher, settled: usize) {
    let dataset = dataset();
    let object = |prefix: &str, n: usize| Object {
        key: format!("{prefix}client/cmslite_gdx/cms-analytics-csv_{n:09}.tgz").into(),
        etag: format!("\"{n:032x}\""),
        last_modified: DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(n as i64),
        size: 1000,
    };
    let pages = |prefix: &str, count: usize| -> Vec<Vec<Object>> {
        let objects: Vec<Object> = (0..count).map(|n| object(prefix, n)).collect();
        objects.chunks(1000).map(<[Object]>::to_vec).collect()
    };
    let (source, good) = (pages("", settled + 1), pages("processed/good/", settled));
    bencher
        .counter(ItemsCount::new(settled))
        .with_inputs(|| [source.clone().into_iter(), good.clone().into_iter(), Vec::new().into_iter()])
        .bench_local_values(|[mut source, mut good, mut bad]| {
            let mut merge = Merge::of(&dataset);
            let mut planner =
                Planner::new(&dataset, &Selection::WholeQueue, Kept::WhatDecides, DateTime::<Utc>::MAX_UTC);
            loop {
                match merge.step() {
                    Step::Listed(listed) => planner.add(*listed),
                    Step::Wanted(listing) => {
                        let pages = match listing {
                            Listing::Source => &mut source,
                            Listing::Good => &mut good,
                            Listing::Bad => &mut bad,
                        };
                        match pages.next() {
                            Some(page) => merge.push(listing, black_box(page)).unwrap(),
                            None => merge.end(listing),
                        }
                    }
                    Step::End => break planner.finish(&MarkerRevisions::default()),
                }
            }
        });
}
