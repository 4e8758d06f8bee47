//! Runs Lambda in this process: the runtime API that a function polls, and the Invoke API that calls it.

// A file uses only modules listed below its own.

/// The function's processes.
mod process;

/// The runtime API, which serves the function's processes.
mod runtime_api;

/// The Invoke API, which serves all other callers.
mod invoke_api;

/// The HTTP answers that both APIs share.
mod http;

/// A queue of SQS whose messages are passed to the function.
mod sqs;

/// The invocations that wait, run and have ended.
mod queue;

/// The options of a function.
mod options;

/// An invocation and its outcome.
mod invocation;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

pub use self::invocation::{Invocation, Outcome};
pub use self::options::Options;
use self::queue::Shared;
pub use self::sqs::{Mapping, Queue, QueueOptions};
pub use crate::wait::eventually;

/// The limit after which a wait is reported as hanging.
const HANGS_AFTER: Duration = Duration::from_secs(300);

/// A function and the APIs around it. Dropping it kills the function.
pub struct Lambda {
    address: SocketAddr,
    shared: Arc<Shared>,
    invoke_api: JoinSet<()>,
    processes: JoinSet<()>,
}

impl Lambda {
    /// Starts the APIs and the function's processes.
    ///
    /// # Errors
    ///
    /// The port cannot be opened.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
        let address = listener.local_addr()?;
        let concurrency = options.concurrency;
        let shared = Arc::new(Shared::new(options));
        let (mut invoke_api, mut processes) = (JoinSet::new(), JoinSet::new());
        let api = Arc::clone(&shared);
        invoke_api.spawn(http::serve(listener, move |request| invoke_api::answer(request, Arc::clone(&api))));
        for _ in 0..concurrency {
            processes.spawn(process::keep_running(Arc::clone(&shared)));
        }
        Ok(Self { address, shared, invoke_api, processes })
    }

    /// Returns the URL of the APIs.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the URL at which a function is invoked, with any name.
    pub fn invoke_url(&self, name: &str) -> String {
        format!("{}/2015-03-31/functions/{name}/invocations", self.endpoint())
    }

    /// Invokes the function and waits for its answer.
    pub async fn invoke(&self, payload: Value) -> Outcome {
        let (sender, receiver) = oneshot::channel();
        self.shared.submit(payload, Some(sender));
        receiver.await.unwrap_or_else(|_| Outcome::failed("Runtime.Gone", "the function is gone"))
    }

    /// Invokes the function as S3 does: a failed invocation is tried again. Returns the request id.
    pub fn invoke_asynchronously(&self, payload: Value) -> String {
        self.shared.submit(payload, None)
    }

    /// Passes the messages of a queue to the function, as long as the mapping lives.
    pub fn map(&self, queue: &Queue) -> Mapping {
        Mapping::start(queue, &self.shared)
    }

    /// Returns every try that has ended, in order.
    pub fn history(&self) -> Vec<Invocation> {
        self.shared.state().history.clone()
    }

    /// Returns the asynchronous invocations that failed for good: the contents of a dead-letter queue.
    pub fn dead_letters(&self) -> Vec<Invocation> {
        let is_dead = |ended: &Invocation| {
            ended.is_asynchronous && ended.is_final && matches!(ended.outcome, Outcome::Failed { .. })
        };
        self.history().into_iter().filter(is_dead).collect()
    }

    /// Subscribes to every try that ends from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Invocation> {
        self.shared.events.subscribe()
    }

    /// Checks whether no invocation waits, runs, or will be tried again.
    pub fn is_idle(&self) -> bool {
        let state = self.shared.state();
        state.queue.is_empty() && state.running.is_empty() && state.retrying == 0
    }

    /// Returns everything that the function wrote.
    pub fn log(&self) -> String {
        self.shared.state().log.clone()
    }

    /// Waits until a condition on what the function did and wrote is true. Checks the condition whenever an
    /// invocation has ended or something was written.
    ///
    /// # Errors
    ///
    /// The condition is not true within five minutes.
    pub async fn until(&self, holds: impl FnMut() -> bool) -> Result<(), String> {
        let held = timeout(HANGS_AFTER, self.shared.until(holds)).await;
        held.map_err(|_| format!("the condition was not true within {HANGS_AFTER:?}"))
    }

    /// Kills every process with SIGKILL, so that their invocations fail. New processes replace them.
    pub fn kill(&self) {
        self.shared.kill();
    }

    /// Kills every process, and returns when all of them have ended, so that they send no further request.
    /// Blocks its thread, so the runtime must have several threads.
    pub fn kill_and_wait(&self) {
        let doomed: Vec<u64> = self.shared.state().processes.keys().copied().collect();
        self.kill();
        tokio::task::block_in_place(|| self.shared.wait_for_end(&doomed));
    }

    /// Ends all running invocations as if their time were over, without the wait.
    pub fn time_out(&self) {
        let state = self.shared.state();
        let running = state.running.iter().map(|(id, running)| (id.clone(), running.process));
        let running: Vec<(String, u64)> = running.collect();
        drop(state);
        for (request_id, process) in running {
            self.shared.time_out(&request_id, process);
        }
    }

    /// Stops everything, and returns when every process has ended.
    pub async fn stop(mut self) {
        self.shared.stop();
        while self.processes.join_next().await.is_some() {}
        self.invoke_api.shutdown().await;
    }
}
