//! Compares dates with those of Python: `datetime.strptime` of the machine's `python3` is asked the same
//! questions.
//!
//! Where more is accepted here than in Python, the same text in Python's form must have the same meaning in
//! Python.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::LazyLock;

use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike, Weekday};
use cmslite_core::strptime::{DateFormat, FormatError};

use crate::python;
use crate::random::Random;
use cmslite_core::text::printable;
use regex::Regex;

/// The directives of Python 3.11.
const DIRECTIVES: &str = "aAwdbBmyYHIpMSfzZjUWcxX%GuV";

/// The format of the shipped configuration, for which the code has a separate path.
const COMMON: &str = "%Y-%m-%d %H:%M:%S.%f";

const REALISTIC: [&str; 75] = [
    "",
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%dT%H:%M:%S.%f%z",
    "%Y-%m-%d %H:%M:%S %z",
    "%Y-%m-%d %H:%M:%S %Z",
    "%Y-%m-%d %H:%M:%S %Z%z",
    "%Y/%m/%d %H:%M:%S",
    "%Y.%m.%d",
    "%Y%m%d",
    "%Y%m%d%H%M%S",
    "%Y%m%d%H%M%S%f",
    "%Y%m%dT%H%M%S%z",
    "%d%m%y",
    "%d%m%Y",
    "%y%m%d",
    "%y%j",
    "%d/%m/%y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%y %I:%M%p",
    "%d.%m.%Y %H:%M",
    "%d-%b-%Y",
    "%d-%b-%y %I.%M.%S.%f %p",
    "%d %B %Y",
    "%B %d, %Y",
    "%b %d %Y %I:%M%p",
    "%d%b%Y",
    "%b%d%y",
    "%a %d %b %Y",
    "%a, %d %b %Y %H:%M:%S %z",
    "%a, %d %b %Y %H:%M:%S GMT",
    "%A, %d. %B %Y",
    "%A%B%d%Y",
    "%d/%b/%Y:%H:%M:%S %z",
    "[%d/%b/%Y:%H:%M:%S %z]",
    "%I:%M %p",
    "%I:%M",
    "%p %I %H",
    "%H %I %p",
    "%H:%M:%S",
    "%H%M%S%f",
    "%M:%S.%f",
    "%Y %j",
    "%Y%j",
    "%j %H",
    "%Y-W%W-%w",
    "%Y %U %w",
    "%Y %U %a",
    "%Y %W %A",
    "%y%W%u",
    "%W %w",
    "%U %u %d %m",
    "%U %W %Y %u",
    "%W %U %Y %u",
    "%G-W%V-%u",
    "%G%V%u",
    "%G %V %a %H:%M",
    "%A %G/%V",
    "%c",
    "%c %z",
    "%x",
    "%x %X",
    "%X %p",
    "%b %d",
    "%m %Y",
    "%Y %y",
    "%m %B %b %d",
    "  %Y \t %m\n%d ",
];

/// Formats with a `%S.%f`, whose fraction may be absent or may continue with zeros. No directive that reads
/// digits follows directly.
const FRACTIONS: [&str; 10] = [
    COMMON,
    "%Y-%m-%dT%H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%S.%fZ",
    "%Y-%m-%dT%H:%M:%S.%f%z",
    "%Y-%m-%d %H:%M:%S.%f %Z",
    "%d-%b-%y %I.%M.%S.%f %p",
    "%S.%f",
    "%X.%f %d. %B %Y",
    "[%S.%f|%M|%H] %Y %j",
    "%G-W%V-%u %M:%S.%f",
];

/// Formats in which a literal has a meaning in a regular expression, or unusual rules for upper and lower
/// case.
const LITERAL: [&str; 24] = [
    "%Y.%m",
    "%Y*%m+%d?",
    "(%Y|%m)",
    "^%Y$",
    "[%Y-%m]{2}",
    "%Y\\%m",
    "\\d%Y",
    "%Y{4}",
    "%%%Y%%",
    "%%Y%Y",
    "100%%",
    "%H#%M & %S ~ -",
    "is %Y",
    "I%Y",
    "ı%Yİ",
    "ſ%Ys",
    "k%YK",
    "ß %Y",
    "µ%Y Σ",
    "le %d été à %Hh%M",
    "%Y年%m月%d日",
    "%H\u{a0}%M",
    "%H\u{1c}%M\u{85}%S",
    "%H\u{200b}%M",
];

