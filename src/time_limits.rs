//! How long a request to AWS may take. A server that takes a request and never answers is else waited for
//! without end: the SDK limits nothing but the connection by itself.
//!
//! All of these are within a run's own limit ([`crate::cancellation`]), which ends whatever still waits.

use std::time::Duration;

/// How long a connection may take to be made, the name looked up. The SDK's own is 3.1 seconds
/// (`aws-config`, `timeout_config`).
pub const CONNECT: Duration = Duration::from_secs(5);

/// How long S3 may take to answer an attempt, however small the request: for a download, until its first byte;
/// silence behind that is another matter. "Small objects ... first-byte-out latencies of roughly 100-200
/// milliseconds" (Amazon S3 User Guide, performance guidelines): a hundred times that.
pub const S3_ATTEMPT: Duration = Duration::from_secs(20);

/// How often S3 is asked when it throttles or fails: the waits between, which double up to 20 seconds with full
/// jitter, are a minute together. Then the run fails, and Lambda tries again a minute later. `AWS_MAX_ATTEMPTS` other
/// than the SDK's own 3 counts instead.
pub const S3_ATTEMPTS: u32 = 10;

/// How many attempts' time a whole operation gets: what is silent is asked so often, and what throttles has time
/// for its waits.
pub const ATTEMPTS: u32 = 6;

/// What an upload may take on top of [`S3_ATTEMPT`], by its size: 256 KiB a second, a three-hundredth of
/// what Lambda's network carries.
pub const UPLOAD_BYTES_PER_SECOND: u64 = 256 * 1024;

/// What a copy within S3 may take on top of [`S3_ATTEMPT`], by its size: 8 MiB a second, so that the largest
/// copy of one request (5 GB) gets eleven minutes. S3 answers when it has copied.
pub const COPY_BYTES_PER_SECOND: u64 = 8 * 1024 * 1024;

/// How long S3 may take to make an object of its parts: "processing of a CompleteMultipartUpload request
/// could take several minutes" (Amazon S3 API Reference, `CompleteMultipartUpload`).
pub const COMPLETE_ATTEMPT: Duration = Duration::from_secs(5 * 60);

/// How long an answer's body may bring nothing. A download is then begun again from where it stands.
pub const STALLED_AFTER: Duration = Duration::from_secs(30);

/// How long Secrets Manager may take to answer an attempt.
pub const SECRET_ATTEMPT: Duration = Duration::from_secs(3);

/// How long a secret may take to come, with the SDK's three attempts. Within
/// [`SET_UP`], so that a start that fails can say why.
pub const SECRET: Duration = Duration::from_secs(7);

/// How long Redshift's API may take to answer an attempt to get a login, or where the cluster is.
pub const REDSHIFT_API_ATTEMPT: Duration = Duration::from_secs(5);

/// How long Redshift's API may take to answer, with the SDK's three attempts.
pub const REDSHIFT_API: Duration = Duration::from_secs(12);

/// How long an SNS message may take to be taken, its retries included: a function in a subnet from which SNS
/// cannot be reached would else wait for as long as it lives.
pub const MESSAGE: Duration = Duration::from_secs(5);

/// How long credentials for COPY may take to come, from wherever the environment says.
pub const CREDENTIALS: Duration = Duration::from_secs(15);

/// How long setting the function up may take before it is begun again with the first event. "The Init phase
/// is limited to 10 seconds" (AWS Lambda Developer Guide, runtime environment), and a function that was ended
/// there can say nothing.
pub const SET_UP: Duration = Duration::from_secs(8);

/// The limit of an attempt that moves so many bytes at the least rate that is waited for.
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
