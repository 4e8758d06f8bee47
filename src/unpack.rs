//! An archive's bytes in, its members out, one after the other and none held whole.
//!
//! Nothing that is read counts before the whole archive was: a cut between two members, a wrong checksum and data
//! behind the end show only then.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;
use tar::{Archive, EntryType};

use crate::config::{Dataset, Table};
use crate::problem::{Problem, Problems, Reason, printable};

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
    /// The bytes cannot be read on. The reason is the archive's, unless the reader beneath knows a fault of its own.
    Unreadable(Problem),
    /// What is done with a member failed.
    Failed(E),
}

/// Reads the whole archive from `reader` and hands each member that fills a table to `handle`, in the archive's order.
///
/// Directories and `AppleDouble` files (`._name`) are skipped. Members that are unknown, missing, double or no regular
/// files go to `problems`; when those are full, the rest is not read.
///
/// # Errors
///
/// [`UnpackError`] when the archive is damaged or `handle` fails.
pub fn unpack<R: Read, E>(
    reader: R,
    dataset: &Dataset,
    problems: &mut Problems,
    mut handle: impl FnMut(Member<'_>, &mut Problems) -> Handled<E>,
) -> Result<(), UnpackError<E>> {
    let mut archive = Archive::new(Gunzip::new(BufReader::with_capacity(READ_AHEAD_BYTES, reader)));
    let mut seen = BTreeSet::new();
    let entries = archive.entries().map_err(|error| unreadable(None, &error))?;
    for entry in entries {
        let mut entry = entry.map_err(|error| unreadable(None, &error))?;
        let path = entry.path_bytes().into_owned();
        let base = path.rsplit(|byte| *byte == b'/').find(|part| !part.is_empty()).unwrap_or_default();
        let kind = entry.header().entry_type();
        if kind.is_dir() || base.starts_with(b"._") || matches!(kind, EntryType::XGlobalHeader) {
            continue;
        }
        let name = printable(base);
        let stem = name.split('.').next().unwrap_or_default();
        let Some(table) = dataset.table_of(stem) else {
            let expected = dataset.tables.iter().map(|table| table.member.clone()).collect();
            problems.push(Problem::member(&name, Reason::UnknownMember { expected }));
            continue;
        };
        if !(kind.is_file() || matches!(kind, EntryType::Continuous | EntryType::GNUSparse)) {
            problems.push(Problem::member(&name, Reason::NotARegularFile));
            seen.insert(&table.member);
            continue;
        }
        if !seen.insert(&table.member) {
            problems.push(Problem::member(&name, Reason::DuplicateMember));
            continue;
        }
        let size_bytes = entry.size();
        match handle(Member { name: &name, size_bytes, table, body: &mut entry }, problems) {
            Handled::Done => {}
            Handled::Unreadable(error) => return Err(unreadable(Some(&name), &error)),
            Handled::Failed(error) => return Err(UnpackError::Failed(error)),
        }
        if problems.is_full() {
            return Ok(());
        }
    }
    drain(archive.into_inner(), problems)?;
    for table in dataset.tables.iter().filter(|table| !seen.contains(&table.member)) {
        problems.push(Problem::member(&table.member, Reason::MissingMember));
    }
    Ok(())
}

/// The contents of one gzip member after the other, up to the end of the input. Zeros behind the last are padding, as `gzip`
/// takes them; anything else there is an error of its own rather than a broken member.
struct Gunzip<R: BufRead>(Option<GzDecoder<R>>);

/// What [`Gunzip`] says of bytes behind the last member.
const JUNK: &str = "there is data behind the end of the gzip";

impl<R: BufRead> Gunzip<R> {
    fn new(reader: R) -> Self {
        Self(Some(GzDecoder::new(reader)))
    }
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(decoder) = &mut self.0 else { return Ok(0) };
            let count = decoder.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let Some(decoder) = self.0.take() else { return Ok(0) };
            let mut rest = decoder.into_inner();
            match rest.fill_buf()?.first() {
                None => return Ok(0),
                Some(0x1f) => self.0 = Some(GzDecoder::new(rest)),
                Some(_) => loop {
                    let bytes = rest.fill_buf()?;
                    if bytes.is_empty() {
                        return Ok(0);
                    }
                    if bytes.iter().any(|byte| *byte != 0) {
                        return Err(io::Error::new(io::ErrorKind::InvalidData, JUNK));
                    }
                    let count = bytes.len();
                    rest.consume(count);
                },
            }
        }
    }
}

/// Reads what is behind the tar's end, so that the gzip's checksum is looked at and nothing there goes unseen.
fn drain<E>(mut decoder: impl Read, problems: &mut Problems) -> Result<(), UnpackError<E>> {
    let mut buffer = vec![0; READ_AHEAD_BYTES];
    let mut data = false;
    loop {
        match decoder.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => data |= buffer[..count].iter().any(|byte| *byte != 0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(None, &error)),
        }
    }
    if data {
        problems.push(Problem::archive(Reason::DataAfterEnd));
    }
    Ok(())
}

/// Reads the rest of a member and compares what came with what its header declares: a cut inside a member is no error
/// of the reader's own.
///
/// # Errors
///
/// The reader's, or [`io::ErrorKind::UnexpectedEof`] when the member is short.
pub fn finish(counted: &mut Counted<'_>, size_bytes: u64) -> io::Result<()> {
    io::copy(counted, &mut io::sink())?;
    if counted.count == size_bytes {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{} of {size_bytes} bytes of the file are there", counted.count)))
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

fn unreadable<E>(member: Option<&str>, error: &io::Error) -> UnpackError<E> {
    let detail = innermost(error);
    let gzip = matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
        && ["gzip", "deflate", "corrupt"].iter().any(|word| detail.contains(word));
    let reason = match error.kind() {
        _ if detail == JUNK => Reason::DataAfterEnd,
        io::ErrorKind::UnexpectedEof => Reason::Truncated { detail },
        _ if gzip => Reason::CorruptGzip { detail },
        _ if detail.contains("unexpected EOF") || detail.contains("failed to read entire block") => Reason::Truncated { detail },
        _ => Reason::CorruptTar { detail },
    };
    UnpackError::Unreadable(match member {
        Some(member) => Problem::member(member, reason),
        None => Problem::archive(reason),
    })
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
