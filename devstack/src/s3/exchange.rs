//! Carries decisions from the access check of a request to its answer, in extensions of the request.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::request_log::LoggedRequest;
use crate::fault::Callback;

/// The position at which the body of the answer to a GET ends early.
#[derive(Clone, Copy)]
pub(super) struct EndBody {
    /// The number of bytes before that position.
    pub(super) after_bytes: u64,
    /// Whether nothing more is sent; otherwise the connection breaks.
    pub(super) is_silent: bool,
}

/// The number of the bit that is flipped, modulo the number of bits in the body.
#[derive(Clone, Copy)]
pub(super) struct FlipBit(pub(super) u64);

impl FlipBit {
    /// Flips the bit in a part of a body of `size` bytes that begins at `offset`, if it is in that part.
    pub(super) fn apply(self, bytes: &mut [u8], offset: u64, size: u64) {
        let Some(bit) = self.0.checked_rem(size * 8) else { return };
        let place = (bit / 8).checked_sub(offset).and_then(|at| usize::try_from(at).ok());
        if let Some(byte) = place.and_then(|at| bytes.get_mut(at)) {
            *byte ^= 1 << (bit % 8);
        }
    }
}

/// A mark that a page of a listing is to be reversed.
#[derive(Clone, Copy)]
pub(super) struct ReversePage;

/// The decisions about one request and its answer.
#[derive(Clone, Default)]
pub(super) struct Exchange(Arc<Decisions>);

#[derive(Default)]
struct Decisions {
    withhold_answer: AtomicBool,
    run_after: OnceLock<Callback>,
    logged: OnceLock<LoggedRequest>,
    header: OnceLock<(&'static str, &'static [u8])>,
}

impl Exchange {
    /// Makes the connection break in place of the answer.
    pub(super) fn withhold_answer(&self) {
        self.0.withhold_answer.store(true, Ordering::Relaxed);
    }

    /// Makes a callback run when the request has been carried out, and the connection break after that.
    pub(super) fn run_after(&self, callback: Callback) {
        let _ = self.0.run_after.set(callback);
        self.withhold_answer();
    }

    /// Adds a header to the answer.
    pub(super) fn add_header(&self, name: &'static str, value: &'static [u8]) {
        let _ = self.0.header.set((name, value));
    }

    /// Returns the additional header of the answer.
    pub(super) fn header(&self) -> Option<(&'static str, &'static [u8])> {
        self.0.header.get().copied()
    }

    /// Sets the request's entry in the log.
    pub(super) fn set_logged(&self, logged: LoggedRequest) {
        let _ = self.0.logged.set(logged);
    }

    /// Returns the request's entry in the log; `log` adds it if there is none.
    pub(super) fn logged(&self, log: impl FnOnce() -> LoggedRequest) -> &LoggedRequest {
        self.0.logged.get_or_init(log)
    }

    /// Runs the callback for a request that has been carried out, and returns whether the answer may be sent.
    pub(super) fn end(&self) -> bool {
        if let Some(callback) = self.0.run_after.get() {
            callback();
        }
        !self.0.withhold_answer.load(Ordering::Relaxed)
    }
}
