//! The staged files: a blocking writer on one side, multipart uploads on the other, and a bounded number of
//! parts between.

mod pool;

use std::future::Future;
use std::io::{self, Write};
use std::sync::Arc;

use aws_sdk_s3::types::CompletedPart;
use bytes::Bytes;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tracing::Instrument as _;

use crate::error::{Error, Retryable};
use crate::members::Files;
use crate::store::{Store, Upload};
use pool::{Part, Pool};

/// The size of a part, the least that S3 takes (Amazon S3 User Guide, multipart upload limits).
const PART_BYTES: usize = 5 * 1024 * 1024;

/// Parts in memory at once: one being filled, the others on their way.
const PARTS_IN_MEMORY: usize = 3;

/// S3 takes at most 10,000 parts (same source).
const MAX_PARTS: u64 = 10_000;

/// Writes staged files into one bucket, with a bound on the memory of all of them together.
pub struct Stager {
    store: Store,
    bucket: String,
    runtime: Handle,
    pool: Pool,
    uploads: Vec<JoinHandle<Result<(), Error>>>,
}

/// A staged file being written. It becomes an object only when it is completed.
pub struct StagedWriter {
    runtime: Handle,
    pool: Pool,
    part_bytes: usize,
    part: Option<Part>,
    written_bytes: u64,
    upload: mpsc::Sender<Piece>,
}

enum Piece {
    Part(Bytes),
    Last(Bytes),
}

/// A place for members' files that are there only later.
pub trait Destination: Files + Send + 'static {
    /// Waits until every completed file is there.
    ///
    /// # Errors
    ///
    /// Why one is not, by who must act.
    fn done(self) -> impl Future<Output = Result<(), Error>> + Send;
}

/// No place at all: the files are written, counted and forgotten.
pub struct Nowhere;

/// A file of [`Nowhere`]: its size so far.
pub struct Forgotten(u64);

impl Stager {
    /// Writes into `bucket`. Must be called within a tokio runtime.
    pub fn new(store: Store, bucket: &str) -> Self {
        Self {
            store,
            bucket: bucket.to_owned(),
            runtime: Handle::current(),
            pool: Pool::new(PARTS_IN_MEMORY),
            uploads: Vec::new(),
        }
    }
}

impl Files for Stager {
    type File = StagedWriter;

    fn create(&mut self, key: &str, size_bytes: u64) -> StagedWriter {
        let (sender, receiver) = mpsc::channel(1);
        let upload = run(self.store.clone(), self.bucket.clone(), key.to_owned(), receiver);
        self.uploads.push(self.runtime.spawn(upload.in_current_span()));
        StagedWriter {
            runtime: self.runtime.clone(),
            pool: self.pool.clone(),
            part_bytes: part_bytes(size_bytes),
            part: None,
            written_bytes: 0,
            upload: sender,
        }
    }

    fn complete(&mut self, file: StagedWriter) -> io::Result<u64> {
        file.finish()
    }
}

impl Destination for Stager {
    async fn done(self) -> Result<(), Error> {
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

impl Files for Nowhere {
    type File = Forgotten;

    fn create(&mut self, _: &str, _: u64) -> Forgotten {
        Forgotten(0)
    }

    fn complete(&mut self, file: Forgotten) -> io::Result<u64> {
        Ok(file.0)
    }
}

impl Destination for Nowhere {
    async fn done(self) -> Result<(), Error> {
        Ok(())
    }
}

impl Write for Forgotten {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
        let last = self.part.take().map(Part::into_bytes).unwrap_or_default();
        self.send(Piece::Last(last))?;
        Ok(self.written_bytes)
    }

    fn send(&self, piece: Piece) -> io::Result<()> {
        self.upload.blocking_send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for StagedWriter {
    /// Blocks while all parts are on their way. Not for use on a tokio worker.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = match &mut self.part {
            Some(part) => part,
            none => none.insert(self.runtime.block_on(self.pool.part(self.part_bytes))?),
        };
        let (count, is_full) = part.extend(bytes);
        self.written_bytes += count as u64;
        if is_full && let Some(part) = self.part.take() {
            self.send(Piece::Part(part.into_bytes()))?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const CSV: &str = "text/csv; charset=utf-8";

/// Uploads the pieces of one file. A file of one piece is one PUT.
async fn run(
    store: Store,
    bucket: String,
    key: String,
    mut pieces: mpsc::Receiver<Piece>,
) -> Result<(), Error> {
    let first = match pieces.recv().await {
        Some(Piece::Last(bytes)) => return store.put(&bucket, &key, bytes, CSV).await,
        Some(Piece::Part(bytes)) => bytes,
        None => return Err(given_up(&key)),
    };
    let upload = Arc::new(store.begin_upload(&bucket, &key, CSV, None).await?);
    let mut sending = Sending {
        store: store.clone(),
        upload: Arc::clone(&upload),
        number: 0,
        parts: JoinSet::new(),
        sent: Vec::new(),
    };
    let result = async {
        sending.send(first);
        loop {
            match pieces.recv().await {
                Some(Piece::Part(bytes)) => {
                    sending.send(bytes);
                    sending.collect_ready()?;
                }
                Some(Piece::Last(bytes)) => {
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
        Ok(()) => store.complete_upload(&upload, sending.sent).await,
        Err(error) => {
            sending.parts.shutdown().await;
            store.abort_upload(&upload).await;
            Err(error)
        }
    }
}

fn given_up(key: &str) -> Error {
    Error::retryable(Retryable::Unknown, format!("the staged file {key} was given up before its end"))
}

struct Sending {
    store: Store,
    upload: Arc<Upload>,
    number: i32,
    parts: JoinSet<Result<CompletedPart, Error>>,
    sent: Vec<CompletedPart>,
}

impl Sending {
    fn send(&mut self, bytes: Bytes) {
        self.number += 1;
        let (store, upload, number) = (self.store.clone(), Arc::clone(&self.upload), self.number);
        self.parts.spawn(async move { store.upload_part(&upload, number, bytes).await });
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

fn flatten(
    part: Result<Result<CompletedPart, Error>, tokio::task::JoinError>,
) -> Result<CompletedPart, Error> {
    part.unwrap_or_else(|error| {
        Err(Error::retryable(Retryable::Unknown, format!("an upload ended abnormally: {error}")))
    })
}

/// A COPY manifest: the staged files of one table, exactly (`loading-data-files-using-manifest.md`).
#[derive(Debug, Serialize)]
pub struct Manifest {
    entries: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Entry {
    url: String,
    mandatory: bool,
}

impl Manifest {
    /// A manifest that names `keys` of `bucket`, each of them mandatory.
    pub fn of(bucket: &str, keys: &[&str]) -> Self {
        Self {
            entries: keys
                .iter()
                .map(|key| Entry { url: format!("s3://{bucket}/{key}"), mandatory: true })
                .collect(),
        }
    }

    /// The manifest's JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
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

    #[test]
    fn a_manifest_names_files_that_must_be_there() {
        let json: serde_json::Value =
            serde_json::from_str(&Manifest::of("b", &["k/\"x\".csv"]).to_json()).unwrap();
        assert_eq!(json, serde_json::json!({"entries": [{"url": "s3://b/k/\"x\".csv", "mandatory": true}]}));
    }
}
