//! The stand-in as a client sees it: login, SQL that Redshift takes and refuses, transactions, faults on
//! demand. Each test names the document that says so; bare `x.md` is a page of the Amazon Redshift Database
//! Developer Guide.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at what it did not expect"
)]

mod redshift_support;

use std::time::{Duration, Instant};

use devstack::redshift::{Action, Auth, Fault, Isolation, Redshift, Tls};
use postgres_native_tls::MakeTlsConnector;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Config, NoTls};

use redshift_support::{Session, Stack, stack, stack_with};

fn trusting(redshift: &Redshift) -> MakeTlsConnector {
    let authority = native_tls::Certificate::from_pem(redshift.ca_pem().as_bytes()).unwrap();
    MakeTlsConnector::new(
        native_tls::TlsConnector::builder()
            .disable_built_in_roots(true)
            .add_root_certificate(authority)
            .build()
            .unwrap(),
    )
}

fn code(error: &tokio_postgres::Error) -> String {
    error.code().map_or_else(|| format!("no SQLSTATE: {error}"), |code| code.code().to_owned())
}

async fn login_error(config: &Config) -> tokio_postgres::Error {
    match config.connect(NoTls).await {
        Ok(_) => panic!("the login was accepted"),
        Err(error) => error,
    }
}

// ---- login and TLS

/// `r_CREATE_USER.md`: MD5 digests are salted by the user's name; the Python driver's `core.py` answers tags
/// 3 and 5.
#[tokio::test]
async fn a_password_is_asked_for_as_md5_or_in_clear() {
    for auth in [Auth::Md5, Auth::Cleartext] {
        let stack = stack_with(|options| options.auth = auth).await;
        assert_eq!(stack.session_of("loader", "load").await.one("SELECT current_user").await, "loader");
        for (user, password) in [("loader", "wrong"), ("nobody", "load")] {
            let error = login_error(&stack.config(user, password)).await;
            assert_eq!(error.code(), Some(&SqlState::INVALID_PASSWORD), "{error:?}");
            assert_eq!(
                error.as_db_error().unwrap().message(),
                format!("password authentication failed for user \"{user}\"")
            );
        }
    }
}

/// microsoft/vscode-sqltools#1415 and rust-postgres: a user with a SHA-256 digest gets authentication tag 13,
/// which tokio-postgres reports as an I/O error.
#[tokio::test]
async fn a_sha256_user_meets_authentication_tag_13() {
    use std::error::Error as _;
    let stack = stack_with(|options| options.auth = Auth::Sha256Digest).await;
    let error = login_error(&stack.config("loader", "load")).await;
    assert!(error.source().unwrap().to_string().contains("unknown authentication tag `13`"), "{error:?}");
}

/// Management Guide, connecting-ssl-support: plain connections are accepted unless `require_SSL` is true.
#[tokio::test]
async fn tls_is_offered_required_or_absent() {
    for (tls, plain, secure) in
        [(Tls::Offered, true, true), (Tls::Required, false, true), (Tls::Absent, true, false)]
    {
        let stack = stack_with(|options| options.tls = tls).await;
        let mut config = stack.config("loader", "load");
        config.ssl_mode(SslMode::Disable);
        assert_eq!(config.connect(NoTls).await.is_ok(), plain, "{tls:?}");
        let mut config = Config::new();
        config
            .host("localhost")
            .port(stack.redshift.port())
            .user("loader")
            .password("load")
            .dbname(&stack.database)
            .ssl_mode(SslMode::Require);
        assert_eq!(config.connect(trusting(&stack.redshift)).await.is_ok(), secure, "{tls:?}");
    }
}

/// Management Guide, connecting-ssl-support: `verify-full` checks the chain and the host's name.
#[tokio::test]
async fn its_certificate_is_trusted_only_by_its_authority_and_for_its_names() {
    let stack = stack_with(|options| options.names = vec!["localhost".to_owned()]).await;
    let other = stack_with(|_| {}).await;
    let mut config = Config::new();
    config
        .port(stack.redshift.port())
        .user("loader")
        .password("load")
        .dbname(&stack.database)
        .ssl_mode(SslMode::Require);
    let to = |host: &str| {
        let mut config = config.clone();
        config.host(host);
        config
    };
    assert!(to("localhost").connect(trusting(&stack.redshift)).await.is_ok());
    assert!(to("localhost").connect(trusting(&other.redshift)).await.is_err());
    assert!(to("127.0.0.1").connect(trusting(&stack.redshift)).await.is_err());
}

