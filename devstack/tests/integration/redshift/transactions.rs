//! Tests transactions, isolation, time limits and cancellation.
//!
//! Each test names the document that it follows; a bare `x.md` is a page of the Amazon Redshift Database
//! Developer Guide.

use devstack::redshift::Isolation;
use tokio_postgres::NoTls;

use super::support::{LIMIT, code, stack, stack_with};

/// "TRUNCATE commits the transaction in which it is run" (`r_TRUNCATE.md`).
#[tokio::test]
async fn truncate_commits() {
    let stack = stack().await;
    let session = stack.session().await;
    session.run("CREATE TABLE t (id INT); CREATE TABLE u (id INT); INSERT INTO t VALUES (1)").await;
    session.run("BEGIN; INSERT INTO u VALUES (1); TRUNCATE t; ROLLBACK").await;
    assert_eq!(session.only_row("SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM u)").await, "0|1");
    session.run("INSERT INTO t VALUES (1); BEGIN; INSERT INTO u VALUES (2)").await;
    session.client.execute("TRUNCATE TABLE t", &[]).await.unwrap();
    session.run("ROLLBACK").await;
    assert_eq!(session.only_row("SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM u)").await, "0|2");
}

/// DELETE is transactional (`r_DELETE.md`). A statement that the stand-in itself refuses makes the
/// transaction fail, like any other failed statement.
#[tokio::test]
async fn a_refusal_fails_the_transaction() {
    let stack = stack().await;
    let session = stack.session().await;
    session.run("CREATE TABLE t (id INT); INSERT INTO t VALUES (1)").await;
    session.run("BEGIN; DELETE FROM t").await;
    session.refused("CREATE INDEX i ON t (id)").await;
    assert_eq!(session.refused("SELECT 1").await.0, "25P02");
    assert_eq!(session.refused("CREATE INDEX i ON t (id)").await.0, "25P02");
    session.run("ROLLBACK").await;
    assert_eq!(session.only_row("SELECT count(*) FROM t").await, "1");
    session.run("BEGIN; DELETE FROM t").await;
    assert_eq!(
        code(&session.client.execute("COPY t FROM 's3://b/k' CSV NULL AS $1", &[]).await.unwrap_err()),
        "42601"
    );
    assert_eq!(session.refused("SELECT 1").await.0, "25P02");
    session.run("ROLLBACK").await;
    assert_eq!(session.only_row("SELECT count(*) FROM t").await, "1");
}

/// Two transactions that each read what the other writes are a violation under SERIALIZABLE
/// (`c_serial_isolation.md`). On the wire, it is XX000 with the message `1023` (aws/aws-sdk-pandas#665).
#[tokio::test]
async fn a_serializable_violation_is_1023() {
    let (error, sum) = write_skew(Isolation::Serializable).await;
    let error = error.unwrap();
    assert_eq!((code(&error).as_str(), error.as_db_error().unwrap().message()), ("XX000", "1023"));
    assert!(
        error
            .as_db_error()
            .unwrap()
            .detail()
            .unwrap()
            .starts_with("Serializable isolation violation on table")
    );
    assert_eq!(sum, "1");
}

/// SNAPSHOT lets both transactions commit (`r_CREATE_DATABASE.md` and `live/c_serial_isolation`).
#[tokio::test]
async fn snapshot_isolation_permits_write_skew() {
    let (error, sum) = write_skew(Isolation::Snapshot).await;
    assert!(error.is_none());
    assert_eq!(sum, "2");
}

/// Runs two transactions, each of which writes to the table that the other has read. Returns the error of the
/// second one's COMMIT, and the number of rows written.
async fn write_skew(isolation: Isolation) -> (Option<tokio_postgres::Error>, String) {
    let stack = stack_with(|options| options.isolation = isolation).await;
    let (one, two) = (stack.session().await, stack.session().await);
    one.run("CREATE TABLE a (id INT); CREATE TABLE b (id INT)").await;
    // "BEGIN's levels all map to the same" (r_BEGIN.md).
    one.run("BEGIN ISOLATION LEVEL READ COMMITTED; SELECT count(*) FROM a; INSERT INTO b VALUES (1)").await;
    two.run(
        "START TRANSACTION ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM b; INSERT INTO a VALUES (1)",
    )
    .await;
    one.run("COMMIT").await;
    let error = two.client.batch_execute("COMMIT").await.err();
    let sum = one.only_row("SELECT (SELECT count(*) FROM a) + (SELECT count(*) FROM b)").await;
    (error, sum)
}

