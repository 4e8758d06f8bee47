//! Decides whether the bodies of requests are signed.

use aws_runtime::auth::PayloadSigningOverride;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;

/// An interceptor that leaves the SHA-256 of a body in memory out of the request's signature. It does so if
/// the connection uses TLS and the request has a checksum that S3 compares with the received body.
///
/// The SDK hashes each body that is in memory, over TLS too (`aws_runtime::auth::sigv4`). S3 accepts
/// `UNSIGNED-PAYLOAD` instead (Amazon S3 API Reference, "Authenticating Requests: Using the Authorization
/// Header"). TLS then prevents others from changing the body, and the checksum, which is a signed header,
/// detects damage.
#[derive(Debug)]
pub(super) struct UnsignedOverTls;

impl Intercept for UnsignedOverTls {
    fn name(&self) -> &'static str {
        "UnsignedOverTls"
    }

    /// Decides here because all headers are present by now: the SDK adds the checksum in
    /// `modify_before_signing`.
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
