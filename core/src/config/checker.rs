//! Collects the mistakes in a configuration.

use std::collections::BTreeSet;
use std::ops::Range;

use super::json::Node;
use super::mistake::{Mistake, Place};

/// Reads a file's values, and keeps every mistake that it finds.
pub(super) struct Checker<'a> {
    pub(super) file: &'a str,
    text: &'a str,
    mistakes: Vec<(usize, Mistake)>,
    /// The positions of the values that do not have the form of their keys.
    misfits: BTreeSet<usize>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, mistakes: Vec::new(), misfits: BTreeSet::new() }
    }

    /// Reports a mistake in a value.
    pub(super) fn report(&mut self, node: &Node, reason: impl Into<String>) {
        self.report_at(&node.path, node.place.clone(), reason);
    }

    /// Reports a mistake in a value's key, or in a value that has no key.
    pub(super) fn report_key(&mut self, node: &Node, path: &str, reason: impl Into<String>) {
        // For the whole file, the first character is shown.
        let place = node.key.as_ref().map_or(node.place.start..node.place.start + 1, |key| key.place.clone());
        self.report_at(path, place, reason);
    }

    pub(super) fn report_at(&mut self, key: &str, place: Range<usize>, reason: impl Into<String>) {
        let at = place.start;
        let mistake = Mistake {
            file: self.file.to_owned(),
            place: Some(Place::of(self.text, place)),
            key: key.to_owned(),
            reason: reason.into(),
        };
        self.mistakes.push((at, mistake));
    }

    /// Reports a value that does not have the form of its key. Its meaning is not checked.
    pub(super) fn report_misfit(&mut self, node: &Node, reason: impl Into<String>) {
        self.misfits.insert(node.place.start);
        self.report(node, reason);
    }

    /// Returns an object's value, if it exists and has the form of its key.
    pub(super) fn fit<'n>(&self, object: &'n Node, key: &str) -> Option<&'n Node> {
        object.get(key).filter(|node| self.is_fit(node))
    }

    pub(super) fn is_fit(&self, node: &Node) -> bool {
        !self.misfits.contains(&node.place.start)
    }

    pub(super) fn text_of(&self, object: &Node, key: &str) -> Option<String> {
        self.fit(object, key)?.as_text().map(str::to_owned)
    }

    pub(super) fn is_clean(&self) -> bool {
        self.mistakes.is_empty()
    }

    /// Returns the mistakes in the order of the file.
    pub(super) fn into_mistakes(mut self) -> Vec<Mistake> {
        self.mistakes.sort_by_key(|(at, _)| *at);
        self.mistakes.into_iter().map(|(_, mistake)| mistake).collect()
    }
}
