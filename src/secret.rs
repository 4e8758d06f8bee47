//! Holds a value that cannot be printed.

/// A text that must never reach a log, a report or an error: a password, a key, a token, a statement that
/// contains one.
///
/// It has no `Debug`, `Display` or `Serialize`, so a struct that contains one cannot derive them either.
/// [`Secret::expose`] is the only way to the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text itself, for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}
