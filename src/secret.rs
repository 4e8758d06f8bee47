//! Holds a value that cannot be printed.

/// Text that must never reach a log, a report or an error: a password, a key, a token, a statement that
/// carries one.
///
/// It has no `Debug`, `Display` or `Serialize`, so a struct that holds one cannot derive them either.
/// The only way to the text is [`Secret::expose`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}
