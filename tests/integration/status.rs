//! Tests `status`: the queue, what is settled and how, and where markers and ledger disagree.

use devstack::stack::BUCKET;
use serde_json::{Value, json};

use crate::harness::{Harness, bad_key, good_key, key, moment, sample, sample_with};

async fn text(harness: &Harness) -> (Option<i32>, String) {
    let (output, _) = harness.command(&["status", harness.config_file().to_str().unwrap()]).await;
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

async fn status(harness: &Harness) -> Value {
    let (output, _) = harness.command(&["status", harness.config_file().to_str().unwrap(), "--json"]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

async fn disagreements(harness: &Harness) -> Vec<(String, String)> {
    let name = |value: &Value| {
        value["key"].as_str().unwrap().rsplit_once('_').unwrap().1.trim_end_matches(".tgz").to_owned()
    };
    let status = status(harness).await;
    let found = status["disagreements"].as_array().unwrap().iter();
    found.map(|found| (name(found), found["kind"].as_str().unwrap().to_owned())).collect()
}

#[track_caller]
fn is(found: &[(String, String)], expected: &[(&str, &str)]) {
    let found: Vec<(&str, &str)> = found.iter().map(|(name, kind)| (name.as_str(), kind.as_str())).collect();
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_shows_the_queue_and_what_is_settled_and_why() {
    let harness = Harness::builder().appending().start().await;
    let (code, before) = text(&harness).await;
    assert_eq!(code, Some(0));
    assert!(
        before.contains("Queue 0, superseded 0, bad 0, good 0; no ledger yet, the first load creates it"),
        "{before}"
    );

    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    Harness::report(
        harness
            .invoke(&harness.put(
                "b",
                &sample_with("analytics_group.csv", "id,name,active,site_key\n1,x\n"),
                2,
            ))
            .await,
    );
    harness.put("c", &sample(2, 5), 3);
    let (code, told) = text(&harness).await;
    assert_eq!(code, Some(0));
    for line in [
        "Queue 1, superseded 0, bad 1, good 1; 1 load in the ledger",
        "Queue, oldest first:\n    client/cmslite_gdx/cms-analytics-csv_c.tgz (uploaded ",
        "Bad:\n    client/cmslite_gdx/cms-analytics-csv_b.tgz (settled ",
        "\n      analytics_group.csv, line 2: the row has 2 of 4 columns",
        "Good:\n    client/cmslite_gdx/cms-analytics-csv_a.tgz (20 rows, loaded ",
        "Markers and ledger agree.",
    ] {
        assert!(told.contains(line), "{line:?} is not in {told}");
    }
    let json = status(&harness).await;
    assert_eq!(json["bad"][0]["error"]["problems"][0]["code"], json!("too_few_columns"));
    assert_eq!(
        (&json["version"], &json["ledger_rows"], &json["tables_hold"]),
        (&json!(1), &json!(1), &json!(null))
    );
    assert_eq!(json["queue"][0]["key"], json!(key("c")));
    assert_eq!(
        harness.keys().len(),
        harness.keys().iter().filter(|key| !key.ends_with("c.tgz") || key.starts_with("client/")).count()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn under_truncate_it_says_what_the_tables_hold_and_what_is_superseded() {
    let harness = Harness::start().await;
    harness.put("a", &sample(1, 5), 1);
    Harness::report(harness.invoke(&harness.put("b", &sample(2, 5), 2)).await);
    let (_, told) = text(&harness).await;
    assert!(
        told.contains("The tables hold client/cmslite_gdx/cms-analytics-csv_b.tgz (20 rows, loaded "),
        "{told}"
    );
    assert!(
        told.contains(
            "Superseded by a newer archive, never loaded:\n    client/cmslite_gdx/cms-analytics-csv_a.tgz"
        ),
        "{told}"
    );
    is(&disagreements(&harness).await, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_finds_where_markers_and_ledger_disagree() {
    let harness = Harness::builder().appending().start().await;
    // The script set this marker before the ledger existed, so it is not a disagreement.
    harness.stack.s3.set_time(Some(moment(1)));
    for key in [key("0"), good_key("0")] {
        harness.stack.s3.put_at(BUCKET, &key, &sample(1, 5), moment(1)).unwrap();
    }
    harness.stack.s3.set_time(None);
    for (n, name) in ["a", "b", "c", "d"].iter().enumerate() {
        Harness::report(harness.invoke(&harness.put(name, &sample(n as u64 + 1, 5), n as i64 + 1)).await);
    }
    Harness::report(harness.invoke(&harness.put("e", b"no archive", 9)).await);
    Harness::report(harness.invoke(&harness.put("f", b"no archive either", 10)).await);
    is(&disagreements(&harness).await, &[]);

    let delete = async |key: &str| {
        let s3 = &harness.stack.s3;
        let kept: Vec<_> = s3.objects(BUCKET).into_iter().filter(|object| object.key != key).collect();
        let bytes: Vec<_> = kept.iter().map(|object| s3.read(BUCKET, &object.key).unwrap()).collect();
        s3.empty_bucket(BUCKET);
        for (object, bytes) in kept.iter().zip(bytes) {
            s3.put_at(BUCKET, &object.key, &bytes, object.last_modified).unwrap();
        }
    };
    delete(&good_key("a")).await;
    harness.admin(&format!("DELETE FROM cmslite.load_ledger WHERE key = '{}'", key("b"))).await;
    harness.stack.s3.put_at(BUCKET, &bad_key("c"), &sample(3, 5), chrono::Utc::now()).unwrap();
    delete(&format!("{}.error.json", bad_key("e"))).await;
    delete(&bad_key("f")).await;
    is(
        &disagreements(&harness).await,
        &[
            ("c", "two_markers"),
            ("c", "bad_without_reason"),
            ("e", "bad_without_reason"),
            ("f", "reason_without_marker"),
            ("a", "loaded_not_marked"),
            ("b", "marked_not_loaded"),
            ("c", "loaded_marked_bad"),
        ],
    );
    let (_, told) = text(&harness).await;
    assert!(
        told.contains("csv_a.tgz is loaded according to the ledger, but not marked: the next run marks it"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_finds_tables_that_hold_another_archive_than_the_newest() {
    let harness = Harness::start().await;
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    Harness::report(harness.invoke(&harness.put("b", &sample(2, 5), 2)).await);
    harness.admin("UPDATE cmslite.load_ledger SET sequence = 3 - sequence").await;
    is(&disagreements(&harness).await, &[("b", "tables_hold_another")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_told_without_redshift_is_told() {
    let harness = Harness::builder().env("pgpass", "wrong").start().await;
    harness.put("a", &sample(1, 5), 1);
    let (code, told) = text(&harness).await;
    assert_eq!(code, Some(3));
    assert!(
        told.contains("Queue 1")
            && told.contains("the ledger cannot be read: ")
            && told.contains("refused the login"),
        "{told}"
    );
    let config = harness.config_file();
    let (output, _) = harness.command(&["status", config.to_str().unwrap()]).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("error[Deployment.LoginRefused]: the ledger cannot be read: "), "{told}");
    let (output, _) = harness.command(&["status", config.to_str().unwrap(), "--json"]).await;
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&json["queue_count"], &json["error"]["type"]),
        (&json!(1), &json!("Deployment.LoginRefused"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_names_what_is_passed_over_and_cuts_the_list() {
    let harness = Harness::start().await;
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    let (_, told) = text(&harness).await;
    assert!(!told.contains("Passed over"), "{told}");
    let sidecar = |n: usize| format!("{}.{n:08x}.partial", key("a"));
    let s3 = &harness.stack.s3;
    s3.put_all_at(BUCKET, (0..1200).map(sidecar), b"x", moment(2)).unwrap();
    s3.put_at(BUCKET, &format!("{}\u{202e}.sig", key("z")), b"x", moment(2)).unwrap();

    let (code, told) = text(&harness).await;
    assert_eq!(code, Some(0));
    assert!(told.contains("Queue 0, superseded 0, bad 0, good 1; "), "{told}");
    let shown = told
        .split_once(
            "  Passed over, not archives by their names, the last 10 of 1201 (--all shows them all):\n",
        )
        .unwrap_or_else(|| panic!("{told}"));
    let shown: Vec<&str> = shown.1.lines().take_while(|line| line.starts_with("    ")).collect();
    assert_eq!(shown.len(), 10, "{told}");
    assert_eq!(shown[8], format!("    {} (an unfinished upload)", sidecar(1199)));
    // A name chosen by a stranger is escaped before it is printed on a terminal.
    assert_eq!(shown[9], format!("    {}\\u{{202e}}.sig (a signature)", key("z")));
    assert!(told.contains("Markers and ledger agree."), "{told}");

    let config = harness.config_file();
    let (output, _) = harness.command(&["status", config.to_str().unwrap(), "--all"]).await;
    let all = String::from_utf8(output.stdout).unwrap();
    assert_eq!(all.matches(" (an unfinished upload)\n").count(), 1200, "{all}");
    let first = json!({"key": sidecar(0), "why": "unfinished_upload"});
    for arguments in [["--json"].as_slice(), &["--json", "--all"]] {
        let (output, _) =
            harness.command(&[["status", config.to_str().unwrap()].as_slice(), arguments].concat()).await;
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json["passed_over"].as_array().unwrap().len(), 1201);
        assert_eq!((&json["passed_over"][0], &json["passed_over_count"]), (&first, &json!(1201)));
    }

    // The function's log and answer do not grow with the number of objects.
    let outcome = harness.sweep().await;
    let answer = serde_json::to_string(&Harness::report(outcome)).unwrap();
    assert!(answer.len() < 5_000 && !answer.contains("partial"), "{answer}");
    let log = harness.log().await;
    let line = log.lines().rfind(|line| line.contains("passed over, not archives")).unwrap();
    assert_eq!(line.matches(" (an unfinished upload)").count(), 19, "{line}");
    assert!(line.contains(", and 1181 before them"), "{line}");
}