/// Formats that Python does not compile, or with which it never reads a text. They are refused here when they
/// are compiled.
const REFUSED: [&str; 14] = [
    "%Y %Y",
    "%c %d",
    "%x %c",
    "%X%M",
    "%q",
    "%",
    "%Y%",
    "% d",
    "%-d",
    "%G",
    "%V %u",
    "%Y-W%V-%u",
    "%G %V",
    "%G %V %u %j",
];

/// The separators of made-up formats.
const SEPARATORS: [&str; 28] = [
    "", "", "", "", " ", " ", "  ", "\t", "-", "/", ":", ".", ",", "T", "%%", "(", ")", "[", "]", "+", "*",
    "?", "|", "\\", "^", "$", "{2}", "is",
];

/// The characters that a mutation inserts: those of dates, blanks of all kinds, digits of other scripts, and
/// letters that fold to ASCII.
const ODD: &str = "0123456789 +-:./,TZzAaMmPp%_e\t\n\u{b}\u{c}\r\u{1c}\u{1d}\u{1e}\u{1f}\u{85}\u{a0}\u{2003}\u{2028}\u{3000}\u{200b}\u{feff}\0\
                   ٣۴९५５𝟎𝟘𝟙𝟢𝟬𝟵𝟶𝟿²½①ⅧſıİK\u{301}éß";

/// The zeros of scripts whose digits Python's `int` reads. The mathematical digits are fifty consecutive
/// characters.
const ZEROS: [char; 11] = ['٠', '۰', '०', '๐', '༠', '０', '𝟎', '𝟘', '𝟢', '𝟬', '𝟶'];

/// Unusual years: the first and the last, leap years and others, and those around the pivot of `%y`.
const YEARS: [i32; 24] = [
    1, 2, 4, 99, 100, 999, 1582, 1600, 1899, 1900, 1904, 1967, 1968, 1969, 1970, 1999, 2000, 2020, 2023,
    2024, 2026, 2068, 2069, 9999,
];
const DAYS: [(u32, u32); 9] =
    [(1, 1), (1, 2), (1, 4), (2, 28), (2, 29), (3, 1), (12, 29), (12, 30), (12, 31)];

impl Random {
    fn odd(&mut self) -> char {
        let odd: Vec<char> = ODD.chars().collect();
        self.pick(&odd)
    }

    fn digits(&mut self, count: usize) -> String {
        (0..count).map(|_| char::from(b'0' + self.below(10) as u8)).collect()
    }

    fn moment(&mut self) -> NaiveDateTime {
        let year = match self.below(3) {
            0 => self.pick(&YEARS),
            1 => 1890 + self.below(200) as i32,
            _ => 1 + self.below(9999) as i32,
        };
        let (month, day) = if self.one_in(3) {
            self.pick(&DAYS)
        } else {
            (1 + self.below(12) as u32, 1 + self.below(31) as u32)
        };
        let date = NaiveDate::from_ymd_opt(year, month, day)
            .unwrap_or_else(|| NaiveDate::from_ymd_opt(year, month, 28).unwrap());
        let hour = if self.one_in(4) { self.pick(&[0, 11, 12, 23]) } else { self.below(24) as u32 };
        let microsecond = if self.one_in(4) { 0 } else { self.below(1_000_000) as u32 };
        date.and_hms_micro_opt(hour, self.below(60) as u32, self.below(60) as u32, microsecond).unwrap()
    }
}

