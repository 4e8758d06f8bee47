//! What the server holds: buckets with their objects, and multipart uploads that are under way.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use super::blob::Piece;
use super::checksums::{Algorithm, Checksum};
use super::object::Object;

/// A multipart upload that is under way.
pub(super) struct Upload {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) begun: DateTime<Utc>,
    pub(super) content_type: Option<String>,
    pub(super) metadata: HashMap<String, String>,
    /// With which checksum it was begun, if its completion must then repeat that for each part.
    pub(super) algorithm: Option<Algorithm>,
    pub(super) parts: BTreeMap<i32, Part>,
}

/// A part of a multipart upload.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) piece: Piece,
    pub(super) last_modified: DateTime<Utc>,
    pub(super) checksum: Checksum,
}

/// The objects of a bucket by key, in S3's order: UTF-8 binary.
pub(super) type Objects = BTreeMap<String, Object>;

struct Bucket {
    created: DateTime<Utc>,
    objects: Objects,
}

/// The buckets by name, and the uploads into all of them.
#[derive(Default)]
pub(super) struct Buckets {
    by_name: BTreeMap<String, Bucket>,
    /// By upload id.
    pub(super) uploads: HashMap<String, Upload>,
    begun_uploads: u64,
}

impl Buckets {
    pub(super) fn create(&mut self, name: &str) -> &mut Objects {
        &mut self
            .by_name
            .entry(name.to_owned())
            .or_insert_with(|| Bucket { created: Utc::now(), objects: Objects::new() })
            .objects
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Objects> {
        self.by_name.get(name).map(|bucket| &bucket.objects)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Objects> {
        self.by_name.get_mut(name).map(|bucket| &mut bucket.objects)
    }

    /// The buckets' names and when they were made.
    pub(super) fn names(&self) -> Vec<(String, DateTime<Utc>)> {
        self.by_name.iter().map(|(name, bucket)| (name.clone(), bucket.created)).collect()
    }

    /// An id that no other upload has.
    pub(super) fn next_upload_id(&mut self, begun: DateTime<Utc>) -> String {
        self.begun_uploads += 1;
        format!("upload-{}-{}", self.begun_uploads, begun.timestamp_millis())
    }

    pub(super) fn unfinished_uploads(&self) -> usize {
        self.uploads.len()
    }
}
