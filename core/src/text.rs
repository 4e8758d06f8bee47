//! Text by strangers, made safe to show.

/// How many characters of a text are shown.
const SHOWN_CHARS: usize = 120;

/// `bytes` as text for a person: cut to 120 characters; control characters, characters that cannot be seen,
/// and bytes that are not UTF-8 as escapes.
pub fn printable(bytes: &[u8]) -> String {
    printable_start(bytes, SHOWN_CHARS)
}

/// The first bytes of a text, at most so many, and an ellipsis where something is left out.
pub fn start_of(text: &str, most_bytes: usize) -> String {
    if text.len() <= most_bytes {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(most_bytes)])
}

/// As [`printable`], cut to its first `most_chars`.
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

/// As [`printable`], cut to its last `most_chars`.
pub fn printable_end(bytes: &[u8], most_chars: usize) -> String {
    // A character has four bytes at the most; half of one would look like bytes that are not UTF-8.
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

/// Characters that can be seen, and an escape for each of the others.
fn pieces(bytes: &[u8]) -> impl Iterator<Item = String> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let valid = chunk.valid().chars();
        let valid = valid.map(|c| if is_seen(c) { c.to_string() } else { c.escape_default().to_string() });
        valid.chain(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")))
    })
}

/// Whether a character shows itself for what it is: a no-break space in a date, or a zero-width one in a
/// name, does not.
fn is_seen(c: char) -> bool {
    let invisible = matches!(c, '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{180b}'..='\u{180e}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    c == ' ' || !(c.is_control() || c.is_whitespace() || invisible)
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
}
