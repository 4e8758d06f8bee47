//! Runs a queue of SQS, and the event source mapping through which Lambda passes its messages to a function
//! (AWS Lambda Developer Guide, "Using Lambda with Amazon SQS" and "Handling errors for an SQS event
//! source").

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::invocation::{Outcome, REGION};
use super::queue::Shared;

/// The settings of a queue and its event source mapping.
#[derive(Debug, Clone)]
pub struct QueueOptions {
    /// The queue's name.
    pub name: String,
    /// The maximum number of messages in a batch.
    pub batch_size: usize,
    /// The time for which a received message is hidden from others; AWS advises six times the function's
    /// timeout.
    pub visibility_timeout: Duration,
    /// The number of times that a message is received before it goes to the dead-letter queue.
    pub max_receive_count: u32,
    /// Whether the function's answer says which messages failed (`ReportBatchItemFailures`).
    pub reports_batch_item_failures: bool,
    /// The number of batches that are passed on at the same time.
    pub concurrency: usize,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            name: "uploads".to_owned(),
            batch_size: 10,
            visibility_timeout: Duration::from_millis(200),
            max_receive_count: 5,
            reports_batch_item_failures: true,
            concurrency: 1,
        }
    }
}

/// A queue of SQS.
#[derive(Clone)]
pub struct Queue(Arc<Inner>);

struct Inner {
    options: QueueOptions,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    last_number: u64,
    messages: Vec<Message>,
    dead_letters: Vec<String>,
}

#[derive(Clone)]
struct Message {
    id: String,
    body: String,
    receives: u32,
    hidden_until: Instant,
}

/// An event source mapping, which passes messages on as long as it lives.
pub struct Mapping {
    /// The tasks that pass messages on; dropping the set aborts them.
    _pollers: JoinSet<()>,
}

impl Queue {
    /// Creates an empty queue.
    pub fn new(options: QueueOptions) -> Self {
        Self(Arc::new(Inner { options, state: Mutex::default(), changed: Notify::new() }))
    }

    /// Sends a message. Returns its id.
    pub fn send(&self, body: impl Into<String>) -> String {
        let mut state = self.state();
        state.last_number += 1;
        let id = format!("00000000-0000-4000-8000-{:012x}", state.last_number);
        let message =
            Message { id: id.clone(), body: body.into(), receives: 0, hidden_until: Instant::now() };
        state.messages.push(message);
        drop(state);
        self.0.changed.notify_waiters();
        id
    }

    /// Checks whether no message is left, visible or hidden, apart from dead letters.
    pub fn is_empty(&self) -> bool {
        self.state().messages.is_empty()
    }

    /// Returns the bodies of the messages that were received too often.
    pub fn dead_letters(&self) -> Vec<String> {
        self.state().dead_letters.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Receives a batch, as soon as a message is visible.
    async fn receive(&self) -> Vec<Message> {
        loop {
            // Created before looking, so that no notification in between is lost.
            let changed = self.0.changed.notified();
            let (batch, next) = self.take_visible(Instant::now());
            if !batch.is_empty() {
                return batch;
            }
            match next {
                Some(next) => tokio::select! {
                    () = changed => {}
                    () = sleep_until(next) => {}
                },
                None => changed.await,
            }
        }
    }

    /// Returns the visible messages, which are hidden from now on, or the time when the next one becomes
    /// visible.
    fn take_visible(&self, now: Instant) -> (Vec<Message>, Option<Instant>) {
        let options = &self.0.options;
        let mut state = self.state();
        let is_dead =
            |message: &Message| message.hidden_until <= now && message.receives >= options.max_receive_count;
        let (dead, mut left): (Vec<Message>, Vec<Message>) =
            std::mem::take(&mut state.messages).into_iter().partition(is_dead);
        state.dead_letters.extend(dead.into_iter().map(|message| message.body));
        let visible = left.iter_mut().filter(|message| message.hidden_until <= now).take(options.batch_size);
        let batch = visible.map(|message| {
            message.receives += 1;
            message.hidden_until = now + options.visibility_timeout;
            message.clone()
        });
        let batch = batch.collect();
        let next = left.iter().map(|message| message.hidden_until).min();
        state.messages = left;
        (batch, next)
    }

    /// Deletes the messages that did not fail. The others become visible again when their visibility
    /// timeout is over.
    fn settle(&self, batch: &[Message], outcome: &Outcome) {
        let failed = self.failed(batch, outcome);
        let is_done = |message: &Message| {
            batch.iter().any(|received| received.id == message.id) && !failed.contains(message.id.as_str())
        };
        self.state().messages.retain(|message| !is_done(message));
    }

    /// Returns the ids of the messages that failed.
    fn failed<'a>(&self, batch: &'a [Message], outcome: &Outcome) -> HashSet<&'a str> {
        let all = || batch.iter().map(|message| message.id.as_str()).collect();
        let answer = match outcome {
            Outcome::Failed { .. } => return all(),
            Outcome::Ok(_) if !self.0.options.reports_batch_item_failures => return HashSet::new(),
            Outcome::Ok(answer) => answer,
        };
        // An empty answer, and an empty or null list, mean complete success; a list that cannot be read, and
        // an id that is not in the batch, mean complete failure.
        let items = match answer {
            Value::Null => return HashSet::new(),
            Value::Object(members) if members.is_empty() => return HashSet::new(),
            answer => match answer.get("batchItemFailures") {
                Some(Value::Null) => return HashSet::new(),
                Some(Value::Array(items)) => items,
                _ => return all(),
            },
        };
        let named = items.iter().map(|item| {
            let name = item.get("itemIdentifier")?.as_str()?;
            batch.iter().map(|message| message.id.as_str()).find(|id| *id == name)
        });
        named.collect::<Option<HashSet<&str>>>().unwrap_or_else(all)
    }

    fn event(&self, batch: &[Message]) -> Value {
        let record = |message: &Message| {
            json!({
                "messageId": message.id,
                "receiptHandle": format!("{}-{}", message.id, message.receives),
                "body": message.body,
                "attributes": {
                    "ApproximateReceiveCount": message.receives.to_string(),
                    "SentTimestamp": "1709313342600",
                    "SenderId": "AIDADEVSTACK",
                    "ApproximateFirstReceiveTimestamp": "1709313342601",
                },
                "messageAttributes": {},
                "md5OfBody": "00000000000000000000000000000000",
                "eventSource": "aws:sqs",
                "eventSourceARN": format!("arn:aws:sqs:{REGION}:000000000000:{}", self.0.options.name),
                "awsRegion": REGION,
            })
        };
        json!({"Records": batch.iter().map(record).collect::<Vec<_>>()})
    }
}

impl Mapping {
    pub(super) fn start(queue: &Queue, shared: &Arc<Shared>) -> Self {
        let mut pollers = JoinSet::new();
        for _ in 0..queue.0.options.concurrency {
            pollers.spawn(poll(queue.clone(), Arc::clone(shared)));
        }
        Self { _pollers: pollers }
    }
}

async fn poll(queue: Queue, shared: Arc<Shared>) {
    loop {
        let batch = queue.receive().await;
        let (sender, receiver) = oneshot::channel();
        shared.submit(queue.event(&batch), Some(sender));
        // A function that is gone has processed no message, so the batch becomes visible again.
        let Ok(outcome) = receiver.await else { continue };
        queue.settle(&batch, &outcome);
    }
}
