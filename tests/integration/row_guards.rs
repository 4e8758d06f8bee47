//! Tests that an archive with too few rows is refused unless somebody accepts it, and that one that empties a
//! table is loaded and reported.

use devstack::lambda::Outcome;
use devstack::redshift::{self, Action, Fault, Gate};
use devstack::samples;
use serde_json::{Value, json};

use crate::command_line::{accept_shrink, again, load};
use crate::harness::{
    Harness, SHIPPED, appending, bad_key, cases, expected, key, members, sample, sample_with,
};

const GROUPS: &str = "analytics_group.csv";

const DATASET: &str = "cmslite_user_group_metadata";

/// Returns a configuration that expects this number of rows for `cms_group`.
fn expecting_groups(config: &str, min_rows: u64) -> String {
    let table = "\"dbtable\": \"cms_group\"";
    config.replacen(table, &format!("{table}, \"min_rows\": {min_rows}"), 1)
}

fn shrinking_by(percent: u8) -> String {
    SHIPPED.replacen('{', &format!("{{\"max_shrink_percent\": {percent},"), 1)
}

/// Returns an archive whose files have only headers.
fn headers_only() -> Vec<u8> {
    let mut members = members(1, 1);
    for member in &mut members {
        let end = member.contents.iter().position(|byte| *byte == b'\n').unwrap();
        member.contents.truncate(end + 1);
    }
    samples::archive(&members).unwrap()
}

async fn loaded(harness: &Harness, name: &str, archive: &[u8], seconds: i64) -> Value {
    let report = Harness::report(harness.invoke(&harness.put(name, archive, seconds)).await);
    assert_eq!(report["objects_good"], json!(1), "{report}");
    report
}

/// Returns table, code, rows and expected rows of what a report lists as accepted.
fn accepted(report: &Value) -> Vec<Value> {
    let shrinks = report["accepted_shrinks"].as_array().unwrap();
    shrinks.iter().map(|told| json!([told["table"], told["code"], told["rows"], told["expected"]])).collect()
}

/// Returns the messages of a level in the function's log.
async fn messages(harness: &Harness, level: &str) -> Vec<String> {
    let log = harness.log().await;
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let lines = lines.filter(|line| line["level"] == level);
    lines.filter_map(|line| line["message"].as_str().map(str::to_owned)).collect()
}

/// `min_rows` applies whether rows are appended or replaced.
async fn is_refused_with_fewer_rows(config: String) {
    let harness = Harness::builder().config(expecting_groups(&config, 5)).start().await;
    loaded(&harness, "a", &sample(1, 5), 1).await;
    let before = harness.tables().await;
    let report = Harness::report(harness.invoke(&harness.put("b", &sample(2, 4), 2)).await);
    assert_eq!(report["objects_bad"], json!(1));
    assert!(harness.is_bad("b") && harness.tables().await == before);
    let problem = &harness.error_json("b")["problems"][0];
    assert_eq!(
        json!([problem["code"], problem["member"], problem["line"]]),
        json!(["too_few_rows", GROUPS, null])
    );
    let reason = problem["reason"].as_str().unwrap();
    for words in ["has 4 rows", "expects 5 or more", "\"min_rows\"", "--accept-shrink KEY"] {
        assert!(reason.contains(words), "{words:?} is not in {reason:?}");
    }
    // Nothing but the ledger was read from Redshift.
    assert_eq!(harness.ledger().await, [key("a")]);

    let (status, told) = again(&harness, "b").await;
    assert_eq!(status, Some(1), "{told}");
    let (status, told) = accept_shrink(&harness, "b").await;
    assert_eq!(status, Some(0), "{told}");
    assert!(
        told.contains("Too few rows, accepted by request:\n    cmslite.cms_group: 4 rows in ")
            && told.contains("5 expected (too_few_rows)"),
        "{told}"
    );
    assert!(harness.is_good("b") && !harness.is_bad("b"));
    assert!(!harness.keys().contains(&format!("{}.error.json", bad_key("b"))));
    assert_eq!(harness.ledger().await, [key("a"), key("b")]);
}

