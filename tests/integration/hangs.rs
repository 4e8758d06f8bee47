//! Tests servers that accept a request and never answer: the function reports it before its time is up, the
//! command within its limits, and Ctrl-C ends it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use devstack::lambda::Outcome;
use devstack::stack::BUCKET;
use devstack::{redshift, s3};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::Child;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::harness::{
    HANGS_AFTER, Harness, PROGRAM, cases, expected, key, members, sample, sample_with, temporary, words,
};

/// What an invocation may take: fifteen seconds before its end no archive is begun any more, and a busy
/// machine takes some to come so far. Less than it takes until a download that brings nothing is resumed.
const TIME: Duration = Duration::from_secs(30);

/// Who is silent.
#[derive(Clone)]
enum Silent {
    S3(&'static str, &'static str, s3::Action),
    Redshift(&'static str),
    RedshiftConnection,
}

impl Silent {
    fn inject(&self, harness: &Harness) {
        let redshift = &harness.stack.redshift;
        match self {
            Self::S3(operation, key, action) => {
                harness.stack.s3.inject(s3::Fault::on(operation, key, action.clone()));
            }
            Self::Redshift(statement) => {
                redshift.inject(redshift::Fault::on(statement, redshift::Action::Silence));
            }
            Self::RedshiftConnection => redshift.inject(redshift::Fault::on_connection(None)),
        }
    }
}

fn s3(operation: &'static str, key: &'static str) -> Silent {
    Silent::S3(operation, key, s3::Action::Silence)
}

fn body(after_bytes: u64) -> Silent {
    Silent::S3("GetObject", "client/", s3::Action::SilenceAfter(after_bytes))
}

/// An archive, one of whose staged files is uploaded in parts.
fn of_many_pieces() -> Vec<u8> {
    let mut rows = String::from("id,name,active,site_key\n");
    for word in words(7).take(300_000) {
        let _ = writeln!(rows, "{word},{word:016x},t,007");
    }
    sample_with("analytics_group.csv", rows)
}

/// A function that meets silence ends as near its deadline, before it, with all that it says at any end.
async fn is_told_in_time(silent: Silent, archive: Vec<u8>, awaited: &str, is_committed: bool) {
    let harness = Harness::builder().appending().timeout(TIME).start().await;
    silent.inject(&harness);
    harness.put("a", &archive, 1);
    harness.put("b", &sample(2, 5), 2);
    let Outcome::Failed { error_type, message } = harness.sweep().await else {
        panic!("{awaited}: it ended")
    };
    assert_eq!(error_type, "Retryable.DeadlineNear", "{awaited}: {message}");
    let since = format!("the time is nearly up, while waiting for {awaited}");
    assert!(message.starts_with(&since) && message.contains(" since 2"), "{awaited}: {message}");
    let log = harness.log().await;
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let metrics = lines.iter().find(|line| line.get("_aws").is_some()).unwrap_or_else(|| panic!("{log}"));
    assert_eq!(metrics["error_type"], "Retryable.DeadlineNear", "{awaited}: {metrics}");
    let report = lines.iter().find_map(|line| line["report"].as_str()).unwrap_or_else(|| panic!("{log}"));
    let report: Value = serde_json::from_str(report).unwrap();
    assert_eq!(report["failure"]["message"], message, "{awaited}");
    // A listing that is not there names no archives.
    if !awaited.contains("ListObjectsV2") {
        assert_eq!(report["not_processed"], json!([key("a"), key("b")]), "{awaited}: {report}");
        assert_eq!(report["tables_loaded"], if is_committed { 4 } else { 0 }, "{awaited}: {report}");
        assert_eq!(report["queue_length"], 2, "{awaited}: {report}");
    }
    assert!(harness.is_unsettled("a") && harness.is_unsettled("b"), "{awaited}");
}

/// All at once: each waits for most of its time.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_says_before_its_deadline_what_is_silent() {
    let good = || sample(1, 50);
    let mut cases = JoinSet::new();
    for (silent, archive, awaited, is_committed) in [
        (s3("ListObjectsV2", ""), good(), "S3: ListObjectsV2 of s3://", false),
        (s3("GetObject", "client/"), good(), "S3: GetObject of s3://", false),
        (body(0), good(), "S3: the next bytes of s3://", false),
        (body(500), good(), "S3: the next bytes of s3://", false),
        (s3("PutObject", ".csv"), good(), "S3: PutObject of s3://", false),
        (s3("PutObject", "manifest"), good(), "S3: PutObject of s3://", false),
        (s3("PutObject", ".00002.csv"), of_many_pieces(), "S3: PutObject of s3://", false),
        (s3("DeleteObject", "error.json"), good(), "S3: DeleteObject of s3://", true),
        (s3("CopyObject", "good/"), good(), "S3: CopyObject of s3://", true),
        (s3("PutObject", "error.json"), b"no archive".to_vec(), "S3: PutObject of s3://", false),
        (s3("CopyObject", "bad/"), b"no archive".to_vec(), "S3: CopyObject of s3://", false),
        (Silent::Redshift("svv_columns"), good(), "Redshift: SELECT", false),
        (Silent::Redshift("LOCK "), good(), "Redshift: LOCK", false),
        (Silent::Redshift("COPY "), good(), "Redshift: COPY", false),
        (Silent::Redshift("COMMIT"), good(), "Redshift: COMMIT", false),
    ] {
        cases.spawn(is_told_in_time(silent, archive, awaited, is_committed));
    }
    while let Some(case) = cases.join_next().await {
        case.unwrap();
    }
}

