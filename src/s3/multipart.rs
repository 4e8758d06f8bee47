//! Begins, completes and aborts uploads in parts.

use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use cmslite_core::error::{Error, Retryable};
use tracing::{debug, warn};

use super::client::S3;
use super::error::classify;
use super::kept::{KeptAttributes, with_kept};
use super::limits;

/// A part of a multipart upload that S3 has.
pub(super) struct UploadedPart(CompletedPart);

impl UploadedPart {
    pub(super) fn new(number: i32, etag: Option<String>, crc32: Option<String>) -> Self {
        Self(CompletedPart::builder().part_number(number).set_e_tag(etag).set_checksum_crc32(crc32).build())
    }
}

/// A multipart upload in progress.
#[derive(Clone)]
pub(super) struct Upload {
    pub(super) id: String,
    pub(super) bucket: String,
    pub(super) key: String,
}

impl S3 {
    /// Begins a multipart upload with another object's headers and metadata, and with these tags.
    pub(super) async fn begin_copy(
        &self,
        bucket: &str,
        key: &str,
        kept: &KeptAttributes,
        tags: Option<String>,
    ) -> Result<Upload, Error> {
        let what = || format!("cannot write s3://{bucket}/{key}");
        let create = self.client.create_multipart_upload().bucket(bucket).key(key);
        let create = with_kept!(create, kept.clone()).set_tagging(tags);
        // S3 then requires each part's checksum again when the upload is completed (Amazon S3 User Guide,
        // checking object integrity).
        let created = create.checksum_algorithm(ChecksumAlgorithm::Crc32).send().await;
        let id = created.map_err(|error| classify(error, &what()))?.upload_id;
        let id = id.ok_or_else(|| {
            Error::retryable(Retryable::Unknown, format!("{}: S3 returned no upload id", what()))
        })?;
        Ok(Upload { id, bucket: bucket.to_owned(), key: key.to_owned() })
    }

    /// Completes the upload.
    ///
    /// # Errors
    ///
    /// S3's errors, sorted by who must act; the upload is then aborted.
    pub(super) async fn complete_upload(
        &self,
        upload: &Upload,
        parts: Vec<UploadedPart>,
    ) -> Result<(), Error> {
        let Upload { id, bucket, key } = upload;
        let mut parts: Vec<CompletedPart> = parts.into_iter().map(|part| part.0).collect();
        parts.sort_by_key(CompletedPart::part_number);
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let completed = self
            .client
            .complete_multipart_upload()
            .bucket(bucket)
            .key(key)
            .upload_id(id)
            .multipart_upload(parts)
            .customize()
            .config_override(limits::complete())
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

    /// Aborts an upload, so that its parts are not stored and paid for. A failure is only logged: the
    /// bucket's lifecycle rule deletes what is left.
    pub(super) async fn abort_upload(&self, upload: &Upload) {
        let Upload { id, bucket, key } = upload;
        match self.client.abort_multipart_upload().bucket(bucket).key(key).upload_id(id).send().await {
            Ok(_) => debug!(key, "upload aborted"),
            Err(error) => {
                warn!(key, error = %aws_sdk_s3::error::DisplayErrorContext(&error), "cannot abort the upload");
            }
        }
    }
}
