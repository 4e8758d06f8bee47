//! Reads small objects that several functions write, with their revision, and writes them conditionally.

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use cmslite_core::error::Error;
use cmslite_core::problem::MAX_READ_BACK_BYTES;
use cmslite_core::queue::Object;

use super::attributes::Attributes;
use super::client::{S3, SOURCE_ETAG, object_of};
use super::error::{Answer as _, classify};

/// The condition for writing an object.
#[derive(Debug, Clone)]
pub enum WriteIf {
    /// The object does not exist (`If-None-Match: *`).
    Absent,
    /// The object has this `ETag` (`If-Match`).
    Matches(String),
}

/// A small object and its revision.
#[derive(Debug)]
pub struct SmallObject {
    /// The object's bytes; empty if the object is too large to be the program's.
    pub bytes: Bytes,
    /// The object's `ETag`, with quotes.
    pub etag: String,
    /// The time of the object's last change in whole seconds, by S3's clock.
    pub last_modified: DateTime<Utc>,
}

/// A marker that was found.
#[derive(Debug)]
pub struct Marker {
    /// The marker's object.
    pub object: Object,
    /// The revision that the marker's metadata names.
    pub revision: Option<String>,
}

impl S3 {
    /// Writes a small JSON object if a condition holds. Returns its `ETag`, or `None` if the condition did
    /// not hold.
    ///
    /// S3 then answers 412, or 404 for `If-Match` on a key that does not exist, or 409 if another request for
    /// the key came in between (Amazon S3 User Guide, "How to prevent object overwrites with conditional
    /// writes"). If the answer to a request was lost and the SDK sent it again, its condition does not hold
    /// either: the object's contents show who wrote it.
    ///
    /// # Errors
    ///
    /// S3's errors, sorted by who must act.
    pub async fn put_if(
        &self,
        bucket: &str,
        key: &str,
        json: impl Into<Bytes>,
        condition: WriteIf,
    ) -> Result<Option<String>, Error> {
        self.put_as_if(bucket, key, json, condition, &Attributes::default()).await
    }

    /// Does the same as [`S3::put_if`], with the encryption and the tags of another object.
    ///
    /// # Errors
    ///
    /// S3's errors, sorted by who must act.
    pub async fn put_as_if(
        &self,
        bucket: &str,
        key: &str,
        json: impl Into<Bytes>,
        condition: WriteIf,
        attributes: &Attributes,
    ) -> Result<Option<String>, Error> {
        let (kind, kms_key) = attributes.encryption.clone().unzip();
        let (absent, matches) = match condition {
            WriteIf::Absent => (Some("*".to_owned()), None),
            WriteIf::Matches(etag) => (None, Some(etag)),
        };
        let put = self
            .client
            .put_object()
            .bucket(bucket)
            .key(key)
            .content_type("application/json")
            .set_if_none_match(absent)
            .set_if_match(matches)
            .set_server_side_encryption(kind)
            .set_ssekms_key_id(kms_key.flatten())
            .set_tagging(attributes.tags.clone())
            .body(ByteStream::from(json.into()));
        match put.send().await {
            Ok(written) => Ok(Some(written.e_tag.unwrap_or_default())),
            Err(error)
                if matches!(error.status_code(), Some(404 | 409 | 412))
                    && error.code() != Some("NoSuchBucket") =>
            {
                Ok(None)
            }
            Err(error) => Err(classify(error, &format!("cannot write s3://{bucket}/{key}"))),
        }
    }

    /// Reads a small object with its revision; `None` if it does not exist. If it has more than 1 MiB, its
    /// bytes are left out.
    ///
    /// # Errors
    ///
    /// S3's errors, sorted by who must act.
    pub async fn read_small(&self, bucket: &str, key: &str) -> Result<Option<SmallObject>, Error> {
        let what = || format!("cannot read s3://{bucket}/{key}");
        let response = match self.client.get_object().bucket(bucket).key(key).send().await {
            Ok(response) => response,
            Err(error) if error.status_code() == Some(404) && error.code() == Some("NoSuchKey") => {
                return Ok(None);
            }
            Err(error) if error.status_code() == Some(403) && self.is_gone(bucket, key).await => {
                return Ok(None);
            }
            Err(error) => return Err(classify(error, &what())),
        };
        let etag = response.e_tag.clone().unwrap_or_default();
        let last_modified = response
            .last_modified
            .and_then(|time| DateTime::from_timestamp(time.secs(), time.subsec_nanos()))
            .unwrap_or_default();
        let body = self.body_within(bucket, key, response.body, MAX_READ_BACK_BYTES).await?;
        let bytes = body.unwrap_or_default();
        Ok(Some(SmallObject { bytes, etag, last_modified }))
    }

    /// Looks for a marker, with one request.
    ///
    /// Every refusal counts as a missing marker. S3 answers 403 for a missing object to a caller that may not
    /// list it, and the answer to HEAD has no body with the reason. A run that finds no marker continues with
    /// a request whose answer has one.
    ///
    /// # Errors
    ///
    /// S3's errors, sorted by who must act.
    pub async fn look_for_marker(&self, bucket: &str, key: &str) -> Result<Option<Marker>, Error> {
        match self.client.head_object().bucket(bucket).key(key).send().await {
            Ok(mut head) => {
                let revision = head.metadata.as_mut().and_then(|metadata| metadata.remove(SOURCE_ETAG));
                Ok(Some(Marker { object: object_of(key, head), revision }))
            }
            Err(error) if error.status_code().is_some_and(is_refusal) => Ok(None),
            Err(error) => Err(classify(error, &format!("cannot read the metadata of s3://{bucket}/{key}"))),
        }
    }
}

/// Checks whether a status means that another try would not help: 408 and 429 ask for another try.
fn is_refusal(status: u16) -> bool {
    (400..500).contains(&status) && !matches!(status, 408 | 429)
}
