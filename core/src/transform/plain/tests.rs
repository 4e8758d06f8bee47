//! Compares rows taken together with the same rows taken one by one, the general way: the result is the same
//! in every respect.

use std::io;

use memchr::memchr_iter;
use proptest::prelude::*;
use proptest::sample::select;

use super::PlainRows;
use crate::config::{self, Dataset};
use crate::csv::{Dribble, FIRST_ROW_LINE, RecordReader, RowSink, RowWriter};
use crate::limits::{ColumnLimit, ColumnType};
use crate::problem::{Problems, Quoting};
use crate::progress::Progress;
use crate::transform::header::Header;
use crate::transform::line_map::LineMap;
use crate::transform::row::Row;
use crate::transform::{NULL_TEXT, Transform, Transformed};

/// A staged file that checks that rows arrive whole and with the right line number.
#[derive(Default)]
struct Staged(Vec<u8>);

impl RowSink for Staged {
    fn header(&mut self, line: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(line);
        Ok(())
    }

    fn rows(&mut self, rows: &[u8], first_line: u64) -> io::Result<()> {
        assert!(rows.ends_with(b"\n"));
        let lines = memchr_iter(b'\n', &self.0).count() as u64;
        assert_eq!(first_line, lines + FIRST_ROW_LINE - 1);
        self.0.extend_from_slice(rows);
        Ok(())
    }
}

type Outcome = (String, Transformed, Vec<String>);

fn transform(
    input: &[u8],
    step: usize,
    (member, dataset, limits): (&str, &Dataset, &[ColumnLimit]),
    are_taken_together: bool,
) -> Outcome {
    let table = dataset.table_of(member).unwrap();
    let transform = Transform { member: "m.csv", table, dataset, limits, progress: &Progress::default() };
    let mut staged = Staged::default();
    let mut problems = Problems::default();
    let transformed =
        transform.run_by(Dribble(input, step), &mut staged, &mut problems, are_taken_together).unwrap();
    problems.decide(Quoting::Shown);
    let told = problems.reported().iter().map(ToString::to_string).collect();
    (String::from_utf8(staged.0).unwrap(), transformed, told)
}

/// Generates cells as they are written: most of them sound, some not.
fn cell() -> impl Strategy<Value = Vec<u8>> {
    let sound = select(vec![
        "",
        "",
        "x",
        "007",
        "-",
        "a - b - c",
        "t",
        "0",
        "12",
        "Zoë",
        "李小龍",
        "idir\\x",
        "%x",
        "a longer text, no",
        "\u{1a}",
        "\"\"",
        "\"x\"",
        "\"a,b\"",
        "\"a\"\"b\"",
        "\"\"\"\"",
        "\"two\nlines\"",
        "\"two\r\nlines - and\n - more\"",
        "\"-\"",
        "\"a - \"\"b\"\" - c\"",
        "\"a,b - c\"\"d,e - f\"",
        "\"- - -\"",
        "\"\n\"",
        "\"2024-03-01 09:15:42.5\"",
        "\u{feff}",
        "\"a - - - b\"\"\"",
        "user_id",
        "\"user_id\"",
        "a",
        "\"a\"",
    ])
    .prop_map(|text: &str| text.replace("text, no", "text").into_bytes());
    let date = select(vec![
        "2024-03-01 09:15:42.5",
        "2024-03-01 09:15:42.123456",
        "2024-03-01 09:15:42.000000",
        "2024-03-01 09:15:42",
        "2024-3-1 9:5:2.1",
        "2024-02-29 00:00:00.1",
    ])
    .prop_map(|text: &str| text.as_bytes().to_vec());
    let odd = prop_oneof![
        Just(b"a\"b".to_vec()),
        Just(b" \"x\"".to_vec()),
        Just(b"\"x\" ".to_vec()),
        Just(b"\"x".to_vec()),
        Just(b"a\\\"".to_vec()),
        Just(b"a\rb".to_vec()),
        Just(b"\"x\"\r".to_vec()),
        Just(b"a\0b".to_vec()),
        Just(b"\xff".to_vec()),
        Just(b"\xc3".to_vec()),
        Just(NULL_TEXT.as_bytes().to_vec()),
        Just(b"2023-02-29 00:00:00.0".to_vec()),
        Just(b"2024-03-01 09:15:42.1234567".to_vec()),
        "[a,|\"\r\n-]{0,5}".prop_map(String::into_bytes),
        (0_usize..400).prop_map(|count| vec![b'y'; count]),
    ];
    prop_oneof![600 => sound, 120 => date, 1 => odd]
}

