//! The keys that say how large an archive may be. A sane export meets none of the defaults; they are there so that a
//! bomb ends as bad input, and not as a function that runs out of its time again and again.

use super::checker::{Checker, Object};
use super::dataset::SizeLimits;

/// What an archive may unpack to where the configuration does not say: 64 GiB.
pub const DEFAULT_MAX_UNPACKED_BYTES: u64 = 64 * GIB;

/// How large an archive may be itself: 16 GiB, which a function of fifteen minutes can just read at a fourth of what
/// Lambda's network carries.
const DEFAULT_MAX_PACKED_BYTES: u64 = 16 * GIB;

/// Bytes that a byte may unpack to. Text of tables has 3 to 20, and gzip 1,032 at the most.
const DEFAULT_MAX_UNPACKED_RATIO: u64 = 200;

/// Bytes of pax headers, attributes included, of which macOS writes some megabytes: 64 MiB.
const DEFAULT_MAX_PAX_BYTES: u64 = 64 * 1024 * 1024;

const GIB: u64 = 1024 * 1024 * 1024;

impl Checker<'_> {
    pub(super) fn size_limits(&mut self, object: &Object) -> Option<SizeLimits> {
        let (packed_bytes, unpacked_bytes, unpacked_ratio, pax_bytes) = (
            self.size_limit(object, "max_packed_bytes", DEFAULT_MAX_PACKED_BYTES, "bytes", 10_000_000_000),
            self.size_limit(
                object,
                "max_unpacked_bytes",
                DEFAULT_MAX_UNPACKED_BYTES,
                "bytes",
                10_000_000_000,
            ),
            self.size_limit(object, "max_unpacked_ratio", DEFAULT_MAX_UNPACKED_RATIO, "times", 500),
            self.size_limit(object, "max_pax_bytes", DEFAULT_MAX_PAX_BYTES, "bytes", 100_000_000),
        );
        Some(SizeLimits {
            packed_bytes: packed_bytes?,
            unpacked_bytes: unpacked_bytes?,
            unpacked_ratio: unpacked_ratio?,
            pax_bytes: pax_bytes?,
        })
    }

    fn size_limit(
        &mut self,
        object: &Object,
        key: &str,
        default: u64,
        unit: &str,
        example: u64,
    ) -> Option<u64> {
        let Some(value) = object.get(key) else { return Some(default) };
        let limit = value.as_u64().filter(|limit| *limit > 0);
        if limit.is_none() {
            self.report(key, format!("expected a whole number of {unit} above 0, such as {example}"));
        }
        limit
    }
}
