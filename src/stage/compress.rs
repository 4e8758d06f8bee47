//! Compresses pieces of staged files separately, several at once if there are several cores.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;

use cmslite_core::config::Staging;
use zstd::bulk::Compressor;
use zstd::stream::write::Decoder;
use zstd::zstd_safe::compress_bound;

use super::buffer_pool::Buffer;

/// The compression level. On exports like ours, levels 2 and 3 take longer and do not write less; levels
/// below 1 write between a third and a half more (`cargo bench --bench compression`).
const LEVEL: i32 = 1;

/// The maximum number of pieces that are compressed at once, however many cores there are: three keep up with
/// a function's maximum network bandwidth (docs/explanation/performance.md), and each needs a buffer.
const MAX_AT_ONCE: usize = 3;

/// The compressors of pieces, whose memory is reused.
#[derive(Clone, Default)]
pub(super) struct Compressors(Arc<Mutex<Vec<Compressor<'static>>>>);

/// Returns the number of pieces that are compressed at once.
pub(super) fn at_once() -> usize {
    available_parallelism().map_or(1, usize::from).min(MAX_AT_ONCE)
}

impl Compressors {
    /// Compresses `text` into `packed`, on a separate thread.
    ///
    /// # Errors
    ///
    /// If there is not enough memory.
    pub(super) async fn compress(&self, text: Buffer, mut packed: Buffer) -> io::Result<Buffer> {
        let compressors = self.clone();
        let compressed = tokio::task::spawn_blocking(move || {
            let mut compressor = match compressors.0.lock().unwrap_or_else(PoisonError::into_inner).pop() {
                Some(compressor) => compressor,
                None => compressor()?,
            };
            packed.with_bytes(|bytes| {
                bytes.reserve(compress_bound(text.len()));
                compressor.compress_to_buffer(text.as_ref(), bytes)
            })?;
            compressors.0.lock().unwrap_or_else(PoisonError::into_inner).push(compressor);
            Ok(packed)
        });
        compressed.await.map_err(io::Error::other)?
    }
}

fn compressor() -> io::Result<Compressor<'static>> {
    let mut compressor = Compressor::new(LEVEL)?;
    compressor.include_checksum(true)?;
    Ok(compressor)
}

/// Returns a small text in its staged form.
///
/// # Errors
///
/// If there is not enough memory.
pub fn staged_text(staging: Staging, text: String) -> io::Result<Vec<u8>> {
    match staging {
        Staging::Plain => Ok(text.into_bytes()),
        Staging::Zstd => compressor()?.compress(text.as_bytes()),
    }
}

/// A reader that takes the bytes of a piece as they arrive, and passes its text on.
pub(super) enum PieceReader<'a, F: FnMut(&[u8]) -> ControlFlow<()>> {
    Plain(F),
    Zstd(Box<Decoder<'a, Taker<F>>>),
}

/// The receiver of decompressed text.
pub(super) struct Taker<F> {
    take: F,
    has_enough: bool,
}

impl<F: FnMut(&[u8]) -> ControlFlow<()>> PieceReader<'_, F> {
    /// Creates a reader that passes the text of a piece to `take`, until that breaks.
    ///
    /// # Errors
    ///
    /// If there is not enough memory.
    pub(super) fn new(staging: Staging, take: F) -> io::Result<Self> {
        Ok(match staging {
            Staging::Plain => Self::Plain(take),
            Staging::Zstd => Self::Zstd(Box::new(Decoder::new(Taker { take, has_enough: false })?)),
        })
    }

    /// Takes the next bytes of the piece, and breaks when the receiver wants no more text.
    ///
    /// # Errors
    ///
    /// If the bytes are not what was staged.
    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<ControlFlow<()>> {
        match self {
            Self::Plain(take) => Ok(take(bytes)),
            Self::Zstd(decoder) => {
                decoder.write_all(bytes)?;
                decoder.flush()?;
                Ok(if decoder.get_ref().has_enough {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                })
            }
        }
    }
}

impl<F: FnMut(&[u8]) -> ControlFlow<()>> Write for Taker<F> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.has_enough = self.has_enough || (self.take)(text).is_break();
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::buffer_pool::BufferPool;
    use super::*;

    async fn buffer(text: &[u8]) -> Buffer {
        let mut buffer = BufferPool::new(1).buffer(10).await.unwrap();
        buffer.extend(text);
        buffer
    }

    fn read(staging: Staging, bytes: &[u8], crumb: usize, until: usize) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        let mut reader = PieceReader::new(staging, |part: &[u8]| {
            text.extend_from_slice(part);
            if text.len() >= until { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        for part in bytes.chunks(crumb) {
            if reader.push(part)?.is_break() {
                break;
            }
        }
        drop(reader);
        Ok(text)
    }

    #[tokio::test]
    async fn what_is_compressed_is_one_frame_that_reads_the_same() {
        let compressors = Compressors::default();
        for text in [b"".as_slice(), b"a", &b"id,name\n1,\"two\nlines\"\n".repeat(100_000)] {
            let packed = compressors.compress(buffer(text).await, buffer(b"").await).await.unwrap();
            let packed = packed.as_ref();
            assert_eq!(zstd::zstd_safe::find_frame_compressed_size(packed).unwrap(), packed.len());
            assert_eq!(zstd::decode_all(packed).unwrap(), text);
            for crumb in [1, 7, packed.len()] {
                assert_eq!(read(Staging::Zstd, packed, crumb, usize::MAX).unwrap(), text);
            }
        }
        assert_eq!(compressors.0.lock().unwrap().len(), 1, "its memory is not used again");
    }

    #[test]
    fn a_reader_that_has_enough_is_told_no_more() {
        let text = b"id,name\n".repeat(100_000);
        let packed = staged_text(Staging::Zstd, String::from_utf8(text.clone()).unwrap()).unwrap();
        let beginning = read(Staging::Zstd, &packed, packed.len(), 10).unwrap();
        assert!((10..text.len()).contains(&beginning.len()), "{}", beginning.len());
        assert_eq!(read(Staging::Plain, &text, 3, 10).unwrap(), &text[..12]);
    }

    #[test]
    fn what_is_no_frame_is_an_error() {
        assert!(read(Staging::Zstd, b"id,name\n", 8, 100).is_err());
    }
}
