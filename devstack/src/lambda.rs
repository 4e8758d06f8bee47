//! Lambda in process: the runtime API that a function polls, and the Invoke API that calls it
//! (AWS Lambda Developer Guide, "Using the Lambda runtime API"; Lambda API Reference, Invoke).

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::{Notify, broadcast, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

/// The largest payload of an invocation: 6 MB (AWS Lambda quotas).
const PAYLOAD_LIMIT_BYTES: usize = 6 * 1024 * 1024;

/// How to run a function.
#[derive(Clone)]
pub struct Options {
    /// The port of the APIs on 127.0.0.1; 0 for any free one.
    pub port: u16,
    /// The program, as Lambda would find it under the name `bootstrap`.
    pub program: PathBuf,
    /// Its environment; of this process's own it gets PATH alone.
    pub environment: Vec<(String, String)>,
    /// How long an invocation may take.
    pub timeout: Duration,
    /// How many processes serve at once.
    pub concurrency: usize,
    /// The waits before an asynchronous invocation that failed is tried again; Lambda waits one and two minutes.
    pub retry_after: Vec<Duration>,
}

impl Options {
    /// A function with Lambda's defaults, but for retries after a moment.
    pub fn new(program: impl Into<PathBuf>, environment: Vec<(String, String)>) -> Self {
        Self {
            port: 0,
            program: program.into(),
            environment,
            timeout: Duration::from_secs(900),
            concurrency: 1,
            retry_after: vec![Duration::from_millis(500), Duration::from_secs(1)],
        }
    }
}

/// What an invocation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// What the function answered.
    Ok(Value),
    /// How it failed.
    Failed {
        /// Its `errorType`.
        error_type: String,
        /// Its `errorMessage`.
        message: String,
    },
}

/// An invocation that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Its id; a retry has the same.
    pub request_id: String,
    /// What the function was given.
    pub payload: Value,
    /// What it came to.
    pub outcome: Outcome,
    /// Whether it was the last try.
    pub is_final: bool,
}

/// A function and the APIs around it. Dropping it kills the function.
pub struct Lambda {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

struct Shared {
    options: Options,
    state: Mutex<State>,
    work: Notify,
    events: broadcast::Sender<Invocation>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    running: HashMap<String, Running>,
    next_id: u64,
    history: Vec<Invocation>,
    log: String,
    processes: HashMap<usize, oneshot::Sender<()>>,
    /// Processes that have asked for work.
    began: HashSet<usize>,
}

struct Job {
    request_id: String,
    payload: Value,
    /// Who waits for the outcome; nobody for an asynchronous invocation.
    answer: Option<oneshot::Sender<Outcome>>,
    tries: usize,
}

struct Running {
    job: Job,
    process: usize,
    watchdog: AbortHandle,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submit(&self, payload: Value, answer: Option<oneshot::Sender<Outcome>>) -> String {
        let mut state = self.state();
        state.next_id += 1;
        let request_id = format!("{:08x}-0000-4000-8000-{:012x}", std::process::id(), state.next_id);
        state.queue.push_back(Job { request_id: request_id.clone(), payload, answer, tries: 0 });
        drop(state);
        self.work.notify_one();
        request_id
    }

    /// Ends a running invocation, once; retries it where Lambda would.
    fn end(self: &Arc<Self>, request_id: &str, outcome: Outcome) -> bool {
        let mut state = self.state();
        let Some(Running { mut job, watchdog, .. }) = state.running.remove(request_id) else { return false };
        watchdog.abort();
        let retry = match (&outcome, &job.answer) {
            (Outcome::Failed { .. }, None) => self.options.retry_after.get(job.tries).copied(),
            _ => None,
        };
        let ended =
            Invocation { request_id: request_id.to_owned(), payload: job.payload.clone(), outcome: outcome.clone(), is_final: retry.is_none() };
        state.history.push(ended.clone());
        drop(state);
        // Nobody may be listening.
        let _ = self.events.send(ended);
        if let Some(answer) = job.answer.take() {
            let _ = answer.send(outcome);
        }
        if let Some(wait) = retry {
            job.tries += 1;
            let shared = Arc::clone(self);
            tokio::spawn(async move {
                sleep(wait).await;
                shared.state().queue.push_back(job);
                shared.work.notify_one();
            });
        }
        true
    }

