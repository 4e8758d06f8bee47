//! Finds the position at which a text differs from its format, for the text's author.
//!
//! Only refused texts come here. The expressions alone decide what is accepted, so nothing here can accept or
//! refuse a text.

use std::collections::HashSet;

use super::directive::{MONTHS, WEEKDAYS};
use super::element::{Element, begins_fraction, is_blank};
use super::number::digit;
use crate::text::printable;

/// The number of characters of a text that are examined. No date is longer, and a cell may have megabytes.
const LOOKED_AT_CHARS: usize = 1000;

/// Says why `text` is not a date of the format with these elements: the first position at which no reading of
/// it continues, the text there, and what was expected. Positions are counted in characters, from 1.
pub(super) fn departure(elements: &[Element], text: &str) -> String {
    Search::run(elements, text).reason() + hint(text)
}

/// Does the same as [`departure`], without the text at the position.
pub(super) fn departure_place(elements: &[Element], text: &str) -> String {
    Search::run(elements, text).place() + hint(text)
}

fn hint(text: &str) -> &'static str {
    if means_null(text) {
        "; if it means NULL, leave the cell empty, or name this text as \"null_as\" in the configuration"
    } else {
        ""
    }
}

/// Checks whether a text is one that programs write for a missing date.
fn means_null(text: &str) -> bool {
    const SPELLINGS: [&str; 24] = [
        "",
        "-",
        "--",
        "---",
        ".",
        "?",
        "\\n",
        "null",
        "\\null",
        "<null>",
        "(null)",
        "[null]",
        "none",
        "nil",
        "nan",
        "nat",
        "na",
        "<na>",
        "n/a",
        "#n/a",
        "n.a.",
        "undefined",
        "unknown",
        "empty",
    ];
    let text = text.trim();
    let mut zeros = 0;
    let is_zero = text.chars().take(LOOKED_AT_CHARS).all(|c| {
        zeros += usize::from(c == '0');
        "0-/.:T Z".contains(c)
    });
    (is_zero && zeros >= 8) || SPELLINGS.iter().any(|spelling| spelling.eq_ignore_ascii_case(text))
}

/// The number that a directive reads.
struct Number {
    /// The number's name, with its article.
    name: &'static str,
    /// The maximum number of digits.
    width: usize,
    /// The minimum and the maximum; `None` if any number with these digits is allowed.
    range: Option<(u32, u32)>,
    /// The range for a person.
    expected: &'static str,
}

impl Number {
    fn of(element: Element) -> Option<Self> {
        let Element::Directive(directive) = element else { return None };
        let (name, width, range, expected) = match directive {
            'Y' => ("a year", 4, None, "4 digits"),
            'G' => ("an ISO year", 4, None, "4 digits"),
            'y' => ("a year", 2, None, "2 digits"),
            'm' => ("a month", 2, Some((1, 12)), "1 to 12"),
            'd' => ("a day", 2, Some((1, 31)), "1 to 31"),
            'H' => ("an hour", 2, Some((0, 23)), "0 to 23"),
            'I' => ("an hour", 2, Some((1, 12)), "1 to 12"),
            'M' => ("a minute", 2, Some((0, 59)), "0 to 59"),
            // As in Python: 60 and 61 are read, and refused later.
            'S' => ("a second", 2, Some((0, 61)), "0 to 59"),
            'f' => ("a fraction", 6, Some((0, 999_999)), "1 to 6 digits"),
            'j' => ("a day of the year", 3, Some((1, 366)), "1 to 366"),
            'U' | 'W' => ("a week", 2, Some((0, 53)), "0 to 53"),
            'V' => ("an ISO week", 2, Some((1, 53)), "1 to 53"),
            'w' => ("a weekday", 1, Some((0, 6)), "0 to 6"),
            'u' => ("a weekday", 1, Some((1, 7)), "1 to 7"),
            _ => return None,
        };
        Some(Self { name, width, range, expected })
    }

    fn takes(&self, digits: &[u32]) -> bool {
        let value = digits.iter().fold(0, |value, digit| value * 10 + digit);
        match self.range {
            None => digits.len() == self.width,
            Some((least, greatest)) => (least..=greatest).contains(&value),
        }
    }
}

