use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{SHIPPED, parse, parse_all};

#[track_caller]
fn told(text: &str, expected: &str) {
    assert_eq!(
        parse("c/a.json", text).unwrap_err().to_string(),
        expected.trim_start_matches('\n').trim_end()
    );
}

#[test]
fn every_mistake_shows_its_line_at_once_in_the_order_of_the_file() {
    let text = SHIPPED
        .replace("\"bucket\"", "\"buckett\"")
        .replace("\"delim\": \",\"", "\"delim\": \",,\"")
        .replace("\"truncate\": true", "\"truncate\": \"yes\"")
        .replace("\"column_count\": 4", "\"column_count\": \"4\"")
        .replace("\"field\": \"activity_date\"", "\"field\": \"activity_day\"")
        .replace("\"dbtable\": \"user_status\",", "");
    told(
        &text,
        r#"
c/a.json:1:1: bucket: missing
  1 | {
    | ^
c/a.json:3:3: buckett: unknown key; did you mean "bucket"?
  3 | "buckett": "sp-ca-bc-gov-131565110619-12-microser…
    | ^^^^^^^^^
c/a.json:9:15: truncate: expected true or false, found a text
  9 | "truncate": "yes",
    |             ^^^^^
c/a.json:10:12: delim: expected one ASCII character other than a quote or a line end, found ",,"
  10 | "delim": ",,",
     |          ^^^^
c/a.json:22:23: files.analytics_group.column_count: expected a whole number above 0, found a text
  22 | "column_count": "4",
     |                 ^^^
c/a.json:30:32: files.analytics_user_activity.dateformat[0].field: "activity_day" is not one of the columns; did you mean "activity_date"?
  30 | "dateformat": [{"field": "activity_day", "format": "%Y-%m-%d %H:%M:%S.%f"}],
     |                          ^^^^^^^^^^^^^^
c/a.json:33:5: files.analytics_user_status.dbtable: missing
  33 | "analytics_user_status": {
     | ^^^^^^^^^^^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn a_place_is_shown_once() {
    let mistakes = "c/a.json:1:1: {}: missing\n";
    let keys =
        ["bucket", "source", "destination", "directory", "doc", "schema", "truncate", "delim", "files"];
    let lines: Vec<String> = keys.iter().map(|key| mistakes.replace("{}", key)).collect();
    told("{}", &format!("{}  1 | {{}}\n    | ^", lines.concat()));
}

#[test]
fn a_mistake_in_the_syntax_shows_its_line_too() {
    for (text, expected) in [
        (
            "{\n  \"bucket\": \"b\"\n  \"source\": 1}",
            "c/a.json:3:3: not valid JSON: expected `,` or `}`\n  3 | \"source\": 1}\n    | ^",
        ),
        (
            "\u{feff}{\"名\": yes}",
            "c/a.json:1:7: not valid JSON: expected value\n  1 | {\"名\": yes}\n    |        ^",
        ),
        ("", "c/a.json:1:1: not valid JSON: EOF while parsing a value\n  1 | \n    | ^"),
        ("{\n", "c/a.json:2:1: not valid JSON: EOF while parsing an object\n  2 | \n    | ^"),
    ] {
        told(text, expected);
    }
}

#[test]
fn strange_text_is_shown_harmless_and_short() {
    let text = format!("{{\"\\u202e{}\u{1b}[31m\": 1}}", "x".repeat(5000)).replace('\u{1b}', "\\u001b");
    let told = parse("c/a\u{202e}.json", &text).unwrap_err().to_string();
    assert!(told.chars().all(|c| c == '\n' || crate::text::is_seen(c)), "{told}");
    let longest = told.lines().filter(|line| line.contains('|')).map(|line| line.chars().count()).max();
    assert!(longest < Some(160), "{longest:?}");
}

/// Editors on Windows write a byte order mark and carriage returns.
#[test]
fn a_byte_order_mark_and_carriage_returns_move_no_place() {
    let text =
        format!("\u{feff}{}", SHIPPED.replace("\"delim\": \",\"", "\"delim\": 7").replace('\n', "\r\n"));
    told(
        &text,
        "c/a.json:10:12: delim: expected a text, found a number\n  10 | \"delim\": 7,\n     |          ^",
    );
}

#[test]
fn what_two_files_say_against_each_other_has_its_place() {
    let files = BTreeMap::from([
        ("a.json".to_owned(), SHIPPED.to_owned()),
        ("b.json".to_owned(), SHIPPED.to_owned()),
    ]);
    let told = parse_all(&files).unwrap_err().to_string();
    assert!(told.starts_with("b.json:7:10: doc: reads the same archives as a.json"), "{told}");
    assert!(
        told.ends_with("\n  7 | \"doc\": \"cms-analytics-csv.*\",\n    |        ^^^^^^^^^^^^^^^^^^^^^"),
        "{told}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// In any text, each mistake has a position.
    #[test]
    fn every_mistake_of_any_text_has_a_place(
        cut in 0_usize..2000,
        removed in 0_usize..4,
        inserted in "[\\[\\]{}\",:\\\\\n\r0é\u{202e}\u{0}a-]{0,3}",
    ) {
        let start = SHIPPED.floor_char_boundary(cut);
        let end = SHIPPED.floor_char_boundary(cut + removed).max(start);
        let text = format!("{}{inserted}{}", &SHIPPED[..start], &SHIPPED[end..]);
        if let Err(mistakes) = parse("a.json", &text) {
            for mistake in &mistakes.0 {
                let place = mistake.place.as_ref().unwrap();
                let line = text.split('\n').nth(place.line - 1).unwrap();
                prop_assert!((1..=line.chars().count() + 1).contains(&place.column), "{}: {}", mistake, text);
            }
            prop_assert!(mistakes.to_string().chars().all(|c| c == '\n' || crate::text::is_seen(c)));
        }
    }
}