cases! {
    async a_file_with_fewer_rows_than_min_rows_is_bad_until_somebody_accepts_it: is_refused_with_fewer_rows {
        with_truncate(SHIPPED.to_owned());
        while_adding(appending());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_counts_rows_too() {
    let harness = Harness::builder().config(expecting_groups(SHIPPED, 5)).start().await;
    harness.put("a", &sample(2, 4), 2);
    let config = harness.config_file();
    let dry_run = ["load", config.to_str().unwrap(), "--dry-run"];
    let (output, _) = harness.command(&dry_run).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("has 4 rows"));
    let (output, _) = harness.command(&[dry_run.as_slice(), &["--accept-shrink", &key("a")]].concat()).await;
    assert_eq!(output.status.code(), Some(0));
}

/// The previous load is the reference, not the largest one. A bad archive does not change it.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_would_shrink_by_more_than_the_share_makes_the_archive_bad() {
    let harness = Harness::builder().config(shrinking_by(20)).start().await;
    loaded(&harness, "a", &sample(1, 12), 1).await;
    loaded(&harness, "b", &sample(2, 10), 2).await;
    let report = Harness::report(harness.invoke(&harness.put("c", &sample(3, 7), 3)).await);
    assert_eq!((&report["objects_bad"], &report["rows"]), (&json!(1), &json!(0)));
    assert_eq!(
        report["failed_tables"],
        json!(["cmslite.cms_group", "cmslite.user_activity", "cmslite.user_group", "cmslite.user_status"])
    );
    assert!(harness.is_bad("c") && harness.tables().await == expected(&members(2, 10)));
    let error = harness.error_json("c");
    assert_eq!((&error["problems_found"], &error["problems"][0]["code"]), (&json!(4), &json!("shrunk")));
    let reason = error["problems"][0]["reason"].as_str().unwrap();
    for words in ["has 7 rows", "the previous load had 10", "20 % fewer", "8 or more", "--accept-shrink KEY"]
    {
        assert!(reason.contains(words), "{words:?} is not in {reason:?}");
    }
    // A second try finds it bad again, and an archive that is just large enough is loaded.
    assert_eq!(again(&harness, "c").await.0, Some(1));
    loaded(&harness, "d", &sample(4, 8), 4).await;
    assert_eq!(harness.tables().await, expected(&members(4, 8)));
    // Three of the four tables are as large as before.
    let report = Harness::report(harness.invoke(&harness.put("e", &with_groups(8, 3), 5)).await);
    assert_eq!(report["failed_tables"], json!(["cmslite.cms_group"]));
    assert_eq!(harness.ledger().await, ["a", "b", "d"].map(key));
}

