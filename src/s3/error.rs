//! What S3's failures mean, by who must act.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId as _;
use cmslite_core::error::{Deployment, Error, Fault, Retryable};

/// What a failure of S3 means for whom.
pub(super) fn classify<E, R>(error: SdkError<E, R>, what: &str) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
    SdkError<E, R>: aws_sdk_s3::operation::RequestId + StatusCode,
{
    let request_id = error.request_id().map(|id| format!(" (request {id})")).unwrap_or_default();
    let message = match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{what}: {code}: {message}{request_id}"),
        (Some(code), None) => format!("{what}: {code}{request_id}"),
        _ => format!("{what}{request_id}"),
    };
    let status = error.status_code();
    let deployment = |kind| Error::from(Fault::new(kind, message.clone()));
    let retryable = |kind| Error::from(Fault::new(kind, message.clone()));
    match error.code() {
        Some("NoSuchBucket" | "InvalidBucketName") => return deployment(Deployment::NoSuchBucket),
        // A range behind the object's end: it has another size than was listed.
        Some("PreconditionFailed" | "NoSuchKey" | "InvalidRange") => {
            return retryable(Retryable::SourceChanged);
        }
        // Keys and tokens are refused with 400 as well as 403 (Amazon S3 API Reference, error responses).
        Some(
            "InvalidAccessKeyId"
            | "InvalidToken"
            | "ExpiredToken"
            | "SignatureDoesNotMatch"
            | "PermanentRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException",
        ) => return deployment(Deployment::S3Access),
        // What was sent came otherwise, or not to its end (Amazon S3 API Reference, error responses).
        Some("BadDigest" | "XAmzContentSHA256Mismatch" | "IncompleteBody" | "RequestTimeout") => {
            return retryable(Retryable::S3Unavailable);
        }
        // A completion whose answer was lost and that was asked for again: the next run finds the object or
        // writes it anew.
        Some("NoSuchUpload") => return retryable(Retryable::S3Unavailable),
        _ => {}
    }
    match status {
        Some(401 | 403) => return deployment(Deployment::S3Access),
        Some(404 | 412 | 416) => return retryable(Retryable::SourceChanged),
        Some(408 | 429 | 500..=599) => return retryable(Retryable::S3Unavailable),
        _ => {}
    }
    if names_credentials(&error) {
        return Fault::new(Deployment::S3Access, format!("{what}: no usable AWS credentials"))
            .caused_by(error)
            .into();
    }
    match error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => {
            Fault::new(Retryable::S3Unavailable, message).caused_by(error).into()
        }
        _ => Fault::new(Retryable::Unknown, message).caused_by(error).into(),
    }
}

fn names_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<CredentialsError>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// The HTTP status that an error was answered with, if it was answered.
pub(super) trait StatusCode {
    fn status_code(&self) -> Option<u16>;
}

impl<E> StatusCode for SdkError<E, aws_sdk_s3::config::http::HttpResponse> {
    fn status_code(&self) -> Option<u16> {
        self.raw_response().map(|response| response.status().as_u16())
    }
}
