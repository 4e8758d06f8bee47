//! Records the requests that came, and how each was answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::policy::Permission;

/// A request that was served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The operation, such as `GetObject`; empty where the signature was refused, before the operation was
    /// looked at.
    pub operation: String,
    /// The bucket, where one is named.
    pub bucket: Option<String>,
    /// The key, where one is named.
    pub key: Option<String>,
    /// The id of the access key that signed it.
    pub access_key_id: Option<String>,
    /// What its signer must be allowed to do.
    pub required_permissions: Vec<Permission>,
    /// The account that the bucket must belong to, where the request says so.
    pub expected_bucket_owner: Option<String>,
    /// The same for the bucket that it copies from.
    pub expected_source_bucket_owner: Option<String>,
    /// Its headers of S3's own (`x-amz-...`) but the token, by name.
    pub headers: BTreeMap<String, String>,
    /// When it came.
    pub at: Instant,
    /// The answer's HTTP status; none while it is carried out, and where no answer was let through.
    pub status: Option<u16>,
}

/// A request in the log, whose status comes later.
#[derive(Clone)]
pub(super) struct LoggedRequest(Arc<Mutex<Request>>);

impl LoggedRequest {
    fn lock(&self) -> MutexGuard<'_, Request> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_status(&self, status: u16) {
        self.lock().status = Some(status);
    }
}

#[derive(Default)]
pub(super) struct RequestLog(Mutex<Vec<LoggedRequest>>);

impl RequestLog {
    fn lock(&self) -> MutexGuard<'_, Vec<LoggedRequest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, request: Request) -> LoggedRequest {
        let logged = LoggedRequest(Arc::new(Mutex::new(request)));
        self.lock().push(logged.clone());
        logged
    }

    /// Every request so far, in the order in which it came.
    pub(super) fn all(&self) -> Vec<Request> {
        self.lock().iter().map(|request| request.lock().clone()).collect()
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }
}
