//! Tests faults that are injected into the stand-in.
//!
//! Each test names the document that it follows; a bare `x.md` is a page of the Amazon Redshift Database
//! Developer Guide.

use std::time::{Duration, Instant};

use devstack::redshift::{Action, Fault, Gate};

use crate::case;

use super::support::{LIMIT, Session, Stack, code, stack};

async fn with_table() -> (Stack, Session) {
    let stack = stack().await;
    let session = stack.session().await;
    session.run("CREATE TABLE t (id INT)").await;
    (stack, session)
}

#[tokio::test]
async fn a_connection_breaks_before_or_after_commit() {
    let (stack, session) = with_table().await;
    for (name, action, rows) in [("before", Action::CutBefore, "0"), ("after", Action::CutAfter, "1")] {
        case(name);
        let victim = stack.session().await;
        stack.redshift.inject(Fault::on("COMMIT", action).times(1));
        let error = victim.client.batch_execute("BEGIN; INSERT INTO t VALUES (1); COMMIT").await.unwrap_err();
        assert!(error.is_closed() || error.code().is_none(), "{error:?}");
        session.run("BEGIN; LOCK t; ROLLBACK").await;
        assert_eq!(session.only_row("SELECT count(*) FROM t").await, rows);
    }
    session.run("BEGIN; COMMIT").await;
}

#[tokio::test]
async fn a_cut_after_a_prepared_statement_leaves_it_done() {
    let (stack, session) = with_table().await;
    let victim = stack.session().await;
    stack.redshift.inject(Fault::on("INSERT", Action::CutAfter).times(1));
    assert!(victim.client.execute("INSERT INTO t VALUES ($1)", &[&1_i32]).await.is_err());
    assert_eq!(session.only_row("SELECT count(*) FROM t").await, "1");
    stack
        .redshift
        .inject(Fault::on("INSERT", Action::Refuse("XX000".to_owned(), "on demand".to_owned())).times(1));
    let error = session.client.execute("INSERT INTO t VALUES ($1)", &[&1_i32]).await.unwrap_err();
    assert_eq!((code(&error).as_str(), error.as_db_error().unwrap().message()), ("XX000", "on demand"));
    assert_eq!(session.client.execute("INSERT INTO t VALUES ($1)", &[&1_i32]).await.unwrap(), 1);
}

#[tokio::test]
async fn a_statement_is_refused_once_and_after_some() {
    let (stack, session) = with_table().await;
    stack.redshift.inject(
        Fault::on("insert into T", Action::Refuse("XX000".to_owned(), "1023".to_owned())).after(1).times(1),
    );
    session.run("BEGIN; INSERT INTO t VALUES (1)").await;
    assert_eq!(session.refused("INSERT INTO t VALUES (2)").await, ("XX000".to_owned(), "1023".to_owned()));
    assert_eq!(session.refused("SELECT 1").await.0, "25P02");
    session.run("ROLLBACK; INSERT INTO t VALUES (3)").await;
    assert_eq!(session.rows("SELECT id FROM t").await, ["3"]);
}

#[tokio::test]
async fn a_statement_waits_or_lets_something_else_happen_first() {
    let (stack, session) = with_table().await;
    stack.redshift.inject(Fault::on("SELECT 1", Action::Delay(Duration::from_millis(300))).times(1));
    let begun = Instant::now();
    session.only_row("SELECT 1").await;
    assert!(begun.elapsed() >= Duration::from_millis(300));

    let gate = Gate::new();
    stack.redshift.inject(Fault::on("INSERT", Action::Wait(gate.clone())).times(1));
    let other = stack.session().await;
    let waiting = tokio::spawn(async move { other.run("INSERT INTO t VALUES (1)").await });
    tokio::time::timeout(LIMIT, gate.reached()).await.unwrap();
    assert_eq!(session.only_row("SELECT count(*) FROM t").await, "0");
    gate.open();
    waiting.await.unwrap();
    assert_eq!(session.only_row("SELECT count(*) FROM t").await, "1");
}

#[tokio::test]
async fn a_statement_or_a_connection_is_never_answered() {
    let (stack, session) = with_table().await;
    let wait = Duration::from_millis(300);
    stack.redshift.inject(Fault::on("INSERT", Action::Silence).times(1));
    let other = stack.session().await;
    assert!(tokio::time::timeout(wait, other.run("INSERT INTO t VALUES (1)")).await.is_err());
    stack.redshift.inject(Fault::on_connection(None).times(1));
    assert!(tokio::time::timeout(wait, stack.session()).await.is_err());

    let gate = Gate::new();
    stack.redshift.inject(Fault::on_connection(Some(gate.clone())).times(1));
    let mut connecting = std::pin::pin!(stack.session());
    tokio::select! {
        _ = &mut connecting => panic!("it did not wait"),
        () = gate.reached() => {}
    }
    gate.open();
    connecting.await.run("INSERT INTO t VALUES (2)").await;
    assert_eq!(session.rows("SELECT id FROM t").await, ["2"]);
}