/// Generates a record with its line end.
fn record(cells: usize, delimiter: u8, date_at: Option<usize>) -> impl Strategy<Value = Vec<u8>> {
    let count = prop_oneof![300 => Just(cells), 1 => 0..cells + 3];
    let line_end = prop_oneof![200 => Just("\n"), 60 => Just("\r\n"), 3 => Just("\n\n"), 3 => Just("\r\n\r\n"), 1 => Just("\r"), 1 => Just("")];
    let date =
        select(vec!["2024-03-01 09:15:42.5", "2024-12-31 23:59:59.999999", "2024-01-01 00:00:00.0", "", "-"]);
    (count, line_end, prop::collection::vec(cell(), cells + 3), date, 0..300_u32).prop_map(
        move |(count, line_end, mut texts, date, chance)| {
            texts.truncate(count);
            if let Some(text) = date_at.and_then(|at| texts.get_mut(at))
                && chance > 0
            {
                *text = date.as_bytes().to_vec();
            }
            let mut record = texts.join(&delimiter);
            record.extend_from_slice(line_end.as_bytes());
            record
        },
    )
}

/// Generates a repeated header: as it is, in upper case, in quotes, or after a byte order mark.
fn again(header: &'static str, delimiter: u8) -> impl Strategy<Value = Vec<u8>> {
    let quoted = |cell: &str| if cell.starts_with('"') { cell.to_owned() } else { format!("\"{cell}\"") };
    let forms: [String; 4] = [
        header.to_owned(),
        header.to_uppercase(),
        header.split(',').map(quoted).collect::<Vec<String>>().join(","),
        format!("\u{feff}{header}"),
    ];
    select(forms.map(|form| form.replace(',', &char::from(delimiter).to_string()) + "\n").to_vec())
        .prop_map(String::into_bytes)
}

fn limit() -> impl Strategy<Value = ColumnLimit> {
    let column_type = prop_oneof![
        12 => Just(ColumnType::Text),
        1 => Just(ColumnType::Boolean),
        1 => Just(ColumnType::Integer),
        1 => Just(ColumnType::Other)
    ];
    let max_bytes = prop_oneof![6 => Just(None), 6 => Just(Some(255)), 1 => (0_u64..30).prop_map(Some)];
    (column_type, max_bytes, prop::bool::weighted(0.1))
        .prop_map(|(column_type, max_bytes, not_null)| ColumnLimit { column_type, max_bytes, not_null })
}

#[derive(Debug)]
struct Case {
    member: &'static str,
    dataset: Dataset,
    limits: Vec<ColumnLimit>,
    input: Vec<u8>,
}

fn dataset(delimiter: u8, null_as: Option<&str>, date_format: &str) -> Dataset {
    let null_as = null_as.map_or(String::new(), |text| format!("\"null_as\": \"{text}\","));
    let text = include_str!("../../../../config.d/cmslite_user_group_metadata.json")
        .replace("\"quote_cells\": false", "\"quote_cells\": true")
        .replace("\"null_as\": \"-\",", &null_as)
        .replace("%Y-%m-%d %H:%M:%S.%f", date_format)
        .replace("\"delim\": \",\"", &format!("\"delim\": \"{}\"", char::from(delimiter).escape_default()));
    config::parse("d.json", &text).unwrap()
}

fn case() -> impl Strategy<Value = Case> {
    let tables = select(vec![
        ("analytics_user_activity", "user_id,user_idir,activity_type,memo,activity_date", Some(4)),
        ("analytics_user_activity", "a,b,c,d,e", Some(4)),
        ("analytics_user_activity", "a,b,c,d,e,f,g", Some(4)),
        ("analytics_user_activity", "a,b,c,d,e,,", Some(4)),
        ("analytics_group", "id,name,active,site_key", None),
        ("analytics_group", ",name,active,site_key", None),
        ("analytics_group", "\"a\"\"b\",name,active,site_key,\"x\"", None),
        ("analytics_group", "1,x,t,k", None),
        ("analytics_user_status", "a,b,c,d,e,f,g", Some(5)),
    ]);
    let delimiter = prop_oneof![9 => Just(b','), 1 => select(vec![b'|', b'\t', b';'])];
    let null_as = select(vec![
        Some("-"),
        Some("-"),
        Some("-"),
        None,
        Some("x"),
        Some("a,b"),
        Some("2024-01-01 00:00:00.0"),
    ]);
    let date_format = prop_oneof![5 => Just("%Y-%m-%d %H:%M:%S.%f"), 1 => Just("%Y-%m-%d %X.%f")];
    (tables, delimiter, null_as, date_format).prop_flat_map(
        |((member, header, date_at), delimiter, null_as, format)| {
            let cells = header.split(',').count();
            let records = prop_oneof![
                400 => record(cells, delimiter, date_at),
                1 => again(header, delimiter)
            ];
            (
                prop::collection::vec(records, 0..40),
                // Sometimes more than is handed on at once.
                prop_oneof![9 => 1_usize..6, 1 => 40_usize..80],
                select(vec!["\n", "\n", "\r\n", "\n\n"]),
                prop::bool::weighted(0.2),
                select(vec!["", "", "\u{1a}", "\n\u{1a}\u{1a}", "x", "\"x\"\r"]),
                prop_oneof![Just(Vec::new()), prop::collection::vec(limit(), 0..9)],
            )
                .prop_map(move |(records, times, line_end, has_mark, last, limits)| {
                    let mark = if has_mark { "\u{feff}" } else { "" };
                    let head =
                        [mark, &header.replace(',', &char::from(delimiter).to_string()), line_end].concat();
                    let body = records.concat().repeat(times);
                    let input = [head.as_bytes(), &body, last.as_bytes()].concat();
                    Case { member, dataset: dataset(delimiter, null_as, format), limits, input }
                })
        },
    )
}

