//! Creates errors with S3's codes.

use std::io;

use s3s::{S3Error, S3ErrorCode, s3_error};

/// Returns an error with a code that `s3s` does not know, or with another status than `s3s` gives the code.
pub(super) fn error_named(code: &str, status: http::StatusCode, message: &'static str) -> S3Error {
    let mut error = S3Error::with_message(
        S3ErrorCode::from_bytes(code.as_bytes()).unwrap_or(S3ErrorCode::InternalError),
        message,
    );
    error.set_status_code(status);
    error
}

pub(super) fn internal(error: &io::Error) -> S3Error {
    s3_error!(InternalError, "{error}")
}

pub(super) fn no_bucket() -> S3Error {
    s3_error!(NoSuchBucket, "The specified bucket does not exist")
}
