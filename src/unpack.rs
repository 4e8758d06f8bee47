//! An archive's bytes in, its members out, one after the other and none held whole.
//!
//! Nothing that is read counts before the whole archive was: a cut between two members, a wrong checksum and
//! data behind the end show only then.

mod ahead;
mod gunzip;
mod magic;
mod watch;

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Cursor, Read};

use tar::{Archive, Entry, EntryType};

use crate::config::{Dataset, Table};
use crate::problem::{Problem, Problems, Reason, printable};
pub use ahead::Ahead;
pub use gunzip::Gunzip;
use watch::{Stop, Watch, Watched};

/// Bytes that the decoder reads ahead.
const READ_AHEAD_BYTES: usize = 128 * 1024;

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

/// What handling a member came to.
pub enum Handled<E> {
    /// It was read as far as it is of interest; the rest is skipped.
    Done,
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

/// The contents of the gzip file that `reader` holds.
///
/// # Errors
///
/// What is wrong with a file that is no gzip file; or the reader's own error, as one of the archive's.
pub fn inflate<R: Read>(mut reader: R) -> Result<Gunzip<impl BufRead + use<R>>, Problem> {
    let mut head = Vec::new();
    reader
        .by_ref()
        .take(magic::HEAD_BYTES as u64)
        .read_to_end(&mut head)
        .map_err(|error| Problem::archive(reason(&error)))?;
    if !head.starts_with(magic::GZIP) {
        return Err(no_gzip(&head));
    }
    Ok(Gunzip::new(BufReader::with_capacity(READ_AHEAD_BYTES, Cursor::new(head).chain(reader))))
}

/// Reads a whole tar, the contents of an archive's gzip, and hands each member that fills a table to
/// `handle`, in the archive's order.
///
/// Directories and `AppleDouble` files (`._name`) are skipped. Members that are unknown, missing, double, no
/// regular files or stored in a form that would be read wrongly go to `problems`; when those are full, the
/// rest is not read.
///
/// # Errors
///
/// [`UnpackError`] when the archive is damaged or too large, or `handle` fails.
pub fn unpack<R: Read, E>(
    contents: R,
    dataset: &Dataset,
    problems: &mut Problems,
    mut handle: impl FnMut(Member<'_>, &mut Problems) -> Handled<E>,
) -> Result<(), UnpackError<E>> {
    let watch = Watch::new(dataset.max_unpacked_bytes);
    let mut archive = Archive::new(Watched::new(contents, &watch));

    let mut members = Members { dataset, seen: BTreeMap::new() };
    let mut behind: Option<Passed> = None;
    let mut entries = archive.entries().map_err(|error| in_archive(&error))?;
    watch.padding_then_header();
    loop {
        let entry = entries.next();
        if watch.take_padding_used()
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
                return Err(UnpackError::Unreadable(no_entry(&error, &watch, behind.as_ref())));
            }
        };
        let path = entry.path_bytes().into_owned();
        let name = printable(base_name(&path));
        let in_member = |error: &io::Error| UnpackError::Unreadable(Problem::member(&name, reason(error)));
        let mut filled_bytes = None;
        // What a global header holds is read into memory: the watch is told only behind it that anything may
        // come.
        let judged = members.judge(&mut entry, &path, &name);
        watch.anything();
        match judged.map_err(|error| UnpackError::Unreadable(no_entry(&error, &watch, behind.as_ref())))? {
            Judged::Skipped => {}
            Judged::Refused(problem) => problems.push(problem),
            Judged::Fills(table) => {
                let size_bytes = entry.size();
                if size_bytes > dataset.max_unpacked_bytes {
                    return Err(in_member(&Stop::TooLarge(dataset.max_unpacked_bytes).into()));
                }
                filled_bytes = Some(size_bytes);
                match handle(Member { name: &name, size_bytes, table, body: &mut entry }, problems) {
                    Handled::Done => {}
                    Handled::Unreadable(error) => return Err(in_member(&error)),
                    Handled::Failed(error) => return Err(UnpackError::Failed(error)),
                }
                if problems.is_full() {
                    return Ok(());
                }
            }
        }
        if entry.header().entry_type().is_gnu_sparse() {
            // Its holes may be endless; what is stored of it is not.
            watch.unread_then_header(entry.header().entry_size().unwrap_or_default());
        } else {
            io::copy(&mut entry, &mut io::sink()).map_err(|error| in_member(&error))?;
            watch.padding_then_header();
        }
        behind = Some(Passed { name, filled_bytes });
    }
    if watch.head().is_empty() {
        return Err(UnpackError::Unreadable(Problem::archive(Reason::Truncated {
            detail: "there is nothing inside the gzip".to_owned(),
        })));
    }
    watch.anything();
    drain(archive.into_inner(), problems)?;
    members.tell_missing(problems);
    Ok(())
}

