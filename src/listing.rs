//! Lists a dataset's objects in S3: three listings side by side, merged as their pages arrive, and the
//! markers that the listings leave in doubt.

use chrono::{TimeDelta, Utc};
use tokio::task::JoinSet;
use tracing::{debug, info};

use cmslite_core::config::Dataset;
use cmslite_core::error::{Deployment, Error, Fault, Retryable};
use cmslite_core::queue::{
    AmbiguousMarker, Kept, Listed, Listing, MarkerRevisions, Merge, Plan, Planner, Selection, Step,
};

use crate::s3::S3;

/// The longest duration of an upload at which every run still notices that the upload was completed after the
/// marker of the previous revision. The run of the upload's own event notices in any case.
const UPLOAD_WITHIN: TimeDelta = TimeDelta::days(2);

/// The number of passed-over objects that a log line names: there may be one beside every archive.
const NAMED_PASSED_OVER: usize = 20;

/// The number of markers whose metadata is read at the same time.
const AT_A_TIME: usize = 16;

/// Lists a dataset's source, good and bad prefixes side by side, and makes the plan for runs of `selection`,
/// with no more than a few pages in memory. Reads the metadata of a marker only if its `ETag` does not say
/// which revision it settles and its archive is recent or named by `selection`: a long history costs listings
/// only. Each key is passed to `seen`.
///
/// # Errors
///
/// S3's, by who must act. [`Deployment::UnorderedListing`] if a listing is not in key order, so that an
/// archive could seem to have no markers.
pub async fn read(
    s3: &S3,
    dataset: &Dataset,
    selection: &Selection,
    kept: Kept,
    mut seen: impl FnMut(&Listed),
) -> Result<Plan, Error> {
    let mut planner = Planner::new(dataset, selection, kept, Utc::now() - UPLOAD_WITHIN);
    let mut merge = Merge::of(dataset);
    let [mut source, mut good, mut bad] =
        Listing::ALL.map(|listing| s3.list(&dataset.bucket, &listing.prefix(dataset)));
    loop {
        match merge.step() {
            Step::Listed(listed) => {
                seen(&listed);
                planner.add(*listed);
            }
            Step::Wanted(listing) => {
                let pages = match listing {
                    Listing::Source => &mut source,
                    Listing::Good => &mut good,
                    Listing::Bad => &mut bad,
                };
                match pages.next().await? {
                    Some(page) => merge.push(listing, page).map_err(|disorder| {
                        let message = format!("cannot use the listings of s3://{}", dataset.bucket);
                        Fault::new(Deployment::UnorderedListing, message).caused_by(disorder)
                    })?,
                    None => merge.end(listing),
                }
            }
            Step::End => break,
        }
    }
    let ambiguous: Vec<AmbiguousMarker> = planner.ambiguous_markers().collect();
    let revisions = revisions(s3, &dataset.bucket, &ambiguous).await?;
    Ok(planner.finish(&revisions))
}

/// Returns the revision that each of these markers is a copy of, according to its metadata.
async fn revisions(s3: &S3, bucket: &str, ambiguous: &[AmbiguousMarker]) -> Result<MarkerRevisions, Error> {
    if !ambiguous.is_empty() {
        debug!(markers = ambiguous.len(), "reading which revisions the markers settle");
    }
    let mut revisions = MarkerRevisions::new();
    for some in ambiguous.chunks(AT_A_TIME) {
        let mut asked = JoinSet::new();
        for marker in some {
            let (s3, bucket, marker) = (s3.clone(), bucket.to_owned(), marker.marker.clone());
            asked.spawn(async move {
                let revision = s3.copied_revision(&bucket, &marker).await;
                (marker, revision)
            });
        }
        while let Some(answer) = asked.join_next().await {
            let (marker, revision) = answer.map_err(|error| {
                Fault::new(Retryable::Unknown, "a request to S3 ended abnormally").caused_by(error)
            })?;
            revisions.extend(revision?.map(|revision| (marker, revision)));
        }
    }
    Ok(revisions)
}

/// Logs which objects were passed over, if there are any: the last of the listing, and their number.
pub fn log_passed_over(plan: &Plan) {
    let count = plan.passed_over_count();
    if count == 0 {
        return;
    }
    let held = &plan.passed_over;
    let named: Vec<String> = held
        .iter()
        .skip(held.len().saturating_sub(NAMED_PASSED_OVER))
        .map(|(key, why)| format!("{key} ({why})"))
        .collect();
    let others = count - named.len();
    let others = if others == 0 { String::new() } else { format!(", and {others} before them") };
    info!(passed_over = count, "passed over, not archives by their names: {}{others}", named.join(", "));
}
