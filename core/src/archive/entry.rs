//! Decides what an entry of a tar is: a member that fills a table, one to pass over, or a problem.

use std::collections::BTreeMap;
use std::io::{self, Read};

use tar::{Entry, EntryType};

use super::pax;
use crate::config::{Dataset, Table};
use crate::problem::{Problem, Problems, Reason};
use crate::text::printable;

/// The parts of a path, from the last. Windows separates directories with `\`.
fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.rsplit(|byte| matches!(byte, b'/' | b'\\')).filter(|part| !part.is_empty())
}

/// A path's last part that is not empty: nothing is written to a disk, so that directories, `..` and a leading
/// `/` are of no consequence.
pub(super) fn base_name(path: &[u8]) -> &[u8] {
    parts(path).next().unwrap_or_default()
}

/// Whether an operating system has left an entry beside those that were meant.
fn is_leftover(path: &[u8]) -> bool {
    let name = base_name(path);
    let names: [&[u8]; 3] = [b".DS_Store", b"Thumbs.db", b"desktop.ini"];
    name.starts_with(b"._")
        || names.iter().any(|leftover| name.eq_ignore_ascii_case(leftover))
        || parts(path).any(|part| part == b"__MACOSX")
}

/// Whether an entry is none that anybody means: a directory, bookkeeping, or what an operating system left.
pub(super) fn is_passed_over<R: Read>(entry: &Entry<'_, R>, path: &[u8]) -> bool {
    let kind = entry.header().entry_type();
    let is_bookkeeping = match kind.as_byte() {
        // A directory in an incremental backup, which lists its files; the label of a volume, if it has a
        // size.
        b'D' | b'V' => true,
        // The oldest tars have directories as empty files.
        _ => kind.is_dir() || kind.is_file() && path.ends_with(b"/") && entry.size() == 0,
    };
    is_bookkeeping || is_leftover(path)
}

/// The members that were met, by table.
pub(super) struct Members<'d> {
    dataset: &'d Dataset,
    seen: BTreeMap<&'d str, String>,
}

/// What is to be done with an entry.
pub(super) enum EntryKind<'d> {
    Skipped,
    Refused(Problem),
    Fills(&'d Table),
}

impl<'d> Members<'d> {
    pub(super) fn new(dataset: &'d Dataset) -> Self {
        Self { dataset, seen: BTreeMap::new() }
    }

    /// Remembers a member that is met, and says what its entry is.
    pub(super) fn classify<R: Read>(
        &mut self,
        entry: &mut Entry<'_, R>,
        path: &[u8],
        name: &str,
    ) -> io::Result<EntryKind<'d>> {
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader) {
            let is_wrong = |key: &[u8]| matches!(key, b"path" | b"size") || is_sparse_key(key);
            return Ok(match pax_key(entry, is_wrong)? {
                None => EntryKind::Skipped,
                Some(key) => {
                    let detail = format!("a pax global header sets \"{}\" for all files", printable(&key));
                    EntryKind::Refused(Problem::archive(Reason::CorruptTar { detail }))
                }
            });
        }
        if is_passed_over(entry, path) {
            return Ok(EntryKind::Skipped);
        }
        let problem = |reason| {
            let problem = Problem::member(name, reason);
            if parts(path).nth(1).is_some() { problem.with_path(path) } else { problem }
        };
        let Some(table) = self.dataset.table_of(name.split('.').next().unwrap_or_default()) else {
            let expected = self.dataset.tables.iter().map(|table| table.member.clone()).collect();
            return Ok(EntryKind::Refused(problem(Reason::UnknownMember { expected })));
        };
        if let Some(first) = self.seen.get(table.member.as_str()) {
            return Ok(EntryKind::Refused(problem(Reason::DuplicateMember { first: first.clone() })));
        }
        self.seen.insert(&table.member, name.to_owned());
        let kind = match kind {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => None,
            EntryType::Symlink => Some("a symbolic link"),
            EntryType::Link => Some("a hard link"),
            EntryType::Char => Some("a character device"),
            EntryType::Block => Some("a block device"),
            EntryType::Fifo => Some("a named pipe"),
            _ if kind.as_byte() == b'M' => Some("the rest of a file that begins in another volume"),
            _ => Some("a special file"),
        };
        if let Some(kind) = kind {
            return Ok(EntryKind::Refused(problem(Reason::NotARegularFile { kind })));
        }
        if is_sparse(entry)? {
            return Ok(EntryKind::Refused(Problem::member(name, Reason::SparseMember)));
        }
        Ok(EntryKind::Fills(table))
    }

    pub(super) fn report_missing(&self, problems: &mut Problems) {
        for table in self.dataset.tables.iter().filter(|table| !self.seen.contains_key(table.member.as_str()))
        {
            problems.push(Problem::member(&table.member, Reason::MissingMember));
        }
    }
}

/// Whether what is stored of a file is not the file. The old form of sparse files is read; but a hole is NUL
/// bytes, which are bad input, and may be endless. In the newer forms, which the tar reader does not know, a
/// list of the holes or the files' parts without them would be taken for the file.
fn is_sparse<R: Read>(entry: &mut Entry<'_, R>) -> io::Result<bool> {
    if entry.header().entry_type().is_gnu_sparse() {
        let has_holes = entry.header().entry_size()? != entry.size();
        return Ok(has_holes || pax_key(entry, |key| key == b"size")?.is_some());
    }
    Ok(pax_key(entry, is_sparse_key)?.is_some())
}

fn is_sparse_key(key: &[u8]) -> bool {
    key.starts_with(pax::SPARSE)
}

/// The first key of an entry's pax header that is wanted.
fn pax_key<R: Read>(entry: &mut Entry<'_, R>, wanted: impl Fn(&[u8]) -> bool) -> io::Result<Option<Vec<u8>>> {
    let records = entry.pax_extensions()?.into_iter().flatten().filter_map(Result::ok);
    Ok(records.map(|record| record.key_bytes().to_vec()).find(|key| wanted(key)))
}
