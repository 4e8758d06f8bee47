//! Decides which tries of an archive count against it because the function ran out of time.
//!
//! A slow network or cluster must not make an archive bad. So a try counts only if the archive itself took
//! the time.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::problem::Reason;
use crate::progress::Extent;
use crate::queue::Object;

/// The number of times that an archive may be begun without being read to its end.
pub const TRIES: usize = 3;

/// The minimum rate of a download, in bytes a second, if nothing but the archive's size takes the time: a
/// quarter of Lambda's network bandwidth (625 Mbit/s, AWS Lambda quotas).
const FLOWING_BYTES_PER_SECOND: f64 = 20.0e6;

/// The longest wait for S3 that counts as part of a flowing download.
pub const STALL: Duration = Duration::from_secs(2);

/// A reading that was given up because the time was nearly used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// The maximum duration of a reading, if it is the first thing that the function does.
    pub usable: Duration,
    /// The duration of this reading.
    pub took: Duration,
    /// The time spent waiting for S3: for the next bytes, or until S3 took others.
    pub waited: Duration,
    /// The part of that time in waits longer than [`STALL`].
    pub stalled: Duration,
    /// How far the reading came.
    pub extent: Extent,
}

impl Effort {
    /// Checks whether the archive alone is the cause.
    ///
    /// The reading had at least half of the time that a reading may have; S3 was silent for no more than a
    /// tenth of that; and either the processor was the limit, for half of the time or more, or as many bytes
    /// arrived as can be expected.
    pub fn counts(&self) -> bool {
        let had_time = !self.usable.is_zero() && self.took * 2 >= self.usable;
        let was_served = self.stalled * 10 <= self.took;
        let was_busy = self.waited * 2 <= self.took;
        let flowed = self.extent.read_bytes as f64 >= self.took.as_secs_f64() * FLOWING_BYTES_PER_SECOND;
        had_time && was_served && (was_busy || flowed)
    }
}

/// A try that counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Try {
    /// The time when the try ended.
    pub at: DateTime<Utc>,
    /// The duration of the try in whole seconds.
    pub seconds: u64,
    /// How far the try came.
    pub extent: Extent,
}

/// The tries of one upload that counted, as they are stored between invocations. If they are lost, more tries
/// are needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriesNote {
    key: String,
    etag: String,
    last_modified: DateTime<Utc>,
    tries: Vec<Try>,
}

impl TriesNote {
    /// Creates a note without tries.
    pub fn new(archive: &Object) -> Self {
        Self {
            key: archive.key.as_str().to_owned(),
            etag: archive.revision().to_owned(),
            last_modified: archive.last_modified,
            tries: Vec::new(),
        }
    }

    /// Reads a note. The note has no tries if the bytes are about another upload, or are not a note.
    pub fn parse(bytes: &[u8], archive: &Object) -> Self {
        let untried = Self::new(archive);
        match serde_json::from_slice::<Self>(bytes) {
            Ok(note) if Self { tries: Vec::new(), ..note.clone() } == untried => note,
            _ => untried,
        }
    }

    /// Counts one more try.
    pub fn count(&mut self, at: DateTime<Utc>, effort: &Effort) {
        self.tries.push(Try { at, seconds: effort.took.as_secs(), extent: effort.extent });
    }

    /// Returns the number of tries.
    pub fn tries(&self) -> usize {
        self.tries.len()
    }

    /// Returns why the archive is bad, once there were enough tries.
    pub fn reason(&self, archive: &Object) -> Option<Reason> {
        if self.tries.len() < TRIES {
            return None;
        }
        let furthest = self.tries.iter().map(|one| one.extent).max_by_key(|extent| extent.unpacked_bytes)?;
        let seconds = self.tries.iter().rev().take(TRIES).rev().map(|one| one.seconds).collect();
        let Extent { read_bytes, unpacked_bytes, members, rows } = furthest;
        Some(Reason::TookTooLong {
            seconds,
            size_bytes: archive.size,
            read_bytes,
            unpacked_bytes,
            members,
            rows,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn archive() -> Object {
        let last_modified = DateTime::from_timestamp(0, 0).unwrap();
        Object { key: "k".into(), etag: "\"e\"".to_owned(), last_modified, size: 7 }
    }

    fn effort(took: u64, waited: u64, stalled: u64, read_bytes: u64) -> Effort {
        let extent = Extent { read_bytes, ..Extent::default() };
        let (took, waited, stalled) = (seconds(took), seconds(waited), seconds(stalled));
        Effort { usable: seconds(800), took, waited, stalled, extent }
    }

    #[test]
    fn a_try_counts_where_the_archive_itself_took_the_time() {
        for (what, effort, counts) in [
            ("a busy processor", effort(790, 10, 0, 1), true),
            ("half of the time", effort(400, 0, 0, 1), true),
            ("too little of it", effort(399, 0, 0, 1), false),
            ("a slow network", effort(790, 400, 0, 1_000_000_000), false),
            ("a fast network and a large archive", effort(790, 700, 0, 15_800_000_000), true),
            ("silence", effort(790, 80, 80, 15_800_000_000), false),
            ("a little silence", effort(790, 79, 79, 1), true),
            ("no time at all", Effort { usable: Duration::ZERO, ..effort(0, 0, 0, 0) }, false),
        ] {
            assert_eq!(effort.counts(), counts, "{what}");
        }
    }

    #[test]
    fn the_third_try_of_an_upload_is_the_last() {
        let archive = archive();
        let mut note = TriesNote::new(&archive);
        for (n, read_bytes) in [3, 5].into_iter().enumerate() {
            note.count(archive.last_modified, &effort(400 + n as u64, 0, 0, read_bytes));
            assert_eq!(note.reason(&archive), None);
            note = TriesNote::parse(&serde_json::to_vec(&note).unwrap(), &archive);
        }
        let other = Object { etag: "\"f\"".to_owned(), ..archive.clone() };
        assert_eq!(TriesNote::parse(&serde_json::to_vec(&note).unwrap(), &other).tries(), 0);
        note.count(archive.last_modified, &effort(402, 0, 0, 4));
        let Some(Reason::TookTooLong { seconds, size_bytes, .. }) = note.reason(&archive) else {
            panic!("{note:?}")
        };
        assert_eq!((seconds, size_bytes), (vec![400, 401, 402], 7));
    }

    #[test]
    fn what_is_no_note_counts_nothing() {
        for bytes in ["", "{}", "[]", "{\"key\": \"k\", \"tries\": 7}"] {
            assert_eq!(TriesNote::parse(bytes.as_bytes(), &archive()).tries(), 0);
        }
    }
}
