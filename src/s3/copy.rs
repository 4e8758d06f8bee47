//! Makes markers: copies objects of a given revision within a bucket, or notes them.

use std::ops::Range;
use std::time::Duration;

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{MetadataDirective, TaggingDirective};
use cmslite_core::error::{Error, Retryable};
use cmslite_core::queue::Object;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tracing::{Instrument as _, debug};

use super::client::{S3, SOURCE_ETAG, SOURCE_SHA256};
use super::error::classify;
use super::kept::{KeptAttributes, SOURCE_KEY, SOURCE_VERSION, with_kept};
use super::limits;
use super::multipart::{Upload, UploadedPart};
use crate::cancellation::Cancellation;

/// The size of a part of a multipart copy.
const COPY_PART_BYTES: u64 = 1024 * 1024 * 1024;

/// The number of parts that are copied at the same time.
const PARTS_AT_ONCE: usize = 4;

/// The time left when a multipart copy is given up: enough to abort it and to report.
const COPY_RESERVE: Duration = Duration::from_secs(6);

/// The maximum length of a percent-encoded key in a note.
const MAX_NOTED_KEY_BYTES: usize = 1024;

/// The content type of a note, which has no bytes.
const NOTE_TYPE: &str = "application/octet-stream";

/// What a copy without tags lacks. "If you're copying objects that have object tags", both permissions are
/// needed (AWS re:Post, "Troubleshoot copying objects between buckets").
const TAGS: &str =
    "tags, for which the role needs s3:GetObjectTagging on the archive and s3:PutObjectTagging on the marker";

/// S3's code for a missing permission.
const ACCESS_DENIED: &str = "AccessDenied";

/// The characters, beside letters and digits, that the path of a copy source leaves unencoded.
const PATH: AsciiSet = NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

impl S3 {
    /// Copies a revision within its bucket, with everything that S3 stores about it except its storage class,
    /// which is the bucket's default. The copy's metadata names the revision, and the SHA-256 if that is
    /// given. An object that is too large for one request is copied in parts, while there is time; an
    /// unfinished copy is aborted.
    ///
    /// Returns a description of each thing that the copy lacks: tags that the role may not read or set,
    /// metadata that does not fit.
    ///
    /// # Errors
    ///
    /// [`Retryable::SourceChanged`] when the source is no longer that revision, those of
    /// [`Cancellation::check`], else S3's own.
    pub async fn copy(
        &self,
        bucket: &str,
        object: &Object,
        to: &str,
        sha256: Option<&str>,
        cancellation: &Cancellation,
    ) -> Result<Vec<String>, Error> {
        let head = self.head_of_revision(bucket, object).await?;
        let mut ours = vec![(SOURCE_ETAG, object.revision())];
        ours.extend(sha256.map(|sha256| (SOURCE_SHA256, sha256)));
        let mut kept = KeptAttributes::of(head, &ours);
        if object.size <= self.copy_limit_bytes {
            return self.copy_at_once(bucket, object, to, kept).await;
        }
        let tags = self.readable_tags(bucket, object, &mut kept).await?;
        self.copy_in_parts(bucket, object, to, kept, tags, cancellation).await
    }

    /// Returns the SHA-256 in a copy's metadata, if it has one.
    ///
    /// # Errors
    ///
    /// S3's errors, sorted by who must act.
    pub async fn named_sha256(&self, bucket: &str, key: &str) -> Result<Option<String>, Error> {
        let head = self.metadata(bucket, key).await?;
        Ok(head.and_then(|head| head.metadata).and_then(|mut metadata| metadata.remove(SOURCE_SHA256)))
    }

