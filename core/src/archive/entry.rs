//! Decides what a tar entry is: a member that fills a table, an entry to ignore, or a problem.

use std::collections::BTreeMap;
use std::io::{self, Read};

use tar::{Entry, EntryType};

use super::pax;
use crate::config::{Dataset, Table};
use crate::problem::{Problem, Problems, Reason};
use crate::text::printable;

/// Returns the parts of a path, last part first. Windows separates directories with `\`.
fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.rsplit(|byte| matches!(byte, b'/' | b'\\')).filter(|part| !part.is_empty())
}

/// Returns the last part of a path that is not empty. Nothing is written to a disk, so directories, `..` and
/// a leading `/` do not matter.
pub(super) fn base_name(path: &[u8]) -> &[u8] {
    parts(path).next().unwrap_or_default()
}

/// Checks whether an operating system added an entry to those that the uploader meant.
fn is_leftover(path: &[u8]) -> bool {
    let name = base_name(path);
    let names: [&[u8]; 3] = [b".DS_Store", b"Thumbs.db", b"desktop.ini"];
    name.starts_with(b"._")
        || names.iter().any(|leftover| name.eq_ignore_ascii_case(leftover))
        || parts(path).any(|part| part == b"__MACOSX")
}

/// Checks whether an entry is to be ignored: a directory, bookkeeping, or a file that an operating system
/// added.
pub(super) fn is_passed_over<R: Read>(entry: &Entry<'_, R>, path: &[u8]) -> bool {
    let kind = entry.header().entry_type();
    let is_bookkeeping = match kind.as_byte() {
        // A directory in an incremental backup, which lists its files; or a volume label, if it has a size.
        b'D' | b'V' => true,
        // The oldest tar format has directories as empty files.
        _ => kind.is_dir() || kind.is_file() && path.ends_with(b"/") && entry.size() == 0,
    };
    is_bookkeeping || is_leftover(path)
}

/// The members found so far, by table.
pub(super) struct Members<'d> {
    dataset: &'d Dataset,
    seen: BTreeMap<&'d str, String>,
}

/// What an entry is.
pub(super) enum EntryKind<'d> {
    Skipped,
    Refused(Problem),
    Fills(&'d Table),
}

impl<'d> Members<'d> {
    pub(super) fn new(dataset: &'d Dataset) -> Self {
        Self { dataset, seen: BTreeMap::new() }
    }

    /// Records a member, and returns what its entry is.
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

/// Checks whether the stored bytes of a file are not the file itself. The old format of sparse files can be
/// read, but its holes are NUL bytes, which are bad input, and may be endless. The tar reader does not know
/// the newer formats: it would take a list of holes, or the parts without the holes, for the file.
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

/// Returns the first wanted key in an entry's pax header.
fn pax_key<R: Read>(entry: &mut Entry<'_, R>, wanted: impl Fn(&[u8]) -> bool) -> io::Result<Option<Vec<u8>>> {
    let records = entry.pax_extensions()?.into_iter().flatten().filter_map(Result::ok);
    Ok(records.map(|record| record.key_bytes().to_vec()).find(|key| wanted(key)))
}