/// Returns an archive with `rows` rows for each table except `cms_group`.
fn with_groups(rows: usize, groups: usize) -> Vec<u8> {
    let mut all = members(5, rows);
    let few = members(5, groups).into_iter().find(|member| member.name == GROUPS).unwrap();
    *all.iter_mut().find(|member| member.name == GROUPS).unwrap() = few;
    samples::archive(&all).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shrunk_archive_is_accepted_by_an_event_and_loaded_once() {
    let harness = Harness::builder().config(shrinking_by(0)).start().await;
    loaded(&harness, "a", &sample(1, 5), 1).await;
    let b = harness.put("b", &with_groups(5, 4), 2);
    Harness::report(harness.invoke(&b).await);
    assert!(harness.is_bad("b"));
    let event = json!({"dataset": DATASET, "key": b, "accept_shrink": true});
    let report = Harness::report(harness.lambda.invoke(event.clone()).await);
    assert_eq!(accepted(&report), [json!(["cmslite.cms_group", "shrunk", 4, 5])]);
    assert!(harness.is_good("b") && !harness.is_bad("b"));
    let warned = messages(&harness, "WARN").await;
    assert!(
        warned
            .iter()
            .any(|message| message
                .starts_with("accepted by request: analytics_group.csv: the file has 4 rows")),
        "{warned:?}"
    );
    // The event is delivered twice, and nothing is loaded twice.
    let report = Harness::report(harness.lambda.invoke(event).await);
    assert_eq!(report["good"][0]["outcome"], "already_loaded");
    assert_eq!((accepted(&report), harness.ledger().await), (vec![], vec![key("a"), b]));
    // From now on, the smaller table is the reference.
    loaded(&harness, "c", &with_groups(5, 4), 3).await;
}

/// Two functions have staged everything at the same time. The second archive is compared with what the first
/// one loaded, not with the state at the start of the second run.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_compared_with_what_was_loaded_while_it_was_staged() {
    let harness = Harness::builder().config(shrinking_by(40)).concurrency(2).start().await;
    // With a lease, the second run would not start before the first has ended.
    harness.deny_leases();
    loaded(&harness, "a", &sample(1, 5), 1).await;
    let gates = [Gate::default(), Gate::default()];
    // After 5 rows, 10 are enough; after 20, they are not.
    for (gate, (name, rows, seconds)) in gates.iter().zip([("b", 20, 2), ("c", 10, 3)]) {
        harness.stack.redshift.inject(Fault::on("LOCK ", Action::Wait(gate.clone())).times(1));
        let archive = harness.put(name, &sample(2, rows), seconds);
        harness.lambda.invoke_asynchronously(Harness::event(&archive));
        gate.reached().await;
    }
    gates[0].open();
    harness.becomes_good("b").await;
    gates[1].open();
    harness.idle().await;
    assert!(harness.is_bad("c"), "{:#?}", harness.lambda.history());
    assert!(
        harness.error_json("c")["problems"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("the previous load had 20")
    );
    assert_eq!(harness.tables().await, expected(&members(2, 20)));
}

/// A ledger of an earlier version has rows, but no table of rows by table. Unknown numbers do not make an
/// archive bad.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_ledger_gets_its_table_of_rows_and_keeps_what_it_has() {
    let harness = Harness::builder().config(shrinking_by(20)).start().await;
    loaded(&harness, "a", &sample(1, 10), 1).await;
    let a = harness.query("SELECT * FROM cmslite.load_ledger").await;
    harness.admin("DROP TABLE cmslite.load_ledger_tables").await;
    // What is loaded still counts as loaded.
    assert_eq!(load(&harness).await.0, Some(0));
    loaded(&harness, "b", &sample(2, 2), 2).await;
    let warned = messages(&harness, "WARN").await;
    let told = "loaded without \"max_shrink_percent\": the previous load's row count is not known for cmslite.cms_group, cmslite.user_activity, ";
    assert!(warned.iter().any(|message| message.starts_with(told)), "{warned:?}");
    let ledger = harness.query("SELECT * FROM cmslite.load_ledger ORDER BY sequence").await;
    assert!(ledger.len() == 2 && ledger.contains(&a[0]));
    assert_eq!(
        harness.query("SELECT sequence, table_name, row_count FROM cmslite.load_ledger_tables").await,
        ["cms_group", "user_activity", "user_group", "user_status"].map(|table| [
            "2",
            &format!("cmslite.{table}"),
            "2"
        ]
        .map(|cell| Some(cell.to_owned()))
        .to_vec())
    );
    Harness::report(harness.invoke(&harness.put("c", &sample(3, 1), 3)).await);
    assert!(harness.is_bad("c"));
}

/// The existing table is missing from the list of columns. It is used, and not created again.
#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_may_be_made_by_hand_and_its_columns_hidden() {
    let harness = Harness::start().await;
    let ddl = redshift::postgresql_ddl(include_str!("../../ddl/ledger.sql")).unwrap();
    harness.admin(&ddl).await;
    harness
        .admin(
            "REVOKE CREATE ON SCHEMA cmslite FROM cmslite_loader;
             GRANT SELECT, INSERT ON cmslite.load_ledger, cmslite.load_ledger_tables TO cmslite_loader;
             GRANT SELECT, INSERT, UPDATE, DELETE ON cmslite.load_ledger_lock TO cmslite_loader",
        )
        .await;
    loaded(&harness, "a", &sample(1, 5), 1).await;
    let refused = Action::Refuse("42501".to_owned(), "permission denied for svv_columns".to_owned());
    harness.stack.redshift.inject(Fault::on("svv_columns", refused));
    loaded(&harness, "b", &sample(2, 6), 2).await;
    assert_eq!(harness.ledger().await, ["a", "b"].map(key));
}

