//! Measures what compressing staged files costs and saves, by level and by size of the pieces, on one core.
//!
//! ```sh
//! cargo bench --bench compression
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a measurement ends where it cannot go on"
)]

use std::io;
use std::time::Instant;

use cmslite_core::archive::{self, Sink, StagedMember};
use cmslite_core::config::{self, Table};
use cmslite_core::limits::TableLimits;
use cmslite_core::progress::Progress;
use devstack::samples;

const CONFIG: &str = include_str!("../config.d/cmslite_user_group_metadata.json");

/// The number of bytes of CSV that are compressed.
const CSV_BYTES: u64 = 100_000_000;

/// The level that the program uses.
const CHOSEN: i32 = 1;

/// The number of tries, of which the best time counts.
const TRIES: usize = 3;

/// The complete staged files.
#[derive(Default)]
struct Files(Vec<Vec<u8>>);

impl Sink for Files {
    type File = Vec<u8>;

    fn create(&mut self, _: &Table, _: u64) -> Vec<u8> {
        Vec::new()
    }

    fn complete(&mut self, file: Vec<u8>, _: &StagedMember) -> io::Result<()> {
        self.0.push(file);
        Ok(())
    }
}

fn main() {
    let dataset = config::parse("cmslite_user_group_metadata.json", CONFIG).unwrap();
    let mut archive = Vec::new();
    let csv_bytes = samples::write_archive(1, CSV_BYTES, &mut archive).unwrap();
    let mut files = Files::default();
    archive::read(archive.as_slice(), &dataset, &TableLimits::default(), &mut files, &Progress::default())
        .unwrap();
    let written: usize = files.0.iter().map(Vec::len).sum();
    println!("{csv_bytes} bytes of CSV, {written} as written.\n");
    println!("| level | MiB a piece | MB/s | bytes for each of CSV | bytes of a piece |");
    println!("|--:|--:|--:|--:|--:|");
    for level in -5..=3 {
        if level != 0 {
            row(&files, csv_bytes, level, 4);
        }
    }
    for mebibytes in [1, 2, 6, 8, 16] {
        row(&files, csv_bytes, CHOSEN, mebibytes);
    }
}

fn row(Files(files): &Files, csv_bytes: u64, level: i32, mebibytes: usize) {
    let mut compressor = zstd::bulk::Compressor::new(level).unwrap();
    compressor.include_checksum(true).unwrap();
    let size = mebibytes * 1024 * 1024;
    let mut out = Vec::with_capacity(zstd::zstd_safe::compress_bound(size));
    let mut best = f64::MAX;
    let (mut bytes, mut pieces) = (0, 0);
    for _ in 0..TRIES {
        (bytes, pieces) = (0, 0);
        let begun = Instant::now();
        for piece in files.iter().flat_map(|file| file.chunks(size)) {
            out.clear();
            bytes += compressor.compress_to_buffer(piece, &mut out).unwrap();
            pieces += 1;
        }
        best = best.min(begun.elapsed().as_secs_f64());
    }
    println!(
        "| {level} | {mebibytes} | {:.0} | {:.3} | {} |",
        csv_bytes as f64 / 1e6 / best,
        bytes as f64 / csv_bytes as f64,
        bytes / pieces
    );
}
