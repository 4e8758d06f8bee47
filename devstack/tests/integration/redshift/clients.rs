//! Tests the stand-in with clients that people use: `psql`, psycopg, and AWS's own Python driver, all with
//! `verify-full`.

use std::path::PathBuf;
use std::process::{Command, Output};

use devstack::python;
use devstack::redshift::Auth;

use super::support::{BUCKET, KEYS, Stack, postgres, stack, stack_with};

/// Returns the path of the `psql` of the tests' own PostgreSQL, or else `psql` in PATH.
async fn psql() -> PathBuf {
    let own = postgres().await.bin_directory().join("psql");
    if own.is_file() { own } else { PathBuf::from("psql") }
}

/// Runs a client with the login in its environment. This process answers the client, so it must not block.
async fn run(stack: &Stack, mut command: Command) -> Output {
    let certificates = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(certificates.path(), stack.redshift.ca_pem()).unwrap();
    command
        .env("PGHOST", "localhost")
        .env("PGPORT", stack.redshift.port().to_string())
        .env("PGDATABASE", &stack.database)
        .env("PGUSER", "loader")
        .env("PGPASSWORD", "load")
        .env("PGSSLMODE", "verify-full")
        .env("PGSSLROOTCERT", certificates.path())
        .env("PGCONNECT_TIMEOUT", "120");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    drop(certificates);
    output
}

fn copy(key: &str) -> String {
    format!("COPY t FROM 's3://{BUCKET}/{key}' {KEYS} MANIFEST CSV IGNOREHEADER 1")
}

