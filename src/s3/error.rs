//! Says what S3's failures mean, by who must act.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{ConnectorError, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId as _;
use cmslite_core::error::{Deployment, Error, Fault, Retryable};

use super::known_errors::{Class, class};

/// What the SDK says before it sends anything (`aws-sdk-s3`, the rules of its endpoints).
const FIPS_ELSEWHERE: &str = "A custom endpoint cannot be combined with FIPS";

/// What a failure of S3 means for whom.
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
            if let (Class::Lasts(Deployment::NoSuchBucket), Some(region)) = (class, error.bucket_region()) {
                message = format!("{message}, {region}");
            }
        }
        return match class {
            Class::Passes(kind) => Error::retryable(kind, message),
            Class::Lasts(kind) => Error::deployment(kind, message),
        };
    }
    match credentials_error(&error).map(is_unanswered) {
        Some(true) => {
            let message = format!("{what}: AWS credentials could not be asked for");
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

/// The error of whoever gives credentials, if one is beneath.
pub fn credentials_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a CredentialsError> {
    causes(error).find_map(|cause| cause.downcast_ref::<CredentialsError>())
}

/// Whether whoever gives credentials did not answer, rather than refused them or had none.
pub fn is_unanswered(error: &CredentialsError) -> bool {
    matches!(error, CredentialsError::ProviderTimedOut(_))
        || causes(error).any(<dyn std::error::Error>::is::<ConnectorError>)
}

/// An error and what is beneath it.
fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

/// What an error was answered with, if it was answered.
pub(super) trait Answer {
    /// The HTTP status.
    fn status_code(&self) -> Option<u16>;

    /// The region that the bucket is in, where S3 names it.
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
