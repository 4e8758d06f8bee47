//! What a load costs, measured on this machine in one run, as the tables of docs/performance.md.
//!
//! ```sh
//! cargo bench --bench measure -- --sizes 1MB,10MB,100MB --histories 0,1000 --python python3
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a measurement ends where it cannot go on"
)]

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use clap::Parser;
use cmslite_core::archive;
use cmslite_core::config::{self, Dataset};
use cmslite_core::limits::TableLimits;
use cmslite_core::progress::Progress;
use cmslite_user_data_to_redshift::stage::NullSink;
use devstack::lambda::{self, Lambda, eventually};
use devstack::redshift::{Action, Fault};
use devstack::samples;
use devstack::stack::{self, BUCKET, Stack};
use flate2::bufread::GzDecoder;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cmslite-user-data-to-redshift");
const CONFIG: &str = include_str!("../config.d/cmslite_user_group_metadata.json");
const KEY: &str = "client/cmslite_gdx/cms-analytics-csv_2024-03-01.tgz";

/// How often a thing is done of which the best time counts: others at work on the machine only ever add to
/// it.
const TRIES: usize = 5;

#[derive(Parser)]
struct Arguments {
    /// Sizes of the archives' CSV.
    #[arg(long, value_delimiter = ',', default_value = "1MB,10MB,100MB")]
    sizes: Vec<String>,
    /// How many settled archives there are beside the one that is loaded.
    #[arg(long, value_delimiter = ',', default_value = "0,1000")]
    histories: Vec<usize>,
    /// A Python with pandas, for the comparison; it is left out where there is none.
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// The largest size that is given to pandas, which holds it in memory several times.
    #[arg(long, default_value = "100MB")]
    largest_for_pandas: String,
    /// Cargo's own.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let dataset = config::parse("cmslite_user_group_metadata.json", CONFIG).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let stack = Stack::start(stack::Options::default()).await.unwrap();
    // What comes behind staging is Redshift's time, and the stand-in's is none of it.
    stack
        .redshift
        .inject(Fault::on("COPY", Action::Refuse("42501".to_owned(), "measured up to here".to_owned())));
    let has_pandas = Command::new(&arguments.python)
        .args(["-c", "import pandas"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());

    println!(
        "Program: {:.1} MB. Cold start: {} ms.\n",
        fs::metadata(PROGRAM).unwrap().len() as f64 / 1e6,
        cold_start(&stack).as_millis()
    );

    println!(
        "| CSV, MB | archive, MB | inflate, MB/s | to nowhere, MB/s | ratio | to S3, MB/s | ratio | peak memory, MiB | pandas, MB/s | pandas, peak MiB |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for size in &arguments.sizes {
        let path = directory.path().join("archive.tgz");
        let csv_bytes =
            samples::write_archive(1, bytes(size), BufWriter::new(File::create(&path).unwrap())).unwrap();
        let archive_bytes = fs::metadata(&path).unwrap().len();
        let tries = if csv_bytes > 500_000_000 { 1 } else { TRIES };
        let rate = |seconds: f64| csv_bytes as f64 / 1e6 / seconds;
        // In turns, so that both meet the same machine.
        let (mut inflating, mut to_nowhere) = (f64::MAX, f64::MAX);
        for _ in 0..tries {
            inflating = inflating.min(inflate(&path));
            to_nowhere = to_nowhere.min(read(&path, &dataset));
        }
        let staged = stage(&stack, &path, tries).await;
        let pandas = (has_pandas && csv_bytes <= bytes(&arguments.largest_for_pandas))
            .then(|| pandas(&arguments.python, &path, directory.path()));
        let (pandas_rate, pandas_memory) = match pandas {
            Some((seconds, kibibytes)) => {
                (format!("{:.1}", rate(seconds)), format!("{:.0}", kibibytes / 1024.0))
            }
            None => ("-".to_owned(), "-".to_owned()),
        };
        println!(
            "| {:.1} | {:.1} | {:.0} | {:.0} | {:.2} | {:.0} | {:.2} | {:.1} | {pandas_rate} | {pandas_memory} |",
            csv_bytes as f64 / 1e6,
            archive_bytes as f64 / 1e6,
            rate(inflating),
            rate(to_nowhere),
            inflating / to_nowhere,
            rate(staged.seconds),
            inflating / staged.seconds,
            staged.memory_mebibytes,
        );
        fs::remove_file(&path).unwrap();
    }
    println!("\n| CSV, MB | dry run, MB/s | validate, MB/s | validate --ddl, MB/s |");
    println!("|--:|--:|--:|--:|");
    for size in &arguments.sizes {
        let path = directory.path().join("archive.tgz");
        let csv_bytes =
            samples::write_archive(1, bytes(size), BufWriter::new(File::create(&path).unwrap())).unwrap();
        let tries = if csv_bytes > 500_000_000 { 1 } else { TRIES };
        let [dry_run, validate, validate_ddl] =
            by_hand(&stack, &path, directory.path(), tries).map(|seconds| csv_bytes as f64 / 1e6 / seconds);
        println!("| {:.1} | {dry_run:.0} | {validate:.0} | {validate_ddl:.0} |", csv_bytes as f64 / 1e6);
        fs::remove_file(&path).unwrap();
    }
    if !has_pandas {
        println!("\nNo comparison with pandas: {} has none.", arguments.python.display());
    }

    println!("\n| settled archives | requests to S3 | listing them, s | peak memory, MiB |");
    println!("|--:|--:|--:|--:|");
    for settled in &arguments.histories {
        let (requests, seconds, memory) = history(&stack, *settled).await;
        println!("| {settled} | {requests} | {seconds:.3} | {memory:.1} |");
    }
}

/// A number of bytes such as `10MB`.
fn bytes(text: &str) -> u64 {
    let (number, unit) = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)]
        .into_iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))
        .unwrap_or((text, 1));
    number.trim().parse::<u64>().unwrap_or_else(|_| panic!("no size: {text}")) * unit
}