/// One element, the position where it would begin, and the position where the previous element began.
#[derive(Clone, Copy)]
struct Step {
    element: usize,
    at: usize,
    before: usize,
}

/// A search for every reading of a text, as far as each continues.
struct Search<'a> {
    elements: &'a [Element],
    text: Vec<char>,
    /// Whether the text is longer than the part that is examined.
    is_cut: bool,
    /// The steps that do not continue, of the readings that come furthest.
    stuck: Vec<Step>,
}

impl<'a> Search<'a> {
    fn run(elements: &'a [Element], text: &str) -> Self {
        let mut chars = text.chars();
        let text = chars.by_ref().take(LOOKED_AT_CHARS).collect();
        let mut search = Self { elements, text, is_cut: chars.next().is_some(), stuck: Vec::new() };
        let mut seen = HashSet::new();
        let mut open = vec![Step { element: 0, at: 0, before: 0 }];
        while let Some(step) = open.pop() {
            if !seen.insert((step.element, step.at)) {
                continue;
            }
            let mut ends = search.ends(step);
            if ends.is_empty() {
                search.is_stuck(step);
            }
            if begins_fraction(elements, step.element) {
                ends.push((step.element + 2, step.at));
            }
            open.extend(ends.into_iter().map(|(element, at)| Step { element, at, before: step.at }));
        }
        search.stuck.sort_by_key(|step| step.element);
        search
    }

    fn is_stuck(&mut self, step: Step) {
        let furthest = self.stuck.first().map_or(0, |stuck| stuck.at);
        if step.at > furthest {
            self.stuck.clear();
        }
        if step.at >= furthest {
            self.stuck.push(step);
        }
    }

    /// Returns which elements may follow the element of `step`, and where, the longest reading first.
    fn ends(&self, Step { element, at, .. }: Step) -> Vec<(usize, usize)> {
        let next = element + 1;
        let rest = self.text.get(at..).unwrap_or_default();
        let Some(wanted) = self.elements.get(element).copied() else { return Vec::new() };
        let mut lengths = match wanted {
            Element::Blank => match rest.iter().take_while(|c| is_blank(**c)).count() {
                0 => Vec::new(),
                // One digit is left if the day begins with it.
                1 => vec![1],
                blanks => vec![blanks, blanks - 1],
            },
            Element::Literal(c) => {
                let is_there = rest.first().is_some_and(|found| is_same_letter(*found, c));
                if is_there { vec![1] } else { Vec::new() }
            }
            Element::Directive(directive) => lengths(directive, rest),
        };
        if self.is_fraction(element)
            && let Some(longest) = lengths.first_mut()
        {
            *longest += rest.iter().skip(*longest).take_while(|c| **c == '0').count();
        }
        lengths.into_iter().map(|length| (next, at + length)).collect()
    }

    /// Checks whether an element is the `%f` of a `%S.%f`.
    fn is_fraction(&self, element: usize) -> bool {
        element.checked_sub(1).is_some_and(|dot| begins_fraction(self.elements, dot))
    }

    fn has_directive(&self, directives: &[char]) -> bool {
        directives.iter().any(|directive| self.elements.contains(&Element::Directive(*directive)))
    }

    fn number(&self, element: usize) -> Option<Number> {
        self.elements.get(element).copied().and_then(Number::of)
    }

    /// Returns the number before an element, unless other numbers are right before it: then it is not known
    /// which of them is wrong.
    fn number_before(&self, element: usize) -> Option<Number> {
        let before = element.checked_sub(1)?;
        let stands_alone = before.checked_sub(1).is_none_or(|other| self.number(other).is_none());
        self.number(before).filter(|_| stands_alone)
    }

