//! Provides a table to COPY into, and the result of a COPY of one text.

use super::support::{BUCKET, KEYS, Session, Stack, stack};

/// Returns a stack with a table `t (id INT, name VARCHAR(5), day DATE)`, and a session.
pub async fn with_table() -> (Stack, Session) {
    let stack = stack().await;
    let session = stack.session().await;
    session.run("CREATE TABLE t (id INT, name VARCHAR(5), day DATE)").await;
    (stack, session)
}

pub fn copy(target: &str, key: &str, options: &str) -> String {
    format!("COPY {target} FROM 's3://{BUCKET}/{key}' {KEYS} {options}")
}

pub const FAILED: &str = "Load into table 't' failed.  Check 'stl_load_errors' system table for details.";

pub fn failed() -> (String, String) {
    ("XX000".to_owned(), FAILED.to_owned())
}

/// Loads one text into a table, and returns the table's rows.
pub async fn loaded(columns: &str, text: impl AsRef<[u8]>, options: &str) -> Vec<String> {
    let stack = stack().await;
    let session = stack.session().await;
    session.run(&format!("CREATE TABLE t ({columns})")).await;
    stack.put("file", text);
    session.run(&copy("t", "file", options)).await;
    session.rows("SELECT * FROM t").await
}

/// Loads a text that is refused, and returns the code and the column of each error.
pub async fn load_errors(columns: &str, text: impl AsRef<[u8]>, options: &str) -> Vec<String> {
    let stack = stack().await;
    let session = stack.session().await;
    session.run(&format!("CREATE TABLE t ({columns})")).await;
    stack.put("file", text);
    assert_eq!(session.refused(&copy("t", "file", options)).await, failed());
    assert_eq!(session.only_row("SELECT count(*) FROM t").await, "0");
    session.rows("SELECT err_code, TRIM(colname) FROM stl_load_errors ORDER BY line_number").await
}
