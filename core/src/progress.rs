//! Counts how far a run has come, for whoever looks, and says whether it is to read on.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::key::Key;

/// How far the archive that is being read has come. Clones are one.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    archive: Mutex<Option<Reading>>,
    bytes: AtomicU64,
    rows: AtomicU64,
    unpacked_bytes: AtomicU64,
    members: AtomicU64,
    waited: Mutex<Waited>,
    is_to_stop: AtomicBool,
    has_stopped: AtomicBool,
}

/// What was spent waiting for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waited {
    /// All of it.
    pub total: Duration,
    /// Waits that took long, each of them.
    pub stalled: Duration,
}

/// How far a reading came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Extent {
    /// Bytes of the archive that were read.
    pub read_bytes: u64,
    /// Bytes that were unpacked of them.
    pub unpacked_bytes: u64,
    /// Files that were read to their ends.
    pub members: u64,
    /// Rows that came out of it.
    pub rows: u64,
}

/// The archive that is being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Its key.
    pub key: Key,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Bytes of it that were read.
    pub read_bytes: u64,
    /// Rows that came out of it.
    pub rows: u64,
}

impl Progress {
    /// An archive's reading begins.
    pub fn begin(&self, key: &str, size_bytes: u64) {
        self.0.bytes.store(0, Ordering::Relaxed);
        self.0.rows.store(0, Ordering::Relaxed);
        self.0.unpacked_bytes.store(0, Ordering::Relaxed);
        self.0.members.store(0, Ordering::Relaxed);
        self.0.is_to_stop.store(false, Ordering::Relaxed);
        self.0.has_stopped.store(false, Ordering::Relaxed);
        self.set(Some(Reading { key: key.into(), size_bytes, read_bytes: 0, rows: 0 }));
    }

    /// What was waited for so far belongs to another archive.
    pub fn forget_waits(&self) {
        *self.0.waited.lock().unwrap_or_else(PoisonError::into_inner) = Waited::default();
    }

    /// It has ended, well or not.
    pub fn end(&self) {
        self.set(None);
    }

    /// So many bytes more were read.
    pub fn read(&self, bytes: usize) {
        self.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// So many rows more came out.
    pub fn rows(&self, rows: u64) {
        self.0.rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// A file was read to its end.
    pub fn member(&self) {
        self.0.members.fetch_add(1, Ordering::Relaxed);
    }

    /// Others were waited for, at a stretch. A wait longer than `stall` is one that brought nothing.
    pub fn waited(&self, wait: Duration, stall: Duration) {
        let mut waited = self.0.waited.lock().unwrap_or_else(PoisonError::into_inner);
        waited.total += wait;
        if wait > stall {
            waited.stalled += wait;
        }
    }

    /// Has the reading end with an error as soon as it reads on.
    pub fn stop(&self) {
        self.0.is_to_stop.store(true, Ordering::Relaxed);
    }

    /// Whether the reading ended since it was told to.
    pub fn has_stopped(&self) -> bool {
        self.0.has_stopped.load(Ordering::Relaxed)
    }

    /// How far the reading has come, or came; and what was waited for meanwhile.
    pub fn extent(&self) -> (Extent, Waited) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { bytes, rows, unpacked_bytes, members, waited, .. } = &*self.0;
        let extent = Extent {
            read_bytes: load(bytes),
            unpacked_bytes: load(unpacked_bytes),
            members: load(members),
            rows: load(rows),
        };
        (extent, *waited.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A reader of what is unpacked, which is counted, and ends when the reading is to stop.
    pub fn counting<R: Read>(&self, unpacked: R) -> impl Read + use<R> {
        Unpacked { reader: unpacked, progress: self.clone() }
    }

    /// What is being read, if anything is.
    pub fn reading(&self) -> Option<Reading> {
        let archive = self.0.archive.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some(Reading {
            read_bytes: self.0.bytes.load(Ordering::Relaxed),
            rows: self.0.rows.load(Ordering::Relaxed),
            ..archive
        })
    }

    fn set(&self, reading: Option<Reading>) {
        *self.0.archive.lock().unwrap_or_else(PoisonError::into_inner) = reading;
    }
}

/// What is unpacked, as it is read.
struct Unpacked<R> {
    reader: R,
    progress: Progress,
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let counters = &self.progress.0;
        if counters.is_to_stop.load(Ordering::Relaxed) {
            counters.has_stopped.store(true, Ordering::Relaxed);
            return Err(io::Error::other("the reading was told to stop"));
        }
        let count = self.reader.read(buffer)?;
        counters.unpacked_bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_that_is_begun_counts_from_nothing() {
        let progress = Progress::default();
        assert_eq!(progress.reading(), None);
        for _ in 0..2 {
            progress.begin("a", 10);
            progress.clone().read(4);
            progress.rows(1000);
            assert_eq!(
                progress.reading(),
                Some(Reading { key: "a".into(), size_bytes: 10, read_bytes: 4, rows: 1000 })
            );
        }
        progress.end();
        assert_eq!(progress.reading(), None);
    }
    #[test]
    fn a_reading_that_is_told_to_stop_reads_no_further() {
        let progress = Progress::default();
        progress.begin("a", 10);
        let mut reader = progress.counting(io::repeat(7));
        reader.read_exact(&mut [0; 5]).unwrap();
        assert!(!progress.has_stopped());
        progress.stop();
        reader.read_exact(&mut [0; 5]).unwrap_err();
        let second = Duration::from_secs(1);
        progress.waited(second, second);
        progress.waited(3 * second, second);
        let (extent, waited) = progress.extent();
        assert!(progress.has_stopped() && extent.unpacked_bytes == 5, "{extent:?}");
        assert_eq!(waited, Waited { total: 4 * second, stalled: 3 * second });
        progress.begin("b", 10);
        reader.read_exact(&mut [0; 5]).unwrap();
    }
}