/// The limit of a connection comes first; there is no time then for another.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_says_before_its_deadline_that_no_connection_comes_about() {
    let harness = Harness::builder().appending().timeout(TIME).start().await;
    Silent::RedshiftConnection.inject(&harness);
    harness.put("a", &sample(1, 50), 1);
    let Outcome::Failed { error_type, message } = harness.sweep().await else { panic!("it ended") };
    assert_eq!(error_type, "Retryable.ConnectionLost", "{message}");
    assert!(message.ends_with("no answer within 20 seconds"), "{message}");
    assert!(harness.is_unsettled("a"));
}

/// A session that is given up holds no lock: else the next run would wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn what_silence_has_left_is_loaded_by_the_next_run() {
    let harness = Harness::builder().appending().timeout(Duration::from_secs(25)).start().await;
    harness.put("a", &sample(3, 50), 1);
    harness.stack.redshift.inject(redshift::Fault::on("COMMIT", redshift::Action::Silence).times(1));
    let Outcome::Failed { error_type, .. } = harness.sweep().await else { panic!("it ended") };
    assert_eq!(error_type, "Retryable.DeadlineNear");
    let report = Harness::report(harness.sweep().await);
    assert_eq!(report["good"][0]["outcome"], "loaded");
    assert_eq!(harness.tables().await, expected(&members(3, 50)));
}

/// A server that accepts connections and says nothing.
async fn silent_server() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_secrets_manager_is_told_before_the_deadline() {
    let (_listener, url) = silent_server().await;
    let harness = Harness::builder()
        .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", url)
        .env("PGPASS_SECRET_ID", "cmslite/redshift")
        .env("pgpass", "")
        .timeout(Duration::from_secs(6))
        .start()
        .await;
    let Outcome::Failed { error_type, message } = harness.sweep().await else { panic!("it ended") };
    assert_eq!(error_type, "Retryable.DeadlineNear", "{message}");
    assert!(
        message.contains("while waiting for Secrets Manager: GetSecretValue of cmslite/redshift since"),
        "{message}"
    );
    let log = harness.log().await;
    assert!(log.contains("\"_aws\"") && log.contains("cannot start"), "{log}");
}

/// The limit of the request is met before the run's.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_api_of_redshifts_is_given_up() {
    let (_listener, url) = silent_server().await;
    let harness = Harness::builder()
        .env("AWS_ENDPOINT_URL_REDSHIFT", url)
        .env("REDSHIFT_CLUSTER", "analytics")
        .env("pgpass", "")
        .start()
        .await;
    harness.put("a", &sample(1, 50), 1);
    let Outcome::Failed { error_type, message } = harness.sweep().await else { panic!("it ended") };
    assert_eq!(error_type, "Retryable.LoginUnavailable", "{message}");
    assert!(message.contains("a login to the cluster analytics (GetClusterCredentials)"), "{message}");
    assert!(harness.is_unsettled("a"));
}

/// The command, and what it says as it comes.
struct Running {
    child: Child,
    stdout: BufReader<tokio::process::ChildStdout>,
    stderr: BufReader<tokio::process::ChildStderr>,
    _directory: tempfile::TempDir,
}

fn start(harness: &Harness, arguments: &[&str], environment: &BTreeMap<&str, &str>) -> Running {
    let directory = temporary();
    let mut child = tokio::process::Command::new(PROGRAM)
        .args(arguments)
        .current_dir(directory.path())
        .env_clear()
        .envs(harness.environment.iter().map(|(name, value)| (name, value)))
        .envs(environment)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    Running { child, stdout: BufReader::new(stdout), stderr: BufReader::new(stderr), _directory: directory }
}

