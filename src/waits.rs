//! Records what a run is waiting for: requests to AWS and statements to Redshift.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use cmslite_core::text::seconds;
use tokio::time::Instant;

/// The current waits, which all clones share.
#[derive(Debug, Clone, Default)]
pub struct Waits(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    begun: u64,
    waits: BTreeMap<u64, Wait>,
}

/// A current wait.
#[derive(Debug, Clone)]
pub struct Wait {
    /// The wait's number, which distinguishes it from others with the same text.
    pub number: u64,
    what: String,
    since: DateTime<Utc>,
    begun: Instant,
}

/// A guard of a wait. The wait ends when the guard is dropped.
#[derive(Debug)]
#[must_use = "the wait ends at once"]
pub struct Waiting {
    waits: Waits,
    number: u64,
}

impl Waits {
    /// Enters a wait that begins now. `what` is shown to people, and must contain no secret.
    pub fn enter(&self, what: String) -> Waiting {
        let mut open = self.lock();
        open.begun += 1;
        let number = open.begun;
        open.waits.insert(number, Wait { number, what, since: Utc::now(), begun: Instant::now() });
        Waiting { waits: self.clone(), number }
    }

    /// Does `work`, and enters it as a wait.
    pub async fn during<T>(&self, what: String, work: impl Future<Output = T>) -> T {
        let _waiting = self.enter(what);
        work.await
    }

    /// Returns the longest current wait, if there is one.
    pub fn oldest(&self) -> Option<Wait> {
        self.lock().waits.values().next().cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.waits.lock().waits.remove(&self.number);
    }
}

impl Wait {
    /// Returns the duration of the wait so far.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }
}

/// Writes `waiting for WHAT since TIME (N s)`.
impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = seconds(self.since);
        write!(f, "waiting for {} since {since} ({} s)", self.what, self.elapsed().as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_wait_is_told_until_it_ends() {
        let waits = Waits::default();
        let told = || waits.oldest().map(|wait| wait.to_string());
        assert_eq!(told(), None);
        let first = waits.enter("GetObject of s3://b/k".to_owned());
        let second = waits.clone().enter("COMMIT".to_owned());
        let oldest = told().unwrap();
        assert!(oldest.starts_with("waiting for GetObject of s3://b/k since 2"), "{oldest}");
        drop(first);
        assert!(told().unwrap().contains("COMMIT"));
        drop(second);
        assert_eq!(told(), None);
    }
}