fn with_random_case(random: &mut Random, text: &str) -> String {
    match random.below(4) {
        0 => text.to_uppercase(),
        1 => text.to_lowercase(),
        2 => text
            .chars()
            .map(|c| if random.one_in(2) { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
            .collect(),
        _ => text.to_owned(),
    }
}

fn offset(random: &mut Random) -> String {
    if random.one_in(6) {
        return random
            .pick(&[
                "Z",
                "z",
                "+0000",
                "-00:00",
                "+23:59",
                "-2359",
                "+24:00",
                "+00:00:00",
                "-00:00:00.000000",
            ])
            .to_owned();
    }
    let colon = random.pick(&["", ":"]);
    let hour = if random.one_in(8) { random.below(100) } else { random.below(24) };
    let mut text = format!("{}{hour:02}{colon}{:02}", random.pick(&["+", "-"]), random.below(60));
    if random.one_in(4) {
        let second = if random.one_in(2) { 0 } else { random.below(60) };
        // Python refuses an offset that has a colon in only one of two places.
        let _ = write!(text, "{}{second:02}", if random.one_in(4) { random.pick(&["", ":"]) } else { colon });
        if random.one_in(3) {
            let count = 1 + random.below(7);
            let _ =
                write!(text, ".{}", if random.one_in(2) { "0".repeat(count) } else { random.digits(count) });
        }
    }
    text
}

/// Returns `moment` in one of the ways in which `directive` may read it.
fn rendered(random: &mut Random, directive: char, moment: NaiveDateTime) -> String {
    let usual = || moment.format(&format!("%{directive}")).to_string();
    match directive {
        'Y' => format!("{:04}", moment.year()),
        'G' => format!("{:04}", moment.iso_week().year()),
        'f' => format!("{:06}", moment.nanosecond() / 1000)[..=random.below(6)].to_owned(),
        'z' => offset(random),
        'Z' => random.pick(&["UTC", "GMT", "utc", "gmt", "Utc"]).to_owned(),
        'a' | 'A' | 'b' | 'B' | 'p' => with_random_case(random, &usual()),
        'd' | 'm' | 'H' | 'I' | 'M' | 'S' | 'j' | 'U' | 'W' | 'V' if random.one_in(4) => {
            let usual = usual();
            let short = usual.trim_start_matches('0');
            let short = if short.is_empty() { "0" } else { short };
            if random.one_in(6) { format!(" {short}") } else { short.to_owned() }
        }
        _ => usual(),
    }
}

/// Returns a random value of `format`.
fn value(random: &mut Random, format: &str) -> String {
    let moment = random.moment();
    let mut text = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c == '%' {
            match chars.next() {
                Some(directive) if DIRECTIVES.contains(directive) => {
                    text += &rendered(random, directive, moment);
                }
                Some(other) => text.push(other),
                None => {}
            }
        } else if c.is_whitespace() && random.one_in(8) {
            text.push_str(random.pick(&["  ", "\t", "\n", "\u{a0}", "\u{1c}", "\u{2003}", ""]));
        } else {
            text.push(c);
        }
    }
    text
}

fn is_digit_at(text: &[char], at: usize) -> bool {
    text.get(at).is_some_and(char::is_ascii_digit)
}

/// Returns the position of an ASCII digit, and the range of the run of digits around it.
fn some_number(random: &mut Random, text: &[char]) -> Option<(usize, std::ops::Range<usize>)> {
    let digits: Vec<usize> = (0..text.len()).filter(|at| is_digit_at(text, *at)).collect();
    if digits.is_empty() {
        return None;
    }
    let at = random.pick(&digits);
    let start = (0..at).rev().take_while(|at| is_digit_at(text, *at)).last().unwrap_or(at);
    let end = (at..text.len()).take_while(|at| is_digit_at(text, *at)).last().unwrap_or(at) + 1;
    Some((at, start..end))
}

/// Returns `text` with a small change that makes it wrong, or only unusual.
fn mutated(random: &mut Random, text: &str) -> String {
    let mut text: Vec<char> = text.chars().collect();
    let at = random.below(text.len() + 1);
    let number = some_number(random, &text);
    match (random.below(12), number) {
        (0, _) if at < text.len() => {
            text.remove(at);
        }
        (1, _) if at < text.len() => text[at] = random.odd(),
        (2, _) if at < text.len() => text.insert(at, text[at]),
        (3, _) if at + 1 < text.len() => text.swap(at, at + 1),
        (4, _) => text.truncate(at),
        (5, _) => return with_random_case(random, &text.iter().collect::<String>()),
        (6, _) => {
            // Letters whose case folds, or is said to fold, to that of an ASCII letter.
            let alike = |c: char| match c {
                's' | 'S' => Some(vec!['ſ']),
                'i' | 'I' => Some(vec!['ı', 'İ']),
                'k' | 'K' => Some(vec!['K']),
                'µ' => Some(vec!['μ', 'Μ']),
                'ß' => Some(vec!['ẞ']),
                'Σ' => Some(vec!['σ', 'ς']),
                _ => None,
            };
            for c in &mut text {
                if let Some(others) = alike(*c).filter(|_| random.one_in(2)) {
                    *c = random.pick(&others);
                }
            }
        }
        (7, Some((at, _))) => text[at] = char::from(b'0' + random.below(10) as u8),
        (8, Some((_, run))) => {
            let width = if random.one_in(2) { run.len() } else { 1 + random.below(7) };
            let digits = random.digits(width);
            text.splice(run, digits.chars());
        }
        (9, Some((_, run))) => {
            let zero = u32::from(random.pick(&ZEROS));
            let all = random.one_in(2);
            for at in run {
                if all || random.one_in(2) {
                    text[at] = char::from_u32(zero + text[at].to_digit(10).unwrap()).unwrap();
                }
            }
        }
        (10, Some((_, run))) => {
            if text[run.start] == '0' && random.one_in(2) {
                text.remove(run.start);
            } else {
                text.insert(run.start, random.pick(&['0', ' ']));
            }
        }
        _ => text.insert(at, random.odd()),
    }
    text.into_iter().collect()
}

/// Returns values for a directive that is the whole format: all numbers of few digits, and texts that are
/// nearly values.
fn alone(random: &mut Random, directive: char) -> BTreeSet<String> {
    let mut values = BTreeSet::from([String::new()]);
    match directive {
        'w' | 'u' | 'd' | 'm' | 'y' | 'H' | 'I' | 'M' | 'S' | 'j' | 'U' | 'W' | 'V' => {
            values.extend((0..10).map(|n| format!("{n}")));
            values.extend((0..10).map(|n| format!(" {n}")));
            values.extend((0..100).map(|n| format!("{n:02}")));
            values.extend((0..if directive == 'j' { 400 } else { 20 }).map(|n| format!("{n:03}")));
        }
        'Y' | 'G' => {
            values.extend((0..200).chain(9900..10_010).map(|n| format!("{n:04}")));
            values.extend((0..300).map(|_| random.digits(4)));
        }
        'f' => {
            for width in 1..=8 {
                values.extend((0..120).map(|_| random.digits(width)));
                values.insert("0".repeat(width));
            }
        }
        'z' => values.extend((0..1500).map(|_| offset(random))),
        'Z' => values.extend(
            ["UTC", "GMT", "utc", "gmt", "Utc", "gMT", "EST", "Z", "UT", "UTC0", "UTC+0"].map(str::to_owned),
        ),
        'p' => values.extend(
            ["AM", "PM", "am", "pm", "aM", "Pm", "a", "p", "A.M.", "noon", "ＡＭ"].map(str::to_owned),
        ),
        'a' | 'A' | 'b' | 'B' => {
            for month in 1..=12 {
                // The months of this year begin on every day of the week.
                let date = NaiveDate::from_ymd_opt(2024, month, 1).unwrap();
                for name in ["%a", "%A", "%b", "%B"].map(|directive| date.format(directive).to_string()) {
                    values.extend([
                        name.to_uppercase(),
                        name.to_lowercase(),
                        name[..name.len() - 1].to_owned(),
                        format!("{name}."),
                        name,
                    ]);
                }
            }
        }
        _ => {}
    }
    let format = format!("%{directive}");
    for _ in 0..400 {
        let mut text = value(random, &format);
        values.insert(text.clone());
        for _ in 0..=random.below(2) {
            text = mutated(random, &text);
        }
        values.insert(text);
    }
    values
}

fn near(random: &mut Random, format: &str, count: usize) -> BTreeSet<String> {
    let mut values = BTreeSet::from([String::new()]);
    for _ in 0..count {
        let mut text = value(random, format);
        for _ in 0..random.below(4) {
            text = mutated(random, &text);
        }
        values.insert(text);
    }
    values
}

fn made_up_format(random: &mut Random) -> String {
    let directives: Vec<char> = DIRECTIVES.chars().collect();
    let mut format = String::new();
    for _ in 0..=random.below(6) {
        let directive = format!("%{}", random.pick(&directives));
        // Python and this crate both refuse a directive that is given twice, so a few such formats are
        // enough.
        if !format.contains(&directive) || random.one_in(10) {
            format.push_str(&directive);
            format.push_str(random.pick(&SEPARATORS));
        }
    }
    format
}

/// Returns all questions: the texts for each format.
fn questions(random: &mut Random) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for directive in DIRECTIVES.chars() {
        let values = alone(random, directive);
        all.entry(format!("%{directive}")).or_default().extend(values);
    }
    for format in REALISTIC.into_iter().chain(LITERAL).chain(REFUSED) {
        let values = near(random, format, 400);
        all.entry(format.to_owned()).or_default().extend(values);
    }
    all.entry(COMMON.to_owned()).or_default().extend(near(random, COMMON, 10_000));
    for _ in 0..600 {
        let format = made_up_format(random);
        let values = near(random, &format, 40);
        all.entry(format).or_default().extend(values);
    }
    // Every week of unusual years, and the days around the ends of February and of the year.
    for year in YEARS.into_iter().chain([0]) {
        for week in 0..=54 {
            for (format, pair) in
                [("%Y %U %w", week % 7), ("%Y-W%W-%w", week % 7), ("%G-W%V-%u", 1 + week % 7)]
            {
                let text = format.replace("%Y", &format!("{year:04}")).replace("%G", &format!("{year:04}"));
                let text = text
                    .replace("%U", &week.to_string())
                    .replace("%W", &week.to_string())
                    .replace("%V", &format!("{week:02}"));
                let text = text.replace("%w", &pair.to_string()).replace("%u", &pair.to_string());
                all.entry(format.to_owned()).or_default().insert(text);
            }
        }
        for day in (0..3).chain(58..62).chain(364..368) {
            all.entry("%Y %j".to_owned()).or_default().insert(format!("{year:04} {day:03}"));
        }
        for (month, day) in DAYS.into_iter().chain([(2, 30), (4, 31), (0, 1), (1, 0), (13, 1), (1, 32)]) {
            all.entry("%Y-%m-%d".to_owned()).or_default().insert(format!("{year:04}-{month:02}-{day:02}"));
            all.entry(COMMON.to_owned())
                .or_default()
                .insert(format!("{year:04}-{month:02}-{day:02} 23:59:59.5"));
        }
    }
    all
}

