//! Reads a tar and hands on its members one after the other, without holding one in memory.
//!
//! No result counts before the whole archive was read: a cut between two members, a wrong checksum and data
//! after the end are found only then.

use std::io::{self, Read};

use tar::Archive;

use super::entry::{EntryKind, Members, base_name};
use super::guard::{Guard, GuardedReader};
use super::guard_error::GuardError;
use super::io_reason::reason;
use crate::config::{Dataset, Table};
use crate::file_type;
use crate::problem::{Problem, Problems, Reason};
use crate::text::printable;

/// The number of bytes read at a time after the tar's end.
const BUFFER_BYTES: usize = 128 * 1024;

/// A member that is being read.
pub struct Member<'a> {
    /// The member's name in the archive, without directories.
    pub name: &'a str,
    /// The size that the member's header declares, in bytes.
    pub size_bytes: u64,
    /// The table that the member fills.
    pub table: &'a Table,
    /// The member's bytes. A read fails if the archive is damaged or cut off.
    pub body: &'a mut dyn Read,
}

/// The reason why a member was not handled to its end.
pub enum MemberError<E> {
    /// The member's bytes cannot be read.
    Unreadable(io::Error),
    /// The handler failed.
    Failed(E),
}

/// The reason why an archive was not unpacked.
#[derive(Debug)]
pub enum UnpackError<E> {
    /// The bytes cannot be read further. The problem is the archive's, unless the underlying reader knows a
    /// fault of its own.
    Unreadable(Problem),
    /// The handler of a member failed.
    Failed(E),
}

/// Reads a whole tar, the contents of an archive's gzip, and hands each member that fills a table to
/// `handle`, in the archive's order.
///
/// Directories, and files that operating systems add, are skipped. Members that are unknown, missing,
/// duplicate, not regular files, or stored in a form that would be read wrongly go to `problems`; when those
/// are full, the rest is not read. The part of a member that `handle` does not read is skipped.
///
/// # Errors
///
/// [`UnpackError`] when the archive is damaged or too large, or when `handle` fails.
pub fn unpack<R: Read, E>(
    contents: R,
    dataset: &Dataset,
    problems: &mut Problems,
    mut handle: impl FnMut(Member<'_>, &mut Problems) -> Result<(), MemberError<E>>,
) -> Result<(), UnpackError<E>> {
    let guard = Guard::new(&dataset.size_limits);
    let mut archive = Archive::new(GuardedReader::new(contents, &guard));

    let mut members = Members::new(dataset);
    let mut behind: Option<Passed> = None;
    let mut entries = archive.entries().map_err(|error| in_archive(&error))?;
    guard.expect_header(0);
    loop {
        let entry = entries.next();
        if guard.take_padding_used()
            && let Some(Passed { name, filled_bytes: Some(declared_bytes) }) = &behind
        {
            problems
                .push(Problem::member(name, Reason::LongerThanDeclared { declared_bytes: *declared_bytes }));
        }
        if problems.is_full() {
            return Ok(());
        }
        let mut entry = match entry {
            None => break,
            Some(Ok(entry)) => entry,
            Some(Err(error)) => {
                return Err(UnpackError::Unreadable(no_entry(&error, &guard, behind.as_ref())));
            }
        };
        let path = entry.path_bytes().into_owned();
        let name = printable(base_name(&path));
        let in_member = |error: &io::Error| UnpackError::Unreadable(Problem::member(&name, reason(error)));
        let mut filled_bytes = None;
        // The contents of a global header are read into memory. Only after that does the guard allow any
        // bytes.
        let kind = members.classify(&mut entry, &path, &name);
        guard.allow_anything();
        match kind.map_err(|error| UnpackError::Unreadable(no_entry(&error, &guard, behind.as_ref())))? {
            EntryKind::Skipped => {}
            EntryKind::Refused(problem) => problems.push(problem),
            EntryKind::Fills(table) => {
                let size_bytes = entry.size();
                if size_bytes > dataset.size_limits.unpacked_bytes {
                    return Err(in_member(&GuardError::TooLarge(dataset.size_limits.unpacked_bytes).into()));
                }
                filled_bytes = Some(size_bytes);
                match handle(Member { name: &name, size_bytes, table, body: &mut entry }, problems) {
                    Ok(()) => {}
                    Err(MemberError::Unreadable(error)) => return Err(in_member(&error)),
                    Err(MemberError::Failed(error)) => return Err(UnpackError::Failed(error)),
                }
                if problems.is_full() {
                    return Ok(());
                }
            }
        }
        if entry.header().entry_type().is_gnu_sparse() && filled_bytes.is_none() {
            // The holes of a sparse file may be endless; the stored bytes are not.
            guard.expect_header(entry.header().entry_size().unwrap_or_default());
        } else {
            io::copy(&mut entry, &mut io::sink()).map_err(|error| in_member(&error))?;
            guard.expect_header(0);
        }
        behind = Some(Passed { name, filled_bytes });
    }
    if guard.head().is_empty() {
        return Err(UnpackError::Unreadable(Problem::archive(Reason::Truncated {
            detail: "there is nothing inside the gzip".to_owned(),
        })));
    }
    guard.allow_anything();
    drain(archive.into_inner(), problems)?;
    members.report_missing(problems);
    Ok(())
}

/// An entry that was read, and its size if it fills a table.
pub(super) struct Passed {
    pub(super) name: String,
    pub(super) filled_bytes: Option<u64>,
}

/// Reads the bytes after the tar's end, so that the gzip's checksum is verified and data there is found.
fn drain<E>(mut decoder: impl Read, problems: &mut Problems) -> Result<(), UnpackError<E>> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut data = false;
    loop {
        match decoder.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => data |= buffer[..count].iter().any(|byte| *byte != 0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(in_archive(&error)),
        }
    }
    if data {
        problems.push(Problem::archive(Reason::DataAfterEnd));
    }
    Ok(())
}

fn in_archive<E>(error: &io::Error) -> UnpackError<E> {
    UnpackError::Unreadable(Problem::archive(reason(error)))
}

/// Returns the problem when an entry cannot be read: after another entry, or at the beginning, where there
/// may be no tar at all.
pub(super) fn no_entry(error: &io::Error, guard: &Guard, behind: Option<&Passed>) -> Problem {
    let place = match behind {
        Some(passed) => format!("after {}", passed.name),
        None => "at its beginning".to_owned(),
    };
    let reason = match reason(error) {
        Reason::CorruptTar { detail } => Reason::CorruptTar { detail: format!("{detail}, {place}") },
        Reason::Truncated { detail } => Reason::Truncated { detail: format!("{detail}, {place}") },
        other => return Problem::archive(other),
    };
    let head = guard.head();
    match file_type::detect(&head) {
        Some(kind) if behind.is_none() && !file_type::is_tar(&head) => {
            let is_gzip = head.starts_with(file_type::GZIP);
            let found = if is_gzip { "another gzip file" } else { kind.name };
            let problem = Problem::archive(Reason::NotTar { found });
            if kind.is_text { problem.with_beginning(&head) } else { problem }
        }
        _ => Problem::archive(reason),
    }
}

#[cfg(test)]
mod tests;