    /// Ends whatever a process was doing when it ended; one that never asked for work fails the work that waits for it.
    fn process_ended(self: &Arc<Self>, process: usize, began: bool, outcome: &Outcome) {
        let mut state = self.state();
        if !began && let Some(job) = state.queue.pop_front() {
            let watchdog = tokio::spawn(async {}).abort_handle();
            state.running.insert(job.request_id.clone(), Running { job, process, watchdog });
        }
        let ids: Vec<String> = state.running.iter().filter(|(_, running)| running.process == process).map(|(id, _)| id.clone()).collect();
        drop(state);
        for id in ids {
            self.end(&id, outcome.clone());
        }
    }
}

fn failed(error_type: &str, message: impl Into<String>) -> Outcome {
    Outcome::Failed { error_type: error_type.to_owned(), message: message.into() }
}

impl Lambda {
    /// Starts the APIs and the function's processes.
    ///
    /// # Errors
    ///
    /// The port's.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
        let address = listener.local_addr()?;
        let (events, _) = broadcast::channel(1024);
        let concurrency = options.concurrency;
        let shared = Arc::new(Shared { options, state: Mutex::default(), work: Notify::new(), events });
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, None, Arc::clone(&shared)));
        for process in 0..concurrency {
            // Each process has an API of its own, so that it is known who took an invocation.
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            tasks.spawn(keep_running(process, listener.local_addr()?, Arc::clone(&shared)));
            tasks.spawn(serve(listener, Some(process), Arc::clone(&shared)));
        }
        Ok(Self { address, shared, tasks })
    }

    /// The URL at which a function is invoked, by any name.
    pub fn invoke_url(&self, name: &str) -> String {
        format!("http://{}/2015-03-31/functions/{name}/invocations", self.address)
    }

    /// Invokes the function and waits for its answer.
    pub async fn invoke(&self, payload: Value) -> Outcome {
        let (sender, receiver) = oneshot::channel();
        self.shared.submit(payload, Some(sender));
        receiver.await.unwrap_or_else(|_| failed("Runtime.Gone", "the function is gone"))
    }

    /// Invokes the function as S3 does: it is tried again where it fails. Returns the request id.
    pub fn invoke_asynchronously(&self, payload: Value) -> String {
        self.shared.submit(payload, None)
    }

    /// Every try that has ended, in order.
    pub fn history(&self) -> Vec<Invocation> {
        self.shared.state().history.clone()
    }

    /// Asynchronous invocations that failed for good: what a dead-letter queue would get.
    pub fn dead_letters(&self) -> Vec<Invocation> {
        self.history().into_iter().filter(|ended| ended.is_final && matches!(ended.outcome, Outcome::Failed { .. })).collect()
    }

    /// Every try that ends from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Invocation> {
        self.shared.events.subscribe()
    }

    /// Whether an invocation waits, runs, or will be tried again.
    pub fn is_idle(&self) -> bool {
        let state = self.shared.state();
        state.queue.is_empty() && state.running.is_empty()
    }

    /// Everything that the function wrote.
    pub fn log(&self) -> String {
        self.shared.state().log.clone()
    }

    /// Kills every process with SIGKILL; new ones take their place.
    pub fn kill(&self) {
        let processes: Vec<oneshot::Sender<()>> = self.shared.state().processes.drain().map(|(_, kill)| kill).collect();
        for kill in processes {
            let _ = kill.send(());
        }
    }

    /// Stops everything.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Starts a process of the function whenever there is none.
async fn keep_running(process: usize, address: SocketAddr, shared: Arc<Shared>) {
    loop {
        let options = &shared.options;
        let mut command = Command::new(&options.program);
        command
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "cmslite-user-data-to-redshift")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/cmslite-user-data-to-redshift")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "devstack")
            .env("_HANDLER", "bootstrap")
            .envs(options.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                let message = format!("cannot start {}: {error}", options.program.display());
                shared.state().log.push_str(&message);
                shared.process_ended(process, false, &failed("Runtime.InvalidEntrypoint", message));
                sleep(Duration::from_millis(250)).await;
                continue;
            }
        };
        let (kill, killed) = oneshot::channel();
        shared.state().processes.insert(process, kill);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let output = async {
            tokio::join!(keep_output(stdout, &shared), keep_output(stderr, &shared));
        };
        let ended = async {
            tokio::select! {
                status = child.wait() => status.map_or_else(|error| error.to_string(), |status| status.to_string()),
                _ = killed => {
                    let _ = child.kill().await;
                    "signal: 9 (SIGKILL)".to_owned()
                }
            }
        };
        let ((), how) = tokio::join!(output, ended);
        // The words of Lambda's own log for a process that ends during an invocation.
        let began = shared.state().began.remove(&process);
        shared.process_ended(process, began, &failed("Runtime.ExitError", format!("Runtime exited with error: {how}")));
        sleep(if began { Duration::from_millis(20) } else { Duration::from_millis(250) }).await;
    }
}

async fn keep_output(output: Option<impl AsyncRead + Unpin>, shared: &Shared) {
    let Some(output) = output else { return };
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut state = shared.state();
        state.log.push_str(&line);
        state.log.push('\n');
    }
}

/// Serves the Invoke API, or the runtime API of one process.
async fn serve(listener: TcpListener, process: Option<usize>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let shared = Arc::clone(&shared);
        let _ = stream.set_nodelay(true);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, process, Arc::clone(&shared)));
            let http = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            // A function's process that is killed breaks its connection: nothing to be said of it.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

type Answer = Response<Full<Bytes>>;

fn respond(status: StatusCode, body: &Value) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}

