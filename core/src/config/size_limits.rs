//! Reads the keys that limit the size of an archive. No sane export reaches the defaults. They make a
//! decompression bomb bad input. Without them, the function would run out of time again and again.

use super::dataset::SizeLimits;

/// The default limit for the unpacked size: 64 GiB.
pub const DEFAULT_MAX_UNPACKED_BYTES: u64 = 64 * GIB;

/// The default limit for the archive's own size: 16 GiB. A function of fifteen minutes can just read this at
/// a quarter of Lambda's network bandwidth.
pub(super) const DEFAULT_MAX_PACKED_BYTES: u64 = 16 * GIB;

/// The default limit for the ratio of unpacked bytes to packed bytes. Text of tables reaches 3 to 20, and
/// gzip 1,032 at most.
pub(super) const DEFAULT_MAX_UNPACKED_RATIO: u64 = 200;

/// The default limit for pax headers with attributes, of which macOS writes a few megabytes: 64 MiB.
pub(super) const DEFAULT_MAX_PAX_BYTES: u64 = 64 * 1024 * 1024;

const GIB: u64 = 1024 * 1024 * 1024;

impl Default for SizeLimits {
    fn default() -> Self {
        Self {
            packed_bytes: DEFAULT_MAX_PACKED_BYTES,
            unpacked_bytes: DEFAULT_MAX_UNPACKED_BYTES,
            unpacked_ratio: DEFAULT_MAX_UNPACKED_RATIO,
            pax_bytes: DEFAULT_MAX_PAX_BYTES,
        }
    }
}