    fn reason(&self) -> String {
        let Some(first) = self.stuck.first().copied() else { return "it does not match".to_owned() };
        let Step { element, at, before } = first;
        let rest = self.text.get(at..).unwrap_or_default();
        if rest.first().is_some_and(|c| digit(*c).is_some()) {
            if self.stuck.iter().any(|step| {
                step.element.checked_sub(1).is_some_and(|before| self.is_fraction(before))
                    && step.before < at
                    && self.number(step.element).is_none()
            }) {
                return format!(
                    "{} is more precise than microseconds, which are the limit: round to 6 digits",
                    self.found(rest, at, 1)
                );
            }
            // A number is judged as a whole, not by the digits that would be right.
            let digits_from =
                |from: usize| self.text.iter().skip(from).take_while(|c| digit(**c).is_some()).count();
            if let Some(number) = self.number(element) {
                let is_followed_by_another = self.number(element + 1).is_some();
                let digits =
                    digits_from(at).min(if is_followed_by_another { number.width } else { usize::MAX });
                return self.wrong_number(&number, at, digits);
            }
            if let Some(number) = self.number_before(element)
                && digits_from(before) > at - before
            {
                return self.wrong_number(&number, before, digits_from(before));
            }
        }
        if !self.has_directive(&['z', 'Z']) && is_zone(rest, self.has_directive(&['H', 'I'])) {
            let zone: String = rest.iter().collect();
            return format!(
                "a time zone that the format does not have, `{}` at character {}; leave it out, or add %z to the format",
                printable(zone.trim_start().as_bytes()),
                at + 1 + rest.iter().take_while(|c| is_blank(**c)).count()
            );
        }
        let is_name = matches!(self.elements.get(element), Some(Element::Directive('a' | 'A' | 'b' | 'B')));
        let letters = rest.iter().take_while(|c| is_name && c.is_alphabetic()).count();
        format!("{} where {} was expected", self.found(rest, at, letters.max(1)), self.all_expected())
    }

    fn place(&self) -> String {
        let Some(Step { at, .. }) = self.stuck.first() else { return "it does not match".to_owned() };
        match self.text.len() {
            0 => format!("it is empty where {} was expected", self.all_expected()),
            end if *at >= end && !self.is_cut => {
                format!("it ends after character {at} where {} was expected", self.all_expected())
            }
            _ => format!("at character {} {} was expected", at + 1, self.all_expected()),
        }
    }

    /// Returns what each of the readings that come furthest expected.
    fn all_expected(&self) -> String {
        let mut expected: Vec<String> = Vec::new();
        for step in &self.stuck {
            let text = self.expected(step.element);
            if !expected.contains(&text) {
                expected.push(text);
            }
        }
        expected.join(" or ")
    }

    fn wrong_number(&self, number: &Number, at: usize, digits: usize) -> String {
        let found: String = self.text.iter().skip(at).take(digits).collect();
        let name = number.name.split_once(' ').map_or(number.name, |(_, name)| name);
        let were = if number.expected.ends_with("digits") { "were" } else { "was" };
        format!(
            "{name} {} at character {} where {} {were} expected",
            printable(found.as_bytes()),
            at + 1,
            number.expected
        )
    }

    /// Returns the text at `at`, up to `chars` characters.
    fn found(&self, rest: &[char], at: usize, chars: usize) -> String {
        match rest.first() {
            None if self.text.is_empty() => "it is empty".to_owned(),
            None if self.is_cut => format!("it goes on after character {at}"),
            None => format!("it ends after character {at}"),
            Some(' ') => format!("a blank at character {}", at + 1),
            Some(_) => {
                let found: String = rest.iter().take(chars).collect();
                format!("`{}` at character {}", printable(found.as_bytes()), at + 1)
            }
        }
    }

    fn expected(&self, element: usize) -> String {
        let Some(wanted) = self.elements.get(element).copied() else { return "its end".to_owned() };
        if let Some(Number { name, expected, .. }) = Number::of(wanted) {
            return format!("{name} ({expected})");
        }
        match wanted {
            Element::Blank => "a blank".to_owned(),
            Element::Literal(c) => format!("`{}`", printable(c.encode_utf8(&mut [0; 4]).as_bytes())),
            Element::Directive(directive) => match directive {
                'a' => "a weekday's name of 3 letters",
                'A' => "a weekday's name",
                'b' => "a month's name of 3 letters",
                'B' => "a month's name",
                'p' => "AM or PM",
                'z' => "an offset such as +02:00",
                'Z' => "UTC or GMT",
                _ => "something else",
            }
            .to_owned(),
        }
    }
}

