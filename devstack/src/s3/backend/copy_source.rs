//! Finds and copies the source of a copy to a whole object or to a part.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use chrono::Utc;
use s3s::dto::CopySource;
use s3s::{S3Result, s3_error};

use crate::s3::blob::Piece;
use crate::s3::checksums::{Algorithm, Checksum};
use crate::s3::conditions::Conditions;
use crate::s3::error::internal;
use crate::s3::object::Object;
use crate::s3::state::State;

/// The maximum size of a copy: "up to 5 GB" (Amazon S3 API Reference, `CopyObject`).
const LIMIT_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// Refuses a copy that is larger than S3 copies in one request.
pub(super) fn check_size(bytes: u64) -> S3Result<()> {
    if bytes <= LIMIT_BYTES {
        return Ok(());
    }
    Err(s3_error!(
        InvalidRequest,
        "The specified copy source is larger than the maximum allowable size for a copy source: {LIMIT_BYTES}"
    ))
}

/// Returns the source of a copy if it satisfies the conditions.
pub(super) fn find(state: &State, source: &CopySource, conditions: &Conditions) -> S3Result<Object> {
    let CopySource::Bucket { bucket, key, .. } = source else {
        return Err(s3_error!(NotImplemented, "only bucket/key is a copy source here"));
    };
    let object = state.object(bucket, key)?;
    conditions.check_copy(&object)?;
    Ok(object)
}

/// Copies a range of an object on a blocking thread, since hashing and copying it may take seconds.
pub(super) async fn copy(state: &Arc<State>, source: Object, range: Range<u64>) -> S3Result<Piece> {
    let state = Arc::clone(state);
    let copied = tokio::task::spawn_blocking(move || source.piece(state.directory.path(), range)).await;
    copied.map_err(io::Error::other).flatten().map_err(|error| internal(&error))
}

/// Returns the checksum of a copied part.
pub(super) async fn checksum(algorithm: Algorithm, piece: &Piece) -> S3Result<Checksum> {
    let object = Object::new(vec![piece.clone()], String::new(), Utc::now());
    let computed = tokio::task::spawn_blocking(move || object.compute_checksum(algorithm)).await;
    computed.map_err(io::Error::other).flatten().map_err(|error| internal(&error))
}
