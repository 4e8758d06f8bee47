//! Counts how far a run has come, and says whether it is to continue reading.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::key::Key;

/// The progress of the archive that is being read. All clones share it.
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

/// The time spent waiting for S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waited {
    /// The total time.
    pub total: Duration,
    /// The part in waits that were each longer than the limit.
    pub stalled: Duration,
}

/// How far a reading came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Extent {
    /// The number of bytes of the archive that were read.
    pub read_bytes: u64,
    /// The number of bytes that were unpacked from them.
    pub unpacked_bytes: u64,
    /// The number of files that were read to their ends.
    pub members: u64,
    /// The number of rows found.
    pub rows: u64,
}

/// The archive that is being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The archive's key.
    pub key: Key,
    /// The archive's size in bytes.
    pub size_bytes: u64,
    /// The number of bytes of the archive that were read.
    pub read_bytes: u64,
    /// The number of rows found.
    pub rows: u64,
}

impl Progress {
    /// Begins the reading of an archive.
    pub fn begin(&self, key: &str, size_bytes: u64) {
        self.0.bytes.store(0, Ordering::Relaxed);
        self.0.rows.store(0, Ordering::Relaxed);
        self.0.unpacked_bytes.store(0, Ordering::Relaxed);
        self.0.members.store(0, Ordering::Relaxed);
        self.0.is_to_stop.store(false, Ordering::Relaxed);
        self.0.has_stopped.store(false, Ordering::Relaxed);
        self.set(Some(Reading { key: key.into(), size_bytes, read_bytes: 0, rows: 0 }));
    }

    /// Clears the waits so far, which belong to another archive.
    pub fn forget_waits(&self) {
        *self.0.waited.lock().unwrap_or_else(PoisonError::into_inner) = Waited::default();
    }

    /// Ends the reading, successful or not.
    pub fn end(&self) {
        self.set(None);
    }

    /// Counts bytes that were read.
    pub fn read(&self, bytes: usize) {
        self.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts rows that were found.
    pub fn rows(&self, rows: u64) {
        self.0.rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// Counts a file that was read to its end.
    pub fn member(&self) {
        self.0.members.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a wait without interruption. A wait longer than `stall` counts as stalled.
    pub fn waited(&self, wait: Duration, stall: Duration) {
        let mut waited = self.0.waited.lock().unwrap_or_else(PoisonError::into_inner);
        waited.total += wait;
        if wait > stall {
            waited.stalled += wait;
        }
    }

    /// Makes the reading end with an error at its next read.
    pub fn stop(&self) {
        self.0.is_to_stop.store(true, Ordering::Relaxed);
    }

    /// Checks whether the reading ended because it was told to stop.
    pub fn has_stopped(&self) -> bool {
        self.0.has_stopped.load(Ordering::Relaxed)
    }

    /// Returns how far the reading has come, and the time that it waited.
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

    /// Returns a reader that counts unpacked bytes, and ends when the reading is to stop.
    pub fn counting<R: Read>(&self, unpacked: R) -> impl Read + use<R> {
        Unpacked { reader: unpacked, progress: self.clone() }
    }

    /// Returns the archive that is being read, if there is one.
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

/// A reader of unpacked bytes.
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
