//! Computes derived columns: texts found in the cells of other columns.

use memchr::memmem::Finder;

use crate::config::Derived;

/// The rule that finds a derived column in the cell of another.
pub(super) struct Derivation<'a> {
    /// The position of the source column.
    pub(super) from: usize,
    index: usize,
    separator: Finder<'a>,
}

impl<'a> Derivation<'a> {
    pub(super) fn of(derived: &'a Derived) -> Self {
        Self { from: derived.from, index: derived.index, separator: Finder::new(derived.split.as_bytes()) }
    }

    /// Returns the text between the separators, empty if there is none.
    pub(super) fn find<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        let mut rest = text;
        for _ in 0..self.index {
            let Some(found) = self.separator.find(rest) else { return &[] };
            rest = rest.get(found + self.separator.needle().len()..).unwrap_or_default();
        }
        rest.get(..self.separator.find(rest).unwrap_or(rest.len())).unwrap_or_default()
    }
}
