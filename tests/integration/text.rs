//! Tests that cells are loaded as they were written: from any RFC 4180 file to the table, with any
//! characters.

use devstack::samples::{self, Member};
use devstack::stack::BUCKET;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use serde_json::json;

use crate::harness::{Harness, Row, cases, moment, sample_with};

/// Quotes, delimiters, line ends, backslashes, texts that pandas would read as numbers or missing values, and
/// letters of many scripts.
#[tokio::test(flavor = "multi_thread")]
async fn cells_arrive_as_they_were_written() {
    let harness = Harness::start().await;
    let cells = [
        "plain",
        " leading and trailing ",
        "007",
        "1.0",
        "NA",
        "None",
        "null",
        "NULL",
        "\\N",
        "\\",
        "C:\\new\\table",
        "\"",
        "\"\"",
        "a\"b",
        "'",
        "|",
        ",",
        "a,b|c\td",
        "line one\nline two",
        "crlf\r\nhere",
        "bare\rcr",
        "\ttab",
        "Łukasz",
        "李小龍",
        "👩‍👩‍👧",
        "e\u{301}",
        "\u{feff}bom",
        "\u{a0}",
        "--",
        "#",
        "%",
        "$1",
        "{}",
        "\u{7f}",
        "\u{1}",
        "",
    ];
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["id", "name", "active", "site_key"]).unwrap();
    for (n, cell) in cells.iter().enumerate() {
        writer.write_record([&format!("{n:03}"), *cell, "t", *cell]).unwrap();
    }
    let key = harness.put("text", &sample_with("analytics_group.csv", writer.into_inner().unwrap()), 1);
    Harness::report(harness.invoke(&key).await);
    let rows = harness.rows("cms_group").await;
    let loaded: Vec<(&str, &str)> =
        rows.iter().map(|row| (row[1].as_deref().unwrap(), row[3].as_deref().unwrap())).collect();
    assert_eq!(loaded, cells.map(|cell| (cell, cell)));
}

/// A whole second without a fraction, and zeros after the microseconds, as one export may write both.
#[tokio::test(flavor = "multi_thread")]
async fn dates_arrive_with_and_without_a_fraction() {
    let harness = Harness::start().await;
    let dates = [
        ("2024-03-01 09:15:05", "2024-03-01 09:15:05"),
        ("2024-02-29 09:15:05", "2024-02-29 09:15:05"),
        ("2024-03-01 09:15:06.0000000", "2024-03-01 09:15:06"),
        ("2024-03-01 09:15:07.1234560", "2024-03-01 09:15:07.123456"),
        ("2024-03-01 09:15:08.5", "2024-03-01 09:15:08.5"),
    ];
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["user_id", "user_idir", "activity_type", "memo", "activity_date"]).unwrap();
    for (n, (date, _)) in dates.iter().enumerate() {
        writer.write_record([&n.to_string(), "idir", "login", "", *date]).unwrap();
    }
    let text = writer.into_inner().unwrap();
    let key = harness.put("dates", &sample_with("analytics_user_activity.csv", text), 1);
    Harness::report(harness.invoke(&key).await);
    let loaded = harness.query("SELECT user_id, activity_date FROM cmslite.user_activity").await;
    let loaded: Vec<&str> = loaded.iter().map(|row| row[1].as_deref().unwrap()).collect();
    assert_eq!(loaded, dates.map(|(_, expected)| expected));
}

const COLUMNS: usize = 3;

/// Texts that other programs change or interpret.
const KNOWN: [&str; 37] = [
    "",
    " ",
    "-",
    "007",
    "1.0",
    "1e5",
    "NA",
    "NaN",
    "None",
    "null",
    "NULL",
    "\\N",
    "\\",
    "\\\\",
    "C:\\new\\table",
    "\"",
    "\"\"",
    "'",
    "''",
    "@NULL@",
    "true",
    "2024-02-30",
    "\u{feff}",
    "\u{2028}",
    "\r",
    "\n",
    "\r\n",
    "\t",
    "%",
    "#",
    "--",
    "\u{1}",
    "\u{1a}",
    "\u{7f}",
    "\u{85}",
    "\u{fffd}",
    "\u{10ffff}",
];

/// Returns every ASCII character that may be a delimiter: all except the quote, line ends and NUL.
fn delimiter() -> impl Strategy<Value = char> {
    let usual = prop::sample::select([',', '|', '\t', ';'].as_slice());
    let any = (1..128_u8).prop_map(char::from).prop_filter("a delimiter", |c| !['"', '\r', '\n'].contains(c));
    prop_oneof![usual, any]
}

