//! S3: the operations that the program uses, and what their failures mean.

use std::collections::HashMap;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::StalledStreamProtectionConfig;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId as _;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, MetadataDirective};
use bytes::Bytes;
use chrono::DateTime;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::error::{Deployment, Error, Fault, Retryable};
use crate::queue::Object;
use crate::stop::{ARCHIVE_RESERVE, Stop};

/// The largest object that one `CopyObject` copies: "up to 5 GB" (Amazon S3 API Reference, `CopyObject`).
const COPY_LIMIT_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// The size of a part of a multipart copy.
const COPY_PART_BYTES: u64 = 1024 * 1024 * 1024;

/// The type that markers are stored with.
const ARCHIVE_TYPE: &str = "application/gzip";

/// How long a download may bring nothing before it is begun again from where it stands.
const STALLED_AFTER: Duration = Duration::from_secs(30);

/// How often in a row a download may break without bringing anything.
const BREAKS_IN_A_ROW: u32 = 5;

/// The metadata of a copy that names the revision it is a copy of.
const SOURCE_ETAG: &str = "source-etag";

/// What a copy source's path leaves unencoded.
const PATH: AsciiSet = NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A client for S3.
///
/// The SDK's stalled-stream protection is off for downloads: unpacking may well be slower than the network,
/// and a read that really stalls is noticed, and resumed, by [`Store::download`].
pub fn client(config: &aws_config::SdkConfig) -> Client {
    let protection = StalledStreamProtectionConfig::enabled().download_enabled(false).build();
    Client::from_conf(aws_sdk_s3::config::Builder::from(config).stalled_stream_protection(protection).build())
}

/// S3, seen through one client.
#[derive(Clone)]
pub struct Store {
    client: Client,
    copy_limit_bytes: u64,
}

/// How one answer's body ended.
enum Received {
    All,
    Broken(Box<dyn std::error::Error + Send + Sync>),
}

/// A multipart upload that is under way.
pub struct Upload {
    id: String,
    bucket: String,
    key: String,
}

impl Store {
    /// S3 through `client`.
    pub fn new(client: Client) -> Self {
        Self { client, copy_limit_bytes: COPY_LIMIT_BYTES }
    }

    /// The same store, with multipart copies from another size on.
    #[must_use]
    pub fn with_copy_limit(mut self, bytes: u64) -> Self {
        self.copy_limit_bytes = bytes;
        self
    }

