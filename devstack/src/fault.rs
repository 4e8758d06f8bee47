//! Injects faults into any server of the stack, and decides which requests they affect.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

/// A fault that affects some of the next requests. `P` describes the requests that match, `A` what happens to
/// them.
#[derive(Clone)]
pub struct Fault<P, A> {
    /// The requests that match.
    pub pattern: P,
    /// The number of matching requests that pass first.
    pub skip: usize,
    /// The number of matching requests that fail after those.
    pub times: usize,
    /// What happens to the requests that fail.
    pub action: A,
}

impl<P, A> Fault<P, A> {
    /// Creates a fault for every request that matches.
    pub fn new(pattern: P, action: A) -> Self {
        Self { pattern, skip: 0, times: usize::MAX, action }
    }

    /// Limits the number of requests that the fault affects.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// Lets a number of requests pass first.
    #[must_use]
    pub fn after(mut self, skip: usize) -> Self {
        self.skip = skip;
        self
    }
}

/// An action that a test runs at the moment of a request.
pub type Callback = Arc<dyn Fn() + Send + Sync>;

/// A gate before which a request waits, so that a test can act at exactly that moment.
#[derive(Clone)]
pub struct Gate {
    arrived: Arc<Semaphore>,
    opened: Arc<Semaphore>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { arrived: Arc::new(Semaphore::new(0)), opened: Arc::new(Semaphore::new(0)) }
    }
}

impl Gate {
    /// Creates a closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits until a request has come to the gate.
    pub async fn reached(&self) {
        let _ = self.arrived.acquire().await;
    }

    /// Opens the gate for good.
    pub fn open(&self) {
        self.opened.close();
    }

    pub(crate) async fn pass(&self) {
        self.arrived.close();
        let _ = self.opened.acquire().await;
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

    /// Returns what happens to a request, if a fault affects it. The request counts towards that fault's
    /// limit.
    pub(crate) fn take(&self, fits: impl Fn(&P) -> bool) -> Option<A> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A fault that still lets requests pass counts them, and leaves them to the faults after it.
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
