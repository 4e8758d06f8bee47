//! Decides when a run must stop: its time is nearly used up, or it was asked to.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use cmslite_core::error::{Error, Retryable};

use crate::waits::Waits;

/// The time left at which no archive is begun, no reading continues, and nothing is tried again: an archive
/// would no longer be loaded.
pub const ARCHIVE_RESERVE: Duration = Duration::from_secs(15);

/// The time left at which everything that still waits is dropped. It is enough to write the report and the
/// metrics with a small function's share of a processor (128 MB have a fourteenth) and a busy processor's
/// log. It is less than what `statement_timeout` leaves, so that Redshift's own answer comes first.
pub const REPORT_RESERVE: Duration = Duration::from_secs(3);

/// The time for which a run may continue with what it has begun after it was asked to stop, so that an answer
/// on its way is not lost. After Ctrl-C, the prompt returns within two seconds.
const STOP_WITHIN: Duration = Duration::from_millis(1_500);

/// The limit until which a run may continue. All clones share it: a cancellation of one cancels all.
#[derive(Debug, Clone, Default)]
pub struct Cancellation {
    deadline: Option<Instant>,
    begun: Option<Instant>,
    statement_timeout: Option<Duration>,
    is_requested: Arc<watch::Sender<bool>>,
    waits: Waits,
}

impl Cancellation {
    /// Creates the limit of a run whose time ends at `deadline`, if there is one.
    pub fn at(deadline: Option<Instant>) -> Self {
        Self { deadline, begun: Some(Instant::now()), ..Self::default() }
    }

    /// Adds `waits`, which is asked what the run was waiting for when it ends early.
    #[must_use]
    pub fn with_waits(mut self, waits: &Waits) -> Self {
        self.waits = waits.clone();
        self
    }

    /// Adds a limit for each statement to Redshift.
    #[must_use]
    pub fn with_statement_timeout(mut self, limit: Duration) -> Self {
        self.statement_timeout = Some(limit);
        self
    }

    /// Returns the limit of a part of the run that must end within `limit`.
    #[must_use]
    pub fn within(&self, limit: Duration) -> Self {
        let until = Instant::now() + limit;
        let deadline = self.deadline.map_or(until, |deadline| deadline.min(until));
        Self { deadline: Some(deadline), ..self.clone() }
    }

    /// Asks the run to stop before its next step, and to drop what it waits for.
    pub fn request(&self) {
        self.is_requested.send_replace(true);
    }

    /// Returns the deadline.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Returns how long one statement to Redshift may take.
    pub fn statement_timeout(&self) -> Option<Duration> {
        self.statement_timeout
    }

    /// Returns the time left.
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Returns the time for reading archives that the run had at its beginning; `None` if its time is not
    /// limited.
    pub fn usable(&self) -> Option<Duration> {
        let whole = self.deadline?.saturating_duration_since(self.begun?);
        Some(whole.saturating_sub(ARCHIVE_RESERVE))
    }

    /// Completes when no more than `reserve` is left of the time.
    pub async fn near(&self, reserve: Duration) {
        match self.deadline {
            Some(at) => sleep_until(at.checked_sub(reserve).unwrap_or(at)).await,
            None => std::future::pending().await,
        }
    }

    /// Checks whether the next step, named by `step`, may begin: the run was not asked to stop, and more than
    /// `reserve` is left.
    ///
    /// # Errors
    ///
    /// [`Retryable::Interrupted`] and [`Retryable::DeadlineNear`].
    pub fn check(&self, reserve: Duration, step: impl FnOnce() -> String) -> Result<(), Error> {
        if *self.is_requested.borrow() {
            return Err(Error::retryable(
                Retryable::Interrupted,
                format!("asked to stop before the work was finished: {}", step()),
            ));
        }
        if self.time_left().is_some_and(|left| left <= reserve) {
            return Err(Error::retryable(
                Retryable::DeadlineNear,
                format!("too little time is left: {}", step()),
            ));
        }
        Ok(())
    }

    /// Does `work`, but drops it, whatever it waits for, when [`REPORT_RESERVE`] is left of the time, or soon
    /// after the run was asked to stop.
    ///
    /// # Errors
    ///
    /// Those of `work`; [`Retryable::DeadlineNear`] and [`Retryable::Interrupted`], which say what the run
    /// was waiting for, and since when.
    pub async fn bounded<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::select! {
            biased;
            done = work => done,
            error = self.ended() => Err(error),
        }
    }

    /// Completes when the run must end, while what it waits for can still be named.
    async fn ended(&self) -> Error {
        let time_is_up = self.near(REPORT_RESERVE);
        let stopped = async {
            // The sender belongs to this run: it lives for as long as the run waits.
            let _ = self.is_requested.subscribe().wait_for(|is_requested| *is_requested).await;
            sleep(STOP_WITHIN).await;
        };
        tokio::select! {
            () = time_is_up => self.waiting(Retryable::DeadlineNear, "the time is nearly up"),
            () = stopped => self.waiting(Retryable::Interrupted, "asked to stop before the work was finished"),
        }
    }

    fn waiting(&self, kind: Retryable, why: &str) -> Error {
        let message = match self.waits.oldest() {
            Some(wait) => format!("{why}, while {wait}"),
            None => why.to_owned(),
        };
        Error::retryable(kind, message)
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

    /// Waits for work that never ends; returns the type of its error, and the time after which it came.
    async fn waiting(cancellation: &Cancellation, waits: &Waits) -> (String, Duration) {
        let begun = Instant::now();
        let silent = async {
            waits.during("COPY cmslite.t".to_owned(), std::future::pending::<()>()).await;
            Ok(())
        };
        let error = cancellation.bounded(silent).await.unwrap_err();
        assert!(error.to_string().contains("while waiting for COPY cmslite.t since "), "{error}");
        assert!(waits.oldest().is_none(), "it was not dropped");
        (error.error_type().to_owned(), begun.elapsed())
    }

    #[tokio::test]
    async fn whatever_waits_is_dropped_before_the_time_is_up() {
        let waits = Waits::default();
        let deadline = Instant::now() + REPORT_RESERVE + Duration::from_millis(50);
        let cancellation = Cancellation::at(Some(deadline)).with_waits(&waits);
        let (kind, after) = waiting(&cancellation, &waits).await;
        assert_eq!(kind, "Retryable.DeadlineNear");
        assert!(after >= Duration::from_millis(50) && Instant::now() < deadline, "{after:?}");
    }

    #[tokio::test]
    async fn whatever_waits_is_dropped_soon_after_a_request_to_stop() {
        let waits = Waits::default();
        let cancellation = Cancellation::default().with_waits(&waits);
        cancellation.clone().request();
        let (kind, after) = waiting(&cancellation, &waits).await;
        assert_eq!(kind, "Retryable.Interrupted");
        assert!(after >= STOP_WITHIN && after < Duration::from_secs(20), "{after:?}");
    }

    #[tokio::test]
    async fn what_is_done_at_once_is_done_though_the_time_is_up() {
        let over = Cancellation::at(Some(Instant::now()));
        assert_eq!(over.bounded(async { Ok(7) }).await.unwrap(), 7);
    }
}