    /// Everything below a prefix, in S3's order, however many pages it takes.
    ///
    /// # Errors
    ///
    /// S3's, by who must act.
    pub async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<Object>, Error> {
        let mut objects = Vec::new();
        let mut pages = self.client.list_objects_v2().bucket(bucket).prefix(prefix).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page =
                page.map_err(|error| classify(error, &format!("cannot list s3://{bucket}/{prefix}")))?;
            for object in page.contents.unwrap_or_default() {
                let (Some(key), Some(etag), Some(modified)) =
                    (object.key, object.e_tag, object.last_modified)
                else {
                    return Err(Error::retryable(
                        Retryable::Unknown,
                        format!("S3 listed s3://{bucket}/{prefix} without keys, ETags or times"),
                    ));
                };
                objects.push(Object {
                    key,
                    etag,
                    last_modified: DateTime::from_timestamp(modified.secs(), modified.subsec_nanos())
                        .unwrap_or_default(),
                    size: object.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
                });
            }
        }
        Ok(objects)
    }

    /// Sends the bytes of a revision to `chunks`, resuming where a read breaks. Ends early when nobody
    /// listens any more.
    ///
    /// # Errors
    ///
    /// [`Retryable::SourceChanged`] when the object is no longer that revision, those of [`Stop::check`],
    /// else S3's own.
    pub async fn download(
        &self,
        bucket: &str,
        object: &Object,
        stop: &Stop,
        chunks: mpsc::Sender<Bytes>,
    ) -> Result<(), Error> {
        let what = || format!("cannot read s3://{bucket}/{}", object.key);
        let mut offset = 0;
        let mut breaks = 0;
        loop {
            let begun_at = offset;
            let range = (offset > 0).then(|| format!("bytes={offset}-"));
            let response = self
                .client
                .get_object()
                .bucket(bucket)
                .key(&object.key)
                .if_match(&object.etag)
                .set_range(range)
                .send()
                .await;
            let broke: Box<dyn std::error::Error + Send + Sync> =
                match response.map_err(|error| classify(error, &what())) {
                    Err(Error::Retryable(fault)) if fault.kind == Retryable::S3Unavailable => {
                        Error::from(fault).into()
                    }
                    Err(error) => return Err(self.unless_gone(bucket, &object.key, error).await),
                    Ok(response) => {
                        match self.receive(response.body, object, &mut offset, stop, &chunks).await? {
                            Received::All => return Ok(()),
                            Received::Broken(why) => why,
                        }
                    }
                };
            breaks = if offset > begun_at { 1 } else { breaks + 1 };
            if breaks > BREAKS_IN_A_ROW {
                return Err(Fault::new(Retryable::S3Unavailable, what()).caused_by(broke).into());
            }
            warn!(key = object.key, offset, error = %broke, "download broke, resuming");
            sleep(Duration::from_millis(100) * 2_u32.pow(breaks)).await;
        }
    }

    /// Hands on one answer's body as far as it comes.
    async fn receive(
        &self,
        mut body: ByteStream,
        object: &Object,
        offset: &mut u64,
        stop: &Stop,
        chunks: &mpsc::Sender<Bytes>,
    ) -> Result<Received, Error> {
        loop {
            stop.check(ARCHIVE_RESERVE, || format!("{} was not read to its end", object.key))?;
            match timeout(STALLED_AFTER, body.next()).await {
                Ok(Some(Ok(chunk))) => {
                    *offset += chunk.len() as u64;
                    // Nobody listens any more: the reader has seen enough.
                    if chunks.send(chunk).await.is_err() {
                        return Ok(Received::All);
                    }
                }
                Ok(None) if *offset == object.size => return Ok(Received::All),
                Ok(None) => {
                    return Ok(Received::Broken(
                        format!("it ended after {offset} of {} bytes", object.size).into(),
                    ));
                }
                Ok(Some(Err(error))) => return Ok(Received::Broken(error.into())),
                Err(_) => {
                    return Ok(Received::Broken(
                        format!("nothing came for {} seconds", STALLED_AFTER.as_secs()).into(),
                    ));
                }
            }
        }
    }

    /// Writes a small object.
    ///
    /// # Errors
    ///
    /// S3's, by who must act.
    pub async fn put(
        &self,
        bucket: &str,
        key: &str,
        bytes: impl Into<Bytes>,
        content_type: &str,
    ) -> Result<(), Error> {
        let body = ByteStream::from(bytes.into());
        let put = self
            .client
            .put_object()
            .bucket(bucket)
            .key(key)
            .content_type(content_type)
            .body(body)
            .send()
            .await;
        put.map(drop).map_err(|error| classify(error, &format!("cannot write s3://{bucket}/{key}")))
    }

    /// Removes an object, if it is there.
    ///
    /// # Errors
    ///
    /// S3's, by who must act.
    pub async fn delete(&self, bucket: &str, key: &str) -> Result<(), Error> {
        let deleted = self.client.delete_object().bucket(bucket).key(key).send().await;
        deleted.map(drop).map_err(|error| classify(error, &format!("cannot delete s3://{bucket}/{key}")))
    }

    /// An object as it is now; none where there is none.
    ///
    /// # Errors
    ///
    /// S3's, by who must act.
    pub async fn head(&self, bucket: &str, key: &str) -> Result<Option<Object>, Error> {
        let head = self.metadata(bucket, key).await?;
        Ok(head.map(|head| Object {
            key: key.to_owned(),
            etag: head.e_tag.unwrap_or_default(),
            last_modified: head
                .last_modified
                .and_then(|time| DateTime::from_timestamp(time.secs(), time.subsec_nanos()))
                .unwrap_or_default(),
            size: head.content_length.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
        }))
    }

    async fn metadata(&self, bucket: &str, key: &str) -> Result<Option<HeadObjectOutput>, Error> {
        match self.client.head_object().bucket(bucket).key(key).send().await {
            Ok(head) => Ok(Some(head)),
            Err(error) if error.status_code() == Some(404) => Ok(None),
            Err(error) if error.status_code() == Some(403) && self.is_gone(bucket, key).await => Ok(None),
            Err(error) => Err(classify(error, &format!("cannot read the metadata of s3://{bucket}/{key}"))),
        }
    }

    /// Whether an object that may not be read is not there at all. S3 says 403 for such a one to those who
    /// may list certain prefixes only (Amazon S3 API Reference, `GetObject`, permissions); a listing of what
    /// begins with its key tells.
    async fn is_gone(&self, bucket: &str, key: &str) -> bool {
        let listed = self.client.list_objects_v2().bucket(bucket).prefix(key).max_keys(1).send().await;
        listed.is_ok_and(|page| page.contents().iter().all(|object| object.key() != Some(key)))
    }

    /// An error of reading an object, [`Retryable::SourceChanged`] where it is not there.
    async fn unless_gone(&self, bucket: &str, key: &str, error: Error) -> Error {
        match error {
            Error::Deployment(fault)
                if fault.kind == Deployment::S3Access && self.is_gone(bucket, key).await =>
            {
                Error::retryable(Retryable::SourceChanged, format!("s3://{bucket}/{key} is gone"))
            }
            error => error,
        }
    }

    /// Reads a small object whole; none where there is none.
    ///
    /// # Errors
    ///
    /// S3's, by who must act.
    pub async fn read(&self, bucket: &str, key: &str) -> Result<Option<Bytes>, Error> {
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
        let body = response.body.collect().await;
        body.map(|body| Some(body.into_bytes()))
            .map_err(|error| Fault::new(Retryable::S3Unavailable, what()).caused_by(error).into())
    }

    /// The revision that an object is a copy of, if [`Store::copy`] made it; the empty revision where there
    /// is no object any more.
    ///
    /// # Errors
    ///
    /// S3's, by who must act.
    pub async fn copied_revision(&self, bucket: &str, key: &str) -> Result<Option<String>, Error> {
        Ok(match self.metadata(bucket, key).await? {
            Some(head) => head.metadata.and_then(|mut metadata| metadata.remove(SOURCE_ETAG)),
            None => Some(String::new()),
        })
    }

    /// Copies a revision within its bucket, and names the revision in the copy's metadata.
    ///
    /// # Errors
    ///
    /// [`Retryable::SourceChanged`] when the source is no longer that revision, else S3's own.
    pub async fn copy(&self, bucket: &str, object: &Object, to: &str) -> Result<(), Error> {
        let source =
            format!("{}/{}", utf8_percent_encode(bucket, &PATH), utf8_percent_encode(&object.key, &PATH));
        let what = || format!("cannot copy s3://{bucket}/{} to {to}", object.key);
        if object.size <= self.copy_limit_bytes {
            let copy = self
                .client
                .copy_object()
                .bucket(bucket)
                .key(to)
                .copy_source(&source)
                .copy_source_if_match(&object.etag);
            let copy = copy
                .metadata_directive(MetadataDirective::Replace)
                .metadata(SOURCE_ETAG, object.revision())
                .content_type(ARCHIVE_TYPE);
            return match copy.send().await {
                Ok(_) => Ok(()),
                Err(error) => Err(self.unless_gone(bucket, &object.key, classify(error, &what())).await),
            };
        }
        let upload = self.begin_upload(bucket, to, ARCHIVE_TYPE, Some(object.revision())).await?;
        let mut parts = Vec::new();
        let part_bytes = COPY_PART_BYTES.min(self.copy_limit_bytes.max(5 * 1024 * 1024));
        let mut from = 0;
        while from < object.size {
            let end = (from + part_bytes).min(object.size);
            let number = i32::try_from(parts.len() + 1).unwrap_or(i32::MAX);
            let part = self
                .client
                .upload_part_copy()
                .bucket(bucket)
                .key(to)
                .upload_id(&upload.id)
                .part_number(number)
                .copy_source(&source)
                .copy_source_if_match(&object.etag)
                .copy_source_range(format!("bytes={from}-{}", end - 1))
                .send()
                .await;
            match part {
                Ok(part) => {
                    let (etag, crc32) = part
                        .copy_part_result
                        .map(|result| (result.e_tag, result.checksum_crc32))
                        .unwrap_or_default();
                    parts.push(
                        CompletedPart::builder()
                            .part_number(number)
                            .set_e_tag(etag)
                            .set_checksum_crc32(crc32)
                            .build(),
                    );
                }
                Err(error) => {
                    let error = self.unless_gone(bucket, &object.key, classify(error, &what())).await;
                    self.abort_upload(&upload).await;
                    return Err(error);
                }
            }
            from = end;
        }
        self.complete_upload(&upload, parts).await
    }

    /// Begins a multipart upload, of a copy if it names the revision copied.
    ///
    /// # Errors
    ///
    /// S3's, by who must act.
    pub async fn begin_upload(
        &self,
        bucket: &str,
        key: &str,
        content_type: &str,
        copy_of: Option<&str>,
    ) -> Result<Upload, Error> {
        let what = || format!("cannot write s3://{bucket}/{key}");
        let metadata = copy_of.map(|revision| HashMap::from([(SOURCE_ETAG.to_owned(), revision.to_owned())]));
        let create = self
            .client
            .create_multipart_upload()
            .bucket(bucket)
            .key(key)
            .content_type(content_type)
            .set_metadata(metadata);
        // S3 then wants each part's checksum again when the upload is completed (Amazon S3 User Guide,
        // checking object integrity).
        let created = create.checksum_algorithm(ChecksumAlgorithm::Crc32).send().await;
        let id = created.map_err(|error| classify(error, &what()))?.upload_id;
        let id = id.ok_or_else(|| {
            Error::retryable(Retryable::Unknown, format!("{}: S3 named no upload id", what()))
        })?;
        Ok(Upload { id, bucket: bucket.to_owned(), key: key.to_owned() })
    }

    /// Uploads one part; parts are numbered from 1.
    ///
    /// # Errors
    ///
    /// S3's, by who must act.
    pub async fn upload_part(
        &self,
        upload: &Upload,
        number: i32,
        bytes: Bytes,
    ) -> Result<CompletedPart, Error> {
        let Upload { id, bucket, key } = upload;
        let part = self
            .client
            .upload_part()
            .bucket(bucket)
            .key(key)
            .upload_id(id)
            .part_number(number)
            .body(ByteStream::from(bytes));
        let sent = part.checksum_algorithm(ChecksumAlgorithm::Crc32).send().await;
        let part = sent.map_err(|error| {
            classify(error, &format!("cannot write part {number} of s3://{bucket}/{key}"))
        })?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(part.e_tag)
            .set_checksum_crc32(part.checksum_crc32)
            .build())
    }

    /// Makes the object of its parts.
    ///
    /// # Errors
    ///
    /// S3's, by who must act; the upload is then aborted.
    pub async fn complete_upload(&self, upload: &Upload, mut parts: Vec<CompletedPart>) -> Result<(), Error> {
        let Upload { id, bucket, key } = upload;
        parts.sort_by_key(CompletedPart::part_number);
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let completed = self
            .client
            .complete_multipart_upload()
            .bucket(bucket)
            .key(key)
            .upload_id(id)
            .multipart_upload(parts)
            .send()
            .await;
        match completed {
            Ok(_) => Ok(()),
            Err(error) => {
                let error = classify(error, &format!("cannot complete s3://{bucket}/{key}"));
                self.abort_upload(upload).await;
                Err(error)
            }
        }
    }

    /// Gives an upload up, so that its parts are not kept and paid for. A failure is only logged: the
    /// bucket's lifecycle rule removes what is left.
    pub async fn abort_upload(&self, upload: &Upload) {
        let Upload { id, bucket, key } = upload;
        match self.client.abort_multipart_upload().bucket(bucket).key(key).upload_id(id).send().await {
            Ok(_) => debug!(key, "upload aborted"),
            Err(error) => {
                warn!(key, error = %aws_sdk_s3::error::DisplayErrorContext(&error), "cannot abort the upload")
            }
        }
    }
}

