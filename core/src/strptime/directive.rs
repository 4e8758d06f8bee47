//! Defines the directives of a format, as expressions.

/// A format that is not supported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The directive does not exist in Python, or is not one of dates and times.
    #[error("unknown strptime directive %{0}")]
    Unknown(char),
    /// A directive is given twice, which Python refuses too.
    #[error("strptime directive %{0} is given twice")]
    Twice(char),
    /// The format ends with a lone `%`.
    #[error("the format ends in a lone %")]
    Unfinished,
    /// The result of the directive would depend on the machine, or would not be a date.
    #[error("strptime directive %{0} is not supported: {1}")]
    Unsupported(char, &'static str),
    /// The pattern made from the format is too large.
    #[error("the format is too long")]
    TooLong,
}

pub(super) const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
pub(super) const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Expands `%c`, `%x` and `%X` to their meaning in Python's C locale.
pub(super) fn expand(format: &str) -> String {
    let mut expanded = String::with_capacity(format.len());
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        expanded.push(c);
        if c != '%' {
            continue;
        }
        match chars.next() {
            Some('c') => {
                expanded.pop();
                expanded.push_str("%a %b %d %H:%M:%S %Y");
            }
            Some('x') => {
                expanded.pop();
                expanded.push_str("%m/%d/%y");
            }
            Some('X') => {
                expanded.pop();
                expanded.push_str("%H:%M:%S");
            }
            Some(other) => expanded.push(other),
            None => {}
        }
    }
    expanded
}

/// Returns the pattern of one directive, as in `CPython`'s `_strptime.TimeRE`; alternatives are longest first
/// where the order matters.
pub(super) fn directive_pattern(directive: char) -> Result<String, FormatError> {
    let names = |full: &[&str], short: bool| {
        let all: Vec<&str> = full.iter().map(|name| if short { &name[..3] } else { name }).collect();
        let mut sorted = all;
        sorted.sort_by_key(|name| std::cmp::Reverse(name.len()));
        sorted.join("|")
    };
    Ok(match directive {
        'd' => r"3[0-1]|[1-2]\d|0[1-9]|[1-9]| [1-9]".to_owned(),
        'f' => r"[0-9]{1,6}".to_owned(),
        'H' => r"2[0-3]|[0-1]\d|\d".to_owned(),
        'G' | 'Y' => r"\d\d\d\d".to_owned(),
        'j' => r"36[0-6]|3[0-5]\d|[1-2]\d\d|0[1-9]\d|00[1-9]|[1-9]\d|0[1-9]|[1-9]".to_owned(),
        'I' | 'm' => r"1[0-2]|0[1-9]|[1-9]".to_owned(),
        'M' => r"[0-5]\d|\d".to_owned(),
        'S' => r"6[0-1]|[0-5]\d|\d".to_owned(),
        'U' | 'W' => r"5[0-3]|[0-4]\d|\d".to_owned(),
        'w' => r"[0-6]".to_owned(),
        'u' => r"[1-7]".to_owned(),
        'V' => r"5[0-3]|0[1-9]|[1-4]\d|\d".to_owned(),
        'y' => r"\d\d".to_owned(),
        'z' => r"[+-]\d\d:?[0-5]\d(?::?[0-5]\d(?:\.\d{1,6})?)?|(?-i:Z)".to_owned(),
        'A' => names(&WEEKDAYS, false),
        'a' => names(&WEEKDAYS, true),
        'B' => names(&MONTHS, false),
        'b' => names(&MONTHS, true),
        'p' => "am|pm".to_owned(),
        // Python also accepts the two names of the machine's own zone. `UTC` and `GMT` mean the same
        // everywhere.
        'Z' => "utc|gmt".to_owned(),
        other => return Err(FormatError::Unknown(other)),
    })
}
