//! Limits the time of requests, and names them while the program waits for them.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::config::interceptors::BeforeSerializationInterceptorContextRef;
use aws_sdk_s3::config::{Builder, ConfigBag, Intercept};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::operation::abort_multipart_upload::AbortMultipartUploadInput;
use aws_sdk_s3::operation::complete_multipart_upload::CompleteMultipartUploadInput;
use aws_sdk_s3::operation::copy_object::CopyObjectInput;
use aws_sdk_s3::operation::create_multipart_upload::CreateMultipartUploadInput;
use aws_sdk_s3::operation::delete_object::DeleteObjectInput;
use aws_sdk_s3::operation::get_object::GetObjectInput;
use aws_sdk_s3::operation::head_object::HeadObjectInput;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Input;
use aws_sdk_s3::operation::put_object::PutObjectInput;
use aws_sdk_s3::operation::upload_part_copy::UploadPartCopyInput;
use aws_smithy_runtime_api::http::NonUtf8HeaderHandling;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use cmslite_core::key::Key;

use crate::time_limits::{
    ATTEMPTS, COMPLETE_ATTEMPT, CONNECT, COPY_BYTES_PER_SECOND, S3_ATTEMPT, S3_ATTEMPTS,
    UPLOAD_BYTES_PER_SECOND, attempt_for,
};
use crate::waits::{Waiting, Waits};

/// Returns the limits of a request that moves few bytes. [`upload`], [`copy`] and [`complete`] override them.
///
/// An attempt of a download ends when its headers have arrived; reading the body is up to the caller
/// (`aws-smithy-runtime`, `orchestrator`: a streaming body is not read in `try_attempt`).
pub(super) fn small() -> TimeoutConfig {
    limits(S3_ATTEMPT)
}

/// Returns the overrides of the client's limits for an upload of `bytes`.
pub(super) fn upload(bytes: usize) -> Builder {
    overriding(attempt_for(bytes as u64, UPLOAD_BYTES_PER_SECOND))
}

/// Returns the overrides of the client's limits for a copy of `bytes` within S3.
pub(super) fn copy(bytes: u64) -> Builder {
    overriding(attempt_for(bytes, COPY_BYTES_PER_SECOND))
}

/// Returns the overrides of the client's limits for the completion of a multipart upload.
pub(super) fn complete() -> Builder {
    overriding(COMPLETE_ATTEMPT)
}

/// Returns the setting for how often a request is tried. The user's setting has priority; the SDK's default
/// is too small for a bucket that throttles a new prefix for a while.
pub(super) fn retries(known: Option<&RetryConfig>) -> RetryConfig {
    let sdk = RetryConfig::standard();
    match known {
        Some(known) if known.max_attempts() != sdk.max_attempts() => known.clone(),
        _ => sdk.with_max_attempts(S3_ATTEMPTS),
    }
}

fn overriding(attempt: Duration) -> Builder {
    Builder::new().timeout_config(limits(attempt))
}

fn limits(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt.saturating_mul(ATTEMPTS))
        .build()
}

/// An interceptor that enters each request of a client into the waits, with its retries, from its beginning
/// to its end.
#[derive(Debug)]
pub(super) struct WaitRecorder(pub(super) Waits);

/// A request's entry in the waits. It is dropped with the request's configuration, however the request ends.
#[derive(Debug)]
struct Entry {
    _waiting: Waiting,
}

impl Storable for Entry {
    type Storer = StoreReplace<Self>;
}

impl Intercept for WaitRecorder {
    fn name(&self) -> &'static str {
        "WaitRecorder"
    }

    fn read_before_execution(
        &self,
        context: &BeforeSerializationInterceptorContextRef<'_>,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let entry = Entry { _waiting: self.0.enter(named(context)) };
        config.interceptor_state().store_put(entry);
        // Uploaders choose headers, and S3 returns them unchanged: a header in Latin-1 must not make an
        // archive unreadable.
        config.interceptor_state().store_put(NonUtf8HeaderHandling::Skip);
        Ok(())
    }
}

/// Returns the name of a request, by its operation, bucket and key.
fn named(context: &BeforeSerializationInterceptorContextRef<'_>) -> String {
    let input = context.input();
    macro_rules! operation {
        ($($name:literal $input:ident $key:ident;)+) => {
            $(if let Some(input) = input.downcast_ref::<$input>() {
                return request_name($name, input.bucket(), input.$key());
            })+
        };
    }
    operation! {
        "ListObjectsV2" ListObjectsV2Input prefix;
        "HeadObject" HeadObjectInput key;
        "GetObject" GetObjectInput key;
        "PutObject" PutObjectInput key;
        "DeleteObject" DeleteObjectInput key;
        "CopyObject" CopyObjectInput key;
        "CreateMultipartUpload" CreateMultipartUploadInput key;
        "UploadPartCopy" UploadPartCopyInput key;
        "CompleteMultipartUpload" CompleteMultipartUploadInput key;
        "AbortMultipartUpload" AbortMultipartUploadInput key;
    }
    "S3".to_owned()
}

/// Returns `S3: OPERATION of s3://BUCKET/KEY`, made printable: a key is untrusted text.
pub(super) fn request_name(operation: &str, bucket: Option<&str>, key: Option<&str>) -> String {
    let (bucket, key) = (bucket.unwrap_or_default(), key.unwrap_or_default());
    format!("S3: {operation} of s3://{bucket}/{}", Key::from(key))
}
