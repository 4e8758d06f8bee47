//! Decides whether what is written is signed byte by byte.

use aws_runtime::auth::PayloadSigningOverride;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;

/// Leaves the SHA-256 of a request's body out of its signature where the connection is TLS, and the request bears a
/// checksum that S3 compares with what comes.
///
/// The SDK hashes each body that is in memory, over TLS too (`aws_runtime::auth::sigv4`). S3 takes `UNSIGNED-PAYLOAD`
/// instead (Amazon S3 API Reference, "Authenticating Requests: Using the Authorization Header"). TLS then keeps others
/// from changing the body, and the checksum, which is a signed header, tells of damage.
#[derive(Debug)]
pub(super) struct UnsignedOverTls;

impl Intercept for UnsignedOverTls {
    fn name(&self) -> &'static str {
        "UnsignedOverTls"
    }

    /// All headers are there by now: the SDK adds the checksum in `modify_before_signing`.
    fn read_before_signing(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let has_checksum = request.headers().iter().any(|(name, _)| name.starts_with("x-amz-checksum-"));
        let is_in_memory = request.body().bytes().is_some_and(|bytes| !bytes.is_empty());
        if request.uri().starts_with("https://") && is_in_memory && has_checksum {
            config.interceptor_state().store_put(PayloadSigningOverride::unsigned_payload());
        }
        Ok(())
    }
}
