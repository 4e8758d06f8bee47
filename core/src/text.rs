//! Text by strangers, made safe to show.

/// How many characters of a text are shown.
const SHOWN_CHARS: usize = 120;

/// `bytes` as text for a person: cut to 120 characters; control characters, characters that cannot be seen,
/// and bytes that are not UTF-8 as escapes.
pub fn printable(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut shown = 0;
    for chunk in bytes.utf8_chunks() {
        let valid = chunk
            .valid()
            .chars()
            .map(|c| if is_seen(c) { c.to_string() } else { c.escape_default().to_string() });
        for piece in valid.chain(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}"))) {
            shown += piece.chars().count();
            if shown > SHOWN_CHARS {
                text.push('…');
                return text;
            }
            text.push_str(&piece);
        }
    }
    text
}

/// Whether a character shows itself for what it is: a no-break space in a date, or a zero-width one in a
/// name, does not.
fn is_seen(c: char) -> bool {
    let invisible = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
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
    fn what_cannot_be_seen_is_shown() {
        assert_eq!(
            printable("a b\u{a0}c\u{200b}d\u{202e}\u{feff}".as_bytes()),
            "a b\\u{a0}c\\u{200b}d\\u{202e}\\u{feff}"
        );
        assert_eq!(printable("e\u{301} 李 \"\\".as_bytes()), "e\u{301} 李 \"\\");
    }
}
