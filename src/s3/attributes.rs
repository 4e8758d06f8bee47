//! Reads the encryption and the tags of an object, so that `error.json` is stored like its archive.

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::ServerSideEncryption;
use cmslite_core::error::Error;
use cmslite_core::queue::Object;
use tracing::{debug, warn};

use super::client::S3;
use super::error::classify;
use super::kept::tagging;

/// The encryption of an object, if KMS encrypts it, and its tags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The kind of encryption, and the KMS key's ARN if S3 names it.
    pub(super) encryption: Option<(ServerSideEncryption, Option<String>)>,
    /// The tags in the form of `x-amz-tagging`: URL query parameters (Amazon S3 API Reference, `PutObject`).
    pub(super) tags: Option<String>,
}

impl Attributes {
    /// Checks whether there are neither KMS encryption nor tags, so that an object is written like any other.
    pub fn are_none(&self) -> bool {
        *self == Self::default()
    }
}

impl S3 {
    /// Returns the encryption of an archive, if KMS encrypts it, and its tags. Attributes that cannot be read
    /// are left out and logged: nothing depends on them. The encryption is also left out if one key is
    /// configured for everything written.
    pub async fn attributes(&self, bucket: &str, object: &Object) -> Attributes {
        let tags = match self.tags(bucket, &object.key).await {
            Ok(tags) => tags,
            Err(error) => {
                warn!("error.json does not have the archive's tags: {}", error.chain());
                None
            }
        };
        if self.has_kms_key {
            return Attributes { encryption: None, tags };
        }
        let encryption = match self.metadata(bucket, &object.key).await {
            Ok(head) => head.and_then(by_kms),
            Err(error) => {
                debug!(error = %error.chain(), "cannot read the encryption of the archive");
                None
            }
        };
        Attributes { encryption, tags }
    }

    /// Returns the KMS key that encrypts an object, or `a KMS key` if S3 does not name it; `None` if KMS does
    /// not encrypt the object, or if it does not exist.
    ///
    /// # Errors
    ///
    /// S3's errors, sorted by who must act.
    pub async fn kms_key(&self, bucket: &str, key: &str) -> Result<Option<String>, Error> {
        let head = self.metadata(bucket, key).await?;
        Ok(head.and_then(by_kms).map(|(_, key)| key.unwrap_or_else(|| "a KMS key".to_owned())))
    }

    /// Checks whether one configured key encrypts everything written.
    pub fn has_kms_key(&self) -> bool {
        self.has_kms_key
    }

    /// Returns the tags of an object in the form of `x-amz-tagging`; `None` if it has none.
    pub(super) async fn tags(&self, bucket: &str, key: &str) -> Result<Option<String>, Error> {
        let found = self.client.get_object_tagging().bucket(bucket).key(key).send().await;
        let found = found
            .map_err(|error| classify(error, &format!("cannot read the tags of s3://{bucket}/{key}")))?;
        Ok(tagging(found.tag_set.iter().map(|tag| (tag.key.as_str(), tag.value.as_str()))))
    }
}

/// Returns the kind of encryption and the key's ARN, if KMS encrypts the object.
fn by_kms(head: HeadObjectOutput) -> Option<(ServerSideEncryption, Option<String>)> {
    let kind = head
        .server_side_encryption
        .filter(|kind| matches!(kind, ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse))?;
    Some((kind, head.ssekms_key_id))
}