/// What a failure of S3 means for whom.
fn classify<E, R>(error: SdkError<E, R>, what: &str) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
    SdkError<E, R>: aws_sdk_s3::operation::RequestId + StatusCode,
{
    let request_id = error.request_id().map(|id| format!(" (request {id})")).unwrap_or_default();
    let told = match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{what}: {code}: {message}{request_id}"),
        (Some(code), None) => format!("{what}: {code}{request_id}"),
        _ => format!("{what}{request_id}"),
    };
    let status = error.status_code();
    let deployment = |kind| Error::from(Fault::new(kind, told.clone()));
    let retryable = |kind| Error::from(Fault::new(kind, told.clone()));
    match error.code() {
        Some("NoSuchBucket" | "InvalidBucketName") => return deployment(Deployment::NoSuchBucket),
        Some("PreconditionFailed" | "NoSuchKey") => return retryable(Retryable::SourceChanged),
        // Keys and tokens are refused with 400 as well as 403 (Amazon S3 API Reference, error responses).
        Some(
            "InvalidAccessKeyId"
            | "InvalidToken"
            | "ExpiredToken"
            | "SignatureDoesNotMatch"
            | "PermanentRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException",
        ) => return deployment(Deployment::S3Access),
        // A completion whose answer was lost and that was asked for again: the next run finds the object or
        // writes it anew.
        Some("NoSuchUpload") => return retryable(Retryable::S3Unavailable),
        _ => {}
    }
    match status {
        Some(401 | 403) => return deployment(Deployment::S3Access),
        Some(404 | 412) => return retryable(Retryable::SourceChanged),
        Some(408 | 429 | 500..=599) => return retryable(Retryable::S3Unavailable),
        _ => {}
    }
    if names_credentials(&error) {
        return Fault::new(Deployment::S3Access, format!("{what}: no usable AWS credentials"))
            .caused_by(error)
            .into();
    }
    match error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => {
            Fault::new(Retryable::S3Unavailable, told).caused_by(error).into()
        }
        _ => Fault::new(Retryable::Unknown, told).caused_by(error).into(),
    }
}

fn names_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<CredentialsError>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// The HTTP status that an error was answered with, if it was answered.
trait StatusCode {
    fn status_code(&self) -> Option<u16>;
}

impl<E> StatusCode for SdkError<E, aws_sdk_s3::config::http::HttpResponse> {
    fn status_code(&self) -> Option<u16> {
        self.raw_response().map(|response| response.status().as_u16())
    }
}
