//! Tests repeated bytes: under the same key they are loaded once, under another with a warning or not at all.

use devstack::lambda::Outcome;
use devstack::stack::BUCKET;
use serde_json::{Value, json};

use crate::command_line::again;
use crate::harness::{
    Harness, HarnessBuilder, cases, expected, good_key, key, members, moment, sample, skipping,
};

/// Uploads an archive in parts.
fn put_in_parts(harness: &Harness, name: &str, archive: &[u8], seconds: i64) -> String {
    let (one, two) = archive.split_at(archive.len() / 2);
    harness.stack.s3.put_multipart_at(BUCKET, &key(name), &[one, two], moment(seconds)).unwrap();
    key(name)
}

async fn status(harness: &Harness) -> (String, Value) {
    let config = harness.config_file();
    let status = ["status", config.to_str().unwrap()];
    let (text, _) = harness.command(&status).await;
    let (json, _) = harness.command(&[status.as_slice(), &["--json"]].concat()).await;
    (String::from_utf8(text.stdout).unwrap(), serde_json::from_slice(&json.stdout).unwrap())
}

async fn load(harness: &Harness) -> (Option<i32>, String) {
    let config = harness.config_file();
    let (output, _) = harness.command(&["load", config.to_str().unwrap()]).await;
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// The digest in the ledger is that of the archive's bytes, however they were uploaded.
#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_has_the_sha256_of_the_bytes() {
    let harness = Harness::builder().appending().start().await;
    let (a, b) = (sample(1, 5), sample(2, 50));
    Harness::report(harness.invoke(&harness.put("a", &a, 1)).await);
    Harness::report(harness.invoke(&put_in_parts(&harness, "b", &b, 2)).await);
    // PostgreSQL's own digest.
    let mut rows = Vec::new();
    for (name, bytes) in [("a", a), ("b", b)] {
        let bytes = bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        let digest = format!("SELECT encode(sha256('\\x{bytes}'), 'hex')");
        rows.push(vec![Some(key(name)), harness.query(&digest).await.remove(0).remove(0)]);
    }
    assert_eq!(harness.query("SELECT key, sha256 FROM cmslite.load_ledger").await, rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_under_the_same_key_are_loaded_once_and_on_purpose_again() {
    let harness = Harness::builder().appending().start().await;
    let first = Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    assert_eq!(first["good"][0]["loaded_before"], Value::Null);
    // In parts, so that its ETag is another, and later.
    let a = put_in_parts(&harness, "a", &sample(1, 5), 9_000);
    let report = Harness::report(harness.invoke(&a).await);
    let good = &report["good"][0];
    assert_eq!((&good["outcome"], &good["rows"]), (&json!("already_loaded"), &json!(0)), "{report}");
    assert_eq!(
        (&good["loaded_before"]["key"], &good["loaded_before"]["etag"]),
        (&json!(a), &first["good"][0]["etag"])
    );
    assert!(good["etag"].as_str().unwrap().ends_with("-2") && good["loaded_before"]["loaded_at"].is_string());
    assert_eq!(harness.rows("user_status").await.len(), 5);
    assert_eq!(harness.ledger().await, [key("a")]);
    assert!(harness.is_good("a"));
    // It is settled, and nobody is told that something is wrong.
    let (told, json) = status(&harness).await;
    assert!(told.contains("Markers and ledger agree."), "{told}");
    assert!(told.contains(&format!("{a} (not loaded, the same bytes as {a}, loaded ")), "{told}");
    assert_eq!((&json["disagreements_count"], &json["queue_count"]), (&json!(0), &json!(0)));

    // For a person.
    let parts = sample(1, 5);
    let (one, two) = parts.split_at(parts.len() / 3);
    harness.stack.s3.put_multipart_at(BUCKET, &a, &[one, two], chrono::Utc::now()).unwrap();
    let (code, told) = load(&harness).await;
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains(&format!("{a}: already loaded, the same bytes at ")), "{told}");
    // On purpose; other bytes under this key are another matter.
    assert_eq!(again(&harness, "a").await.0, Some(0));
    assert_eq!(harness.rows("user_status").await.len(), 10);
    Harness::report(harness.invoke(&harness.put("a", &sample(2, 7), 9_900)).await);
    assert_eq!(harness.rows("user_status").await.len(), 17);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_under_another_key_are_loaded_with_a_warning() {
    let harness = Harness::builder().appending().start().await;
    let a = harness.put("a", &sample(1, 5), 1);
    Harness::report(harness.invoke(&a).await);
    let b = put_in_parts(&harness, "b", &sample(1, 5), 2);
    let report = Harness::report(harness.invoke(&b).await);
    let good = &report["good"][0];
    assert_eq!((&good["outcome"], &good["loaded_before"]["key"]), (&json!("loaded"), &json!(a)), "{report}");
    assert_eq!(harness.rows("user_status").await.len(), 10);
    let log = harness.log().await;
    let warned = log.lines().filter(|line| line.contains("\"WARN\"") && line.contains("same_bytes_as"));
    let warned: Vec<&str> = warned.collect();
    assert!(warned.len() == 1 && warned[0].contains(&a) && warned[0].contains(&b), "{warned:?}");
    let (told, json) = status(&harness).await;
    assert!(
        told.contains(&format!(
            "WARNING: loaded under two keys:\n    {b} has the same bytes as {a}, loaded "
        )),
        "{told}"
    );
    let same: Vec<&Value> =
        json["good"].as_array().unwrap().iter().map(|good| &good["same_bytes_as"]["key"]).collect();
    assert_eq!(same, [&Value::Null, &json!(a)]);

    // For a person, and where the answer to COMMIT is lost.
    harness.put("c", &sample(1, 5), 3);
    harness
        .stack
        .redshift
        .inject(devstack::redshift::Fault::on("COMMIT", devstack::redshift::Action::CutAfter).times(1));
    let c = harness.invoke(&key("c")).await;
    assert_eq!(Harness::report(c)["good"][0]["loaded_before"]["key"], json!(b));
    harness.put("d", &sample(1, 5), 4);
    let (_, told) = load(&harness).await;
    let warning = "WARNING: the same bytes were loaded before under another key, and are now loaded twice:\n";
    assert!(told.contains(&format!("{warning}    {}: as {}, loaded ", key("d"), key("c"))), "{told}");
    assert_eq!(harness.rows("user_status").await.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_under_another_key_are_not_loaded_where_the_configuration_skips_them() {
    let harness = Harness::builder().config(skipping()).start().await;
    let a = harness.put("a", &sample(1, 5), 1);
    Harness::report(harness.invoke(&a).await);
    let b = harness.put("b", &sample(1, 5), 2);
    let report = Harness::report(harness.invoke(&b).await);
    let good = &report["good"][0];
    assert_eq!(
        (&good["outcome"], &good["loaded_before"]["key"]),
        (&json!("repeated"), &json!(a)),
        "{report}"
    );
    assert_eq!((&report["objects_good"], &report["rows"]), (&json!(1), &json!(0)));
    assert!(harness.is_good("b") && harness.rows("user_status").await.len() == 5);
    assert_eq!(harness.stack.s3.read(BUCKET, &good_key("b")).unwrap(), sample(1, 5));
    let (told, _) = status(&harness).await;
    assert!(told.contains(&format!("{b} (not loaded, the same bytes as {a}, loaded ")), "{told}");
    assert!(told.contains("Markers and ledger agree."), "{told}");
    // What follows it is loaded, and for a person.
    harness.put("c", &sample(2, 6), 3);
    harness.put("d", &sample(1, 5), 4);
    let (code, told) = load(&harness).await;
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains(&format!("{}: not loaded, the same bytes were loaded at ", key("d"))), "{told}");
    assert!(told.contains(&format!(" as {a}\n")), "{told}");
    assert_eq!(harness.ledger().await, [key("a"), key("c")]);
    // On purpose it is loaded.
    assert_eq!(again(&harness, "b").await.0, Some(0));
    assert_eq!(harness.ledger().await, [key("a"), key("c"), key("b")]);
}

/// Under truncate only what the tables hold counts: an older file that is uploaded again is the newest upload.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_file_that_is_uploaded_again_replaces_newer_rows() {
    let harness = Harness::start().await;
    // Markers are older than what is uploaded after them.
    harness.stack.s3.set_time(Some(moment(100)));
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    Harness::report(harness.invoke(&harness.put("b", &sample(2, 6), 2)).await);
    // The same key, bytes and ETag.
    let a = harness.put("a", &sample(1, 5), 9_000);
    let report = Harness::report(harness.invoke(&a).await);
    assert_eq!(report["good"][0]["outcome"], json!("loaded"), "{report}");
    assert_eq!(harness.tables().await, expected(&members(1, 5)));
    // The same bytes under another key replace themselves, which is nothing to warn of.
    let report = Harness::report(harness.invoke(&harness.put("c", &sample(1, 5), 9_100)).await);
    assert_eq!(report["good"][0]["loaded_before"], Value::Null);
    assert_eq!(harness.ledger().await, ["a", "b", "a", "c"].map(key));
    let (told, _) = status(&harness).await;
    assert!(!told.contains("WARNING"), "{told}");
}

/// A ledger of an earlier version, with a load in it: what earlier versions made.
async fn with_an_older_ledger(builder: HarnessBuilder) -> Harness {
    let harness = builder.start().await;
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    harness
        .admin("ALTER TABLE cmslite.load_ledger DROP COLUMN sha256; DROP TABLE cmslite.load_ledger_lock")
        .await;
    harness
}

const ADD: &str = r#"ALTER TABLE "cmslite"."load_ledger" ADD COLUMN sha256 VARCHAR(64) ENCODE ZSTD"#;

async fn is_upgraded(builder: HarnessBuilder) {
    let harness = with_an_older_ledger(builder).await;
    let before = harness.keys();
    let b = harness.put("b", &sample(2, 6), 2);
    let Outcome::Failed { error_type, message } = harness.invoke(&b).await else { panic!("it loaded") };
    assert_eq!(error_type, "Deployment.SchemaMismatch", "{message}");
    assert!(message.contains("is of an earlier version") && message.contains(ADD), "{message}");
    // Nothing was staged, and what is loaded is told.
    let staged = harness.keys().into_iter().filter(|key| !before.contains(key) && *key != b);
    assert_eq!(staged.collect::<Vec<String>>(), [""; 0]);
    let (told, _) = status(&harness).await;
    assert!(told.contains("Queue 1, superseded 0, bad 0, good 1; 1 load in the ledger"), "{told}");
    let config = harness.config_file();
    let check = ["check", config.to_str().unwrap()];
    let (output, _) = harness.command(&check).await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(told.contains("BAD   ledger cmslite.load_ledger: it is of an earlier version"), "{told}");
    assert!(told.contains(ADD), "{told}");

    // The script, through the stand-in as its owner runs it.
    let owner = harness.stack.client("postgres", devstack::stack::SUPERUSER_PASSWORD).await.unwrap();
    let script = include_str!("../../ddl/upgrade-ledger.sql");
    owner.batch_execute(script).await.unwrap();
    assert!(owner.batch_execute(script).await.is_err());
    let (output, _) = harness.command(&check).await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("created by the next load: cmslite.load_ledger_lock"), "{told}");
    Harness::report(harness.invoke(&b).await);
    let rows = "SELECT key, sha256 IS NULL FROM cmslite.load_ledger";
    let row = |name: &str, is_null: &str| vec![Some(key(name)), Some(is_null.to_owned())];
    assert_eq!(harness.query(rows).await, [row("a", "t"), row("b", "f")]);
    // Of loads before nobody knows the bytes: what is known of them is their revision.
    assert_eq!(again(&harness, "b").await.0, Some(0));
}

cases! {
    async a_ledger_of_an_earlier_version_stops_loads_until_it_is_upgraded: is_upgraded {
        where_rows_are_replaced(Harness::builder());
        where_rows_are_added(Harness::builder().appending());
    }
}

/// The column is missed before anything is staged also where the user sees no columns.
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_an_earlier_version_is_met_where_its_columns_are_hidden() {
    let harness = with_an_older_ledger(Harness::builder()).await;
    harness.admin("REVOKE SELECT ON pg_catalog.svv_columns FROM PUBLIC").await;
    let before = harness.keys().len();
    let Outcome::Failed { error_type, message } = harness.invoke(&harness.put("b", &sample(2, 6), 2)).await
    else {
        panic!("it loaded")
    };
    assert_eq!(error_type, "Deployment.SchemaMismatch", "{message}");
    assert!(message.contains("sha256"), "{message}");
    assert_eq!(harness.keys().len(), before + 1);
}

/// What docs/faq.md says of settled archives that were moved away: markers and ledger remember them.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_has_left_the_source_is_remembered() {
    let harness = Harness::builder().appending().start().await;
    harness.stack.s3.set_time(Some(moment(100)));
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    // Only the marker is left.
    harness.stack.s3.empty_bucket(BUCKET);
    harness.stack.s3.put_at(BUCKET, &good_key("a"), &sample(1, 5), moment(100)).unwrap();
    let report = Harness::report(harness.sweep().await);
    assert_eq!((&report["objects_found"], &report["objects_processed"]), (&json!(0), &json!(0)));
    let (told, shown) = status(&harness).await;
    assert!(told.contains("Markers and ledger agree."), "{told}");
    assert_eq!((&shown["good_count"], &shown["ledger_rows"]), (&json!(0), &json!(1)));
    // The same bytes under another key are loaded with a warning, and under this one not.
    let report = Harness::report(harness.invoke(&harness.put("b", &sample(1, 5), 8_000)).await);
    assert_eq!(report["good"][0]["loaded_before"]["key"], json!(key("a")), "{report}");
    let report = Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 9_000)).await);
    assert_eq!(report["good"][0]["outcome"], json!("already_loaded"), "{report}");
    assert_eq!(harness.ledger().await, ["a", "b"].map(key));
}
