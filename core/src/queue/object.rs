//! Defines an object of a listing, and what its markers may say of it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::key::Key;

/// The largest object that one request copies: "up to 5 GB" (Amazon S3 API Reference, `CopyObject`). The bad marker of
/// a larger archive is an object without a body, whose metadata says what it stands for.
pub const LARGEST_COPY_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// An object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The key.
    pub key: Key,
    /// The `ETag` as S3 gives it, quotes included.
    pub etag: String,
    /// Whole seconds; for a multipart upload the time at which it began.
    pub last_modified: DateTime<Utc>,
    /// Bytes.
    pub size: u64,
}

impl Object {
    /// The order in which archives are loaded: oldest first, ties by key.
    pub(super) fn load_order(&self) -> (DateTime<Utc>, &str) {
        (self.last_modified, &self.key)
    }

    /// The `ETag` without quotes, as markers and the ledger keep it.
    pub fn revision(&self) -> &str {
        self.etag.trim_matches('"')
    }
}

/// A marker that by time and size may be an archive's, while its `ETag` differs: the marker itself must be
/// asked which revision it is the copy of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmbiguousMarker {
    /// The archive's key.
    pub archive: Key,
    /// When the archive was modified.
    pub last_modified: DateTime<Utc>,
    /// The marker's key.
    pub marker: Key,
}

/// Which revision a marker is the copy of, by the marker's key: what it says of itself, where it was asked.
pub type MarkerRevisions = HashMap<Key, String>;

/// Whether a marker can be one of this revision, by its time and size.
pub(super) fn may_settle(marker: &Object, archive: &Object) -> bool {
    let is_note = marker.size == 0 && archive.size > LARGEST_COPY_BYTES;
    marker.last_modified >= archive.last_modified && (marker.size == archive.size || is_note)
}

/// Whether a marker settles this revision; `copied` is the revision that it says it is a copy of.
///
/// A copy's `ETag` is its source's only where both were made in one piece and without KMS; else the marker itself
/// says what it is the copy of, and one that says nothing was made by the script.
pub fn settles(marker: &Object, copied: Option<&str>, archive: &Object) -> bool {
    may_settle(marker, archive)
        && (marker.revision() == archive.revision()
            || copied.is_none_or(|revision| revision == archive.revision()))
}
