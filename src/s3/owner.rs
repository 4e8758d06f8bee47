//! The account that the bucket must belong to, in every request: a bucket of another, such as one that was deleted and
//! made anew under its name, is neither read nor written.

use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;

/// S3 answers 403 where the bucket of the request belongs to another account (Amazon S3 User Guide, "Verifying bucket
/// ownership with bucket owner condition").
const EXPECTED: &str = "x-amz-expected-bucket-owner";

/// The same for the bucket that a copy is made from.
const EXPECTED_OF_SOURCE: &str = "x-amz-source-expected-bucket-owner";

const COPY_SOURCE: &str = "x-amz-copy-source";

/// Names the account in each request of a client, whatever its operation.
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
