//! Defines the destinations of staged files: S3, or none.

use std::future::Future;
use std::io::{self, Write};

use cmslite_core::archive::{Sink, StagedMember};
use cmslite_core::config::Table;
use cmslite_core::error::Error;
use tracing::info;

/// A sink whose files are completed asynchronously.
pub trait AsyncSink: Sink + Send + 'static {
    /// The result of writing the files.
    type Staged: Send;

    /// Waits until every completed file exists.
    ///
    /// # Errors
    ///
    /// The reason why a file does not exist, sorted by who must act.
    fn finish(&mut self) -> impl Future<Output = Result<Self::Staged, Error>> + Send;

    /// Aborts the writing, and deletes the files that exist, as many as can be deleted quickly.
    ///
    /// # Errors
    ///
    /// The reason why a file could not be written, if there is one.
    fn discard(self) -> impl Future<Output = Result<(), Error>> + Send;
}

/// A sink that discards the files.
pub struct NullSink;

/// A file of [`NullSink`], of which only the size is kept.
pub struct DiscardedFile(u64);

/// Logs that a member's staged file is complete.
pub(super) fn log_transformed(member: &StagedMember, bytes: u64) {
    info!(member = member.name, rows = member.rows, bytes, "member transformed");
}

impl Sink for NullSink {
    type File = DiscardedFile;

    fn create(&mut self, _: &Table, _: u64) -> DiscardedFile {
        DiscardedFile(0)
    }

    fn complete(&mut self, file: DiscardedFile, member: &StagedMember) -> io::Result<()> {
        log_transformed(member, file.0);
        Ok(())
    }
}

impl Write for DiscardedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncSink for NullSink {
    type Staged = ();

    async fn finish(&mut self) -> Result<(), Error> {
        Ok(())
    }

    async fn discard(self) -> Result<(), Error> {
        Ok(())
    }
}
