//! Defines what an event may ask for.

use chrono::DateTime;
use chrono::Utc;

use crate::key::Key;
use crate::queue::{Object, Selection};

/// What an event, or one message of a batch, asks for. Nothing, if all of it is empty: S3's test of a new
/// notification configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Objects that were created, or came back from an archive storage class.
    pub objects: Vec<ObjectRef>,
    /// Events of S3 that ask for nothing.
    pub passed_over: Vec<PassedOverEvent>,
    /// Whether to work through the whole queue of every dataset.
    pub sweep: bool,
    /// What is asked of a dataset by its name.
    pub by_name: Vec<DatasetAsked>,
}

/// What is asked of a dataset by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetAsked {
    /// The dataset's name.
    pub name: String,
    /// Which archives of it.
    pub selection: Selection,
}

/// An object as an event names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRef {
    /// The bucket.
    pub bucket: String,
    /// The key, decoded where the form of the event says that it is encoded.
    pub key: Key,
    /// The key that is meant if there is no object under `key`: EventBridge's documentation does not say whether it
    /// encodes keys as notifications do. None where both are the same.
    pub decoded: Option<Key>,
    /// The revision that the event tells of; none where it does not say all of it, or where there are two keys.
    ///
    /// Its time is the event's, in whole seconds: "the time when Amazon S3 finished processing the request" (Amazon
    /// S3 User Guide, "Event message structure"), never before the object's own.
    pub upload: Option<Object>,
}

/// An event of S3 that is neither a creation nor a return from an archive storage class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOverEvent {
    /// The event's name, as S3 or EventBridge has it.
    pub name: String,
    /// The bucket, if it names one.
    pub bucket: Option<String>,
    /// The key, if it names one.
    pub key: Option<Key>,
}

impl Asked {
    /// Asks for all that another asks for, too.
    pub(super) fn extend(&mut self, other: Self) {
        self.objects.extend(other.objects);
        self.passed_over.extend(other.passed_over);
        self.sweep |= other.sweep;
        self.by_name.extend(other.by_name);
    }
}

impl ObjectRef {
    /// The keys that it may have: one, or two that are tried in this order.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.key).chain(&self.decoded)
    }
}

/// What an event says of a revision, if that is enough to find its marker.
pub(super) fn upload(
    key: &Key,
    etag: Option<String>,
    size: Option<i64>,
    time: Option<DateTime<Utc>>,
) -> Option<Object> {
    let (etag, size) = (etag.filter(|etag| !etag.is_empty())?, u64::try_from(size?).ok()?);
    // A time that the event does not give may come as 1970.
    let seconds = time?.timestamp();
    let last_modified = DateTime::from_timestamp(seconds, 0).filter(|_| seconds > 0)?;
    Some(Object { key: key.clone(), etag, last_modified, size })
}