struct Python {
    version: (u32, u32),
    answers: Vec<Option<String>>,
}

/// Asks `python3` for its version and for its answers.
fn ask_python(questions: &[(&str, &str)]) -> Python {
    let mut answers = python::ask(include_str!("strptime.py"), questions).into_iter();
    let version = answers.next().expect("python3 says its version");
    let python = Python {
        version: serde_json::from_str(&version).unwrap(),
        answers: answers.map(|line| serde_json::from_str(&line).unwrap()).collect(),
    };
    assert_eq!(python.answers.len(), questions.len(), "python3 answers every question");
    python
}

fn our_answer(format: &Result<DateFormat, FormatError>, value: &str) -> Result<String, String> {
    let format = format.as_ref().map_err(ToString::to_string)?;
    let mut out = b"before ".to_vec();
    let read = format.rewrite(value.as_bytes(), &mut out);
    let text = String::from_utf8(out).unwrap().strip_prefix("before ").unwrap().to_owned();
    assert!(
        read.is_ok() || text.is_empty(),
        "{:?} {value:?}: refused, and yet {text:?} was written",
        format.as_str()
    );
    read.map(|()| text)
}

/// Returns `text` without one of its blanks, for each of them in turn.
fn without_one_blank(text: &str) -> impl Iterator<Item = String> {
    text.match_indices(' ').map(|(at, _)| text[..at].to_owned() + &text[at + 1..])
}

