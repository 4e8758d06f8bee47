//! The staged files: a blocking writer on one side, multipart uploads on the other, and a bounded number of
//! parts between.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use cmslite_core::archive::{Sink, StagedMember};
use cmslite_core::config::{Dataset, Table};
use cmslite_core::error::{Error, Retryable};
use cmslite_core::progress::Progress;
use cmslite_core::queue::Object;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tracing::Instrument as _;

use super::buffer_pool::{Buffer, BufferPool};
use super::manifest::StagedKeys;
use super::sink::{AsyncSink, log_transformed};
use super::waiting::waiting;
use crate::run_request::RunRequest;
use crate::s3::{S3, Upload, UploadedPart};

/// The size of a part, the least that S3 takes (Amazon S3 User Guide, multipart upload limits).
const PART_BYTES: usize = 5 * 1024 * 1024;

/// Parts in memory at once: one being filled, the others on their way.
const PARTS_IN_MEMORY: usize = 3;

/// S3 takes at most 10,000 parts (same source).
const MAX_PARTS: u64 = 10_000;

/// Writes an archive's staged files into its bucket, with a bound on the memory of all of them together.
pub struct Uploader {
    s3: S3,
    dataset: Arc<Dataset>,
    archive: Object,
    reading: String,
    progress: Progress,
    runtime: Handle,
    pool: BufferPool,
    uploads: Vec<JoinHandle<Result<(), Error>>>,
    is_wanted: watch::Receiver<()>,
}

/// Uploads go on for as long as this is there. The writer blocks a thread, where nothing can be dropped: it ends
/// when its uploads do.
pub struct Uploading {
    _until_dropped: watch::Sender<()>,
}

/// A staged file being written. It becomes an object only when it is completed.
pub struct StagedWriter {
    progress: Progress,
    runtime: Handle,
    pool: BufferPool,
    part_bytes: usize,
    part: Option<Buffer>,
    written_bytes: u64,
    upload: mpsc::Sender<Segment>,
}

enum Segment {
    Part(Bytes),
    Last(Bytes),
}

impl Uploader {
    /// Writes the staged files of a reading of `archive` while [`Uploading`] is there. Must be called within a tokio
    /// runtime.
    pub fn new(s3: S3, request: &RunRequest, archive: &Object, reading: &str) -> (Self, Uploading) {
        let (until_dropped, is_wanted) = watch::channel(());
        let uploader = Self {
            s3,
            dataset: Arc::clone(&request.dataset),
            archive: archive.clone(),
            reading: reading.to_owned(),
            progress: request.progress.clone(),
            runtime: Handle::current(),
            pool: BufferPool::new(PARTS_IN_MEMORY),
            uploads: Vec::new(),
            is_wanted,
        };
        (uploader, Uploading { _until_dropped: until_dropped })
    }
}

impl Sink for Uploader {
    type File = StagedWriter;

    fn create(&mut self, table: &Table, size_bytes: u64) -> StagedWriter {
        let key =
            StagedKeys::new(&self.dataset, &self.archive.key, &self.archive.etag, &self.reading, table).file;
        let (sender, receiver) = mpsc::channel(1);
        let upload = run(self.s3.clone(), self.dataset.bucket.clone(), key.clone(), receiver);
        let mut is_wanted = self.is_wanted.clone();
        let upload = async move {
            tokio::select! {
                done = upload => done,
                // It never changes: this is the sender's end.
                _ = is_wanted.changed() => Err(given_up(&key)),
            }
        };
        self.uploads.push(self.runtime.spawn(upload.in_current_span()));
        StagedWriter {
            progress: self.progress.clone(),
            runtime: self.runtime.clone(),
            pool: self.pool.clone(),
            part_bytes: part_bytes(size_bytes),
            part: None,
            written_bytes: 0,
            upload: sender,
        }
    }

    fn complete(&mut self, file: StagedWriter, member: &StagedMember) -> io::Result<()> {
        log_transformed(member, file.finish()?);
        Ok(())
    }
}

impl AsyncSink for Uploader {
    async fn finish(self) -> Result<(), Error> {
        let mut done = Ok(());
        for upload in self.uploads {
            let ended = upload.await;
            done = done.and(ended.unwrap_or_else(|error| {
                Err(Error::retryable(Retryable::Unknown, format!("an upload ended abnormally: {error}")))
            }));
        }
        done
    }
}