/// The snapshot is taken at the first statement after BEGIN that reads (`c_serial_isolation.md`). So a reader
/// that waited for LOCK (ACCESS EXCLUSIVE, `r_LOCK.md`) sees the rows that the holder committed.
#[tokio::test]
async fn lock_comes_before_the_snapshot() {
    let stack = stack().await;
    let (one, two) = (stack.session().await, stack.session().await);
    one.run("CREATE TABLE ledger (id INT); BEGIN; LOCK ledger; INSERT INTO ledger VALUES (1)").await;
    let waiting = tokio::spawn(async move {
        two.run("BEGIN; LOCK ledger").await;
        two.only_row("SELECT count(*) FROM ledger").await
    });
    one.until("SELECT count(*) FROM pg_locks WHERE relation = 'ledger'::regclass AND NOT granted", "1").await;
    assert!(!waiting.is_finished());
    one.run("COMMIT").await;
    assert_eq!(waiting.await.unwrap(), "1");
}

/// The limit is in milliseconds; the error reads `Query (150) canceled on user's request`
/// (`r_statement_timeout.md`).
#[tokio::test]
async fn statement_timeout_cancels_a_query() {
    let stack = stack().await;
    let session = stack.session().await;
    session.run("SET statement_timeout TO 100").await;
    let (code, message) = session.refused("SELECT pg_sleep(3600)").await;
    assert_eq!(code, "57014");
    let number =
        message.strip_prefix("Query (").and_then(|rest| rest.strip_suffix(") canceled on user's request"));
    assert!(number.is_some_and(|number| number.parse::<u64>().is_ok()), "{message}");
}

/// A client's cancel request reaches the query.
#[tokio::test]
async fn a_cancel_request_is_passed_on() {
    let stack = stack().await;
    let session = stack.session().await;
    let other = stack.session().await;
    let cancel = session.client.cancel_token();
    let cancelled = async {
        let running = "SELECT count(*) FROM pg_stat_activity \
            WHERE datname = current_database() AND state = 'active' AND query LIKE 'SELECT pg_sleep%'";
        other.until(running, "1").await;
        cancel.cancel_query(NoTls).await.unwrap();
    };
    let both = async { tokio::join!(session.refused("SELECT pg_sleep(3600)"), cancelled) };
    let (refused, ()) = tokio::time::timeout(LIMIT, both).await.expect("the query is not cancelled");
    assert_eq!(refused.0, "57014");
}

/// The views show the holder of a lock. A user sees only the user's own transactions, a superuser all
/// (`r_SVV_TRANSACTIONS.md`, `r_STV_LOCKS.md`).
#[tokio::test]
async fn locks_are_shown_to_those_who_may_see_them() {
    let stack = stack().await;
    let session = stack.session().await;
    session.run("CREATE TABLE t (id INT); BEGIN; LOCK t").await;
    let pid = session.only_row("SELECT pg_backend_pid()").await;
    let held = "SELECT pid, txn_owner, lock_mode, txn_start <= SYSDATE FROM svv_transactions t JOIN pg_class c ON c.oid = t.relation \
                WHERE t.granted AND lockable_object_type = 'relation' AND c.relname = 't'";
    let owner = session.only_row("SELECT current_user").await;
    let shown = format!("{pid}|{owner}|AccessExclusiveLock|t");
    assert_eq!(session.only_row(held).await, shown);
    let other = stack.session().await;
    assert_eq!(other.only_row(held).await, shown);
    assert_eq!(
        other.only_row("SELECT count(*) FROM svv_transactions WHERE lockable_object_type = 'transactionid' AND granted").await,
        "2"
    );
    assert_eq!(other.only_row("SELECT count(*) FROM stv_locks WHERE lock_owner_pid IS NOT NULL AND lock_owner_end_ts IS NULL").await, "1");
    let analyst = stack.session_of("analyst", "look").await;
    assert_eq!(analyst.only_row(&format!("SELECT count(*) FROM ({held}) h")).await, "0");
    assert_eq!(analyst.refused("SELECT * FROM stv_locks").await.0, "42501");
    session.run("ROLLBACK").await;
    assert_eq!(other.only_row(&format!("SELECT count(*) FROM ({held}) h")).await, "0");
}
