//! How far a run has come, for whoever looks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::key::Key;

/// How far the archive that is being read has come. Clones are one.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    archive: Mutex<Option<Reading>>,
    bytes: AtomicU64,
    rows: AtomicU64,
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
        self.set(Some(Reading { key: key.into(), size_bytes, read_bytes: 0, rows: 0 }));
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
}
