//! Defines the faults that the local S3 injects on demand.

use std::sync::Arc;
use std::time::Duration;

use crate::fault::{self, Callback, Gate};

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
    /// GET: the connection breaks after that many bytes of the body.
    CutBodyAfter(u64),
    /// GET: one bit of the body is flipped on its way, the one of this number, counted round; PUT: one bit of the
    /// body's first chunk. Headers stay those of what is stored.
    FlipBit(u64),
    /// As [`Action::FlipBit`], another bit each time.
    FlipNextBit(Bits),
    /// It is carried out, and the connection breaks before the answer.
    CutAfter,
    /// It is carried out later.
    Delay(Duration),
    /// Something else happens first.
    RunBefore(Callback),
    /// Something else happens in its place, and the connection breaks.
    RunInstead(Callback),
    /// It is carried out, something else happens, and the connection breaks before the answer.
    RunAfter(Callback),
    /// It is carried out when a gate opens.
    Wait(Gate),
    /// It is taken, and nothing more is heard of it; the connection stays.
    Silence,
    /// GET: headers and that many bytes of the body come, and then nothing; the connection stays.
    SilenceAfter(u64),
    /// `ListObjectsV2`: what is on the page comes in the reverse of its order.
    ReversePage,
    /// The answer has this header besides, whose value may be any bytes.
    AnswerHeader(&'static str, &'static [u8]),
}

/// The numbers of bits, one after the other.
pub type Bits = Arc<dyn Fn() -> u64 + Send + Sync>;