/// launchbadge/sqlx#956: `extra_float_digits=3` is refused with 22023. sqlalchemy#9494: an unknown setting in
/// `options` is FATAL.
#[tokio::test]
async fn unknown_settings_are_refused_at_start_up() {
    let stack = stack().await;
    for (options, expected) in [
        ("-c extra_float_digits=3", "22023"),
        ("-c standard_conforming_strings=on", "42704"),
        ("-c no_such=1", "42704"),
    ] {
        let mut config = stack.config("loader", "load");
        let error = login_error(config.options(options)).await;
        assert_eq!(code(&error), expected, "{options}");
        assert_eq!(error.as_db_error().unwrap().severity(), "FATAL");
    }
    let mut config = stack.config("loader", "load");
    config.options("-c statement_timeout=1500 -c search_path=pg_catalog").application_name("tester");
    let session = Session::open(&config).await.unwrap();
    assert_eq!(session.one("SHOW statement_timeout").await, "1500ms");
    assert_eq!(session.one("SHOW application_name").await, "tester");
}

#[tokio::test]
async fn a_database_that_is_not_there_is_refused() {
    let stack = stack().await;
    let mut config = stack.config("loader", "load");
    assert_eq!(code(&login_error(config.dbname("no_such")).await), "3D000");
}

/// `r_VERSION.md`
#[tokio::test]
async fn version_is_redshifts() {
    let stack = stack().await;
    let session = stack.session().await;
    for sql in ["SELECT version()", "SELECT pg_catalog.version()"] {
        let version = session.one(sql).await;
        assert!(version.starts_with("PostgreSQL 8.0.2 ") && version.contains("Redshift 1.0."), "{version}");
    }
}

// ---- SQL

/// `r_CREATE_USER.md`: a backslash in a literal is an escape, so one is written as two.
#[tokio::test]
async fn a_backslash_in_a_literal_is_an_escape() {
    let stack = stack().await;
    let session = stack.session().await;
    assert_eq!(session.one("SELECT 'a\\\\b\\'c;d'").await, "a\\b'c;d");
}

/// `r_CREATE_TABLE_NEW.md`: compression, distribution, sort keys, backup, identity, and keys that are not
/// enforced. `r_Character_types.md`: TEXT is VARCHAR(256), MAX is 65535, and VARCHAR alone 256.
#[tokio::test]
async fn redshifts_ddl_is_taken() {
    let stack = stack().await;
    let session = stack.session().await;
    session
        .run(
            "CREATE TABLE IF NOT EXISTS parent (id INT PRIMARY KEY, UNIQUE (id)); \
             CREATE TEMP TABLE scratch (LIKE parent) ; \
             CREATE TABLE t (\
               id BIGINT IDENTITY(1, 2), n INT GENERATED BY DEFAULT AS IDENTITY(5,1), \
               \"text\" TEXT ENCODE ZSTD NOT NULL DISTKEY, json VARCHAR(MAX) ENCODE RAW DEFAULT 'ENCODE, (x', v VARCHAR SORTKEY, \
               parent INT UNIQUE REFERENCES parent (id), price DECIMAL(8, 2) ENCODE az64, \
               CONSTRAINT k PRIMARY KEY (id), FOREIGN KEY (parent) REFERENCES parent (id)) \
             BACKUP NO DISTSTYLE KEY COMPOUND SORTKEY (id, n) -- ENCODE x\n; \
             CREATE TABLE made DISTSTYLE EVEN SORTKEY (n) AS SELECT 1 AS n; \
             ALTER TABLE t ADD COLUMN late TEXT ENCODE lzo DEFAULT ''; \
             INSERT INTO parent VALUES (1), (1); \
             INSERT INTO t (\"text\", parent) VALUES ('a', 1), ('b', 7); VACUUM t; VACUUM FULL parent TO 99 PERCENT; ANALYZE t;",
        )
        .await;
    assert_eq!(
        session.rows("SELECT id, n, \"text\", json FROM t ORDER BY id").await,
        ["1|5|a|ENCODE, (x", "3|6|b|ENCODE, (x"]
    );
    let lengths = session
        .rows("SELECT column_name, character_maximum_length FROM information_schema.columns WHERE table_name = 't' AND data_type = 'character varying' ORDER BY 1")
        .await;
    assert_eq!(lengths, ["json|65535", "late|256", "text|256", "v|256"]);
}

