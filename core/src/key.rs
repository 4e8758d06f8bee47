//! Defines the key of an object, which is untrusted text.

use std::borrow::Borrow;
use std::fmt::{self, Write as _};
use std::ops::Deref;

use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::is_seen;

/// The maximum number of bytes of a key in UTF-8 (Amazon S3 User Guide, "Naming Amazon S3 objects").
pub const MAX_KEY_BYTES: usize = 1024;

/// An object's key, which the uploader chooses.
///
/// `Display` shows it on one line and in visible characters: every other character as `\u{202e}`, `\n` or
/// similar, and `\` as `\\`, so that the exact key can be read. As JSON, and as `str` for S3 and SQL, it is
/// the exact key.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Key(String);

impl Key {
    /// Returns the exact key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Decodes a key as S3 writes it in notifications, and in listings with `encoding-type=url`: `+` is a
    /// space, the rest is percent-encoded UTF-8. Bytes that are not UTF-8 become U+FFFD, which no archive's
    /// key has.
    pub fn decoded(encoded: &str) -> Self {
        Self(percent_decode_str(&encoded.replace('+', " ")).decode_utf8_lossy().into_owned())
    }

    /// Returns the first character that an archive's key must not have: one that XML 1.0, the format of S3's
    /// answers, cannot express (<https://www.w3.org/TR/xml/#charsets>; among them NUL, which no database
    /// stores), or U+FFFD, which replaces bytes that are not UTF-8.
    pub fn unfit_character(key: &str) -> Option<char> {
        key.chars().find(|c| {
            matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffd}'..='\u{ffff}')
        })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            c if is_seen(c) => f.write_char(c),
            c => c.escape_default().try_for_each(|c| f.write_char(c)),
        })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Deref for Key {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<String> for Key {
    fn from(key: String) -> Self {
        Self(key)
    }
}

impl From<&str> for Key {
    fn from(key: &str) -> Self {
        Self(key.to_owned())
    }
}

impl From<&Self> for Key {
    fn from(key: &Self) -> Self {
        key.clone()
    }
}

impl PartialEq<str> for Key {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Key {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl PartialEq<String> for Key {
    fn eq(&self, other: &String) -> bool {
        self.0 == *other
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the key that is shown like this.
    fn read_off(shown: &str) -> String {
        let mut key = String::new();
        let mut chars = shown.chars();
        while let Some(c) = chars.next() {
            key.push(match (c, c == '\\') {
                (c, false) => c,
                _ => match chars.next().unwrap() {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'u' => {
                        let code: String = chars.by_ref().skip(1).take_while(|c| *c != '}').collect();
                        char::from_u32(u32::from_str_radix(&code, 16).unwrap()).unwrap()
                    }
                    other => other,
                },
            });
        }
        key
    }

    #[test]
    fn a_key_shows_what_is_in_it() {
        for (key, shown) in [
            ("client/gdx/ü 李 a.tgz", "client/gdx/ü 李 a.tgz"),
            ("a\n2026 INFO loaded", "a\\n2026 INFO loaded"),
            ("a\u{202e}zgt.exe", "a\\u{202e}zgt.exe"),
            ("a\u{1b}[2J\u{9b}\u{85}\u{2028}\u{fffd}", "a\\u{1b}[2J\\u{9b}\\u{85}\\u{2028}\\u{fffd}"),
            ("a\u{e0041}\u{fe0f}\u{2800}\u{3164}", "a\\u{e0041}\\u{fe0f}\\u{2800}\\u{3164}"),
            ("a\\u{202e}", "a\\\\u{202e}"),
        ] {
            assert_eq!(Key::from(key).to_string(), shown);
            assert_eq!(serde_json::to_value(Key::from(key)).unwrap(), key);
        }
    }

    #[test]
    fn a_key_is_decoded_as_s3_encodes_it() {
        for (encoded, key) in [
            ("a+b%2Bc%20d", "a b+c d"),
            ("%C3%BC/100%25.tgz", "ü/100%.tgz"),
            ("%00%01%EF%BF%BE", "\0\u{1}\u{fffe}"),
            ("%FF%ED%A0%80a", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}a"),
            ("100%", "100%"),
        ] {
            assert_eq!(Key::decoded(encoded), key);
        }
    }

    #[test]
    fn what_xml_cannot_hold_is_unfit() {
        for c in ['\0', '\u{1}', '\u{b}', '\u{1f}', '\u{fffd}', '\u{fffe}', '\u{ffff}'] {
            assert_eq!(Key::unfit_character(&format!("ü{c}\u{2}")), Some(c));
        }
        assert_eq!(
            Key::unfit_character("\t\n\r \u{7f}\u{85}\u{202e}\u{d7ff}\u{e000}\u{fffc}\u{10ffff}"),
            None
        );
    }

    proptest! {
        #[test]
        fn what_s3_encodes_is_decoded(key in any::<String>()) {
            let encoded = percent_encoding::utf8_percent_encode(&key, percent_encoding::NON_ALPHANUMERIC).to_string();
            prop_assert_eq!(Key::decoded(&encoded), key.as_str());
            prop_assert_eq!(Key::decoded(&encoded.replace("%20", "+")), key.as_str());
        }

        #[test]
        fn a_key_is_shown_on_one_line_and_can_be_read_off(key in any::<String>()) {
            let shown = Key::from(key.as_str()).to_string();
            prop_assert!(shown.chars().all(is_seen), "{shown:?}");
            prop_assert_eq!(read_off(&shown), key);
        }
    }
}
