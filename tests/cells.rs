//! Cells pass through byte for byte: from any RFC 4180 file to the table, whatever letters they hold and
//! however they are written.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at what it did not expect"
)]

mod support;

use std::sync::Arc;

use devstack::samples::{self, Member};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use serde_json::json;
use support::{Row, Setup, World};

const COLUMNS: usize = 3;

/// What other programs change, or mean something by.
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

/// Every ASCII character that may be a delimiter: all but the quote, line ends and NUL, which no text holds.
fn delimiter() -> impl Strategy<Value = char> {
    let usual = prop::sample::select([',', '|', '\t', ';'].as_slice());
    let any = (1..128_u8).prop_map(char::from).prop_filter("a delimiter", |c| !['"', '\r', '\n'].contains(c));
    prop_oneof![usual, any]
}

/// Text of any Unicode but NUL, rich in what other programs change.
fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => prop::sample::select(KNOWN.as_slice()).prop_map(str::to_owned),
        2 => "[a\"',|;\\\\ \t\r\nN.0-]{0,8}",
        2 => "\\PC{0,12}",
        2 => prop::collection::vec(any::<char>().prop_filter("NUL", |c| *c != '\0'), 0..12).prop_map(String::from_iter),
        1 => (any::<char>().prop_filter("NUL", |c| *c != '\0'), 1000..9000_usize).prop_map(|(c, times)| c.to_string().repeat(times)),
    ]
}

/// A file: its delimiter, whether its lines end in CRLF, whether it begins with a byte order mark, whether
/// the last line ends, and its rows with a wish for each cell to be quoted.
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

/// Written by the letter of RFC 4180, and by nothing else that could share our mistakes.
fn written(file: &File) -> String {
    let end = if file.crlf { "\r\n" } else { "\n" };
    let mut text = String::from(if file.mark { "\u{feff}" } else { "" });
    let delimiter = file.delimiter.to_string();
    text += &["one", "two", "three"].map(|name| format!("\"{name}\"")).join(&delimiter);
    for row in &file.rows {
        text += end;
        let cells = row.iter().map(|(cell, quoted)| {
            if *quoted || cell.contains(['"', '\r', '\n', file.delimiter]) {
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
        "bucket": devstack::stack::BUCKET, "source": "client", "destination": "processed", "directory": "cells", "doc": "cells.*",
        "schema": "cmslite", "truncate": true, "delim": delimiter.to_string(),
        "files": {"cells": {"dbtable": "cells", "column_count": COLUMNS, "columns": ["one", "two", "three"], "dateformat": []}}
    });
    config.to_string()
}

async fn load(world: &World, file: &File) -> Result<(), TestCaseError> {
    let path = world.config_dir.path().join("cells.json");
    std::fs::write(&path, config(file.delimiter)).unwrap();
    let archive = samples::archive(&[Member::new("cells.csv", written(file))]).unwrap();
    world.stack.s3.empty_bucket(devstack::stack::BUCKET);
    world.admin("DELETE FROM cmslite.cells; DROP TABLE IF EXISTS cmslite.load_ledger").await;
    world
        .stack
        .s3
        .put_at(devstack::stack::BUCKET, "client/cells/cells.tgz", &archive, support::moment(1))
        .unwrap();
    let (output, _) = world.command(&["load", path.to_str().unwrap()]).await;
    prop_assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    let mut expected: Vec<Row> =
        file.rows.iter().map(|row| row.iter().map(|(cell, _)| Some(cell.clone())).collect()).collect();
    expected.sort();
    prop_assert_eq!(world.query("SELECT * FROM cmslite.cells").await, expected);
    Ok(())
}

#[test]
fn any_text_arrives_as_it_was_written() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let world = runtime.block_on(async {
        let world = Setup::default().start().await;
        world
            .admin(
                "CREATE TABLE cmslite.cells (one varchar(65535), two varchar(65535), three varchar(65535))",
            )
            .await;
        world.admin("GRANT ALL ON cmslite.cells TO cmslite_loader").await;
        Arc::new(world)
    });
    let config = Config { cases: 150, failure_persistence: None, max_shrink_iters: 500, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]));
    let result = runner.run(&file(), |file| runtime.block_on(load(&world, &file)));
    if let Err(TestError::Fail(reason, file)) = &result {
        panic!("{reason}\nin {file:#?}\nwritten as {:?}", written(file));
    }
    result.unwrap();
}
