//! Decides about the lease of a dataset: which run works on its queue, and how long other runs may rely on
//! that.
//!
//! A lease saves work and decides nothing: the ledger prevents an archive from being loaded twice. A lease
//! may be lost, left behind, or ignored.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The time for which a lease is valid unless it is renewed. After its holder dies, no run works on
/// the queue for at most this long. It is long enough for three renewals.
pub const LEASE: Duration = Duration::from_secs(20);

/// The interval at which the holder renews its lease.
pub const RENEWED_AFTER: Duration = Duration::from_secs(6);

/// The contents of a lease's object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseNote {
    /// The run that holds the lease, by its request's id.
    pub holder: String,
    /// The time at which the lease expires, by its holder's clock.
    pub until: DateTime<Utc>,
}

impl LeaseNote {
    /// Creates a lease that begins at `now` and does not exceed the time that its holder has `left`.
    pub fn new(holder: &str, now: DateTime<Utc>, left: Option<Duration>) -> Self {
        Self { holder: holder.to_owned(), until: now + left.map_or(LEASE, |left| left.min(LEASE)) }
    }

    /// Reads a lease; `None` if the bytes are not a lease, which then has no holder.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// Checks whether `me` may take the lease at `now`, having seen it unchanged for the given time.
    ///
    /// The lease may already belong to `me`: after a retry of an invocation that died, or of a request whose
    /// answer was lost. If a clock is wrong, a run still waits no longer than for a lease that is not
    /// renewed.
    pub fn may_be_taken(&self, me: &str, now: DateTime<Utc>, unchanged_for: Duration) -> bool {
        self.holder == me || self.until <= now || unchanged_for >= LEASE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn a_lease_ends_with_its_holder_s_time() {
        assert_eq!(LeaseNote::new("a", at(0), None).until, at(20));
        assert_eq!(LeaseNote::new("a", at(0), Some(Duration::from_secs(900))).until, at(20));
        assert_eq!(LeaseNote::new("a", at(0), Some(Duration::from_secs(7))).until, at(7));
    }

    #[test]
    fn a_lease_is_taken_by_its_holder_or_when_it_is_over_or_stands_still() {
        let note = LeaseNote::new("a", at(0), None);
        let second = Duration::from_secs(1);
        assert!(!note.may_be_taken("b", at(19), second));
        assert!(note.may_be_taken("a", at(1), Duration::ZERO));
        assert!(note.may_be_taken("b", at(20), Duration::ZERO));
        // The holder's clock is an hour fast.
        let ahead = LeaseNote::new("a", at(3600), None);
        assert!(!ahead.may_be_taken("b", at(5), 19 * second));
        assert!(ahead.may_be_taken("b", at(20), 20 * second));
    }

    #[test]
    fn what_is_no_lease_is_nobody_s() {
        let note = LeaseNote::new("a", at(0), None);
        assert_eq!(LeaseNote::parse(&serde_json::to_vec(&note).unwrap()), Some(note));
        for text in ["", "{}", "[1]", "{\"holder\": \"a\", \"until\": \"soon\"}"] {
            assert_eq!(LeaseNote::parse(text.as_bytes()), None, "{text}");
        }
    }
}
