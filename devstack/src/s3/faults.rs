//! Faults on demand.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::fault;

/// A fault that some of the next requests meet.
pub type Fault = fault::Fault<Pattern, Action>;

/// Which requests fit.
#[derive(Clone)]
pub struct Pattern {
    operation: String,
    key_contains: String,
}

impl Fault {
    /// Every request of an operation, such as `GetObject`, for keys that contain a text.
    pub fn on(operation: &str, key_contains: &str, action: Action) -> Self {
        Self::new(Pattern { operation: operation.to_owned(), key_contains: key_contains.to_owned() }, action)
    }
}

/// The server's faults.
pub(super) type Faults = fault::Faults<Pattern, Action>;

impl Faults {
    /// What happens to a request.
    pub(super) fn of(&self, operation: &str, key: &str) -> Option<Action> {
        self.take(|pattern| pattern.operation == operation && key.contains(&pattern.key_contains))
    }
}

/// What happens to a request.
#[derive(Clone)]
pub enum Action {
    /// It is refused with a status and S3's code, such as 503 and `SlowDown`.
    Refuse(u16, String),
    /// GET: the connection breaks after that many bytes of the body; earlier for a client that does not read.
    CutBodyAfter(u64),
    /// It is carried out, and the connection breaks before the answer.
    CutBeforeAnswer,
    /// It is carried out later.
    Delay(Duration),
    /// Something else happens first.
    First(Arc<dyn Fn() + Send + Sync>),
    /// Something else happens in its place, and the connection breaks.
    Instead(Arc<dyn Fn() + Send + Sync>),
    /// It is carried out, something else happens, and the connection breaks before the answer.
    Then(Arc<dyn Fn() + Send + Sync>),
    /// It waits for the test to let it go on.
    Pause(Pause),
}

/// A gate for one request: it waits there until the test lets it go on.
#[derive(Clone, Default)]
pub struct Pause {
    reached: Arc<Notify>,
    released: Arc<Notify>,
}

impl Pause {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits until a request is at the gate.
    pub async fn reached(&self) {
        self.reached.notified().await;
    }

    /// Lets the request go on.
    pub fn release(&self) {
        self.released.notify_one();
    }

    pub(super) async fn pass(&self) {
        self.reached.notify_one();
        self.released.notified().await;
    }
}
