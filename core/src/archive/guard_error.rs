//! Says why reading an archive stops without an error of the reader beneath.

use std::io;

/// The most that name, link and size of one entry may take. Paths have some thousand bytes at most.
pub const ENTRY_HEADERS_LIMIT_BYTES: u64 = 1024 * 1024;

/// Why nothing further is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// Bytes that are no padding behind the last gzip member.
    #[error("there is data behind the end of the gzip")]
    DataBehindGzip,
    /// More was unpacked than may be.
    #[error("the archive unpacks to more than {0} bytes")]
    TooLarge(u64),
    /// More was unpacked than may be, from so little.
    #[error("{packed_bytes} bytes unpack to {unpacked_bytes}, more than {limit} times as many")]
    RatioTooHigh {
        /// The limit.
        limit: u64,
        /// Bytes that were read.
        packed_bytes: u64,
        /// Bytes that were unpacked.
        unpacked_bytes: u64,
    },
    /// Pax headers take more than they may.
    #[error("pax headers take {found_bytes} bytes, more than {limit_bytes}")]
    PaxTooLarge {
        /// The limit.
        limit_bytes: u64,
        /// What they take.
        found_bytes: u64,
    },
    /// What stands in front of a file takes more than it may.
    #[error(
        "name and attributes of an entry take more than {ENTRY_HEADERS_LIMIT_BYTES} bytes, without extended ones, which `tar --no-xattrs` leaves out"
    )]
    EntryHeadersTooLong,
    /// A pax header whose records have not the lengths that they say.
    #[error("the records of a pax header cannot be told apart")]
    PaxUnreadable,
}

impl From<GuardError> for io::Error {
    fn from(error: GuardError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

impl GuardError {
    /// The guard's error that an I/O error carries.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref()).copied()
    }
}
