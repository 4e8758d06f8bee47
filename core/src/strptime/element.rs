//! Splits a format into its elements, and makes expressions from them.

use std::fmt::Write as _;

use super::directive::{FormatError, directive_pattern, expand};

/// One element of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    /// One or more blanks.
    Blank,
    /// A character that matches itself, in lower or upper case.
    Literal(char),
    /// A directive, by its letter.
    Directive(char),
}

/// Splits a format into its elements.
///
/// # Errors
///
/// [`FormatError`] names the directive that is not supported.
pub(super) fn elements(format: &str) -> Result<Vec<Element>, FormatError> {
    let mut elements = Vec::new();
    let expanded = expand(format);
    let mut chars = expanded.chars().peekable();
    while let Some(c) = chars.next() {
        let element = if is_blank(c) {
            while chars.peek().is_some_and(|next| is_blank(*next)) {
                chars.next();
            }
            Element::Blank
        } else if c == '%' {
            match chars.next().ok_or(FormatError::Unfinished)? {
                '%' => Element::Literal('%'),
                directive => {
                    directive_pattern(directive)?;
                    let element = Element::Directive(directive);
                    if elements.contains(&element) {
                        return Err(FormatError::Twice(directive));
                    }
                    element
                }
            }
        } else {
            Element::Literal(c)
        };
        elements.push(element);
    }
    Ok(elements)
}

/// Checks whether a character is a blank for Python's `str.isspace`.
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// Checks whether the `.` of a `%S.%f` is at `at`.
pub(super) fn begins_fraction(elements: &[Element], at: usize) -> bool {
    let of = [Element::Directive('S'), Element::Literal('.'), Element::Directive('f')];
    at.checked_sub(1).and_then(|from| elements.get(from..from + of.len())) == Some(&of)
}

/// Returns the expression of a format, as `CPython`'s `_strptime.py` makes it, with a group for each
/// directive, in their order.
///
/// # Errors
///
/// [`FormatError`] as [`elements`].
pub(super) fn strict_pattern(elements: &[Element]) -> Result<String, FormatError> {
    pattern(elements, |_| false)
}

/// Returns the same expression, except that the `.%f` of a `%S.%f` may be absent and may have more zeros;
/// `None` for a format without `%S.%f`.
///
/// # Errors
///
/// [`FormatError`] as [`elements`].
pub(super) fn lenient_pattern(elements: &[Element]) -> Result<Option<String>, FormatError> {
    let is_optional = |at| begins_fraction(elements, at);
    (0..elements.len()).any(is_optional).then(|| pattern(elements, is_optional)).transpose()
}

fn pattern(elements: &[Element], is_optional: impl Fn(usize) -> bool) -> Result<String, FormatError> {
    let mut pattern = String::from("^(?i:");
    for (at, element) in elements.iter().enumerate() {
        if is_optional(at) {
            pattern.push_str("(?:");
        }
        match element {
            // Python's blanks are Unicode's and the four separators of ASCII.
            Element::Blank => pattern.push_str(r"[\s\x1c-\x1f]+"),
            // Python folds these four into one letter; Unicode's simple folding knows only the two of ASCII.
            Element::Literal('i' | 'I' | 'İ' | 'ı') => pattern.push_str("[iIİı]"),
            Element::Literal(c) => pattern.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
            Element::Directive(directive) => {
                let _ = write!(pattern, "({})", directive_pattern(*directive)?);
            }
        }
        if at.checked_sub(1).is_some_and(&is_optional) {
            pattern.push_str("0*)?");
        }
    }
    pattern.push(')');
    Ok(pattern)
}
