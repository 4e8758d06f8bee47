//! Recognises whether a cell looks like a name, or like a value that is rarely a name.

/// The kind of a cell's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// No text.
    Empty,
    /// Digits, possibly with a sign and a decimal point.
    Number,
    /// `true` or `false`.
    Boolean,
    /// Digits with the punctuation of dates and times between them.
    Date,
    /// An e-mail address.
    Email,
    /// A UUID.
    Uuid,
    /// Anything else.
    Text,
}

impl Kind {
    pub(super) fn is_seldom_a_name(self) -> bool {
        !matches!(self, Self::Empty | Self::Text)
    }
}

/// Returns the kind of a text; a text that means NULL is empty.
pub(super) fn of(text: &[u8], null_as: Option<&[u8]>) -> Kind {
    if text.is_empty() || Some(text) == null_as {
        Kind::Empty
    } else if is_number(text) {
        Kind::Number
    } else if text.eq_ignore_ascii_case(b"true") || text.eq_ignore_ascii_case(b"false") {
        Kind::Boolean
    } else if is_uuid(text) {
        Kind::Uuid
    } else if is_date(text) {
        Kind::Date
    } else if is_email(text) {
        Kind::Email
    } else {
        Kind::Text
    }
}

fn is_number(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    digits.iter().filter(|byte| **byte == b'.').nth(1).is_none()
        && digits.iter().any(u8::is_ascii_digit)
        && digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
}

/// Checks whether a text is a date, as exactly as is needed to tell it from a name.
fn is_date(text: &[u8]) -> bool {
    let digits = text.iter().filter(|byte| byte.is_ascii_digit()).count();
    let marks = text.iter().filter(|byte| matches!(byte, b'-' | b'/' | b':' | b'.')).count();
    digits >= 6
        && marks >= 2
        && text.iter().all(|byte| {
            byte.is_ascii_digit() || matches!(byte, b'-' | b'/' | b':' | b'.' | b' ' | b'+' | b'T' | b'Z')
        })
}

fn is_email(text: &[u8]) -> bool {
    let mut parts = text.split(|byte| *byte == b'@');
    matches!((parts.next(), parts.next(), parts.next()), (Some(user), Some(host), None) if !user.is_empty() && host.contains(&b'.'))
        && !text.iter().any(u8::is_ascii_whitespace)
}

fn is_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_text_is_told() {
        for (text, expected) in [
            ("", Kind::Empty),
            ("007", Kind::Number),
            ("-1.5", Kind::Number),
            (".", Kind::Text),
            ("1.2.3", Kind::Text),
            ("TRUE", Kind::Boolean),
            ("t", Kind::Text),
            ("2024-03-01", Kind::Date),
            ("01/03/2024 09:15", Kind::Date),
            ("2024-03-01T09:15:42.5Z", Kind::Date),
            ("user.5442@gov.bc.ca", Kind::Email),
            ("a@b", Kind::Text),
            ("@.x", Kind::Text),
            ("6f9619ff-8b86-d011-b42d-00cf4fc964ff", Kind::Uuid),
            ("user_id", Kind::Text),
            ("address2", Kind::Text),
        ] {
            assert_eq!(of(text.as_bytes(), None), expected, "{text:?}");
        }
    }
}
