//! Makes untrusted text safe to show, and times readable.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::LazyLock;

use chrono::{DateTime, SecondsFormat, Utc};
use regex::Regex;

/// The maximum number of characters of a text that are shown.
const SHOWN_CHARS: usize = 120;

/// Returns `bytes` as text for a person: cut to 120 characters, with escapes for control characters,
/// invisible characters, and bytes that are not UTF-8.
pub fn printable(bytes: &[u8]) -> String {
    printable_start(bytes, SHOWN_CHARS)
}

/// Returns a time to the second, in UTC, such as `2026-03-01T09:15:42Z`.
pub fn seconds(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Returns the first `most_bytes` of a text, with an ellipsis if something is left out.
pub fn start_of(text: &str, most_bytes: usize) -> String {
    if text.len() <= most_bytes {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(most_bytes)])
}

/// Does the same as [`printable`], cut to the first `most_chars`.
pub fn printable_start(bytes: &[u8], most_chars: usize) -> String {
    let mut text = String::new();
    let mut shown = 0;
    for piece in pieces(bytes) {
        shown += piece.chars().count();
        if shown > most_chars {
            text.push('…');
            return text;
        }
        text.push_str(&piece);
    }
    text
}

/// Does the same as [`printable`], cut to the last `most_chars`.
pub fn printable_end(bytes: &[u8], most_chars: usize) -> String {
    // A character has at most four bytes; half of one would look like bytes that are not UTF-8.
    let mut from = bytes.len().saturating_sub(4 * (most_chars + 1));
    while bytes.get(from).is_some_and(|byte| from > 0 && byte & 0xc0 == 0x80) {
        from += 1;
    }
    let mut shown = 0;
    let mut is_cut = from > 0;
    let mut kept: Vec<String> = Vec::new();
    for piece in pieces(bytes.get(from..).unwrap_or_default()).collect::<Vec<_>>().into_iter().rev() {
        shown += piece.chars().count();
        if shown > most_chars {
            is_cut = true;
            break;
        }
        kept.push(piece);
    }
    if is_cut {
        kept.push("…".to_owned());
    }
    kept.into_iter().rev().collect()
}

/// Returns visible characters, and an escape for each of the others.
fn pieces(bytes: &[u8]) -> impl Iterator<Item = String> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let valid = chunk.valid().chars();
        let valid = valid.map(|c| if is_seen(c) { c.to_string() } else { c.escape_default().to_string() });
        valid.chain(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")))
    })
}

/// Returns `text` on one line: with escapes for invisible characters, and nothing cut. Existing escapes stay.
pub fn one_line(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_seen) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(pieces(text.as_bytes()).collect())
}

