//! Faults on demand.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::fault;

/// A fault that some of the next statements meet: those that contain a text, in capitals or not.
pub type Fault = fault::Fault<Containing, Action>;

/// A part of a statement, in lower case.
#[derive(Clone)]
pub struct Containing(String);

impl Fault {
    /// Every statement that contains a text.
    pub fn on(statement_contains: &str, action: Action) -> Self {
        Self::new(Containing(statement_contains.to_ascii_lowercase()), action)
    }
}

/// The front's faults.
pub(super) type Faults = fault::Faults<Containing, Action>;

impl Faults {
    /// What happens to a statement.
    pub(super) fn of(&self, sql: &str) -> Option<Action> {
        let sql = sql.to_ascii_lowercase();
        self.take(|part| sql.contains(&part.0))
    }
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
    /// Something else happens in its place, and the connection breaks.
    Instead(Arc<dyn Fn() + Send + Sync>),
    /// It is carried out, something else happens, and the connection breaks before the answer.
    Then(Arc<dyn Fn() + Send + Sync>),
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
