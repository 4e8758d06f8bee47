//! Measures the command: `validate` and a dry run.

use std::fs;
use std::path::Path;
use std::process::Command;

use chrono::{TimeDelta, Utc};
use devstack::stack::BUCKET;

use super::archives::Archive;
use super::function::Connection;
use super::reading::seconds;
use super::table::{Table, megabytes, number};
use super::{Bench, CONFIG, KEY, PROGRAM};

/// Prints the measurements, by size.
pub fn print(bench: &Bench) {
    let table = Table::begin(
        "The command, from its start to its end:",
        &["CSV, MB", "`load --dry-run`, MB/s", "`validate`, MB/s", "`validate --ddl`, MB/s"],
    );
    for archive in bench.archives() {
        let rates = by_hand(bench, &archive).map(|seconds| number(archive.rate(seconds), 0));
        table.row(&[vec![megabytes(archive.csv_bytes)], rates.to_vec()].concat());
    }
}

/// Returns the seconds that the command takes to read an archive: in a dry run from the local S3, and with
/// `validate` from a file, without and with the tables' statements. They run in turns, so that all have the
/// same conditions.
fn by_hand(bench: &Bench, archive: &Archive) -> [f64; 3] {
    let s3 = &bench.stack.s3;
    s3.empty_bucket(BUCKET);
    s3.put_at(BUCKET, KEY, &fs::read(&archive.path).unwrap(), Utc::now() - TimeDelta::hours(1)).unwrap();
    let directory = bench.directory.path();
    let config = directory.join("cmslite_user_group_metadata.json");
    fs::write(&config, CONFIG).unwrap();
    let ddl = Path::new(env!("CARGO_MANIFEST_DIR")).join("ddl/tables.sql");
    let run = |arguments: &[&Path]| {
        let (seconds, output) = seconds(|| {
            Command::new(PROGRAM)
                .args(arguments)
                .current_dir(directory)
                .env_clear()
                .envs(bench.environment(Connection::Http))
                .output()
                .unwrap()
        });
        assert!(output.status.success(), "{output:?}");
        seconds
    };
    let [load, validate] = ["load", "validate"].map(Path::new);
    let [only_read, by_statements] = ["--dry-run", "--ddl"].map(Path::new);
    let mut best = [f64::MAX; 3];
    for _ in 0..archive.tries() {
        let taken = [
            run(&[load, &config, only_read]),
            run(&[validate, &config, &archive.path]),
            run(&[validate, &config, &archive.path, by_statements, &ddl]),
        ];
        best = std::array::from_fn(|at| best[at].min(taken[at]));
    }
    best
}
