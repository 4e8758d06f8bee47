//! Runs a fresh process of the function that stages an archive, from and to the local S3.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use devstack::lambda::{self, Lambda, eventually};
use devstack::s3::Request;
use devstack::stack::BUCKET;
use devstack::tls_proxy::WireBytes;
use serde_json::{Value, json};

use super::archives::Archive;
use super::{Bench, CONFIG, KEY, PROGRAM};

/// The kernel's unit for a process's times (proc_pid_stat(5)): `USER_HZ`, which is 100 on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// The connection to S3.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// Plain HTTP, each payload signed.
    Http,
    /// TLS, each payload signed: the SDK's default.
    SignedTls,
    /// TLS, no payload signed.
    Tls,
}

/// The way in which a function is run.
#[derive(Clone)]
pub struct Way {
    pub connection: Connection,
    /// The configuration's `staging`; `None` if it is absent.
    pub staging: Option<String>,
    /// Whether it runs on one core alone, and its servers on the others.
    pub on_one_core: bool,
}

impl Way {
    pub fn new(connection: Connection, staging: &str) -> Self {
        let staging = (staging != "default").then(|| staging.to_owned());
        Self { connection, staging, on_one_core: false }
    }
}

/// The cost of staging an archive.
#[derive(Clone)]
pub struct Staged {
    pub seconds: f64,
    /// The processor time of the process, from its start to its answer.
    pub processor_seconds: f64,
    pub memory_mebibytes: f64,
    pub requests: usize,
    /// The number of requests that write.
    pub puts: usize,
    /// The bytes at the function's socket, if it uses TLS.
    pub wire: WireBytes,
}

/// Stages an archive, and returns the best times and the highest memory.
pub async fn stage(bench: &Bench, archive: &Archive, way: &Way) -> Staged {
    let s3 = &bench.stack.s3;
    s3.empty_bucket(BUCKET);
    s3.put_at(BUCKET, KEY, &fs::read(&archive.path).unwrap(), Utc::now() - TimeDelta::hours(1)).unwrap();
    let _others = way.on_one_core.then(OtherCores::leave_the_first);
    let mut best: Option<Staged> = None;
    for _ in 0..archive.tries() {
        s3.clear_requests();
        bench.proxy.clear_wire_bytes();
        let (metrics, processor_seconds) = invoke(bench, way).await;
        let requests: Vec<Request> = s3.requests();
        let staged = Staged {
            seconds: metrics["StageSeconds"].as_f64().unwrap(),
            processor_seconds,
            memory_mebibytes: metrics["MemoryPeak"].as_f64().unwrap(),
            requests: requests.len(),
            puts: requests.iter().filter(|request| request.operation == "PutObject").count(),
            wire: bench.proxy.wire_bytes(),
        };
        best = Some(match best {
            None => staged,
            Some(best) => Staged {
                seconds: best.seconds.min(staged.seconds),
                processor_seconds: best.processor_seconds.min(staged.processor_seconds),
                memory_mebibytes: best.memory_mebibytes.max(staged.memory_mebibytes),
                ..staged
            },
        });
    }
    best.unwrap()
}

/// Invokes a fresh process for the whole queue, and returns its metrics and its processor seconds.
pub async fn invoke(bench: &Bench, way: &Way) -> (Value, f64) {
    let function = start(bench, way).await;
    function.invoke(json!({"dataset": "cmslite_user_group_metadata"})).await;
    let line = |log: &str| log.lines().find(|line| line.contains("_aws")).map(str::to_owned);
    eventually(Duration::from_secs(10), || line(&function.log()).is_some()).await.unwrap();
    let metrics = serde_json::from_str(&line(&function.log()).unwrap()).unwrap();
    let processor_seconds = processor_seconds();
    function.stop().await;
    (metrics, processor_seconds)
}

async fn start(bench: &Bench, way: &Way) -> Lambda {
    let mut environment = bench.environment(way.connection);
    let config = bench.directory.path().join("config.d");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("cmslite_user_group_metadata.json"), config_with(way.staging.as_deref())).unwrap();
    environment.push(("CONFIG_DIR".to_owned(), config.display().to_string()));
    let program = if way.on_one_core { pinned(bench.directory.path()) } else { PathBuf::from(PROGRAM) };
    Lambda::start(lambda::Options::new(program, environment)).await.unwrap()
}

/// Returns the shipped configuration with this `staging`.
fn config_with(staging: Option<&str>) -> String {
    match staging {
        None => CONFIG.to_owned(),
        Some(staging) => CONFIG.replacen('{', &format!("{{\"staging\": \"{staging}\","), 1),
    }
}

/// Returns the processor seconds of the function's live processes.
fn processor_seconds() -> f64 {
    let program = fs::canonicalize(PROGRAM).unwrap();
    let is_it = |process: &Path| fs::read_link(process.join("exe")).is_ok_and(|exe| exe == program);
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    processes.filter(|process| is_it(process)).filter_map(|process| processor_seconds_of(&process)).sum()
}

/// Returns the processor seconds of a process, by its directory below /proc.
pub fn processor_seconds_of(process: &Path) -> Option<f64> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    // After the name, which may contain any character: from the third field on, of which the 14th and 15th
    // are ticks.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / TICKS_PER_SECOND)
}

/// Returns a program that runs the function on the first core alone.
fn pinned(directory: &Path) -> PathBuf {
    let script = directory.join("on-one-core");
    fs::write(&script, format!("#!/bin/sh\nexec taskset -c 0 \"{PROGRAM}\"\n")).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script
}

/// A guard that keeps this process (with the local S3) off the first core while it lives.
struct OtherCores {
    cores: usize,
}

impl OtherCores {
    fn leave_the_first() -> Self {
        let cores = std::thread::available_parallelism().unwrap().get();
        keep_to(&format!("1-{}", cores - 1));
        Self { cores }
    }
}

impl Drop for OtherCores {
    fn drop(&mut self) {
        keep_to(&format!("0-{}", self.cores - 1));
    }
}

/// Restricts every thread of this process to some cores (taskset(1), of util-linux).
fn keep_to(cores: &str) {
    let process = std::process::id().to_string();
    let kept = Command::new("taskset").args(["-acp", cores, &process]).stdout(Stdio::null()).status();
    assert!(kept.is_ok_and(|status| status.success()), "taskset does not work");
}
