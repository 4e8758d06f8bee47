//! Marks an archive as bad after several tries if no function can read it in its time, so that the archives
//! after it are loaded.

use std::sync::PoisonError;
use std::time::Duration;

use chrono::Utc;
use cmslite_core::error::{Error, Retryable};
use cmslite_core::overdue::{TRIES, TriesNote};
use cmslite_core::problem::{Problem, Problems};
use cmslite_core::queue::Object;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::run_request::RunRequest;
use crate::s3::{S3, WriteIf};

/// The time limit for counting: the rest of the time is for settling the archive and for the report.
const COUNTED_WITHIN: Duration = Duration::from_secs(4);

/// The duration below which no tries need to be forgotten: each try that counts takes half of a function's
/// time. If there are some anyway, they expire.
const MAY_HAVE_TRIES_AFTER: Duration = Duration::from_secs(10);

/// The size below which an archive is copied to its marker in less than the time left after its reading was
/// given up.
const SETTLED_SLOWLY_BYTES: u64 = 64 * 1024 * 1024;

/// The time limit for forgetting tries.
const FORGOTTEN_WITHIN: Duration = Duration::from_secs(1);

/// Returns the error of an archive that could not be loaded: unchanged, or bad input if this was the last of
/// its tries.
pub async fn judge(s3: &S3, request: &RunRequest, archive: &Object, error: Error) -> Error {
    let effort = request.given_up.lock().unwrap_or_else(PoisonError::into_inner).take();
    let is_near = matches!(&error, Error::Retryable(fault) if fault.kind == Retryable::DeadlineNear);
    let Some(effort) = effort.filter(|_| is_near && !request.selection.is_by_hand()) else { return error };
    if !effort.counts() {
        info!(
            seconds = effort.took.as_secs(),
            waited_seconds = effort.waited.as_secs(),
            "the time was used up for reasons outside the archive: this try does not count"
        );
        return error;
    }
    let counted = timeout(COUNTED_WITHIN, async {
        let (bucket, key) = (&request.dataset.bucket, request.dataset.tries_key(&archive.key));
        let (mut note, condition) = match s3.read_small(bucket, &key).await? {
            Some(found) => (TriesNote::parse(&found.bytes, archive), WriteIf::Matches(found.etag)),
            None => (TriesNote::new(archive), WriteIf::Absent),
        };
        note.count(Utc::now(), &effort);
        // The last try is counted too: the time left may not be enough to settle the archive.
        let json = serde_json::to_string(&note).unwrap_or_default();
        if s3.put_if(bucket, &key, json, condition).await?.is_none() {
            debug!("another run counted at the same time");
        }
        warn!(tries = note.tries(), of = TRIES, "the archive needs more time than the function has");
        Ok::<_, Error>(note.reason(archive))
    });
    match counted.await {
        Ok(Ok(Some(reason))) => Problems::from(Problem::archive(reason)).into(),
        Ok(Ok(None)) => error,
        Ok(Err(fault)) => {
            warn!("this try was not counted: {}", fault.chain());
            error
        }
        Err(_) => {
            warn!("this try was not counted: S3 did not answer");
            error
        }
    }
}

/// Refuses an archive that has had its tries but could not be settled in the time left of the last one, which
/// happens to large archives only.
///
/// # Errors
///
/// [`Error::BadInput`].
pub async fn refuse_tried(s3: &S3, request: &RunRequest, archive: &Object) -> Result<(), Error> {
    if archive.size < SETTLED_SLOWLY_BYTES
        || request.selection.is_by_hand()
        || request.cancellation.time_left().is_none()
    {
        return Ok(());
    }
    let found = s3.read_small(&request.dataset.bucket, &request.dataset.tries_key(&archive.key)).await;
    match found {
        Ok(Some(found)) => match TriesNote::parse(&found.bytes, archive).reason(archive) {
            Some(reason) => Err(Problems::from(Problem::archive(reason)).into()),
            None => Ok(()),
        },
        Ok(None) => Ok(()),
        Err(error) => {
            debug!("cannot read how often the archive was tried: {}", error.chain());
            Ok(())
        }
    }
}

/// Forgets the tries of a settled archive; `took` is how long the work on it took. If that fails, the tries
/// expire.
pub async fn forget(s3: &S3, request: &RunRequest, archive: &Object, took: Duration) {
    if took < MAY_HAVE_TRIES_AFTER && archive.size < SETTLED_SLOWLY_BYTES && !request.selection.is_by_hand() {
        return;
    }
    let key = request.dataset.tries_key(&archive.key);
    match timeout(FORGOTTEN_WITHIN, s3.delete(&request.dataset.bucket, &key)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!("the count of the archive's tries was not deleted: {}", error.chain()),
        Err(_) => debug!("the count of the archive's tries was not deleted: S3 did not answer"),
    }
}