impl Running {
    fn interrupt(&self) {
        let pid = self.child.id().unwrap().to_string();
        // It may have ended in the meantime.
        let _ = Command::new("kill").args(["-INT", &pid]).stderr(Stdio::null()).status().unwrap();
    }

    async fn end(mut self) -> (ExitStatus, String) {
        let mut told = String::new();
        let ended = async {
            self.stdout.read_to_string(&mut told).await.unwrap();
            self.stderr.read_to_string(&mut told).await.unwrap();
            self.child.wait().await.unwrap()
        };
        let status = timeout(HANGS_AFTER, ended).await.unwrap_or_else(|_| panic!("it goes on"));
        (status, told)
    }
}

/// `command --timeout` ends in time and says what it waited for.
async fn ends_in_time(silent: Silent, command: &str, time: u64, awaited: &str) {
    let harness = Harness::builder().appending().start().await;
    silent.inject(&harness);
    harness.put("a", &sample(1, 50), 1);
    let config = harness.config_file();
    let limit = format!("{time}s");
    let begun = Instant::now();
    let arguments: Vec<&str> =
        command.split(' ').chain([config.to_str().unwrap(), "--timeout", &limit]).collect();
    let (status, told) = start(&harness, &arguments, &BTreeMap::new()).end().await;
    assert_eq!(status.code(), Some(3), "{command}: {told}");
    let told = told.replace('\n', " ");
    assert!(
        told.contains(&format!("the time is nearly up, while waiting for {awaited}")),
        "{command}: {told}"
    );
    if command == "load" {
        assert!(told.contains("Retryable.DeadlineNear") && told.contains("Objects"), "{told}");
    }
    // What the limit says, and the start and the end of a process on a busy machine.
    assert!(begun.elapsed() < Duration::from_secs(time + 20), "{command}: {:?}", begun.elapsed());
    assert!(harness.is_unsettled("a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_ends_within_its_limit() {
    let mut cases = JoinSet::new();
    for (silent, command, time, awaited) in [
        (s3("ListObjectsV2", ""), "load", 8, "S3: ListObjectsV2 of s3://"),
        (s3("ListObjectsV2", ""), "load --dry-run", 8, "S3: ListObjectsV2 of s3://"),
        (s3("ListObjectsV2", ""), "status", 8, "S3: ListObjectsV2 of s3://"),
        (s3("HeadObject", ""), "check", 12, "S3: HeadObject of s3://"),
        (Silent::Redshift("LOCK "), "check", 12, "Redshift: LOCK"),
        (Silent::RedshiftConnection, "status", 8, "Redshift: a connection to "),
        (s3("GetObject", "client/"), "load", 30, "S3: GetObject of s3://"),
        (Silent::Redshift("COPY "), "load", 30, "Redshift: COPY"),
    ] {
        cases.spawn(ends_in_time(silent, command, time, awaited));
    }
    while let Some(case) = cases.join_next().await {
        case.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_has_a_limit() {
    let harness = Harness::builder().appending().start().await;
    harness.put("a", &sample(1, 50), 1);
    harness.stack.redshift.inject(redshift::Fault::on("COPY ", redshift::Action::Silence));
    let config = harness.config_file();
    let arguments = ["load", config.to_str().unwrap(), "--statement-timeout", "1s"];
    let (status, told) = start(&harness, &arguments, &BTreeMap::new()).end().await;
    assert_eq!(status.code(), Some(3), "{told}");
    assert!(
        told.contains("Retryable.StatementTimeout") && told.contains("Redshift neither answered COPY"),
        "{told}"
    );
    // Redshift is told the same, and nothing is sent behind what it does not answer.
    let sessions = harness.sessions();
    let copies = |session: &&Vec<String>| session.iter().any(|statement| statement.starts_with("COPY"));
    let session = sessions.iter().find(copies).unwrap();
    assert!(
        session
            .iter()
            .any(|statement| statement.contains("statement_timeout") && statement.ends_with("1000")),
        "{session:?}"
    );
    assert!(session.last().unwrap().starts_with("COPY"), "{session:?}");
}

/// Who is silent from the moment at which a gate is reached.
#[derive(Clone, Copy)]
enum At {
    S3(&'static str, &'static str),
    Redshift(&'static str),
    RedshiftConnection,
}

/// Ctrl-C while what is waited for never comes.
async fn is_interrupted(at: At, awaited: &str) {
    let harness = Harness::builder().appending().start().await;
    harness.put("a", &sample(1, 50), 1);
    let gate = s3::Gate::new();
    match at {
        At::S3(operation, key) => {
            harness.stack.s3.inject(s3::Fault::on(operation, key, s3::Action::Wait(gate.clone())));
        }
        At::Redshift(statement) => {
            let wait = redshift::Action::Wait(gate.clone());
            harness.stack.redshift.inject(redshift::Fault::on(statement, wait));
        }
        At::RedshiftConnection => {
            harness.stack.redshift.inject(redshift::Fault::on_connection(Some(gate.clone())));
        }
    }
    let running = start(&harness, &["load", harness.config_file().to_str().unwrap()], &BTreeMap::new());
    timeout(HANGS_AFTER, gate.reached()).await.unwrap();
    running.interrupt();
    let begun = Instant::now();
    let (status, told) = running.end().await;
    // Two seconds are promised; the rest is the machine's.
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!(status.code(), Some(3), "{told}");
    assert!(
        told.contains("Retryable.Interrupted") && told.contains(&format!("while waiting for {awaited}")),
        "{told}"
    );
    assert!(told.contains("Objects found:"), "there is no report: {told}");
    assert!(harness.is_unsettled("a"));
}

cases! {
    async ctrl_c_ends_the_command: is_interrupted {
        at_a_listing(At::S3("ListObjectsV2", ""), "S3: ListObjectsV2");
        at_a_download(At::S3("GetObject", "client/"), "S3: GetObject");
        at_an_upload(At::S3("PutObject", ".csv"), "S3: PutObject");
        at_a_marker(At::S3("CopyObject", ""), "S3: CopyObject");
        at_a_connection(At::RedshiftConnection, "Redshift: a connection to ");
        at_the_lock(At::Redshift("LOCK "), "Redshift: LOCK");
        at_copy(At::Redshift("COPY "), "Redshift: COPY");
        at_commit(At::Redshift("COMMIT"), "Redshift: COMMIT");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_waited_for_is_told_again_and_again() {
    let harness = Harness::builder().appending().start().await;
    harness.stack.s3.inject(s3::Fault::on("ListObjectsV2", "", s3::Action::Silence));
    let arguments = ["load", harness.config_file().to_str().unwrap()].map(str::to_owned);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let environment = BTreeMap::from([("CMSLITE_TEST_TOLD_EVERY_MS", "200")]);
    let mut running = start(&harness, &arguments, &environment);
    let told = async {
        let mut lines = Vec::new();
        while lines.len() < 2 {
            let mut line = String::new();
            assert!(running.stderr.read_line(&mut line).await.unwrap() > 0, "{lines:?}");
            if line.starts_with("waiting") {
                lines.push(line);
            }
        }
        lines
    };
    for line in timeout(HANGS_AFTER, told).await.unwrap() {
        let expected = format!("waiting for S3: ListObjectsV2 of s3://{BUCKET}/");
        assert!(line.starts_with(&expected) && line.contains(" since 2"), "{line}");
    }
    running.interrupt();
    assert_eq!(running.end().await.0.code(), Some(3));
}

/// The report of a first Ctrl-C does not come: nothing is waited for any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_ctrl_c_ends_the_command_at_once() {
    let harness = Harness::builder().appending().start().await;
    harness.put("a", &sample(1, 50), 1);
    // On a busy machine the second one may come when the first has ended the command already.
    for _ in 0..20 {
        let gate = s3::Gate::new();
        let wait = redshift::Action::Wait(gate.clone());
        harness.stack.redshift.inject(redshift::Fault::on("COPY ", wait).times(1));
        let mut running =
            start(&harness, &["load", harness.config_file().to_str().unwrap()], &BTreeMap::new());
        timeout(HANGS_AFTER, gate.reached()).await.unwrap();
        let first = Instant::now();
        running.interrupt();
        let heard = async {
            let mut line = String::new();
            while !line.contains("a second Ctrl-C ends at once") {
                line.clear();
                assert!(running.stderr.read_line(&mut line).await.unwrap() > 0, "it is not heard");
            }
        };
        timeout(HANGS_AFTER, heard).await.unwrap();
        running.interrupt();
        let is_in_time = first.elapsed() < Duration::from_secs(1);
        let (status, told) = running.end().await;
        gate.open();
        assert!(harness.is_unsettled("a"));
        if is_in_time {
            assert_eq!(status.code(), Some(3), "{told}");
            assert!(!told.contains("Objects found:"), "{told}");
            return;
        }
    }
    panic!("twenty times no second signal was sent within a second");
}
