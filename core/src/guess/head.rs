//! Reads the beginnings of an archive's files.

use std::io::Read;

use super::error::GuessError;
use crate::archive::survey;
use crate::csv::BYTE_ORDER_MARK;
use crate::file_type;

/// The number of bytes of each file from which the delimiter is guessed: more than any header has.
const HEAD_BYTES: u64 = 64 * 1024;

/// The beginning of a file in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The file's name.
    pub(super) name: String,
    /// The file's first bytes.
    pub(super) bytes: Vec<u8>,
}

/// Reads the beginning of each file of an archive.
///
/// # Errors
///
/// [`GuessError`], also if the files cannot be those of a dataset.
pub fn heads(reader: impl Read) -> Result<Vec<Head>, GuessError> {
    let mut heads: Vec<Head> = Vec::new();
    survey(reader, |member| {
        let mut bytes = Vec::new();
        member.body.take(HEAD_BYTES).read_to_end(&mut bytes)?;
        let without_mark = bytes.strip_prefix(BYTE_ORDER_MARK).map(<[u8]>::to_vec);
        heads.push(Head { name: member.name.to_owned(), bytes: without_mark.unwrap_or(bytes) });
        Ok(())
    })?;
    if heads.is_empty() {
        return Err(GuessError::NoMember);
    }
    for (at, head) in heads.iter().enumerate() {
        let member = || head.name.clone();
        if member_name(&head.name).is_empty() {
            return Err(GuessError::NoName { member: member() });
        }
        let same = heads.iter().take(at).find(|other| member_name(&other.name) == member_name(&head.name));
        if let Some(first) = same {
            return Err(GuessError::SameName { first: first.name.clone(), second: member() });
        }
        if head.bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            return Err(GuessError::NoHeader { member: member() });
        }
        let begin = head.bytes.get(..file_type::HEAD_BYTES.min(head.bytes.len())).unwrap_or_default();
        if file_type::is_utf16(begin) {
            return Err(GuessError::NotText { member: member(), found: "UTF-16" });
        }
        if let Some(kind) = file_type::detect_other_than_table(begin) {
            return Err(GuessError::NotText { member: member(), found: kind.name });
        }
    }
    Ok(heads)
}

/// Returns the name of a file in a configuration.
pub(super) fn member_name(file: &str) -> &str {
    file.split('.').next().unwrap_or_default()
}
