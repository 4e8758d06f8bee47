//! Decides about the lease of a dataset: which run works on its queue, and until when others may rely on that.
//!
//! A lease saves work and decides nothing: that no archive is loaded twice is the ledger's doing. It may be lost,
//! left behind, or ignored.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// How long a lease holds unless it is renewed: so long is the queue left alone at the most after its holder died.
/// Three renewals fit in.
pub const LEASE: Duration = Duration::from_secs(20);

/// After how long its holder renews it.
pub const RENEWED_AFTER: Duration = Duration::from_secs(6);

/// What a lease's object says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseNote {
    /// The run, by its request's id.
    pub holder: String,
    /// When it is over, by its holder's clock.
    pub until: DateTime<Utc>,
}

impl LeaseNote {
    /// A lease from `now` on, not beyond the end of what is `left` of the holder's time.
    pub fn new(holder: &str, now: DateTime<Utc>, left: Option<Duration>) -> Self {
        Self { holder: holder.to_owned(), until: now + left.map_or(LEASE, |left| left.min(LEASE)) }
    }

    /// As it is read back; none where it is no lease, which nobody holds then.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// Whether `me` may have it at `now`, having seen it unchanged for so long.
    ///
    /// It is `me`'s own after a retry of an invocation that died, or of a request whose answer was lost. A clock that
    /// is wrong makes nobody wait longer than for a lease without renewal.
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
        // The holder's clock is an hour ahead.
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
