//! Tests the local Lambda with a function on the real `lambda_runtime` crate and clients of its Invoke API.
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use devstack::lambda::{Lambda, Options, Outcome, eventually};
use devstack::python;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// The limit of every wait. Even on a slow machine, only a wait that would never end takes this long.
pub const HANGS_AFTER: Duration = Duration::from_secs(300);

/// The program of `examples/echo_function.rs`, built with the features of a build of the whole workspace.
static FUNCTION: LazyLock<PathBuf> = LazyLock::new(|| {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--workspace", "--example", "echo_function", "--message-format=json"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap())
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let messages = String::from_utf8(built.stdout).unwrap();
    let mut messages = messages.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let executable = messages
        .find(|message| message["target"]["name"] == "echo_function" && message["executable"].is_string())
        .unwrap();
    PathBuf::from(executable["executable"].as_str().unwrap())
});

pub fn options() -> Options {
    let mut options =
        Options::new(FUNCTION.as_path(), vec![("GIVEN".to_owned(), "to the function".to_owned())]);
    options.retry_after = vec![Duration::from_millis(100), Duration::from_millis(200)];
    options
}

fn with_init(what: &str) -> Options {
    let mut options = options();
    options.environment.push(("INIT".to_owned(), what.to_owned()));
    options
}

pub async fn start(options: Options) -> Lambda {
    Lambda::start(options).await.unwrap()
}

async fn invoke(lambda: &Lambda, payload: Value) -> Outcome {
    tokio::time::timeout(HANGS_AFTER, lambda.invoke(payload)).await.expect("no outcome in time")
}

async fn answer(lambda: &Lambda, payload: Value) -> Value {
    match invoke(lambda, payload).await {
        Outcome::Ok(answer) => answer,
        Outcome::Failed { error_type, message } => panic!("{error_type}: {message}"),
    }
}

async fn failure(lambda: &Lambda, payload: Value) -> (String, String) {
    match invoke(lambda, payload).await {
        Outcome::Failed { error_type, message } => (error_type, message),
        Outcome::Ok(_) => panic!("it succeeded"),
    }
}

/// Checks that the function works, and returns the id of its process.
async fn echoes(lambda: &Lambda) -> u64 {
    let answer = answer(lambda, json!({"do": "echo"})).await;
    assert_eq!(answer["payload"], json!({"do": "echo"}));
    answer["pid"].as_u64().unwrap()
}

fn lives(pid: u64) -> bool {
    let state = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap().stdout;
    !state.is_empty() && state.first() != Some(&b'Z')
}

/// Returns the number after a word that the function writes.
async fn number_after(lambda: &Lambda, word: &str) -> u64 {
    let find = || lambda.log().lines().find_map(|line| line.strip_prefix(word)?.parse().ok());
    lambda.until(|| find().is_some()).await.unwrap();
    find().unwrap()
}

async fn post(url: &str, kind: Option<&str>, body: &str) -> (StatusCode, HeaderMap, Bytes) {
    let mut request = Request::post(url);
    if let Some(kind) = kind {
        request = request.header("X-Amz-Invocation-Type", kind);
    }
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let response = client.request(request.body(Full::from(body.to_owned())).unwrap());
    let (parts, body) =
        tokio::time::timeout(HANGS_AFTER, response).await.expect("no answer in time").unwrap().into_parts();
    (parts.status, parts.headers, body.collect().await.unwrap().to_bytes())
}

