//! From an archive's bytes to its members' files: unpack and transform, one member after the other, with
//! inflating the archive on a thread of its own, since that is half of the work.

use std::io::{self, Read, Write};
use std::thread;

use tracing::info;

use crate::config::Dataset;
use crate::problem::Problems;
use crate::progress::Progress;
use crate::queue::Object;
use crate::transform::{LineMap, TransformError, transform};
use crate::unpack::{Ahead, Counted, Handled, UnpackError, finish, inflate, unpack};

/// Where the files go that are made of an archive's members.
pub trait Files {
    /// A file being written. Dropped before it is completed, it leaves nothing.
    type File: Write;

    /// Begins the file `key` of a member of `size_bytes`.
    fn create(&mut self, key: &str, size_bytes: u64) -> Self::File;

    /// Completes a file. Returns its size in bytes.
    ///
    /// # Errors
    ///
    /// When it cannot be written; the place that it goes to may know why.
    fn complete(&mut self, file: Self::File) -> io::Result<u64>;
}

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

/// How reading an archive ended.
#[derive(Debug)]
pub enum Ended {
    /// Nothing is wrong with it, and its members' files are written.
    Whole(Vec<StagedMember>),
    /// This is wrong with it. Some files may be written.
    Bad(Problems),
    /// A file cannot be written, or the system has no thread left.
    Failed(io::Error),
}

/// Reads an archive's revision from `reader` to its end, and writes a file of each member that fills a table.
pub fn read<F: Files>(
    reader: impl Read + Send,
    dataset: &Dataset,
    archive: &Object,
    files: &mut F,
    progress: &Progress,
) -> Ended {
    match inflate(reader) {
        Ok(contents) => thread::scope(|scope| match Ahead::start(scope, contents) {
            Ok(contents) => read_contents(contents, dataset, archive, files, progress),
            Err(error) => Ended::Failed(error),
        }),
        Err(problem) => {
            let mut problems = Problems::default();
            problems.push(problem);
            Ended::Bad(problems)
        }
    }
}

fn read_contents<F: Files>(
    contents: impl Read,
    dataset: &Dataset,
    archive: &Object,
    files: &mut F,
    progress: &Progress,
) -> Ended {
    let mut members = Vec::new();
    let mut problems = Problems::default();
    let unpacked = unpack(contents, dataset, &mut problems, |member, problems| {
        let key = format!("{}.csv", dataset.staged_stem(&archive.key, &archive.etag, &member.table.member));
        let mut file = files.create(&key, member.size_bytes);
        let mut body = Counted::new(member.body);
        let tally =
            match transform(member.name, &mut body, member.table, dataset, &mut file, problems, progress) {
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
            members.push(StagedMember {
                name: member.name.to_owned(),
                member: member.table.member.clone(),
                rows: tally.rows,
                lines: tally.lines,
            });
        }
        Handled::Done
    });
    match unpacked {
        Err(UnpackError::Failed(error)) => Ended::Failed(error),
        Err(UnpackError::Unreadable(problem)) => {
            problems.push(problem);
            Ended::Bad(problems)
        }
        Ok(()) if problems.is_empty() => Ended::Whole(members),
        Ok(()) => Ended::Bad(problems),
    }
}