fn with_files(stack: &Stack) {
    stack.put("good.csv", "id,name\n1,\"a,\"\"b\"\"\"\n2,é\n");
    stack.put("bad.csv", "id,name\n3,c\nx,d\n");
    stack.put_manifest("good", &["good.csv"]);
    stack.put_manifest("bad", &["bad.csv"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn psql_selects_copies_and_sees_errors() {
    let stack = stack().await;
    with_files(&stack);
    let mut command = Command::new(psql().await);
    command.args(["--no-psqlrc", "--no-align", "--tuples-only", "--quiet"]);
    for sql in [
        "SELECT current_user, 1 + 1",
        "CREATE TABLE t (id INT ENCODE AZ64, name VARCHAR(9)) SORTKEY (id)",
        &format!("BEGIN; DELETE FROM t; {}; COMMIT", copy("good")),
        "SELECT pg_last_copy_count(), name FROM t ORDER BY id",
        "BEGIN",
        "DELETE FROM t",
        &copy("bad"),
        "SELECT 1",
        "ROLLBACK",
        "SELECT line_number, TRIM(colname), err_code FROM stl_load_errors WHERE session = pg_backend_pid()",
        "SELECT count(*) FROM t",
    ] {
        command.args(["--command", sql]);
    }
    let output = run(&stack, command).await;
    let (answers, told) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(answers, "loader|2\n2|a,\"b\"\n2|é\n3|id|1207\n2\n", "{told}");
    assert_eq!(
        told,
        "INFO:  Load into table 't' completed, 2 record(s) loaded successfully.\n\
         ERROR:  Load into table 't' failed.  Check 'stl_load_errors' system table for details.\n\
         ERROR:  current transaction is aborted, commands ignored until end of transaction block\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn psql_does_not_trust_another_authority() {
    let (stack, other) = (stack().await, stack().await);
    let certificates = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(certificates.path(), other.redshift.ca_pem()).unwrap();
    let mut command = Command::new(psql().await);
    let place = format!("sslrootcert={}", certificates.path().display());
    command.args(["--no-psqlrc", "--command", "SELECT 1", &place]);
    let output = run(&stack, command).await;
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("certificate verify failed"), "{output:?}");
}

const PROGRAM: &str = r#"
import sys
import psycopg

copy_good, copy_bad = sys.argv[1:]
notices = []
with psycopg.connect("") as connection:
    connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    assert connection.pgconn.ssl_in_use
    connection.execute("CREATE TABLE t (id INT, name VARCHAR(9))")
    connection.commit()
    with connection.transaction():
        connection.execute("DELETE FROM t WHERE id = %s", (1,))
        connection.execute(copy_good)
        assert connection.execute("SELECT pg_last_copy_count()").fetchall() == [(2,)]
    assert notices == ["Load into table 't' completed, 2 record(s) loaded successfully."], notices
    rows = connection.execute("SELECT id, name FROM t WHERE id > %s ORDER BY id", (0,), prepare=True).fetchall()
    assert rows == [(1, 'a,"b"'), (2, "é")], rows
    connection.commit()
    try:
        with connection.transaction():
            connection.execute("DELETE FROM t")
            connection.execute(copy_bad)
    except psycopg.errors.InternalError_ as error:
        assert error.sqlstate == "XX000" and "stl_load_errors" in str(error), error
    else:
        raise AssertionError("not refused")
    sql = "SELECT line_number, err_code FROM stl_load_errors WHERE session = %s"
    assert connection.execute(sql, (connection.info.backend_pid,)).fetchall() == [(3, 1207)]
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (2,)
    # Every message by the extended protocol, in one go.
    with connection.pipeline():
        one = connection.execute("INSERT INTO t VALUES (%s, %s)", (3, "c"))
        connection.execute(copy_good)
        two = connection.execute("SELECT count(*) FROM t")
    assert one.rowcount == 1 and two.fetchone() == (5,)
print("done")
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn psycopg_selects_copies_and_sees_errors() {
    let stack = stack().await;
    with_files(&stack);
    let bin = tokio::task::spawn_blocking(|| python::venv("psycopg-3.3.9", &["psycopg[binary]==3.3.9"]))
        .await
        .unwrap()
        .unwrap();
    let mut command = Command::new(bin.join("python"));
    command.args(["-c", PROGRAM, &copy("good"), &copy("bad")]);
    let output = run(&stack, command).await;
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "done\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

const AWS_DRIVER: &str = r#"
import os
import redshift_connector

def connect(user, password):
    return redshift_connector.connect(
        host="127.0.0.1", port=int(os.environ["PGPORT"]), database=os.environ["PGDATABASE"],
        user=user, password=password, ssl=True, sslmode="verify-full")

with connect("loader", "load") as connection:
    cursor = connection.cursor()
    cursor.execute("SELECT current_user")
    assert [list(row) for row in cursor.fetchall()] == [["loader"]]
for user, password in ("loader", "wrong"), ("loader", ""), ("loader", "look"), ("nobody", "load"), ("nobody", ""):
    try:
        connect(user, password)
    except Exception as error:
        assert "28P01" in str(error), repr(error)
    else:
        raise AssertionError(f"{user} is let in")
print("done")
"#;

/// AWS's own driver answers each kind of login (`core.py`: tags 3, 5 and 13), which the stand-in implements
/// only from descriptions. The two agree on which passwords are right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redshifts_own_driver_logs_in_by_every_way() {
    let install = || python::venv("redshift-connector-2.2.0", &["redshift_connector==2.2.0"]);
    let bin = tokio::task::spawn_blocking(install).await.unwrap().unwrap();
    for auth in [Auth::Cleartext, Auth::Md5, Auth::Sha256Digest] {
        let stack = stack_with(|options| options.auth = auth).await;
        let certificates = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(certificates.path(), stack.redshift.ca_pem()).unwrap();
        let mut command = Command::new(bin.join("python"));
        // OpenSSL takes this file for the system's certificates.
        command.args(["-c", AWS_DRIVER]).env("SSL_CERT_FILE", certificates.path());
        let output = run(&stack, command).await;
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "done\n", "{auth:?}: {told}");
        let accepted: Vec<bool> = stack.redshift.logins().iter().map(|(_, accepted)| *accepted).collect();
        assert_eq!(accepted, [true, false, false, false, false, false], "{auth:?}");
    }
}
