//! A bounded number of parts, whose memory is used again and again.
//!
//! A part counts until the last who reads it has let it go, the HTTP client included: only then is its memory
//! free for the next. So the bound holds whatever the client keeps for another try.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Parts of which so many are there at once.
#[derive(Clone)]
pub(super) struct Pool {
    parts: Arc<Semaphore>,
    buffers: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// A part being filled, or on its way.
pub(super) struct Part {
    buffer: Vec<u8>,
    size_bytes: usize,
    pool: Pool,
    // Given back last, when the buffer already is.
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(parts: usize) -> Self {
        Self { parts: Arc::new(Semaphore::new(parts)), buffers: Arc::default() }
    }

    /// An empty part of `size_bytes`, as soon as there is one.
    pub(super) async fn part(&self, size_bytes: usize) -> io::Result<Part> {
        let permit = Arc::clone(&self.parts)
            .acquire_owned()
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        let buffer = self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let buffer = buffer
            .filter(|buffer| buffer.capacity() >= size_bytes)
            .unwrap_or_else(|| Vec::with_capacity(size_bytes));
        Ok(Part { buffer, size_bytes, pool: self.clone(), _permit: permit })
    }
}

impl Part {
    /// Appends as much as there is room for. Returns how much that was, and whether the part is full.
    pub(super) fn extend(&mut self, bytes: &[u8]) -> (usize, bool) {
        let count = bytes.len().min(self.size_bytes - self.buffer.len());
        self.buffer.extend_from_slice(bytes.get(..count).unwrap_or_default());
        (count, self.buffer.len() == self.size_bytes)
    }

    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
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
    async fn a_part_is_used_again_when_the_last_reader_has_let_it_go() {
        let pool = Pool::new(2);
        let mut first = pool.part(10).await.unwrap();
        assert_eq!(first.extend(b"0123456789ab"), (10, true));
        let memory = first.buffer.as_ptr();
        let bytes = first.into_bytes();
        let kept = bytes.slice(3..5);
        let _second = pool.part(10).await.unwrap();
        drop(bytes);
        assert!(timeout(Duration::from_millis(20), pool.part(10)).await.is_err(), "a third part is there");
        assert_eq!(kept, "34");
        drop(kept);
        let third = pool.part(10).await.unwrap();
        assert_eq!((third.buffer.as_ptr(), third.buffer.len()), (memory, 0));
        drop(third);
        assert!(pool.part(20).await.unwrap().buffer.capacity() >= 20);
    }
}
