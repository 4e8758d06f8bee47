//! Implements the client for S3: listing, reading, writing and deleting.

use std::ops::ControlFlow;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::StalledStreamProtectionConfig;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::EncodingType;
use bytes::{Bytes, BytesMut};
use chrono::DateTime;
use cmslite_core::error::{Deployment, Error, Fault, Retryable};
use cmslite_core::key::Key;
use cmslite_core::queue::{LARGEST_COPY_BYTES, Object};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::Instrument as _;

use super::encryption::EncryptedBy;
use super::error::{Answer as _, classify};
use super::limits::{self, WaitRecorder, request_name};
use super::owner::OwnedBy;
use super::payload::UnsignedOverTls;
use crate::environment::S3Settings;
use crate::time_limits::STALLED_AFTER;
use crate::waits::Waits;

/// The number of objects that are deleted at the same time.
const DELETED_SIDE_BY_SIDE: usize = 16;

/// The metadata that names the revision of which an object is a copy.
pub(super) const SOURCE_ETAG: &str = "source-etag";

/// The metadata that names the SHA-256 of a copy's bytes, in hexadecimal digits.
pub(super) const SOURCE_SHA256: &str = "source-sha256";

/// Creates a client for S3, whose requests have time limits and are entered into `waits`.
///
/// The SDK's stalled-stream protection is off for downloads: unpacking may well be slower than the network.
/// [`S3::download`] notices a read that really stalls, and resumes it.
fn client(config: &aws_config::SdkConfig, settings: &S3Settings, waits: &Waits) -> Client {
    let protection = StalledStreamProtectionConfig::enabled().download_enabled(false).build();
    let config = aws_sdk_s3::config::Builder::from(config)
        .stalled_stream_protection(protection)
        .timeout_config(limits::small())
        .retry_config(limits::retries(config.retry_config()))
        .interceptor(WaitRecorder(waits.clone()))
        .interceptor(UnsignedOverTls);
    let config = match &settings.bucket_owner {
        Some(account) => config.interceptor(OwnedBy(account.clone())),
        None => config,
    };
    let config = match &settings.kms_key {
        Some(key) => config.interceptor(EncryptedBy(key.clone())),
        None => config,
    };
    Client::from_conf(config.build())
}

/// Returns the object that this metadata describes.
pub(super) fn object_of(key: &str, head: HeadObjectOutput) -> Object {
    Object {
        key: key.into(),
        etag: head.e_tag.unwrap_or_default(),
        last_modified: head
            .last_modified
            .and_then(|time| DateTime::from_timestamp(time.secs(), time.subsec_nanos()))
            .unwrap_or_default(),
        size: head.content_length.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
    }
}

/// Returns a key from a listing, decoded if the listing is encoded.
pub(super) fn listed_key(key: String, is_encoded: bool) -> Key {
    if is_encoded { Key::decoded(&key) } else { Key::from(key) }
}

/// A client for S3.
#[derive(Clone)]
pub struct S3 {
    pub(super) client: Client,
    pub(super) copy_limit_bytes: u64,
    /// Whether one configured key encrypts everything written.
    pub(super) has_kms_key: bool,
    pub(super) waits: Waits,
}

impl S3 {
    /// Creates a client from the SDK's `client`.
    pub fn new(client: Client) -> Self {
        Self { client, copy_limit_bytes: LARGEST_COPY_BYTES, has_kms_key: false, waits: Waits::default() }
    }

    /// Creates a client with the credentials, the region and the endpoint of `config`, and with time limits
    /// for each request. Waits are entered into `waits`.
    pub fn of(config: &aws_config::SdkConfig, settings: &S3Settings, waits: &Waits) -> Self {
        Self {
            has_kms_key: settings.kms_key.is_some(),
            waits: waits.clone(),
            ..Self::new(client(config, settings, waits))
        }
    }

