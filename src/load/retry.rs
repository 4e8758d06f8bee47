//! Decides when a failure is tried again within an invocation, and after which wait.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use cmslite_core::error::{Error, Retryable};
use tokio::time::sleep;
use tracing::warn;

use crate::cancellation::{ARCHIVE_RESERVE, Cancellation};

/// The maximum of the first wait. The maximum doubles with each further wait.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// The number of retries. A fault that lasts longer is left to Lambda's own retry, a minute later.
const RETRIES: u32 = 3;

/// Returns the wait before retry number `retry` (from 0), or `None` if there is to be no further one.
///
/// `random` is between 0 and 1 and separates functions that collided ("full jitter"). Only conflicts, lost
/// connections and temporary S3 failures of COPY are retried here, since everything staged still exists.
pub fn retry_delay(error: &Error, retry: u32, left: Option<Duration>, random: f64) -> Option<Duration> {
    let passes = match error {
        Error::Retryable(fault) => match fault.kind {
            Retryable::Serialization | Retryable::ConnectionLost | Retryable::S3Unavailable => true,
            Retryable::SecretUnavailable
            | Retryable::LoginUnavailable
            | Retryable::CredentialsUnavailable
            | Retryable::StatementTimeout
            | Retryable::ClusterUnavailable
            | Retryable::CountsDiffer
            | Retryable::SourceChanged
            | Retryable::DamagedDownload
            | Retryable::DeadlineNear
            | Retryable::Interrupted
            | Retryable::StoppedAtBadArchive
            | Retryable::Unknown => false,
        },
        Error::BadInput(_) | Error::Deployment(_) => false,
    };
    let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(retry)).mul_f64(random.clamp(0.0, 1.0));
    (passes && retry < RETRIES && left.is_none_or(|left| left > wait + ARCHIVE_RESERVE)).then_some(wait)
}

/// Runs `attempt` until it succeeds or [`retry_delay`] allows no further attempt.
///
/// # Errors
///
/// The error of the last attempt.
pub async fn with_retries<T>(
    cancellation: &Cancellation,
    mut attempt: impl AsyncFnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    let mut retry = 0;
    loop {
        let error = match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let Some(wait) = retry_delay(&error, retry, cancellation.time_left(), random()) else {
            return Err(error);
        };
        warn!(error_type = error.error_type(), "{}; trying again", error.chain());
        sleep(wait).await;
        retry += 1;
    }
}

/// Returns a random number between 0 and 1. It is random because each `RandomState` has its own keys.
pub(super) fn random() -> f64 {
    (RandomState::new().build_hasher().finish() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use cmslite_core::error::Deployment;

    #[test]
    fn conflicts_and_lost_connections_are_tried_again_a_few_times_ever_later() {
        let conflict = Error::retryable(Retryable::Serialization, "1023");
        let waits: Vec<Option<Duration>> =
            (0..4).map(|retry| retry_delay(&conflict, retry, None, 1.0)).collect();
        let milliseconds = |n| Some(Duration::from_millis(n));
        assert_eq!(waits, [milliseconds(250), milliseconds(500), milliseconds(1000), None]);
        assert_eq!(retry_delay(&conflict, 0, None, 0.5), milliseconds(125));
    }

    #[test]
    fn nothing_is_tried_again_without_time_or_sense() {
        let lost = Error::retryable(Retryable::ConnectionLost, "lost");
        assert_eq!(retry_delay(&lost, 0, Some(Duration::from_secs(15)), 1.0), None);
        assert!(retry_delay(&lost, 0, Some(Duration::from_secs(16)), 1.0).is_some());
        assert_eq!(retry_delay(&Error::retryable(Retryable::StatementTimeout, "x"), 0, None, 1.0), None);
        assert_eq!(retry_delay(&Error::deployment(Deployment::LoginRefused, "x"), 0, None, 1.0), None);
    }
}
