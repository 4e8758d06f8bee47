//! Defines the faults that the local S3 injects on demand.

use std::sync::Arc;
use std::time::Duration;

use crate::fault::{self, Callback, Gate};

/// A fault that affects some of the next requests.
pub type Fault = fault::Fault<Pattern, Action>;

/// The requests that match.
#[derive(Clone)]
pub struct Pattern {
    operation: String,
    key_contains: String,
}

impl Fault {
    /// Matches every request of an operation, such as `GetObject`, for keys that contain a text.
    pub fn on(operation: &str, key_contains: &str, action: Action) -> Self {
        Self::new(Pattern { operation: operation.to_owned(), key_contains: key_contains.to_owned() }, action)
    }
}

/// The server's faults.
pub(super) type Faults = fault::Faults<Pattern, Action>;

impl Faults {
    /// Returns what happens to a request.
    pub(super) fn of(&self, operation: &str, key: &str) -> Option<Action> {
        self.take(|pattern| pattern.operation == operation && key.contains(&pattern.key_contains))
    }
}

/// What happens to a request.
#[derive(Clone)]
pub enum Action {
    /// The request is refused with a status and S3's code, such as 503 and `SlowDown`.
    Refuse(u16, String),
    /// GET: the connection breaks after that many bytes of the body.
    CutBodyAfter(u64),
    /// For GET: one bit of the body is flipped on its way, the one with this number modulo the body's length.
    /// For PUT: one bit of the body's first chunk. Headers stay those of the stored object.
    FlipBit(u64),
    /// As [`Action::FlipBit`], with a different bit each time.
    FlipNextBit(Bits),
    /// The request is carried out, and the connection breaks before the answer.
    CutAfter,
    /// The request is carried out later.
    Delay(Duration),
    /// An action is run first.
    RunBefore(Callback),
    /// An action is run instead of the request, and the connection breaks.
    RunInstead(Callback),
    /// The request is carried out, an action is run, and the connection breaks before the answer.
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

/// The numbers of bits, one after the other.
pub type Bits = Arc<dyn Fn() -> u64 + Send + Sync>;
