//! The keys that say how large an archive may be. A sane export meets none of the defaults; they are there so that a
//! bomb ends as bad input, and not as a function that runs out of its time again and again.

use super::dataset::SizeLimits;

/// What an archive may unpack to where the configuration does not say: 64 GiB.
pub const DEFAULT_MAX_UNPACKED_BYTES: u64 = 64 * GIB;

/// How large an archive may be itself: 16 GiB, which a function of fifteen minutes can just read at a fourth of what
/// Lambda's network carries.
pub(super) const DEFAULT_MAX_PACKED_BYTES: u64 = 16 * GIB;

/// Bytes that a byte may unpack to. Text of tables has 3 to 20, and gzip 1,032 at the most.
pub(super) const DEFAULT_MAX_UNPACKED_RATIO: u64 = 200;

/// Bytes of pax headers, attributes included, of which macOS writes some megabytes: 64 MiB.
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
