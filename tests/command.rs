//! The command: its exit statuses, its report, its log; and that neither it nor the function tells a secret.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at what it did not expect"
)]

mod support;

use std::fs;

use devstack::lambda::Outcome;
use devstack::redshift::{Action, Fault};
use devstack::stack::{LOADER_PASSWORD, function_keys};
use serde_json::json;
use support::{Setup, World, expected, key, members, sample, sample_with, world};

async fn load(world: &World) -> (Option<i32>, String, String) {
    let config = world.config_file();
    let (output, directory) = world.command(&["load", config.to_str().unwrap()]).await;
    let log = fs::read_to_string(directory.path().join("logs/cmslite_user_data_to_redshift.log"))
        .unwrap_or_default();
    (output.status.code(), String::from_utf8(output.stdout).unwrap(), log)
}

#[tokio::test(flavor = "multi_thread")]
async fn load_works_through_the_queue_and_reports() {
    let world = Setup::appending().start().await;
    world.put("a", &sample(1, 5), 1);
    world.put("b", &sample(2, 6), 2);
    let (status, stdout, log) = load(&world).await;
    assert_eq!(status, Some(0), "{stdout}");
    assert!(
        stdout.contains("Objects good:       2") && stdout.contains("cmslite.user_group: 6 rows"),
        "{stdout}"
    );
    assert_eq!(world.rows("user_group").await.len(), 11);
    let line = regex::Regex::new(
        r"(?m)^INFO:cmslite_user_data_to_redshift::\w+:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}:\S",
    )
    .unwrap();
    assert!(line.is_match(&log), "{log}");
    assert!(log.contains("DEBUG:") && !stdout.contains("DEBUG:"));
}

