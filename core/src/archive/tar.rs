//! Reads a tar and hands on its members one after the other, none of them held whole.
//!
//! Nothing that is read counts before the whole archive was: a cut between two members, a wrong checksum and
//! data behind the end show only then.

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

/// Bytes read at a time behind the tar's end.
const BUFFER_BYTES: usize = 128 * 1024;

/// A member on its way out.
pub struct Member<'a> {
    /// Its name in the archive, without directories.
    pub name: &'a str,
    /// The size that its header declares, in bytes.
    pub size_bytes: u64,
    /// The table that it fills.
    pub table: &'a Table,
    /// Its bytes. A read fails where the archive is damaged or cut.
    pub body: &'a mut dyn Read,
}

/// Why a member was not handled to its end.
pub enum MemberError<E> {
    /// Its bytes cannot be read.
    Unreadable(io::Error),
    /// What is done with it failed.
    Failed(E),
}

/// Why an archive was not unpacked.
#[derive(Debug)]
pub enum UnpackError<E> {
    /// The bytes cannot be read on. The reason is the archive's, unless the reader beneath knows a fault of
    /// its own.
    Unreadable(Problem),
    /// What is done with a member failed.
    Failed(E),
}

/// Reads a whole tar, the contents of an archive's gzip, and hands each member that fills a table to
/// `handle`, in the archive's order.
///
/// Directories, and what operating systems leave beside files, are skipped. Members that are unknown, missing, double, no
/// regular files or stored in a form that would be read wrongly go to `problems`; when those are full, the
/// rest is not read. What `handle` leaves of a member is skipped.
///
/// # Errors
///
/// [`UnpackError`] when the archive is damaged or too large, or `handle` fails.
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
        // What a global header holds is read into memory: the guard learns only behind it that anything may
        // come.
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
            // Its holes may be endless; what is stored of it is not.
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

/// Reads what is behind the tar's end, so that the gzip's checksum is looked at and nothing there goes
/// unseen.
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

/// What is wrong where an entry should be: behind another one, or at the beginning, where there may be no tar
/// at all.
pub(super) fn no_entry(error: &io::Error, guard: &Guard, behind: Option<&Passed>) -> Problem {
    let place = match behind {
        Some(passed) => format!("behind {}", passed.name),
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
