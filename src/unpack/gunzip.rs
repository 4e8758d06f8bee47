//! The contents of a gzip file, its members one after the other.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

use super::watch::Stop;

/// What the gzip members of the input hold, up to its end. Zeros behind the last are padding, as `gzip` takes
/// them; anything else there is an error of its own rather than a broken member.
pub struct Gunzip<R: BufRead>(Option<GzDecoder<R>>);

impl<R: BufRead> Gunzip<R> {
    /// Decodes what `reader` holds.
    pub fn new(reader: R) -> Self {
        Self(Some(GzDecoder::new(reader)))
    }
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(decoder) = &mut self.0 else { return Ok(0) };
            let count = decoder.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let Some(decoder) = self.0.take() else { return Ok(0) };
            let mut rest = decoder.into_inner();
            match rest.fill_buf()?.first() {
                None => return Ok(0),
                Some(0x1f) => self.0 = Some(GzDecoder::new(rest)),
                Some(_) => loop {
                    let bytes = rest.fill_buf()?;
                    if bytes.is_empty() {
                        return Ok(0);
                    }
                    if bytes.iter().any(|byte| *byte != 0) {
                        return Err(Stop::DataBehindGzip.into());
                    }
                    let count = bytes.len();
                    rest.consume(count);
                },
            }
        }
    }
}
