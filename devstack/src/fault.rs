//! Faults on demand, for any server of the stack: which of the requests that fit meet one.

use std::sync::{Mutex, PoisonError};

/// A fault that some of the next requests meet. `P` says which requests fit, `A` what happens to them.
#[derive(Clone)]
pub struct Fault<P, A> {
    /// Which requests fit.
    pub pattern: P,
    /// Fitting requests to let pass first.
    pub skip: usize,
    /// Fitting requests to fail after those.
    pub times: usize,
    /// What happens to them.
    pub action: A,
}

impl<P, A> Fault<P, A> {
    /// Every request that fits.
    pub fn new(pattern: P, action: A) -> Self {
        Self { pattern, skip: 0, times: usize::MAX, action }
    }

    /// The same fault, met so often only.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// The same fault, after letting so many pass.
    #[must_use]
    pub fn after(mut self, skip: usize) -> Self {
        self.skip = skip;
        self
    }
}

/// The faults of one server.
pub(crate) struct Faults<P, A>(Mutex<Vec<Fault<P, A>>>);

impl<P, A> Default for Faults<P, A> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<P, A: Clone> Faults<P, A> {
    pub(crate) fn add(&self, fault: Fault<P, A>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What happens to a request; the first fault that fits is used up by it.
    pub(crate) fn take(&self, fits: impl Fn(&P) -> bool) -> Option<A> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A fault that still lets requests pass counts them, and leaves them to the faults behind it.
        let mut fitting = faults.iter_mut().filter(|fault| fault.times > 0 && fits(&fault.pattern));
        let fault = fitting.find_map(|fault| {
            if fault.skip == 0 {
                return Some(fault);
            }
            fault.skip -= 1;
            None
        })?;
        fault.times = fault.times.saturating_sub(1);
        Some(fault.action.clone())
    }
}