/// An entry that was read, and its size if it fills a table.
struct Passed {
    name: String,
    filled_bytes: Option<u64>,
}

/// A path's last part that is not empty.
fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').find(|part| !part.is_empty()).unwrap_or_default()
}

/// The members that were met, by table.
struct Members<'d> {
    dataset: &'d Dataset,
    seen: BTreeMap<&'d str, String>,
}

/// What is to be done with an entry.
enum Judged<'d> {
    Skipped,
    Refused(Problem),
    Fills(&'d Table),
}

impl<'d> Members<'d> {
    fn judge<R: Read>(
        &mut self,
        entry: &mut Entry<'_, R>,
        path: &[u8],
        name: &str,
    ) -> io::Result<Judged<'d>> {
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader) {
            let is_wrong = |key: &[u8]| matches!(key, b"path" | b"size") || is_sparse_key(key);
            return Ok(match pax_key(entry, is_wrong)? {
                None => Judged::Skipped,
                Some(key) => {
                    let detail = format!("a pax global header sets \"{}\" for all files", printable(&key));
                    Judged::Refused(Problem::archive(Reason::CorruptTar { detail }))
                }
            });
        }
        // The oldest tars have directories as empty files.
        let is_directory = kind.is_dir() || kind.is_file() && path.ends_with(b"/") && entry.size() == 0;
        if is_directory || base_name(path).starts_with(b"._") {
            return Ok(Judged::Skipped);
        }
        let problem = |reason| {
            let problem = Problem::member(name, reason);
            if path.contains(&b'/') { problem.with_text(path) } else { problem }
        };
        let Some(table) = self.dataset.table_of(name.split('.').next().unwrap_or_default()) else {
            let expected = self.dataset.tables.iter().map(|table| table.member.clone()).collect();
            return Ok(Judged::Refused(problem(Reason::UnknownMember { expected })));
        };
        if let Some(first) = self.seen.get(table.member.as_str()) {
            return Ok(Judged::Refused(problem(Reason::DuplicateMember { first: first.clone() })));
        }
        self.seen.insert(&table.member, name.to_owned());
        let kind = match kind {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => None,
            EntryType::Symlink => Some("a symbolic link"),
            EntryType::Link => Some("a hard link"),
            _ => Some("a special file"),
        };
        if let Some(kind) = kind {
            return Ok(Judged::Refused(problem(Reason::NotARegularFile { kind })));
        }
        if is_sparse(entry)? {
            return Ok(Judged::Refused(Problem::member(name, Reason::SparseMember)));
        }
        Ok(Judged::Fills(table))
    }

    fn tell_missing(&self, problems: &mut Problems) {
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
    key.starts_with(b"GNU.sparse.")
}

/// The first key of an entry's pax header that is wanted. Records that cannot be read are passed over: macOS
/// writes attributes with binary values, behind those that matter.
fn pax_key<R: Read>(entry: &mut Entry<'_, R>, wanted: impl Fn(&[u8]) -> bool) -> io::Result<Option<Vec<u8>>> {
    let records = entry.pax_extensions()?.into_iter().flatten().filter_map(Result::ok);
    Ok(records.map(|record| record.key_bytes().to_vec()).find(|key| wanted(key)))
}

