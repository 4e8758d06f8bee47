//! Tests COPY's transactions, protocols and limits.
//!
//! Each test names the document that it follows; a bare `x.md` is a page of the Amazon Redshift Database
//! Developer Guide.

use devstack::s3;

use crate::case;

use super::copy_support::{FAILED, copy, failed, with_table};
use super::support::{BUCKET, KEYS, LIMIT};

/// Between BEGIN and END, all statements are rolled back together (`copy-usage_notes-multiple-files.md`). A
/// table that the open transaction created is a target like any other.
#[tokio::test]
async fn copy_belongs_to_its_transaction() {
    let (stack, session) = with_table().await;
    stack.put("f", "1|a|\n");
    session
        .run(&format!(
            "BEGIN; CREATE TABLE made (id INT, name VARCHAR(5), day DATE); {}; {}; ROLLBACK",
            copy("made", "f", ""),
            copy("t", "f", "")
        ))
        .await;
    assert_eq!(session.only_row("SELECT count(*) FROM t").await, "0");
    session
        .run(&format!("BEGIN; DELETE FROM t; {}; {}; COMMIT", copy("t", "f", ""), copy("t", "f", "")))
        .await;
    assert_eq!(session.only_row("SELECT count(*) FROM t").await, "2");
    let other = stack.session().await;
    other.run(&format!("BEGIN; {}", copy("t", "f", ""))).await;
    drop(other);
    session.run("BEGIN; LOCK t; COMMIT").await;
    assert_eq!(session.only_row("SELECT count(*) FROM t").await, "2");
}

/// Utility commands take no bind parameters (aws/amazon-redshift-odbc-driver#31, for UNLOAD). AWS's Python
/// driver sends every statement by the extended protocol (`core.py`), so COPY without parameters also works
/// there.
#[tokio::test]
async fn copy_by_the_extended_protocol_takes_no_parameters() {
    let (stack, session) = with_table().await;
    stack.put("f", "1|a|\n");
    stack.put("bad", "x|a|\n");
    let bound = format!("COPY t FROM 's3://{BUCKET}/f' {KEYS} NULL AS $1");
    let error = session.client.execute(&bound, &[&"x"]).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "42601");
    session.run("BEGIN").await;
    session.client.execute(&copy("t", "f", ""), &[]).await.unwrap();
    assert_eq!(session.only_row("SELECT count(*) FROM t").await, "1");
    let error = session.client.execute(&copy("t", "bad", ""), &[]).await.unwrap_err();
    assert_eq!(error.as_db_error().unwrap().message(), FAILED);
    assert_eq!(session.refused("SELECT 1").await.0, "25P02");
    session.run("ROLLBACK").await;
    assert_eq!(session.client.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get::<_, i64>(0), 0);
}

/// Planning, queueing and execution count towards the limit (`r_statement_timeout.md`), and so does waiting
/// for S3.
#[tokio::test]
async fn statement_timeout_bounds_copy() {
    let (stack, session) = with_table().await;
    stack.put("f", "1|a|\n");
    for operation in ["ListObjectsV2", "GetObject"] {
        case(operation);
        // S3 never answers, so that only the limit can end the COPY.
        stack.s3.inject(s3::Fault::on(operation, "", s3::Action::Wait(s3::Gate::new())).times(1));
        session.run("BEGIN; SET statement_timeout TO 500").await;
        let refused = tokio::time::timeout(LIMIT, session.refused(&copy("t", "f", ""))).await;
        let (code, message) = refused.expect("COPY waits for ever");
        assert!(code == "57014" && message.ends_with("canceled on user's request"), "{code} {message}");
        assert_eq!(session.refused("SELECT 1").await.0, "25P02");
        session.run("ROLLBACK").await;
    }
    session.run(&copy("t", "f", "")).await;
}

/// An input row has at most 4 MB (`r_COPY.md`).
#[tokio::test]
async fn a_record_over_4_mb_is_refused() {
    let (stack, session) = with_table().await;
    stack.put("f", format!("1|{}|\n2|a|\n", "x".repeat(4 * 1024 * 1024)));
    assert_eq!(session.refused(&copy("t", "f", "")).await, failed());
    session.run(&copy("t", "f", "MAXERROR 2")).await;
    assert_eq!(session.rows("SELECT id FROM t").await, ["2"]);
}