    /// Copies a revision to `to`, or writes a note there if it is too large for one request: such a revision
    /// is not copied only to mark it as bad.
    ///
    /// A note is an object without a body. Its metadata names the revision's `ETag`, its version if it has
    /// one, and its key if that is not too long.
    ///
    /// # Errors
    ///
    /// Those of [`S3::copy`].
    pub async fn copy_or_note(
        &self,
        bucket: &str,
        object: &Object,
        to: &str,
        cancellation: &Cancellation,
    ) -> Result<Vec<String>, Error> {
        if object.size <= self.copy_limit_bytes {
            return self.copy(bucket, object, to, None, cancellation).await;
        }
        let mut head = self.head_of_revision(bucket, object).await?;
        let version = head.version_id.take();
        let key = utf8_percent_encode(&object.key, &PATH).to_string();
        let mut ours = vec![(SOURCE_ETAG, object.revision())];
        // A longer key is left out: the marker's own key gives it.
        if key.len() <= MAX_NOTED_KEY_BYTES {
            ours.push((SOURCE_KEY, &key));
        }
        ours.extend(version.as_deref().map(|version| (SOURCE_VERSION, version)));
        // A note has no contents, so the archive's headers about contents do not apply.
        let mut kept = KeptAttributes::of(head, &ours);
        let tags = self.readable_tags(bucket, object, &mut kept).await?;
        let KeptAttributes { metadata, mut missing, .. } = kept;
        let note = |tags| {
            let note = self.client.put_object().bucket(bucket).key(to).content_type(NOTE_TYPE);
            let note = note.set_metadata(Some(metadata.clone())).set_tagging(tags);
            async move {
                let noted = note.body(ByteStream::from_static(b"")).send().await;
                noted.map(drop).map_err(|error| classify(error, &format!("cannot write s3://{bucket}/{to}")))
            }
        };
        with_tags(tags, &mut missing, note).await?;
        Ok(missing)
    }

    /// Returns what S3 stores about an object, if it is still this revision.
    async fn head_of_revision(&self, bucket: &str, object: &Object) -> Result<HeadObjectOutput, Error> {
        let head = self.metadata(bucket, &object.key).await?;
        head.filter(|head| head.e_tag.as_deref() == Some(object.etag.as_str())).ok_or_else(|| {
            let message = format!("s3://{bucket}/{} is no longer the revision that was read", object.key);
            Error::retryable(Retryable::SourceChanged, message)
        })
    }

    /// Returns the tags of an object. If they may not be read, records that in `kept`.
    async fn readable_tags(
        &self,
        bucket: &str,
        object: &Object,
        kept: &mut KeptAttributes,
    ) -> Result<Option<String>, Error> {
        match self.tags(bucket, &object.key).await {
            Err(Error::Deployment(fault)) => {
                debug!("the tags may not be read: {}", fault.message);
                kept.missing.push(TAGS.to_owned());
                Ok(None)
            }
            tags => tags,
        }
    }

    async fn copy_at_once(
        &self,
        bucket: &str,
        object: &Object,
        to: &str,
        kept: KeptAttributes,
    ) -> Result<Vec<String>, Error> {
        let send = async |tagging: Option<TaggingDirective>| {
            let copy = self
                .client
                .copy_object()
                .bucket(bucket)
                .key(to)
                .copy_source(source(bucket, object))
                .copy_source_if_match(&object.etag)
                .metadata_directive(MetadataDirective::Replace)
                .set_tagging_directive(tagging);
            let copy = with_kept!(copy, kept.clone());
            let sent = copy.customize().config_override(limits::copy(object.size)).send().await;
            let what = || format!("cannot copy s3://{bucket}/{} to {to}", object.key);
            sent.map(drop).map_err(|error| (error.code() == Some(ACCESS_DENIED), classify(error, &what())))
        };
        // S3 copies the tags too, by default.
        let Err((is_refused, error)) = send(None).await else { return Ok(kept.missing) };
        // The refusal does not say whether the tags are the cause.
        if is_refused && send(Some(TaggingDirective::Replace)).await.is_ok() {
            debug!("copied without its tags: {}", error.chain());
            let mut missing = kept.missing;
            missing.push(TAGS.to_owned());
            return Ok(missing);
        }
        Err(self.or_source_changed(bucket, &object.key, error).await)
    }

    async fn copy_in_parts(
        &self,
        bucket: &str,
        object: &Object,
        to: &str,
        kept: KeptAttributes,
        tags: Option<String>,
        cancellation: &Cancellation,
    ) -> Result<Vec<String>, Error> {
        let mut missing = kept.missing.clone();
        let upload = with_tags(tags, &mut missing, |tags| self.begin_copy(bucket, to, &kept, tags)).await?;
        let unfinished = Unfinished { s3: self.clone(), upload: Some(upload.clone()) };
        let parts = CopyOfParts { s3: self, upload: &upload, object, source: source(bucket, object) };
        let copied = tokio::select! {
            biased;
            copied = parts.run(cancellation) => copied,
            () = cancellation.near(COPY_RESERVE) => Err(Error::retryable(
                Retryable::DeadlineNear,
                format!("too little time is left: {} was not copied to its end", object.key),
            )),
        };
        let done = match copied {
            Ok(parts) => self.complete_upload(&upload, parts).await,
            Err(error) => {
                let error = self.or_source_changed(bucket, &object.key, error).await;
                self.abort_upload(&upload).await;
                Err(error)
            }
        };
        unfinished.disarm();
        done.map(|()| missing)
    }
}