/// Returns the reason why Python may accept a text that is refused here. Nothing excuses the opposite, or
/// another result.
fn excuse(
    python: (u32, u32),
    (format, value): (&str, &str),
    theirs: &str,
    refusal: &str,
) -> Option<&'static str> {
    let compiled = DateFormat::compile(format);
    // An offset with seconds is refused here: see the module `strptime`. Python's answer must end with the
    // whole of `+hh:mm:ss`.
    if format.contains("%z")
        && theirs.rfind(['+', '-']).is_some_and(|at| at > 10 && theirs.len() - at > "+hh:mm".len())
    {
        return Some("an offset with seconds, which Redshift cannot read");
    }
    // `%G` and `%V` are accepted here only together, with a weekday and without `%j`, `%Y` and `%y`: see the
    // module `strptime`. Before 3.13, Python ignores one of them beside `%Y`, and `%V` beside `%U` or `%W`;
    // since then it accepts both beside `%Y`.
    let has_year = ["%Y", "%y", "%c", "%x"].iter().any(|year| format.contains(year));
    if (python < (3, 13) || has_year) && matches!(compiled, Err(FormatError::Unsupported('G' | 'V', _))) {
        return Some(
            "an ISO week date of too few or too many directives, which Python's versions judge differently",
        );
    }
    // A week that its ISO year does not have is refused here: see the module `strptime`. Before 3.12, Python
    // counts on into the next year.
    if let Some((year, week)) =
        refusal.strip_prefix("the year ").and_then(|text| text.split_once(" has no week "))
        && python < (3, 12)
        && NaiveDate::from_isoywd_opt(year.parse().unwrap(), week.parse().unwrap(), Weekday::Mon).is_none()
    {
        return Some("an ISO week that the year does not have, which Python 3.12 refuses");
    }
    // Since 3.13.1, Python accepts a blank for the first digit of `%I`, and later also of `%H`, as all
    // versions do for `%d`.
    let agrees = |format: &Result<DateFormat, FormatError>, value: &str| {
        our_answer(format, value).as_deref() == Ok(theirs)
    };
    if python >= (3, 13) && ["%H", "%I", "%c", "%X"].iter().any(|hour| format.contains(hour)) {
        return without_one_blank(value)
            .any(|value| agrees(&compiled, &value))
            .then_some("a blank before an hour, as of Python 3.13");
    }
    // Since 3.14, Python accepts an empty text for `%z`.
    if python >= (3, 14) && agrees(&DateFormat::compile(&format.replacen("%z", "", 1)), value) {
        return Some("no offset for %z, as of Python 3.14");
    }
    None
}

