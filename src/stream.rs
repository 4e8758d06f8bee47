//! One archive's way from its bytes in S3 to its members' files: download, unpack, transform and write side by side, in
//! bounded memory.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tracing::info;

use crate::config::Dataset;
use crate::error::{Error, Fault, Retryable};
use crate::problem::Problems;
use crate::queue::Object;
use crate::stage::Files;
use crate::stop::Stop;
use crate::store::Store;
use crate::transform::{LineMap, TransformError, transform};
use crate::unpack::{Counted, Handled, UnpackError, finish, unpack};

/// Chunks of a download that wait to be unpacked. The HTTP client hands out at most some tens of kilobytes at a time.
const CHUNKS_WAITING: usize = 16;

/// A member whose file is written.
#[derive(Debug)]
pub struct StagedMember {
    /// Its name inside the archive.
    pub name: String,
    /// The member of the configuration that it is.
    pub member: String,
    /// Rows in the file.
    pub rows: u64,
    /// From the file's lines to the member's.
    pub lines: LineMap,
}

/// Streams a revision of an archive through unpack and transform into `files`, as long as `stop` lets it go on.
///
/// # Errors
///
/// [`Error::BadInput`] with everything that is wrong with the archive; else S3's or the files'. Files may be there then, and
/// nothing reads them.
pub async fn stream<F: Files>(store: &Store, dataset: &Arc<Dataset>, archive: &Object, stop: &Stop, files: F) -> Result<Vec<StagedMember>, Error> {
    let (sender, receiver) = mpsc::channel(CHUNKS_WAITING);
    let download = {
        let (store, bucket, archive, stop) = (store.clone(), dataset.bucket.clone(), archive.clone(), stop.clone());
        tokio::spawn(async move { store.download(&bucket, &archive, &stop, sender).await })
    };
    let unpacking = {
        let (dataset, archive) = (Arc::clone(dataset), archive.clone());
        let span = tracing::Span::current();
        tokio::task::spawn_blocking(move || {
            span.in_scope(|| {
                let mut files = files;
                let ended = unpack_into(Chunks::new(receiver), &dataset, &archive, &mut files);
                (files, ended)
            })
        })
    };
    let abnormal = |error| Error::retryable(Retryable::Unknown, format!("a stage ended abnormally: {error}"));
    let (unpacked, downloaded) = tokio::join!(unpacking, download);
    let (files, ended) = unpacked.map_err(abnormal)?;
    let written = files.done().await;
    // A fault of the network reaches the parsers as a short or broken archive: it is looked at first.
    downloaded.map_err(abnormal)??;
    match ended {
        Ended::Whole(members) => written.map(|()| members),
        Ended::Bad(problems) => Err(problems.into()),
        Ended::NotWritten(error) => {
            written?;
            Err(Fault::new(Retryable::Unknown, "a staged file cannot be written").caused_by(error).into())
        }
    }
}

/// How the blocking half ended.
enum Ended {
    Whole(Vec<StagedMember>),
    Bad(Problems),
    NotWritten(io::Error),
}

/// The blocking half: from the archive's bytes to the files' bytes.
fn unpack_into<F: Files>(reader: impl Read, dataset: &Dataset, archive: &Object, files: &mut F) -> Ended {
    let mut members = Vec::new();
    let mut problems = Problems::default();
    let unpacked = unpack(reader, dataset, &mut problems, |member, problems| {
        let key = format!("{}.csv", dataset.staged_stem(&archive.key, &archive.etag, &member.table.member));
        let mut file = files.create(&key, member.size_bytes);
        let mut body = Counted::new(member.body);
        let tally = match transform(member.name, &mut body, member.table, dataset, &mut file, problems) {
            Ok(tally) => tally,
            Err(TransformError::Read(error)) => return Handled::Unreadable(error),
            Err(TransformError::Write(error)) => return Handled::Failed(error),
        };
        if problems.is_full() {
            return Handled::Done;
        }
        if let Err(error) = finish(&mut body, member.size_bytes) {
            return Handled::Unreadable(error);
        }
        if problems.is_empty() {
            match files.complete(file) {
                Ok(bytes) => info!(member = member.name, rows = tally.rows, bytes, "member transformed"),
                Err(error) => return Handled::Failed(error),
            }
            members.push(StagedMember { name: member.name.to_owned(), member: member.table.member.clone(), rows: tally.rows, lines: tally.lines });
        }
        Handled::Done
    });
    match unpacked {
        Err(UnpackError::Failed(error)) => Ended::NotWritten(error),
        Err(UnpackError::Unreadable(problem)) => {
            problems.push(problem);
            Ended::Bad(problems)
        }
        Ok(()) if problems.is_empty() => Ended::Whole(members),
        Ok(()) => Ended::Bad(problems),
    }
}

/// A download as a blocking reader.
struct Chunks {
    receiver: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl Chunks {
    fn new(receiver: mpsc::Receiver<Bytes>) -> Self {
        Self { receiver, current: Bytes::new() }
    }
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
        Ok(count)
    }
}