#[tokio::test(flavor = "multi_thread")]
async fn load_stops_at_a_bad_archive_with_status_1() {
    let world = Setup::appending().start().await;
    world.put("a", b"no archive", 1);
    world.put("b", &sample(2, 6), 2);
    let (status, stdout, _) = load(&world).await;
    assert_eq!(status, Some(1));
    assert!(stdout.contains("corrupt") || stdout.contains("not a sound gzip file"), "{stdout}");
    assert!(stdout.contains("Not processed:\n    client/cmslite_gdx/cms-analytics-csv_b.tgz"), "{stdout}");
    assert_eq!(load(&world).await.0, Some(0));
    assert_eq!(world.tables().await, expected(&members(2, 6)));
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_of_usage_and_configuration_are_status_2_and_other_failures_3() {
    let world = world().await;
    assert_eq!(world.command(&["load"]).await.0.status.code(), Some(2));
    assert_eq!(world.command(&["load", "/nonexistent.json"]).await.0.status.code(), Some(2));
    let wrong = Setup::default().with("PGPORT", "x").start().await;
    assert_eq!(load(&wrong).await.0, Some(2));
    let refused = Setup::default().with("pgpass", "wrong").start().await;
    refused.put("a", &sample(1, 1), 1);
    assert_eq!(load(&refused).await.0, Some(3));
    world.stack.redshift.inject(Fault::on("COPY", Action::CutBefore));
    world.put("a", &sample(1, 1), 1);
    assert_eq!(load(&world).await.0, Some(3));
}

/// Passwords, keys and tokens, in whatever goes well or wrong, at every level.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_any_log() {
    let keys = function_keys();
    let token = keys.session_token.unwrap();
    let secrets = [LOADER_PASSWORD, &keys.secret_access_key, &token, &keys.access_key_id];
    let trace = [("RUST_LOG", "trace"), ("AWS_LAMBDA_LOG_LEVEL", "TRACE"), ("RUST_BACKTRACE", "1")];
    let mut said = Vec::new();
    for fault in
        [None, Some(Action::CutBefore), Some(Action::Refuse("42601".to_owned(), "syntax error".to_owned()))]
    {
        let setup = trace.iter().fold(Setup::appending(), |setup, (name, value)| setup.with(name, *value));
        let world = setup.start().await;
        if let Some(action) = fault {
            world.stack.redshift.inject(Fault::on("COPY", action));
        }
        let archive = world.put("a", &sample(1, 5), 1);
        said.push(format!("{:?}", world.invoke(&archive).await));
        said.push(world.log().await);
        let (_, stdout, log) = load(&world).await;
        assert!(world.log().await.contains("archive begun") && log.contains("queue read"));
        said.extend([stdout, log]);
        said.extend(world.stack.redshift.statements().into_iter().map(|statement| statement.sql));
    }
    let refused = Setup::default().with("pgpass", "a-wrong-Passw0rd").start().await;
    let archive = refused.put("a", &sample(1, 5), 1);
    said.push(format!("{:?}", refused.invoke(&archive).await));
    said.push(refused.log().await);
    for text in said {
        for secret in secrets.iter().chain(&["a-wrong-Passw0rd"]) {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
}

async fn again(world: &World, name: &str) -> (Option<i32>, String) {
    let config = world.config_file();
    let (output, _) = world.command(&["load", config.to_str().unwrap(), "--again", &key(name)]).await;
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_loaded_again_on_purpose_only() {
    let world = Setup::appending().start().await;
    world.put("a", &sample(1, 5), 1);
    assert_eq!(load(&world).await.0, Some(0));
    assert_eq!(load(&world).await.0, Some(0));
    assert_eq!(world.rows("user_group").await.len(), 5);
    let (status, stdout) = again(&world, "a").await;
    assert_eq!(status, Some(0), "{stdout}");
    assert!(stdout.contains("cmslite.user_group: 5 rows"), "{stdout}");
    assert_eq!(world.rows("user_group").await.len(), 10);
    assert_eq!(world.ledger().await, [key("a"), key("a")]);

    // The same through Lambda; the answer to COMMIT is lost, and what was loaded once is not loaded twice for
    // that.
    world.stack.redshift.inject(Fault::on("COMMIT", Action::CutAfter).times(1));
    let event = json!({"dataset": "cmslite_user_group_metadata", "key": key("a"), "again": true});
    let report = World::report(world.lambda.invoke(event).await);
    assert_eq!(report["objects_good"], json!(1));
    assert_eq!(world.rows("user_group").await.len(), 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_was_bad_is_tried_again_without_another_upload() {
    let world = world().await;
    world.admin("ALTER TABLE cmslite.cms_group ALTER COLUMN name TYPE VARCHAR(1)").await;
    world.put("a", &sample(1, 5), 1);
    assert_eq!(load(&world).await.0, Some(1));
    world.admin("ALTER TABLE cmslite.cms_group ALTER COLUMN name TYPE VARCHAR(255)").await;
    assert_eq!(load(&world).await.0, Some(0));
    assert!(world.is_bad("a"));
    assert_eq!(again(&world, "a").await.0, Some(0));
    assert!(world.is_good("a") && !world.is_bad("a"));
    assert_eq!(world.tables().await, expected(&members(1, 5)));
}

#[tokio::test(flavor = "multi_thread")]
async fn loading_again_breaks_no_order() {
    let world = world().await;
    world.put("a", &sample(1, 5), 1);
    world.put("b", &sample(2, 6), 2);
    assert_eq!(load(&world).await.0, Some(0));
    for (name, reason) in
        [("a", "is newer, and only the newest archive may be loaded"), ("z", "there is no archive")]
    {
        let (status, stdout) = again(&world, name).await;
        assert_eq!(status, Some(2));
        assert!(stdout.contains(reason), "{stdout}");
    }
    assert_eq!(world.tables().await, expected(&members(2, 6)));
    // What the tables lost by another hand is put back.
    world.admin("DELETE FROM cmslite.user_group").await;
    assert_eq!(again(&world, "b").await.0, Some(0));
    assert_eq!(world.tables().await, expected(&members(2, 6)));

    let appending = Setup::appending().start().await;
    appending.put("a", &sample(1, 5), 1);
    appending.put("b", &sample(2, 6), 2);
    let (status, stdout) = again(&appending, "b").await;
    assert_eq!(status, Some(2));
    assert!(stdout.contains("cms-analytics-csv_a.tgz waits before it in the queue"), "{stdout}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_no_ledger_is_refused_before_anything_is_staged() {
    let world = world().await;
    world.admin("CREATE TABLE cmslite.load_ledger (dataset varchar(255), key varchar(20), note text)").await;
    world.admin("GRANT ALL ON cmslite.load_ledger TO cmslite_loader").await;
    let Outcome::Failed { error_type, message } = world.invoke(&world.put("a", &sample(1, 5), 1)).await
    else {
        panic!("it loaded")
    };
    assert_eq!(error_type, "Deployment.SchemaMismatch");
    let told = "cmslite.load_ledger is not a ledger of this program: bucket is missing, key is character varying(20) instead of VARCHAR(1024)";
    assert!(
        message.starts_with(told)
            && message.contains("note is none of a ledger's")
            && message.contains("ddl/ledger.sql"),
        "{message}"
    );
    assert!(world.keys().iter().all(|key| key.starts_with("client/")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_help_names_every_variable_and_what_to_do_first() {
    let world = world().await;
    let help = String::from_utf8(world.command(&["--help"]).await.0.stdout).unwrap();
    let readme = include_str!("../README.md");
    let variables = readme
        .split("| variable | meaning |")
        .nth(1)
        .unwrap()
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let names: Vec<&str> =
        variables.flat_map(|line| line.split('|').nth(1).unwrap().split('`').skip(1).step_by(2)).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names.into_iter().filter(|name| !["pguser", "verify-full"].contains(name)) {
        assert!(help.contains(name), "{name} is not in {help}");
    }
    for action in ["check", "load", "status"] {
        assert!(help.contains(&format!("\n  {action} CONFIG")), "{help}");
        let told = String::from_utf8(world.command(&[action, "--help"]).await.0.stdout).unwrap();
        assert!(told.contains("Usage: ") && told.contains("<CONFIG>"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_reads_everything_and_changes_nothing() {
    let world = Setup::appending().with("PGHOST", "").with("pgpass", "").start().await;
    world.put("a", &sample(1, 5), 1);
    world.put("b", &sample_with("analytics_group.csv", "id,name,active,site_key\n1,x\n"), 2);
    world.put("c", b"no archive", 3);
    world.put("d", &sample(2, 6), 4);
    let before = world.keys();
    let config = world.config_file();
    let (output, _) = world.command(&["load", config.to_str().unwrap(), "--dry-run"]).await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    for line in [
        "good  client/cmslite_gdx/cms-analytics-csv_a.tgz\n          cmslite.cms_group: 5 rows",
        "BAD   client/cmslite_gdx/cms-analytics-csv_b.tgz\n      analytics_group.csv, line 2: the row has 2 of 4 columns",
        "BAD   client/cmslite_gdx/cms-analytics-csv_c.tgz\n      archive: the archive is not a sound gzip file",
        "good  client/cmslite_gdx/cms-analytics-csv_d.tgz\n          cmslite.cms_group: 6 rows",
        "Nothing was staged, loaded or settled.",
    ] {
        assert!(told.contains(line), "{line:?} is not in {told}");
    }
    let (output, _) = world
        .command(&["load", config.to_str().unwrap(), "--dry-run", "--limit", "1", "--until", &key("c")])
        .await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    let rest = ["b", "c"].map(|name| format!("  not read, beyond --limit: {}\n", key(name))).concat();
    assert!(
        told.contains("good  ") && told.contains(&(rest + "  Nothing was")) && !told.contains("BAD"),
        "{told}"
    );
    assert_eq!(world.keys(), before);
    assert!(world.stack.redshift.statements().is_empty());
    world.stack.s3.empty_bucket(devstack::stack::BUCKET);
    world.put("a", &sample(1, 5), 1);
    assert_eq!(
        world.command(&["load", config.to_str().unwrap(), "--dry-run"]).await.0.status.code(),
        Some(0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_and_a_last_key_leave_the_rest_in_the_queue() {
    let world = Setup::appending().start().await;
    for (n, name) in ["a", "b", "c", "d"].iter().enumerate() {
        world.put(name, &sample(n as u64, 2), n as i64);
    }
    let config = world.config_file();
    let config = config.to_str().unwrap();
    let (output, _) = world.command(&["load", config, "--limit", "1"]).await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(told.contains("Not processed:\n    client/cmslite_gdx/cms-analytics-csv_b.tgz\n"), "{told}");
    assert_eq!(world.ledger().await, [key("a")]);
    assert_eq!(world.command(&["load", config, "--until", &key("c")]).await.0.status.code(), Some(0));
    assert_eq!(world.ledger().await, ["a", "b", "c"].map(key));
    assert_eq!(
        world.command(&["load", config, "--until", &key("c"), "--again", &key("c")]).await.0.status.code(),
        Some(2)
    );
}

/// Asked to stop while it loads the first of two archives, it ends in good order, and the next run goes on.
#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_stops_before_the_next_step() {
    for (signal, statement) in [("-INT", "COPY"), ("-TERM", "COMMIT")] {
        let world = Setup::appending().start().await;
        world.put("a", &sample(1, 5), 1);
        world.put("b", &sample(2, 6), 2);
        let gate = devstack::redshift::Gate::new();
        world.stack.redshift.inject(Fault::on(statement, Action::Wait(gate.clone())).times(1));
        let directory = tempfile::tempdir().unwrap();
        let mut command = tokio::process::Command::new(support::PROGRAM);
        command
            .args(["load", world.config_file().to_str().unwrap()])
            .current_dir(directory.path())
            .env_clear();
        command
            .envs(world.environment.iter().map(|(name, value)| (name, value)))
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true);
        let child = command.spawn().unwrap();
        let pid = child.id().unwrap().to_string();
        gate.reached().await;
        assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        gate.open();
        let output = tokio::time::timeout(std::time::Duration::from_secs(30), child.wait_with_output())
            .await
            .expect("it goes on")
            .unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(3), "{told}");
        assert!(
            told.contains("stopping before the next step") && told.contains("Retryable.Interrupted"),
            "{told}"
        );
        // What was begun to be committed is committed and settled; else nothing is.
        let committed = statement == "COMMIT";
        assert_eq!(
            (world.ledger().await.len(), world.is_good("a")),
            (usize::from(committed), committed),
            "{told}"
        );
        assert_eq!(load(&world).await.0, Some(0));
        assert_eq!(world.ledger().await, [key("a"), key("b")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shells_are_told_how_to_complete_the_command() {
    let world = world().await;
    for shell in ["bash", "zsh", "fish"] {
        let (output, _) = world.command(&["completions", shell]).await;
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success()
                && script.contains("dry-run")
                && script.contains("cmslite-user-data-to-redshift"),
            "{script}"
        );
    }
}
