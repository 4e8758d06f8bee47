//! Limits the ratio of unpacked bytes to read bytes.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::guard_error::GuardError;

/// The number of bytes that may always be unpacked: a small export may well be repetitive.
pub const FREE_BYTES: u64 = 256 * 1024 * 1024;

/// The number of bytes read from an archive.
#[derive(Clone, Default)]
pub struct Packed(Arc<AtomicU64>);

impl Packed {
    /// Counts the bytes that are read from `reader`.
    pub fn counting<R: Read>(&self, reader: R) -> PackedReader<R> {
        PackedReader { reader, packed: self.clone() }
    }
}

/// A reader that counts its bytes.
pub struct PackedReader<R> {
    reader: R,
    packed: Packed,
}

impl<R: Read> Read for PackedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.packed.0.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// A reader of the unpacked bytes that passes at most `limit` times the bytes read, and always
/// [`FREE_BYTES`].
pub struct RatioReader<R> {
    reader: R,
    packed: Packed,
    unpacked_bytes: u64,
    limit: u64,
}

impl<R> RatioReader<R> {
    /// Creates a reader that passes at most `limit` times the bytes read.
    pub fn new(reader: R, packed: Packed, limit: u64) -> Self {
        Self { reader, packed, unpacked_bytes: 0, limit }
    }
}

impl<R: Read> Read for RatioReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.unpacked_bytes = self.unpacked_bytes.saturating_add(count as u64);
        if self.unpacked_bytes > FREE_BYTES {
            let packed_bytes = self.packed.0.load(Ordering::Relaxed);
            let (limit, unpacked_bytes) = (self.limit, self.unpacked_bytes);
            if unpacked_bytes > packed_bytes.saturating_mul(limit) {
                return Err(GuardError::RatioTooHigh { limit, packed_bytes, unpacked_bytes }.into());
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads zeros that were unpacked from `packed_bytes`, and returns how many passed.
    fn passed(packed_bytes: u64, limit: u64) -> (u64, Option<GuardError>) {
        let packed = Packed::default();
        io::copy(&mut packed.counting(io::repeat(0)).take(packed_bytes), &mut io::sink()).unwrap();
        let mut reader = RatioReader::new(io::repeat(0).take(2 * FREE_BYTES), packed, limit);
        let (mut passed, mut buffer) = (0, vec![0; 1024 * 1024]);
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return (passed, None),
                Ok(count) => passed += count as u64,
                Err(error) => return (passed, GuardError::of(&error)),
            }
        }
    }

    #[test]
    fn little_may_unpack_to_some_and_much_to_in_proportion() {
        let (packed_bytes, unpacked_bytes) = (1024 * 1024, FREE_BYTES + 1024 * 1024);
        let error = GuardError::RatioTooHigh { limit: 200, packed_bytes, unpacked_bytes };
        assert_eq!(passed(packed_bytes, 200), (FREE_BYTES, Some(error)));
        assert_eq!(passed(packed_bytes, 512), (2 * FREE_BYTES, None));
        assert_eq!(passed(3 * packed_bytes, 200), (2 * FREE_BYTES, None));
    }
}