/// Returns the forms in which Python would accept a text whose seconds have no fraction, or a fraction that
/// continues with zeros.
fn in_pythons_form(text: &str) -> Vec<String> {
    let behind_a_digit = text
        .char_indices()
        .filter(|(_, c)| c.is_numeric())
        .map(|(at, c)| at + c.len_utf8())
        .map(|at| format!("{}.000000{}", &text[..at], &text[at..]));
    let zeros = text.match_indices('.').filter_map(|(dot, _)| {
        let digits =
            text[dot + 1..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |end| dot + 1 + end);
        let beyond = text.get(dot + 7..digits)?;
        Some((dot + 7, beyond.len() - beyond.trim_start_matches('0').len()))
    });
    let without_zeros =
        zeros.flat_map(|(at, zeros)| (1..=zeros).map(move |n| format!("{}{}", &text[..at], &text[at + n..])));
    behind_a_digit.chain(without_zeros).collect()
}

/// Checks whether the position that a refusal names is in the text, and whether the text there is what the
/// refusal quotes. Returns `None` if the refusal names no position.
fn place_is_true(text: &str, refusal: &str) -> Option<bool> {
    static PLACE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?s)(?:`(?P<text>.+?)`|(?P<blank>a blank)|^[a-zI][a-zSO ]* (?P<digits>\S+)) at character (?P<at>\d+)").unwrap()
    });
    static END: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^it ends after character (?P<at>\d+) where").unwrap());
    let length = text.chars().count();
    if let Some(found) = END.captures(refusal) {
        return Some(found["at"].parse::<usize>().unwrap() == length);
    }
    let found = PLACE.captures(refusal)?;
    let at = found["at"].parse::<usize>().unwrap();
    let rest: String = text.chars().skip(at - 1).collect();
    let named = found.name("text").or(found.name("digits")).map_or(" ", |named| named.as_str());
    Some((1..=length).contains(&at) && printable(rest.as_bytes()).starts_with(named))
}

fn seed() -> u64 {
    std::env::var("DATES_SEED").map_or(20_240_301, |seed| seed.parse().expect("DATES_SEED is a number"))
}

