//! Adds the account that must own the bucket to every request: a bucket of another account, such as one that
//! was deleted and created again under the same name, is neither read nor written.

use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;

/// The header for the bucket's owner. S3 answers 403 if the bucket belongs to another account (Amazon S3 User
/// Guide, "Verifying bucket ownership with bucket owner condition").
const EXPECTED: &str = "x-amz-expected-bucket-owner";

/// The header for the owner of a copy's source bucket.
const EXPECTED_OF_SOURCE: &str = "x-amz-source-expected-bucket-owner";

const COPY_SOURCE: &str = "x-amz-copy-source";

/// An interceptor that adds the account to each request of a client.
#[derive(Debug)]
pub(super) struct OwnedBy(pub(super) String);

impl Intercept for OwnedBy {
    fn name(&self) -> &'static str {
        "OwnedBy"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.request_mut().headers_mut();
        headers.insert(EXPECTED, self.0.clone());
        if headers.get(COPY_SOURCE).is_some() {
            headers.insert(EXPECTED_OF_SOURCE, self.0.clone());
        }
        Ok(())
    }
}
