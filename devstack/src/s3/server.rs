//! Controls the running server, for the stack and its tests.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use s3s::dto::ServerSideEncryption;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::access::AccessControl;
use super::backend::Backend;
use super::checksums::Algorithm;
use super::connections;
use super::faults::Fault;
use super::notifications::Notification;
use super::object::{Object, ObjectSummary, TagsAndKey};
use super::options::Options;
use super::request_log::Request;
use super::state::State;

/// A running server. Dropping it stops it and removes its files.
pub struct S3 {
    address: SocketAddr,
    state: Arc<State>,
    server: JoinHandle<()>,
}

impl S3 {
    /// Starts a server.
    ///
    /// # Errors
    ///
    /// The port cannot be bound, or the temporary directory cannot be created.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::new(options)?);
        let mut service = S3ServiceBuilder::new(Backend(Arc::clone(&state)));
        service.set_auth(AccessControl(Arc::clone(&state)));
        service.set_access(AccessControl(Arc::clone(&state)));
        let server = tokio::spawn(connections::serve(listener, service.build(), Arc::clone(&state)));
        Ok(Self { address, state, server })
    }

    /// Returns the port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the server's URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Creates a bucket, if it does not exist.
    pub fn create_bucket(&self, name: &str) {
        self.state.buckets().create(name);
    }

    /// Puts an object with a given time. Sends no notification.
    ///
    /// # Errors
    ///
    /// The file of the object cannot be written.
    pub fn put_at(
        &self,
        bucket: &str,
        key: &str,
        bytes: &[u8],
        last_modified: DateTime<Utc>,
    ) -> io::Result<()> {
        let mut object = Object::of_bytes(self.state.directory.path(), bytes, last_modified)?;
        let mut buckets = self.state.buckets();
        buckets.encrypt(bucket, &mut object);
        buckets.create(bucket).insert(key.to_owned(), Arc::new(object));
        Ok(())
    }

    /// Puts the same bytes under many keys. Sends no notification.
    ///
    /// # Errors
    ///
    /// The file of the object cannot be written.
    pub fn put_all_at(
        &self,
        bucket: &str,
        keys: impl IntoIterator<Item = String>,
        bytes: &[u8],
        last_modified: DateTime<Utc>,
    ) -> io::Result<()> {
        let object = Arc::new(Object::of_bytes(self.state.directory.path(), bytes, last_modified)?);
        self.state.buckets().create(bucket).extend(keys.into_iter().map(|key| (key, Arc::clone(&object))));
        Ok(())
    }

    /// Puts an object as if it was uploaded in parts: its `ETag` is not its MD5, and its time is the time
    /// at which the upload began. Sends no notification.
    ///
    /// # Errors
    ///
    /// The file of the object cannot be written.
    pub fn put_multipart_at(
        &self,
        bucket: &str,
        key: &str,
        parts: &[&[u8]],
        begun: DateTime<Utc>,
    ) -> io::Result<()> {
        let mut object = Object::of_parts(self.state.directory.path(), parts, begun)?;
        let mut buckets = self.state.buckets();
        buckets.encrypt(bucket, &mut object);
        buckets.create(bucket).insert(key.to_owned(), Arc::new(object));
        Ok(())
    }

    /// Gives an existing object tags and a KMS key, as if it was encrypted with that key.
    ///
    /// # Errors
    ///
    /// The object does not exist.
    pub fn set_tags_and_key(
        &self,
        bucket: &str,
        key: &str,
        tags: &[(&str, &str)],
        kms_key: Option<&str>,
    ) -> io::Result<()> {
        let mut buckets = self.state.buckets();
        let object = buckets.get_mut(bucket).and_then(|objects| objects.get_mut(key));
        let object = Arc::make_mut(object.ok_or(io::ErrorKind::NotFound)?);
        object.tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let kind = kms_key.map(|_| ServerSideEncryption::from_static(ServerSideEncryption::AWS_KMS));
        object.encryption = (kind, kms_key.map(str::to_owned));
        Ok(())
    }

    /// Makes a bucket encrypt objects with a KMS key from now on, unless their writer names an encryption.
    pub fn encrypt_by_default(&self, bucket: &str, kms_key: &str) {
        self.state.buckets().encrypt_by_default(bucket, kms_key);
    }

    /// Returns the tags and the encryption of an object; `None` if it does not exist.
    pub fn tags_and_key(&self, bucket: &str, key: &str) -> Option<TagsAndKey> {
        let object = self.state.object(bucket, key).ok()?;
        Some(TagsAndKey { tags: object.tags, kms_key: object.encryption.1 })
    }

    /// Stores a checksum of an existing object: of the whole object, or composite if it was uploaded in
    /// parts.
    ///
    /// # Errors
    ///
    /// The file of the object cannot be read, or the object does not exist.
    pub fn keep_checksum(&self, bucket: &str, key: &str, algorithm: Algorithm) -> io::Result<()> {
        let mut buckets = self.state.buckets();
        let object = buckets.create(bucket).get_mut(key).ok_or(io::ErrorKind::NotFound)?;
        let checksum = object.compute_kept_checksum(algorithm)?;
        Arc::make_mut(object).checksum = Some(checksum);
        Ok(())
    }

    /// Makes an existing object report a size, so that a test need not write that many bytes.
    pub fn claim_size(&self, bucket: &str, key: &str, bytes: u64) {
        if let Some(object) = self.state.buckets().create(bucket).get_mut(key) {
            Arc::make_mut(object).claimed_bytes = Some(bytes);
        }
    }

    /// Deletes every object of a bucket and every unfinished upload into it.
    pub fn empty_bucket(&self, bucket: &str) {
        let mut buckets = self.state.buckets();
        buckets.create(bucket).clear();
        buckets.uploads.retain(|_, upload| upload.bucket != bucket);
    }

    /// Sets the time of objects that are stored from now on; `None` stands for the machine's time.
    pub fn set_time(&self, time: Option<DateTime<Utc>>) {
        self.state.set_time(time);
    }

    /// Returns the objects of a bucket, in key order.
    pub fn objects(&self, bucket: &str) -> Vec<ObjectSummary> {
        self.state
            .buckets()
            .get(bucket)
            .map(|objects| objects.iter().map(|(key, object)| object.summary(key)).collect())
            .unwrap_or_default()
    }

    /// Returns an object's bytes, if it exists.
    pub fn read(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let object = self.state.buckets().get(bucket)?.get(key)?.clone();
        object.read_all().ok()
    }

    /// Returns an object's metadata, if it exists.
    pub fn metadata(&self, bucket: &str, key: &str) -> Option<HashMap<String, String>> {
        Some(self.state.buckets().get(bucket)?.get(key)?.metadata.clone())
    }

    /// Returns the number of multipart uploads that are neither completed nor aborted.
    pub fn unfinished_uploads(&self) -> usize {
        self.state.buckets().unfinished_uploads()
    }

    /// Sends a notification of every matching object created from now on.
    pub fn notify(&self, notification: Notification) {
        self.state.notifier.add(notification);
    }

    /// Returns every request so far, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.state.requests.all()
    }

    /// Removes the requests so far from the log.
    pub fn clear_requests(&self) {
        self.state.requests.clear();
    }

    /// Injects a fault into matching requests from now on.
    pub fn inject(&self, fault: Fault) {
        self.state.faults.add(fault);
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.state.faults.clear();
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.server.abort();
        // The files are removed at once, not when the last connection ends. A reader that has one open can
        // read on.
        let _ = std::fs::remove_dir_all(self.state.directory.path());
    }
}
