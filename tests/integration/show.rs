//! Tests `show`, which shows all that is known of one archive.

use devstack::stack::BUCKET;
use serde_json::{Value, json};

use crate::harness::{Harness, bad_key, key, moment, sample, sample_with};
use crate::json::is_valid;

/// Runs `show` for an archive. Returns the exit status, standard output and standard error.
async fn show(harness: &Harness, asked: &str, options: &[&str]) -> (Option<i32>, String, String) {
    let config = harness.config_file();
    let arguments = [&["show", config.to_str().unwrap(), asked], options].concat();
    let (output, _directory) = harness.command(&arguments).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

async fn document(harness: &Harness, asked: &str) -> Value {
    let (status, told, errors) = show(harness, asked, &["--json"]).await;
    assert_eq!(status, Some(0), "{errors}");
    let document = serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"));
    is_valid("show", &document);
    document
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_has_what_belongs_to_it() {
    let harness = Harness::start().await;
    harness.put("old", &sample(1, 3), 1);
    Harness::report(harness.invoke(&harness.put("a", &sample(2, 5), 2)).await);
    Harness::report(harness.invoke(&harness.put("b", &sample(3, 7), 3)).await);
    let bad = sample_with("analytics_group.csv", "id,name,active,site_key\n1,x\n");
    Harness::report(harness.invoke(&harness.put("c", &bad, 4)).await);
    harness.put("d", &sample(4, 9), 5);
    harness.stack.s3.put_at(BUCKET, &format!("{}.md5", key("d")), b"x", moment(5)).unwrap();
    harness.stack.s3.put_at(BUCKET, &key("e"), b"x", moment(6)).unwrap();

    let (status, told, errors) = show(&harness, &key("b"), &[]).await;
    assert_eq!((status, &*errors), (Some(0), ""), "{told}");
    for line in [
        "client/cmslite_gdx/cms-analytics-csv_b.tgz (s3://",
        "\n  State: good, settled 20",
        "\n  Revision: ",
        "\n  Loaded: 20",
        ", 28 rows; the tables hold it\n    cmslite.cms_group: 7 rows\n    cmslite.user_activity: 7 rows\n    cmslite.user_group: 7 rows\n    cmslite.user_status: 7 rows\n",
        "\n  SHA-256: ",
    ] {
        assert!(told.contains(line), "{line:?} is not in {told}");
    }
    let (_, told, _) = show(&harness, &key("a"), &[]).await;
    assert!(
        told.contains(", 20 rows; the tables hold another archive now\n    cmslite.cms_group: 5 rows\n"),
        "{told}"
    );
    let (_, told, _) = show(&harness, &key("c"), &[]).await;
    assert!(
        told.contains("  State: bad, settled 20") && told.contains("  Loaded: no, according to the ledger\n  Problems:\n    \
                                                                    analytics_group.csv, line 2: the row has 2 of 4 columns"),
        "{told}"
    );
    let (_, told, _) = show(&harness, &key("d"), &[]).await;
    assert!(told.contains("  State: superseded by a newer archive, never loaded\n"), "{told}");
    let (_, told, _) = show(&harness, &key("e"), &[]).await;
    assert!(told.contains("  State: waiting to be loaded\n"), "{told}");
    let (_, told, _) = show(&harness, &format!("{}.md5", key("d")), &[]).await;
    assert!(told.contains("  State: passed over, not an archive by its name: a checksum\n"), "{told}");

    let shown = document(&harness, "cms-analytics-csv_c.tgz").await;
    assert_eq!(shown["key"], json!(key("c")));
    assert_eq!(
        (&shown["state"], &shown["is_held"], &shown["load"]),
        (&json!("bad"), &json!(false), &json!(null))
    );
    assert_eq!(shown["error_file"]["problems"][0]["code"], json!("too_few_columns"));
    assert_eq!(shown["revision"]["size_bytes"], json!(bad.len()));
    assert_eq!(shown["disagreements"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_a_history_of_loads() {
    let harness = Harness::builder().appending().start().await;
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    let first = document(&harness, &key("a")).await;
    Harness::report(harness.invoke(&harness.put("a", &sample(2, 6), 2)).await);
    let second = document(&harness, &key("a")).await;
    assert_eq!(second["load"]["rows"], json!(24));
    assert_eq!(second["other_loads"], json!([first["load"]]));
    assert_eq!(second["tables"][0], json!({"table": "cmslite.cms_group", "rows": 6}));
    assert_eq!(second["is_held"], json!(null));
    // A person sees only a part of a long history.
    let again = "INSERT INTO cmslite.load_ledger SELECT l.* FROM cmslite.load_ledger l, generate_series(1, 30) WHERE l.row_count = 20";
    harness.admin(again).await;
    let (_, told, _) = show(&harness, &key("a"), &[]).await;
    assert_eq!(told.matches("  Also loaded: revision ").count(), 10, "{told}");
    assert!(told.contains("  Also loaded: 21 more times (--json has them all)\n"), "{told}");
    // An archive that is no longer in the source is still known.
    harness.stack.s3.empty_bucket(BUCKET);
    let gone = document(&harness, &key("a")).await;
    assert_eq!((&gone["state"], &gone["revision"]), (&json!("gone"), &json!(null)));
    assert_eq!((&gone["load"], &gone["tables"]), (&second["load"], &second["tables"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_markers_and_ledger_disagree_about_is_said() {
    let harness = Harness::start().await;
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    harness.stack.s3.put_at(BUCKET, &bad_key("a"), b"x", moment(50)).unwrap();
    let shown = document(&harness, &key("a")).await;
    assert_eq!(shown["disagreements"], json!(["two_markers", "bad_without_reason"]), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_archive_is_told_with_the_one_that_may_be_meant() {
    let harness = Harness::start().await;
    harness.put("2024-03-01", &sample(1, 5), 1);
    let (status, told, errors) = show(&harness, "cms-analytic-csv_2024-03-01.tgz", &[]).await;
    assert_eq!((status, &*told), (Some(2), ""), "{errors}");
    assert!(errors.starts_with("error: the dataset has no archive cms-analytic-csv_2024-03-01.tgz, nor client/cmslite_gdx/cms-analytic-csv_2024-03-01.tgz\n"), "{errors}");
    assert!(errors.contains(&format!("what to do: did you mean {}?\n", key("2024-03-01"))), "{errors}");
    let (_, _, errors) = show(&harness, "\u{1b}[2Jzzz", &[]).await;
    assert!(
        errors.contains("\\u{1b}[2Jzzz") && errors.contains("what to do: look for it in `status --all`"),
        "{errors}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_cannot_be_read_leaves_what_s3_has() {
    let harness = Harness::builder().env("pgpass", "wrong").start().await;
    harness.put("a", &sample(1, 5), 1);
    let (status, told, _) = show(&harness, &key("a"), &[]).await;
    assert_eq!(status, Some(3), "{told}");
    assert!(
        told.contains("  State: waiting to be loaded\n")
            && told.contains("  Loaded: the ledger cannot be read: "),
        "{told}"
    );
    let (status, told, _) = show(&harness, &key("a"), &["--json"]).await;
    let json: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((status, &json["state"]), (Some(3), &"waiting".into()));
    assert_eq!(json["error"]["type"], "Deployment.LoginRefused");
    // The ledger may have an archive that S3 does not.
    let (status, _, errors) = show(&harness, &key("gone"), &[]).await;
    assert_eq!(status, Some(3), "{errors}");
    assert!(errors.starts_with("error[Deployment.LoginRefused]: "), "{errors}");
}
