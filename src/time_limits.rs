//! Defines the time limits of requests to AWS. By default, the SDK limits only the connection: the program
//! would wait without end for a server that accepts a request and never answers.
//!
//! All of these are within a run's own limit ([`crate::cancellation`]), which ends whatever still waits.

use std::time::Duration;

/// The limit for making a connection, with the name look-up. The SDK's default is 3.1 seconds (`aws-config`,
/// `timeout_config`).
pub const CONNECT: Duration = Duration::from_secs(5);

/// The limit for S3's answer to an attempt, however small the request; for a download, until its first byte.
/// "Small objects ... first-byte-out latencies of roughly 100-200 milliseconds" (Amazon S3 User Guide,
/// performance guidelines): the limit is a hundred times that.
pub const S3_ATTEMPT: Duration = Duration::from_secs(20);

/// The number of attempts when S3 throttles or fails. The waits in between, which double up to 20 seconds
/// with full jitter, take a minute in total. Then the run fails, and Lambda tries again a minute later.
/// `AWS_MAX_ATTEMPTS` has priority if it is not the SDK's default of 3.
pub const S3_ATTEMPTS: u32 = 10;

/// The number of attempts for which a whole operation has time. A silent server is asked this often, and a
/// throttling one has time for its waits.
pub const ATTEMPTS: u32 = 6;

/// The rate by which the limit of an upload grows with its size, in addition to [`S3_ATTEMPT`]: 256 KiB a
/// second, a three-hundredth of Lambda's network bandwidth.
pub const UPLOAD_BYTES_PER_SECOND: u64 = 256 * 1024;

/// The rate by which the limit of a copy within S3 grows with its size, in addition to [`S3_ATTEMPT`]: 8 MiB
/// a second, so that the largest copy of one request (5 GB) gets eleven minutes. S3 answers when the copy is
/// complete.
pub const COPY_BYTES_PER_SECOND: u64 = 8 * 1024 * 1024;

/// The limit for completing a multipart upload: "processing of a CompleteMultipartUpload request could take
/// several minutes" (Amazon S3 API Reference, `CompleteMultipartUpload`).
pub const COMPLETE_ATTEMPT: Duration = Duration::from_secs(5 * 60);

/// The maximum time in which no data of an answer's body arrives. A download is then resumed.
pub const STALLED_AFTER: Duration = Duration::from_secs(30);

/// The limit for Secrets Manager's answer to an attempt.
pub const SECRET_ATTEMPT: Duration = Duration::from_secs(3);

/// The limit for reading a secret, with the SDK's three attempts. It is within [`SET_UP`], so that a start
/// that fails can report why.
pub const SECRET: Duration = Duration::from_secs(7);

/// The limit for the answer of Redshift's API to an attempt to get a login or the cluster's address.
pub const REDSHIFT_API_ATTEMPT: Duration = Duration::from_secs(5);

/// The limit for the answer of Redshift's API, with the SDK's three attempts.
pub const REDSHIFT_API: Duration = Duration::from_secs(12);

/// The limit for sending an SNS message, with its retries. Without it, a function in a subnet without a route
/// to SNS would wait for as long as it lives.
pub const MESSAGE: Duration = Duration::from_secs(5);

/// The limit for the credentials for COPY, from any source in the environment.
pub const CREDENTIALS: Duration = Duration::from_secs(15);

/// The limit for setting up the function, before the set-up is repeated with the first event. "The Init phase
/// is limited to 10 seconds" (AWS Lambda Developer Guide, runtime environment), and a function that is ended
/// there can report nothing.
pub const SET_UP: Duration = Duration::from_secs(8);

/// Returns the limit of an attempt that moves `bytes` at a minimum rate.
pub fn attempt_for(bytes: u64, bytes_per_second: u64) -> Duration {
    S3_ATTEMPT + Duration::from_secs(bytes.div_ceil(bytes_per_second.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_grows_with_what_is_moved() {
        assert_eq!(attempt_for(0, COPY_BYTES_PER_SECOND), S3_ATTEMPT);
        assert_eq!(attempt_for(1, COPY_BYTES_PER_SECOND), S3_ATTEMPT + Duration::from_secs(1));
        let part = 5 * 1024 * 1024;
        assert_eq!(attempt_for(part, UPLOAD_BYTES_PER_SECOND), S3_ATTEMPT + Duration::from_secs(20));
        let largest = attempt_for(5 * 1024 * 1024 * 1024, COPY_BYTES_PER_SECOND);
        assert!((Duration::from_secs(600)..Duration::from_secs(700)).contains(&largest), "{largest:?}");
    }
}
