//! From an archive's revision in S3 to its staged files: download, unpacking, transforming and writing side
//! by side, in bounded memory.

// The sink that uploads.
mod upload;

// Sinks, and the one that throws away.
mod sink;

// A bounded number of buffers.
mod buffer_pool;
// What COPY reads.
mod manifest;

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use cmslite_core::archive::{self, ReadError, StagedMember};
use cmslite_core::config::Table;
use cmslite_core::error::{Error, Fault, Retryable};
use cmslite_core::limits::TableLimits;
use cmslite_core::progress::Progress;
use cmslite_core::queue::Object;
use cmslite_core::transform::{DroppedColumns, LineMap};
use tokio::sync::mpsc;
use tracing::{Instrument as _, info};

use self::upload::Uploader;
use crate::run_request::RunRequest;
use crate::s3::S3;
use crate::task::Task;

pub use self::manifest::{Manifest, StagedKeys};
pub use self::sink::{AsyncSink, NullSink};

/// Chunks of a download that wait to be unpacked: some hundred kilobytes each, as the HTTP client reads what
/// has come. The socket's own buffer bridges more.
const CHUNKS_WAITING: usize = 2;

/// One table's staged file, ready for COPY.
#[derive(Debug)]
pub struct StagedTable<'a> {
    /// The table.
    pub table: &'a Table,
    /// The member that it was made of.
    pub member: String,
    /// The staged file, as `s3://bucket/key`.
    pub file: String,
    /// Its manifest, as `s3://bucket/key`.
    pub manifest: String,
    /// Rows in it.
    pub rows: u64,
    /// Rows left out since all of their cells are empty.
    pub empty_rows: u64,
    /// Columns of the member that are not loaded.
    pub dropped_columns: DroppedColumns,
    /// From its lines to the member's.
    pub lines: LineMap,
}

/// Stages a revision of an archive, and names the staged files in manifests.
///
/// # Errors
///
/// Those of [`read_archive`]; S3's for the manifests.
pub async fn stage<'r>(
    s3: &S3,
    request: &'r RunRequest,
    archive: &Object,
    limits: TableLimits,
) -> Result<Vec<StagedTable<'r>>, Error> {
    let dataset = &request.dataset;
    let bucket = &dataset.bucket;
    let (sink, _uploading) = Uploader::new(s3.clone(), dataset, archive);
    let members = read_archive(s3, request, archive, limits, sink).await?;
    let mut staged = Vec::new();
    for table in &dataset.tables {
        let Some(member) = members.iter().find(|staged| staged.member == table.member) else {
            let message = format!("no staged file was made of {}", table.member);
            return Err(Error::retryable(Retryable::Unknown, message));
        };
        let StagedKeys { file, manifest } = StagedKeys::new(dataset, &archive.key, &archive.etag, table);
        s3.put(bucket, &manifest, Manifest::of(bucket, &[&file]).to_json(), "application/json").await?;
        staged.push(StagedTable {
            table,
            member: member.name.clone(),
            file: format!("s3://{bucket}/{file}"),
            manifest: format!("s3://{bucket}/{manifest}"),
            rows: member.rows,
            empty_rows: member.empty_rows,
            dropped_columns: member.dropped_columns.clone(),
            lines: member.lines.clone(),
        });
    }
    info!(rows = staged.iter().map(|table| table.rows).sum::<u64>(), "staged");
    Ok(staged)
}

/// Streams a revision of an archive through unpacking and transforming into `sink`, as long as the request
/// lets it go on.
///
/// # Errors
///
/// [`Error::BadInput`] with everything that is wrong with the archive; else S3's or the sink's. Files may be
/// there then, and nothing reads them.
pub async fn read_archive<S: AsyncSink>(
    s3: &S3,
    request: &RunRequest,
    archive: &Object,
    limits: TableLimits,
    sink: S,
) -> Result<Vec<StagedMember>, Error> {
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
    let abnormal = |error| Error::retryable(Retryable::Unknown, format!("a stage ended abnormally: {error}"));
    let (unpacked, downloaded) = tokio::join!(unpacking, download);
    progress.end();
    let (sink, read) = unpacked.map_err(abnormal)?;
    let written = sink.finish().await;
    // A fault of the network reaches the parsers as a short or broken archive: it is looked at first.
    downloaded.map_err(abnormal)??;
    match read {
        Ok(members) => written.map(|()| members),
        Err(ReadError::Bad(problems)) => Err(problems.into()),
        Err(ReadError::Failed(error)) => {
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
