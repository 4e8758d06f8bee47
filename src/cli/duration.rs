//! Parses durations as people write them: `90s`, `15m`, `2h`.

use std::time::Duration;

/// Parses a number and its unit: `s`, `m` or `h`.
///
/// # Errors
///
/// What is wrong with the text.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration: give a number and s, m or h, such as 90s, 15m or 2h");
    let (number, seconds) = [("s", 1), ("m", 60), ("h", 60 * 60)]
        .into_iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))
        .ok_or_else(wrong)?;
    if !number.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u32 = number.parse().map_err(|_| wrong())?;
    if number == 0 {
        return Err("it must be more than 0".to_owned());
    }
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        for (text, seconds) in [("1s", 1), ("90s", 90), ("15m", 900), ("2h", 7_200)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "s", "90", "90 s", "+1s", "-1s", "1.5h", "1d", "0m", "99999999999s", "ms", "1ms"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
