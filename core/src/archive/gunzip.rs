//! Unpacks a gzip file, one gzip member after the other.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::GzDecoder;

use super::guard_error::GuardError;
use super::io_reason::reason;
use crate::file_type;
use crate::problem::{Problem, Reason};

/// The number of bytes that the decoder reads at a time.
const BUFFER_BYTES: usize = 128 * 1024;

/// Returns a reader of the contents of the gzip file in `reader`.
///
/// # Errors
///
/// The problem of a file that is not a gzip file; or the reader's own error, as a problem of the archive.
pub fn inflate<R: Read>(mut reader: R) -> Result<Gunzip<impl BufRead + use<R>>, Problem> {
    let mut head = Vec::new();
    reader
        .by_ref()
        .take(file_type::HEAD_BYTES as u64)
        .read_to_end(&mut head)
        .map_err(|error| Problem::archive(reason(&error)))?;
    if !head.starts_with(file_type::GZIP) {
        return Err(no_gzip(&head));
    }
    Ok(Gunzip::new(BufReader::with_capacity(BUFFER_BYTES, Cursor::new(head).chain(reader))))
}

/// Returns the problem of an archive that is not a gzip file.
fn no_gzip(head: &[u8]) -> Problem {
    if head.is_empty() {
        return Problem::archive(Reason::EmptyArchive);
    }
    let kind = file_type::detect(head);
    let problem = Problem::archive(Reason::NotGzip { found: kind.map(|kind| kind.name) });
    if kind.is_some_and(|kind| kind.is_text) { problem.with_beginning(head) } else { problem }
}

/// A reader of the contents of all gzip members, up to the end of the input. Zeros after the last member are
/// padding, as `gzip` treats them. Other bytes are an error of their own and not a broken member, unless they
/// begin with `1f`, as a member does.
pub struct Gunzip<R: BufRead>(Option<GzDecoder<R>>);

impl<R: BufRead> Gunzip<R> {
    /// Creates a decoder of `reader`.
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
                        return Err(GuardError::DataAfterGzip.into());
                    }
                    let count = bytes.len();
                    rest.consume(count);
                },
            }
        }
    }
}
