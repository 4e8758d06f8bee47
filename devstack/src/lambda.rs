//! Lambda in process: the runtime API that a function polls, and the Invoke API that calls it
//! (AWS Lambda Developer Guide, "Using the Lambda runtime API"; Lambda API Reference, Invoke).

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
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

/// The largest payload of an invocation, and of its answer: 6 MB each (AWS Lambda quotas).
const PAYLOAD_LIMIT_BYTES: usize = 6 * 1024 * 1024;

/// The function's name, in its environment and its ARN.
const NAME: &str = "cmslite-user-data-to-redshift";

/// Its only version (AWS Lambda Developer Guide, "Manage Lambda function versions").
const VERSION: &str = "$LATEST";

const REGION: &str = "ca-central-1";

/// How long output is waited for after its process has ended: a process that it left behind may hold it open.
const OUTPUT_WITHIN: Duration = Duration::from_secs(1);

/// The least time between the end of a process and the start of the next.
const START_AGAIN_AFTER: Duration = Duration::from_millis(20);

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
    /// The waits before an asynchronous invocation that failed is tried again; Lambda waits one and two
    /// minutes.
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

/// A try of an invocation that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Its id; a retry has the same.
    pub request_id: String,
    /// What the function was given.
    pub payload: Value,
    /// What it came to.
    pub outcome: Outcome,
    /// How long a process worked on it; zero if none was given it.
    pub took: Duration,
    /// Whether nobody waits for its outcome, so that Lambda tries again after a failure.
    pub is_asynchronous: bool,
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
    /// Something was put into the queue.
    work: Notify,
    events: broadcast::Sender<Invocation>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    running: HashMap<String, Running>,
    /// Invocations that wait for their next try.
    retrying: usize,
    /// The last number given to an invocation or a process.
    last_number: u64,
    history: Vec<Invocation>,
    log: String,
    /// Those that have not ended. A number is never used again, so that nothing is handed to the connection
    /// of a process that has ended.
    processes: HashMap<u64, Process>,
}

struct Process {
    /// Kills it; none once that was done.
    kill: Option<oneshot::Sender<()>>,
    start: Start,
}

#[derive(PartialEq, Eq)]
enum Start {
    Pending,
    /// It asked for work.
    Good,
    /// It said that it cannot start.
    Reported,
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
    process: u64,
    begun: Instant,
    watchdog: AbortHandle,
}

impl State {
    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_line(&self, line: &str) {
        let mut state = self.state();
        state.log.push_str(line);
        state.log.push('\n');
    }

    fn submit(&self, payload: Value, answer: Option<oneshot::Sender<Outcome>>) -> String {
        let mut state = self.state();
        let request_id = format!("{:08x}-0000-4000-8000-{:012x}", std::process::id(), state.number());
        state.queue.push_back(Job { request_id: request_id.clone(), payload, answer, tries: 0 });
        drop(state);
        self.work.notify_waiters();
        request_id
    }