fn seconds<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let begun = Instant::now();
    let done = work();
    (begun.elapsed().as_secs_f64(), done)
}

/// Inflates an archive on this thread and throws its contents away.
fn inflate(path: &Path) -> f64 {
    let mut contents = GzDecoder::new(BufReader::with_capacity(128 * 1024, File::open(path).unwrap()));
    let mut buffer = vec![0; 256 * 1024];
    seconds(|| while contents.read(&mut buffer).unwrap() > 0 {}).0
}

/// Reads an archive as the function does, and throws the staged files away.
fn read(path: &Path, dataset: &Dataset) -> f64 {
    let limits = TableLimits::default();
    let (seconds, read) = seconds(|| {
        let file = File::open(path).unwrap();
        archive::read(file, dataset, &limits, &mut NullSink, &Progress::default())
    });
    assert!(read.is_ok(), "{read:?}");
    seconds
}

struct Staged {
    seconds: f64,
    memory_mebibytes: f64,
}

/// Has a fresh process of the function stage an archive, from and to the local S3.
async fn stage(stack: &Stack, path: &Path, tries: usize) -> Staged {
    stack.s3.empty_bucket(BUCKET);
    stack.s3.put_at(BUCKET, KEY, &fs::read(path).unwrap(), Utc::now() - TimeDelta::hours(1)).unwrap();
    let mut best = Staged { seconds: f64::MAX, memory_mebibytes: 0.0 };
    for _ in 0..tries {
        let metrics = invoke(stack).await;
        best.seconds = best.seconds.min(metrics["StageSeconds"].as_f64().unwrap());
        best.memory_mebibytes = best.memory_mebibytes.max(metrics["MemoryPeak"].as_f64().unwrap());
    }
    best
}

