//! One look whether somebody has settled an archive in the meantime: its markers, a request for each.

use cmslite_core::config::Dataset;
use cmslite_core::error::Error;
use cmslite_core::queue::{Object, settles};

use crate::run_request::RunRequest;
use crate::s3::S3;

/// Whether a revision has a marker, good or bad: at most two requests.
///
/// # Errors
///
/// S3's, by who must act.
pub async fn is_settled(s3: &S3, dataset: &Dataset, archive: &Object) -> Result<bool, Error> {
    for marker in [dataset.good_key(&archive.key), dataset.bad_key(&archive.key)] {
        let found = s3.look_for_marker(&dataset.bucket, &marker).await?;
        if found.is_some_and(|found| settles(&found.object, found.revision.as_deref(), archive)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether everything that an event tells of is settled. Archives that are older than its own do not matter: they
/// have events of their own, and the sweep.
///
/// # Errors
///
/// S3's, by who must act.
pub async fn is_event_settled(s3: &S3, request: &RunRequest) -> Result<bool, Error> {
    for upload in &request.uploads {
        if !is_settled(s3, &request.dataset, upload).await? {
            return Ok(false);
        }
    }
    Ok(!request.uploads.is_empty())
}
