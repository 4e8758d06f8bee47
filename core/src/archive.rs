//! Reads an archive's bytes and writes the staged files of its members, one after the other.
//!
//! Inflating the archive is half of the work, and has a thread of its own.

mod survey;

mod tar;

mod counting;
mod entry;
mod gunzip;
mod io_reason;
mod read_ahead;

mod ratio;

mod guard;

mod pax;

mod guard_error;

use std::io::{self, Read};
use std::thread;

use self::counting::{CountingReader, finish};
use self::gunzip::inflate;
use self::ratio::{Packed, RatioReader};
use self::read_ahead::ReadAhead;
pub use self::survey::{SurveyedMember, survey};
use self::tar::{MemberError, UnpackError, unpack};
use crate::config::{Dataset, Table};
use crate::csv::RowSink;
use crate::limits::TableLimits;
use crate::problem::{Problem, Problems, Reason};
use crate::progress::Progress;
use crate::transform::{DroppedColumns, LineMap, Transform, TransformError};

/// A destination for staged files.
pub trait Sink {
    /// A file being written. A file that is not completed is never loaded.
    type File: RowSink;

    /// Begins the staged file of a table, made from a member of `size_bytes`.
    fn create(&mut self, table: &Table, size_bytes: u64) -> Self::File;

    /// Completes a file that was made from this member.
    ///
    /// # Errors
    ///
    /// When the file cannot be written; the sink may know the cause.
    fn complete(&mut self, file: Self::File, member: &StagedMember) -> io::Result<()>;
}

/// A member whose staged file is written.
#[derive(Debug)]
pub struct StagedMember {
    /// The member's name in the archive.
    pub name: String,
    /// The member's name in the configuration.
    pub member: String,
    /// The number of rows in the file.
    pub rows: u64,
    /// The number of rows that were left out because all of their cells are empty.
    pub empty_rows: u64,
    /// The columns that are not loaded.
    pub dropped_columns: DroppedColumns,
    /// The mapping from the file's lines to the member's.
    pub lines: LineMap,
}

/// The reason why an archive's members were not staged. Some files may have been written.
#[derive(Debug)]
pub enum ReadError {
    /// The problems of the archive, or a fault that the underlying reader knows.
    Bad(Problems),
    /// A file cannot be written, or the system cannot start a thread.
    Failed(io::Error),
}

/// Returns the problem if an archive of `size_bytes` exceeds the dataset's limit, before any byte is read.
pub fn too_large(dataset: &Dataset, size_bytes: u64) -> Option<Problems> {
    let limit_bytes = dataset.size_limits.packed_bytes;
    let reason = Reason::PackedTooLarge { limit_bytes, found_bytes: size_bytes };
    (size_bytes > limit_bytes).then(|| Problem::archive(reason).into())
}

/// Reads an archive from `reader` to its end, and writes a staged file of each member that fills a table.
///
/// # Errors
///
/// [`ReadError`].
pub fn read<S: Sink>(
    reader: impl Read + Send,
    dataset: &Dataset,
    limits: &TableLimits,
    sink: &mut S,
    progress: &Progress,
) -> Result<Vec<StagedMember>, ReadError> {
    let packed = Packed::default();
    let contents = inflate(packed.counting(reader)).map_err(|problem| ReadError::Bad(problem.into()));
    let read = contents.and_then(|contents| {
        let contents = RatioReader::new(contents, packed, dataset.size_limits.unpacked_ratio);
        thread::scope(|scope| {
            let contents = ReadAhead::start(scope, contents).map_err(ReadError::Failed)?;
            read_contents(progress.counting(contents), dataset, limits, sink, progress)
        })
    });
    read.map_err(|error| match error {
        ReadError::Bad(mut problems) => {
            problems.decide(dataset.quoting);
            ReadError::Bad(problems)
        }
        failed @ ReadError::Failed(_) => failed,
    })
}

fn read_contents<S: Sink>(
    contents: impl Read,
    dataset: &Dataset,
    limits: &TableLimits,
    sink: &mut S,
    progress: &Progress,
) -> Result<Vec<StagedMember>, ReadError> {
    let mut members = Vec::new();
    let mut problems = Problems::default();
    let unpacked = unpack(contents, dataset, &mut problems, |member, problems| {
        let table = member.table;
        let mut file = sink.create(table, member.size_bytes);
        let mut body = CountingReader::new(member.body);
        let transform = Transform { member: member.name, table, dataset, limits: limits.of(table), progress };
        let transformed = transform.run(&mut body, &mut file, problems).map_err(|error| match error {
            TransformError::Read(error) => MemberError::Unreadable(error),
            TransformError::Write(error) => MemberError::Failed(error),
        })?;
        if problems.is_full() {
            return Ok(());
        }
        finish(&mut body, member.size_bytes).map_err(MemberError::Unreadable)?;
        progress.member();
        let expected = limits.min_rows(table);
        if let Some(found) = transformed.rows_found.filter(|found| *found < expected) {
            problems.push(Problem::member(member.name, Reason::TooFewRows { expected, found }));
        }
        if problems.is_empty() {
            let member = StagedMember {
                name: member.name.to_owned(),
                member: table.member.clone(),
                rows: transformed.rows,
                empty_rows: transformed.empty_rows,
                dropped_columns: transformed.dropped_columns,
                lines: transformed.lines,
            };
            sink.complete(file, &member).map_err(MemberError::Failed)?;
            members.push(member);
        }
        Ok(())
    });
    match unpacked {
        Err(UnpackError::Failed(error)) => return Err(ReadError::Failed(error)),
        Err(UnpackError::Unreadable(problem)) => problems.push(problem),
        Ok(()) => {}
    }
    if problems.is_empty() { Ok(members) } else { Err(ReadError::Bad(problems)) }
}
