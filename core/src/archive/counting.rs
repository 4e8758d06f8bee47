//! Checks that a member is as long as its header declares.

use std::io::{self, Read};

/// Reads the rest of a member and compares what came with what its header declares: a cut inside a member is
/// no error of the reader's own.
///
/// # Errors
///
/// The reader's, or [`io::ErrorKind::UnexpectedEof`] when the member is short.
pub fn finish(counted: &mut CountingReader<'_>, size_bytes: u64) -> io::Result<()> {
    io::copy(counted, &mut io::sink())?;
    if counted.count == size_bytes {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::UnexpectedEof,
        format!("{} of {size_bytes} bytes of the file are there", counted.count),
    ))
}

/// A member's body that counts its bytes.
pub struct CountingReader<'a> {
    body: &'a mut dyn Read,
    /// Bytes read so far.
    pub count: u64,
}

impl<'a> CountingReader<'a> {
    /// Counts what is read from `body`.
    pub fn new(body: &'a mut dyn Read) -> Self {
        Self { body, count: 0 }
    }
}

impl Read for CountingReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.body.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}