    /// Returns the same client, with multipart copies for objects above `bytes`.
    #[must_use]
    pub fn with_copy_limit(mut self, bytes: u64) -> Self {
        self.copy_limit_bytes = bytes;
        self
    }

    /// Writes a small object.
    ///
    /// # Errors
    ///
    /// S3's errors, sorted by who must act.
    pub async fn put(
        &self,
        bucket: &str,
        key: &str,
        bytes: impl Into<Bytes>,
        content_type: &str,
    ) -> Result<(), Error> {
        self.write(bucket, key, bytes.into(), content_type, None).await
    }

    /// Writes an HTML page, which browsers do not cache.
    ///
    /// # Errors
    ///
    /// S3's errors, sorted by who must act.
    pub async fn put_page(&self, bucket: &str, key: &str, html: String) -> Result<(), Error> {
        self.write(bucket, key, html.into(), "text/html; charset=utf-8", Some("no-cache")).await
    }

    async fn write(
        &self,
        bucket: &str,
        key: &str,
        bytes: Bytes,
        content_type: &str,
        cache_control: Option<&str>,
    ) -> Result<(), Error> {
        let limits = limits::upload(bytes.len());
        let put = self
            .client
            .put_object()
            .bucket(bucket)
            .key(key)
            .content_type(content_type)
            .set_cache_control(cache_control.map(str::to_owned))
            .body(ByteStream::from(bytes))
            .customize()
            .config_override(limits)
            .send()
            .await;
        put.map(drop).map_err(|error| classify(error, &format!("cannot write s3://{bucket}/{key}")))
    }

    /// Deletes an object, if it exists.
    ///
    /// # Errors
    ///
    /// S3's errors, sorted by who must act.
    pub async fn delete(&self, bucket: &str, key: &str) -> Result<(), Error> {
        let deleted = self.client.delete_object().bucket(bucket).key(key).send().await;
        deleted.map(drop).map_err(|error| classify(error, &format!("cannot delete s3://{bucket}/{key}")))
    }

    /// Deletes the objects that exist, several at the same time.
    ///
    /// # Errors
    ///
    /// S3's errors, sorted by who must act. Other objects may then be deleted.
    pub async fn delete_all(&self, bucket: &str, keys: &[String]) -> Result<(), Error> {
        for keys in keys.chunks(DELETED_SIDE_BY_SIDE) {
            let mut deleting = JoinSet::new();
            for key in keys {
                let (s3, bucket, key) = (self.clone(), bucket.to_owned(), key.clone());
                deleting.spawn(async move { s3.delete(&bucket, &key).await }.in_current_span());
            }
            for deleted in deleting.join_all().await {
                deleted?;
            }
        }
        Ok(())
    }

    /// Returns the current object; `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// S3's errors, sorted by who must act.
    pub async fn head(&self, bucket: &str, key: &str) -> Result<Option<Object>, Error> {
        let head = self.metadata(bucket, key).await?;
        Ok(head.map(|head| object_of(key, head)))
    }

    pub(super) async fn metadata(&self, bucket: &str, key: &str) -> Result<Option<HeadObjectOutput>, Error> {
        match self.client.head_object().bucket(bucket).key(key).send().await {
            Ok(head) => Ok(Some(head)),
            Err(error) if error.status_code() == Some(404) => Ok(None),
            Err(error) if error.status_code() == Some(403) && self.is_gone(bucket, key).await => Ok(None),
            Err(error) => Err(classify(error, &format!("cannot read the metadata of s3://{bucket}/{key}"))),
        }
    }

