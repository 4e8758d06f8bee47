//! What S3 says of a dataset: three listings side by side, and the markers that these leave in doubt.

use chrono::{TimeDelta, Utc};
use tokio::task::JoinSet;
use tracing::{debug, info};

use cmslite_core::config::Dataset;
use cmslite_core::error::{Error, Fault, Retryable};
use cmslite_core::queue::{Listings, MarkerRevisions, Plan, Selection, ambiguous_markers};

use crate::s3::S3;

/// The longest that an upload may take for every run to notice that it was completed after the marker of the
/// revision before it. The run of its own event notices in any case.
const UPLOAD_WITHIN: TimeDelta = TimeDelta::days(2);

/// Objects passed over that a log line names: there may be one beside every archive.
const NAMED_PASSED_OVER: usize = 20;

/// Markers asked for at a time.
const AT_A_TIME: usize = 16;

/// Lists a dataset's source, good and bad prefixes side by side, and asks those markers which revision they
/// settle whose `ETag` does not tell and whose archive is recent or named by `selection`: history costs
/// listings only.
///
/// # Errors
///
/// S3's, by who must act.
pub async fn read(
    s3: &S3,
    dataset: &Dataset,
    selection: &Selection,
) -> Result<(Listings, MarkerRevisions), Error> {
    let bucket = &dataset.bucket;
    let (source, good, bad) = (dataset.source_prefix(), dataset.good_prefix(), dataset.bad_prefix());
    let (source, good, bad) =
        tokio::try_join!(s3.list(bucket, &source), s3.list(bucket, &good), s3.list(bucket, &bad))?;
    let listings = Listings { source, good, bad };
    let since = Utc::now() - UPLOAD_WITHIN;
    let mut ambiguous = ambiguous_markers(dataset, &listings);
    ambiguous.retain(|marker| marker.last_modified >= since || selection.names(&marker.archive));
    if !ambiguous.is_empty() {
        debug!(markers = ambiguous.len(), "asking markers which revision they settle");
    }
    let mut revisions = MarkerRevisions::new();
    for some in ambiguous.chunks(AT_A_TIME) {
        let mut asked = JoinSet::new();
        for marker in some {
            let (s3, bucket, marker) = (s3.clone(), bucket.clone(), marker.marker.clone());
            asked.spawn(async move {
                let revision = s3.copied_revision(&bucket, &marker).await;
                (marker, revision)
            });
        }
        while let Some(answer) = asked.join_next().await {
            let (marker, revision) = answer.map_err(|error| {
                Fault::new(Retryable::Unknown, "a question to S3 ended abnormally").caused_by(error)
            })?;
            revisions.extend(revision?.map(|revision| (marker, revision)));
        }
    }
    Ok((listings, revisions))
}

/// Logs which objects were passed over, if any were: the last of the listing, and how many there are.
pub fn log_passed_over(plan: &Plan) {
    let count = plan.passed_over.len();
    if count == 0 {
        return;
    }
    let named: Vec<String> = plan
        .passed_over
        .iter()
        .skip(count.saturating_sub(NAMED_PASSED_OVER))
        .map(|(key, why)| format!("{key} ({why})"))
        .collect();
    let others = count - named.len();
    let others = if others == 0 { String::new() } else { format!(", and {others} before them") };
    info!(passed_over = count, "passed over, no archives by their names: {}{others}", named.join(", "));
}