/// Returns a copy source in the form of a header.
fn source(bucket: &str, object: &Object) -> String {
    format!("{}/{}", utf8_percent_encode(bucket, &PATH), utf8_percent_encode(&object.key, &PATH))
}

/// Writes something with tags. If S3 refuses that, writes it without them and records that in `missing`.
async fn with_tags<T, F: Future<Output = Result<T, Error>>>(
    tags: Option<String>,
    missing: &mut Vec<String>,
    write: impl Fn(Option<String>) -> F,
) -> Result<T, Error> {
    match write(tags.clone()).await {
        Err(Error::Deployment(fault)) if tags.is_some() => {
            let written = write(None).await?;
            debug!("written without tags: {}", fault.message);
            missing.push(TAGS.to_owned());
            Ok(written)
        }
        written => written,
    }
}

/// A multipart copy in progress.
struct CopyOfParts<'a> {
    s3: &'a S3,
    upload: &'a Upload,
    object: &'a Object,
    source: String,
}

impl CopyOfParts<'_> {
    /// Copies all parts, several at the same time, while there is time to begin another.
    async fn run(&self, cancellation: &Cancellation) -> Result<Vec<UploadedPart>, Error> {
        let part_bytes = COPY_PART_BYTES.min(self.s3.copy_limit_bytes.max(5 * 1024 * 1024));
        let (mut from, mut number) = (0, 0);
        let (mut copying, mut parts) = (JoinSet::new(), Vec::new());
        loop {
            while from < self.object.size && copying.len() < PARTS_AT_ONCE {
                let what = || format!("{} was not copied to its end", self.object.key);
                cancellation.check(COPY_RESERVE, what)?;
                let end = (from + part_bytes).min(self.object.size);
                number += 1;
                copying.spawn(self.part(number, from..end).in_current_span());
                from = end;
            }
            match copying.join_next().await {
                None => return Ok(parts),
                Some(Ok(part)) => parts.push(part?),
                Some(Err(error)) => {
                    let message = format!("a copy ended abnormally: {error}");
                    return Err(Error::retryable(Retryable::Unknown, message));
                }
            }
        }
    }

    fn part(
        &self,
        number: i32,
        bytes: Range<u64>,
    ) -> impl Future<Output = Result<UploadedPart, Error>> + Send + 'static {
        let (s3, upload, object) = (self.s3.clone(), self.upload.clone(), self.object.clone());
        let source = self.source.clone();
        async move {
            let copied = s3
                .client
                .upload_part_copy()
                .bucket(&upload.bucket)
                .key(&upload.key)
                .upload_id(&upload.id)
                .part_number(number)
                .copy_source(source)
                .copy_source_if_match(&object.etag)
                .copy_source_range(format!("bytes={}-{}", bytes.start, bytes.end - 1))
                .customize()
                .config_override(limits::copy(bytes.end - bytes.start))
                .send()
                .await;
            let what = || format!("cannot copy s3://{}/{} to {}", upload.bucket, object.key, upload.key);
            let result = copied.map_err(|error| classify(error, &what()))?.copy_part_result;
            let (etag, crc32) =
                result.map(|result| (result.e_tag, result.checksum_crc32)).unwrap_or_default();
            Ok(UploadedPart::new(number, etag, crc32))
        }
    }
}

/// A guard that aborts a multipart upload if it is dropped before the upload is over. Nothing waits for that;
/// the bucket's lifecycle rule deletes what is left.
struct Unfinished {
    s3: S3,
    upload: Option<Upload>,
}

impl Unfinished {
    fn disarm(mut self) {
        self.upload = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let (Some(upload), Ok(runtime)) = (self.upload.take(), Handle::try_current()) {
            let s3 = self.s3.clone();
            runtime.spawn(async move { s3.abort_upload(&upload).await });
        }
    }
}
