//! Defines the faults that the local S3 injects on demand.

use std::sync::Arc;
use std::time::Duration;

use crate::fault::{self, Callback, Gate};

/// A fault that affects some of the next requests.
pub type Fault = fault::Fault<Pattern, Action>;

/// The requests that a fault matches: those of an operation for keys that contain a text.
#[derive(Clone)]
pub struct Pattern {
    operation: String,
    key_contains: String,
}

impl Fault {
    /// Creates a fault for every request of an operation, such as `GetObject`, for keys that contain a text.
    pub fn on(operation: &str, key_contains: &str, action: Action) -> Self {
        Self::new(Pattern { operation: operation.to_owned(), key_contains: key_contains.to_owned() }, action)
    }
}

/// The server's faults.
pub(super) type Faults = fault::Faults<Pattern, Action>;

impl Faults {
    /// Returns the action for a request, if a fault affects it.
    pub(super) fn of(&self, operation: &str, key: &str) -> Option<Action> {
        self.take(|pattern| pattern.operation == operation && key.contains(&pattern.key_contains))
    }
}

/// The action of a fault on a request.
#[derive(Clone)]
pub enum Action {
    /// The request is refused with a status and S3's code, such as 503 and `SlowDown`.
    Refuse(u16, String),
    /// For GET: the connection breaks after this many bytes of the body.
    CutBodyAfter(u64),
    /// For GET: the bit of the body with this number, modulo the body's length, is flipped on its way. For
    /// PUT: a bit of the body's first chunk. The headers remain those of the stored object.
    FlipBit(u64),
    /// Like [`Action::FlipBit`], with the next of these bits each time.
    FlipNextBit(Bits),
    /// The request is carried out, and the connection breaks before the answer.
    CutAfter,
    /// The request is carried out after this time.
    Delay(Duration),
    /// A callback runs before the request.
    RunBefore(Callback),
    /// A callback runs instead of the request, and the connection breaks.
    RunInstead(Callback),
    /// The request is carried out, a callback runs, and the connection breaks before the answer.
    RunAfter(Callback),
    /// The request is carried out when a gate opens.
    Wait(Gate),
    /// The request is accepted, and no answer comes; the connection stays open.
    Silence,
    /// For GET: headers and this many bytes of the body are sent, and then nothing; the connection stays
    /// open.
    SilenceAfter(u64),
    /// For `ListObjectsV2`: the objects of the page are in reverse order.
    ReversePage,
    /// The answer has this additional header, whose value may be any bytes.
    AnswerHeader(&'static str, &'static [u8]),
}

/// A function that returns the number of the next bit.
pub type Bits = Arc<dyn Fn() -> u64 + Send + Sync>;