/// Returns how many characters a directive may read at the start of `rest`, the most first.
fn lengths(directive: char, rest: &[char]) -> Vec<usize> {
    if let Some(number) = Number::of(Element::Directive(directive)) {
        let blanks = usize::from(directive == 'd' && rest.first() == Some(&' '));
        let digits: Vec<u32> =
            rest.iter().skip(blanks).take(number.width - blanks).map_while(|c| digit(*c)).collect();
        let taken = (1..=digits.len())
            .rev()
            .filter(|length| digits.get(..*length).is_some_and(|digits| number.takes(digits)));
        return taken.map(|length| length + blanks).collect();
    }
    match directive {
        'a' => names(WEEKDAYS.iter().map(|name| &name[..3]), rest),
        'A' => names(WEEKDAYS.iter().copied(), rest),
        'b' => names(MONTHS.iter().map(|name| &name[..3]), rest),
        'B' => names(MONTHS.iter().copied(), rest),
        'p' => names(["am", "pm"].into_iter(), rest),
        'Z' => names(["utc", "gmt"].into_iter(), rest),
        'z' => offset_length(rest).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn names<'n>(names: impl Iterator<Item = &'n str>, rest: &[char]) -> Vec<usize> {
    let begins = |name: &str| {
        let mut rest = rest.iter();
        name.chars().all(|c| rest.next().is_some_and(|found| is_same_letter(*found, c)))
    };
    names.filter(|name| begins(name)).map(str::len).collect()
}

fn is_same_letter(a: char, b: char) -> bool {
    a == b || a.to_lowercase().eq(b.to_lowercase())
}

/// Returns the length of an offset at the start of `rest`: `Z`, or sign, hours, minutes, and possibly
/// seconds.
fn offset_length(rest: &[char]) -> Option<usize> {
    if rest.first() == Some(&'Z') {
        return Some(1);
    }
    let two_digits =
        |at: usize| rest.get(at..at + 2).is_some_and(|two| two.iter().all(|c| digit(*c).is_some()));
    let colon = |at: usize| usize::from(rest.get(at) == Some(&':'));
    let minutes = 3 + colon(3);
    if !matches!(rest.first(), Some('+' | '-')) || !two_digits(1) || !two_digits(minutes) {
        return None;
    }
    let end = minutes + 2;
    let seconds = end + colon(end);
    Some(if two_digits(seconds) { seconds + 2 } else { end })
}

/// Checks whether `rest` is nothing but a time zone: `Z`, a name, or an offset. Digits without a colon, which
/// may be part of a date, count only if the format has a time.
fn is_zone(rest: &[char], has_time: bool) -> bool {
    let rest: String = rest.iter().collect();
    let zone = rest.trim().trim_start_matches('[').trim_end_matches(']');
    let is_name =
        ["z", "ut", "utc", "gmt", "est", "edt", "cst", "cdt", "mst", "mdt", "pst", "pdt", "cet", "cest"]
            .iter()
            .any(|name| name.eq_ignore_ascii_case(zone));
    let offset = ["UTC", "GMT", ""].into_iter().find_map(|name| zone.strip_prefix(name)).unwrap_or(zone);
    let is_offset = offset.strip_prefix(['+', '-', '−']).is_some_and(|digits| {
        let parts: Vec<&str> = digits.split(':').collect();
        let all_digits =
            parts.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
        match parts.as_slice() {
            [digits] => all_digits && has_time && matches!(digits.len(), 1 | 2 | 4 | 6),
            [hours, others @ ..] => {
                all_digits
                    && hours.len() <= 2
                    && others.len() <= 2
                    && others.iter().all(|part| part.len() == 2)
            }
            [] => false,
        }
    });
    is_name || is_offset
}

#[cfg(test)]
mod tests {
    use super::super::DateFormat;

    const COMMON: &str = "%Y-%m-%d %H:%M:%S.%f";

    #[track_caller]
    fn refused(format: &str, text: &str, expected: &str) {
        let refusal = DateFormat::compile(format).unwrap().rewrite(text.as_bytes(), &mut Vec::new());
        assert_eq!(refusal.unwrap_err(), expected, "{format} {text:?}");
    }

    #[test]
    fn the_place_is_named_with_what_stands_there_and_what_was_expected() {
        for (format, text, expected) in [
            (COMMON, "2024-03-01T09:15:42.5", "`T` at character 11 where a blank was expected"),
            (COMMON, "2024/03/01 09:15:42", "`/` at character 5 where `-` was expected"),
            (COMMON, "2024-03-01", "it ends after character 10 where a blank was expected"),
            (COMMON, "2024-03-01 09:15", "it ends after character 16 where `:` was expected"),
            (COMMON, "2024-03-01 09:15:42,5", "`,` at character 20 where `.` or its end was expected"),
            (
                COMMON,
                "2024-03-01 09:15:42.",
                "it ends after character 20 where a fraction (1 to 6 digits) was expected",
            ),
            (COMMON, "2024-03-01 09:15:42.5 ", "a blank at character 22 where its end was expected"),
            (COMMON, " 2024-03-01 09:15:42.5", "a blank at character 1 where a year (4 digits) was expected"),
            (COMMON, "2024-03-01\u{a0}09.15", "`.` at character 14 where `:` was expected"),
            (COMMON, "soon", "`s` at character 1 where a year (4 digits) was expected"),
            (COMMON, "été 2024", "`é` at character 1 where a year (4 digits) was expected"),
            ("%Y-%m-%d", "2024-03-01\u{a0}", "`\\u{a0}` at character 11 where its end was expected"),
            ("%Y-%m-%d", "2024-03-01 00:00:00", "a blank at character 11 where its end was expected"),
            ("%d %B %Y", "1 Mrz 2024", "`Mrz` at character 3 where a month's name was expected"),
            ("%d-%b-%Y", "1-March-2024", "`c` at character 6 where `-` was expected"),
            ("%a %d", "Sunday 1", "`d` at character 4 where a blank was expected"),
            ("%I:%M %p", "11:15", "it ends after character 5 where a blank was expected"),
            ("%I:%M %p", "11:15 noon", "`n` at character 7 where AM or PM was expected"),
            ("%H:%M%z", "11:15 +02:00", "a blank at character 6 where an offset such as +02:00 was expected"),
            ("%H:%M%z", "11:15+2:00", "`+` at character 6 where an offset such as +02:00 was expected"),
            ("%H:%M %Z", "11:15 PST", "`P` at character 7 where UTC or GMT was expected"),
            ("%Y%m%d", "20240301.0", "`.` at character 9 where its end was expected"),
        ] {
            refused(format, text, expected);
        }
    }

    #[test]
    fn a_number_is_named_whole() {
        for (format, text, expected) in [
            (COMMON, "2024-00-01 00:00:00", "month 00 at character 6 where 1 to 12 was expected"),
            (COMMON, "2024-0-01 00:00:00", "month 0 at character 6 where 1 to 12 was expected"),
            (COMMON, "2024-13-01 00:00:00", "month 13 at character 6 where 1 to 12 was expected"),
            (COMMON, "2024-01-00 00:00:00", "day 00 at character 9 where 1 to 31 was expected"),
            (COMMON, "2024-01-32 00:00:00", "day 32 at character 9 where 1 to 31 was expected"),
            (COMMON, "2024-01-01 24:00:00", "hour 24 at character 12 where 0 to 23 was expected"),
            (COMMON, "2024-01-01 23:60:00", "minute 60 at character 15 where 0 to 59 was expected"),
            (COMMON, "2024-01-01 23:00:62", "second 62 at character 18 where 0 to 59 was expected"),
            (COMMON, "24-01-01 23:00:00", "year 24 at character 1 where 4 digits were expected"),
            (COMMON, "01.03.2024", "year 01 at character 1 where 4 digits were expected"),
            (COMMON, "20240-01-01 23:00:00", "year 20240 at character 1 where 4 digits were expected"),
            ("%d/%m/%Y", "2024-03-01", "day 2024 at character 1 where 1 to 31 was expected"),
            ("%d/%m/%Y", "03/15/2024", "month 15 at character 4 where 1 to 12 was expected"),
            ("%I:%M %p", "13:15 PM", "hour 13 at character 1 where 1 to 12 was expected"),
            ("%Y%m%d", "20240001", "month 00 at character 5 where 1 to 12 was expected"),
            ("%Y %j", "2024 367", "day of the year 367 at character 6 where 1 to 366 was expected"),
            ("%H.%f", "9.1234567", "fraction 1234567 at character 3 where 1 to 6 digits were expected"),
            // As in Python, these numbers are read, and the date is refused later.
            (COMMON, "0000-01-01 00:00:00", "there is no year 0"),
            (COMMON, "2024-01-01 23:59:60", "there is no second 60"),
            (COMMON, "2024-01-01 23:59:61.5", "there is no second 61"),
            (COMMON, "2023-02-29 00:00:00", "2023-02 has no day 29"),
        ] {
            refused(format, text, expected);
        }
    }

    #[test]
    fn a_seventh_digit_is_beyond_microseconds() {
        for (text, digit, character) in [
            ("2024-03-01 09:15:42.1234567", 7, 27),
            ("2024-03-01 09:15:42.00000000001", 1, 31),
            ("2024-03-01 09:15:42.1234560070", 7, 29),
        ] {
            refused(
                COMMON,
                text,
                &format!(
                    "`{digit}` at character {character} is more precise than microseconds, which are the limit: round to 6 digits"
                ),
            );
        }
    }

    #[test]
    fn a_zone_that_the_format_does_not_have_is_named_as_that() {
        for (format, text, zone, character) in [
            (COMMON, "2024-03-01 09:15:42.5Z", "Z", 22),
            (COMMON, "2024-03-01 09:15:42Z", "Z", 20),
            (COMMON, "2024-03-01 09:15:42+02:00", "+02:00", 20),
            (COMMON, "2024-03-01 09:15:42.123456-0800", "-0800", 27),
            (COMMON, "2024-03-01 09:15:42 UTC", "UTC", 21),
            (COMMON, "2024-03-01 09:15:42 GMT+2", "GMT+2", 21),
            (COMMON, "2024-03-01 09:15:42.5 PST", "PST", 23),
            ("%Y-%m-%d", "2024-03-01+02:00", "+02:00", 11),
            ("%Y-%m-%d", "2024-03-01Z", "Z", 11),
        ] {
            refused(
                format,
                text,
                &format!(
                    "a time zone that the format does not have, `{zone}` at character {character}; leave it out, or add %z to the format"
                ),
            );
        }
        refused("%Y-%m", "2024-03-01", "`-` at character 8 where its end was expected");
    }

    #[test]
    fn what_means_null_elsewhere_comes_with_the_remedy() {
        let remedy =
            "; if it means NULL, leave the cell empty, or name this text as \"null_as\" in the configuration";
        for text in [
            "\\N",
            "\\n",
            "NULL",
            "null",
            "None",
            "-",
            "NaN",
            "NaT",
            "N/A",
            "#N/A",
            "<NA>",
            " ",
            "0000-00-00",
            "0000-00-00 00:00:00",
            "0000-00-00T00:00:00.000Z",
            "00/00/0000",
        ] {
            let refusal = DateFormat::compile(COMMON).unwrap().rewrite(text.as_bytes(), &mut Vec::new());
            let refusal = refusal.unwrap_err();
            assert!(refusal.ends_with(remedy) && refusal.contains(" at character "), "{text}: {refusal}");
        }
        for text in ["soon", "2024-00-00", "00:00:00", "0", "--9"] {
            let refusal = DateFormat::compile(COMMON).unwrap().rewrite(text.as_bytes(), &mut Vec::new());
            assert!(!refusal.as_ref().unwrap_err().contains("null_as"), "{text}: {refusal:?}");
        }
        refused(COMMON, "0000-00-00", &format!("month 00 at character 6 where 1 to 12 was expected{remedy}"));
    }

    #[test]
    fn a_cell_of_megabytes_is_not_looked_at_whole() {
        let blanks = " ".repeat(4 << 20);
        refused(
            COMMON,
            &format!("2024-03-01{blanks}x"),
            "it goes on after character 1000 where an hour (0 to 23) was expected",
        );
    }
}
