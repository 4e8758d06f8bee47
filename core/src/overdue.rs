//! Decides which tries at an archive count against it because the function ran out of time.
//!
//! A function that is slow by the network's or the cluster's fault must not make an archive bad. So a try counts only
//! where the archive itself took the time.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::problem::Reason;
use crate::progress::Extent;
use crate::queue::Object;

/// How often an archive may be begun and not be read to its end.
pub const TRIES: usize = 3;

/// Bytes a second that a download brings at the least where nobody is slow but the archive large: a fourth of what
/// Lambda's network carries (625 Mbit/s, AWS Lambda quotas).
const FLOWING_BYTES_PER_SECOND: f64 = 20.0e6;

/// A single wait for S3 that is longer is no flow of data.
pub const STALL: Duration = Duration::from_secs(2);

/// A reading that was given up since the time was nearly up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// What a reading may take at the most, if it is the first thing that the function does.
    pub usable: Duration,
    /// What this one took.
    pub took: Duration,
    /// How much of it was spent waiting for S3: for the next bytes, or until it has taken others.
    pub waited: Duration,
    /// How much of that in waits that were longer than [`STALL`].
    pub stalled: Duration,
    /// How far it came.
    pub extent: Extent,
}

impl Effort {
    /// Whether the archive is to blame, and nobody else.
    ///
    /// It had at least half of the time that a reading may have; S3 was not silent for more than a tenth of that; and
    /// either the processor was the limit, for half of the time or more, or as many bytes came as can be expected.
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
    /// When it ended.
    pub at: DateTime<Utc>,
    /// Whole seconds that it took.
    pub seconds: u64,
    /// How far it came.
    pub extent: Extent,
}

/// The tries of one upload that counted, as they are kept between invocations. They may be lost: then it takes more of
/// them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriesNote {
    key: String,
    etag: String,
    last_modified: DateTime<Utc>,
    tries: Vec<Try>,
}

impl TriesNote {
    /// An upload without any.
    pub fn new(archive: &Object) -> Self {
        Self {
            key: archive.key.as_str().to_owned(),
            etag: archive.revision().to_owned(),
            last_modified: archive.last_modified,
            tries: Vec::new(),
        }
    }

    /// As it is read back; without any tries where it tells of another upload, or is none.
    pub fn parse(bytes: &[u8], archive: &Object) -> Self {
        let untried = Self::new(archive);
        match serde_json::from_slice::<Self>(bytes) {
            Ok(note) if Self { tries: Vec::new(), ..note.clone() } == untried => note,
            _ => untried,
        }
    }

    /// Counts one more.
    pub fn count(&mut self, at: DateTime<Utc>, effort: &Effort) {
        self.tries.push(Try { at, seconds: effort.took.as_secs(), extent: effort.extent });
    }

    /// How many there were.
    pub fn tries(&self) -> usize {
        self.tries.len()
    }

    /// Why the archive is bad, once there were enough of them.
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
