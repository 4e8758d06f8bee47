//! Faults on demand.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

/// A fault that some of the next statements meet.
#[derive(Clone)]
pub struct Fault {
    /// Only statements that contain this, in capitals or not.
    pub statement_contains: String,
    /// Fitting statements to let pass first.
    pub skip: usize,
    /// Fitting statements to fail after those.
    pub times: usize,
    /// What happens to them.
    pub action: Action,
}

/// What happens to a statement.
#[derive(Clone)]
pub enum Action {
    /// The connection breaks before it is carried out.
    CutBefore,
    /// It is carried out, and the connection breaks before the answer.
    CutAfter,
    /// It is refused with an SQLSTATE and a message.
    Refuse(String, String),
    /// It is carried out later.
    Delay(Duration),
    /// Something else happens first.
    First(Arc<dyn Fn() + Send + Sync>),
    /// It is carried out when a gate opens.
    Wait(Gate),
    /// COPY: `pg_last_copy_count()` will be so much more than what was loaded.
    Miscount(u64),
}

/// A gate before which a statement waits, so that something else can be done at exactly that moment.
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
    /// Waits until a statement has come to the gate.
    pub async fn reached(&self) {
        let _ = self.arrived.acquire().await;
    }

    /// Opens it for good.
    pub fn open(&self) {
        self.opened.close();
    }

    pub(super) async fn pass(&self) {
        self.arrived.close();
        let _ = self.opened.acquire().await;
    }
}

impl Fault {
    /// Every statement that contains a text.
    pub fn on(statement_contains: &str, action: Action) -> Self {
        Self { statement_contains: statement_contains.to_owned(), skip: 0, times: usize::MAX, action }
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

    /// What happens to a statement; the first fault that fits is used up by it.
    pub(super) fn take(&self, sql: &str) -> Option<Action> {
        let sql = sql.to_ascii_lowercase();
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = faults.iter_mut().find(|fault| fault.times > 0 && sql.contains(&fault.statement_contains.to_ascii_lowercase()))?;
        if fault.skip > 0 {
            fault.skip -= 1;
            return None;
        }
        fault.times = fault.times.saturating_sub(1);
        Some(fault.action.clone())
    }
}
