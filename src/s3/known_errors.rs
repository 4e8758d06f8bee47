//! Lists S3's error codes: one row for each, with who must act and the remedy.

use cmslite_core::error::{Deployment, Retryable};

/// The class of an error, by who must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// The error is temporary.
    Temporary(Retryable),
    /// The error lasts until the remedy is applied.
    Lasting(Deployment),
}

/// A row: a code, or its beginning if it ends with `*`; a text that the message must contain; the class; and
/// the remedy, if the error's type does not have it.
struct Row(&'static str, &'static str, Class, &'static str);

const REDIRECTED: &str = "the bucket is in another region: set AWS_REGION to that";
const NEW_KEYS: &str = "sign in again, or check the AWS_* variables and the profile";
const KMS: &str = "check the KMS key of the object: it must exist and be enabled, and its policy and the program's role must allow \
                   kms:Decrypt and kms:GenerateDataKey";

/// Codes and statuses without another source are from the Amazon S3 API Reference, "Error responses", "List
/// of error codes".
const ROWS: &[Row] = &[
    Row("NoSuchBucket", "", Class::Lasting(Deployment::NoSuchBucket), ""),
    Row("InvalidBucketName", "", Class::Lasting(Deployment::NoSuchBucket), ""),
    Row("PermanentRedirect", "", Class::Lasting(Deployment::NoSuchBucket), REDIRECTED),
    Row("AuthorizationHeaderMalformed", "", Class::Lasting(Deployment::NoSuchBucket), REDIRECTED),
    Row("IllegalLocationConstraintException", "", Class::Lasting(Deployment::NoSuchBucket), REDIRECTED),
    Row("PreconditionFailed", "", Class::Temporary(Retryable::SourceChanged), ""),
    Row("NoSuchKey", "", Class::Temporary(Retryable::SourceChanged), ""),
    // The range is after the object's end: the object has another size than was listed.
    Row("InvalidRange", "", Class::Temporary(Retryable::SourceChanged), ""),
    // "The operation is not valid for the current state of the object", 403; also `GetObject`, "Errors": the
    // object is in Glacier Flexible Retrieval, Deep Archive or an archive tier of Intelligent-Tiering.
    Row(
        "InvalidObjectState",
        "",
        Class::Lasting(Deployment::ObjectUnreadable),
        "the object is in an archive storage class: restore it with `aws s3api restore-object`, and let no lifecycle rule move unsettled archives",
    ),
    // KMS is busy, has a fault of its own, or cannot reach what it depends on (AWS KMS API Reference,
    // `Decrypt`: `DependencyTimeoutException`, `KeyUnavailableException`, `KMSInternalException`; "Common
    // errors").
    Row("KMS.Throttling*", "", Class::Temporary(Retryable::S3Unavailable), ""),
    Row("KMS.DependencyTimeout*", "", Class::Temporary(Retryable::S3Unavailable), ""),
    Row("KMS.KeyUnavailable*", "", Class::Temporary(Retryable::S3Unavailable), ""),
    Row("KMS.KMSInternal*", "", Class::Temporary(Retryable::S3Unavailable), ""),
    // These codes have the names of the exceptions in the AWS KMS API Reference, `Decrypt` and
    // `GenerateDataKey`, with status 400 (localstack/localstack#8422, rustfs/rustfs#7423).
    Row("KMS.*", "", Class::Lasting(Deployment::ObjectUnreadable), KMS),
    // For a key that may not be used, S3 answers `AccessDenied`; newer messages name the action.
    Row("AccessDenied", "kms:", Class::Lasting(Deployment::ObjectUnreadable), KMS),
    // The object is encrypted with a key of the customer, 400 (Amazon S3 User Guide, "Using server-side
    // encryption with customer-provided keys": each request must carry the key).
    Row(
        "InvalidRequest",
        "Server Side Encryption",
        Class::Lasting(Deployment::ObjectUnreadable),
        "the object is encrypted with a key of the uploader's own (SSE-C), which this program does not have: upload it with SSE-S3 or SSE-KMS",
    ),
    // S3 refuses access keys and tokens with 400 or 403.
    Row("ExpiredToken", "", Class::Lasting(Deployment::S3Access), NEW_KEYS),
    Row("InvalidToken", "", Class::Lasting(Deployment::S3Access), NEW_KEYS),
    Row("TokenRefreshRequired", "", Class::Lasting(Deployment::S3Access), NEW_KEYS),
    Row("InvalidAccessKeyId", "", Class::Lasting(Deployment::S3Access), NEW_KEYS),
    Row("SignatureDoesNotMatch", "", Class::Lasting(Deployment::S3Access), NEW_KEYS),
    // Other stores answer this: "A header that you provided implies functionality that is not implemented",
    // 501.
    Row(
        "NotImplemented",
        "",
        Class::Lasting(Deployment::S3Access),
        "this S3 does not support a feature that the program needs",
    ),
    Row("RequestTimeTooSkewed", "", Class::Lasting(Deployment::S3Access), "set this machine's clock"),
    // This is also the answer for a Requester Pays bucket (Amazon S3 User Guide, "Using Requester Pays
    // buckets"), and for an object whose KMS key may not be used, in a message that does not say so
    // (boto/boto3#2952).
    Row(
        "AccessDenied",
        "",
        Class::Lasting(Deployment::S3Access),
        "check the role's policy and the bucket's, kms:Decrypt if the object is encrypted with a KMS key, and whether this is a \
         Requester Pays bucket, which this program does not support; if S3_BUCKET_OWNER is set, the bucket must belong to that account",
    ),
    // The body arrived damaged or incomplete.
    Row("BadDigest", "", Class::Temporary(Retryable::S3Unavailable), ""),
    Row("XAmzContentSHA256Mismatch", "", Class::Temporary(Retryable::S3Unavailable), ""),
    Row("IncompleteBody", "", Class::Temporary(Retryable::S3Unavailable), ""),
    Row("RequestTimeout", "", Class::Temporary(Retryable::S3Unavailable), ""),
    // Throttling: S3 sends 503, other stores 429 or 400.
    Row("SlowDown", "", Class::Temporary(Retryable::S3Unavailable), ""),
    Row("Throttling*", "", Class::Temporary(Retryable::S3Unavailable), ""),
    // The answer to a completion was lost, and it was requested again: the next run finds the object or
    // writes it again.
    Row("NoSuchUpload", "", Class::Temporary(Retryable::S3Unavailable), ""),
];

/// Returns the class of a code with its message, and the remedy; for an unknown code, the class of the status
/// alone. `None` if neither is known.
pub(super) fn class(code: Option<&str>, message: &str, status: Option<u16>) -> Option<(Class, &'static str)> {
    let is_named = |name: &str, code: &str| match name.strip_suffix('*') {
        Some(beginning) => code.starts_with(beginning),
        None => name == code,
    };
    let row = code.and_then(|code| ROWS.iter().find(|row| is_named(row.0, code) && message.contains(row.1)));
    if let Some(Row(_, _, class, remedy)) = row {
        return Some((*class, *remedy));
    }
    Some(match status? {
        // The answer to a HEAD has no code.
        301 => (Class::Lasting(Deployment::NoSuchBucket), REDIRECTED),
        401 | 403 => (Class::Lasting(Deployment::S3Access), ""),
        404 | 412 | 416 => (Class::Temporary(Retryable::SourceChanged), ""),
        408 | 429 | 500..=599 => (Class::Temporary(Retryable::S3Unavailable), ""),
        _ => return None,
    })
}
