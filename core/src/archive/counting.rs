//! Checks that a member is as long as its header declares.

use std::io::{self, Read};

/// Reads the rest of a member and compares its length with the one that its header declares. A cut inside a
/// member is not an error of the reader itself.
///
/// # Errors
///
/// The reader's error, or [`io::ErrorKind::UnexpectedEof`] when the member is too short.
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

/// A member's body that counts the bytes that are read.
pub struct CountingReader<'a> {
    body: &'a mut dyn Read,
    /// The number of bytes read so far.
    pub count: u64,
}

impl<'a> CountingReader<'a> {
    /// Creates a reader that counts the bytes of `body`.
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
