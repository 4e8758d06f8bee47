//! Measures the same cleaning by other programs: the same archive, the same rows, files on this machine.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash as _, Hasher as _};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cmslite_core::archive::{self, Sink, StagedMember};
use cmslite_core::config::{Dataset, Table as OfDataset};
use cmslite_core::limits::TableLimits;
use cmslite_core::progress::Progress;
use devstack::python;
use serde::Deserialize;
use serde_json::json;

use super::Bench;
use super::archives::{Archive, bytes};
use super::function::processor_seconds_of;
use super::table::{Table, megabytes, number};

const SCRIPTS: [(&str, &str); 3] =
    [("pandas", "with_pandas.py"), ("DuckDB", "with_duckdb.py"), ("Polars", "with_polars.py")];

/// The cost of an archive for a program: the mean of the runs in a second, without its start.
#[derive(Clone, Copy, Deserialize)]
struct Taken {
    seconds: f64,
    processor_seconds: f64,
    peak_kibibytes: f64,
}

/// Prints each peer beside the loader, by size.
pub fn print(bench: &Bench) {
    let python = match python_with_peers(bench) {
        Ok(python) => python,
        Err(error) => return println!("\nNo comparison with pandas, DuckDB and Polars: {error}"),
    };
    let table = Table::begin(
        "The same cleaning of the same archive, from file to files:",
        &[
            "CSV, MB",
            "program",
            "seconds",
            "processor, s",
            "seconds against ours",
            "processor against ours",
            "peak memory, MiB",
            "same rows",
        ],
    );
    let most = bytes(&bench.arguments.largest_for_peers).unwrap();
    for archive in bench.archives().filter(|archive| archive.csv_bytes <= most + most / 10) {
        let peers = SCRIPTS.map(|(name, script)| {
            let mut command = Command::new(&python);
            command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(script));
            (name, command)
        });
        let mut ours = Command::new(std::env::current_exe().unwrap());
        ours.arg("--clean");
        let (taken, expected) = run(ours, &archive, bench);
        row(&table, &archive, "ours", taken, taken, "-");
        for (name, command) in peers {
            let (its, rows) = run(command, &archive, bench);
            row(&table, &archive, name, its, taken, if rows == expected { "yes" } else { "**no**" });
        }
    }
}

fn row(table: &Table, archive: &Archive, name: &str, its: Taken, ours: Taken, same: &str) {
    table.row(&[
        megabytes(archive.csv_bytes),
        name.to_owned(),
        number(its.seconds, 3),
        number(its.processor_seconds, 3),
        number(its.seconds / ours.seconds, 1),
        number(its.processor_seconds / ours.processor_seconds, 1),
        number(its.peak_kibibytes / 1024.0, 0),
        same.to_owned(),
    ]);
}

/// Returns a Python with the packages of the scripts: the named one, or one of a virtual environment that is
/// created once.
fn python_with_peers(bench: &Bench) -> Result<PathBuf, String> {
    if let Some(python) = &bench.arguments.python {
        return Ok(python.clone());
    }
    let requirements: Vec<&str> = include_str!("../peers/requirements.txt").lines().collect();
    let bin = python::venv("peers", &requirements).map_err(|error| error.to_string())?;
    Ok(bin.join("python"))
}

/// Runs a program on an archive, several times, and returns the best result and its output.
fn run(mut command: Command, archive: &Archive, bench: &Bench) -> (Taken, Vec<(u64, u64)>) {
    let directory = bench.directory.path().join("cleaned");
    command.arg(&archive.path).arg(&directory).stderr(Stdio::inherit());
    let mut best: Option<Taken> = None;
    for _ in 0..archive.tries() {
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir(&directory).unwrap();
        let output = command.output().unwrap();
        let taken: Taken = serde_json::from_slice(&output.stdout).unwrap();
        best = Some(best.map_or(taken, |best| Taken {
            seconds: best.seconds.min(taken.seconds),
            processor_seconds: best.processor_seconds.min(taken.processor_seconds),
            peak_kibibytes: best.peak_kibibytes.max(taken.peak_kibibytes),
        }));
    }
    let written =
        bench.dataset.tables.iter().map(|table| rows(&directory.join(format!("{}.csv", table.member))));
    let written = written.collect();
    fs::remove_dir_all(&directory).unwrap();
    (best.unwrap(), written)
}

/// Returns the number of a file's rows, and a checksum of their cells. Trailing zeros of a date make no
/// difference.
fn rows(path: &Path) -> (u64, u64) {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(path).unwrap();
    let mut record = csv::StringRecord::new();
    let (mut count, mut hasher, mut dates) = (0, DefaultHasher::new(), Vec::new());
    while reader.read_record(&mut record).unwrap() {
        if count == 0 {
            dates = record.iter().map(|name| matches!(name, "activity_date" | "created_dt")).collect();
        }
        for (cell, is_date) in record.iter().zip(&dates) {
            let is_long = *is_date && cell.contains('.');
            let cell = if is_long { cell.trim_end_matches('0').trim_end_matches('.') } else { cell };
            cell.hash(&mut hasher);
        }
        count += 1;
    }
    (count, hasher.finish())
}

/// Cleans an archive into a directory as the loader does, repeatedly for a second, and prints the cost, as
/// the scripts do.
pub fn clean(archive: &Path, directory: &Path, dataset: &Dataset) {
    let (mut runs, began, processor_began) = (0.0, Instant::now(), own_processor_seconds());
    while runs == 0.0 || began.elapsed() < Duration::from_secs(1) {
        let archive = File::open(archive).unwrap();
        let mut files = Files(directory);
        let limits = TableLimits::default();
        let read = archive::read(archive, dataset, &limits, &mut files, &Progress::default());
        assert!(read.is_ok(), "{read:?}");
        runs += 1.0;
    }
    let taken = json!({
        "seconds": began.elapsed().as_secs_f64() / runs,
        "processor_seconds": (own_processor_seconds() - processor_began) / runs,
        "peak_kibibytes": own_peak_kibibytes(),
    });
    println!("{taken}");
}

fn own_processor_seconds() -> f64 {
    processor_seconds_of(Path::new("/proc/self")).unwrap()
}

fn own_peak_kibibytes() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A sink of files in a directory, named after their members.
struct Files<'a>(&'a Path);

impl Sink for Files<'_> {
    type File = BufWriter<File>;

    fn create(&mut self, table: &OfDataset, _: u64) -> BufWriter<File> {
        BufWriter::new(File::create(self.0.join(format!("{}.csv", table.member))).unwrap())
    }

    fn complete(&mut self, mut file: BufWriter<File>, _: &StagedMember) -> io::Result<()> {
        file.flush()
    }
}
