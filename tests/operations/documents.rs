//! Tests documents whose commands need little. Each command is run as it is printed.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use devstack::dataset::Dataset;
use devstack::samples::{Member, archive};
use devstack::stack::uploader_keys;

use super::page::Section;
use super::reader::Reader;
use crate::harness::{Harness, PROGRAM, SHIPPED, expected, key, members, moment, moto, sample, temporary};

/// Runs a line in a shell that knows the program and no variables.
fn shell(line: &str, directory: &Path) -> Output {
    let path = [Path::new(PROGRAM).parent().unwrap(), "/usr/bin".as_ref(), "/bin".as_ref()];
    let path = std::env::join_paths(path).unwrap();
    Command::new("bash")
        .args(["-c", line])
        .current_dir(directory)
        .env_clear()
        .env("PATH", path)
        .output()
        .unwrap()
}

#[test]
fn an_exporter_validates_a_file_and_standard_input() {
    let directory = temporary();
    let place = directory.path();
    fs::write(place.join("cmslite_user_group_metadata.json"), SHIPPED).unwrap();
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/ddl/tables.sql"), place.join("tables.sql")).unwrap();
    fs::write(place.join("export.tgz"), sample(1, 5)).unwrap();
    assert!(shell("tar -xzf export.tgz", place).status.success());
    for line in [
        Section::of("how-to/validate-before-upload.md", "Validate archives before the upload")
            .take("export.tgz --ddl"),
        Section::of("how-to/validate-before-upload.md", "What it says").take("tar -cz"),
    ] {
        let output = shell(line, place);
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("cmslite.cms_group: 5 rows"), "{line}: {output:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_loads_the_queue_on_any_machine() {
    let mut reader = Reader::start(SHIPPED).await;
    reader.harness.put("2024-03-01", &sample(1, 6), 10);
    let load = Section::of("how-to/run-without-lambda.md", "On a machine").take("load");
    let told = reader.run(load).await;
    assert!(told.contains(&key("2024-03-01")), "{told}");
    assert_eq!(reader.harness.tables().await, expected(&members(1, 6)));
}

/// Readers see the tables and the ledger, and cannot delay a load with the lock table.
#[tokio::test(flavor = "multi_thread")]
async fn readers_get_their_rights_and_no_more() {
    let harness = Harness::start().await;
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 4), 10)).await);
    // Groups belong to the whole cluster, which other tests use too.
    let statement = |line: &str| line.replace("analysts", "readers_of_a_test");
    let mut section = Section::of("how-to/give-readers-access.md", "The tables");
    for part in ["CREATE GROUP", "USAGE", "ALL TABLES", "REVOKE ALL"] {
        harness.admin(&statement(section.take(part))).await;
    }
    harness
        .admin(&statement(
            Section::of("how-to/give-readers-access.md", "The ledger").take("load_ledger_tables"),
        ))
        .await;
    let may = |table: &str, right: &str| {
        format!("SELECT has_table_privilege('readers_of_a_test', 'cmslite.{table}', '{right}')")
    };
    for (table, right, expected) in [
        ("user_group", "SELECT", "t"),
        ("load_ledger", "SELECT", "t"),
        ("load_ledger_tables", "SELECT", "t"),
        ("load_ledger_lock", "SELECT", "f"),
        ("user_group", "INSERT", "f"),
    ] {
        assert_eq!(harness.query(&may(table, right)).await, [[Some(expected.to_owned())]], "{right} {table}");
    }
    harness.admin("DROP OWNED BY readers_of_a_test; DROP ROLE readers_of_a_test").await;
}

