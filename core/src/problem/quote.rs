//! Quotes an archive's cells, or withholds them.

use std::fmt;

/// Whether messages about an archive may quote its cells: `quote_cells` in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quoting {
    /// The cells may be shown.
    Shown,
    /// The cells are withheld: position, reason and length are shown, the text is not.
    Withheld,
}

/// A text that quotes cells, and the text shown instead. It is withheld until
/// [`Problems::decide`](super::Problems::decide) shows it, so that no undecided text is shown by mistake.
#[derive(Clone, PartialEq, Eq)]
pub struct Quote {
    // Boxed, since results carry problems.
    texts: Box<Texts>,
    quoting: Quoting,
}

#[derive(Clone, PartialEq, Eq)]
struct Texts {
    text: String,
    instead: String,
}

impl Quote {
    /// Creates a quote from a text that quotes cells, and the text shown `instead`.
    pub fn new(text: impl Into<String>, instead: impl Into<String>) -> Self {
        Self {
            texts: Box::new(Texts { text: text.into(), instead: instead.into() }),
            quoting: Quoting::Withheld,
        }
    }

    /// Returns the text, if it may be shown.
    pub fn shown(&self) -> Option<&str> {
        (self.quoting == Quoting::Shown).then_some(self.texts.text.as_str())
    }

    pub(super) fn decide(&mut self, quoting: Quoting) {
        self.quoting = quoting;
    }
}

impl fmt::Display for Quote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shown().unwrap_or(&self.texts.instead))
    }
}

/// Writes only what may be shown.
impl fmt::Debug for Quote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.shown().unwrap_or(&self.texts.instead), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_withheld_until_it_may_be_shown() {
        let mut quote = Quote::new("cell", "4 bytes");
        assert_eq!(
            (quote.shown(), quote.to_string(), format!("{quote:?}")),
            (None, "4 bytes".to_owned(), "\"4 bytes\"".to_owned())
        );
        quote.decide(Quoting::Shown);
        assert_eq!((quote.shown(), quote.to_string()), (Some("cell"), "cell".to_owned()));
        quote.decide(Quoting::Withheld);
        assert_eq!(quote.shown(), None);
    }
}
