//! One reading of an archive: download, unpacking, transforming and writing side by side, in bounded memory.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use cmslite_core::archive::{self, ReadError, StagedMember};
use cmslite_core::error::{Error, Fault, Retryable};
use cmslite_core::limits::TableLimits;
use cmslite_core::problem::Problems;
use cmslite_core::progress::Progress;
use cmslite_core::queue::Object;
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::sink::AsyncSink;
use crate::run_request::RunRequest;
use crate::s3::{Downloaded, S3};
use crate::task::Task;

/// Chunks of a download that wait to be unpacked: some hundred kilobytes each, as the HTTP client reads what
/// has come. The socket's own buffer bridges more.
const CHUNKS_WAITING: usize = 2;

/// What an archive seems to hold, and how far the bytes are known to be S3's.
pub struct Reading {
    /// Its members; or everything that is wrong with what came.
    pub read: Result<Vec<StagedMember>, Problems>,
    /// What came.
    pub downloaded: Downloaded,
}

/// Streams a revision of an archive through unpacking and transforming into `sink`, as long as the request
/// lets it go on.
///
/// # Errors
///
/// S3's or the sink's. Files may be there then, and nothing reads them.
pub async fn read_archive<S: AsyncSink>(
    s3: &S3,
    request: &RunRequest,
    archive: &Object,
    limits: TableLimits,
    sink: S,
) -> Result<Reading, Error> {
    let RunRequest { dataset, cancellation, progress, .. } = request;
    progress.begin(&archive.key, archive.size);
    let (sender, receiver) = mpsc::channel(CHUNKS_WAITING);
    let download = {
        let (s3, bucket, archive, cancellation) =
            (s3.clone(), dataset.bucket.clone(), archive.clone(), cancellation.clone());
        let download = async move { s3.download(&bucket, &archive, &cancellation, sender).await };
        Task::spawn(download.in_current_span())
    };
    let unpacking = {
        let (dataset, progress) = (Arc::clone(dataset), progress.clone());
        let span = tracing::Span::current();
        tokio::task::spawn_blocking(move || {
            span.in_scope(|| {
                let mut sink = sink;
                let chunks = Chunks { receiver, current: Bytes::new(), progress: progress.clone() };
                let read = archive::read(chunks, &dataset, &limits, &mut sink, &progress);
                (sink, read)
            })
        })
    };
    let abnormal = |error: &dyn std::fmt::Display| {
        Error::retryable(Retryable::Unknown, format!("a stage ended abnormally: {error}"))
    };
    let (sink, read) = unpacking.await.map_err(|error| abnormal(&error))?;
    let read = match read {
        Ok(members) => Ok(members),
        Err(ReadError::Bad(problems)) => Err(problems),
        Err(ReadError::Failed(error)) => {
            progress.end();
            // Nothing is said of the archive, so that the rest of it does not matter.
            if download.is_finished() {
                download.await.map_err(|error| abnormal(&error))??;
            }
            sink.finish().await?;
            return Err(Fault::new(Retryable::Unknown, "the archive's files cannot be staged")
                .caused_by(error)
                .into());
        }
    };
    let (written, downloaded) = tokio::join!(sink.finish(), download);
    progress.end();
    // A fault of the network reaches the parsers as a short or broken archive: it is looked at first.
    let downloaded = downloaded.map_err(|error| abnormal(&error))??;
    if read.is_ok() {
        written?;
    }
    Ok(Reading { read, downloaded })
}

/// A download as a blocking reader.
struct Chunks {
    receiver: mpsc::Receiver<Bytes>,
    current: Bytes,
    progress: Progress,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.current = chunk,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.current.len());
        buffer[..count].copy_from_slice(&self.current.split_to(count));
        self.progress.read(count);
        Ok(count)
    }
}