/// `c_unsupported-postgresql-features.md`, `c_unsupported-postgresql-datatypes.md`,
/// `c_unsupported-postgresql-functions.md`; `r_LOCK.md` knows no NOWAIT.
#[tokio::test]
async fn what_redshift_lacks_is_refused_by_name() {
    let stack = stack().await;
    let session = stack.session().await;
    session.run("CREATE TABLE t (id INT)").await;
    for (sql, word) in [
        ("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", "CONFLICT"),
        ("SELECT pg_advisory_lock(1)", "pg_advisory_lock"),
        ("SELECT pg_try_advisory_xact_lock(1)", "pg_try_advisory_xact_lock"),
        ("CREATE INDEX i ON t (id)", "INDEX"),
        ("CREATE UNIQUE INDEX IF NOT EXISTS i ON t (id)", "INDEX"),
        ("CREATE SEQUENCE s", "SEQUENCE"),
        ("CREATE TABLE u (id SERIAL)", "SERIAL"),
        ("CREATE TABLE u (id BIGSERIAL NOT NULL)", "BIGSERIAL"),
        ("CREATE TABLE u (a INT, b UUID)", "UUID"),
        ("CREATE TABLE u (b JSON)", "JSON"),
        ("CREATE TABLE u (b jsonb)", "JSONB"),
        ("CREATE TABLE u (b BYTEA)", "BYTEA"),
        ("CREATE TABLE u (b INT[])", "array"),
        ("CREATE TABLE u (b VARCHAR(3) ARRAY)", "array"),
        ("CREATE TABLE u (b INT CHECK (b > 0))", "CHECK"),
        ("CREATE TABLE u (b INT, CONSTRAINT c CHECK (b > 0))", "CHECK"),
        ("ALTER TABLE t ADD COLUMN b UUID", "UUID"),
        ("CREATE TYPE mood AS ENUM ('good')", "TYPE"),
        ("LOCK TABLE t IN ACCESS EXCLUSIVE MODE NOWAIT", "NOWAIT"),
    ] {
        let (code, message) = session.refused(sql).await;
        assert!(message.to_lowercase().contains(&word.to_lowercase()), "{sql}: {message}");
        assert!(["42601", "0A000", "42883"].contains(&code.as_str()), "{sql}: {code}");
    }
    // The same words as names and texts are nobody's business.
    session.run("CREATE TABLE u (uuid INT, json INT, \"check\" INT); INSERT INTO u VALUES (1, 2, 3); SELECT 'ON CONFLICT', uuid FROM u").await;
}

/// `r_GETDATE.md`: whole seconds, UTC; `r_SYSDATE.md`: the transaction's start with microseconds, no
/// parentheses.
#[tokio::test]
async fn getdate_and_sysdate_tell_the_time() {
    let stack = stack().await;
    let session = stack.session().await;
    let seconds = "SELECT abs(extract(epoch FROM (now() AT TIME ZONE 'UTC') - {})) < 5";
    assert_eq!(session.one(&seconds.replace("{}", "GETDATE()")).await, "t");
    assert_eq!(session.one(&seconds.replace("{}", "SYSDATE")).await, "t");
    assert_eq!(session.one("SELECT date_trunc('second', GETDATE()) = GETDATE()").await, "t");
    session.run("CREATE TABLE t (id INT, made TIMESTAMP DEFAULT SYSDATE, seen TIMESTAMP DEFAULT GETDATE()); INSERT INTO t (id) VALUES (1)").await;
    assert_eq!(session.one("SELECT made IS NOT NULL AND seen IS NOT NULL FROM t").await, "t");
}

/// aws/amazon-redshift-python-driver#21: several statements in a prepared one are 42601; #162: the simple
/// protocol takes them.
#[tokio::test]
async fn several_statements_need_the_simple_protocol() {
    let stack = stack().await;
    let session = stack.session().await;
    assert_eq!(session.rows("SELECT 1; SELECT ';' /* ; */; SELECT 3 -- ;").await, ["1", ";", "3"]);
    let error = session.client.query("SELECT 1; SELECT 2", &[]).await.unwrap_err();
    assert_eq!(code(&error), "42601");
    assert_eq!(
        error.as_db_error().unwrap().message(),
        "cannot insert multiple commands into a prepared statement"
    );
    assert_eq!(session.one("SELECT 4").await, "4");
}