/// The variables are the "defined runtime environment variables" (AWS Lambda Developer Guide). The deadline
/// is a time, not a duration.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_learns_its_name_its_deadline_and_its_environment() {
    let lambda = start(Options { timeout: Duration::from_secs(100), ..options() }).await;
    let answer = answer(&lambda, json!({"text": "ü\n"})).await;
    assert_eq!(answer["payload"], json!({"text": "ü\n"}));
    assert!((80..=100).contains(&answer["left_seconds"].as_u64().unwrap()), "{answer}");
    let name = "cmslite-user-data-to-redshift";
    assert!(answer["arn"].as_str().unwrap().ends_with(&format!(":function:{name}")), "{answer}");
    assert_eq!(answer["request_id"], lambda.history()[0].request_id);
    let environment = answer["environment"].as_object().unwrap();
    assert_eq!(environment["AWS_LAMBDA_FUNCTION_NAME"], name);
    assert_eq!(environment["GIVEN"], "to the function");
    assert_eq!(Path::new(environment["LAMBDA_TASK_ROOT"].as_str().unwrap()), FUNCTION.parent().unwrap());
    for name in
        ["AWS_REGION", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "_HANDLER", "PATH"]
    {
        assert!(environment.contains_key(name), "{name}");
    }
    // Cargo's variables are in this process's environment.
    assert!(!environment.keys().any(|name| name.starts_with("CARGO")), "{environment:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_and_panics_are_told_and_the_process_goes_on() {
    let lambda = start(options()).await;
    let pid = echoes(&lambda).await;
    let told = failure(&lambda, json!({"do": "fail"})).await;
    assert_eq!(told, ("Echo.Failed".to_owned(), r#"as told: {"do":"fail"}"#.to_owned()));
    let (_, message) = failure(&lambda, json!({"do": "panic"})).await;
    assert!(message.contains("as told"), "{message}");
    assert_eq!(echoes(&lambda).await, pid);
    assert!(lambda.history().iter().all(|ended| ended.is_final));
    // The callers got these errors; a dead-letter queue is for asynchronous invocations.
    assert_eq!(lambda.dead_letters(), []);
}

/// Follows "How Lambda handles errors and retries with asynchronous invocation" (AWS Lambda Developer Guide).
#[tokio::test(flavor = "multi_thread")]
async fn an_asynchronous_invocation_that_fails_is_tried_twice_more_and_then_a_dead_letter() {
    let lambda = start(options()).await;
    let mut events = lambda.subscribe();
    let begun = Instant::now();
    let id = lambda.invoke_asynchronously(json!({"do": "fail"}));
    for is_final in [false, false, true] {
        let ended = tokio::time::timeout(HANGS_AFTER, events.recv()).await.unwrap().unwrap();
        assert_eq!((&ended.request_id, ended.is_final), (&id, is_final));
        assert!(matches!(&ended.outcome, Outcome::Failed { error_type, .. } if error_type == "Echo.Failed"));
    }
    assert!(lambda.is_idle());
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(lambda.dead_letters(), [lambda.history()[2].clone()]);
    let good = lambda.invoke_asynchronously(json!({"do": "echo"}));
    let ended = tokio::time::timeout(HANGS_AFTER, events.recv()).await.unwrap().unwrap();
    assert_eq!((ended.request_id, ended.is_final), (good, true));
    assert_eq!((lambda.dead_letters().len(), lambda.history().len()), (1, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_will_be_tried_again_is_not_idle() {
    let lambda = start(Options { retry_after: vec![Duration::from_secs(3600)], ..options() }).await;
    assert!(lambda.is_idle());
    lambda.invoke_asynchronously(json!({"do": "fail"}));
    lambda.until(|| lambda.history().len() == 1).await.unwrap();
    assert!(!lambda.is_idle());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invocation_past_its_deadline_is_killed_and_the_next_one_works() {
    let limit = Duration::from_secs(2);
    let lambda = start(Options { timeout: limit, ..options() }).await;
    let begun = Instant::now();
    let (error_type, message) = failure(&lambda, json!({"do": "sleep"})).await;
    assert!(begun.elapsed() >= limit && lambda.history()[0].took >= limit);
    assert_eq!(error_type, "Sandbox.Timedout");
    assert!(message.contains("Task timed out after 2.00 seconds"), "{message}");
    let pid = number_after(&lambda, "sleeps: ").await;
    // A slow machine may need more than one try to answer within the limit.
    let echo = async {
        loop {
            if let Outcome::Ok(answer) = lambda.invoke(json!({"do": "echo"})).await {
                return answer["pid"].as_u64().unwrap();
            }
        }
    };
    assert_ne!(tokio::time::timeout(HANGS_AFTER, echo).await.unwrap(), pid);
    assert!(!lives(pid));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_exits_fails_its_invocation_at_once_and_the_next_one_works() {
    for what in ["exit", "exit, leaving a process"] {
        let lambda = start(options()).await;
        let (error_type, message) = failure(&lambda, json!({"do": what})).await;
        assert_eq!(error_type, "Runtime.ExitError");
        assert!(message.contains("exit status: 3"), "{message}");
        echoes(&lambda).await;
        if what != "exit" {
            let left = number_after(&lambda, "left: ").await;
            eventually(HANGS_AFTER, || !lives(left)).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_fails_what_it_was_doing_and_nothing_else() {
    let lambda = start(options()).await;
    let (failed, pid) = tokio::join!(failure(&lambda, json!({"do": "sleep"})), async {
        let pid = number_after(&lambda, "sleeps: ").await;
        lambda.kill();
        pid
    });
    assert_eq!(failed.0, "Runtime.ExitError");
    assert!(failed.1.contains("SIGKILL"), "{}", failed.1);
    assert_ne!(echoes(&lambda).await, pid);
}

/// A process that is killed while it waits must not get an invocation, which would fail or hang until its
/// deadline.
#[tokio::test(flavor = "multi_thread")]
async fn an_invocation_right_after_an_idle_process_was_killed_is_served_by_the_next() {
    let lambda = start(options()).await;
    let mut pid = echoes(&lambda).await;
    for _ in 0..20 {
        lambda.kill();
        let next = echoes(&lambda).await;
        assert_ne!(next, pid);
        pid = next;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_serve_side_by_side() {
    let lambda = start(Options { concurrency: 3, ..options() }).await;
    for _ in 0..2 {
        lambda.invoke_asynchronously(json!({"do": "sleep"}));
    }
    echoes(&lambda).await;
    assert_eq!(lambda.history().len(), 1);
    assert!(!lambda.is_idle());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_cannot_start_fails_invocations_rather_than_letting_them_hang() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("bootstrap");
    let lambda = start(Options::new(&program, Vec::new())).await;
    for _ in 0..2 {
        assert_eq!(failure(&lambda, json!({})).await.0, "Runtime.InvalidEntrypoint");
    }
    let log = lambda.log();
    assert!(
        log.lines().count() >= 2 && log.lines().all(|line| line.matches("cannot start ").count() == 1),
        "{log}"
    );
    // Now the program exists, and a later invocation finds it.
    let script = directory.path().join("script");
    fs::write(&script, format!("#!/bin/sh\nexec '{}'\n", FUNCTION.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(script, program).unwrap();
    let begun = Instant::now();
    while !matches!(invoke(&lambda, json!({})).await, Outcome::Ok(_)) {
        assert!(begun.elapsed() < HANGS_AFTER);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_start_fails_one_invocation_with_the_reason_that_it_reports() {
    let lambda = start(with_init("exit")).await;
    let (error_type, message) = failure(&lambda, json!({})).await;
    assert_eq!(error_type, "Runtime.ExitError");
    assert!(message.contains("exit status: 4"), "{message}");

    let lambda = start(with_init("report")).await;
    let (one, two) = tokio::join!(failure(&lambda, json!({})), failure(&lambda, json!({})));
    let reported = ("Echo.Init".to_owned(), "no configuration".to_owned());
    assert_eq!((one, two), (reported.clone(), reported));
}

/// A program that fails to start is not started again and again while no invocation needs it.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_start_is_tried_again_only_when_there_is_work() {
    let lambda = start(Options::new("/absent", Vec::new())).await;
    lambda.until(|| lambda.log().contains("cannot start")).await.unwrap();
    // Forty times the wait before a second start.
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(lambda.log().matches("cannot start").count(), 1, "{}", lambda.log());
}

/// The output is in the log as soon as the outcome is known, so a reader of the log need not wait.
#[tokio::test(flavor = "multi_thread")]
async fn all_that_a_function_wrote_before_its_answer_is_in_the_log() {
    let lambda = start(options()).await;
    let wanted = ["not UTF-8: \u{fffd}\n", "and after it\n", "and on stderr\n"];
    for times in 1..=50 {
        answer(&lambda, json!({"do": "write bytes"})).await;
        let log = lambda.log();
        assert!(wanted.iter().all(|line| log.matches(line).count() == times), "{times}: {log}");
    }
}

/// The request and the response of a synchronous invocation have at most 6 MB each (Lambda quotas).
#[tokio::test(flavor = "multi_thread")]
async fn payloads_over_the_limit_are_refused() {
    let lambda = start(options()).await;
    assert_eq!(failure(&lambda, json!({"do": "answer much"})).await.0, "Function.ResponseSizeTooLarge");
    let (status, headers, _) =
        post(&lambda.invoke_url("cmslite"), None, &json!("x".repeat(7 * 1024 * 1024)).to_string()).await;
    assert_eq!(
        (status, headers["x-amzn-errortype"].to_str().unwrap()),
        (StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException")
    );
    echoes(&lambda).await;
}

/// Invoke answers 200 with the function's answer, 200 with a header for a function's error, 202 without a
/// body for an event, and 204 for a dry run (AWS Lambda API Reference).
#[tokio::test(flavor = "multi_thread")]
async fn the_invoke_api_answers_as_lambda_does() {
    let lambda = start(options()).await;
    let url = lambda.invoke_url("cmslite");
    let (status, headers, body) = post(&url, None, r#"{"a": 1}"#).await;
    assert_eq!(status, StatusCode::OK);
    assert!(!headers.contains_key("x-amz-function-error"));
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(answer["payload"], json!({"a": 1}));
    assert_eq!(answer["request_id"], headers["x-amzn-requestid"].to_str().unwrap());

    let (status, headers, body) = post(&url, Some("RequestResponse"), r#"{"do": "fail"}"#).await;
    assert_eq!((status, headers["x-amz-function-error"].to_str().unwrap()), (StatusCode::OK, "Unhandled"));
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["errorType"], "Echo.Failed");

    let (status, headers, body) = post(&url, Some("Event"), r#"{"do": "fail"}"#).await;
    assert_eq!((status, body.len()), (StatusCode::ACCEPTED, 0));
    lambda.until(|| lambda.dead_letters().len() == 1).await.unwrap();
    assert_eq!(lambda.dead_letters()[0].request_id, headers["x-amzn-requestid"].to_str().unwrap());

    let tried = lambda.history().len();
    assert_eq!(post(&url, Some("DryRun"), "{}").await.0, StatusCode::NO_CONTENT);
    for (kind, body, error_type) in [
        (None, "{", "InvalidRequestContentException"),
        (Some("Sometimes"), "{}", "InvalidParameterValueException"),
    ] {
        let (status, headers, _) = post(&url, kind, body).await;
        assert_eq!(
            (status, headers["x-amzn-errortype"].to_str().unwrap()),
            (StatusCode::BAD_REQUEST, error_type)
        );
    }
    assert_eq!(post(&url.replace("2015-03-31", "2014-01-01"), None, "{}").await.0, StatusCode::NOT_FOUND);
    assert_eq!(lambda.history().len(), tried);
}

/// The AWS command line gives a second opinion: the answers are those of Lambda.
#[tokio::test(flavor = "multi_thread")]
async fn the_aws_command_line_invokes_the_function() {
    let lambda = start(options()).await;
    let bin = tokio::task::spawn_blocking(|| python::venv("awscli-1.46.3", &["awscli==1.46.3"]))
        .await
        .unwrap()
        .unwrap();
    let home = tempfile::tempdir().unwrap();
    let endpoint = lambda.invoke_url("x").split("/2015").next().unwrap().to_owned();
    let run = async |kind: &str, payload: &str| {
        let said = home.path().join("answer.json");
        let output = tokio::process::Command::new(bin.join("aws"))
            .args([
                "lambda",
                "invoke",
                "--function-name",
                "cmslite",
                "--invocation-type",
                kind,
                "--payload",
                payload,
            ])
            .arg(&said)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", home.path())
            .envs([
                ("AWS_ENDPOINT_URL", endpoint.as_str()),
                ("AWS_REGION", "ca-central-1"),
                ("AWS_DEFAULT_REGION", "ca-central-1"),
            ])
            .envs([("AWS_ACCESS_KEY_ID", "any"), ("AWS_SECRET_ACCESS_KEY", "any")])
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(HANGS_AFTER, output).await.expect("aws hangs").unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answer = serde_json::from_str(&fs::read_to_string(said).unwrap()).unwrap_or(Value::Null);
        (serde_json::from_slice::<Value>(&output.stdout).unwrap(), answer)
    };
    let (said, answer) = run("RequestResponse", r#"{"a": 1}"#).await;
    assert_eq!(said, json!({"StatusCode": 200, "ExecutedVersion": "$LATEST"}));
    assert_eq!(answer["payload"], json!({"a": 1}));
    let (said, answer) = run("RequestResponse", r#"{"do": "fail"}"#).await;
    assert_eq!(said, json!({"StatusCode": 200, "ExecutedVersion": "$LATEST", "FunctionError": "Unhandled"}));
    assert_eq!(answer["errorType"], "Echo.Failed");
    assert_eq!(run("Event", "{}").await, (json!({"StatusCode": 202}), Value::Null));
    lambda.until(|| lambda.history().len() == 3 && lambda.is_idle()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_or_dropped_lambda_leaves_no_process_and_no_port() {
    for stop in [true, false] {
        let lambda = start(options()).await;
        let pid = echoes(&lambda).await;
        assert!(lives(pid));
        let url = lambda.invoke_url("x");
        let address: std::net::SocketAddr = url.split('/').nth(2).unwrap().parse().unwrap();
        if stop {
            lambda.stop().await;
            assert!(!lives(pid));
            std::net::TcpListener::bind(address).unwrap();
        } else {
            drop(lambda);
            eventually(HANGS_AFTER, || !lives(pid)).await.unwrap();
            eventually(HANGS_AFTER, || std::net::TcpListener::bind(address).is_ok()).await.unwrap();
        }
    }
}

/// The variable that marks a process that starts a function and is then killed by the test.
const OWNER: &str = "DEVSTACK_OWNER";

#[tokio::test(flavor = "multi_thread")]
async fn a_function_at_work_is_killed_with_its_owner() {
    if std::env::var_os(OWNER).is_some() {
        let lambda = start(options()).await;
        lambda.invoke_asynchronously(json!({"do": "sleep"}));
        eprintln!("pid: {}", number_after(&lambda, "sleeps: ").await);
        std::future::pending::<()>().await;
    }
    let name = "a_function_at_work_is_killed_with_its_owner";
    let mut owner = crate::test_in_a_process(module_path!(), name).env(OWNER, "").spawn().unwrap();
    let mut said = String::new();
    BufReader::new(owner.stderr.take().unwrap()).read_line(&mut said).unwrap();
    let pid = said.trim().strip_prefix("pid: ").unwrap_or_else(|| panic!("{said}")).parse().unwrap();
    assert!(lives(pid));
    owner.kill().unwrap();
    owner.wait().unwrap();
    eventually(HANGS_AFTER, || !lives(pid)).await.unwrap();
}