/// After rows of the ledger were deleted by hand, their rows in the table beside it do not count.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_beside_a_ledger_of_which_rows_were_deleted_is_not_compared_with() {
    let harness = Harness::builder().config(shrinking_by(20)).start().await;
    loaded(&harness, "a", &sample(1, 20), 1).await;
    harness.admin("DELETE FROM cmslite.load_ledger").await;
    loaded(&harness, "b", &sample(2, 5), 2).await;
    loaded(&harness, "c", &sample(3, 4), 3).await;
    assert_eq!(harness.query("SELECT sequence FROM cmslite.load_ledger").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_of_headers_only_is_loaded_with_a_warning_in_report_and_log() {
    let harness = Harness::start().await;
    let report = loaded(&harness, "a", &sample(1, 5), 1).await;
    assert_eq!(report["emptied_tables"], json!([]));
    let report = loaded(&harness, "b", &headers_only(), 2).await;
    let emptied =
        |table: &str| json!({"table": format!("cmslite.{table}"), "key": key("b"), "rows_before": 5});
    assert_eq!(
        report["emptied_tables"],
        json!(["cms_group", "user_activity", "user_group", "user_status"].map(emptied))
    );
    let warned = messages(&harness, "WARN").await;
    assert_eq!(warned.iter().filter(|message| message.contains(" is emptied: ")).count(), 4, "{warned:?}");
    assert!(harness.rows("user_group").await.is_empty());
    // An archive that leaves a table empty does not empty it.
    assert_eq!(loaded(&harness, "c", &headers_only(), 3).await["emptied_tables"], json!([]));
    // One of four tables is emptied by a load whose answer to COMMIT is lost.
    loaded(&harness, "d", &sample(1, 5), 4).await;
    harness.put("e", &sample_with(GROUPS, "id,name,active,site_key\n"), 5);
    harness.stack.redshift.inject(Fault::on("COMMIT", Action::CutAfter).times(1));
    let (status, told, log) = load(&harness).await;
    assert_eq!(status, Some(0), "{told}");
    assert!(
        told.contains(&format!(
            "WARNING: tables emptied:\n    cmslite.cms_group: no rows in {}, 5 before\n",
            key("e")
        )),
        "{told}"
    );
    assert!(log.contains("cmslite.cms_group is emptied"), "{log}");
}

/// While appending, no table is emptied, and the rows by table are still recorded.
#[tokio::test(flavor = "multi_thread")]
async fn while_appending_headers_alone_empty_nothing() {
    let harness = Harness::builder().appending().start().await;
    loaded(&harness, "a", &sample(1, 5), 1).await;
    assert_eq!(loaded(&harness, "b", &headers_only(), 2).await["emptied_tables"], json!([]));
    let rows =
        harness.query("SELECT sequence, sum(row_count) FROM cmslite.load_ledger_tables GROUP BY 1").await;
    assert_eq!(rows, [["1", "20"], ["2", "0"]].map(|row| row.map(|cell| Some(cell.to_owned())).to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_for_at_once_is_refused() {
    let harness = Harness::start().await;
    let config = harness.config_file();
    let (a, b) = (key("a"), key("b"));
    for other in [["--again", &b], ["--until", &b]] {
        let arguments =
            [["load", config.to_str().unwrap(), "--accept-shrink", &a].as_slice(), &other].concat();
        assert_eq!(harness.command(&arguments).await.0.status.code(), Some(2), "{other:?}");
    }
    assert_eq!(accept_shrink(&harness, "a").await.0, Some(2));
    let event = json!({"dataset": DATASET, "accept_shrink": true});
    let Outcome::Failed { error_type, message } = harness.lambda.invoke(event).await else { panic!() };
    assert_eq!(error_type, "Deployment.UnknownEvent");
    assert!(message.contains("\"accept_shrink\" needs a \"key\""), "{message}");
}
