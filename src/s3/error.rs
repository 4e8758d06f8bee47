//! Classifies S3's failures by who must act.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{ConnectorError, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId as _;
use cmslite_core::error::{Deployment, Error, Fault, Retryable};

use super::known_errors::{Class, class};

/// A part of the SDK's error for settings that contradict each other, before it sends anything (`aws-sdk-s3`,
/// the rules of its endpoints).
const FIPS_ELSEWHERE: &str = "A custom endpoint cannot be combined with FIPS";

/// Returns the error for a failure of S3.
pub(super) fn classify<E, R>(error: SdkError<E, R>, what: &str) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
    SdkError<E, R>: aws_sdk_s3::operation::RequestId + Answer,
{
    let request_id = error.request_id().map(|id| format!(" (request {id})")).unwrap_or_default();
    let mut message = match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{what}: {code}: {message}{request_id}"),
        (Some(code), None) => format!("{what}: {code}{request_id}"),
        _ => format!("{what}{request_id}"),
    };
    let known = class(error.code(), error.message().unwrap_or_default(), error.status_code());
    if let Some((class, remedy)) = known {
        if !remedy.is_empty() {
            message = format!("{message}; {remedy}");
            if let (Class::Lasting(Deployment::NoSuchBucket), Some(region)) = (class, error.bucket_region()) {
                message = format!("{message}, {region}");
            }
        }
        return match class {
            Class::Temporary(kind) => Error::retryable(kind, message),
            Class::Lasting(kind) => Error::deployment(kind, message),
        };
    }
    match credentials_error(&error).map(is_unanswered) {
        Some(true) => {
            let message = format!("{what}: the provider of the AWS credentials did not answer");
            return Fault::new(Retryable::CredentialsUnavailable, message).caused_by(error).into();
        }
        Some(false) => {
            return Fault::new(Deployment::S3Access, format!("{what}: no usable AWS credentials"))
                .caused_by(error)
                .into();
        }
        None => {}
    }
    if causes(&error).any(|cause| cause.to_string().contains(FIPS_ELSEWHERE)) {
        let remedy = "unset AWS_USE_FIPS_ENDPOINT, or AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_S3";
        return Fault::new(Deployment::Configuration, format!("{what}: {remedy}")).caused_by(error).into();
    }
    match error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => {
            Fault::new(Retryable::S3Unavailable, message).caused_by(error).into()
        }
        _ => Fault::new(Retryable::Unknown, message).caused_by(error).into(),
    }
}

/// Returns the error of the credentials provider among the causes, if there is one.
pub fn credentials_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a CredentialsError> {
    causes(error).find_map(|cause| cause.downcast_ref::<CredentialsError>())
}

/// Checks whether the credentials provider did not answer, rather than refusing credentials or having none.
pub fn is_unanswered(error: &CredentialsError) -> bool {
    matches!(error, CredentialsError::ProviderTimedOut(_))
        || causes(error).any(<dyn std::error::Error>::is::<ConnectorError>)
}

/// Returns an error and its underlying causes.
fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

/// The parts of the answer that an error carries, if there was one.
pub(super) trait Answer {
    /// Returns the HTTP status.
    fn status_code(&self) -> Option<u16>;

    /// Returns the bucket's region, if S3 names it.
    fn bucket_region(&self) -> Option<&str>;
}

impl<E> Answer for SdkError<E, aws_sdk_s3::config::http::HttpResponse> {
    fn status_code(&self) -> Option<u16> {
        self.raw_response().map(|response| response.status().as_u16())
    }

    fn bucket_region(&self) -> Option<&str> {
        self.raw_response()?.headers().get("x-amz-bucket-region")
    }
}
