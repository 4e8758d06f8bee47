//! Reads what an object is encrypted with, and its tags, so that `error.json` is kept as its archive is.

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::ServerSideEncryption;
use cmslite_core::error::Error;
use cmslite_core::queue::Object;
use tracing::{debug, warn};

use super::client::S3;
use super::error::classify;
use super::kept::tagging;

/// What an object is encrypted with where a key was named, and its tags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The kind of encryption, and the KMS key's ARN.
    pub(super) encryption: Option<(ServerSideEncryption, Option<String>)>,
    /// As `x-amz-tagging` has them: URL query parameters (Amazon S3 API Reference, `PutObject`).
    pub(super) tags: Option<String>,
}

impl Attributes {
    /// Whether an object with them is written as any other is.
    pub fn are_none(&self) -> bool {
        *self == Self::default()
    }
}

impl S3 {
    /// What an archive is encrypted with, where that is a KMS key, and its tags. What cannot be read is left out, and
    /// told: nothing depends on it. Where there is a key for all that is written, that is taken.
    pub async fn attributes(&self, bucket: &str, object: &Object) -> Attributes {
        let tags = match self.tags(bucket, &object.key).await {
            Ok(tags) => tags,
            Err(error) => {
                warn!("error.json bears no tags of the archive's: {}", error.chain());
                None
            }
        };
        if self.has_kms_key {
            return Attributes { encryption: None, tags };
        }
        let encryption = match self.metadata(bucket, &object.key).await {
            Ok(head) => head.and_then(by_kms),
            Err(error) => {
                debug!(error = %error.chain(), "what the archive is encrypted with is not known");
                None
            }
        };
        Attributes { encryption, tags }
    }

    /// The KMS key that an object is encrypted by, as S3 names it; none where it is encrypted otherwise.
    ///
    /// # Errors
    ///
    /// S3's, by who must act.
    pub async fn kms_key(&self, bucket: &str, key: &str) -> Result<Option<String>, Error> {
        let head = self.metadata(bucket, key).await?;
        Ok(head.and_then(by_kms).map(|(_, key)| key.unwrap_or_else(|| "a KMS key".to_owned())))
    }

    /// Whether everything written is encrypted by a key of its own.
    pub fn has_kms_key(&self) -> bool {
        self.has_kms_key
    }

    /// The tags of an object as a header has them; none where it has none.
    pub(super) async fn tags(&self, bucket: &str, key: &str) -> Result<Option<String>, Error> {
        let found = self.client.get_object_tagging().bucket(bucket).key(key).send().await;
        let found = found
            .map_err(|error| classify(error, &format!("cannot read the tags of s3://{bucket}/{key}")))?;
        Ok(tagging(found.tag_set.iter().map(|tag| (tag.key.as_str(), tag.value.as_str()))))
    }
}

/// The kind of encryption and the key, where that is KMS's.
fn by_kms(head: HeadObjectOutput) -> Option<(ServerSideEncryption, Option<String>)> {
    let kind = head
        .server_side_encryption
        .filter(|kind| matches!(kind, ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse))?;
    Some((kind, head.ssekms_key_id))
}
