//! `check`: what a load needs is found to be there, or is named with what to do about it; and nothing is
//! loaded.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at what it did not expect"
)]

mod support;

use std::sync::Arc;

use devstack::redshift;
use devstack::stack;
use serde_json::{Value, json};
use support::{SHIPPED, Setup, World, expected, key, members, sample, world};

async fn check(world: &World) -> (Option<i32>, String) {
    let (output, _) = world.command(&["check", world.config_file().to_str().unwrap()]).await;
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// Checks, and expects an obstacle of a subject whose text and remedy hold these words.
async fn finds(world: &World, subject: &str, words: &[&str]) {
    let (code, told) = check(world).await;
    assert_eq!(code, Some(3), "{told}");
    let lines: Vec<&str> = told.lines().collect();
    let obstacles = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.trim_start().starts_with(&format!("BAD   {subject}: ")));
    let obstacles: Vec<String> = obstacles
        .map(|(n, line)| format!("{line} {}", lines.get(n + 1).copied().unwrap_or_default().trim()))
        .collect();
    assert!(
        obstacles.iter().any(|obstacle| words.iter().all(|word| obstacle.contains(word))),
        "{subject} with {words:?} is not in {told}"
    );
    assert!(obstacles.iter().all(|obstacle| obstacle.contains(" -> ")), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_is_well_it_says_so_and_changes_nothing() {
    for setup in [Setup::default(), Setup::appending(), Setup::default().with("COPY_IAM_ROLE", "default")] {
        let world = setup.start().await;
        World::report(world.invoke(&world.put("a", &sample(3, 20), 1)).await);
        let before: Vec<String> = world.keys();
        world.admin("DELETE FROM cmslite.load_ledger").await;
        let (code, told) = check(&world).await;
        assert_eq!(code, Some(0), "{told}");
        for line in [
            "ok    S3: list: 1 archives: 1 good, 0 bad, 0 superseded, 0 to load",
            "ok    S3: read: client/cmslite_gdx/cms-analytics-csv_a.tgz",
            "ok    S3: write: below processed/batch/client/cmslite_gdx/",
            "ok    S3: copy and delete: below processed/good/client/cmslite_gdx/ and processed/bad/client/cmslite_gdx/",
            "as cmslite_loader, TLS, certificate and host name verified",
            "ok    ledger cmslite.load_ledger: can be locked, read and written",
            "ok    table cmslite.user_status: ",
            "ok    load errors: sys_load_error_detail can be read",
            "An archive can be loaded. Nothing was.",
        ] {
            assert!(told.contains(line), "{line:?} is not in {told}");
        }
        assert_eq!(world.tables().await, expected(&members(3, 20)));
        assert_eq!(world.ledger().await, [""; 0]);
        let left: Vec<String> = world.keys().into_iter().filter(|key| !before.contains(key)).collect();
        assert!(
            left.iter().all(|key| key.starts_with("processed/batch/client/cmslite_gdx/check/")),
            "{left:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_archive_and_the_first_load_it_says_what_is_yet_to_come() {
    let world = world().await;
    let (code, told) = check(&world).await;
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("note  S3: read: there is no archive yet"), "{told}");
    assert!(told.contains("ledger cmslite.load_ledger: not there yet; the first load makes it"), "{told}");
    assert_eq!(world.query("SELECT to_regclass('cmslite.load_ledger')").await, [[None]]);
    let (output, _) = world.command(&["check", world.config_file().to_str().unwrap(), "--json"]).await;
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["version"], &json["findings"][0]["outcome"]), (&json!(1), &json!("good")));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_obstacle_in_redshift_is_found_and_named() {
    for (change, subject, words) in [
        (
            "DROP TABLE cmslite.user_status",
            "table cmslite.user_status",
            ["no such table", "ddl/tables.sql"].as_slice(),
        ),
        (
            "ALTER TABLE cmslite.user_status DROP COLUMN status",
            "table cmslite.user_status",
            &["it has no column status", "\"columns\""],
        ),
        (
            "REVOKE DELETE ON cmslite.cms_group FROM cmslite_loader",
            "table cmslite.cms_group",
            &["permission denied", "ddl/grants.sql"],
        ),
        (
            "REVOKE INSERT ON cmslite.cms_group FROM cmslite_loader",
            "table cmslite.cms_group",
            &["permission denied", "ddl/grants.sql"],
        ),
        (
            "ALTER TABLE cmslite.cms_group ADD COLUMN extra int NOT NULL",
            "table cmslite.cms_group",
            &["extra is NOT NULL", "a default"],
        ),
        (
            "REVOKE CREATE ON SCHEMA cmslite FROM cmslite_loader",
            "ledger cmslite.load_ledger",
            &["permission denied", "ddl/grants.sql"],
        ),
        (
            "CREATE TABLE cmslite.load_ledger (key int); GRANT ALL ON cmslite.load_ledger TO cmslite_loader",
            "ledger cmslite.load_ledger",
            &["key is integer instead of VARCHAR(1024)", "ddl/ledger.sql"],
        ),
    ] {
        let world = world().await;
        world.admin(change).await;
        finds(&world, subject, words).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_obstacle_is_noted() {
    let world = world().await;
    world.admin("ALTER TABLE cmslite.user_status ALTER COLUMN created_dt TYPE varchar(40)").await;
    world
        .admin(
            "ALTER TABLE cmslite.cms_group ADD COLUMN extra int DEFAULT 1, DROP COLUMN id; ALTER TABLE cmslite.cms_group ADD COLUMN id varchar(255)",
        )
        .await;
    let (code, told) = check(&world).await;
    assert_eq!(code, Some(0), "{told}");
    for line in [
        "note  table cmslite.user_status: its column created_dt is character varying(40), but the configuration writes dates",
        "note  table cmslite.user_activity: a cell \"-\" makes an archive bad in its columns that are NOT NULL: user_id",
        "note  table cmslite.cms_group: its columns have another order than the configuration's",
    ] {
        assert!(told.contains(line), "{line:?} is not in {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_obstacle_on_the_way_there_is_found_and_named() {
    finds(
        &Setup::default().with("pgpass", "wrong").start().await,
        "Redshift: login",
        &["refused the login", "PGUSER and the password"],
    )
    .await;
    finds(
        &Setup::default().with("PGPORT", "1").start().await,
        "Redshift: login",
        &["cannot connect", "PGHOST and PGPORT"],
    )
    .await;
    finds(
        &Setup::default().with("PGSSLROOTCERT", "").start().await,
        "Redshift: login",
        &["not trusted", "PGSSLROOTCERT"],
    )
    .await;
    let role = Setup::default().with("COPY_IAM_ROLE", "arn:aws:iam::000000000000:role/unknown").start().await;
    finds(&role, "table cmslite.cms_group", &["not authorized to assume", "COPY_IAM_ROLE"]).await;
    let change = |options: &mut redshift::Options| options.roles[0].credentials.2 = None;
    let stack = stack::Options { redshift: Some(Arc::new(change)), ..stack::Options::default() };
    let keyless = Setup { stack, ..Setup::default() }.with("COPY_IAM_ROLE", "default").start().await;
    finds(&keyless, "table cmslite.cms_group", &["InvalidToken", "COPY_IAM_ROLE"]).await;
    let elsewhere =
        Setup { config: Some(SHIPPED.replace(stack::BUCKET, "no-such-bucket")), ..Setup::default() }
            .start()
            .await;
    finds(&elsewhere, "S3: list", &["NoSuchBucket", "\"bucket\" in the configuration"]).await;
    for (operation, subject) in [
        ("ListObjectsV2", "S3: list"),
        ("HeadObject", "S3: read"),
        ("PutObject", "S3: write"),
        ("CopyObject", "S3: copy and delete"),
        ("DeleteObject", "S3: copy and delete"),
    ] {
        let world = Setup::denying(operation).start().await;
        world.put("a", &sample(3, 5), 1);
        finds(&world, subject, &["s3:PutObject below batch/"]).await;
        assert!(world.keys().contains(&key("a")) && world.rows("cms_group").await.is_empty());
    }
}