#[test]
fn dates_mean_what_python_makes_of_them() {
    let seed = seed();
    let all = questions(&mut Random(seed));
    let questions: Vec<(&str, &str)> = all
        .iter()
        .flat_map(|(format, values)| values.iter().map(move |value| (format.as_str(), value.as_str())))
        .collect();
    let python = ask_python(&questions);

    let mut excuses: BTreeMap<&str, usize> = BTreeMap::new();
    let mut mismatches = Vec::new();
    let mut compiled = (String::new(), DateFormat::compile(""));
    // The texts that Python refuses and that are accepted here, to be asked again in Python's form.
    let mut more = Vec::new();
    let mut places = 0;
    // For each format, the number of texts that Python accepts, and of those that it refuses.
    let mut counts: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    for (question, theirs) in questions.iter().zip(&python.answers) {
        let (format, value) = *question;
        if compiled.0 != format {
            compiled = (format.to_owned(), DateFormat::compile(format));
        }
        let ours = our_answer(&compiled.1, value);
        counts.entry(format).or_default()[usize::from(theirs.is_none())] += 1;
        if let Some(is_true) = ours.as_ref().err().and_then(|refusal| place_is_true(value, refusal)) {
            places += 1;
            assert!(is_true, "DATES_SEED={seed}: {format:?} {value:?}: {ours:?}");
        }
        if ours.as_ref().ok() == theirs.as_ref() {
            continue;
        }
        if let (Some(theirs), Err(refusal)) = (theirs, &ours)
            && let Some(excuse) = excuse(python.version, *question, theirs, refusal)
        {
            *excuses.entry(excuse).or_default() += 1;
            continue;
        }
        match (theirs, ours) {
            (None, Ok(ours)) if ["%S.%f", "%X.%f"].iter().any(|seconds| format.contains(seconds)) => {
                more.push((format, value, ours));
            }
            (theirs, ours) => {
                mismatches.push(format!("{format:?} {value:?}: Python {theirs:?}, we {ours:?}"));
            }
        }
    }
    let forms: Vec<(usize, String)> = more
        .iter()
        .enumerate()
        .flat_map(|(n, (_, value, _))| in_pythons_form(value).into_iter().map(move |form| (n, form)))
        .collect();
    let again: Vec<(&str, &str)> = forms.iter().map(|(n, form)| (more[*n].0, form.as_str())).collect();
    let answers = ask_python(&again).answers;
    for (n, (format, value, ours)) in more.iter().enumerate() {
        let mut theirs = forms.iter().zip(&answers).filter(|((of, _), _)| *of == n).map(|(_, answer)| answer);
        if !theirs.any(|theirs| theirs.as_ref() == Some(ours)) {
            mismatches
                .push(format!("{format:?} {value:?}: Python has no such answer in any form, we {ours:?}"));
        }
    }

    println!(
        "seed {seed}, Python {:?}: {} questions of {} formats",
        python.version,
        questions.len(),
        all.len()
    );
    println!("{} read in Python's form alone; {places} places of refusals looked up", more.len());
    assert!(more.len() > 20 && places > 10_000, "{} and {places} are too few to tell", more.len());
    for directive in DIRECTIVES.chars() {
        let text = format!("%{directive}");
        let [accepted, refused] = counts[text.as_str()];
        let among: [usize; 2] = counts
            .iter()
            .filter(|(format, _)| format.contains(&text) && **format != text)
            .fold([0, 0], |sum, (_, count)| [sum[0] + count[0], sum[1] + count[1]]);
        println!(
            "{text}: alone {accepted} accepted, {refused} refused; among others {} accepted, {} refused",
            among[0], among[1]
        );
        // Comparing refusals alone would show nothing. `%G` and `%V` have no meaning alone.
        assert!(refused > 20 && among[0] > 100 && among[1] > 100, "{text} is not compared: {counts:?}");
        assert!((accepted > 0) != "GV".contains(directive), "{text} alone");
    }
    for (excuse, count) in excuses {
        println!("{count} excused: {excuse}");
    }
    // Twenty mismatches from all over the list: the first ones would all have the same format.
    let some: Vec<&str> =
        mismatches.iter().step_by(mismatches.len().div_ceil(20).max(1)).map(String::as_str).collect();
    assert!(
        some.is_empty(),
        "DATES_SEED={seed}: {} mismatches, among them\n{}",
        mismatches.len(),
        some.join("\n")
    );
}

