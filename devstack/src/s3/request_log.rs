//! Records the requests and the status of each answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::policy::Permission;

/// A request that was served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The operation, such as `GetObject`; empty if the signature was refused before the operation was known.
    pub operation: String,
    /// The bucket, if one is named.
    pub bucket: Option<String>,
    /// The key, if one is named.
    pub key: Option<String>,
    /// The id of the access key that signed the request.
    pub access_key_id: Option<String>,
    /// The permissions that the request's signer needs.
    pub required_permissions: Vec<Permission>,
    /// The expected account of the bucket, if the request names one.
    pub expected_bucket_owner: Option<String>,
    /// The expected account of the bucket that the request copies from, if the request names one.
    pub expected_source_bucket_owner: Option<String>,
    /// The request's `x-amz-` headers by name, without the token.
    pub headers: BTreeMap<String, String>,
    /// The time at which the request arrived.
    pub at: Instant,
    /// The answer's HTTP status; `None` while the request is carried out, or if no answer was sent.
    pub status: Option<u16>,
}

/// A request in the log, whose status is added later.
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

    /// Returns every request so far, in order.
    pub(super) fn all(&self) -> Vec<Request> {
        self.lock().iter().map(|request| request.lock().clone()).collect()
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }
}
