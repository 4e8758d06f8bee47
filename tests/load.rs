//! An upload becomes rows: the whole way, from the notification to the tables.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at what it did not expect"
)]

mod support;

use std::fmt::Write as _;
use std::time::Duration;

use devstack::lambda::{Outcome, eventually};
use devstack::s3::{Notification, Target};
use devstack::samples;
use devstack::stack::{BUCKET, COPY_ROLE, uploader_keys};
use serde_json::{Value, json};
use support::{Setup, World, appending, expected, good_key, key, members, sample, sample_with, world};

/// A client with the keys of the uploading team.
fn uploader(world: &World) -> aws_sdk_s3::Client {
    let keys = uploader_keys();
    let keys =
        aws_sdk_s3::config::Credentials::new(keys.access_key_id, keys.secret_access_key, None, None, "test");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
        .region(aws_sdk_s3::config::Region::new("ca-central-1"))
        .endpoint_url(world.stack.s3_endpoint())
        .force_path_style(true)
        .credentials_provider(keys);
    aws_sdk_s3::Client::from_conf(config.build())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_alone_fills_four_tables_with_the_cells_of_its_files() {
    let world = world().await;
    let target = Target::Invoke(world.lambda.invoke_url("cmslite"));
    world.stack.s3.notify(Notification {
        bucket: BUCKET.to_owned(),
        prefix: "client/cmslite_gdx/".to_owned(),
        suffix: String::new(),
        target,
    });
    let members = members(7, 200);
    let name = "2024 ü+%";
    let body = samples::archive(&members).unwrap().into();
    uploader(&world).put_object().bucket(BUCKET).key(key(name)).body(body).send().await.unwrap();
    eventually(Duration::from_secs(30), || world.is_good(name)).await.unwrap();
    assert_eq!(world.tables().await, expected(&members));
    assert_eq!(world.ledger().await, [key(name)]);
    assert_eq!(world.stack.s3.unfinished_uploads(), 0);
}

/// Quotes, delimiters, line ends, backslashes, what pandas would take for numbers or nothing, and letters of
/// many scripts.
#[tokio::test(flavor = "multi_thread")]
async fn cells_arrive_as_they_were_written() {
    let world = world().await;
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
    let key = world.put("text", &sample_with("analytics_group.csv", writer.into_inner().unwrap()), 1);
    World::report(world.invoke(&key).await);
    let rows = world.rows("cms_group").await;
    let loaded: Vec<(&str, &str)> =
        rows.iter().map(|row| (row[1].as_deref().unwrap(), row[3].as_deref().unwrap())).collect();
    assert_eq!(loaded, cells.map(|cell| (cell, cell)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_says_what_was_done() {
    let world = world().await;
    let key = world.put("a", &sample(1, 10), 1);
    let report = World::report(world.invoke(&key).await);
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
        json!({"key": key, "etag": report["good"][0]["etag"], "outcome": "loaded", "rows": 10 * 4})
    );
    assert_eq!(report["loaded_tables"][0], json!({"table": "cmslite.cms_group", "key": key, "rows": 10}));
    assert_eq!(report["failure"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn staged_files_and_manifests_lie_under_the_revision() {
    let world = world().await;
    let key = world.put("a", &sample(1, 1), 1);
    World::report(world.invoke(&key).await);
    let etag = world.stack.s3.objects(BUCKET).into_iter().find(|object| object.key == key).unwrap().etag[..8]
        .to_owned();
    let batch: Vec<String> =
        world.keys().into_iter().filter(|key| key.starts_with("processed/batch/")).collect();
    let stem = format!("processed/batch/client/cmslite_gdx/cms-analytics-csv_a/{etag}");
    assert_eq!(batch.len(), 8);
    assert!(
        batch.contains(&format!("{stem}/analytics_group.csv"))
            && batch.contains(&format!("{stem}/analytics_group.manifest")),
        "{batch:?}"
    );
    let copied = world.stack.s3.read(BUCKET, &good_key("a")).unwrap();
    assert_eq!(copied, world.stack.s3.read(BUCKET, &key).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_is_one_transaction_that_never_truncates_and_leaves_grants_and_views_alone() {
    let world = world().await;
    world.admin("CREATE ROLE reader_of_tables; GRANT USAGE ON SCHEMA cmslite TO reader_of_tables; GRANT SELECT ON cmslite.user_group TO reader_of_tables; CREATE VIEW cmslite.groups AS SELECT name FROM cmslite.cms_group").await;
    World::report(world.invoke(&world.put("a", &sample(1, 5), 1)).await);
    world.stack.redshift.clear_statements();
    World::report(world.invoke(&world.put("b", &sample(2, 6), 2)).await);

    let sessions = world.sessions();
    let load = sessions.iter().find(|session| session.contains(&"BEGIN".to_owned())).unwrap();
    let words = |statement: &String| statement.split_whitespace().next().unwrap().to_owned();
    let shape: Vec<String> = load.iter().map(words).filter(|word| word != "SET").collect();
    let table = ["DELETE", "COPY", "SELECT"];
    let tables = [table; 4].concat();
    let wanted = [["BEGIN", "LOCK", "SELECT"].as_slice(), &tables, &["INSERT", "COMMIT"]].concat();
    assert_eq!(shape, wanted);
    for statement in sessions.concat() {
        let statement = statement.to_uppercase();
        assert!(
            !["TRUNCATE", "RENAME", "ALTER", "DROP", "$1"].iter().any(|word| statement.contains(word)),
            "{statement}"
        );
    }
    assert_eq!(world.query("SELECT * FROM cmslite.groups").await.len(), 6);
    let granted =
        world.query("SELECT has_table_privilege('reader_of_tables', 'cmslite.user_group', 'SELECT')").await;
    assert_eq!(granted, [[Some("t".to_owned())]]);
    world.admin("DROP OWNED BY reader_of_tables; DROP ROLE reader_of_tables").await;
}

/// Between the ledger's answer and the transaction no connection is open.
#[tokio::test(flavor = "multi_thread")]
async fn no_session_is_open_while_staging() {
    let world = world().await;
    World::report(world.invoke(&world.put("a", &sample(1, 5), 1)).await);
    assert_eq!(world.sessions().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_takes_a_role_where_one_is_configured() {
    for role in [COPY_ROLE, "default"] {
        let world = Setup::default().with("COPY_IAM_ROLE", role).start().await;
        World::report(world.invoke(&world.put("a", &sample(1, 5), 1)).await);
        let copies: Vec<String> =
            world.sessions().concat().into_iter().filter(|statement| statement.starts_with("COPY")).collect();
        assert!(
            copies.len() == 4
                && copies.iter().all(|copy| copy.contains("IAM_ROLE") && !copy.contains("ACCESS_KEY")),
            "{copies:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn appending_adds_to_what_is_there_and_oldest_comes_first() {
    let world = Setup::appending().start().await;
    let (b, a) = (world.put("b", &sample(1, 5), 1), world.put("a", &sample(2, 7), 2));
    World::report(world.invoke(&a).await);
    assert_eq!(world.ledger().await, [b, a]);
    assert_eq!(world.rows("user_status").await.len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_truncate_the_newest_replaces_and_older_ones_are_superseded() {
    let world = world().await;
    let (a, b) = (world.put("a", &sample(1, 5), 1), world.put("b", &sample(2, 7), 2));
    let report = World::report(world.invoke(&b).await);
    assert_eq!(report["superseded"], json!([a]));
    assert_eq!(world.tables().await, expected(&members(2, 7)));
    let report = World::report(world.invoke(&a).await);
    assert_eq!(report["objects_processed"], json!(0));
    assert_eq!(world.tables().await, expected(&members(2, 7)));
    assert!(world.is_unsettled("a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_event_twice_loads_once() {
    let world = Setup::appending().start().await;
    let a = world.put("a", &sample(1, 5), 1);
    World::report(world.invoke(&a).await);
    World::report(world.invoke(&a).await);
    assert_eq!(world.rows("user_status").await.len(), 5);
    assert_eq!(world.ledger().await, [a]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_archive_stops_the_queue_and_the_retry_goes_on_behind_it() {
    let world = Setup::appending().start().await;
    let a = world.put("a", b"no archive", 1);
    let b = world.put("b", &sample(1, 5), 2);
    world.lambda.invoke_asynchronously(World::event(&b));
    eventually(Duration::from_secs(30), || world.is_good("b")).await.unwrap();
    assert!(world.is_bad("a"));
    let first = &world.lambda.history()[0];
    let Outcome::Failed { error_type, message } = &first.outcome else { panic!("{first:?}") };
    assert_eq!(error_type, "Retryable.StoppedAtBadArchive");
    assert!(message.contains(&a) && message.contains(&b), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_upload_under_the_same_name_is_loaded_and_clears_the_bad_marker() {
    let world = world().await;
    let a = world.put("a", b"no archive", 1);
    World::report(world.invoke(&a).await);
    assert!(world.is_bad("a"));
    // The marker is from now: the corrected upload comes a moment later.
    let later = chrono::Utc::now() + chrono::TimeDelta::seconds(5);
    world.stack.s3.put_at(BUCKET, &a, &sample(1, 5), later).unwrap();
    World::report(world.invoke(&a).await);
    assert!(world.is_good("a") && !world.is_bad("a"));
    assert!(!world.keys().contains(&format!("{}.error.json", support::bad_key("a"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_event_is_served() {
    let world = Setup { config: Some(appending()), ..Setup::default() }.start().await;
    let key = "client/cmslite_gdx/cms-analytics-csv_2024-03-01.tgz";
    let other = "client/cmslite_gdx/cms-analytics-csv_ü 100%+.tgz";
    for (n, event) in [
        include_str!("../events/s3-object-created.json"),
        include_str!("../events/s3-several-records.json"),
        include_str!("../events/eventbridge-object-created.json"),
        include_str!("../events/eventbridge-schedule.json"),
        include_str!("../events/by-hand-sweep.json"),
        include_str!("../events/by-hand-key.json"),
    ]
    .into_iter()
    .enumerate()
    {
        let n = n as u64;
        let archive = sample(n, 1);
        world
            .stack
            .s3
            .put_at(BUCKET, key, &archive, chrono::Utc::now() + chrono::TimeDelta::seconds(n as i64 * 60))
            .unwrap();
        if n == 1 {
            world.stack.s3.put_at(BUCKET, other, &sample(99, 1), support::moment(0)).unwrap();
        }
        World::report(world.lambda.invoke(serde_json::from_str(event).unwrap()).await);
        assert_eq!(world.rows("user_status").await.len(), n as usize + 1 + usize::from(n >= 1), "{event}");
    }
    let answer = world
        .lambda
        .invoke(serde_json::from_str(include_str!("../events/s3-test-event.json")).unwrap())
        .await;
    assert_eq!(answer, Outcome::Ok(json!({"version": 1, "reports": [], "ignored": []})));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_no_dataset_is_ignored() {
    let world = world().await;
    world.stack.s3.put_at(BUCKET, "client/other/x.tgz", b"x", support::moment(1)).unwrap();
    let Outcome::Ok(answer) = world.invoke("client/other/x.tgz").await else { panic!() };
    assert_eq!(
        answer,
        json!({"version": 1, "reports": [], "ignored": [format!("s3://{BUCKET}/client/other/x.tgz")]})
    );
}

/// A member of more than one part goes through a multipart upload.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_member_is_staged_in_parts() {
    let world = world().await;
    let mut text = String::from("id,name,active,site_key\n");
    for n in 0..200_000 {
        writeln!(text, "{n},a name that is long enough to make several parts of the file {n},t,site")
            .unwrap();
    }
    let a = world.put("a", &sample_with("analytics_group.csv", text), 1);
    World::report(world.invoke(&a).await);
    let count = world.query("SELECT count(*) FROM cmslite.cms_group").await;
    assert_eq!(count, [[Some("200000".to_owned())]]);
    let parts = world.stack.s3.requests().iter().filter(|request| request.operation == "UploadPart").count();
    assert!(parts > 1);
}
