//! Classifies the errors of the services that store or issue logins, by who must act.

use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};

use crate::s3::{credentials_error, is_unanswered};

/// The codes of throttled requests: "`ThrottlingException`" (AWS Secrets Manager and Redshift Serverless API
/// References, common errors), "`Throttling`" and "`RequestLimitExceeded`" (Amazon Redshift API Reference,
/// common errors; the names that the SDK tries again, `aws-runtime`, `retries/classifiers.rs`).
const THROTTLED: [&str; 5] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
];

/// Checks whether an error is temporary: the service was not reached or did not answer, throttled the
/// request, or had an internal error ("`InternalServiceError`", 500; "`InternalServerException`", 500;
/// "`ServiceUnavailable`", 503).
pub(super) fn passes<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    match error {
        SdkError::DispatchFailure(failure) => {
            let credentials = failure.as_connector_error().and_then(|error| credentials_error(error));
            credentials.is_none_or(is_unanswered)
        }
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
        SdkError::ServiceError(refused) => {
            let status = refused.raw().status();
            status.is_server_error()
                || status.as_u16() == 429
                || refused.err().code().is_some_and(|code| THROTTLED.contains(&code))
        }
        _ => false,
    }
}
