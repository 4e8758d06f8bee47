//! Injects faults on demand into any server of the stack, and decides which requests meet one.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

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

/// What a test lets happen at the moment of a request.
pub type Callback = Arc<dyn Fn() + Send + Sync>;

/// A gate before which a request waits, so that something else can be done at exactly that moment.
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
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits until a request has come to the gate.
    pub async fn reached(&self) {
        let _ = self.arrived.acquire().await;
    }

    /// Opens it for good.
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
