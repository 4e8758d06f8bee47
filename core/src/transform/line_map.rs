//! Maps the lines of a staged file to those of the member.

/// The number of entries at which a [`LineMap`] stops growing: a megabyte.
const LINE_MAP_ENTRIES: usize = 65_536;

/// A mapping from a line of the staged file to the line of the member.
///
/// The distance between the two changes only where blank lines or line ends in dropped columns were left out,
/// so the map holds only those positions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LineMap {
    steps: Vec<(u64, u64)>,
    full: bool,
}

impl LineMap {
    pub(super) fn note(&mut self, staged: u64, source: u64) {
        if self.steps.last().is_none_or(|(a, b)| b + (staged - a) != source) {
            if self.steps.len() < LINE_MAP_ENTRIES {
                self.steps.push((staged, source));
            } else {
                self.full = true;
            }
        }
    }

    /// Returns the member's line for a line of the staged file, if it is known.
    pub fn source_line(&self, staged: u64) -> Option<u64> {
        let at = self.steps.partition_point(|(line, _)| *line <= staged).checked_sub(1)?;
        if self.full && at + 1 == self.steps.len() {
            return None;
        }
        self.steps.get(at).map(|(line, source)| source + (staged - line))
    }
}
