//! Writes times, ages and numbers for people to read.

use chrono::{DateTime, TimeDelta, Utc};
use cmslite_core::text::seconds;
use maud::{Markup, html};

/// Returns a time to the minute, with its exact value for programs.
pub fn time(at: DateTime<Utc>) -> Markup {
    html! {
        time datetime=(seconds(at)) { (minute(at)) }
    }
}

/// Returns a time to the minute as text.
pub fn minute(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// Returns a duration as text.
pub fn age(lasted: TimeDelta) -> String {
    let minutes = lasted.num_minutes();
    match (minutes, minutes / 60) {
        (..1, _) => "less than a minute".to_owned(),
        (_, 0) => format!("{minutes} min"),
        (_, hours @ ..48) => format!("{hours} h {} min", minutes % 60),
        (_, hours) => format!("{} days", hours / 24),
    }
}

/// Returns a number with a comma before each group of three digits.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a number of things with their name, such as `1 archive` or `2 archives`.
pub fn count(many: usize, thing: &str) -> String {
    let ending = if many == 1 { "" } else { "s" };
    format!("{} {thing}{ending}", number(many as u64))
}

/// Returns a number of bytes in the largest unit in which it is at least 1.
pub fn bytes(bytes: u64) -> String {
    let mut size = bytes as f64;
    for unit in ["bytes", "kB", "MB", "GB"] {
        if size < 1000.0 {
            return if unit == "bytes" { format!("{bytes} bytes") } else { format!("{size:.1} {unit}") };
        }
        size /= 1000.0;
    }
    format!("{size:.1} TB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ages_are_for_reading() {
        for (given, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(number(given), text);
        }
        for (seconds, text) in [
            (-5, "less than a minute"),
            (59, "less than a minute"),
            (60, "1 min"),
            (3_599, "59 min"),
            (3_600, "1 h 0 min"),
            (172_799, "47 h 59 min"),
            (172_800, "2 days"),
        ] {
            assert_eq!(age(TimeDelta::seconds(seconds)), text);
        }
        for (given, text) in
            [(999, "999 bytes"), (1_500, "1.5 kB"), (2_000_000, "2.0 MB"), (5_368_709_120, "5.4 GB")]
        {
            assert_eq!(bytes(given), text);
        }
        assert_eq!((count(1, "archive"), count(2_000, "row")), ("1 archive".into(), "2,000 rows".into()));
    }
}