    /// Checks by a listing whether an object that cannot be read is missing. S3 answers 403 for a missing
    /// object to a caller that may list only certain prefixes (Amazon S3 API Reference, `GetObject`,
    /// permissions). If the listing fails, the object is not taken to be missing.
    pub(super) async fn is_gone(&self, bucket: &str, key: &str) -> bool {
        let list = self.client.list_objects_v2().bucket(bucket).prefix(key).encoding_type(EncodingType::Url);
        list.max_keys(1).send().await.is_ok_and(|page| {
            let is_encoded = page.encoding_type() == Some(&EncodingType::Url);
            let mut keys = page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key);
            keys.all(|listed| listed_key(listed, is_encoded) != key)
        })
    }

    /// Returns an error of reading an object, or [`Retryable::SourceChanged`] if access was refused and the
    /// object does not exist.
    pub(super) async fn or_source_changed(&self, bucket: &str, key: &str, error: Error) -> Error {
        match error {
            Error::Deployment(fault)
                if fault.kind == Deployment::S3Access && self.is_gone(bucket, key).await =>
            {
                Error::retryable(Retryable::SourceChanged, format!("s3://{bucket}/{key} is gone"))
            }
            error => error,
        }
    }

    /// Reads the body of an answer; `None`, without reading the rest, if it is longer than `most_bytes`.
    /// Fails if no data arrives for [`STALLED_AFTER`].
    pub(super) async fn body_within(
        &self,
        bucket: &str,
        key: &str,
        mut body: ByteStream,
        most_bytes: usize,
    ) -> Result<Option<Bytes>, Error> {
        let mut whole = BytesMut::new();
        while let Some(chunk) = self.next_chunk(bucket, key, &mut body, "the bytes").await? {
            if whole.len() + chunk.len() > most_bytes {
                return Ok(None);
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(Some(whole.freeze()))
    }

    /// Reads the next chunk of a body, and enters the wait under the name `waited`; `None` at its end.
    async fn next_chunk(
        &self,
        bucket: &str,
        key: &str,
        body: &mut ByteStream,
        waited: &str,
    ) -> Result<Option<Bytes>, Error> {
        let what = || format!("cannot read s3://{bucket}/{key}");
        let waited = request_name(waited, Some(bucket), Some(key));
        let next = timeout(STALLED_AFTER, self.waits.during(waited, body.next())).await;
        let chunk = next.map_err(|_| silent(&what()))?.transpose();
        chunk.map_err(|error| Fault::new(Retryable::S3Unavailable, what()).caused_by(error).into())
    }

    /// Passes the beginning of an object, at most `limit_bytes`, to `take` as it arrives, until `take` wants
    /// no more.
    ///
    /// # Errors
    ///
    /// S3's errors, sorted by who must act. The bytes before the error were passed.
    pub async fn read_beginning(
        &self,
        bucket: &str,
        key: &str,
        limit_bytes: u64,
        mut take: impl FnMut(&[u8]) -> ControlFlow<()> + Send,
    ) -> Result<(), Error> {
        let what = || format!("cannot read s3://{bucket}/{key}");
        let range = format!("bytes=0-{}", limit_bytes.saturating_sub(1));
        let response = self.client.get_object().bucket(bucket).key(key).range(range).send().await;
        let mut body = response.map_err(|error| classify(error, &what()))?.body;
        while let Some(chunk) = self.next_chunk(bucket, key, &mut body, "the next bytes").await? {
            if take(&chunk).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Returns the revision of which an object is a copy, if [`S3::copy`] or [`S3::copy_or_note`] wrote it;
    /// the empty revision if the object does not exist.
    ///
    /// # Errors
    ///
    /// S3's errors, sorted by who must act.
    pub async fn copied_revision(&self, bucket: &str, key: &str) -> Result<Option<String>, Error> {
        Ok(match self.metadata(bucket, key).await? {
            Some(head) => head.metadata.and_then(|mut metadata| metadata.remove(SOURCE_ETAG)),
            None => Some(String::new()),
        })
    }
}

/// Returns the error for an answer whose body does not arrive.
fn silent(what: &str) -> Error {
    let message = format!("{what}: no data arrived for {} seconds", STALLED_AFTER.as_secs());
    Error::retryable(Retryable::S3Unavailable, message)
}
