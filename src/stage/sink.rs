//! Where staged files go: into S3, or nowhere.

use std::future::Future;
use std::io::{self, Write};

use cmslite_core::archive::{Sink, StagedMember};
use cmslite_core::config::Table;
use cmslite_core::error::Error;

/// A sink whose files are there only later.
pub trait AsyncSink: Sink + Send + 'static {
    /// Waits until every completed file is there.
    ///
    /// # Errors
    ///
    /// Why one is not, by who must act.
    fn finish(self) -> impl Future<Output = Result<(), Error>> + Send;
}

/// A sink that throws the files away.
pub struct NullSink;

impl Sink for NullSink {
    type File = io::Sink;

    fn create(&mut self, _: &Table, _: u64) -> io::Sink {
        io::sink()
    }

    fn complete(&mut self, mut file: io::Sink, _: &StagedMember) -> io::Result<()> {
        file.flush()
    }
}

impl AsyncSink for NullSink {
    async fn finish(self) -> Result<(), Error> {
        Ok(())
    }
}