/// Seconds that the command takes to read an archive, from its start to its end: by a dry run from the local
/// S3, and by `validate` from a file, without and with the tables' statements. In turns, so that all meet the
/// same machine.
fn by_hand(stack: &Stack, path: &Path, directory: &Path, tries: usize) -> [f64; 3] {
    stack.s3.empty_bucket(BUCKET);
    stack.s3.put_at(BUCKET, KEY, &fs::read(path).unwrap(), Utc::now() - TimeDelta::hours(1)).unwrap();
    let config = directory.join("cmslite_user_group_metadata.json");
    fs::write(&config, CONFIG).unwrap();
    let ddl = Path::new(env!("CARGO_MANIFEST_DIR")).join("ddl/tables.sql");
    let run = |arguments: &[&Path]| {
        let (seconds, output) = seconds(|| {
            Command::new(PROGRAM)
                .args(arguments)
                .current_dir(directory)
                .env_clear()
                .envs(stack.function_environment())
                .output()
                .unwrap()
        });
        assert!(output.status.success(), "{output:?}");
        seconds
    };
    let [load, validate] = ["load", "validate"].map(Path::new);
    let [only_read, by_statements] = ["--dry-run", "--ddl"].map(Path::new);
    let mut best = [f64::MAX; 3];
    for _ in 0..tries {
        let taken = [
            run(&[load, &config, only_read]),
            run(&[validate, &config, path]),
            run(&[validate, &config, path, by_statements, &ddl]),
        ];
        best = std::array::from_fn(|at| best[at].min(taken[at]));
    }
    best
}

/// Invokes a fresh process for everything there is, and returns its metrics.
async fn invoke(stack: &Stack) -> Value {
    let function = Lambda::start(lambda::Options::new(PROGRAM, stack.function_environment())).await.unwrap();
    function.invoke(json!({"dataset": "cmslite_user_group_metadata"})).await;
    let line = |log: &str| log.lines().find(|line| line.contains("_aws")).map(str::to_owned);
    eventually(Duration::from_secs(10), || line(&function.log()).is_some()).await.unwrap();
    let metrics = serde_json::from_str(&line(&function.log()).unwrap()).unwrap();
    function.stop().await;
    metrics
}

/// What one archive costs beside so many that are settled: requests, seconds for the listings, memory.
async fn history(stack: &Stack, settled: usize) -> (usize, f64, f64) {
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
    let metrics = invoke(stack).await;
    (
        stack.s3.requests().len(),
        metrics["QueueSeconds"].as_f64().unwrap(),
        metrics["MemoryPeak"].as_f64().unwrap(),
    )
}

/// From the start of a process to its first question to Lambda's runtime API.
fn cold_start(stack: &Stack) -> Duration {
    let start = || {
        let api = TcpListener::bind("127.0.0.1:0").unwrap();
        let begun = Instant::now();
        let mut process = Command::new(PROGRAM)
            .envs(stack.function_environment())
            .env("AWS_LAMBDA_RUNTIME_API", api.local_addr().unwrap().to_string())
            .envs([
                ("AWS_LAMBDA_FUNCTION_NAME", "measure"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
            ])
            .envs([("AWS_LAMBDA_LOG_GROUP_NAME", "g"), ("AWS_LAMBDA_LOG_STREAM_NAME", "s")])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut request = [0; 64];
        let count = api.accept().unwrap().0.read(&mut request).unwrap();
        let took = begun.elapsed();
        assert!(
            request[..count].windows(4).any(|word| word == b"next"),
            "{}",
            String::from_utf8_lossy(&request)
        );
        process.kill().unwrap();
        process.wait().unwrap();
        took
    };
    (0..2 * TRIES).map(|_| start()).min().unwrap()
}

/// The same work as the script did it: seconds, and the most memory in KiB.
fn pandas(python: &Path, archive: &Path, directory: &Path) -> (f64, f64) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/pandas_pipeline.py");
    let output = Command::new(python)
        .arg(script)
        .arg(archive)
        .arg(directory)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).map_err(io::Error::other).unwrap();
    (answer["seconds"].as_f64().unwrap(), answer["peak_kibibytes"].as_f64().unwrap())
}
