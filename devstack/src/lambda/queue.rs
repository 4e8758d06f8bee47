//! Holds the invocations that wait, run and have ended, and the processes that serve them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Notify, broadcast, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::invocation::{Invocation, Outcome};
use super::options::Options;

pub struct Shared {
    pub options: Options,
    state: Mutex<State>,
    /// Notified when something was put into the queue, or when nothing more will come.
    work: Notify,
    /// Notified when an invocation has ended, or something was written.
    changed: Notify,
    /// Notified when a process has ended, for threads that block until then.
    process_gone: Condvar,
    pub events: broadcast::Sender<Invocation>,
}

#[derive(Default)]
pub struct State {
    pub queue: VecDeque<Job>,
    pub running: HashMap<String, Running>,
    /// The number of invocations that wait for their next try.
    pub retrying: usize,
    /// The last number given to an invocation or a process.
    last_number: u64,
    pub history: Vec<Invocation>,
    pub log: String,
    /// The processes that have not ended. A number is never used again, so that nothing is passed to the
    /// connection of a process that has ended.
    pub processes: HashMap<u64, Process>,
    /// Whether a process that has ended is not replaced.
    pub is_stopping: bool,
}

pub struct Process {
    /// The sender that kills the process; `None` once that was done.
    pub kill: Option<oneshot::Sender<()>>,
    pub start: Start,
    /// The senders of drain requests to the readers of its outputs.
    pub outputs: Vec<mpsc::UnboundedSender<Drain>>,
}

/// A request for an output's present contents, which is answered when they are in the log.
pub type Drain = oneshot::Sender<()>;

#[derive(PartialEq, Eq)]
pub enum Start {
    Pending,
    /// The process asked for work.
    Good,
    /// The process reported that it cannot start.
    Reported,
}

pub struct Job {
    pub request_id: String,
    pub payload: Value,
    /// The sender of the outcome; `None` for an asynchronous invocation.
    answer: Option<oneshot::Sender<Outcome>>,
    tries: usize,
}

pub struct Running {
    pub job: Job,
    pub process: u64,
    pub begun: Instant,
    pub watchdog: AbortHandle,
}

impl State {
    pub fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

impl Shared {
    pub fn new(options: Options) -> Self {
        let (events, _) = broadcast::channel(1024);
        Self {
            options,
            state: Mutex::default(),
            work: Notify::new(),
            changed: Notify::new(),
            process_gone: Condvar::new(),
            events,
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn keep_line(&self, line: &str) {
        let mut state = self.state();
        state.log.push_str(line);
        state.log.push('\n');
        drop(state);
        self.changed.notify_waiters();
    }

    /// Puts an invocation into the queue. Returns its id.
    pub fn submit(&self, payload: Value, answer: Option<oneshot::Sender<Outcome>>) -> String {
        let mut state = self.state();
        let request_id = format!("{:08x}-0000-4000-8000-{:012x}", std::process::id(), state.number());
        state.queue.push_back(Job { request_id: request_id.clone(), payload, answer, tries: 0 });
        drop(state);
        self.work.notify_waiters();
        request_id
    }

    /// Kills every process, and lets no new one start.
    pub fn stop(&self) {
        self.state().is_stopping = true;
        self.kill();
        self.work.notify_waiters();
    }

    /// Kills every process.
    pub fn kill(&self) {
        for kill in self.state().processes.values_mut().filter_map(|process| process.kill.take()) {
            // The process may have ended by itself.
            let _ = kill.send(());
        }
    }

    /// Blocks the thread until all of these processes have ended.
    pub fn wait_for_end(&self, doomed: &[u64]) {
        let lives = |state: &mut State| doomed.iter().any(|process| state.processes.contains_key(process));
        drop(self.process_gone.wait_while(self.state(), lives).unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits until `look` finds something; it looks at once, and again whenever there is work.
    pub async fn wait_for<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            // Created before looking, so that no notification in between is lost.
            let notified = self.work.notified();
            let found = look(&mut self.state());
            if let Some(found) = found {
                return found;
            }
            notified.await;
        }
    }

    /// Waits until a condition is true; it checks at once, and again whenever an invocation has ended or
    /// something was written.
    pub async fn until(&self, mut holds: impl FnMut() -> bool) {
        loop {
            let notified = self.changed.notified();
            if holds() {
                return;
            }
            notified.await;
        }
    }

    /// Waits until everything that a process has written so far is in the log.
    pub async fn drain(&self, process: u64) {
        let outputs: Vec<_> =
            self.state().processes.get(&process).map_or(Vec::new(), |it| it.outputs.clone());
        for output in outputs {
            let (drain, drained) = oneshot::channel();
            // If the process has ended, its reader is gone, and all of the output is in the log.
            if output.send(drain).is_ok() {
                let _ = drained.await;
            }
        }
    }

    /// Ends a running invocation. Returns false if it does not run, for example because it has already ended.
    pub fn end(self: &Arc<Self>, request_id: &str, outcome: Outcome) -> bool {
        let mut state = self.state();
        let Some(Running { job, begun, watchdog, .. }) = state.running.remove(request_id) else {
            return false;
        };
        watchdog.abort();
        self.conclude(state, job, begun.elapsed(), outcome);
        true
    }

    /// Ends an invocation whose time is over, and kills its process.
    pub fn time_out(self: &Arc<Self>, request_id: &str, process: u64) {
        let kill = {
            let mut state = self.state();
            // The invocation may have ended just now, and its process may already work on another one.
            if !state.running.contains_key(request_id) {
                return;
            }
            state.processes.get_mut(&process).and_then(|process| process.kill.take())
        };
        let limit = self.options.timeout.as_secs_f64();
        let message = format!("RequestId: {request_id} Error: Task timed out after {limit:.2} seconds");
        self.end(request_id, Outcome::failed("Sandbox.Timedout", message));
        if let Some(kill) = kill {
            // The process may have ended by itself.
            let _ = kill.send(());
        }
    }

    /// Ends the invocation that has waited longest, because a process could not start. In Lambda, too, a
    /// failed start costs one invocation.
    pub fn end_waiting(self: &Arc<Self>, outcome: Outcome) {
        let mut state = self.state();
        if let Some(job) = state.queue.pop_front() {
            self.conclude(state, job, Duration::ZERO, outcome);
        }
    }

    /// Records the result of a try, and tries again where Lambda would. The state is the one from which the
    /// job was taken, so that the job is always visible.
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
        self.changed.notify_waiters();
        // There may be no subscriber.
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

    /// Ends the invocations of a process that has ended. If the process ended by itself while it started, the
    /// invocation that has waited longest ends too. Returns whether the process had started.
    pub fn process_ended(self: &Arc<Self>, process: u64, outcome: &Outcome) -> bool {
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
        self.process_gone.notify_all();
        for id in doing {
            self.end(&id, outcome.clone());
        }
        let Some(Process { kill, start, .. }) = ended else { return false };
        if start == Start::Pending && kill.is_some() {
            self.end_waiting(outcome.clone());
        }
        start == Start::Good
    }
}
