//! A local S3 that is strict where S3 is strict.
//!
//! The `s3s` crate speaks HTTP, `SigV4` and XML; the backend is our own, since the known local servers let
//! pass what the loader relies on being refused: conditions on reads and copies, part sizes and `ETag`s,
//! session tokens.

mod access;
mod backend;
mod checksums;
mod conditions;
mod faults;
mod listing;
mod multipart;
mod notify;
mod objects;
pub mod policy;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3Error, S3ErrorCode};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use self::faults::{Action, Fault, Pause};
pub use self::notify::{Notification, Target};
pub use self::objects::ObjectSummary;

use self::access::Gate;
use self::backend::Backend;
use self::faults::Faults;
use self::notify::Notifier;
use self::objects::Buckets;
use self::policy::{Need, Policy};

/// Keys that the server accepts.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The key's id.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: String,
    /// The token without which temporary keys are refused.
    pub session_token: Option<String>,
    /// Operations that these keys may not use, such as `PutObject`.
    pub denied: Vec<String>,
    /// What alone they may do, where that is limited.
    pub policy: Option<Arc<Policy>>,
}

impl Credentials {
    /// Lasting keys without limits.
    pub fn lasting(access_key_id: &str, secret_access_key: &str) -> Self {
        let (access_key_id, secret_access_key) = (access_key_id.to_owned(), secret_access_key.to_owned());
        Self { access_key_id, secret_access_key, session_token: None, denied: Vec::new(), policy: None }
    }

    /// Temporary keys, as a Lambda function or a role has them.
    pub fn temporary(access_key_id: &str, secret_access_key: &str, session_token: &str) -> Self {
        Self {
            session_token: Some(session_token.to_owned()),
            ..Self::lasting(access_key_id, secret_access_key)
        }
    }

    /// The same keys without the right to an operation.
    #[must_use]
    pub fn denying(mut self, operation: &str) -> Self {
        self.denied.push(operation.to_owned());
        self
    }

    /// The same keys, limited to what a policy allows.
    #[must_use]
    pub fn limited_to(mut self, policy: Policy) -> Self {
        self.policy = Some(Arc::new(policy));
        self
    }
}

/// How to start the server.
#[derive(Clone)]
pub struct Options {
    /// The port on 127.0.0.1; 0 for any free one.
    pub port: u16,
    /// The keys to accept.
    pub credentials: Vec<Credentials>,
    /// Keys on a page of a listing; S3 has 1000.
    pub page_keys: usize,
    /// The region that buckets and notifications name. Any is accepted in a signature.
    pub region: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            credentials: vec![Credentials::lasting(
                "AKIADEVSTACK00000000",
                "devstack/not/a/secret/0000000000000000000",
            )],
            page_keys: 1000,
            region: "ca-central-1".to_owned(),
        }
    }
}

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
    pub needs: Vec<Need>,
    /// When it came.
    pub at: Instant,
    /// The answer's HTTP status; none while it is carried out, and where no answer was let through.
    pub status: Option<u16>,
}

/// What all parts of the server share.
struct Shared {
    buckets: Mutex<Buckets>,
    requests: Mutex<Vec<Logged>>,
    faults: Faults,
    notifier: Notifier,
    directory: tempfile::TempDir,
    options: Options,
    time: Mutex<Option<DateTime<Utc>>>,
}

impl Shared {
    /// The time of what is stored now.
    fn now(&self) -> DateTime<Utc> {
        self.time.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or_else(Utc::now)
    }

    fn buckets(&self) -> MutexGuard<'_, Buckets> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, request: Request) -> Logged {
        let logged = Arc::new(Mutex::new(request));
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&logged));
        logged
    }
}

/// An error with a code and a status of our choice, for what `s3s` does not know or gives another status.
fn error_named(code: &str, status: http::StatusCode, message: &'static str) -> S3Error {
    let mut error = S3Error::with_message(
        S3ErrorCode::from_bytes(code.as_bytes()).unwrap_or(S3ErrorCode::InternalError),
        message,
    );
    error.set_status_code(status);
    error
}

/// A request in the log, whose status comes later.
type Logged = Arc<Mutex<Request>>;

