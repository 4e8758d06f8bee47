//! The staged files: a blocking writer on one side, uploads of pieces on the other, and a bounded number of
//! pieces between.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cmslite_core::archive::{Sink, StagedMember};
use cmslite_core::config::{Dataset, Table};
use cmslite_core::csv::{FIRST_ROW_LINE, RowSink};
use cmslite_core::error::{Error, Retryable};
use cmslite_core::progress::Progress;
use cmslite_core::queue::Object;
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tracing::{Instrument as _, debug};

use super::buffer_pool::{Buffer, BufferPool};
use super::manifest::{Pieces, StagedKeys};
use super::sink::{AsyncSink, log_transformed};
use super::waiting::waiting;
use crate::run_request::RunRequest;
use crate::s3::S3;

/// The size of a piece. Redshift splits files of 128 MB and more, and then tells no lines (`t_splitting-data-files.md`);
/// below that, size is a matter of memory and of the time that a request takes (docs/performance.md).
const PIECE_BYTES: usize = 4 * 1024 * 1024;

/// A piece that is not a member's last is never smaller, so that a member's size bounds their number.
const LEAST_PIECE_BYTES: usize = 1024 * 1024;

/// Pieces in memory at once: one being filled, four on their way.
const PIECES_IN_MEMORY: usize = 5;

/// How long what nobody will load may take to be removed: the bucket's lifecycle rule removes what is left.
const DISCARD_WITHIN: Duration = Duration::from_secs(3);

const CSV: &str = "text/csv; charset=utf-8";

/// Writes an archive's staged files into its bucket, with a bound on the memory of all of them together.
pub struct Uploader {
    dataset: Arc<Dataset>,
    archive: Object,
    reading: String,
    channel: Channel,
    staged: Vec<(String, Pieces)>,
}

/// Uploads go on for as long as this is there. The writer blocks a thread, where nothing can be dropped: it ends
/// when its uploads do.
pub struct Uploading(Arc<Uploads>);

/// A staged file being written, piece after piece.
pub struct StagedWriter {
    channel: Channel,
    /// Which of the files it is.
    file: usize,
    keys: StagedKeys,
    header: Vec<u8>,
    pieces: Pieces,
    piece: Option<Buffer>,
    written_bytes: u64,
}

/// From the writer's thread to the uploads.
#[derive(Clone)]
struct Channel {
    s3: S3,
    bucket: String,
    progress: Progress,
    runtime: Handle,
    pool: BufferPool,
    uploads: Arc<Uploads>,
}

/// The uploads of a reading.
#[derive(Default)]
struct Uploads(Mutex<State>);

#[derive(Default)]
struct State {
    under_way: JoinSet<Result<(), Error>>,
    /// Why the first of those failed that did.
    failed: Option<Error>,
    is_given_up: bool,
    /// How many pieces of each file were begun.
    begun: Vec<(StagedKeys, usize)>,
}