/// Reads what is behind the tar's end, so that the gzip's checksum is looked at and nothing there goes
/// unseen.
fn drain<E>(mut decoder: impl Read, problems: &mut Problems) -> Result<(), UnpackError<E>> {
    let mut buffer = vec![0; READ_AHEAD_BYTES];
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

/// Reads the rest of a member and compares what came with what its header declares: a cut inside a member is
/// no error of the reader's own.
///
/// # Errors
///
/// The reader's, or [`io::ErrorKind::UnexpectedEof`] when the member is short.
pub fn finish(counted: &mut Counted<'_>, size_bytes: u64) -> io::Result<()> {
    io::copy(counted, &mut io::sink())?;
    if counted.count == size_bytes {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::UnexpectedEof,
        format!("{} of {size_bytes} bytes of the file are there", counted.count),
    ))
}

/// A member's body that counts its bytes.
pub struct Counted<'a> {
    body: &'a mut dyn Read,
    /// Bytes read so far.
    pub count: u64,
}

impl<'a> Counted<'a> {
    /// Counts what is read from `body`.
    pub fn new(body: &'a mut dyn Read) -> Self {
        Self { body, count: 0 }
    }
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.body.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}

fn in_archive<E>(error: &io::Error) -> UnpackError<E> {
    UnpackError::Unreadable(Problem::archive(reason(error)))
}

/// What is wrong with an archive that is no gzip file.
fn no_gzip(head: &[u8]) -> Problem {
    if head.is_empty() {
        return Problem::archive(Reason::EmptyArchive);
    }
    let kind = magic::kind(head);
    let problem = Problem::archive(Reason::NotGzip { found: kind.map(|kind| kind.name) });
    if kind.is_some_and(|kind| kind.is_text) { problem.with_text(head) } else { problem }
}

/// What is wrong where an entry should be: behind another one, or at the beginning, where there may be no tar
/// at all.
fn no_entry(error: &io::Error, watch: &Watch, behind: Option<&Passed>) -> Problem {
    let place = match behind {
        Some(passed) => format!("behind {}", passed.name),
        None => "at its beginning".to_owned(),
    };
    let reason = match reason(error) {
        Reason::CorruptTar { detail } => Reason::CorruptTar { detail: format!("{detail}, {place}") },
        Reason::Truncated { detail } => Reason::Truncated { detail: format!("{detail}, {place}") },
        other => return Problem::archive(other),
    };
    let head = watch.head();
    match magic::kind(&head) {
        Some(kind) if behind.is_none() && !magic::is_tar(&head) => {
            let problem = Problem::archive(Reason::NotTar { found: kind.name });
            if kind.is_text { problem.with_text(&head) } else { problem }
        }
        _ => Problem::archive(reason),
    }
}

/// What is wrong with an archive whose bytes cannot be read on, in words for its uploader where the reader
/// has its own.
fn reason(error: &io::Error) -> Reason {
    let detail = printable(innermost(error).as_bytes());
    match Stop::of(error) {
        Some(Stop::DataBehindGzip) => return Reason::DataAfterEnd,
        Some(Stop::TooLarge(limit_bytes)) => return Reason::TooLarge { limit_bytes },
        Some(Stop::LongBetween) => return Reason::CorruptTar { detail },
        None => {}
    }
    let is_invalid = matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData);
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return Reason::Truncated { detail };
    }
    if is_invalid && ["gzip", "deflate", "corrupt"].iter().any(|word| detail.contains(word)) {
        return Reason::CorruptGzip { detail };
    }
    let cut = [
        ("unexpected EOF during skip", "within a file or its padding"),
        ("failed to read", "within an entry's header"),
        ("members found describing a future member", "between an entry's name and the entry"),
    ];
    if let Some((_, place)) = cut.iter().find(|(words, _)| detail.contains(words)) {
        return Reason::Truncated { detail: (*place).to_owned() };
    }
    if ["checksum", "cksum"].iter().any(|word| detail.contains(word)) {
        return Reason::CorruptTar { detail: "an entry's header is damaged or missing".to_owned() };
    }
    Reason::CorruptTar { detail }
}

/// What the deepest error says: `tar` wraps the decoder's words into its own.
fn innermost(error: &io::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
    while let Some(inner) = next {
        text = inner.to_string();
        next = inner.source();
    }
    text
}

#[cfg(test)]
mod tests;
