//! Reads one cell, from its first mark to the beginning of the next cell.

use std::ops::Range;

use crate::csv::StructuralIndex;

/// The form in which a cell is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Without quotes around it, and with nothing in it that needs them.
    Bare,
    /// In quotes, without quotes inside.
    Quoted,
    /// In quotes, with doubled quotes inside.
    Doubled,
}

/// A cell, and the position after it.
pub(super) struct Cell {
    /// The range of the cell's text, without the quotes around it.
    pub(super) inner: Range<usize>,
    /// The range of the cell as it is written.
    pub(super) written: Range<usize>,
    /// Whether the cell stays unchanged if it is loaded.
    pub(super) is_canonical: bool,
    pub(super) form: Form,
    /// The number of line ends in the cell.
    pub(super) lines: u64,
    /// The beginning of the next cell.
    pub(super) next: usize,
}

/// Returns the cell that begins at `start` and has its first mark at `mark`, if it has the form of CSV.
pub(super) fn cell(
    text: &[u8],
    ends_with: u8,
    start: usize,
    mark: usize,
    index: &StructuralIndex,
) -> Option<Cell> {
    let mut cell = Cell {
        inner: start..mark,
        written: start..mark,
        is_canonical: true,
        form: Form::Bare,
        lines: 0,
        next: mark,
    };
    let mut behind = mark;
    if mark == start && text.get(mark) == Some(&b'"') {
        let mut marks = index.from(mark + 1);
        (cell.is_canonical, cell.form) = (false, Form::Quoted);
        let close = loop {
            let mark = marks.next()?;
            match text.get(mark)? {
                b'"' if *text.get(mark + 1)? != b'"' => break mark,
                b'"' => {
                    marks.next();
                    cell.form = Form::Doubled;
                }
                b'\n' => cell.lines += 1,
                _ => {}
            }
            cell.is_canonical = true;
        };
        (cell.inner, cell.written) = (start + 1..close, start..close + 1);
        behind = close + 1;
    }
    if ends_with == b'\n' && text.get(behind) == Some(&b'\r') {
        behind += 1;
    }
    cell.next = behind + 1;
    (text.get(behind) == Some(&ends_with)).then_some(cell)
}
