//! Faults on demand.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A fault that some of the next requests meet.
#[derive(Clone)]
pub struct Fault {
    /// Only this operation, such as `GetObject`; any if none.
    pub operation: Option<String>,
    /// Only keys that contain this; any if empty.
    pub key_contains: String,
    /// Fitting requests to let pass first.
    pub skip: usize,
    /// Fitting requests to fail after those.
    pub times: usize,
    /// What happens to them.
    pub action: Action,
}

/// What happens to a request.
#[derive(Clone)]
pub enum Action {
    /// It is refused with a status and S3's code, such as 503 and `SlowDown`.
    Refuse(u16, String),
    /// GET: the connection breaks after that many bytes of the body.
    CutBodyAfter(u64),
    /// It is carried out, and the connection breaks before the answer.
    CutBeforeAnswer,
    /// It is carried out later.
    Delay(Duration),
    /// Something else happens first.
    First(Arc<dyn Fn() + Send + Sync>),
}

impl Fault {
    /// Every request of an operation for keys that contain a text.
    pub fn on(operation: &str, key_contains: &str, action: Action) -> Self {
        Self { operation: Some(operation.to_owned()), key_contains: key_contains.to_owned(), skip: 0, times: usize::MAX, action }
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

#[derive(Default)]
pub(super) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    pub(super) fn add(&self, fault: Fault) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What happens to a request; the first fault that fits is used up by it.
    pub(super) fn take(&self, operation: &str, key: &str) -> Option<Action> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |fault: &&mut Fault| {
            fault.times > 0 && fault.operation.as_deref().is_none_or(|wanted| wanted == operation) && key.contains(&fault.key_contains)
        };
        let fault = faults.iter_mut().find(fits)?;
        if fault.skip > 0 {
            fault.skip -= 1;
            return None;
        }
        fault.times = fault.times.saturating_sub(1);
        Some(fault.action.clone())
    }
}