/// A running server. Dropping it stops it and removes its files.
pub struct S3 {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

/// What goes along with a request.
#[derive(Clone, Default)]
struct Passage(Arc<PassageState>);

#[derive(Default)]
struct PassageState {
    /// The answer must not arrive.
    hangup: AtomicBool,
    /// What happens in place of the answer.
    then: OnceLock<Arc<dyn Fn() + Send + Sync>>,
    logged: OnceLock<Logged>,
}

impl S3 {
    /// Starts a server.
    ///
    /// # Errors
    ///
    /// The port's or the temporary directory's.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            buckets: Mutex::default(),
            requests: Mutex::default(),
            faults: Faults::default(),
            notifier: Notifier::default(),
            directory: tempfile::Builder::new().prefix("s3-").tempdir()?,
            options,
            time: Mutex::default(),
        });
        let mut service = S3ServiceBuilder::new(Backend(Arc::clone(&shared)));
        service.set_auth(Gate(Arc::clone(&shared)));
        service.set_access(Gate(Arc::clone(&shared)));
        let server = tokio::spawn(serve(listener, service.build(), Arc::clone(&shared)));
        Ok(Self { address, shared, server })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The server's URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes a bucket, if it is not there.
    pub fn create_bucket(&self, name: &str) {
        self.shared.buckets().create(name);
    }

    /// Puts an object with a time of the caller's choice. Sends no notification.
    ///
    /// # Errors
    ///
    /// The temporary directory's.
    pub fn put_at(
        &self,
        bucket: &str,
        key: &str,
        bytes: &[u8],
        last_modified: DateTime<Utc>,
    ) -> io::Result<()> {
        let object = objects::Object::of_bytes(self.shared.directory.path(), bytes, last_modified)?;
        self.shared.buckets().create(bucket).insert(key.to_owned(), object);
        Ok(())
    }

    /// Puts the same bytes under many keys. Sends no notification.
    ///
    /// # Errors
    ///
    /// The temporary directory's.
    pub fn put_all_at(
        &self,
        bucket: &str,
        keys: impl IntoIterator<Item = String>,
        bytes: &[u8],
        last_modified: DateTime<Utc>,
    ) -> io::Result<()> {
        let object = objects::Object::of_bytes(self.shared.directory.path(), bytes, last_modified)?;
        self.shared.buckets().create(bucket).extend(keys.into_iter().map(|key| (key, object.clone())));
        Ok(())
    }

    /// Puts an object that was uploaded in parts, whose `ETag` is therefore no MD5 of it and whose time is
    /// that at which the upload began. Sends no notification.
    ///
    /// # Errors
    ///
    /// The temporary directory's.
    pub fn put_in_parts_at(
        &self,
        bucket: &str,
        key: &str,
        parts: &[&[u8]],
        begun: DateTime<Utc>,
    ) -> io::Result<()> {
        let object = objects::Object::of_parts(self.shared.directory.path(), parts, begun)?;
        self.shared.buckets().create(bucket).insert(key.to_owned(), object);
        Ok(())
    }

    /// Removes every object of a bucket and every unfinished upload.
    pub fn empty_bucket(&self, bucket: &str) {
        let mut buckets = self.shared.buckets();
        buckets.create(bucket).clear();
        buckets.uploads.retain(|_, upload| upload.bucket != bucket);
    }

    /// Sets the time of everything that is stored from now on; none for the machine's.
    pub fn set_time(&self, time: Option<DateTime<Utc>>) {
        *self.shared.time.lock().unwrap_or_else(PoisonError::into_inner) = time;
    }

    /// The objects of a bucket, in key order.
    pub fn objects(&self, bucket: &str) -> Vec<ObjectSummary> {
        self.shared
            .buckets()
            .get(bucket)
            .map(|objects| objects.iter().map(|(key, object)| object.summary(key)).collect())
            .unwrap_or_default()
    }

    /// An object's bytes, if it is there.
    pub fn read(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let object = self.shared.buckets().get(bucket)?.get(key)?.clone();
        object.read_all().ok()
    }

    /// An object's metadata, if it is there.
    pub fn metadata(&self, bucket: &str, key: &str) -> Option<HashMap<String, String>> {
        Some(self.shared.buckets().get(bucket)?.get(key)?.metadata.clone())
    }

    /// Uploads that were begun and neither completed nor aborted.
    pub fn unfinished_uploads(&self) -> usize {
        self.shared.buckets().unfinished_uploads()
    }

    /// Sends a notification of every object created from now on that fits.
    pub fn notify(&self, notification: Notification) {
        self.shared.notifier.add(notification);
    }

    /// Every request so far, in the order in which it came.
    pub fn requests(&self) -> Vec<Request> {
        let logged = self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner);
        logged.iter().map(|request| request.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Makes requests fail from now on.
    pub fn inject(&self, fault: Fault) {
        self.shared.faults.add(fault);
    }

    /// Lets requests succeed again.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.server.abort();
        // At once, and not when the last connection ends; who has a file open reads on.
        let _ = std::fs::remove_dir_all(self.shared.directory.path());
    }
}

async fn serve(listener: TcpListener, service: S3Service, shared: Arc<Shared>) {
    // Connections end with the server, not after it.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, or a client that gave up: neither is the end.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let (service, shared) = (service.clone(), Arc::clone(&shared));
        let _ = stream.set_nodelay(true);
        connections.spawn(async move {
            let answer = service_fn(move |request| answer(service.clone(), Arc::clone(&shared), request));
            let http = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            if let Err(error) = http.serve_connection(TokioIo::new(stream), answer).await {
                tracing::debug!(%error, "a connection ended");
            }
        });
    }
}

async fn answer(
    service: S3Service,
    shared: Arc<Shared>,
    mut request: hyper::Request<Incoming>,
) -> io::Result<s3s::HttpResponse> {
    let passage = Passage::default();
    request.extensions_mut().insert(passage.clone());
    let signer = signer(request.headers());
    let response = service.call(request.map(s3s::Body::from)).await;
    let logged = passage.0.logged.get_or_init(|| {
        shared.log(Request {
            operation: String::new(),
            bucket: None,
            key: None,
            access_key_id: signer,
            needs: Vec::new(),
            at: Instant::now(),
            status: None,
        })
    });
    if let Some(act) = passage.0.then.get() {
        act();
        return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
    }
    if passage.0.hangup.load(Ordering::Relaxed) {
        return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
    }
    let response = response.map_err(|error| io::Error::other(format!("{error:?}")))?;
    logged.lock().unwrap_or_else(PoisonError::into_inner).status = Some(response.status().as_u16());
    Ok(response)
}

/// The id of the access key that a signature names, whether or not it is right.
fn signer(headers: &http::HeaderMap) -> Option<String> {
    let (_, credential) = headers.get("authorization")?.to_str().ok()?.split_once("Credential=")?;
    credential.split('/').next().map(str::to_owned)
}