/// Rows of the shipped dataset, and of similar exports, are taken together.
#[test]
fn sound_rows_are_taken_together() {
    let dataset = dataset(b',', Some("-"), "%Y-%m-%d %H:%M:%S.%f");
    let table = dataset.table_of("analytics_user_activity").unwrap();
    let limits = [ColumnLimit { max_bytes: Some(100), ..ColumnLimit::default() }; 6];
    for (header, rows, expected) in [
        (
            "a,b,c,d,e\n",
            "1,i,t,m,2024-03-01 09:15:42.123456\n2,,,-,\n",
            "1,i,t,m,2024-03-01 09:15:42.123456,\n2,,,%cmslite-null%,,\n",
        ),
        (
            "a,b,c,d,e\r\n",
            "1,i,t,x - y - z,2024-03-01 09:15:42.5\r\n",
            "1,i,t,x - y - z,2024-03-01 09:15:42.500000,y\n",
        ),
        (
            "a,b,c,d,e\n",
            "\"1\",\"i,\",\"\",\"x - \"\"y\"\",\n - z\",2024-03-01 09:15:42.0\n",
            "1,\"i,\",,\"x - \"\"y\"\",\n - z\",2024-03-01 09:15:42,\"\"\"y\"\",\n\"\n",
        ),
        (
            "a,b,c,d,e,f\n",
            "1,i,t,m,2024-02-29 09:15:42.5,\"dropped\n\"\n",
            "1,i,t,m,2024-02-29 09:15:42.500000,\n",
        ),
    ] {
        let mut records = RecordReader::new([header, rows].concat().leak().as_bytes(), b',', 1_000);
        let header = Header::new(&records.read().unwrap().unwrap(), table, b',').unwrap();
        let row = Row::new("m.csv", table, &dataset, &limits, &header);
        let mut plain_rows = PlainRows::new(&row, &header, 1_000).unwrap();
        let mut staged = Staged::default();
        let mut writer = RowWriter::new(&mut staged, table.loaded_columns()).unwrap();
        plain_rows.take(&mut records, &mut writer, &mut LineMap::default()).unwrap();
        writer.flush().unwrap();
        assert!(!records.advance().unwrap(), "{rows}");
        let staged = String::from_utf8(staged.0).unwrap();
        let (_, staged) = staged.split_once('\n').unwrap();
        assert_eq!(staged, expected, "{rows}");
    }
}

/// A repeated header, however it is written, a row after a byte order mark, and a row beyond the limit go the
/// general way, even if nothing else is wrong with them.
#[test]
fn what_the_general_way_refuses_is_left_to_it() {
    let dataset = dataset(b',', Some("-"), "%Y-%m-%d %H:%M:%S.%f");
    let table = dataset.table_of("analytics_group").unwrap();
    let long = format!("1,{},t,k\n", "x".repeat(80));
    for (odd, limit) in [
        ("id,name,active,site_key\n", 1_000),
        ("ID,Name,Active,Site_Key\n", 1_000),
        ("\"id\",\"name\",\"active\",\"site_key\"\n", 1_000),
        ("\u{feff}1,a,t,k\n", 1_000),
        (long.as_str(), 80),
    ] {
        let input = ["id,name,active,site_key\n1,a,t,k\n", odd].concat();
        let mut records = RecordReader::new(input.as_bytes(), b',', 1_000);
        let header = Header::new(&records.read().unwrap().unwrap(), table, b',').unwrap();
        let row = Row::new("m.csv", table, &dataset, &[], &header);
        let mut plain_rows = PlainRows::new(&row, &header, limit).unwrap();
        let mut staged = Staged::default();
        let mut writer = RowWriter::new(&mut staged, table.loaded_columns()).unwrap();
        let taken = plain_rows.take(&mut records, &mut writer, &mut LineMap::default()).unwrap();
        assert_eq!(taken, 1, "{odd}");
        assert!(records.advance().unwrap(), "{odd}");
    }
}

proptest! {
    #[test]
    fn rows_taken_together_are_the_rows_taken_one_by_one(
        case in case(),
        steps in prop::collection::vec(prop_oneof![1_usize..40, 100_usize..5_000, Just(1_000_000)], 2),
    ) {
        let Case { member, dataset, limits, input } = &case;
        let with = (*member, dataset, limits.as_slice());
        for step in steps {
            // The text quoted from an unreadable record depends on how much of it was read, so both sides
            // read in the same steps.
            prop_assert_eq!(transform(input, step, with, true), transform(input, step, with, false));
        }
    }
}
