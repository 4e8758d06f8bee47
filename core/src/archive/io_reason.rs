//! Translates an error of reading an archive into a reason for its uploader.

use std::io;

use super::guard_error::GuardError;
use crate::problem::Reason;
use crate::text::printable;

/// Returns the reason why an archive cannot be read further. Where the reader's own words are unclear, it
/// uses others.
pub(super) fn reason(error: &io::Error) -> Reason {
    let detail = printable(innermost(error).as_bytes());
    match GuardError::of(error) {
        Some(GuardError::DataAfterGzip) => return Reason::DataAfterEnd,
        Some(GuardError::TooLarge(limit_bytes)) => return Reason::TooLarge { limit_bytes },
        Some(GuardError::RatioTooHigh { limit, packed_bytes, unpacked_bytes }) => {
            return Reason::RatioTooHigh { limit, packed_bytes, unpacked_bytes };
        }
        Some(GuardError::PaxTooLarge { limit_bytes, found_bytes }) => {
            return Reason::PaxTooLarge { limit_bytes, found_bytes };
        }
        Some(GuardError::EntryHeadersTooLong | GuardError::PaxUnreadable) => {
            return Reason::CorruptTar { detail };
        }
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

/// Returns the text of the innermost error: `tar` wraps the decoder's text in its own.
fn innermost(error: &io::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
    while let Some(inner) = next {
        text = inner.to_string();
        next = inner.source();
    }
    text
}
