//! Tests that COPY also refuses what is refused for a column's type before anything is staged.

use devstack::samples::{self, Member};
use devstack::stack::BUCKET;
use serde_json::{Value, json};

use crate::harness::{Harness, moment};

const COLUMNS: [&str; 7] = ["id", "flag", "small", "whole", "large", "amount", "needed"];
const TABLE: &str = "CREATE TABLE cmslite.cells (id VARCHAR(9), flag BOOL, small SMALLINT, whole INTEGER, large BIGINT, amount NUMERIC(5,2), needed INTEGER NOT NULL)";

/// A column, a text for it, and the code of the refusal.
const REFUSED: [(&str, &str, &str); 14] = [
    ("flag", "maybe", "bad_boolean"),
    ("flag", "trust", "bad_boolean"),
    ("small", "32768", "number_out_of_range"),
    ("small", "x", "bad_number"),
    ("whole", "-2147483649", "number_out_of_range"),
    ("whole", "1,000", "bad_number"),
    ("large", "9223372036854775808", "number_out_of_range"),
    ("large", "12a", "bad_number"),
    ("amount", "1000", "number_out_of_range"),
    ("amount", "-1000.00", "number_out_of_range"),
    ("amount", "1,5", "bad_number"),
    ("amount", "abc", "bad_number"),
    ("needed", "", "null_not_allowed"),
    ("needed", "  ", "null_not_allowed"),
];

/// Texts that the same columns accept, and the values that are loaded.
const TAKEN: [(&str, &str, Option<&str>); 9] = [
    ("flag", "YES", Some("t")),
    ("flag", "", None),
    ("small", "-32768", Some("-32768")),
    ("whole", "+5", Some("5")),
    ("large", "9223372036854775807", Some("9223372036854775807")),
    ("large", " 7 ", Some("7")),
    ("amount", "999.999", Some("999.99")),
    ("amount", "", None),
    ("needed", "007", Some("7")),
];

fn config() -> String {
    let config = json!({
        "bucket": BUCKET, "source": "client", "destination": "processed", "directory": "cells", "doc": "cells.*",
        "schema": "cmslite", "truncate": false, "delim": "|",
        "files": {"cells": {"dbtable": "cells", "column_count": COLUMNS.len(), "columns": COLUMNS, "dateformat": []}}
    });
    config.to_string()
}

/// Returns an archive with a row for each text, in which the other columns have acceptable values.
fn archive<'a>(texts: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut file = COLUMNS.join("|") + "\n";
    for (row, (column, text)) in texts.enumerate() {
        let cells = COLUMNS.map(|it| match it {
            _ if it == column => text.to_owned(),
            "id" => row.to_string(),
            "needed" => "1".to_owned(),
            _ => String::new(),
        });
        file += &(cells.join("|") + "\n");
    }
    samples::archive(&[Member::new("cells.csv", file)]).unwrap()
}

struct Cells(Harness);

impl Cells {
    async fn start() -> Self {
        let harness = Harness::start().await;
        harness.admin(TABLE).await;
        harness.admin("GRANT ALL ON cmslite.cells TO cmslite_loader").await;
        std::fs::write(harness.config_dir.path().join("cells.json"), config()).unwrap();
        Self(harness)
    }

    /// Loads an archive. Returns the code, line and column of each of its problems.
    async fn load(&self, name: &str, archive: &[u8], seconds: i64) -> Vec<Value> {
        let key = format!("client/cells/cells_{name}.tgz");
        self.0.stack.s3.put_at(BUCKET, &key, archive, moment(seconds)).unwrap();
        let config = self.0.config_dir.path().join("cells.json");
        let (output, _) = self.0.command(&["load", config.to_str().unwrap()]).await;
        let told = String::from_utf8_lossy(&output.stdout);
        let Some(error) = self.0.stack.s3.read(BUCKET, &format!("processed/bad/{key}.error.json")) else {
            assert_eq!(output.status.code(), Some(0), "{told}");
            return Vec::new();
        };
        assert_eq!(output.status.code(), Some(1), "{told}");
        let error: Value = serde_json::from_slice(&error).unwrap();
        let problems = error["problems"].as_array().unwrap().iter();
        problems.map(|problem| json!([problem["code"], problem["line"], problem["column"]])).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_certain_is_told_at_once_and_the_rest_is_left_to_copy() {
    let cells = Cells::start().await;
    let found =
        cells.load("refused", &archive(REFUSED.iter().map(|(column, text, _)| (*column, *text))), 1).await;
    let expected: Vec<Value> =
        (2..).zip(REFUSED).map(|(line, (column, _, code))| json!([code, line, column])).collect();
    assert_eq!(found, expected);
    assert!(!cells.0.sessions().iter().flatten().any(|sql| sql.starts_with("COPY")));

    let found =
        cells.load("taken", &archive(TAKEN.iter().map(|(column, text, _)| (*column, *text))), 2).await;
    assert_eq!(found, [Value::Null; 0]);
    for (row, (column, text, expected)) in TAKEN.iter().enumerate() {
        let arrived = cells.0.query(&format!("SELECT {column} FROM cmslite.cells WHERE id = '{row}'")).await;
        assert_eq!(arrived, [[expected.map(str::to_owned)]], "{column}: {text:?}");
    }

    let found = cells.load("doubtful", &archive([("flag", "on")].into_iter()), 3).await;
    assert_eq!(found, [json!(["refused_by_redshift", 2, "flag"])]);
}

/// If the columns are not known, COPY refuses the same values.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_certain_copy_refuses_as_well() {
    let cells = Cells::start().await;
    // The stand-in prepares a database as Redshift's at the first login.
    assert_eq!(cells.load("taken", &archive([("flag", "t")].into_iter()), 0).await, [Value::Null; 0]);
    cells.0.admin("REVOKE SELECT ON pg_catalog.svv_columns FROM PUBLIC").await;
    for (seconds, (column, text, _)) in (1..).zip(REFUSED) {
        let name = seconds.to_string();
        let found = cells.load(&name, &archive([(column, text)].into_iter()), seconds).await;
        assert_eq!(found, [json!(["refused_by_redshift", 2, column])], "{column}: {text:?}");
    }
}