async fn answer(request: Request<Incoming>, process: Option<usize>, shared: Arc<Shared>) -> Result<Answer, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let path: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
    let accepted = || respond(StatusCode::ACCEPTED, &json!({"status": "OK"}));
    Ok(match (&parts.method, path.as_slice(), process) {
        (&Method::GET, ["2018-06-01", "runtime", "invocation", "next"], Some(process)) => next(process, &shared).await,
        (&Method::POST, ["2018-06-01", "runtime", "invocation", id, "response"], Some(_)) => {
            let value = serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body)));
            if shared.end(id, Outcome::Ok(value)) { accepted() } else { unknown_request() }
        }
        (&Method::POST, ["2018-06-01", "runtime", "invocation", id, "error"], Some(_)) => {
            if shared.end(id, diagnostic(&body)) {
                accepted()
            } else {
                unknown_request()
            }
        }
        (&Method::POST, ["2018-06-01", "runtime", "init", "error"], Some(process)) => {
            shared.process_ended(process, false, &diagnostic(&body));
            accepted()
        }
        (&Method::POST, ["2015-03-31", "functions", _, "invocations"], None) => {
            let kind = parts.headers.get("x-amz-invocation-type").and_then(|kind| kind.to_str().ok()).unwrap_or("RequestResponse");
            invoked(kind, &body, &shared).await
        }
        _ => respond(StatusCode::NOT_FOUND, &json!({"message": format!("no such path: {}", parts.uri.path())})),
    })
}

fn unknown_request() -> Answer {
    respond(StatusCode::BAD_REQUEST, &json!({"errorMessage": "no such invocation", "errorType": "InvalidRequestID"}))
}

fn diagnostic(body: &[u8]) -> Outcome {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Outcome::Failed { error_type: text("errorType"), message: text("errorMessage") }
}

/// The runtime's long poll.
async fn next(process: usize, shared: &Arc<Shared>) -> Answer {
    shared.state().began.insert(process);
    let job = loop {
        let notified = shared.work.notified();
        if let Some(job) = shared.state().queue.pop_front() {
            break job;
        }
        notified.await;
    };
    let limit = shared.options.timeout;
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + limit;
    let payload = Bytes::from(job.payload.to_string());
    let request_id = job.request_id.clone();
    let watchdog = {
        let (shared, request_id) = (Arc::clone(shared), request_id.clone());
        tokio::spawn(async move {
            sleep(limit).await;
            let kill = shared.state().processes.remove(&process);
            let message = format!("RequestId: {request_id} Error: Task timed out after {:.2} seconds", limit.as_secs_f64());
            shared.end(&request_id, failed("Sandbox.Timedout", message));
            if let Some(kill) = kill {
                let _ = kill.send(());
            }
        })
        .abort_handle()
    };
    {
        let mut state = shared.state();
        state.running.insert(request_id.clone(), Running { job, process, watchdog });
        if !state.queue.is_empty() {
            shared.work.notify_one();
        }
    }
    let mut response = Response::new(Full::new(payload));
    let headers = [
        ("lambda-runtime-aws-request-id", request_id),
        ("lambda-runtime-deadline-ms", deadline.as_millis().to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:ca-central-1:000000000000:function:cmslite-user-data-to-redshift".to_owned()),
        ("lambda-runtime-trace-id", "Root=1-00000000-000000000000000000000000;Sampled=0".to_owned()),
        ("content-type", "application/json".to_owned()),
    ];
    for (name, value) in headers {
        if let Ok(value) = http::HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Invoke: `Event` is answered at once, `RequestResponse` when the function has; its failure is a 200 with a header.
async fn invoked(kind: &str, body: &[u8], shared: &Arc<Shared>) -> Answer {
    if body.len() > PAYLOAD_LIMIT_BYTES {
        return respond(StatusCode::PAYLOAD_TOO_LARGE, &json!({"Type": "User", "message": "the payload is larger than 6 MB"}));
    }
    let payload: Value = match serde_json::from_slice(if body.is_empty() { b"{}" } else { body }) {
        Ok(payload) => payload,
        Err(error) => return respond(StatusCode::BAD_REQUEST, &json!({"Type": "User", "message": format!("not JSON: {error}")})),
    };
    if kind == "Event" {
        shared.submit(payload, None);
        return respond(StatusCode::ACCEPTED, &Value::Null);
    }
    let (sender, receiver) = oneshot::channel();
    shared.submit(payload, Some(sender));
    match receiver.await {
        Ok(Outcome::Ok(value)) => respond(StatusCode::OK, &value),
        Ok(Outcome::Failed { error_type, message }) => {
            let mut response = respond(StatusCode::OK, &json!({"errorType": error_type, "errorMessage": message}));
            response.headers_mut().insert("x-amz-function-error", http::HeaderValue::from_static("Unhandled"));
            response
        }
        Err(_) => respond(StatusCode::BAD_GATEWAY, &json!({"message": "the function is gone"})),
    }
}

/// Waits until a condition holds, looking often.
///
/// # Errors
///
/// When it does not within `within`.
pub async fn eventually(within: Duration, mut holds: impl FnMut() -> bool) -> Result<(), String> {
    let begun = Instant::now();
    let looked = timeout(within, async {
        while !holds() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    looked.await.map_err(|_| format!("it did not come to pass within {:?}", begun.elapsed()))
}