/// Texts whose fraction is absent or longer than microseconds mean the same as in Python's form. Those
/// without such a form are refused.
#[test]
fn a_fraction_that_python_refuses_means_what_its_own_form_means() {
    let seed = seed();
    let mut random = Random(seed);
    let mut cases: Vec<(&str, String, Option<String>)> = Vec::new();
    for format in FRACTIONS {
        let (before, behind) = format.split_once(".%f").unwrap();
        for n in 0..600 {
            let (mut start, mut end) = (value(&mut random, before), value(&mut random, behind));
            // A mutation is used only if a digit is still before the fraction and none is after it.
            let (other_start, other_end) = (mutated(&mut random, &start), mutated(&mut random, &end));
            if random.one_in(3) && other_start.ends_with(char::is_numeric) {
                start = other_start;
            }
            if random.one_in(6) && !other_end.starts_with(char::is_numeric) {
                end = other_end;
            }
            let six = format!(".{}", random.digits(6));
            let zeros = "0".repeat(random.below(9));
            let (ours, theirs) = match n % 4 {
                0 => (String::new(), Some(".000000".to_owned())),
                1 | 2 => (format!("{six}0{zeros}"), Some(six)),
                _ => (format!("{six}{zeros}{}", 1 + random.below(9)), None),
            };
            cases.push((format, start.clone() + &ours + &end, theirs.map(|theirs| start + &theirs + &end)));
        }
    }
    let as_it_is: Vec<(&str, &str)> =
        cases.iter().map(|(format, text, _)| (*format, text.as_str())).collect();
    let in_its_form: Vec<(&str, &str)> =
        cases.iter().map(|(format, text, form)| (*format, form.as_deref().unwrap_or(text))).collect();
    let (python, forms) = (ask_python(&as_it_is), ask_python(&in_its_form));

    let (mut read, mut refused, mut beyond) = (0, 0, 0);
    let answers = python.answers.iter().zip(&forms.answers);
    let compiled = BTreeMap::from(FRACTIONS.map(|format| (format, DateFormat::compile(format))));
    for ((format, text, _), (as_it_is, in_its_form)) in cases.iter().zip(answers) {
        let theirs = as_it_is.as_ref().or(in_its_form.as_ref());
        let ours = our_answer(&compiled[format], text);
        if let (Some(theirs), Err(refusal)) = (theirs, &ours)
            && excuse(python.version, (format, text), theirs, refusal).is_some()
        {
            continue;
        }
        assert_eq!(ours.as_ref().ok(), theirs, "DATES_SEED={seed}: {format:?} {text:?}: {ours:?}");
        match ours {
            Ok(_) => read += usize::from(as_it_is.is_none()),
            Err(refusal) => {
                refused += 1;
                beyond +=
                    usize::from(refusal.contains("is more precise than microseconds, which are the limit"));
            }
        }
    }
    println!(
        "seed {seed}: {read} read in Python's form alone, {refused} refused, {beyond} beyond microseconds"
    );
    assert!(read > 2000 && refused > 1000 && beyond > 800, "{read}, {refused}, {beyond}");
}

#[test]
fn a_format_that_cannot_be_honoured_is_refused_at_start_by_its_directive() {
    for (format, expected) in [
        ("%q", "unknown strptime directive %q"),
        ("%Y-%m-%e", "unknown strptime directive %e"),
        ("%D", "unknown strptime directive %D"),
        ("%F %T", "unknown strptime directive %F"),
        ("%H:%M:%s", "unknown strptime directive %s"),
        ("%C%y", "unknown strptime directive %C"),
        ("%h", "unknown strptime directive %h"),
        ("%P", "unknown strptime directive %P"),
        ("%-d", "unknown strptime directive %-"),
        ("%Ey", "unknown strptime directive %E"),
        ("%Od", "unknown strptime directive %O"),
        ("%:z", "unknown strptime directive %:"),
        ("%3f", "unknown strptime directive %3"),
        ("% d", "unknown strptime directive % "),
        ("%é", "unknown strptime directive %é"),
        ("%%%", "the format ends in a lone %"),
        ("%Y%", "the format ends in a lone %"),
        ("%d/%m/%d", "strptime directive %d is given twice"),
        ("%c %Y", "strptime directive %Y is given twice"),
        ("%x %m", "strptime directive %m is given twice"),
        ("%X %X", "strptime directive %H is given twice"),
        (
            "%G",
            "strptime directive %G is not supported: an ISO week date needs %G, %V and a weekday, and no %j, %Y or %y",
        ),
        (
            "%V %a",
            "strptime directive %V is not supported: an ISO week date needs %G, %V and a weekday, and no %j, %Y or %y",
        ),
        (
            "%G %V",
            "strptime directive %G is not supported: an ISO week date needs %G, %V and a weekday, and no %j, %Y or %y",
        ),
        (
            "%Y-W%V-%u",
            "strptime directive %V is not supported: an ISO week date needs %G, %V and a weekday, and no %j, %Y or %y",
        ),
        (
            "%G-W%V-%u %y",
            "strptime directive %G is not supported: an ISO week date needs %G, %V and a weekday, and no %j, %Y or %y",
        ),
        (
            "%j %u %V %G",
            "strptime directive %V is not supported: an ISO week date needs %G, %V and a weekday, and no %j, %Y or %y",
        ),
    ] {
        assert_eq!(DateFormat::compile(format).unwrap_err().to_string(), expected, "{format}");
    }
    for format in REFUSED {
        assert!(DateFormat::compile(format).is_err(), "{format}");
    }
    for format in REALISTIC.into_iter().chain(LITERAL).chain([COMMON]) {
        assert!(DateFormat::compile(format).is_ok(), "{format}");
    }
}
