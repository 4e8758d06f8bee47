//! Compares the reader of records with a slow one that follows RFC 4180 literally.
#![no_main]

use std::io::{self, Read};

use cmslite_core::csv::RecordReader;
use libfuzzer_sys::fuzz_target;

const LIMIT_BYTES: usize = 200;

/// A reader that returns a fixed number of bytes at a time.
struct Steps<'a>(&'a [u8], usize);

impl Read for Steps<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.len().min(self.1).min(buffer.len());
        let (now, later) = self.0.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.0 = later;
        Ok(count)
    }
}

/// Reads records by the letter of RFC 4180; `None` if the text has none.
fn by_the_letter(text: &[u8]) -> Option<Vec<Vec<Vec<u8>>>> {
    // A Ctrl-Z at the very end is not part of the text.
    let end = text.iter().rposition(|byte| *byte != 0x1a).map_or(0, |at| at + 1);
    let text = &text[..end];
    let mut records = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let mut record: Vec<Vec<u8>> = Vec::new();
        let begin = at;
        loop {
            let mut cell = Vec::new();
            let quoted = text.get(at) == Some(&b'"');
            if quoted {
                at += 1;
                loop {
                    match (text.get(at)?, text.get(at + 1)) {
                        (b'"', Some(b'"')) => {
                            cell.push(b'"');
                            at += 2;
                        }
                        (b'"', _) => {
                            at += 1;
                            break;
                        }
                        (byte, _) => {
                            cell.push(*byte);
                            at += 1;
                        }
                    }
                }
            } else {
                while at < text.len() && !matches!(text[at], b',' | b'\n') {
                    cell.push(text[at]);
                    at += 1;
                }
                // The CR of a CRLF, or of a last line that ends with it.
                if text.get(at) != Some(&b',') && cell.last() == Some(&b'\r') {
                    cell.pop();
                }
            }
            if quoted && text.get(at) == Some(&b'\r') && matches!(text.get(at + 1), None | Some(b'\n')) {
                at += 1;
            }
            record.push(cell);
            match text.get(at) {
                Some(b',') => at += 1,
                Some(b'\n') | None => break,
                Some(_) => return None,
            }
        }
        let blank = matches!(&text[begin..at], b"" | b"\r");
        at += 1;
        if !blank {
            records.push(record);
        }
    }
    Some(records)
}

fuzz_target!(|data: &[u8]| {
    let Some((step, text)) = data.split_first() else { return };
    let mut records = RecordReader::new(Steps(text, usize::from(*step) + 1), b',', LIMIT_BYTES);
    let mut read = Vec::new();
    let whole = loop {
        match records.read() {
            Ok(Some(record)) => {
                read.push((0..record.len()).map(|cell| record.text(cell).to_vec()).collect::<Vec<_>>())
            }
            Ok(None) => break true,
            Err(_) => break false,
        }
    };
    match by_the_letter(text) {
        Some(expected) if whole => assert_eq!(read, expected),
        // Refused: for the same reason as the slow reader, or for a record beyond the limit.
        Some(expected) => {
            assert!(expected.starts_with(&read));
            assert!(text.len() > LIMIT_BYTES, "a sound text was refused");
        }
        None => assert!(!whole, "a text that is not sound was read: {read:?}"),
    }
});