    /// Waits until `look` finds something; it looks at once, and again whenever there is work.
    async fn wait_for<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            // Made before looking: it hears what comes in between.
            let notified = self.work.notified();
            let found = look(&mut self.state());
            if let Some(found) = found {
                return found;
            }
            notified.await;
        }
    }

    /// Ends a running invocation, once.
    fn end(self: &Arc<Self>, request_id: &str, outcome: Outcome) -> bool {
        let mut state = self.state();
        let Some(Running { job, begun, watchdog, .. }) = state.running.remove(request_id) else {
            return false;
        };
        watchdog.abort();
        self.conclude(state, job, begun.elapsed(), outcome);
        true
    }

    /// Ends the invocation that waits longest, for a process that could not start: in Lambda, too, a start
    /// costs one.
    fn end_waiting(self: &Arc<Self>, outcome: Outcome) {
        let mut state = self.state();
        if let Some(job) = state.queue.pop_front() {
            self.conclude(state, job, Duration::ZERO, outcome);
        }
    }

    /// Tells what became of a try, and tries again where Lambda would. The state is the one that the job was
    /// taken from, so that it is never seen to be nowhere.
    fn conclude(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        mut job: Job,
        took: Duration,
        outcome: Outcome,
    ) {
        let is_asynchronous = job.answer.is_none();
        let retry = match outcome {
            Outcome::Failed { .. } if is_asynchronous => self.options.retry_after.get(job.tries).copied(),
            Outcome::Failed { .. } | Outcome::Ok(_) => None,
        };
        let ended = Invocation {
            request_id: job.request_id.clone(),
            payload: job.payload.clone(),
            outcome: outcome.clone(),
            took,
            is_asynchronous,
            is_final: retry.is_none(),
        };
        state.history.push(ended.clone());
        state.retrying += usize::from(retry.is_some());
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
                {
                    let mut state = shared.state();
                    state.retrying -= 1;
                    state.queue.push_back(job);
                }
                shared.work.notify_waiters();
            });
        }
    }

    /// Ends whatever a process was doing when it ended; one that ended by itself while it started fails the
    /// work that waits for it. Returns whether it had started.
    fn process_ended(self: &Arc<Self>, process: u64, outcome: &Outcome) -> bool {
        let (ended, doing) = {
            let mut state = self.state();
            let doing = state
                .running
                .iter()
                .filter(|(_, running)| running.process == process)
                .map(|(id, _)| id.clone());
            let doing: Vec<String> = doing.collect();
            (state.processes.remove(&process), doing)
        };
        for id in doing {
            self.end(&id, outcome.clone());
        }
        let Some(Process { kill, start }) = ended else { return false };
        if start == Start::Pending && kill.is_some() {
            self.end_waiting(outcome.clone());
        }
        start == Start::Good
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
        for _ in 0..concurrency {
            tasks.spawn(keep_running(Arc::clone(&shared)));
        }
        Ok(Self { address, shared, tasks })
    }

    /// The URL of the APIs.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL at which a function is invoked, by any name.
    pub fn invoke_url(&self, name: &str) -> String {
        format!("{}/2015-03-31/functions/{name}/invocations", self.endpoint())
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
        let is_dead = |ended: &Invocation| {
            ended.is_asynchronous && ended.is_final && matches!(ended.outcome, Outcome::Failed { .. })
        };
        self.history().into_iter().filter(is_dead).collect()
    }

    /// Every try that ends from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Invocation> {
        self.shared.events.subscribe()
    }

    /// Whether no invocation waits, runs, or will be tried again.
    pub fn is_idle(&self) -> bool {
        let state = self.shared.state();
        state.queue.is_empty() && state.running.is_empty() && state.retrying == 0
    }

    /// Everything that the function wrote.
    pub fn log(&self) -> String {
        self.shared.state().log.clone()
    }

    /// Kills every process with SIGKILL, which fails what they are doing; new ones take their place, and
    /// serve what comes from now on.
    pub fn kill(&self) {
        for kill in self.shared.state().processes.values_mut().filter_map(|process| process.kill.take()) {
            // It may have ended by itself.
            let _ = kill.send(());
        }
    }

    /// Kills every process, and returns when none of them lives any more: what they asked for after that was
    /// not asked. For a thread of a runtime that has others.
    pub fn kill_and_wait(&self) {
        let doomed: Vec<u64> = self.shared.state().processes.keys().copied().collect();
        self.kill();
        tokio::task::block_in_place(|| {
            while doomed.iter().any(|process| self.shared.state().processes.contains_key(process)) {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
    }

    /// Ends whatever runs as if its time were over, without the wait.
    pub fn time_out(&self) {
        let state = self.shared.state();
        let running = state.running.iter().map(|(id, running)| (id.clone(), running.process));
        let running: Vec<(String, u64)> = running.collect();
        drop(state);
        for (request_id, process) in running {
            time_out(&request_id, process, &self.shared);
        }
    }

    /// Stops everything.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Starts a process of the function whenever there is none; after a failed start, only when there is work.
async fn keep_running(shared: Arc<Shared>) {
    loop {
        let (kill, killed) = oneshot::channel();
        let process = {
            let mut state = shared.state();
            let process = state.number();
            state.processes.insert(process, Process { kill: Some(kill), start: Start::Pending });
            process
        };
        let outcome = run_process(process, killed, &shared).await.unwrap_or_else(|error| {
            let message = format!("cannot start {}: {error}", shared.options.program.display());
            shared.keep_line(&message);
            failed("Runtime.InvalidEntrypoint", message)
        });
        if !shared.process_ended(process, &outcome) {
            shared.wait_for(|state| (!state.queue.is_empty()).then_some(())).await;
        }
        sleep(START_AGAIN_AFTER).await;
    }
}

/// Runs one process until it ends, with a runtime API of its own, so that it is known who takes an
/// invocation.
async fn run_process(
    process: u64,
    killed: oneshot::Receiver<()>,
    shared: &Arc<Shared>,
) -> io::Result<Outcome> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let options = &shared.options;
    let mut child = Command::new(&options.program)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        // Those that every function has (AWS Lambda Developer Guide, "Defined runtime environment
        // variables").
        .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", NAME)
        .env("AWS_LAMBDA_FUNCTION_VERSION", VERSION)
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{NAME}"))
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "devstack")
        .env("AWS_REGION", REGION)
        .env("LAMBDA_TASK_ROOT", options.program.parent().unwrap_or(Path::new(".")))
        .env("_HANDLER", "bootstrap")
        .envs(options.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    // Ends when this function does, and with it what the process's connections were waiting for.
    let mut serving = JoinSet::new();
    serving.spawn(serve(listener, Some(process), Arc::clone(shared)));
    let mut output = JoinSet::new();
    output.spawn(keep_output(child.stdout.take(), Arc::clone(shared)));
    output.spawn(keep_output(child.stderr.take(), Arc::clone(shared)));
    let how = tokio::select! {
        status = child.wait() => status?.to_string(),
        Ok(()) = killed => {
            child.kill().await?;
            "signal: 9 (SIGKILL)".to_owned()
        }
    };
    // What it wrote last is in the log before its end is told.
    let _ = timeout(OUTPUT_WITHIN, async { while output.join_next().await.is_some() {} }).await;
    // The words of Lambda's own log for a process that ends during an invocation.
    Ok(failed("Runtime.ExitError", format!("Runtime exited with error: {how}")))
}

async fn keep_output(output: Option<impl AsyncRead + Unpin>, shared: Arc<Shared>) {
    let Some(output) = output else { return };
    // Not `lines`: it ends at bytes that are not UTF-8, and the function's next write would fail.
    let mut lines = BufReader::new(output).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        shared.keep_line(&String::from_utf8_lossy(&line));
    }
}

/// Serves the Invoke API, or the runtime API of one process.
async fn serve(listener: TcpListener, process: Option<u64>, shared: Arc<Shared>) {
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

fn respond(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    response
}

/// A failure in the form that runtimes and functions tell it.
fn fault(status: StatusCode, error_type: &str, message: &str) -> Answer {
    respond(status, json!({"errorType": error_type, "errorMessage": message}).to_string())
}

/// An error of the Invoke API's own.
fn refuse(status: StatusCode, error_type: &'static str, message: &str) -> Answer {
    let mut response = respond(status, json!({"Type": "User", "message": message}).to_string());
    response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(error_type));
    response
}

/// Answers a request: the runtime API's to a process, the Invoke API's to everybody else.
async fn answer(
    request: Request<Incoming>,
    process: Option<u64>,
    shared: Arc<Shared>,
) -> Result<Answer, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let path: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
    Ok(match (&parts.method, path.as_slice(), process) {
        (&Method::GET, ["2018-06-01", "runtime", "invocation", "next"], Some(process)) => {
            next(process, &shared).await
        }
        (&Method::POST, ["2018-06-01", "runtime", "invocation", id, "response"], Some(_)) => {
            responded(id, &body, &shared)
        }
        (&Method::POST, ["2018-06-01", "runtime", "invocation", id, "error"], Some(_)) => {
            accepted(shared.end(id, diagnostic(&body)))
        }
        (&Method::POST, ["2018-06-01", "runtime", "init", "error"], Some(process)) => {
            if let Some(process) = shared.state().processes.get_mut(&process) {
                process.start = Start::Reported;
            }
            shared.end_waiting(diagnostic(&body));
            accepted(true)
        }
        (&Method::POST, ["2015-03-31", "functions", _, "invocations"], None) => {
            let kind = parts
                .headers
                .get("x-amz-invocation-type")
                .map_or("RequestResponse", |kind| kind.to_str().unwrap_or_default());
            invoked(kind, &body, &shared).await
        }
        _ => refuse(
            StatusCode::NOT_FOUND,
            "ResourceNotFoundException",
            &format!("no such path: {}", parts.uri.path()),
        ),
    })
}