/// Does what `devstack serve --dataset` does: it creates a bucket, tables and permissions for a new dataset.
#[tokio::test(flavor = "multi_thread")]
async fn a_stack_is_made_for_a_dataset_of_ones_own() {
    let harness = Harness::start().await;
    let directory = temporary();
    let place = directory.path();
    let config = r#"{"bucket": "club-data", "source": "client", "destination": "processed", "directory": "club",
        "doc": "club_.*", "schema": "club", "truncate": true, "delim": ",",
        "files": {"members": {"dbtable": "members", "column_count": 2, "columns": ["id", "joined"],
                              "dateformat": [{"field": "joined", "format": "%Y-%m-%d"}]}}}"#;
    fs::write(place.join("club.json"), config).unwrap();
    fs::write(
        place.join("club.sql"),
        "CREATE TABLE club.members (id VARCHAR(9) NOT NULL ENCODE ZSTD, joined TIMESTAMP)",
    )
    .unwrap();
    let dataset = Dataset::read(&place.join("club.json")).unwrap();
    dataset.set_up(&harness.stack, &place.join("club.sql")).await.unwrap();
    let archive = archive(&[Member::new("members.csv", "id,joined\n007,2024-02-29\n")]).unwrap();
    let key = format!("{}club_1.tgz", dataset.prefix);
    harness.stack.s3.put_at(&dataset.bucket, &key, &archive, moment(10)).unwrap();

    let environment = harness.stack.function_environment();
    let output = Command::new(PROGRAM)
        .args(["load", "club.json"])
        .current_dir(place)
        .env_clear()
        .envs(environment)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let rows = harness.query("SELECT * FROM club.members").await;
    assert_eq!(rows, [[Some("007".to_owned()), Some("2024-02-29 00:00:00".to_owned())]]);
    assert_eq!(dataset.tables, ["club.members"]);
}

/// From an export to rows and a page, as a newcomer does it.
#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_gets_from_an_export_to_rows() {
    let harness = Harness::start().await;
    let directory = temporary();
    let place = directory.path();
    let environment: Vec<String> = harness
        .stack
        .environment(&uploader_keys())
        .iter()
        .map(|(name, value)| ["export ", name, "='", value, "'\n"].concat())
        .collect();
    fs::write(place.join("devstack.env"), environment.concat()).unwrap();
    let aws = moto::aws();
    let path =
        [Path::new(PROGRAM).parent().unwrap(), aws.parent().unwrap(), "/usr/bin".as_ref(), "/bin".as_ref()];
    let path = std::env::join_paths(path).unwrap();
    let run = |line: &str| {
        let mut command = Command::new("bash");
        command.args(["-c", &format!("if [ -f ready ]; then . ./devstack.env; fi\n{line}")]);
        command.current_dir(place).env_clear().env("PATH", &path).env("HOME", place).output().unwrap()
    };
    let well = |line: &str| {
        let output = run(line);
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };

    let mut section = Section::of("get-started.md", "2. Make an export of your own");
    for part in ["members.csv", "visits.csv", "tar -czf"] {
        well(section.take(part));
    }
    well(Section::of("get-started.md", "3. Let it guess a configuration").take("init"));
    let mut section = Section::of("get-started.md", "4. Check before you load");
    well(section.take("check --offline"));
    let told = well(section.take("validate"));
    assert!(told.contains("members: 2 rows") && told.contains("visits: 3 rows"), "{told}");

    // Step 5: what `devstack serve --dataset` does.
    let dataset = Dataset::read(&place.join("club.json")).unwrap();
    dataset.set_up(&harness.stack, &place.join("club.sql")).await.unwrap();
    let load = |name: &str| {
        let archive = fs::read(place.join(name)).unwrap();
        let key = format!("{}{name}", dataset.prefix);
        harness.stack.s3.put_at(&dataset.bucket, &key, &archive, moment(10)).unwrap();
    };
    load("club_2026-11-02.tgz");
    fs::write(place.join("ready"), "").unwrap();
    well("cmslite-user-data-to-redshift load club.json");

    let mut section = Section::of("get-started.md", "6. Look at it");
    well(section.take("devstack.env"));
    let told = well(section.take("status"));
    assert!(told.contains("good 1") && told.contains("5 rows"), "{told}");
    well(section.take("--html"));
    let page = fs::read_to_string(place.join("club.html")).unwrap();
    assert!(page.contains("club_2026-11-02.tgz"), "{page}");

    let mut section = Section::of("get-started.md", "7. Break it");
    for part in ["printf", "tar -czf"] {
        well(section.take(part));
    }
    let output = run(section.take("validate"));
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.code() == Some(1) && told.contains("members.csv, line 2, column joined"),
        "{output:?}"
    );
    well(section.take("aws s3 cp"));
    assert_eq!(run("cmslite-user-data-to-redshift load club.json").status.code(), Some(1));
    let told = well(section.take("status"));
    assert!(told.contains("bad 1") && told.contains("good 1"), "{told}");
}
