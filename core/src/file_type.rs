//! Recognises, by its first bytes, a file that is not the expected archive or text.

use memchr::memmem;

/// The number of bytes that are checked: a tar has its mark within the first block.
pub const HEAD_BYTES: usize = 512;

/// The first bytes of every gzip file.
pub const GZIP: &[u8] = b"\x1f\x8b";

/// A type of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileType {
    /// The type's name, in words that follow "it is".
    pub name: &'static str,
    /// Whether the file's beginning tells more than the type's name.
    pub is_text: bool,
}

/// The first bytes of other types of file.
const MAGIC: [(&[u8], &str); 11] = [
    (GZIP, "a gzip file"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"PK\x05\x06", "a ZIP archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook, or another document of Microsoft Office"),
    (b"%PDF-", "a PDF document"),
    (b"PAR1\x15", "a Parquet file"),
    (b"\xfd7zXZ\0", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x1f\x9d", "a file of `compress`"),
];

/// Checks whether `head` is the beginning of a tar of any but the oldest format.
pub fn is_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar")
}

/// Returns the type of a file that begins with `head`.
pub fn detect(head: &[u8]) -> Option<FileType> {
    detect_other_than_table(head)
        .or_else(|| text(head).map(|_| FileType { name: "a plain text", is_text: true }))
}

/// Returns the type of a file that begins with `head`, if it cannot be a table of delimited text.
pub fn detect_other_than_table(head: &[u8]) -> Option<FileType> {
    let binary = |name| Some(FileType { name, is_text: false });
    if is_tar(head) {
        return binary("an uncompressed tar");
    }
    // The digit is the level; a block begins after it.
    if head.starts_with(b"BZh") && head.get(4..10) == Some(b"1AY&SY") {
        return binary("a bzip2 file");
    }
    if head.starts_with(b"\xff\xfe\0\0") || head.starts_with(b"\0\0\xfe\xff") {
        return binary("a text in UTF-32");
    }
    if head.starts_with(b"PK\x03\x04") && memmem::find(head, b"[Content_Types].xml").is_some() {
        return binary("an Excel workbook, or another document of Microsoft Office");
    }
    if let Some((_, name)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        return binary(name);
    }
    let text = text(head)?.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    let html = ["<!doctype html", "<html", "<head", "<body", "<table", "<meta", "<!--"];
    let name = if html.iter().any(|begin| text.starts_with(begin)) {
        "an HTML page"
    } else if text.starts_with("<?xml") {
        "an XML document"
    } else {
        return None;
    };
    Some(FileType { name, is_text: true })
}

/// Checks whether a text begins with the byte order mark of UTF-16, or with two ASCII characters in UTF-16.
pub fn is_utf16(head: &[u8]) -> bool {
    match head {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        [a, b, c, d, ..] => matches!(
            (*a == 0, *b == 0, *c == 0, *d == 0),
            (true, false, true, false) | (false, true, false, true)
        ),
        _ => false,
    }
}

/// Returns the bytes as text, if they are text; a character may be cut at the end.
fn text(head: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(head.get(..error.valid_up_to())?).ok()?
        }
        Err(_) => return None,
    };
    let is_text = text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'));
    (is_text && !text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_first_bytes() {
        for (head, expected) in [
            (b"\x1f\x8b\x08\0".as_slice(), Some("a gzip file")),
            (b"PK\x03\x04\x14\0", Some("a ZIP archive")),
            (
                b"PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0[Content_Types].xml",
                Some("an Excel workbook, or another document of Microsoft Office"),
            ),
            (
                b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0",
                Some("an Excel workbook, or another document of Microsoft Office"),
            ),
            (b"%PDF-1.7", Some("a PDF document")),
            (b"PAR1\x15\x04", Some("a Parquet file")),
            (b"BZh91AY&SY", Some("a bzip2 file")),
            (b"BZh1,PAR1,PK,%PDF", Some("a plain text")),
            (b"\xfd7zXZ\0\0\x04", Some("an xz file")),
            (b"\x28\xb5\x2f\xfd\x04", Some("a Zstandard file")),
            (b"7z\xbc\xaf\x27\x1c\0\x04", Some("a 7-Zip archive")),
            (b"Rar!\x1a\x07\x01\0", Some("a RAR archive")),
            (b"\x1f\x9d\x90", Some("a file of `compress`")),
            (b"\n<!doctype HTML><p>", Some("an HTML page")),
            (b"<html lang=en>", Some("an HTML page")),
            ("\u{feff}<?xml version='1.0'?>".as_bytes(), Some("an XML document")),
            (b"{\"message\": \"Forbidden\"}", Some("a plain text")),
            ("Santé".as_bytes(), Some("a plain text")),
            (&"Santé".as_bytes()[..5], Some("a plain text")),
            (b"Sant\xe9 publique", None),
            (b"\0\0\0\0", None),
            (b"", None),
        ] {
            assert_eq!(detect(head).map(|found| found.name), expected, "{head:?}");
        }
        let mut tar = [0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(detect(&tar).map(|found| found.name), Some("an uncompressed tar"));
    }
}
