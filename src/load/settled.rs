//! Checks whether another run has settled an archive in the meantime, with a request for each of its markers.

use cmslite_core::config::Dataset;
use cmslite_core::error::Error;
use cmslite_core::queue::{Object, settles};

use crate::run_request::RunRequest;
use crate::s3::S3;

/// Checks whether a revision has a marker, good or bad, with at most two requests.
///
/// # Errors
///
/// S3's errors, classified by who must act.
pub async fn is_settled(s3: &S3, dataset: &Dataset, archive: &Object) -> Result<bool, Error> {
    Ok(has_marker(s3, dataset, archive, &dataset.good_key(&archive.key)).await?
        || has_marker(s3, dataset, archive, &dataset.bad_key(&archive.key)).await?)
}

async fn has_marker(s3: &S3, dataset: &Dataset, archive: &Object, marker: &str) -> Result<bool, Error> {
    let found = s3.look_for_marker(&dataset.bucket, marker).await?;
    Ok(found.is_some_and(|found| settles(&found.object, found.revision.as_deref(), archive)))
}

/// Checks whether everything that an event asks for is settled, so that there is nothing to do. Archives
/// older than the event's do not matter: their own events or the sweep take care of them.
///
/// With `truncate`, only a good archive counts. A bad archive supersedes nothing, and the event of an older
/// archive that waits may have come while that archive still counted as superseded.
///
/// # Errors
///
/// S3's errors, classified by who must act.
pub async fn is_event_settled(s3: &S3, request: &RunRequest) -> Result<bool, Error> {
    let dataset = &request.dataset;
    for upload in &request.uploads {
        let is_settled = if dataset.truncate {
            has_marker(s3, dataset, upload, &dataset.good_key(&upload.key)).await?
        } else {
            is_settled(s3, dataset, upload).await?
        };
        if !is_settled {
            return Ok(false);
        }
    }
    Ok(!request.uploads.is_empty())
}