impl Uploader {
    /// Writes the staged files of a reading of `archive` while [`Uploading`] is there. Must be called within a tokio
    /// runtime.
    pub fn new(s3: S3, request: &RunRequest, archive: &Object, reading: &str) -> (Self, Uploading) {
        let uploads = Arc::new(Uploads::default());
        let channel = Channel {
            s3,
            bucket: request.dataset.bucket.clone(),
            progress: request.progress.clone(),
            runtime: Handle::current(),
            pool: BufferPool::new(PIECES_IN_MEMORY),
            uploads: Arc::clone(&uploads),
        };
        let uploader = Self {
            dataset: Arc::clone(&request.dataset),
            archive: archive.clone(),
            reading: reading.to_owned(),
            channel,
            staged: Vec::new(),
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

    /// Waits for all of them.
    async fn ended(&self) -> Result<(), Error> {
        let mut under_way = std::mem::take(&mut self.state().under_way);
        while let Some(ended) = under_way.join_next().await {
            self.state().note(ended);
        }
        self.state().failed.take().map_or(Ok(()), Err)
    }
}

impl State {
    /// Notes what has ended so far.
    fn note_ended(&mut self) {
        while let Some(ended) = self.under_way.try_join_next() {
            self.note(ended);
        }
    }

    fn note(&mut self, ended: Result<Result<(), Error>, JoinError>) {
        let ended = ended.unwrap_or_else(|error| {
            Err(Error::retryable(Retryable::Unknown, format!("an upload ended abnormally: {error}")))
        });
        if let (Err(error), None) = (ended, &self.failed) {
            self.failed = Some(error);
        }
    }
}

impl Sink for Uploader {
    type File = StagedWriter;

    fn create(&mut self, table: &Table, _size_bytes: u64) -> StagedWriter {
        let Object { key, etag, .. } = &self.archive;
        let keys = StagedKeys::new(&self.dataset, key, etag, &self.reading, table);
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
        let (pieces, bytes) = file.finish()?;
        log_transformed(member, bytes);
        self.staged.push((member.member.clone(), pieces));
        Ok(())
    }
}

impl AsyncSink for Uploader {
    /// The pieces of each member's staged file, by the configuration's name for it.
    type Staged = Vec<(String, Pieces)>;

    async fn finish(&mut self) -> Result<Self::Staged, Error> {
        self.channel.uploads.ended().await.map(|()| std::mem::take(&mut self.staged))
    }

    async fn discard(self) -> Result<(), Error> {
        let Channel { s3, bucket, uploads, .. } = self.channel;
        let mut under_way = {
            let mut state = uploads.state();
            state.note_ended();
            std::mem::take(&mut state.under_way)
        };
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

/// Removes what nobody will load, as far as that is quickly done: it costs only its place.
pub(super) async fn remove(s3: &S3, bucket: &str, keys: impl Iterator<Item = String>) {
    let keys: Vec<String> = keys.collect();
    let removed = timeout(DISCARD_WITHIN, s3.delete_all(bucket, &keys)).await.unwrap_or_else(|_| {
        Err(Error::retryable(Retryable::DeadlineNear, "it takes too long to remove them"))
    });
    if let Err(error) = removed {
        debug!(error = %error.chain(), "staged files are left to the bucket's lifecycle rule");
    }
}

impl StagedWriter {
    /// Completes the file: its pieces, and bytes in them. A broken pipe when an upload has failed.
    fn finish(mut self) -> io::Result<(Pieces, u64)> {
        if self.pieces.count() == 0 {
            self.begin_piece(FIRST_ROW_LINE)?;
        }
        self.end_piece()?;
        Ok((self.pieces, self.written_bytes))
    }

    /// Blocks while all pieces are on their way. Not for use on a tokio worker.
    fn begin_piece(&mut self, first_line: u64) -> io::Result<&mut Buffer> {
        let Channel { progress, runtime, pool, .. } = &self.channel;
        let mut piece = waiting(progress, || runtime.block_on(pool.buffer(PIECE_BYTES)))?;
        piece.extend(&self.header);
        self.written_bytes += self.header.len() as u64;
        self.pieces.begin(first_line);
        Ok(self.piece.insert(piece))
    }

    fn end_piece(&mut self) -> io::Result<()> {
        let Some(piece) = self.piece.take() else { return Ok(()) };
        let Channel { s3, bucket, runtime, uploads, .. } = &self.channel;
        let mut state = uploads.state();
        state.note_ended();
        if state.is_given_up || state.failed.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let key = self.keys.piece(self.pieces.count() - 1);
        if let Some((_, count)) = state.begun.get_mut(self.file) {
            *count = self.pieces.count();
        }
        let (s3, bucket) = (s3.clone(), bucket.clone());
        let upload = async move { s3.put(&bucket, &key, piece.into_bytes(), CSV).await };
        state.under_way.spawn_on(upload.in_current_span(), runtime);
        Ok(())
    }
}

impl RowSink for StagedWriter {
    fn header(&mut self, line: &[u8]) -> io::Result<()> {
        self.header = line.to_vec();
        Ok(())
    }

    fn rows(&mut self, rows: &[u8], first_line: u64) -> io::Result<()> {
        let is_full =
            |piece: &Buffer| piece.len() >= LEAST_PIECE_BYTES && piece.len() + rows.len() > PIECE_BYTES;
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
