//! Carries what is decided while a request is checked, and acted on while it is answered. It goes along with the
//! request as an extension.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::request_log::LoggedRequest;
use crate::fault::Callback;

/// Where the body of the answer to a GET ends before its end.
#[derive(Clone, Copy)]
pub(super) struct EndBody {
    /// After so many bytes.
    pub(super) after_bytes: u64,
    /// Nothing more comes; else the connection breaks.
    pub(super) is_silent: bool,
}

/// Which bit of a body is flipped, counted round.
#[derive(Clone, Copy)]
pub(super) struct FlipBit(pub(super) u64);

impl FlipBit {
    /// Flips the bit in a part of a body of `size` bytes that begins at `offset`, if it lies there.
    pub(super) fn apply(self, bytes: &mut [u8], offset: u64, size: u64) {
        let Some(bit) = self.0.checked_rem(size * 8) else { return };
        let place = (bit / 8).checked_sub(offset).and_then(|at| usize::try_from(at).ok());
        if let Some(byte) = place.and_then(|at| bytes.get_mut(at)) {
            *byte ^= 1 << (bit % 8);
        }
    }
}

/// A page of a listing is turned round.
#[derive(Clone, Copy)]
pub(super) struct ReversePage;

/// One request and its answer.
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
    /// The connection is to break in place of the answer.
    pub(super) fn withhold_answer(&self) {
        self.0.withhold_answer.store(true, Ordering::Relaxed);
    }

    /// Something is to happen when the request has been carried out, and then the connection is to break.
    pub(super) fn run_after(&self, callback: Callback) {
        let _ = self.0.run_after.set(callback);
        self.withhold_answer();
    }

    /// The answer is to have a further header.
    pub(super) fn add_header(&self, name: &'static str, value: &'static [u8]) {
        let _ = self.0.header.set((name, value));
    }

    /// The further header of the answer.
    pub(super) fn header(&self) -> Option<(&'static str, &'static [u8])> {
        self.0.header.get().copied()
    }

    /// The request's place in the log.
    pub(super) fn set_logged(&self, logged: LoggedRequest) {
        let _ = self.0.logged.set(logged);
    }

    /// The request's place in the log; `log` puts it there if nobody has.
    pub(super) fn logged(&self, log: impl FnOnce() -> LoggedRequest) -> &LoggedRequest {
        self.0.logged.get_or_init(log)
    }

    /// Called when the request has been carried out: whether the answer may go out.
    pub(super) fn end(&self) -> bool {
        if let Some(callback) = self.0.run_after.get() {
            callback();
        }
        !self.0.withhold_answer.load(Ordering::Relaxed)
    }
}
