//! Defines what an event may ask for.

use chrono::DateTime;
use chrono::Utc;

use crate::key::Key;
use crate::queue::{Object, Selection};

/// What an event, or one message of a batch, asks for. If everything is empty, it is S3's test of a new
/// notification configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// The objects that were created, or restored from an archive storage class.
    pub objects: Vec<ObjectRef>,
    /// The events of S3 that ask for nothing.
    pub passed_over: Vec<PassedOverEvent>,
    /// Whether to work through the whole queue of every dataset.
    pub sweep: bool,
    /// The requests that name a dataset.
    pub by_name: Vec<DatasetAsked>,
}

/// A request for a dataset by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetAsked {
    /// The dataset's name.
    pub name: String,
    /// The archives that are asked for.
    pub selection: Selection,
}

/// An object as an event names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRef {
    /// The bucket's name.
    pub bucket: String,
    /// The key, decoded if the form of the event says that it is encoded.
    pub key: Key,
    /// The decoded key, which is used if no object has `key`: EventBridge's documentation does not say
    /// whether it encodes keys as notifications do. `None` if both are the same.
    pub decoded: Option<Key>,
    /// The revision that the event describes; `None` if the event does not describe it completely, or if
    /// there are two keys.
    ///
    /// Its time is the event's, in whole seconds: "the time when Amazon S3 finished processing the request"
    /// (Amazon S3 User Guide, "Event message structure"). It is never before the object's own time.
    pub upload: Option<Object>,
}

/// An event of S3 that is neither a creation nor a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOverEvent {
    /// The event's name in S3 or EventBridge.
    pub name: String,
    /// The bucket, if the event names one.
    pub bucket: Option<String>,
    /// The key, if the event names one.
    pub key: Option<Key>,
}

impl Asked {
    /// Adds everything that another request asks for.
    pub(super) fn extend(&mut self, other: Self) {
        self.objects.extend(other.objects);
        self.passed_over.extend(other.passed_over);
        self.sweep |= other.sweep;
        self.by_name.extend(other.by_name);
    }
}

impl ObjectRef {
    /// Returns the possible keys of the object: one, or two to be tried in this order.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.key).chain(&self.decoded)
    }
}

/// Returns the revision that an event describes, if that is enough to find its marker.
pub(super) fn upload(
    key: &Key,
    etag: Option<String>,
    size: Option<i64>,
    time: Option<DateTime<Utc>>,
) -> Option<Object> {
    let (etag, size) = (etag.filter(|etag| !etag.is_empty())?, u64::try_from(size?).ok()?);
    // A missing time may arrive as 1970.
    let seconds = time?.timestamp();
    let last_modified = DateTime::from_timestamp(seconds, 0).filter(|_| seconds > 0)?;
    Some(Object { key: key.clone(), etag, last_modified, size })
}