/// The part size with which 10,000 parts hold the staged file of a member: quotes may double it, and derived
/// columns add.
fn part_bytes(size_bytes: u64) -> usize {
    let needed = size_bytes.saturating_mul(3) / MAX_PARTS + 1;
    usize::try_from(needed).unwrap_or(usize::MAX).max(PART_BYTES)
}

impl StagedWriter {
    /// Completes the file; a broken pipe when its upload has failed.
    fn finish(mut self) -> io::Result<u64> {
        let last = self.part.take().map(Buffer::into_bytes).unwrap_or_default();
        self.send(Segment::Last(last))?;
        Ok(self.written_bytes)
    }

    fn send(&self, segment: Segment) -> io::Result<()> {
        let sent = waiting(&self.progress, || self.upload.blocking_send(segment));
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for StagedWriter {
    /// Blocks while all parts are on their way. Not for use on a tokio worker.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = match &mut self.part {
            Some(part) => part,
            none => {
                let part =
                    waiting(&self.progress, || self.runtime.block_on(self.pool.buffer(self.part_bytes)));
                none.insert(part?)
            }
        };
        let (count, is_full) = part.extend(bytes);
        self.written_bytes += count as u64;
        if is_full && let Some(part) = self.part.take() {
            self.send(Segment::Part(part.into_bytes()))?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const CSV: &str = "text/csv; charset=utf-8";

/// Uploads the parts of one file. A file of one part is one PUT.
async fn run(
    s3: S3,
    bucket: String,
    key: String,
    mut segments: mpsc::Receiver<Segment>,
) -> Result<(), Error> {
    let first = match segments.recv().await {
        Some(Segment::Last(bytes)) => return s3.put(&bucket, &key, bytes, CSV).await,
        Some(Segment::Part(bytes)) => bytes,
        None => return Err(given_up(&key)),
    };
    let upload = Arc::new(s3.begin_upload(&bucket, &key, CSV, HashMap::new()).await?);
    let mut sending = Sending {
        s3: s3.clone(),
        upload: Arc::clone(&upload),
        number: 0,
        parts: JoinSet::new(),
        sent: Vec::new(),
    };
    let result = async {
        sending.send(first);
        loop {
            match segments.recv().await {
                Some(Segment::Part(bytes)) => {
                    sending.send(bytes);
                    sending.collect_ready()?;
                }
                Some(Segment::Last(bytes)) => {
                    if !bytes.is_empty() {
                        sending.send(bytes);
                    }
                    return sending.collect_all().await;
                }
                None => return Err(given_up(&key)),
            }
        }
    }
    .await;
    match result {
        Ok(()) => s3.complete_upload(&upload, sending.sent).await,
        Err(error) => {
            sending.parts.shutdown().await;
            s3.abort_upload(&upload).await;
            Err(error)
        }
    }
}

fn given_up(key: &str) -> Error {
    Error::retryable(Retryable::Unknown, format!("the staged file {key} was given up before its end"))
}

struct Sending {
    s3: S3,
    upload: Arc<Upload>,
    number: i32,
    parts: JoinSet<Result<UploadedPart, Error>>,
    sent: Vec<UploadedPart>,
}

impl Sending {
    fn send(&mut self, bytes: Bytes) {
        self.number += 1;
        let (s3, upload, number) = (self.s3.clone(), Arc::clone(&self.upload), self.number);
        self.parts.spawn(async move { s3.upload_part(&upload, number, bytes).await });
    }

    fn collect_ready(&mut self) -> Result<(), Error> {
        while let Some(part) = self.parts.try_join_next() {
            self.sent.push(flatten(part)?);
        }
        Ok(())
    }

    async fn collect_all(&mut self) -> Result<(), Error> {
        while let Some(part) = self.parts.join_next().await {
            self.sent.push(flatten(part)?);
        }
        Ok(())
    }
}

fn flatten(part: Result<Result<UploadedPart, Error>, tokio::task::JoinError>) -> Result<UploadedPart, Error> {
    part.unwrap_or_else(|error| {
        Err(Error::retryable(Retryable::Unknown, format!("an upload ended abnormally: {error}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_parts_hold_the_largest_object() {
        assert_eq!(part_bytes(1), PART_BYTES);
        let largest = 5 * 1024_u64.pow(4);
        assert!(part_bytes(largest) as u64 * MAX_PARTS >= 2 * largest);
    }
}
