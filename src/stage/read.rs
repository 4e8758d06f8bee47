//! Reads an archive once: it downloads, unpacks, transforms and writes at the same time, in bounded memory.

use std::io::{self, Read};
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use cmslite_core::archive::{self, ReadError, StagedMember};
use cmslite_core::error::{Error, Fault, Retryable};
use cmslite_core::limits::TableLimits;
use cmslite_core::overdue::Effort;
use cmslite_core::problem::Problems;
use cmslite_core::progress::Progress;
use cmslite_core::queue::Object;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::sink::AsyncSink;
use super::waiting::waiting;
use crate::cancellation::ARCHIVE_RESERVE;
use crate::run_request::RunRequest;
use crate::s3::{Downloaded, S3};
use crate::task::Task;

/// The number of chunks of a download that wait to be unpacked: a few hundred kilobytes each, as the HTTP
/// client reads them. The socket's own buffer holds more.
const CHUNKS_WAITING: usize = 2;

/// The result of a reading, and how far its bytes are known to be S3's.
pub struct Reading<T> {
    /// The members and the result of the sink; or all problems of the received bytes.
    pub read: Result<(Vec<StagedMember>, T), Problems>,
    /// The SHA-256 of the received bytes, and the checksum of S3's that matched, if one did.
    pub downloaded: Downloaded,
}

/// Streams a revision of an archive through unpacking and transforming into `sink`, as long as the request
/// allows it. `begun` is the time when the archive was first read.
///
/// # Errors
///
/// S3's or the sink's. Staged files may then exist, but nothing reads them.
pub async fn read_archive<S: AsyncSink>(
    s3: &S3,
    request: &RunRequest,
    archive: &Object,
    limits: TableLimits,
    sink: S,
    begun: Instant,
) -> Result<Reading<S::Staged>, Error> {
    let RunRequest { dataset, cancellation, progress, .. } = request;
    progress.begin(&archive.key, archive.size);
    let (sender, receiver) = mpsc::channel(CHUNKS_WAITING);
    let download = {
        let (s3, bucket, archive, cancellation) =
            (s3.clone(), dataset.bucket.clone(), archive.clone(), cancellation.clone());
        let download = async move { s3.download(&bucket, &archive, &cancellation, sender).await };
        Task::spawn(download.in_current_span())
    };
    let mut unpacking = {
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
    // The thread cannot be dropped: it ends at its next read.
    let _until_dropped = StopsWhenDropped(progress);
    let unpacked = tokio::select! {
        unpacked = &mut unpacking => unpacked,
        () = cancellation.near(ARCHIVE_RESERVE) => {
            progress.stop();
            unpacking.await
        }
    };
    let given_up = |error: Error| given_up(request, begun, error);
    let (mut sink, read) = unpacked.map_err(|error| abnormal(&error))?;
    let read = match read {
        Ok(members) => Ok(members),
        Err(ReadError::Bad(_)) if progress.has_stopped() => {
            progress.end();
            let what = || format!("{} was not read to its end", archive.key);
            let ended = cancellation.check(ARCHIVE_RESERVE, what);
            let error = ended.err().unwrap_or_else(|| Error::retryable(Retryable::Unknown, what()));
            let error = given_up(error);
            // The reason why something could not be written no longer matters.
            let _ = sink.discard().await;
            return Err(error);
        }
        Err(ReadError::Bad(problems)) => Err(problems),
        Err(ReadError::Failed(error)) => {
            progress.end();
            // The archive is not judged, so the rest of it does not matter.
            let written = sink.discard().await;
            if download.is_finished() {
                download.await.map_err(|error| abnormal(&error))??;
            }
            written?;
            return Err(Fault::new(Retryable::Unknown, "the archive's files cannot be staged")
                .caused_by(error)
                .into());
        }
    };
    let written = async {
        match &read {
            Ok(_) => sink.finish().await.map(Some),
            Err(_) => Ok(None),
        }
    };
    let (written, downloaded) = tokio::join!(written, download);
    progress.end();
    // A network fault looks like a short or broken archive to the parsers, so it is checked first.
    let downloaded = downloaded.map_err(|error| abnormal(&error)).and_then(|ended| ended.map_err(given_up));
    match (downloaded, read, written) {
        (Ok(downloaded), Ok(members), Ok(Some(staged))) => {
            Ok(Reading { read: Ok((members, staged)), downloaded })
        }
        (downloaded, read, written) => {
            // The files will not be loaded. The reason why something could not be written is known, or does
            // not matter.
            let _ = sink.discard().await;
            let downloaded = downloaded?;
            written?;
            read.map_or_else(
                |problems| Ok(Reading { read: Err(problems), downloaded }),
                |_| Err(abnormal(&"its files are missing")),
            )
        }
    }
}

/// Returns the error of reading an archive that was first read at `begun`. If its kind is
/// [`Retryable::DeadlineNear`], also records how far the reading came.
pub fn given_up(request: &RunRequest, begun: Instant, error: Error) -> Error {
    if let Error::Retryable(fault) = &error
        && fault.kind == Retryable::DeadlineNear
    {
        let ((extent, waited), took) = (request.progress.extent(), begun.elapsed());
        let usable = request.cancellation.usable().unwrap_or_default();
        let effort = Effort { usable, took, waited: waited.total, stalled: waited.stalled, extent };
        *request.given_up.lock().unwrap_or_else(PoisonError::into_inner) = Some(effort);
    }
    error
}

/// A guard that stops a reading when nothing waits for the reading any more.
struct StopsWhenDropped<'p>(&'p Progress);

impl Drop for StopsWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// A blocking reader of the chunks of a download.
struct Chunks {
    receiver: mpsc::Receiver<Bytes>,
    current: Bytes,
    progress: Progress,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match waiting(&self.progress, || self.receiver.blocking_recv()) {
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
