//! What an object is encrypted with, and its tags: what explains an archive is kept as the archive is.

use aws_sdk_s3::types::ServerSideEncryption;
use cmslite_core::queue::Object;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tracing::{debug, warn};

use super::client::S3;
use super::error::classify;

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
    /// told: nothing depends on it.
    pub async fn attributes(&self, bucket: &str, object: &Object) -> Attributes {
        let encryption = match self.metadata(bucket, &object.key).await {
            Ok(head) => head.and_then(|head| {
                let kind = head.server_side_encryption.filter(|kind| {
                    matches!(kind, ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse)
                })?;
                Some((kind, head.ssekms_key_id))
            }),
            Err(error) => {
                debug!(error = %error.chain(), "what the archive is encrypted with is not known");
                None
            }
        };
        Attributes { encryption, tags: self.tags(bucket, &object.key).await }
    }

    async fn tags(&self, bucket: &str, key: &str) -> Option<String> {
        match self.client.get_object_tagging().bucket(bucket).key(key).send().await {
            Ok(found) => {
                let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
                let pairs =
                    found.tag_set.iter().map(|tag| format!("{}={}", encode(&tag.key), encode(&tag.value)));
                Some(pairs.collect::<Vec<String>>().join("&")).filter(|tags| !tags.is_empty())
            }
            Err(error) => {
                let error = classify(error, &format!("cannot read the tags of s3://{bucket}/{key}"));
                warn!("error.json bears no tags of the archive's: {}", error.chain());
                None
            }
        }
    }
}
