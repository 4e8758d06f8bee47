//! Copies within a bucket, conditional on the revision: markers.

use aws_sdk_s3::types::MetadataDirective;
use cmslite_core::error::Error;
use cmslite_core::queue::Object;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::client::{S3, SOURCE_ETAG};
use super::error::classify;
use super::limits;
use super::multipart::UploadedPart;

/// The size of a part of a multipart copy.
const COPY_PART_BYTES: u64 = 1024 * 1024 * 1024;

/// The type that markers are stored with.
const ARCHIVE_TYPE: &str = "application/gzip";

/// What a copy source's path leaves unencoded.
const PATH: AsciiSet = NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

impl S3 {
    /// Copies a revision within its bucket, and names the revision in the copy's metadata.
    ///
    /// # Errors
    ///
    /// [`cmslite_core::error::Retryable::SourceChanged`] when the source is no longer that revision, else
    /// S3's own.
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
            return match copy.customize().config_override(limits::copy(object.size)).send().await {
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
                .customize()
                .config_override(limits::copy(end - from))
                .send()
                .await;
            match part {
                Ok(part) => {
                    let (etag, crc32) = part
                        .copy_part_result
                        .map(|result| (result.e_tag, result.checksum_crc32))
                        .unwrap_or_default();
                    parts.push(UploadedPart::new(number, etag, crc32));
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
}
