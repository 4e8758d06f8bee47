//! Sets markers: an archive's copy under `good/` or `bad/`, at most one of them.

use cmslite_core::error::Error;
use cmslite_core::queue::Object;
use tracing::{info, warn};

use crate::run_request::RunRequest;
use crate::s3::S3;

/// Settles an archive as good.
///
/// The other marker is deleted first. A crash in between leaves an unsettled archive, which the next run
/// settles from the ledger, but never leaves two markers. The marker of an archive that was not loaded has
/// the SHA-256 of its bytes, since the ledger does not have its revision. Returns a description of each thing
/// that the marker lacks.
///
/// # Errors
///
/// S3's errors; [`cmslite_core::error::Retryable::SourceChanged`] when the archive is no longer this
/// revision.
pub async fn good(
    s3: &S3,
    request: &RunRequest,
    archive: &Object,
    unloaded_sha256: Option<&str>,
) -> Result<Vec<String>, Error> {
    let (dataset, bucket) = (&request.dataset, &request.dataset.bucket);
    s3.delete(bucket, &dataset.bad_key(&archive.key)).await?;
    s3.delete(bucket, &dataset.error_key(&archive.key)).await?;
    let marker = dataset.good_key(&archive.key);
    let missing = s3.copy(bucket, archive, &marker, unloaded_sha256, &request.cancellation).await?;
    info!("settled as good");
    Ok(logged(missing))
}

/// Settles an archive as bad after its `error.json` was written. Returns what the marker lacks, as [`good`]
/// does.
///
/// # Errors
///
/// Those of [`good`].
pub async fn bad(s3: &S3, request: &RunRequest, archive: &Object) -> Result<Vec<String>, Error> {
    let dataset = &request.dataset;
    let marker = dataset.bad_key(&archive.key);
    let missing = s3.copy_or_note(&dataset.bucket, archive, &marker, &request.cancellation).await?;
    info!("settled as bad");
    Ok(logged(missing))
}

fn logged(missing: Vec<String>) -> Vec<String> {
    for what in &missing {
        warn!("the marker lacks {what}");
    }
    missing
}
