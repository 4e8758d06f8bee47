//! Reads numbers in the digits of any script.

use regex::Regex;

/// Returns the value of a digit. Python's `\d` and `int()` accept every script's digits; so do the
/// expressions of `directive`, and so must this function.
pub(super) fn digit(c: char) -> Option<u32> {
    if c.is_ascii() {
        return c.to_digit(10);
    }
    if !is_decimal(c) {
        return None;
    }
    // The decimal digits of a script are consecutive from 0 to 9; some, such as the mathematical ones, occur
    // several times.
    let before = (0..u32::from(c)).rev().map_while(char::from_u32).take_while(|c| is_decimal(*c)).count();
    Some(before as u32 % 10)
}

fn is_decimal(c: char) -> bool {
    // `regex` knows the category Nd; a cell with digits of another script is rare enough for this.
    static DECIMAL: std::sync::LazyLock<Option<Regex>> =
        std::sync::LazyLock::new(|| Regex::new(r"^\d$").ok());
    DECIMAL.as_ref().is_some_and(|regex| regex.is_match(c.encode_utf8(&mut [0; 4])))
}

pub(super) fn number(text: &str) -> Result<u32, String> {
    let mut value = 0_u32;
    for c in text.trim_start().chars() {
        let digit = digit(c).ok_or_else(|| format!("{text:?} is not a number"))?;
        value = value * 10 + digit;
    }
    Ok(value)
}
