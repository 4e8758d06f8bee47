//! What S3 says of a dataset: three listings side by side, and the markers that these leave in doubt.

use chrono::{TimeDelta, Utc};
use tokio::task::JoinSet;
use tracing::debug;

use crate::config::Dataset;
use crate::error::{Error, Fault, Retryable};
use crate::queue::{Doubt, Listings, Revisions, Until, doubts};
use crate::store::Store;

/// The longest that an upload may take for every run to notice that it was completed after the marker of the
/// revision before it. The run of its own event notices in any case.
const UPLOAD_WITHIN: TimeDelta = TimeDelta::days(2);

/// Markers asked for at a time.
const AT_A_TIME: usize = 16;

/// Lists a dataset's source, good and bad prefixes side by side, and asks those markers which revision they
/// settle whose `ETag` does not tell and whose archive is recent or named by `until`: history costs listings
/// only.
///
/// # Errors
///
/// S3's, by who must act.
pub async fn read(store: &Store, dataset: &Dataset, until: &Until) -> Result<(Listings, Revisions), Error> {
    let bucket = &dataset.bucket;
    let (source, good, bad) = (dataset.source_prefix(), dataset.good_prefix(), dataset.bad_prefix());
    let (source, good, bad) =
        tokio::try_join!(store.list(bucket, &source), store.list(bucket, &good), store.list(bucket, &bad))?;
    let listings = Listings { source, good, bad };
    let since = Utc::now() - UPLOAD_WITHIN;
    let mut doubts: Vec<Doubt> = doubts(dataset, &listings);
    doubts.retain(|doubt| doubt.last_modified >= since || until.names(&doubt.archive));
    if !doubts.is_empty() {
        debug!(markers = doubts.len(), "asking markers which revision they settle");
    }
    let mut revisions = Revisions::new();
    for some in doubts.chunks(AT_A_TIME) {
        let mut asked = JoinSet::new();
        for doubt in some {
            let (store, bucket, marker) = (store.clone(), bucket.clone(), doubt.marker.clone());
            asked.spawn(async move {
                let revision = store.copied_revision(&bucket, &marker).await;
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
