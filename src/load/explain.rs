//! Writes `error.json`, once for each revision of a bad archive. The run that writes it sends the message.

use chrono::{DateTime, Utc};
use cmslite_core::error::{Error, Retryable};
use cmslite_core::problem::Problems;
use cmslite_core::queue::Object;
use cmslite_core::text::visible_json;
use serde::Deserialize;
use tracing::{debug, info, warn};

use crate::report::{ErrorFile, FORMAT_VERSION};
use crate::run_request::RunRequest;
use crate::s3::{Attributes, S3, SmallObject, WriteIf};

/// The time for which another run may still be about to send its message and to set its marker after its
/// explanation: longer than the wait for SNS, and than a copy.
const SETTLES_WITHIN_SECONDS: i64 = 60;

/// The number of tries to write an explanation that other runs write or remove at the same time.
const TRIES: usize = 5;

/// The explanation of a bad archive.
pub struct Explanation<'a> {
    /// The run that found it.
    pub request: &'a RunRequest,
    /// The archive.
    pub archive: &'a Object,
    /// The archive's problems.
    pub problems: &'a Problems,
}

/// An explanation that was written.
pub struct Written {
    etag: String,
    attributes: Attributes,
}

/// The contents of an existing `error.json`.
#[derive(Debug, Deserialize)]
struct Found {
    etag: String,
    at: DateTime<Utc>,
    request_id: String,
    #[serde(default)]
    told: bool,
}

impl Found {
    /// Checks whether this revision needs no further explanation at `now`.
    ///
    /// `is_alone` means that no other run works on the queue. Then the run that explained the archive ended
    /// before it set the marker, and perhaps before it sent the message. Two messages are better than none.
    fn suffices(&self, revision: &str, me: &str, now: DateTime<Utc>, is_alone: bool) -> bool {
        // The time is untrusted: nothing is added to it.
        let age_seconds = now.signed_duration_since(self.at).num_seconds();
        let may_be_at_it = !is_alone && self.request_id != me && age_seconds < SETTLES_WITHIN_SECONDS;
        self.etag == revision && (self.told || may_be_at_it)
    }
}

impl Explanation<'_> {
    /// Writes the explanation before the marker is set, unless another run has explained this revision.
    ///
    /// It replaces the explanation of an older revision, or of an earlier upload of the same bytes. A run by
    /// hand always writes it.
    ///
    /// # Errors
    ///
    /// S3's.
    pub async fn write_unless_there(&self, s3: &S3, is_alone: bool) -> Result<Option<Written>, Error> {
        let dataset = &self.request.dataset;
        let (bucket, key) = (&dataset.bucket, dataset.error_key(&self.archive.key));
        s3.delete(bucket, &dataset.good_key(&self.archive.key)).await?;
        let mut attributes = s3.attributes(bucket, self.archive).await;
        let mut condition = WriteIf::Absent;
        for _ in 0..TRIES {
            match s3.put_as_if(bucket, &key, self.json(false), condition.clone(), &attributes).await {
                Ok(Some(etag)) => return Ok(Some(Written { etag, attributes })),
                Ok(None) => {}
                // Without permission for the key or for tags the explanation is still written, with the
                // bucket's defaults.
                Err(Error::Deployment(fault)) if !attributes.are_none() => {
                    warn!("error.json is stored without the archive's own key and tags: {}", fault.message);
                    attributes = Attributes::default();
                    continue;
                }
                Err(error) => return Err(error),
            }
            condition = match s3.read_small(bucket, &key).await? {
                Some(found) if self.is_explained_by(&found, is_alone) => {
                    info!("another run has explained it already");
                    return Ok(None);
                }
                Some(found) => WriteIf::Matches(found.etag),
                None => WriteIf::Absent,
            };
        }
        Err(Error::retryable(
            Retryable::S3Unavailable,
            format!("other runs write s3://{bucket}/{key} at the same time"),
        ))
    }

    fn is_explained_by(&self, found: &SmallObject, is_alone: bool) -> bool {
        let RunRequest { selection, request_id, .. } = self.request;
        !selection.is_by_hand()
            && found.last_modified >= self.archive.last_modified
            && serde_json::from_slice::<Found>(&found.bytes)
                .is_ok_and(|found| found.suffices(self.archive.revision(), request_id, Utc::now(), is_alone))
    }

    /// Records that a message was sent although the marker could not be set, so that the run that sets it
    /// sends no second message. If that cannot be recorded, the message is sent twice.
    pub async fn record_message_sent(&self, s3: &S3, written: Written) {
        let dataset = &self.request.dataset;
        let key = dataset.error_key(&self.archive.key);
        let Written { etag, attributes } = written;
        let (json, condition) = (self.json(true), WriteIf::Matches(etag));
        if let Err(error) = s3.put_as_if(&dataset.bucket, &key, json, condition, &attributes).await {
            debug!("cannot record that the message was sent: {}", error.chain());
        }
    }

    fn json(&self, told: bool) -> String {
        let file = ErrorFile {
            version: FORMAT_VERSION,
            dataset: &self.request.dataset.name,
            bucket: &self.request.dataset.bucket,
            key: &self.archive.key,
            etag: self.archive.revision(),
            at: Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            request_id: &self.request.request_id,
            problems_found: self.problems.found(),
            incomplete: self.problems.incomplete(),
            problems: self.problems.reported(),
            told,
        };
        visible_json(&serde_json::to_string_pretty(&file).unwrap_or_default()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_suffices_while_its_writer_may_be_at_it_and_once_it_has_told() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let found = |told| Found { etag: "a".to_owned(), at: at(0), request_id: "other".to_owned(), told };
        for (told, revision, me, now, is_alone, expected) in [
            (false, "a", "me", 59, false, true),
            (false, "a", "me", 60, false, false),
            (false, "a", "me", 1, true, false),
            // Lambda's retry of the same invocation.
            (false, "a", "other", 1, false, false),
            (false, "b", "me", 1, false, false),
            (true, "a", "me", 1, true, true),
            (true, "a", "other", 9999, true, true),
            (true, "b", "me", 1, true, false),
        ] {
            assert_eq!(
                found(told).suffices(revision, me, at(now), is_alone),
                expected,
                "{told} {revision} {me} {now} {is_alone}"
            );
        }
        for at in [DateTime::<Utc>::MAX_UTC, DateTime::<Utc>::MIN_UTC] {
            let found = Found { etag: "b".to_owned(), at, request_id: "other".to_owned(), told: false };
            assert!(!found.suffices("a", "me", Utc::now(), false));
        }
    }
}