/// The extended protocol passes through, and the simple one may follow it at any moment: tokio-postgres sends
/// Close and Sync for a statement that it dropped just before the next query.
#[tokio::test]
async fn the_two_protocols_keep_in_step() {
    let stack = stack().await;
    let session = stack.session().await;
    session.run("CREATE TABLE t (id INT, name VARCHAR(9))").await;
    for id in 0..20_i32 {
        session.client.execute("INSERT INTO t VALUES ($1, $2)", &[&id, &"x"]).await.unwrap();
        assert_eq!(session.one("SELECT max(id) FROM t").await, id.to_string());
        assert!(session.client.query("SELECT 1 / ($1::int - $1::int)", &[&id]).await.is_err());
    }
    let (one, two) = tokio::join!(
        session.client.query_one("SELECT $1::int", &[&7_i32]),
        session.client.simple_query("SELECT 8")
    );
    assert_eq!(one.unwrap().get::<_, i32>(0), 7);
    assert_eq!(two.unwrap().len(), 3);
    let inserted = stack
        .redshift
        .statements()
        .into_iter()
        .find(|statement| statement.sql.starts_with("INSERT"))
        .unwrap();
    assert!(inserted.extended);
    assert_eq!((inserted.parameters, inserted.outcome), (2, Some(Ok("INSERT 0 1".to_owned()))));
}

#[tokio::test]
async fn the_log_tells_who_sent_what_and_how_it_ended() {
    let stack = stack().await;
    let one = stack.session_of("loader", "load").await;
    let two = stack.session().await;
    one.rows("SELECT 1 -- why").await;
    two.refused("SELECT nothing").await;
    two.refused("COPY t FROM 's3://b/k' ACCESS_KEY_ID'AKIASECRET'SECRET_ACCESS_KEY 'hu''sh\\'' SESSION_TOKEN AS 'hush' CSV").await;
    two.refused(
        "COPY t FROM 's3://b/k' CREDENTIALS 'aws_access_key_id=AKIASECRET;aws_secret_access_key=hush'",
    )
    .await;
    let log = stack.redshift.statements();
    assert_eq!(
        (log[0].user.as_str(), log[0].database == stack.database, log[0].sql.as_str()),
        ("loader", true, "SELECT 1")
    );
    assert_eq!(log[0].outcome, Some(Ok("SELECT 1".to_owned())));
    assert_eq!(log[1].user, "postgres");
    assert_ne!(log[0].session, log[1].session);
    assert_eq!(log[1].outcome.as_ref().unwrap().as_ref().unwrap_err().0, "42703");
    let told = format!("{log:?}");
    assert!(!told.contains("AKIASECRET") && !told.contains("hu"), "{told}");
    stack.redshift.clear_statements();
    assert!(stack.redshift.statements().is_empty());
}

// ---- transactions

/// `r_TRUNCATE.md`: "TRUNCATE commits the transaction in which it is run".
#[tokio::test]
async fn truncate_commits() {
    let stack = stack().await;
    let session = stack.session().await;
    session.run("CREATE TABLE t (id INT); CREATE TABLE u (id INT); INSERT INTO t VALUES (1)").await;
    session.run("BEGIN; INSERT INTO u VALUES (1); TRUNCATE t; ROLLBACK").await;
    assert_eq!(session.one("SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM u)").await, "0|1");
    session.run("INSERT INTO t VALUES (1); BEGIN; INSERT INTO u VALUES (2)").await;
    session.client.execute("TRUNCATE TABLE t", &[]).await.unwrap();
    session.run("ROLLBACK").await;
    assert_eq!(session.one("SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM u)").await, "0|2");
}

/// `r_DELETE.md`: DELETE is transactional. A statement that the front refuses fails the transaction as any
/// other does.
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
    assert_eq!(session.one("SELECT count(*) FROM t").await, "1");
    session.run("BEGIN; DELETE FROM t").await;
    assert_eq!(
        code(&session.client.execute("COPY t FROM 's3://b/k' CSV NULL AS $1", &[]).await.unwrap_err()),
        "42601"
    );
    assert_eq!(session.refused("SELECT 1").await.0, "25P02");
    session.run("ROLLBACK").await;
    assert_eq!(session.one("SELECT count(*) FROM t").await, "1");
}

