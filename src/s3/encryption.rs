//! Adds the KMS key that encrypts everything that the program writes.

use aws_sdk_s3::config::interceptors::BeforeSerializationInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::operation::copy_object::CopyObjectInput;
use aws_sdk_s3::operation::create_multipart_upload::CreateMultipartUploadInput;
use aws_sdk_s3::operation::put_object::PutObjectInput;
use aws_sdk_s3::types::ServerSideEncryption;

/// An interceptor that adds the key to each request of a client that creates an object.
///
/// It also asks for a bucket key, so that S3 calls KMS once for many objects and not for each (Amazon S3 User
/// Guide, "Reducing the cost of SSE-KMS with Amazon S3 Bucket Keys").
#[derive(Debug)]
pub(super) struct EncryptedBy(pub(super) String);

impl Intercept for EncryptedBy {
    fn name(&self) -> &'static str {
        "EncryptedBy"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let (kind, key) = (Some(ServerSideEncryption::AwsKms), Some(self.0.clone()));
        let input = context.input_mut();
        if let Some(put) = input.downcast_mut::<PutObjectInput>() {
            (put.server_side_encryption, put.ssekms_key_id, put.bucket_key_enabled) = (kind, key, Some(true));
        } else if let Some(copy) = input.downcast_mut::<CopyObjectInput>() {
            (copy.server_side_encryption, copy.ssekms_key_id, copy.bucket_key_enabled) =
                (kind, key, Some(true));
        } else if let Some(create) = input.downcast_mut::<CreateMultipartUploadInput>() {
            (create.server_side_encryption, create.ssekms_key_id, create.bucket_key_enabled) =
                (kind, key, Some(true));
        }
        Ok(())
    }
}