fn accepted(is_known: bool) -> Answer {
    if is_known {
        respond(StatusCode::ACCEPTED, json!({"status": "OK"}).to_string())
    } else {
        fault(StatusCode::BAD_REQUEST, "InvalidRequestID", "no such invocation")
    }
}

/// A runtime's answer to an invocation; one that is too large fails it.
fn responded(id: &str, body: &[u8], shared: &Arc<Shared>) -> Answer {
    if body.len() > PAYLOAD_LIMIT_BYTES {
        let (error_type, message) = (
            "Function.ResponseSizeTooLarge",
            "Response payload size exceeded maximum allowed payload size (6 MB).",
        );
        shared.end(id, failed(error_type, message));
        return fault(StatusCode::PAYLOAD_TOO_LARGE, error_type, message);
    }
    let value = serde_json::from_slice(body).unwrap_or_else(|_| json!(String::from_utf8_lossy(body)));
    accepted(shared.end(id, Outcome::Ok(value)))
}

fn diagnostic(body: &[u8]) -> Outcome {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Outcome::Failed { error_type: text("errorType"), message: text("errorMessage") }
}

/// The runtime's long poll.
async fn next(process: u64, shared: &Arc<Shared>) -> Answer {
    // Taken and noted as running in one step, so that a process that ends now fails what it was given.
    let take = |state: &mut State| {
        let Some(asking) = state.processes.get_mut(&process).filter(|process| process.kill.is_some()) else {
            return Some(None);
        };
        asking.start = Start::Good;
        let job = state.queue.pop_front()?;
        let (request_id, payload) = (job.request_id.clone(), job.payload.to_string());
        let watchdog = tokio::spawn(watch(request_id.clone(), process, Arc::clone(shared))).abort_handle();
        state.running.insert(request_id.clone(), Running { job, process, begun: Instant::now(), watchdog });
        Some(Some((request_id, payload)))
    };
    let Some((request_id, payload)) = shared.wait_for(take).await else {
        return fault(StatusCode::GONE, "Runtime.Gone", "this process is being killed");
    };
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + shared.options.timeout;
    let mut response = respond(StatusCode::OK, payload);
    let headers = [
        ("lambda-runtime-aws-request-id", request_id),
        ("lambda-runtime-deadline-ms", deadline.as_millis().to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            format!("arn:aws:lambda:{REGION}:000000000000:function:{NAME}"),
        ),
        ("lambda-runtime-trace-id", "Root=1-00000000-000000000000000000000000;Sampled=0".to_owned()),
    ];
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Kills the process of an invocation that is over its time.
async fn watch(request_id: String, process: u64, shared: Arc<Shared>) {
    sleep(shared.options.timeout).await;
    time_out(&request_id, process, &shared);
}

fn time_out(request_id: &str, process: u64, shared: &Arc<Shared>) {
    let kill = {
        let mut state = shared.state();
        // It may have ended just now, and its process may work for another.
        if !state.running.contains_key(request_id) {
            return;
        }
        state.processes.get_mut(&process).and_then(|process| process.kill.take())
    };
    let limit = shared.options.timeout.as_secs_f64();
    let message = format!("RequestId: {request_id} Error: Task timed out after {limit:.2} seconds");
    shared.end(request_id, failed("Sandbox.Timedout", message));
    if let Some(kill) = kill {
        // It may have ended by itself.
        let _ = kill.send(());
    }
}

/// Invoke: `Event` is answered at once, `RequestResponse` when the function has; its failure is a 200 with a
/// header.
async fn invoked(kind: &str, body: &[u8], shared: &Arc<Shared>) -> Answer {
    if body.len() > PAYLOAD_LIMIT_BYTES {
        return refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestTooLargeException",
            "the payload is larger than 6 MB",
        );
    }
    let payload: Value = match serde_json::from_slice(if body.is_empty() { b"{}" } else { body }) {
        Ok(payload) => payload,
        Err(error) => {
            return refuse(
                StatusCode::BAD_REQUEST,
                "InvalidRequestContentException",
                &format!("not JSON: {error}"),
            );
        }
    };
    let (request_id, mut response) = match kind {
        "Event" => (shared.submit(payload, None), respond(StatusCode::ACCEPTED, Bytes::new())),
        "RequestResponse" => {
            let (sender, receiver) = oneshot::channel();
            let request_id = shared.submit(payload, Some(sender));
            let mut response = match receiver.await {
                Ok(Outcome::Ok(value)) => respond(StatusCode::OK, value.to_string()),
                Ok(Outcome::Failed { error_type, message }) => {
                    let mut response = fault(StatusCode::OK, &error_type, &message);
                    response
                        .headers_mut()
                        .insert("x-amz-function-error", HeaderValue::from_static("Unhandled"));
                    response
                }
                Err(_) => return refuse(StatusCode::BAD_GATEWAY, "ServiceException", "the function is gone"),
            };
            response.headers_mut().insert("x-amz-executed-version", HeaderValue::from_static(VERSION));
            (request_id, response)
        }
        "DryRun" => return respond(StatusCode::NO_CONTENT, Bytes::new()),
        other => {
            return refuse(
                StatusCode::BAD_REQUEST,
                "InvalidParameterValueException",
                &format!("no such invocation type: {other}"),
            );
        }
    };
    if let Ok(request_id) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("x-amzn-requestid", request_id);
    }
    response
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
