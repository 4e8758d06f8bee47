//! Evaluates the conditions of a request, without I/O (Amazon S3 API Reference, `GetObject`, `CopyObject`;
//! RFC 9110, 13.2.2).

use s3s::dto::{ETagCondition, Timestamp};
use s3s::{S3Error, S3Result, s3_error};

use super::object::{Object, timestamp};

/// The conditions of a read, or those on the source of a copy.
#[expect(clippy::struct_field_names, reason = "they are the headers' names")]
pub(super) struct Conditions {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
    pub(super) if_modified_since: Option<Timestamp>,
    pub(super) if_unmodified_since: Option<Timestamp>,
}

impl Conditions {
    /// Checks whether an object may be read. If not, the error is 412, or 304 if the reader already has it.
    pub(super) fn check_read(&self, object: &Object) -> S3Result<()> {
        if self.is_precondition_failed(object) {
            return Err(precondition_failed());
        }
        if self.is_excluded(object) {
            let mut error = s3_error!(NotModified);
            error.set_status_code(http::StatusCode::NOT_MODIFIED);
            return Err(error);
        }
        Ok(())
    }

    /// Checks whether an object may be copied. If not, the error is 412.
    pub(super) fn check_copy(&self, source: &Object) -> S3Result<()> {
        if self.is_precondition_failed(source) || self.is_excluded(source) {
            Err(precondition_failed())
        } else {
            Ok(())
        }
    }

    /// Checks whether a required condition fails. A time counts only if no `ETag` is given: "If-Match
    /// condition evaluates to true, and If-Unmodified-Since condition evaluates to false; then, S3 returns
    /// 200 OK".
    fn is_precondition_failed(&self, object: &Object) -> bool {
        match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) => !fits(condition, Some(&object.etag)),
            (None, Some(time)) => timestamp(object.last_modified) > *time,
            (None, None) => false,
        }
    }

    fn is_excluded(&self, object: &Object) -> bool {
        match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) => fits(condition, Some(&object.etag)),
            (None, Some(time)) => timestamp(object.last_modified) <= *time,
            (None, None) => false,
        }
    }
}

/// Checks whether a key may be written. `present` is the `ETag` of the key's object, if there is one.
///
/// "If-None-Match: expects the '*' character"; `If-Match` on a key that does not exist is a 404 (Amazon S3
/// API Reference, `PutObject`).
pub(super) fn check_write(
    present: Option<&str>,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<()> {
    if matches!(if_none_match, Some(ETagCondition::ETag(_))) {
        return Err(s3_error!(
            NotImplemented,
            "A header you provided implies functionality that is not implemented"
        ));
    }
    if if_match.is_some() && present.is_none() {
        return Err(s3_error!(NoSuchKey, "The specified key does not exist."));
    }
    let holds = if_match.is_none_or(|condition| fits(condition, present))
        && !(if_none_match.is_some() && present.is_some());
    if holds { Ok(()) } else { Err(precondition_failed()) }
}

fn fits(condition: &ETagCondition, present: Option<&str>) -> bool {
    match (condition, present) {
        (_, None) => false,
        (ETagCondition::Any, Some(_)) => true,
        (ETagCondition::ETag(wanted), Some(etag)) => wanted.value() == etag,
    }
}

fn precondition_failed() -> S3Error {
    s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold")
}
