//! Defines an object of a listing, and what its markers may say about it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::key::Key;

/// The size of the largest object that one request copies: "up to 5 GB" (Amazon S3 API Reference,
/// `CopyObject`). The bad marker of a larger archive is an object without a body, whose metadata names the
/// archive.
pub const LARGEST_COPY_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// An object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The object's key.
    pub key: Key,
    /// The object's `ETag` as S3 returns it, with quotes.
    pub etag: String,
    /// The time of the last change in whole seconds; for a multipart upload the time when it began.
    pub last_modified: DateTime<Utc>,
    /// The size in bytes.
    pub size: u64,
}

impl Object {
    /// Returns the sort key of the load order: oldest first, then by key.
    pub(super) fn load_order(&self) -> (DateTime<Utc>, &str) {
        (self.last_modified, &self.key)
    }

    /// Returns the `ETag` without quotes, as markers and the ledger store it.
    pub fn revision(&self) -> &str {
        self.etag.trim_matches('"')
    }
}

/// A marker that may be an archive's by time and size, but has another `ETag`. The marker's metadata must be
/// read to know which revision it is a copy of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmbiguousMarker {
    /// The archive's key.
    pub archive: Key,
    /// The archive's modification time.
    pub last_modified: DateTime<Utc>,
    /// The marker's key.
    pub marker: Key,
}

/// The revision that each marker is a copy of, by the marker's key, for the markers whose metadata was read.
pub type MarkerRevisions = HashMap<Key, String>;

/// Checks whether a marker can be one of this revision, by time and size.
pub(super) fn may_settle(marker: &Object, archive: &Object) -> bool {
    let is_note = marker.size == 0 && archive.size > LARGEST_COPY_BYTES;
    marker.last_modified >= archive.last_modified && (marker.size == archive.size || is_note)
}

/// Checks whether a marker settles this revision; `copied` is the revision named in the marker's metadata.
///
/// A copy has its source's `ETag` only if both were made in one piece and without KMS. Otherwise the marker's
/// metadata names the revision. A marker without such metadata was made by the script.
pub fn settles(marker: &Object, copied: Option<&str>, archive: &Object) -> bool {
    may_settle(marker, archive)
        && (marker.revision() == archive.revision()
            || copied.is_none_or(|revision| revision == archive.revision()))
}
