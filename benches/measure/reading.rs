//! Measures inflating an archive, and reading it as the loader does.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;
use std::time::Instant;

use cmslite_core::archive;
use cmslite_core::config::Dataset;
use cmslite_core::limits::TableLimits;
use cmslite_core::progress::Progress;
use cmslite_user_data_to_redshift::stage::NullSink;
use flate2::bufread::GzDecoder;

use super::Bench;
use super::archives::Archive;
use super::table::{Table, megabytes, number};

/// The seconds for an archive: of one inflating thread, and of the loader's reading.
pub struct Reading {
    pub inflating: f64,
    pub to_nowhere: f64,
}

impl Reading {
    /// Measures both in turns, so that they have the same conditions; the best of each counts.
    pub fn of(archive: &Archive, dataset: &Dataset) -> Self {
        let mut best = Self { inflating: f64::MAX, to_nowhere: f64::MAX };
        for _ in 0..archive.tries() {
            best.inflating = best.inflating.min(inflate(&archive.path));
            best.to_nowhere = best.to_nowhere.min(read(&archive.path, dataset));
        }
        best
    }
}

/// Prints both, by size.
pub fn print(bench: &Bench) {
    let table = Table::begin(
        "Reading an archive of this machine:",
        &["CSV, MB", "archive, MB", "inflate, MB/s", "to nowhere, MB/s", "of inflate"],
    );
    for archive in bench.archives() {
        let reading = Reading::of(&archive, &bench.dataset);
        table.row(&[
            megabytes(archive.csv_bytes),
            megabytes(archive.packed_bytes),
            number(archive.rate(reading.inflating), 0),
            number(archive.rate(reading.to_nowhere), 0),
            number(reading.inflating / reading.to_nowhere, 2),
        ]);
    }
}

pub fn seconds<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let begun = Instant::now();
    let done = work();
    (begun.elapsed().as_secs_f64(), done)
}

/// Inflates an archive on this thread and discards its contents.
fn inflate(path: &Path) -> f64 {
    let mut contents = GzDecoder::new(BufReader::with_capacity(128 * 1024, File::open(path).unwrap()));
    let mut buffer = vec![0; 256 * 1024];
    seconds(|| while contents.read(&mut buffer).unwrap() > 0 {}).0
}

/// Reads an archive as the function does, and discards the staged files.
fn read(path: &Path, dataset: &Dataset) -> f64 {
    let limits = TableLimits::default();
    let (seconds, read) = seconds(|| {
        let file = File::open(path).unwrap();
        archive::read(file, dataset, &limits, &mut NullSink, &Progress::default())
    });
    assert!(read.is_ok(), "{read:?}");
    seconds
}
