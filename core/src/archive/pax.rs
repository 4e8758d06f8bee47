//! Reads pax headers without extended attributes, of which macOS writes megabytes.
//!
//! The lengths of the records separate them, since the values of attributes are binary and may contain line
//! ends.

use std::io::{self, Read};

use super::guard_error::{ENTRY_HEADERS_LIMIT_BYTES, GuardError};

/// The number of digits of the largest possible length.
const LENGTH_DIGITS: usize = 20;

/// The longest key that is read. Names of attributes have 255 bytes at most, and three times as many when
/// they are escaped.
const KEY_BYTES: u64 = 4096;

/// A record: its key and its value.
type PaxRecord = (Vec<u8>, Vec<u8>);

/// Reads the `size` bytes of a pax header, and returns the records that describe a file's name, link, size
/// and sparse parts. Returns `None` if the input ends too early.
///
/// # Errors
///
/// The input's error; [`GuardError`] when the records cannot be separated, or are too large.
pub(super) fn essential_records(input: &mut impl Read, size: u64) -> io::Result<Option<Vec<u8>>> {
    let mut rest = input.take(size);
    let mut kept: Vec<PaxRecord> = Vec::new();
    let mut kept_bytes = 0;
    while let Some((key, value_bytes)) = key_and_value_bytes(&mut rest)? {
        let is_needed = is_essential(&key);
        let mut value = Vec::new();
        let read = if is_needed {
            kept_bytes += key.len() as u64 + value_bytes;
            if kept_bytes > ENTRY_HEADERS_LIMIT_BYTES {
                return Err(GuardError::EntryHeadersTooLong.into());
            }
            rest.by_ref().take(value_bytes).read_to_end(&mut value)? as u64
        } else {
            io::copy(&mut rest.by_ref().take(value_bytes), &mut io::sink())?
        };
        if read < value_bytes {
            return Ok(None);
        }
        // The tar reader would ignore a size that it cannot read.
        let is_odd = key == b"size" && !value.iter().all(u8::is_ascii_digit);
        match next_byte(&mut rest)? {
            Some(b'\n') if !is_odd => {}
            Some(_) => return Err(GuardError::PaxUnreadable.into()),
            None => return Ok(None),
        }
        if is_needed {
            // If a key occurs several times, the last value counts (POSIX, pax). The keys of sparse files
            // form a list.
            kept.retain(|(other, _)| *other != key || key.starts_with(SPARSE));
            kept.push((key, value));
        }
    }
    let unread = rest.limit();
    Ok((io::copy(&mut rest, &mut io::sink())? == unread).then(|| written(&kept)))
}

/// The prefix of GNU tar's keys for sparse files.
pub(super) const SPARSE: &[u8] = b"GNU.sparse.";

fn is_essential(key: &[u8]) -> bool {
    matches!(key, b"path" | b"linkpath" | b"size") || key.starts_with(SPARSE)
}

/// Reads the next record up to its value, and returns its key and the value's length. Returns `None` at the
/// end, which may be padded with NUL.
fn key_and_value_bytes<R: Read>(rest: &mut io::Take<R>) -> io::Result<Option<(Vec<u8>, u64)>> {
    let unreadable = || io::Error::from(GuardError::PaxUnreadable);
    let mut digits = Vec::new();
    loop {
        match next_byte(rest)? {
            None | Some(0) if digits.is_empty() => return Ok(None),
            Some(b' ') => break,
            Some(digit) if digit.is_ascii_digit() && digits.len() < LENGTH_DIGITS => digits.push(digit),
            None if rest.limit() > 0 => return Ok(None),
            _ => return Err(unreadable()),
        }
    }
    let length: u64 =
        std::str::from_utf8(&digits).ok().and_then(|digits| digits.parse().ok()).ok_or_else(unreadable)?;
    // The length includes the digits, the blank, and the line end after the value.
    let mut bytes = length.checked_sub(digits.len() as u64 + 2).ok_or_else(unreadable)?;
    if bytes.saturating_add(1) > rest.limit() {
        return Err(unreadable());
    }
    let mut key = Vec::new();
    loop {
        bytes = bytes.checked_sub(1).ok_or_else(unreadable)?;
        match next_byte(rest)? {
            Some(b'=') => return Ok(Some((key, bytes))),
            Some(_) if key.len() as u64 == KEY_BYTES => return Err(unreadable()),
            Some(byte) => key.push(byte),
            None => return Ok(None),
        }
    }
}

fn next_byte(input: &mut impl Read) -> io::Result<Option<u8>> {
    let mut byte = [0];
    loop {
        match input.read(&mut byte) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some(byte[0])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn written(records: &[PaxRecord]) -> Vec<u8> {
    let mut data = Vec::new();
    for (key, value) in records {
        // A blank, an equals sign and a line end.
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        data.extend_from_slice(format!("{length} ").as_bytes());
        data.extend_from_slice(key);
        data.push(b'=');
        data.extend_from_slice(value);
        data.push(b'\n');
    }
    data
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The kept records are read back unchanged, whatever is between them.
        #[test]
        fn essential_records_stay_and_others_go(
            path in prop::collection::vec(any::<u8>(), 0..300),
            attribute in prop::collection::vec(any::<u8>(), 0..20_000),
            padding in 0..9_usize,
        ) {
            let needed = [(b"path".to_vec(), path), (b"size".to_vec(), b"7".to_vec())];
            let other = (b"SCHILY.xattr.com.apple.x".to_vec(), attribute);
            let all = [needed[0].clone(), other.clone(), needed[1].clone(), other];
            let data = [written(&all), vec![0; padding]].concat();
            let kept = essential_records(&mut data.as_slice(), data.len() as u64).unwrap().unwrap();
            prop_assert_eq!(&kept, &written(&needed));
            prop_assert_eq!(essential_records(&mut kept.as_slice(), kept.len() as u64).unwrap(), Some(kept.clone()));
            for cut in [1, data.len() / 2, data.len() - padding] {
                let rest = &data[..data.len() - padding - cut.min(data.len() - padding)];
                prop_assert_eq!(essential_records(&mut &*rest, data.len() as u64).unwrap(), None);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(data in prop::collection::vec(any::<u8>(), 0..200), size in any::<u64>()) {
            let _ = essential_records(&mut data.as_slice(), size);
        }
    }

    #[test]
    fn of_several_records_of_a_name_the_last_counts() {
        let data = b"9 size=1\n10 path=a\n11 path=bc\n10 size=2\n";
        let kept = essential_records(&mut data.as_slice(), data.len() as u64).unwrap();
        assert_eq!(kept.as_deref(), Some(b"11 path=bc\n9 size=2\n".as_slice()));
    }

    #[test]
    fn records_that_cannot_be_told_apart_are_refused() {
        for data in [
            "8 size=1\n",
            "x size=1\n",
            "12 size=1\n",
            "5 si\n",
            "-9 size=1\n",
            "size=1\n",
            "11 size=-1\n",
            "11 size=5x\n",
        ] {
            let read = essential_records(&mut data.as_bytes(), data.len() as u64);
            assert_eq!(GuardError::of(&read.unwrap_err()), Some(GuardError::PaxUnreadable), "{data:?}");
        }
    }
}
