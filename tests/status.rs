//! `status`: the queue, what is settled and how, and where markers and ledger disagree.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at what it did not expect"
)]

mod support;

use devstack::stack::BUCKET;
use serde_json::{Value, json};
use support::{Setup, World, bad_key, good_key, key, moment, sample, sample_with, world};

async fn text(world: &World) -> (Option<i32>, String) {
    let (output, _) = world.command(&["status", world.config_file().to_str().unwrap()]).await;
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

async fn status(world: &World) -> Value {
    let (output, _) = world.command(&["status", world.config_file().to_str().unwrap(), "--json"]).await;
    // Log lines come before it.
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(&text[text.find('{').unwrap()..]).unwrap_or_else(|error| panic!("{error}: {text}"))
}

async fn disagreements(world: &World) -> Vec<(String, String)> {
    let name = |value: &Value| {
        value["key"].as_str().unwrap().rsplit_once('_').unwrap().1.trim_end_matches(".tgz").to_owned()
    };
    let status = status(world).await;
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
    let world = Setup::appending().start().await;
    let (code, before) = text(&world).await;
    assert_eq!(code, Some(0));
    assert!(
        before.contains("Queue 0, superseded 0, bad 0, good 0; no ledger yet, the first load makes it"),
        "{before}"
    );

    World::report(world.invoke(&world.put("a", &sample(1, 5), 1)).await);
    World::report(
        world
            .invoke(&world.put("b", &sample_with("analytics_group.csv", "id,name,active,site_key\n1,x\n"), 2))
            .await,
    );
    world.put("c", &sample(2, 5), 3);
    let (code, told) = text(&world).await;
    assert_eq!(code, Some(0));
    for line in [
        "Queue 1, superseded 0, bad 1, good 1; 1 loads in the ledger",
        "Queue, oldest first:\n    client/cmslite_gdx/cms-analytics-csv_c.tgz (uploaded ",
        "Bad:\n    client/cmslite_gdx/cms-analytics-csv_b.tgz (settled ",
        "\n      analytics_group.csv, line 2: the row has 2 of 4 columns",
        "Good:\n    client/cmslite_gdx/cms-analytics-csv_a.tgz (20 rows, loaded ",
        "Markers and ledger agree.",
    ] {
        assert!(told.contains(line), "{line:?} is not in {told}");
    }
    let json = status(&world).await;
    assert_eq!(json["bad"][0]["error"]["problems"][0]["code"], json!("too_few_columns"));
    assert_eq!(
        (&json["version"], &json["ledger_rows"], &json["tables_hold"]),
        (&json!(1), &json!(1), &json!(null))
    );
    assert_eq!(json["queue"][0]["key"], json!(key("c")));
    assert_eq!(
        world.keys().len(),
        world.keys().iter().filter(|key| !key.ends_with("c.tgz") || key.starts_with("client/")).count()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn under_truncate_it_says_what_the_tables_hold_and_what_is_superseded() {
    let world = world().await;
    world.put("a", &sample(1, 5), 1);
    World::report(world.invoke(&world.put("b", &sample(2, 5), 2)).await);
    let (_, told) = text(&world).await;
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
    is(&disagreements(&world).await, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_finds_where_markers_and_ledger_disagree() {
    let world = Setup::appending().start().await;
    // Marked by the script, before there was a ledger: no disagreement.
    world.stack.s3.set_time(Some(moment(1)));
    for key in [key("0"), good_key("0")] {
        world.stack.s3.put_at(BUCKET, &key, &sample(1, 5), moment(1)).unwrap();
    }
    world.stack.s3.set_time(None);
    for (n, name) in ["a", "b", "c", "d"].iter().enumerate() {
        World::report(world.invoke(&world.put(name, &sample(n as u64 + 1, 5), n as i64 + 1)).await);
    }
    World::report(world.invoke(&world.put("e", b"no archive", 9)).await);
    World::report(world.invoke(&world.put("f", b"no archive either", 10)).await);
    is(&disagreements(&world).await, &[]);

    let delete = async |key: &str| {
        let s3 = &world.stack.s3;
        let kept: Vec<_> = s3.objects(BUCKET).into_iter().filter(|object| object.key != key).collect();
        let bytes: Vec<_> = kept.iter().map(|object| s3.read(BUCKET, &object.key).unwrap()).collect();
        s3.empty_bucket(BUCKET);
        for (object, bytes) in kept.iter().zip(bytes) {
            s3.put_at(BUCKET, &object.key, &bytes, object.last_modified).unwrap();
        }
    };
    delete(&good_key("a")).await;
    world.admin(&format!("DELETE FROM cmslite.load_ledger WHERE key = '{}'", key("b"))).await;
    world.stack.s3.put_at(BUCKET, &bad_key("c"), &sample(3, 5), chrono::Utc::now()).unwrap();
    delete(&format!("{}.error.json", bad_key("e"))).await;
    delete(&bad_key("f")).await;
    is(
        &disagreements(&world).await,
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
    let (_, told) = text(&world).await;
    assert!(
        told.contains("csv_a.tgz is loaded by the ledger, but not marked: the next run marks it"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_finds_tables_that_hold_another_archive_than_the_newest() {
    let world = world().await;
    World::report(world.invoke(&world.put("a", &sample(1, 5), 1)).await);
    World::report(world.invoke(&world.put("b", &sample(2, 5), 2)).await);
    world.admin("UPDATE cmslite.load_ledger SET sequence = 3 - sequence").await;
    is(&disagreements(&world).await, &[("b", "tables_hold_another")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_told_without_redshift_is_told() {
    let world = Setup::default().with("pgpass", "wrong").start().await;
    world.put("a", &sample(1, 5), 1);
    let (code, told) = text(&world).await;
    assert_eq!(code, Some(3));
    assert!(
        told.contains("Queue 1")
            && told.contains("the ledger cannot be read: ")
            && told.contains("refused the login"),
        "{told}"
    );
}
