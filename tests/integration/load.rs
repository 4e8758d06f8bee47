//! Tests one load: its staged files, its only transaction, its report.

use devstack::stack::{BUCKET, COPY_ROLE};
use serde_json::{Value, json};

use crate::harness::{Harness, cases, good_key, sample, sample_with};

#[tokio::test(flavor = "multi_thread")]
async fn the_report_says_what_was_done() {
    let harness = Harness::start().await;
    let key = harness.put("a", &sample(1, 10), 1);
    let report = Harness::report(harness.invoke(&key).await);
    let number = |name: &str| report[name].as_u64().unwrap();
    assert_eq!(
        [
            "objects_found",
            "objects_processed",
            "objects_good",
            "objects_bad",
            "objects_failed",
            "tables_loaded",
            "rows"
        ]
        .map(number),
        [1, 1, 1, 0, 0, 4, 40]
    );
    assert_eq!(
        report["good"][0],
        json!({"key": key, "etag": report["good"][0]["etag"], "outcome": "loaded", "rows": 10 * 4, "loaded_before": null})
    );
    assert_eq!(
        report["loaded_tables"][0],
        json!({"table": "cmslite.cms_group", "key": key, "rows": 10, "empty_rows": 0, "dropped_columns": {"count": 0, "names": []}})
    );
    assert_eq!(report["failure"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_names_what_was_left_out_of_a_file() {
    let harness = Harness::start().await;
    let text = "id,name,active,site_key,note,owner\n,,,,,\n7,Parks,true,x,n,o\n,,,,,\n";
    let archive = harness.put("a", &sample_with("analytics_group.csv", text), 1);
    let report = Harness::report(harness.invoke(&archive).await);
    assert_eq!(
        report["loaded_tables"][0],
        json!({
            "table": "cmslite.cms_group", "key": archive, "rows": 1, "empty_rows": 2,
            "dropped_columns": {"count": 2, "names": ["note", "owner"]}
        })
    );
    assert_eq!(harness.rows("cms_group").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn staged_files_and_manifests_lie_under_the_revision_and_apart_for_each_reading() {
    let harness = Harness::start().await;
    let key = harness.put("a", &sample(1, 1), 1);
    Harness::report(harness.invoke(&key).await);
    let etag = harness.stack.s3.objects(BUCKET).into_iter().find(|object| object.key == key).unwrap().etag
        [..8]
        .to_owned();
    let batch: Vec<String> =
        harness.keys().into_iter().filter(|key| key.starts_with("processed/batch/")).collect();
    let stem = format!("processed/batch/client/cmslite_gdx/cms-analytics-csv_a/{etag}");
    assert_eq!(batch.len(), 8);
    let (reading, _) = batch[0].strip_prefix(&format!("{stem}-")).unwrap().split_once('/').unwrap();
    for name in ["analytics_group.00001.csv", "analytics_group.manifest"] {
        assert!(batch.contains(&format!("{stem}-{reading}/{name}")), "{batch:?}");
    }
    let config = harness.config_file();
    let (output, _) = harness.command(&["load", config.to_str().unwrap(), "--again", &key]).await;
    assert!(output.status.success(), "{output:?}");
    let again = harness.keys().into_iter().filter(|key| key.starts_with(&format!("{stem}-"))).count();
    assert_eq!(again, 16);
    let copied = harness.stack.s3.read(BUCKET, &good_key("a")).unwrap();
    assert_eq!(copied, harness.stack.s3.read(BUCKET, &key).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_is_one_transaction_that_never_truncates_and_leaves_grants_and_views_alone() {
    let harness = Harness::start().await;
    harness.admin("CREATE ROLE reader_of_tables; GRANT USAGE ON SCHEMA cmslite TO reader_of_tables; GRANT SELECT ON cmslite.user_group TO reader_of_tables; CREATE VIEW cmslite.groups AS SELECT name FROM cmslite.cms_group").await;
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    harness.stack.redshift.clear_statements();
    Harness::report(harness.invoke(&harness.put("b", &sample(2, 6), 2)).await);

    let sessions = harness.sessions();
    let load = sessions.iter().find(|session| session.contains(&"BEGIN".to_owned())).unwrap();
    let words = |statement: &String| statement.split_whitespace().next().unwrap().to_owned();
    let shape: Vec<String> = load.iter().map(words).filter(|word| word != "SET").collect();
    let table = ["DELETE", "COPY", "SELECT"];
    let tables = [table; 4].concat();
    let wanted =
        [["BEGIN", "LOCK", "SELECT", "SELECT"].as_slice(), &tables, &["INSERT", "INSERT", "COMMIT"]].concat();
    assert_eq!(shape, wanted);
    for statement in sessions.concat() {
        let statement = statement.to_uppercase();
        assert!(
            !["TRUNCATE", "RENAME", "ALTER", "DROP", "$1"].iter().any(|word| statement.contains(word)),
            "{statement}"
        );
    }
    assert_eq!(harness.query("SELECT * FROM cmslite.groups").await.len(), 6);
    let granted =
        harness.query("SELECT has_table_privilege('reader_of_tables', 'cmslite.user_group', 'SELECT')").await;
    assert_eq!(granted, [[Some("t".to_owned())]]);
    harness.admin("DROP OWNED BY reader_of_tables; DROP ROLE reader_of_tables").await;
}

/// No connection is open between the ledger's answer and the transaction.
#[tokio::test(flavor = "multi_thread")]
async fn no_session_is_open_while_staging() {
    let harness = Harness::start().await;
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    assert_eq!(harness.sessions().len(), 2);
}

async fn is_taken(role: &str) {
    let harness = Harness::builder().env("COPY_IAM_ROLE", role).start().await;
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    let copies: Vec<String> =
        harness.sessions().concat().into_iter().filter(|statement| statement.starts_with("COPY")).collect();
    assert!(
        copies.len() == 4
            && copies.iter().all(|copy| copy.contains("IAM_ROLE") && !copy.contains("ACCESS_KEY")),
        "{copies:?}"
    );
}

cases! {
    async copy_takes_a_role_where_one_is_configured: is_taken {
        by_its_name(COPY_ROLE);
        by_default("default");
    }
}
