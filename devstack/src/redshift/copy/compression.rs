//! Unpacks compressed files as they arrive.

use std::io::{self, Write as _};

use flate2::write::MultiGzDecoder;
use zstd::stream::raw::{Decoder, InBuffer, Operation as _, OutBuffer};

use super::statement::Compression;

/// The number of compressed bytes that are unpacked at once: each may become a thousand times as many.
const AT_ONCE_BYTES: usize = 8 * 1024;

/// The number of bytes of text that are passed on at once.
const TEXT_BYTES: usize = 128 * 1024;

/// An unpacker of a file's text from its bytes.
pub(super) enum Unpacker {
    Plain,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Zstd { decoder: Decoder<'static>, is_in_frame: bool },
}

impl Unpacker {
    pub(super) fn new(compression: Option<Compression>) -> io::Result<Self> {
        Ok(match compression {
            None => Self::Plain,
            Some(Compression::Gzip) => Self::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            // A file without a frame is not a compressed file.
            Some(Compression::Zstd) => Self::Zstd { decoder: Decoder::new()?, is_in_frame: true },
        })
    }

    /// Returns the parts of the file to pass to `text`, one after the other.
    pub(super) fn parts<'b>(&self, bytes: &'b [u8]) -> impl Iterator<Item = &'b [u8]> + use<'b> {
        let size = if matches!(self, Self::Plain) { bytes.len().max(1) } else { AT_ONCE_BYTES };
        bytes.chunks(size)
    }

    /// Returns the text of the next bytes.
    pub(super) fn text(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Plain => Ok(bytes.to_vec()),
            Self::Gzip(decoder) => {
                decoder.write_all(bytes)?;
                Ok(std::mem::take(decoder.get_mut()))
            }
            Self::Zstd { decoder, is_in_frame } => {
                let mut text = Vec::new();
                let mut input = InBuffer::around(bytes);
                loop {
                    let mut out = vec![0; TEXT_BYTES];
                    let mut output = OutBuffer::around(out.as_mut_slice());
                    let expected = decoder.run(&mut input, &mut output)?;
                    text.extend_from_slice(output.as_slice());
                    // If it were called again after the end of a frame, the decoder would expect another one.
                    if input.pos() == bytes.len() && (expected == 0 || output.pos() < TEXT_BYTES) {
                        *is_in_frame = expected != 0;
                        return Ok(text);
                    }
                }
            }
        }
    }

    /// Returns the rest of the text at the file's end.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(decoder) => decoder.finish(),
            Self::Zstd { is_in_frame: true, .. } => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file ends within a frame"))
            }
            Self::Plain | Self::Zstd { .. } => Ok(Vec::new()),
        }
    }
}
