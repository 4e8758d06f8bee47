//! A fresh process of the function that stages an archive, from and to the local S3.

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

/// The kernel's unit of a process's times (proc_pid_stat(5)): `USER_HZ`, which is 100 on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// How S3 is reached.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// Plain HTTP, each payload signed.
    Http,
    /// TLS, each payload signed: what the SDK does by itself.
    SignedTls,
    /// TLS, no payload signed.
    Tls,
}

/// How a function is run.
#[derive(Clone)]
pub struct Way {
    pub connection: Connection,
    /// The configuration's `staging`; none where that is absent.
    pub staging: Option<String>,
    /// On one core alone, and what serves it on the others.
    pub on_one_core: bool,
}

impl Way {
    pub fn new(connection: Connection, staging: &str) -> Self {
        let staging = (staging != "default").then(|| staging.to_owned());
        Self { connection, staging, on_one_core: false }
    }
}

/// What staging an archive took.
#[derive(Clone)]
pub struct Staged {
    pub seconds: f64,
    /// The process's, from its start to its answer.
    pub processor_seconds: f64,
    pub memory_mebibytes: f64,
    pub requests: usize,
    /// Requests that write.
    pub puts: usize,
    /// Bytes at the function's socket, where it is one of TLS.
    pub wire: WireBytes,
}

/// Stages an archive: the best times, the most memory.
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

/// Invokes a fresh process for everything there is: its metrics, and its processor's seconds.
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

/// The shipped configuration with this `staging`.
fn config_with(staging: Option<&str>) -> String {
    match staging {
        None => CONFIG.to_owned(),
        Some(staging) => CONFIG.replacen('{', &format!("{{\"staging\": \"{staging}\","), 1),
    }
}

/// The processor's seconds of the function's processes that live.
fn processor_seconds() -> f64 {
    let program = fs::canonicalize(PROGRAM).unwrap();
    let is_it = |process: &Path| fs::read_link(process.join("exe")).is_ok_and(|exe| exe == program);
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    processes.filter(|process| is_it(process)).filter_map(|process| processor_seconds_of(&process)).sum()
}

/// The processor's seconds of a process, by its directory below /proc.
pub fn processor_seconds_of(process: &Path) -> Option<f64> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    // Behind the name, which may hold anything: from the third field on, of which the 14th and 15th are ticks.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / TICKS_PER_SECOND)
}

/// The program on the first core alone.
fn pinned(directory: &Path) -> PathBuf {
    let script = directory.join("on-one-core");
    fs::write(&script, format!("#!/bin/sh\nexec taskset -c 0 \"{PROGRAM}\"\n")).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script
}

/// While it lives, this process (the local S3 among it) leaves the first core alone.
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

/// Keeps every thread of this process to some cores (taskset(1), of util-linux).
fn keep_to(cores: &str) {
    let process = std::process::id().to_string();
    let kept = Command::new("taskset").args(["-acp", cores, &process]).stdout(Stdio::null()).status();
    assert!(kept.is_ok_and(|status| status.success()), "taskset does not work");
}
