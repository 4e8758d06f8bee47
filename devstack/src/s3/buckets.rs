//! Holds buckets with their objects, and multipart uploads in progress.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use s3s::dto::ServerSideEncryption;

use super::blob::Piece;
use super::checksums::{Algorithm, Checksum};
use super::object::{ContentHeaders, Object};

/// A multipart upload in progress.
pub(super) struct Upload {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) begun: DateTime<Utc>,
    pub(super) headers: ContentHeaders,
    pub(super) metadata: HashMap<String, String>,
    pub(super) tags: Vec<(String, String)>,
    pub(super) encryption: (Option<ServerSideEncryption>, Option<String>),
    /// The checksum algorithm with which the upload began, if its completion must repeat each part's
    /// checksum.
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

/// The objects of a bucket by key, in S3's order (UTF-8 binary). Millions of similar objects can share their
/// contents.
pub(super) type Objects = BTreeMap<String, Arc<Object>>;

struct Bucket {
    created: DateTime<Utc>,
    objects: Objects,
    /// The KMS key that encrypts objects by default.
    kms_key: Option<String>,
}

/// The buckets by name, and the uploads into all of them.
#[derive(Default)]
pub(super) struct Buckets {
    by_name: BTreeMap<String, Bucket>,
    /// The uploads by id.
    pub(super) uploads: HashMap<String, Upload>,
    begun_uploads: u64,
    encrypted: u64,
}

impl Buckets {
    pub(super) fn create(&mut self, name: &str) -> &mut Objects {
        &mut self
            .by_name
            .entry(name.to_owned())
            .or_insert_with(|| Bucket { created: Utc::now(), objects: Objects::new(), kms_key: None })
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

    /// Makes a bucket encrypt objects with a KMS key by default.
    pub(super) fn encrypt_by_default(&mut self, name: &str, kms_key: &str) {
        self.create(name);
        if let Some(bucket) = self.by_name.get_mut(name) {
            bucket.kms_key = Some(kms_key.to_owned());
        }
    }

    /// Returns the KMS key with which a bucket encrypts objects by default.
    pub(super) fn kms_key(&self, name: &str) -> Option<&str> {
        self.by_name.get(name)?.kms_key.as_deref()
    }

    /// Marks an object that is about to be stored as encrypted with the bucket's KMS key, unless it names an
    /// encryption. With a KMS key, the object gets another `ETag`, even if another object has the same bytes:
    /// "Objects encrypted by SSE-C or SSE-KMS have ETags that are not an MD5 digest of their object data"
    /// (Amazon S3 API Reference, `Object`).
    pub(super) fn encrypt(&mut self, name: &str, object: &mut Object) {
        if object.encryption.0.is_none()
            && let Some(key) = self.kms_key(name)
        {
            let kind = ServerSideEncryption::from_static(ServerSideEncryption::AWS_KMS);
            object.encryption = (Some(kind), Some(key.to_owned()));
        }
        if object.encryption.0.as_ref().is_some_and(|kind| kind.as_str() != ServerSideEncryption::AES256) {
            self.encrypted += 1;
            object.replace_etag(self.encrypted);
        }
    }

    /// Returns the buckets' names and creation times.
    pub(super) fn names(&self) -> Vec<(String, DateTime<Utc>)> {
        self.by_name.iter().map(|(name, bucket)| (name.clone(), bucket.created)).collect()
    }

    /// Returns an id that no other upload has.
    pub(super) fn next_upload_id(&mut self, begun: DateTime<Utc>) -> String {
        self.begun_uploads += 1;
        format!("upload-{}-{}", self.begun_uploads, begun.timestamp_millis())
    }

    pub(super) fn unfinished_uploads(&self) -> usize {
        self.uploads.len()
    }
}
