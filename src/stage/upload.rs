//! Writes the staged files. A blocking writer fills a bounded number of pieces, which are uploaded at the
//! same time.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cmslite_core::archive::{Sink, StagedMember};
use cmslite_core::config::{Dataset, Staging, Table};
use cmslite_core::csv::{FIRST_ROW_LINE, RowSink};
use cmslite_core::error::{Error, Fault, Retryable};
use cmslite_core::progress::Progress;
use cmslite_core::queue::Object;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tracing::{Instrument as _, debug};

use super::buffer_pool::{Buffer, BufferPool};
use super::compress::{self, Compressors};
use super::manifest::{Pieces, StagedKeys};
use super::sink::{AsyncSink, log_transformed};
use super::waiting::waiting;
use crate::run_request::RunRequest;
use crate::s3::S3;

/// The size of the text of an uncompressed piece. Redshift splits files of 128 MB and more, and then reports
/// no lines (`t_splitting-data-files.md`); below that, memory and the time for a request decide
/// (docs/explanation/performance.md).
const PLAIN_BYTES: usize = 4 * 1024 * 1024;

/// The size of the text of a compressed piece.
const COMPRESSED_BYTES: usize = 6 * 1024 * 1024;

/// The minimum size of a piece that is not a member's last, so that a member's size bounds the number of its
/// pieces.
const MIN_PIECE_BYTES: usize = 1024 * 1024;

/// The number of pieces that are uploaded at once.
const UPLOADS: usize = 4;

/// The time limit for deleting files that will not be loaded: the bucket's lifecycle rule deletes the rest.
const DISCARD_WITHIN: Duration = Duration::from_secs(3);

/// A writer of an archive's staged files into its bucket, with a bound on the memory of all of them together.
pub struct Uploader {
    dataset: Arc<Dataset>,
    archive: Object,
    reading: String,
    channel: Channel,
    files: Vec<StagedFile>,
}

/// A staged file that was written.
pub struct StagedFile {
    /// The configuration's name for the source member.
    pub(super) member: String,
    /// The keys of the file's pieces and manifest.
    pub(super) keys: StagedKeys,
    /// The pieces.
    pub(super) pieces: Pieces,
}

/// The staged files of a reading.
pub struct Written {
    /// The files.
    pub(super) files: Vec<StagedFile>,
    /// The number of bytes of their pieces in S3.
    pub(super) bytes: u64,
}

/// A guard of the uploads, which continue while it exists. The writer blocks a thread, which cannot be
/// dropped: it ends when the uploads do.
pub struct Uploading(Arc<Uploads>);

/// A staged file that is written piece by piece.
pub struct StagedWriter {
    channel: Channel,
    /// The index of the file in `State::begun`.
    file: usize,
    keys: StagedKeys,
    header: Vec<u8>,
    pieces: Pieces,
    piece: Option<Buffer>,
    written_bytes: u64,
}

/// The channel from the writer's thread to the uploads.
#[derive(Clone)]
struct Channel {
    s3: S3,
    bucket: String,
    progress: Progress,
    runtime: Handle,
    uploads: Arc<Uploads>,
    /// The buffers for text that is not compressed: one piece being filled, the others being sent.
    plain: BufferPool,
    /// The buffers for text to be compressed: one piece being filled, the others being compressed.
    text: BufferPool,
    /// The buffers for compressed text.
    packed: BufferPool,
    compressors: Compressors,
    /// The permits to compress and send a piece.
    permits: Arc<Semaphore>,
}

/// The uploads of a reading.
#[derive(Default)]
struct Uploads(Mutex<State>);

#[derive(Default)]
struct State {
    under_way: JoinSet<Result<u64, Error>>,
    /// The number of bytes of the uploaded pieces.
    written_bytes: u64,
    /// The error of the first failed upload.
    failed: Option<Error>,
    is_given_up: bool,
    /// The keys of each file, and the number of its pieces that were begun.
    begun: Vec<(StagedKeys, usize)>,
}

