//! Holds the state that all parts of the server share.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use s3s::dto::ETagCondition;
use s3s::{S3Result, s3_error};

use super::buckets::Buckets;
use super::conditions::check_write;
use super::error::no_bucket;
use super::faults::Faults;
use super::notifications::Notifier;
use super::object::Object;
use super::options::Options;
use super::request_log::RequestLog;
use crate::guard::Directory;

pub(super) struct State {
    buckets: Mutex<Buckets>,
    pub(super) requests: RequestLog,
    pub(super) faults: Faults,
    pub(super) notifier: Notifier,
    /// The directory of the files with the objects' bytes.
    pub(super) directory: Directory,
    pub(super) options: Options,
    time: Mutex<Option<DateTime<Utc>>>,
}

impl State {
    pub(super) fn new(options: Options) -> io::Result<Self> {
        Ok(Self {
            buckets: Mutex::default(),
            requests: RequestLog::default(),
            faults: Faults::default(),
            notifier: Notifier::default(),
            directory: Directory::make("s3-")?,
            options,
            time: Mutex::default(),
        })
    }

    /// Returns the time of an object that is stored now.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.time.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or_else(Utc::now)
    }

    /// Sets the time of objects that are stored from now on; `None` stands for the machine's time.
    pub(super) fn set_time(&self, time: Option<DateTime<Utc>>) {
        *self.time.lock().unwrap_or_else(PoisonError::into_inner) = time;
    }

    pub(super) fn buckets(&self) -> MutexGuard<'_, Buckets> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn object(&self, bucket: &str, key: &str) -> S3Result<Object> {
        let buckets = self.buckets();
        let objects = buckets.get(bucket).ok_or_else(no_bucket)?;
        objects
            .get(key)
            .map(|object| Object::clone(object))
            .ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."))
    }

    /// Stores an object if the conditions are true, notifies targets of it, and returns its `ETag`. The
    /// caller holds the lock of the buckets, so that one of several simultaneous requests is first.
    pub(super) fn insert(
        &self,
        buckets: &mut Buckets,
        (bucket, key): (&str, &str),
        mut object: Object,
        how: &str,
        (if_match, if_none_match): (Option<&ETagCondition>, Option<&ETagCondition>),
    ) -> S3Result<String> {
        buckets.encrypt(bucket, &mut object);
        let objects = buckets.get_mut(bucket).ok_or_else(no_bucket)?;
        check_write(objects.get(key).map(|object| object.etag.as_str()), if_match, if_none_match)?;
        let summary = object.summary(key);
        let etag = object.etag.clone();
        objects.insert(key.to_owned(), Arc::new(object));
        // Still under the lock, so that sequencers have the order of the writes.
        self.notifier.created(&self.options.region, bucket, &summary, how);
        Ok(etag)
    }
}