/// `c_serial_isolation.md`: two transactions that read what the other writes are a violation under
/// SERIALIZABLE; aws/aws-sdk-pandas#665: on the wire it is XX000 with the message `1023`.
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

/// `r_CREATE_DATABASE.md` and `live/c_serial_isolation`: SNAPSHOT lets both commit.
#[tokio::test]
async fn snapshot_isolation_permits_write_skew() {
    let (error, sum) = write_skew(Isolation::Snapshot).await;
    assert!(error.is_none());
    assert_eq!(sum, "2");
}

/// Each of two transactions writes where the other has read; how the second ended, and how many wrote.
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
    let sum = one.one("SELECT (SELECT count(*) FROM a) + (SELECT count(*) FROM b)").await;
    (error, sum)
}

/// `c_serial_isolation.md`: the snapshot is taken at the first statement after BEGIN that reads, so a reader
/// that waited for LOCK (`r_LOCK.md`: ACCESS EXCLUSIVE) sees what the holder committed.
#[tokio::test]
async fn lock_comes_before_the_snapshot() {
    let stack = stack().await;
    let (one, two) = (stack.session().await, stack.session().await);
    one.run("CREATE TABLE ledger (id INT); BEGIN; LOCK ledger; INSERT INTO ledger VALUES (1)").await;
    let waiting = tokio::spawn(async move {
        two.run("BEGIN; LOCK ledger").await;
        two.one("SELECT count(*) FROM ledger").await
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    one.run("COMMIT").await;
    assert_eq!(waiting.await.unwrap(), "1");
}

/// `r_statement_timeout.md`: milliseconds; the error reads `Query (150) canceled on user's request`.
#[tokio::test]
async fn statement_timeout_cancels_a_query() {
    let stack = stack().await;
    let session = stack.session().await;
    session.run("SET statement_timeout TO 100").await;
    let (code, message) = session.refused("SELECT pg_sleep(30)").await;
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
    let cancel = session.client.cancel_token();
    let begun = Instant::now();
    let (refused, ()) = tokio::join!(session.refused("SELECT pg_sleep(30)"), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        cancel.cancel_query(NoTls).await.unwrap();
    });
    assert_eq!(refused.0, "57014");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

// ---- faults on demand

async fn with_table() -> (Stack, Session) {
    let stack = stack().await;
    let session = stack.session().await;
    session.run("CREATE TABLE t (id INT)").await;
    (stack, session)
}

#[tokio::test]
async fn a_connection_breaks_before_or_after_commit() {
    let (stack, session) = with_table().await;
    for (action, rows) in [(Action::CutBefore, "0"), (Action::CutAfter, "1")] {
        let victim = stack.session().await;
        stack.redshift.inject(Fault::on("COMMIT", action).times(1));
        let error = victim.client.batch_execute("BEGIN; INSERT INTO t VALUES (1); COMMIT").await.unwrap_err();
        assert!(error.is_closed() || error.code().is_none(), "{error:?}");
        session.run("BEGIN; LOCK t; ROLLBACK").await;
        assert_eq!(session.one("SELECT count(*) FROM t").await, rows);
    }
    session.run("BEGIN; COMMIT").await;
}

#[tokio::test]
async fn a_cut_after_a_prepared_statement_leaves_it_done() {
    let (stack, session) = with_table().await;
    let victim = stack.session().await;
    stack.redshift.inject(Fault::on("INSERT", Action::CutAfter).times(1));
    assert!(victim.client.execute("INSERT INTO t VALUES ($1)", &[&1_i32]).await.is_err());
    assert_eq!(session.one("SELECT count(*) FROM t").await, "1");
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
    session.one("SELECT 1").await;
    assert!(begun.elapsed() >= Duration::from_millis(300));

    let gate = devstack::redshift::Gate::default();
    stack.redshift.inject(Fault::on("INSERT", Action::Wait(gate.clone())).times(1));
    let other = stack.session().await;
    let waiting = tokio::spawn(async move { other.run("INSERT INTO t VALUES (1)").await });
    gate.reached().await;
    assert_eq!(session.one("SELECT count(*) FROM t").await, "0");
    gate.open();
    waiting.await.unwrap();
    assert_eq!(session.one("SELECT count(*) FROM t").await, "1");
}
