//! How staged files are written: as they are, or compressed.

use super::checker::{Checker, Object};
use super::dataset::Dataset;

/// From how many bytes on a member is staged compressed where the configuration leaves it open. Below it, all bytes take less
/// time on the way than a request takes by itself (docs/performance.md).
const COMPRESSED_FROM_BYTES: u64 = 1024 * 1024;

/// How the pieces of a staged file are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Staging {
    /// As CSV.
    Plain,
    /// As CSV that is compressed, each piece a Zstandard frame (RFC 8878).
    Zstd,
}

impl Staging {
    /// What COPY calls the compression, if there is one (Amazon Redshift Database Developer Guide, File compression
    /// parameters).
    pub fn copy_option(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Zstd => Some("ZSTD"),
        }
    }
}

impl Dataset {
    /// How the staged file of a member of so many bytes is written.
    pub fn staging_of(&self, member_bytes: u64) -> Staging {
        let by_size = || if member_bytes < COMPRESSED_FROM_BYTES { Staging::Plain } else { Staging::Zstd };
        self.staging.unwrap_or_else(by_size)
    }
}

impl Checker<'_> {
    pub(super) fn staging(&mut self, object: &Object) -> Option<Staging> {
        const KEY: &str = "staging";
        match object.get(KEY)?.as_str() {
            Some("plain") => Some(Staging::Plain),
            Some("zstd") => Some(Staging::Zstd),
            _ => {
                self.report(
                    KEY,
                    "expected \"plain\" or \"zstd\"; leave the key out to have large files compressed",
                );
                None
            }
        }
    }
}
