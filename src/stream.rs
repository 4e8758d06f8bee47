//! One archive's way from its bytes in S3 to its members' files: download, unpack, transform and write side
//! by side, in bounded memory.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tracing::Instrument as _;

use crate::config::Dataset;
use crate::error::{Error, Fault, Retryable};
use crate::members::{self, Ended, StagedMember};
use crate::progress::Progress;
use crate::queue::Object;
use crate::stage::Destination;
use crate::stop::Stop;
use crate::store::Store;

/// Chunks of a download that wait to be unpacked: some hundred kilobytes each, as the HTTP client reads what
/// has come. The socket's own buffer bridges more.
const CHUNKS_WAITING: usize = 2;

/// Streams a revision of an archive through unpack and transform into `files`, as long as `stop` lets it go
/// on.
///
/// # Errors
///
/// [`Error::BadInput`] with everything that is wrong with the archive; else S3's or the files'. Files may be
/// there then, and nothing reads them.
pub async fn stream<F: Destination>(
    store: &Store,
    dataset: &Arc<Dataset>,
    archive: &Object,
    stop: &Stop,
    progress: &Progress,
    files: F,
) -> Result<Vec<StagedMember>, Error> {
    progress.begin(&archive.key, archive.size);
    let (sender, receiver) = mpsc::channel(CHUNKS_WAITING);
    let download = {
        let (store, bucket, archive, stop) =
            (store.clone(), dataset.bucket.clone(), archive.clone(), stop.clone());
        tokio::spawn(async move { store.download(&bucket, &archive, &stop, sender).await }.in_current_span())
    };
    let unpacking = {
        let (dataset, archive, progress) = (Arc::clone(dataset), archive.clone(), progress.clone());
        let span = tracing::Span::current();
        tokio::task::spawn_blocking(move || {
            span.in_scope(|| {
                let mut files = files;
                let chunks = Chunks { receiver, current: Bytes::new(), progress: progress.clone() };
                let ended = members::read(chunks, &dataset, &archive, &mut files, &progress);
                (files, ended)
            })
        })
    };
    let abnormal = |error| Error::retryable(Retryable::Unknown, format!("a stage ended abnormally: {error}"));
    let (unpacked, downloaded) = tokio::join!(unpacking, download);
    progress.end();
    let (files, ended) = unpacked.map_err(abnormal)?;
    let written = files.done().await;
    // A fault of the network reaches the parsers as a short or broken archive: it is looked at first.
    downloaded.map_err(abnormal)??;
    match ended {
        Ended::Whole(members) => written.map(|()| members),
        Ended::Bad(problems) => Err(problems.into()),
        Ended::Failed(error) => {
            written?;
            Err(Fault::new(Retryable::Unknown, "the archive's files cannot be staged")
                .caused_by(error)
                .into())
        }
    }
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
