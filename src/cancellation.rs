//! When a run has to stop: because its time is nearly up, or because somebody asks it to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use cmslite_core::error::{Error, Retryable};

/// What is left of the time when no archive is begun any more, none is read on, and nothing is tried again:
/// it would not be loaded.
pub const ARCHIVE_RESERVE: Duration = Duration::from_secs(15);

/// Until when a run may go on. Clones are one: what is cancelled for one is cancelled for all.
#[derive(Debug, Clone, Default)]
pub struct Cancellation {
    deadline: Option<Instant>,
    is_requested: Arc<AtomicBool>,
}

impl Cancellation {
    /// A run whose time is up at `deadline`, if it is limited.
    pub fn at(deadline: Option<Instant>) -> Self {
        Self { deadline, is_requested: Arc::default() }
    }

    /// Asks the run to stop before its next step.
    pub fn request(&self) {
        self.is_requested.store(true, Ordering::Relaxed);
    }

    /// When the time is up.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What is left of the time.
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Whether the next step may begin, which `step` names: it is not asked to stop, and more than `reserve`
    /// is left.
    ///
    /// # Errors
    ///
    /// [`Retryable::Interrupted`] and [`Retryable::DeadlineNear`].
    pub fn check(&self, reserve: Duration, step: impl FnOnce() -> String) -> Result<(), Error> {
        if self.is_requested.load(Ordering::Relaxed) {
            return Err(Error::retryable(
                Retryable::Interrupted,
                format!("asked to stop before the end of its work: {}", step()),
            ));
        }
        if self.time_left().is_some_and(|left| left <= reserve) {
            return Err(Error::retryable(
                Retryable::DeadlineNear,
                format!("too little of the function's time is left: {}", step()),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_until_it_is_cancelled_or_its_time_is_up() {
        let check = |cancellation: &Cancellation| {
            cancellation.check(Duration::from_secs(15), || "x".to_owned()).map_err(|error| error.error_type())
        };
        let unlimited = Cancellation::default();
        assert_eq!(check(&unlimited), Ok(()));
        assert_eq!(check(&Cancellation::at(Some(Instant::now() + Duration::from_secs(60)))), Ok(()));
        assert_eq!(
            check(&Cancellation::at(Some(Instant::now() + Duration::from_secs(10)))),
            Err("Retryable.DeadlineNear")
        );
        unlimited.clone().request();
        assert_eq!(check(&unlimited), Err("Retryable.Interrupted"));
    }
}
