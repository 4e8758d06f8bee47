//! Tests that `check` finds each thing that a load lacks, names it with its remedy, and loads nothing.

use devstack::stack::BUCKET;
use devstack::{redshift, s3};
use serde_json::{Value, json};

use crate::harness::{Harness, HarnessBuilder, SHIPPED, cases, expected, key, members, sample, told};

async fn check(harness: &Harness) -> (Option<i32>, String) {
    let (output, _) = harness.command(&["check", harness.config_file().to_str().unwrap()]).await;
    (output.status.code(), told(&output))
}

/// Runs `check`, and expects an obstacle about `subject` whose text and remedy contain these words.
async fn finds(harness: &Harness, subject: &str, words: &[&str]) {
    let (code, told) = check(harness).await;
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

async fn is_well(builder: HarnessBuilder) {
    let harness = builder.start().await;
    Harness::report(harness.invoke(&harness.put("a", &sample(3, 20), 1)).await);
    let before: Vec<String> = harness.keys();
    harness.admin("DELETE FROM cmslite.load_ledger").await;
    let (code, told) = check(&harness).await;
    assert_eq!(code, Some(0), "{told}");
    for line in [
        "ok    S3: list: 1 archives: 1 good, 0 bad, 0 superseded, 0 to load",
        "ok    S3: read: client/cmslite_gdx/cms-analytics-csv_a.tgz",
        "ok    S3: write: below processed/batch/client/cmslite_gdx/",
        "ok    S3: copy and delete: below processed/good/client/cmslite_gdx/ and processed/bad/client/cmslite_gdx/",
        "as cmslite_loader, with the password of the variable pgpass, TLS, certificate and host name verified",
        "ok    ledger cmslite.load_ledger: can be read and written, and its lock can be taken",
        "ok    GRANT USAGE ON SCHEMA cmslite: granted",
        "ON cmslite.user_status: granted",
        "ok    GRANT SELECT, INSERT ON cmslite.load_ledger: granted",
        "ok    GRANT SELECT, INSERT, UPDATE, DELETE ON cmslite.load_ledger_lock: granted",
        "ok    table cmslite.user_status: ",
        "ok    load errors: sys_load_error_detail can be read",
        "An archive can be loaded. Nothing was loaded.",
    ] {
        assert!(told.contains(line), "{line:?} is not in {told}");
    }
    assert_eq!(harness.tables().await, expected(&members(3, 20)));
    assert_eq!(harness.ledger().await, [""; 0]);
    let left: Vec<String> = harness.keys().into_iter().filter(|key| !before.contains(key)).collect();
    assert!(left.iter().all(|key| key.starts_with("processed/batch/client/cmslite_gdx/check/")), "{left:?}");
}

cases! {
    async where_all_is_well_it_says_so_and_changes_nothing: is_well {
        replacing(Harness::builder());
        appending(Harness::builder().appending());
        with_a_role(Harness::builder().env("COPY_IAM_ROLE", "default"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_archive_and_the_first_load_it_says_what_is_yet_to_come() {
    let harness = Harness::start().await;
    let (code, told) = check(&harness).await;
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("note  S3: read: there is no archive yet"), "{told}");
    assert!(
        told.contains("ledger cmslite.load_ledger: does not exist yet; the first load creates it"),
        "{told}"
    );
    assert_eq!(harness.query("SELECT to_regclass('cmslite.load_ledger')").await, [[None]]);
    let (output, _) = harness.command(&["check", harness.config_file().to_str().unwrap(), "--json"]).await;
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["version"], &json["findings"][0]["outcome"]), (&json!(1), &json!("good")));
}

/// The ledger has a load, but the tables beside it are missing.
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_with_nothing_beside_it_is_told_of_and_no_obstacle_where_that_can_be_made() {
    let harness = Harness::start().await;
    Harness::report(harness.invoke(&harness.put("a", &sample(3, 20), 1)).await);
    harness.admin("DROP TABLE cmslite.load_ledger_tables, cmslite.load_ledger_lock").await;
    let (code, told) = check(&harness).await;
    assert_eq!(code, Some(0), "{told}");
    let line = "ok    ledger cmslite.load_ledger: can be read and written, and its lock can be taken; missing, and created by the next load: cmslite.load_ledger_tables, cmslite.load_ledger_lock";
    assert!(told.contains(line), "{told}");
    assert_eq!(harness.query("SELECT to_regclass('cmslite.load_ledger_tables')").await, [[None]]);
    harness.admin("REVOKE CREATE ON SCHEMA cmslite FROM cmslite_loader").await;
    let subject = "ledger cmslite.load_ledger";
    finds(&harness, subject, &["load_ledger_tables", "permission denied", "ddl/grants.sql"]).await;
    harness.admin(&redshift::postgresql_ddl(include_str!("../../ddl/ledger.sql")).unwrap()).await;
    harness.admin("GRANT SELECT, INSERT ON cmslite.load_ledger_tables TO cmslite_loader").await;
    // The table exists, but its user may not lock it. To this user, it looks missing.
    finds(&harness, subject, &["load_ledger_lock", "permission denied", "ddl/grants.sql"]).await;
    harness.admin("GRANT SELECT, INSERT, UPDATE, DELETE ON cmslite.load_ledger_lock TO cmslite_loader").await;
    assert_eq!(check(&harness).await.0, Some(0));
}

/// The printed statements are executed one after another, as an administrator would do it.
#[tokio::test(flavor = "multi_thread")]
async fn the_statements_that_it_prints_are_enough() {
    let harness = Harness::start().await;
    harness.admin("REVOKE ALL ON ALL TABLES IN SCHEMA cmslite FROM cmslite_loader; REVOKE ALL ON SCHEMA cmslite FROM cmslite_loader").await;
    let (code, told) = check(&harness).await;
    assert_eq!(code, Some(3), "{told}");
    let printed = told.lines().filter_map(|line| line.trim().strip_prefix("-> as an administrator: "));
    let printed: Vec<&str> = printed.collect();
    assert_eq!(printed.len(), 5, "{told}");
    harness.admin(&printed.join(" ")).await;
    let (code, told) = check(&harness).await;
    assert_eq!(code, Some(0), "{told}");
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
}

/// Runs `check` after the superuser has executed `change`.
async fn is_found_in_redshift(change: &str, subject: &str, words: &[&str]) {
    let harness = Harness::start().await;
    harness.admin(change).await;
    finds(&harness, subject, words).await;
}

cases! {
    async every_obstacle_in_redshift_is_found_and_named: is_found_in_redshift {
        no_table(
            "DROP TABLE cmslite.user_status",
            "table cmslite.user_status",
            &["the table does not exist", "ddl/tables.sql"],
        );
        no_column(
            "ALTER TABLE cmslite.user_status DROP COLUMN status",
            "table cmslite.user_status",
            &["it has no column status", "\"columns\""],
        );
        no_delete(
            "REVOKE DELETE ON cmslite.cms_group FROM cmslite_loader",
            "GRANT INSERT, DELETE ON cmslite.cms_group",
            &["cmslite_loader lacks DELETE", "GRANT DELETE ON cmslite.cms_group TO cmslite_loader;"],
        );
        no_insert(
            "REVOKE INSERT ON cmslite.cms_group FROM cmslite_loader",
            "GRANT INSERT, DELETE ON cmslite.cms_group",
            &["cmslite_loader lacks INSERT", "GRANT INSERT ON cmslite.cms_group TO cmslite_loader;"],
        );
        one_column_too_many(
            "ALTER TABLE cmslite.cms_group ADD COLUMN extra int NOT NULL",
            "table cmslite.cms_group",
            &["extra is NOT NULL", "a default"],
        );
        no_usage(
            "REVOKE USAGE ON SCHEMA cmslite FROM cmslite_loader",
            "GRANT USAGE, CREATE ON SCHEMA cmslite",
            &["cmslite_loader lacks USAGE", "GRANT USAGE ON SCHEMA cmslite TO cmslite_loader;"],
        );
        no_create(
            "REVOKE CREATE ON SCHEMA cmslite FROM cmslite_loader",
            "GRANT USAGE, CREATE ON SCHEMA cmslite",
            &["cmslite_loader lacks CREATE", "GRANT CREATE ON SCHEMA cmslite TO cmslite_loader;"],
        );
        no_table_of_rows_of_ours(
            "CREATE TABLE cmslite.load_ledger_tables (dataset varchar(255)); GRANT ALL ON cmslite.load_ledger_tables TO cmslite_loader",
            "ledger cmslite.load_ledger_tables",
            &["sequence is missing", "ddl/ledger.sql"],
        );
        no_lock_of_ours(
            "CREATE TABLE cmslite.load_ledger_lock (note text); GRANT ALL ON cmslite.load_ledger_lock TO cmslite_loader",
            "ledger cmslite.load_ledger_lock",
            &["unused is missing", "ddl/ledger.sql"],
        );
        no_ledger_of_ours(
            "CREATE TABLE cmslite.load_ledger (key int); GRANT ALL ON cmslite.load_ledger TO cmslite_loader",
            "ledger cmslite.load_ledger",
            &["key is integer instead of VARCHAR(1024)", "ddl/ledger.sql"],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_obstacle_is_noted() {
    let harness = Harness::start().await;
    harness.admin("ALTER TABLE cmslite.user_status ALTER COLUMN created_dt TYPE varchar(40)").await;
    harness
        .admin(
            "ALTER TABLE cmslite.cms_group ADD COLUMN extra int DEFAULT 1, DROP COLUMN id; ALTER TABLE cmslite.cms_group ADD COLUMN id varchar(255)",
        )
        .await;
    let (code, told) = check(&harness).await;
    assert_eq!(code, Some(0), "{told}");
    for line in [
        "note  table cmslite.user_status: its column created_dt is character varying(40), but the configuration loads dates",
        "note  table cmslite.user_activity: a cell \"-\" makes an archive bad in its columns that are NOT NULL: user_id",
        "note  table cmslite.cms_group: its columns have another order than in the configuration",
    ] {
        assert!(told.contains(line), "{line:?} is not in {told}");
    }
}

async fn is_found(builder: HarnessBuilder, subject: &str, words: &[&str]) {
    finds(&builder.start().await, subject, words).await;
}

cases! {
    async every_obstacle_on_the_way_there_is_found_and_named: is_found {
        wrong_password(
            Harness::builder().env("pgpass", "wrong"),
            "Redshift: login",
            &["refused the login", "PGUSER and the password"],
        );
        nobody_listens(
            Harness::builder().env("PGPORT", "1"),
            "Redshift: login",
            &["cannot connect", "PGHOST and PGPORT"],
        );
        unknown_issuer(
            Harness::builder().env("PGSSLROOTCERT", ""),
            "Redshift: login",
            &["not trusted", "PGSSLROOTCERT"],
        );
        unknown_role(
            Harness::builder().env("COPY_IAM_ROLE", "arn:aws:iam::000000000000:role/unknown"),
            "table cmslite.cms_group",
            &["not authorized to assume", "COPY_IAM_ROLE"],
        );
        role_that_may_not_read(
            Harness::builder()
                .redshift(|options| options.roles[0].credentials.2 = None)
                .env("COPY_IAM_ROLE", "default"),
            "table cmslite.cms_group",
            &["InvalidToken", "COPY_IAM_ROLE"],
        );
        no_bucket(
            Harness::builder().config(SHIPPED.replace(BUCKET, "no-such-bucket")),
            "S3: list",
            &["NoSuchBucket", "\"bucket\" in the configuration"],
        );
    }
}

async fn right_is_found(operation: &str, subject: &str) {
    let harness = Harness::builder().denying(operation).start().await;
    harness.put("a", &sample(3, 5), 1);
    finds(&harness, subject, &["s3:PutObject below batch/"]).await;
    assert!(harness.keys().contains(&key("a")) && harness.rows("cms_group").await.is_empty());
}

cases! {
    async every_right_in_s3_that_lacks_is_found_and_named: right_is_found {
        list("ListObjectsV2", "S3: list");
        read("GetObject", "S3: read");
        write("PutObject", "S3: write");
        copy("CopyObject", "S3: copy and delete");
        delete("DeleteObject", "S3: copy and delete");
    }
}

/// The SDK only reports that there are no credentials.
#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_is_not_there_is_named() {
    let harness = Harness::builder()
        .env("AWS_ACCESS_KEY_ID", "")
        .env("AWS_SECRET_ACCESS_KEY", "")
        .env("AWS_SESSION_TOKEN", "")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_PROFILE", "mistyped")
        .start()
        .await;
    let (code, told) = check(&harness).await;
    assert!(code != Some(0) && told.contains("AWS_PROFILE names mistyped"), "{code:?} {told}");
}

/// If the source of credentials is unreachable, the error is temporary. If there are no credentials, it is
/// lasting.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_could_not_be_asked_for_are_not_taken_for_absent_ones() {
    let without_keys = || {
        Harness::builder()
            .env("AWS_ACCESS_KEY_ID", "")
            .env("AWS_SECRET_ACCESS_KEY", "")
            .env("AWS_SESSION_TOKEN", "")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_MAX_ATTEMPTS", "2")
    };
    let nobody = "http://127.0.0.1:1/credentials";
    let unanswered = without_keys().env("AWS_CONTAINER_CREDENTIALS_FULL_URI", nobody).start().await;
    let (code, told) = check(&unanswered).await;
    assert!(
        code == Some(3) && told.contains("the provider of the AWS credentials did not answer"),
        "{code:?} {told}"
    );
    let absent = without_keys().start().await;
    let (code, told) = check(&absent).await;
    assert!(code == Some(3) && told.contains("no usable AWS credentials"), "{code:?} {told}");
}

/// HEAD does not show that S3 refuses to return the archive.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_s3_does_not_give_out_is_found_and_named() {
    let harness = Harness::start().await;
    harness.put("a", &sample(3, 5), 1);
    let refused = s3::Action::Refuse(403, "InvalidObjectState".to_owned());
    harness.stack.s3.inject(s3::Fault::on("GetObject", ".tgz", refused));
    finds(&harness, "S3: read", &["InvalidObjectState", "restore-object"]).await;
}
