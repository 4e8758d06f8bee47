use proptest::prelude::*;

use super::super::ColumnLimit;
use super::*;

const NUMERIC: ColumnType = ColumnType::Numeric { digits: Some((5, 2)) };
const UNLIMITED: ColumnType = ColumnType::Numeric { digits: None };

fn limit(column_type: ColumnType, not_null: bool) -> ColumnLimit {
    ColumnLimit { column_type, max_bytes: None, not_null }
}

fn code(column_type: ColumnType, text: &str) -> Option<&'static str> {
    limit(column_type, false).refusal(text.as_bytes()).map(|reason| reason.code())
}

/// Each line has a type, the texts that are accepted or left to COPY, those that are refused, and the code of
/// the refusal.
#[test]
fn only_what_is_certain_is_refused() {
    use ColumnType::{Bigint, Boolean, Integer, Other, Smallint, Text};
    let cases: &[(ColumnType, &[&str], &str, &[&str])] = &[
        (Boolean, &["t", "true", "y", "yes", "1", "f", "false", "n", "no", "0"], "bad_boolean", &[]),
        (
            Boolean,
            &["T", "TRUE", "True", " true ", "\u{a0}true", "\t", "tr", "on", "off", "2", "1.0", "+1", "-1"],
            "bad_boolean",
            &[],
        ),
        (
            Boolean,
            &[],
            "bad_boolean",
            &["maybe", "trust", "yes!", "not", "oui", "Parks", "NULL", "\\N", "'t'", "t f", "-", "é"],
        ),
        (
            Smallint,
            &["-32768", "32767", "+5", " 7 ", "007", "1.0", "1e3", "1E-3", "5.", ".5"],
            "number_out_of_range",
            &["-32769", "32768", "+40000", " 99999", "000040000"],
        ),
        (Integer, &["-2147483648", "2147483647"], "number_out_of_range", &["-2147483649", "2147483648"]),
        (
            Bigint,
            &["-9223372036854775808", "9223372036854775807"],
            "number_out_of_range",
            &["-9223372036854775809", "9223372036854775808", "99999999999999999999999999999999999999999999"],
        ),
        (
            Integer,
            &[],
            "bad_number",
            &[
                "x",
                "12a",
                "1,000",
                "1 000",
                "--5",
                "5-",
                "-",
                ".",
                "e",
                "1e",
                "1.2.3",
                "2024-01-01",
                "NaN",
                "0x1F",
                "$5",
                "٣",
            ],
        ),
        (
            NUMERIC,
            &["999", "-999.99", "0000999.5", "1.23456", "1e9", "NaN", "-inf", ".5", " 1 "],
            "number_out_of_range",
            &["1000", "-1000.5", "00001000"],
        ),
        (NUMERIC, &[], "bad_number", &["x", "1,5", "1.2.3", "nano", "%"]),
        (UNLIMITED, &["1000", "99999999999999999999999999999999999999999"], "bad_number", &["1,5"]),
        (Other, &["x", "2024-02-30"], "", &[]),
        (Text, &["", " ", "x"], "", &[]),
    ];
    for (column_type, taken, expected, refused) in cases {
        for text in *taken {
            assert_eq!(code(*column_type, text), None, "{column_type}: {text:?}");
        }
        for text in *refused {
            assert_eq!(code(*column_type, text), Some(*expected), "{column_type}: {text:?}");
        }
    }
}

#[test]
fn an_empty_cell_is_null_where_the_column_is_no_text() {
    for column_type in [ColumnType::Boolean, ColumnType::Bigint, NUMERIC, ColumnType::Other] {
        for text in ["", "  "] {
            assert_eq!(limit(column_type, false).refusal(text.as_bytes()), None);
            let refusal = limit(column_type, true).refusal(text.as_bytes());
            assert_eq!(
                refusal.map(|reason| reason.code()),
                Some("null_not_allowed"),
                "{column_type}: {text:?}"
            );
        }
    }
    assert_eq!(limit(ColumnType::Text, true).refusal(b""), None);
}

#[test]
fn a_refusal_names_the_range() {
    let told =
        |column_type: ColumnType, text: &str| column_type.refusal(text.as_bytes()).unwrap().to_string();
    assert!(told(ColumnType::Smallint, "40000").contains("smallint (-32768 to 32767)"));
    assert!(told(NUMERIC, "1000").contains("numeric(5,2) (at most 3 digits before the decimal point)"));
}

#[test]
fn types_have_the_names_of_svv_columns() {
    assert_eq!(ColumnType::of("numeric", Some((5, 2))), NUMERIC);
    assert_eq!(ColumnType::of("timestamp without time zone", None), ColumnType::Other);
    assert_eq!(ColumnType::of("character", None), ColumnType::Text);
    assert_eq!(ColumnType::of("super", None), ColumnType::Text);
}

proptest! {
    /// Every number that a type can hold is left to COPY however it is written, and every other number is
    /// refused.
    #[test]
    fn integers_are_judged_by_their_value(number in any::<i64>(), small in any::<i16>(), zeros in 0_usize..30) {
        for number in [number, i64::from(small)] {
            let zeros = "0".repeat(zeros);
            let text = format!("{}{zeros}{}", if number < 0 { "-" } else { "" }, number.unsigned_abs());
            for (column_type, fits) in [
                (ColumnType::Smallint, i16::try_from(number).is_ok()),
                (ColumnType::Integer, i32::try_from(number).is_ok()),
                (ColumnType::Bigint, true),
            ] {
                prop_assert_eq!(code(column_type, &text), (!fits).then_some("number_out_of_range"));
            }
        }
    }

    /// A decision by the length alone is the same as a decision by everything.
    #[test]
    fn a_text_is_taken_that_is_too_short_to_be_refused(
        text in "[a-z0é]{0,12}",
        max_bytes in prop::option::of(0_u64..12),
        column_type in prop::sample::select(vec![ColumnType::Text, ColumnType::Boolean, ColumnType::Bigint, NUMERIC, ColumnType::Other]),
    ) {
        let limit = ColumnLimit { column_type, max_bytes, not_null: true };
        let is_refused = limit.refusal(text.as_bytes()).is_some();
        prop_assert!(!is_refused || text.len() >= limit.shortest_refused());
        let is_too_long = max_bytes.is_some_and(|max_bytes| text.len() as u64 > max_bytes);
        prop_assert!(!is_too_long || is_refused);
    }

    /// A value with blanks around it is judged like the value.
    #[test]
    fn blanks_around_a_text_change_nothing(text in "[0-9a-z+.eE-]{1,8}", blanks in "[ \t]{0,3}") {
        for column_type in [ColumnType::Boolean, ColumnType::Integer, NUMERIC] {
            prop_assert_eq!(code(column_type, &text), code(column_type, &format!("{blanks}{text}{blanks}")));
        }
    }
}