impl Uploader {
    /// Creates the writer for the staged files of a reading of `archive`, which works while [`Uploading`]
    /// exists. Must be called within a tokio runtime.
    pub fn new(s3: S3, request: &RunRequest, archive: &Object, reading: String) -> (Self, Uploading) {
        let uploads = Arc::new(Uploads::default());
        let channel = Channel {
            s3,
            bucket: request.dataset.bucket.clone(),
            progress: request.progress.clone(),
            runtime: Handle::current(),
            uploads: Arc::clone(&uploads),
            plain: BufferPool::new(1 + UPLOADS),
            text: BufferPool::new(1 + compress::at_once()),
            packed: BufferPool::new(UPLOADS),
            compressors: Compressors::default(),
            permits: Arc::new(Semaphore::new(UPLOADS)),
        };
        let uploader = Self {
            dataset: Arc::clone(&request.dataset),
            archive: archive.clone(),
            reading,
            channel,
            files: Vec::new(),
        };
        (uploader, Uploading(uploads))
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_given_up = true;
        state.under_way.abort_all();
    }
}

impl Uploads {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for all uploads, and returns the number of bytes that they wrote.
    async fn ended(&self) -> Result<u64, Error> {
        let mut under_way = std::mem::take(&mut self.state().under_way);
        while let Some(ended) = under_way.join_next().await {
            self.state().record(ended);
        }
        let mut state = self.state();
        state.failed.take().map_or(Ok(state.written_bytes), Err)
    }
}

impl State {
    /// Records the uploads that have ended so far.
    fn record_ended(&mut self) {
        while let Some(ended) = self.under_way.try_join_next() {
            self.record(ended);
        }
    }

    fn record(&mut self, ended: Result<Result<u64, Error>, JoinError>) {
        let ended = ended.unwrap_or_else(|error| {
            Err(Error::retryable(Retryable::Unknown, format!("an upload ended abnormally: {error}")))
        });
        match ended {
            Ok(bytes) => self.written_bytes += bytes,
            Err(error) => {
                self.failed.get_or_insert(error);
            }
        }
    }
}

impl Sink for Uploader {
    type File = StagedWriter;

    fn create(&mut self, table: &Table, size_bytes: u64) -> StagedWriter {
        let Object { key, etag, .. } = &self.archive;
        let staging = self.dataset.staging_of(size_bytes);
        let keys = StagedKeys::new(&self.dataset, key, etag, &self.reading, table, staging);
        let mut state = self.channel.uploads.state();
        state.begun.push((keys.clone(), 0));
        StagedWriter {
            channel: self.channel.clone(),
            file: state.begun.len() - 1,
            keys,
            header: Vec::new(),
            pieces: Pieces::default(),
            piece: None,
            written_bytes: 0,
        }
    }

    fn complete(&mut self, file: StagedWriter, member: &StagedMember) -> io::Result<()> {
        let (keys, pieces, bytes) = file.finish()?;
        log_transformed(member, bytes);
        self.files.push(StagedFile { member: member.member.clone(), keys, pieces });
        Ok(())
    }
}

impl AsyncSink for Uploader {
    type Staged = Written;

    async fn finish(&mut self) -> Result<Written, Error> {
        let bytes = self.channel.uploads.ended().await?;
        Ok(Written { files: std::mem::take(&mut self.files), bytes })
    }

    async fn discard(self) -> Result<(), Error> {
        let Channel { s3, bucket, uploads, .. } = self.channel;
        let mut under_way = {
            let mut state = uploads.state();
            state.record_ended();
            state.is_given_up = true;
            std::mem::take(&mut state.under_way)
        };
        // A request that is dropped half-way may still arrive after the request that deletes its object.
        let ended = async { while under_way.join_next().await.is_some() {} };
        let _ = timeout(DISCARD_WITHIN, ended).await;
        under_way.shutdown().await;
        let (begun, failed) = {
            let mut state = uploads.state();
            (std::mem::take(&mut state.begun), state.failed.take())
        };
        remove(&s3, &bucket, begun.iter().flat_map(|(keys, count)| (0..*count).map(|at| keys.piece(at))))
            .await;
        failed.map_or(Ok(()), Err)
    }
}

/// Deletes files that will not be loaded, as many as can be deleted within [`DISCARD_WITHIN`]: the others
/// cost only storage.
pub(super) async fn remove(s3: &S3, bucket: &str, keys: impl Iterator<Item = String>) {
    let keys: Vec<String> = keys.collect();
    let removed = timeout(DISCARD_WITHIN, s3.delete_all(bucket, &keys))
        .await
        .unwrap_or_else(|_| Err(Error::retryable(Retryable::DeadlineNear, "deleting them takes too long")));
    if let Err(error) = removed {
        debug!(error = %error.chain(), "staged files are left for the bucket's lifecycle rule");
    }
}

