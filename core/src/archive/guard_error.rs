//! Defines why reading an archive stops without an error of the underlying reader.

use std::io;

/// The maximum size of the name, link and size of one entry. Paths have a few thousand bytes at most.
pub const ENTRY_HEADERS_LIMIT_BYTES: u64 = 1024 * 1024;

/// The reason why nothing more is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// The bytes after the last gzip member are not padding.
    #[error("there is data after the end of the gzip")]
    DataAfterGzip,
    /// More bytes were unpacked than the limit allows.
    #[error("the archive unpacks to more than {0} bytes")]
    TooLarge(u64),
    /// More bytes were unpacked than the limit allows for the number of bytes read.
    #[error("{packed_bytes} bytes unpack to {unpacked_bytes}, more than {limit} times as many")]
    RatioTooHigh {
        /// The limit, as a ratio.
        limit: u64,
        /// The number of bytes read.
        packed_bytes: u64,
        /// The number of bytes unpacked.
        unpacked_bytes: u64,
    },
    /// The pax headers are larger than the limit.
    #[error("pax headers take {found_bytes} bytes, more than {limit_bytes}")]
    PaxTooLarge {
        /// The limit in bytes.
        limit_bytes: u64,
        /// The size of the pax headers in bytes.
        found_bytes: u64,
    },
    /// The headers before a file are larger than the limit.
    #[error(
        "an entry's name and attributes take more than {ENTRY_HEADERS_LIMIT_BYTES} bytes, besides extended ones, which `tar --no-xattrs` leaves out"
    )]
    EntryHeadersTooLong,
    /// The records of a pax header do not have the lengths that they declare.
    #[error("the records of a pax header cannot be separated")]
    PaxUnreadable,
}

impl From<GuardError> for io::Error {
    fn from(error: GuardError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

impl GuardError {
    /// Returns the guard's error in an I/O error, if there is one.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref()).copied()
    }
}