/// Returns texts of any Unicode characters except NUL, with many that other programs change.
fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => prop::sample::select(KNOWN.as_slice()).prop_map(str::to_owned),
        2 => "[a\"',|;\\\\ \t\r\nN.0-]{0,8}",
        2 => "\\PC{0,12}",
        2 => prop::collection::vec(any::<char>().prop_filter("NUL", |c| *c != '\0'), 0..12).prop_map(String::from_iter),
        1 => (any::<char>().prop_filter("NUL", |c| *c != '\0'), 1000..9000_usize).prop_map(|(c, times)| c.to_string().repeat(times)),
    ]
}

/// A file: its delimiter, whether its lines end with CRLF, whether it has a byte order mark, whether its last
/// line ends, and its rows, each cell with whether it should be quoted.
#[derive(Debug, Clone)]
struct File {
    delimiter: char,
    crlf: bool,
    mark: bool,
    ended: bool,
    rows: Vec<Vec<(String, bool)>>,
}

fn file() -> impl Strategy<Value = File> {
    let rows = prop::collection::vec(prop::collection::vec((cell(), any::<bool>()), COLUMNS), 1..30);
    (delimiter(), any::<bool>(), any::<bool>(), any::<bool>(), rows)
        .prop_map(|(delimiter, crlf, mark, ended, rows)| File { delimiter, crlf, mark, ended, rows })
}

/// Writes a file exactly by RFC 4180, without code that could have the same mistakes as the program.
fn written(file: &File) -> String {
    let end = if file.crlf { "\r\n" } else { "\n" };
    let mut text = String::from(if file.mark { "\u{feff}" } else { "" });
    let delimiter = file.delimiter.to_string();
    text += &["one", "two", "three"].map(|name| format!("\"{name}\"")).join(&delimiter);
    for row in &file.rows {
        text += end;
        let cells = row.iter().map(|(cell, quoted)| {
            // These would be ignored or refused at the end of a file or the start of a line.
            let is_mark = cell.starts_with('\u{feff}') || cell.ends_with('\u{1a}');
            if *quoted || is_mark || cell.contains(['"', '\r', '\n', file.delimiter]) {
                format!("\"{}\"", cell.replace('"', "\"\""))
            } else {
                cell.clone()
            }
        });
        text += &cells.collect::<Vec<_>>().join(&delimiter);
    }
    if file.ended {
        text += end;
    }
    text
}

fn config(delimiter: char) -> String {
    let config = json!({
        "bucket": BUCKET, "source": "client", "destination": "processed", "directory": "cells", "doc": "cells.*",
        "schema": "cmslite", "truncate": true, "delim": delimiter.to_string(),
        "files": {"cells": {"dbtable": "cells", "column_count": COLUMNS, "columns": ["one", "two", "three"], "dateformat": []}}
    });
    config.to_string()
}

async fn load(harness: &Harness, file: &File) -> Result<(), TestCaseError> {
    let path = harness.config_dir.path().join("cells.json");
    std::fs::write(&path, config(file.delimiter)).unwrap();
    let archive = samples::archive(&[Member::new("cells.csv", written(file))]).unwrap();
    harness.stack.s3.empty_bucket(BUCKET);
    harness.admin("DELETE FROM cmslite.cells; DROP TABLE IF EXISTS cmslite.load_ledger").await;
    harness.stack.s3.put_at(BUCKET, "client/cells/cells.tgz", &archive, moment(1)).unwrap();
    let (output, _) = harness.command(&["load", path.to_str().unwrap()]).await;
    prop_assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    let is_row = |row: &&Vec<(String, bool)>| row.iter().any(|(cell, _)| !cell.is_empty());
    let mut expected: Vec<Row> = file
        .rows
        .iter()
        .filter(is_row)
        .map(|row| row.iter().map(|(cell, _)| Some(cell.clone())).collect())
        .collect();
    expected.sort();
    prop_assert_eq!(harness.query("SELECT * FROM cmslite.cells").await, expected);
    Ok(())
}

/// Tests thirty files, which differ between the parts.
fn arrives(part: u8) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let harness = runtime.block_on(async {
        let harness = Harness::builder().start().await;
        harness
            .admin(
                "CREATE TABLE cmslite.cells (one varchar(65535), two varchar(65535), three varchar(65535))",
            )
            .await;
        harness.admin("GRANT ALL ON cmslite.cells TO cmslite_loader").await;
        harness
    });
    let config = Config { cases: 30, failure_persistence: None, max_shrink_iters: 500, ..Config::default() };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[7 + part; 32]));
    let result = runner.run(&file(), |file| runtime.block_on(load(&harness, &file)));
    if let Err(TestError::Fail(reason, file)) = &result {
        panic!("{reason}\nin {file:#?}\nwritten as {:?}", written(file));
    }
    result.unwrap();
}

cases! {
    any_text_arrives_as_it_was_written: arrives {
        part_0(0);
        part_1(1);
        part_2(2);
        part_3(3);
        part_4(4);
    }
}