impl StagedWriter {
    /// Completes the file, and returns its keys, its pieces, and the number of bytes of their text. Returns a
    /// broken pipe when an upload has failed or the uploads were given up.
    fn finish(mut self) -> io::Result<(StagedKeys, Pieces, u64)> {
        if self.pieces.count() == 0 {
            self.begin_piece(FIRST_ROW_LINE)?;
        }
        self.end_piece()?;
        Ok((self.keys, self.pieces, self.written_bytes))
    }

    /// Returns the size that a piece's text should have.
    fn size_bytes(&self) -> usize {
        match self.keys.staging() {
            Staging::Plain => PLAIN_BYTES,
            Staging::Zstd => COMPRESSED_BYTES,
        }
    }

    /// Begins a piece, and blocks until a buffer is free. Must not be called on a tokio worker.
    fn begin_piece(&mut self, first_line: u64) -> io::Result<&mut Buffer> {
        let Channel { progress, runtime, plain, text, permits, .. } = &self.channel;
        let pool = match self.keys.staging() {
            Staging::Plain => plain,
            Staging::Zstd => text,
        };
        let next = || runtime.block_on(pool.buffer(self.size_bytes()));
        // If a permit is available, the wait is for the compression, not for S3.
        let is_for_s3 = permits.available_permits() == 0;
        let mut piece = if is_for_s3 { waiting(progress, next) } else { next() }?;
        piece.extend(&self.header);
        self.written_bytes += self.header.len() as u64;
        self.pieces.begin(first_line);
        Ok(self.piece.insert(piece))
    }

    fn end_piece(&mut self) -> io::Result<()> {
        let Some(piece) = self.piece.take() else { return Ok(()) };
        let mut state = self.channel.uploads.state();
        state.record_ended();
        if state.is_given_up || state.failed.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if let Some((_, count)) = state.begun.get_mut(self.file) {
            *count = self.pieces.count();
        }
        let (channel, keys, at) = (self.channel.clone(), self.keys.clone(), self.pieces.count() - 1);
        let upload = async move { channel.send(&keys, at, piece).await };
        state.under_way.spawn_on(upload.in_current_span(), &self.channel.runtime);
        Ok(())
    }
}

impl Channel {
    /// Compresses a piece, if its file is staged compressed, and uploads it. Returns its size in S3.
    async fn send(&self, keys: &StagedKeys, at: usize, piece: Buffer) -> Result<u64, Error> {
        let failed = |error| Fault::new(Retryable::Unknown, "a piece cannot be staged").caused_by(error);
        let _permit = self.permits.acquire().await.map_err(|error| failed(io::Error::other(error)))?;
        let piece = match keys.staging() {
            Staging::Plain => piece,
            Staging::Zstd => {
                let packed = self.packed.buffer(0).await.map_err(failed)?;
                self.compressors.compress(piece, packed).await.map_err(failed)?
            }
        };
        if self.uploads.state().is_given_up {
            return Err(failed(io::ErrorKind::BrokenPipe.into()).into());
        }
        let bytes = piece.len() as u64;
        self.s3.put(&self.bucket, &keys.piece(at), piece.into_bytes(), keys.content_type()).await?;
        Ok(bytes)
    }
}

impl RowSink for StagedWriter {
    fn header(&mut self, line: &[u8]) -> io::Result<()> {
        self.header = line.to_vec();
        Ok(())
    }

    fn rows(&mut self, rows: &[u8], first_line: u64) -> io::Result<()> {
        let size_bytes = self.size_bytes();
        let is_full =
            |piece: &Buffer| piece.len() >= MIN_PIECE_BYTES && piece.len() + rows.len() > size_bytes;
        if self.piece.as_ref().is_some_and(is_full) {
            self.end_piece()?;
        }
        let piece = match &mut self.piece {
            Some(piece) => piece,
            None => self.begin_piece(first_line)?,
        };
        piece.extend(rows);
        self.written_bytes += rows.len() as u64;
        Ok(())
    }
}
