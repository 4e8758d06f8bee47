//! Writes a list in a text for a person: all elements of a short one, and a few elements and the count of a
//! long one.

use std::fmt;

/// The maximum length of a list that is shown completely.
const MOST: usize = 20;

/// The number of elements that are shown of a longer list.
const FEW: usize = 10;

/// The part of a long list that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// All elements.
    All,
    /// The first few elements.
    First,
    /// The last few elements.
    Last,
}

/// A list under a title.
#[derive(Debug, Clone, Copy)]
pub struct Section<'a> {
    /// The title: what the elements are.
    pub title: &'a str,
    /// The elements that are shown.
    pub shown: Shown,
    /// The number of further elements, older than the first, whose names are not known.
    pub further: usize,
    /// The option that shows all elements.
    pub option: &'a str,
}

/// Returns the elements to show of a list without a title, and the number of the others. Only the first few
/// elements of a long list are shown.
pub fn few<T>(list: &[T]) -> (&[T], usize) {
    let shown = if list.len() <= MOST { list } else { &list[..FEW] };
    (shown, list.len() - shown.len())
}

impl<'a> Section<'a> {
    /// Creates a list of which the first few elements are shown if it is long.
    pub fn new(title: &'a str, option: &'a str) -> Self {
        Self { title, shown: Shown::First, further: 0, option }
    }

    /// Writes the list, indented; nothing if it is empty.
    ///
    /// # Errors
    ///
    /// The formatter's.
    pub fn write<T: fmt::Display>(
        self,
        f: &mut fmt::Formatter<'_>,
        elements: impl ExactSizeIterator<Item = T>,
    ) -> fmt::Result {
        let Self { title, shown, further, option } = self;
        let known = elements.len();
        let (skipped, taken) = match shown {
            Shown::All => (0, known),
            _ if known <= MOST => (0, known),
            Shown::First => (0, FEW),
            Shown::Last => (known - FEW, FEW),
        };
        match (known, known - taken) {
            (0, _) if further == 0 => return Ok(()),
            (_, 0) => writeln!(f, "  {title}:")?,
            (_, _) if shown == Shown::Last => {
                writeln!(f, "  {title}, the last {taken} of {known} ({option} shows them all):")?;
            }
            (_, _) => writeln!(f, "  {title} ({}):", known + further)?,
        }
        for element in elements.skip(skipped).take(taken) {
            writeln!(f, "    {element}")?;
        }
        match (known - taken, further) {
            (0, 0) => Ok(()),
            (0, older) => writeln!(f, "    and {older} older ones"),
            _ if shown == Shown::Last => Ok(()),
            (more, 0) => writeln!(f, "    and {more} more; {option} shows them all"),
            (more, older) => writeln!(f, "    and {} more; {option} shows the newest {known}", more + older),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Of(usize, Shown, usize);

    impl fmt::Display for Of {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let Self(known, shown, further) = *self;
            Section { shown, further, ..Section::new("Names", "--all") }.write(f, 0..known)
        }
    }

    #[test]
    fn a_long_list_is_a_count_and_a_few() {
        assert_eq!(Of(0, Shown::First, 0).to_string(), "");
        assert_eq!(Of(2, Shown::First, 0).to_string(), "  Names:\n    0\n    1\n");
        assert_eq!(Of(MOST, Shown::Last, 0).to_string().lines().count(), 1 + MOST);
        assert_eq!(Of(MOST + 1, Shown::All, 0).to_string().lines().count(), 2 + MOST);
        let few = (0..FEW).map(|n| format!("    {n}\n")).collect::<Vec<_>>().concat();
        let first = format!("  Names (21):\n{few}    and 11 more; --all shows them all\n");
        assert_eq!(Of(21, Shown::First, 0).to_string(), first);
        let last = Of(21, Shown::Last, 0).to_string();
        assert!(last.starts_with("  Names, the last 10 of 21 (--all shows them all):\n    11\n"), "{last}");
        assert_eq!(last.lines().count(), 1 + FEW);
        let forgotten = format!("  Names (6000):\n{few}    and 5990 more; --all shows the newest 1000\n");
        assert_eq!(Of(1000, Shown::First, 5000).to_string(), forgotten);
        assert_eq!(Of(1, Shown::First, 7).to_string(), "  Names:\n    0\n    and 7 older ones\n");
    }
}
