//! Provides a bounded number of buffers, whose memory is reused.
//!
//! A buffer counts until its last reader has released it, including the HTTP client: only then is its memory
//! free for the next. So the bound holds whatever the client keeps for another try.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A pool with a fixed number of buffers.
#[derive(Clone)]
pub(super) struct BufferPool {
    permits: Arc<Semaphore>,
    buffers: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// A buffer that is being filled or sent.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    pool: BufferPool,
    // This is released last, after the buffer was returned to the pool.
    _permit: OwnedSemaphorePermit,
}

impl BufferPool {
    pub(super) fn new(buffers: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(buffers)), buffers: Arc::default() }
    }

    /// Returns an empty buffer with room for `size_bytes`, as soon as one is free.
    pub(super) async fn buffer(&self, size_bytes: usize) -> io::Result<Buffer> {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        let buffer = self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let buffer = buffer
            .filter(|buffer| buffer.capacity() >= size_bytes)
            .unwrap_or_else(|| Vec::with_capacity(size_bytes));
        Ok(Buffer { bytes: buffer, pool: self.clone(), _permit: permit })
    }
}

impl Buffer {
    /// Appends bytes, and allocates more memory only if they need it.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Lets `work` append to the bytes.
    pub(super) fn with_bytes<T>(&mut self, work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        work(&mut self.bytes)
    }

    /// Returns the number of bytes in the buffer.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.bytes);
        buffer.clear();
        self.pool.buffers.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test]
    async fn a_buffer_is_used_again_when_the_last_reader_has_let_it_go() {
        let pool = BufferPool::new(2);
        let mut first = pool.buffer(10).await.unwrap();
        first.extend(b"0123456789");
        let memory = first.bytes.as_ptr();
        let bytes = first.into_bytes();
        let kept = bytes.slice(3..5);
        let _second = pool.buffer(10).await.unwrap();
        drop(bytes);
        assert!(
            timeout(Duration::from_millis(20), pool.buffer(10)).await.is_err(),
            "a third buffer is there"
        );
        assert_eq!(kept, "34");
        drop(kept);
        let third = pool.buffer(10).await.unwrap();
        assert_eq!((third.bytes.as_ptr(), third.bytes.len()), (memory, 0));
        drop(third);
        assert!(pool.buffer(20).await.unwrap().bytes.capacity() >= 20);
    }
}