/// Returns JSON that is safe for a terminal, a log or a mail: invisible characters become JSON's `\u`
/// escapes, so that a parser gets the same values. Line ends between its tokens stay.
pub fn visible_json(json: &str) -> Cow<'_, str> {
    let is_kept = |c: char| is_seen(c) || matches!(c, '\n' | '\r' | '\t');
    if json.chars().all(is_kept) {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if is_kept(c) {
            text.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing into memory does not fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    Cow::Owned(text)
}

/// Checks whether a character is visible as itself: a no-break space in a date, or a zero-width one in a
/// name, is not.
///
/// Not visible are, of Unicode's general categories, all of `C` (control characters, format characters such
/// as those that change the direction of writing, private use, unassigned) and of `Z` (spaces and line ends)
/// except the space; characters that are ignored where they cannot be displayed
/// (`Default_Ignorable_Code_Point`: tags, variation selectors, fillers); the empty Braille pattern; and
/// U+FFFC and U+FFFD, which replace something else.
pub fn is_seen(c: char) -> bool {
    // \p{C} and \p{Z} are known to `regex`, so that there is always an expression.
    static UNSEEN: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}\x{2800}\x{FFFC}\x{FFFD}]").ok()
    });
    if c.is_ascii() {
        return c == ' ' || c.is_ascii_graphic();
    }
    UNSEEN.as_ref().is_some_and(|unseen| !unseen.is_match(c.encode_utf8(&mut [0; 4])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offending_text_is_made_printable_and_cut() {
        assert_eq!(printable(b"a\0b\xff\n"), "a\\u{0}b\\xff\\n");
        assert_eq!(printable("é".repeat(200).as_bytes()).chars().count(), 121);
        assert_eq!(printable("é".repeat(120).as_bytes()), "é".repeat(120));
        assert_eq!(printable(&[0; 200]), "\\u{0}".repeat(24) + "…");
    }

    #[test]
    fn a_text_is_cut_at_either_end() {
        for (text, most, start, end) in [
            ("abcdef", 6, "abcdef", "abcdef"),
            ("abcdef", 3, "abc…", "…def"),
            ("éé\u{10ffff}éé", 2, "éé…", "…éé"),
            ("ab\0", 4, "ab…", "…"),
            ("ab\0", 5, "ab…", "…\\u{0}"),
            ("", 3, "", ""),
        ] {
            assert_eq!(printable_start(text.as_bytes(), most), start, "{text:?}");
            assert_eq!(printable_end(text.as_bytes(), most), end, "{text:?}");
        }
        assert_eq!(printable_end("é".repeat(1000).as_bytes(), 40), format!("…{}", "é".repeat(40)));
        assert_eq!(printable_end(&[0xff; 1000], 9), "…\\xff\\xff");
    }

    #[test]
    fn what_cannot_be_seen_is_shown() {
        assert_eq!(
            printable("a b\u{a0}c\u{200b}d\u{202e}\u{feff}".as_bytes()),
            "a b\\u{a0}c\\u{200b}d\\u{202e}\\u{feff}"
        );
        assert_eq!(printable("e\u{301} 李 \"\\".as_bytes()), "e\u{301} 李 \"\\");
    }

    #[test]
    fn every_kind_of_character_that_cannot_be_seen_is_escaped() {
        for c in [
            '\u{0}',
            '\u{7f}',
            '\u{80}',
            '\u{85}',
            '\u{9b}',
            '\u{a0}',
            '\u{ad}',
            '\u{34f}',
            '\u{600}',
            '\u{61c}',
            '\u{115f}',
            '\u{17b4}',
            '\u{180b}',
            '\u{2000}',
            '\u{200d}',
            '\u{2028}',
            '\u{2029}',
            '\u{2066}',
            '\u{2800}',
            '\u{3000}',
            '\u{3164}',
            '\u{e000}',
            '\u{fdd0}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{fffb}',
            '\u{fffc}',
            '\u{fffd}',
            '\u{fffe}',
            '\u{13430}',
            '\u{1d173}',
            '\u{e0000}',
            '\u{e0041}',
            '\u{e007f}',
            '\u{e0100}',
            '\u{f0000}',
            '\u{10ffff}',
        ] {
            assert!(!is_seen(c), "{:x}", u32::from(c));
            assert_eq!(printable(c.to_string().as_bytes()), c.escape_default().to_string());
        }
        for c in [' ', '~', '\\', 'é', '\u{301}', '李', 'ש', '😀', '·', '€'] {
            assert!(is_seen(c), "{c}");
        }
    }

    #[test]
    fn json_is_made_visible_and_says_the_same() {
        let said = serde_json::json!({"a\u{202e}": ["\u{7f}\u{1}\n\u{e0041}\u{2028}é\\\""]});
        let pretty = serde_json::to_string_pretty(&said).unwrap();
        let visible = visible_json(&pretty);
        assert!(visible.chars().all(|c| c == '\n' || is_seen(c)), "{visible}");
        assert!(visible.contains("a\\u202e") && visible.contains("\\udb40\\udc41"), "{visible}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&visible).unwrap(), said);
    }
}
