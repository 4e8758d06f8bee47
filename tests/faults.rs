//! A fault of the network, the cluster or the deployment never marks an archive bad, and leaves it for a
//! later run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at what it did not expect"
)]

mod support;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use devstack::lambda::Outcome;
use devstack::redshift::{self, Auth, Tls};
use devstack::s3;
use devstack::stack::{self, BUCKET, function_keys};
use support::{Setup, World, expected, key, members, sample, sample_with, world};

/// Invokes for an archive and expects the failure `error_type` whose message holds all of `words`; nothing is
/// marked or loaded.
async fn fails(world: &World, error_type: &str, words: &[&str]) {
    let archive = world.put("a", &sample(3, 50), 1);
    let before = world.tables().await;
    match world.invoke(&archive).await {
        Outcome::Failed { error_type: found, message } => {
            assert_eq!(found, error_type, "{message}");
            for word in words {
                assert!(message.contains(word), "{word:?} is not in {message:?}");
            }
        }
        Outcome::Ok(answer) => panic!("it went well: {answer}"),
    }
    assert!(world.is_unsettled("a"), "{:?}", world.keys());
    assert_eq!(world.tables().await, before);
    assert_eq!(world.stack.s3.unfinished_uploads(), 0);
}

/// The next invocation loads what the last one left.
async fn recovers(world: &World) {
    World::report(world.invoke(&key("a")).await);
    assert!(world.is_good("a"));
    assert_eq!(world.tables().await, expected(&members(3, 50)));
    assert_eq!(world.ledger().await, [key("a")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_throttling_and_errors_pass() {
    for (operation, status, code) in [
        ("ListObjectsV2", 503, "SlowDown"),
        ("GetObject", 503, "SlowDown"),
        ("GetObject", 500, "InternalError"),
        ("PutObject", 503, "SlowDown"),
        ("CopyObject", 500, "InternalError"),
    ] {
        let world = world().await;
        let action = s3::Action::Refuse(status, code.to_owned());
        world.stack.s3.inject(s3::Fault::on(operation, "", action));
        if operation == "CopyObject" {
            // Loaded and not yet settled: the one case in which the tables have changed.
            let archive = world.put("a", &sample(3, 50), 1);
            let Outcome::Failed { error_type, .. } = world.invoke(&archive).await else { panic!() };
            assert_eq!(error_type, "Retryable.S3Unavailable");
            assert!(world.is_unsettled("a"));
        } else {
            fails(&world, "Retryable.S3Unavailable", &[code]).await;
        }
        world.stack.s3.clear_faults();
        recovers(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_breaks_is_resumed_where_it_stands() {
    let world = world().await;
    for at in [1000, 900, 800] {
        world.stack.s3.inject(s3::Fault::on("GetObject", "client/", s3::Action::CutBodyAfter(at)).times(1));
    }
    world.put("a", &sample(3, 50), 1);
    recovers(&world).await;
    let reads = world
        .stack
        .s3
        .requests()
        .iter()
        .filter(|request| request.operation == "GetObject" && request.key == Some(key("a")))
        .count();
    assert_eq!(reads, 4);
}

/// The network's fault reaches the parsers as a broken archive; it must not be taken for one.
#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_breaks_for_good_marks_nothing() {
    let world = world().await;
    world.stack.s3.inject(s3::Fault::on("GetObject", "client/", s3::Action::CutBodyAfter(0)).times(6));
    fails(&world, "Retryable.S3Unavailable", &["cannot read"]).await;
    recovers(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_changes_while_it_is_worked_on_is_left_for_its_new_revision() {
    for operation in ["GetObject", "CopyObject"] {
        let world = Arc::new(world().await);
        let changed = {
            let world = Arc::downgrade(&world);
            move || {
                let world = world.upgrade().unwrap();
                world.stack.s3.put_at(BUCKET, &key("a"), &sample(4, 20), support::moment(9)).unwrap();
            }
        };
        let archive = world.put("a", &sample(3, 50), 1);
        world.stack.s3.inject(
            s3::Fault::on(operation, "cms-analytics", s3::Action::RunBefore(Arc::new(changed))).times(1),
        );
        let Outcome::Failed { error_type, .. } = world.invoke(&archive).await else { panic!() };
        assert_eq!(error_type, "Retryable.SourceChanged");
        assert!(world.is_unsettled("a"));
        World::report(world.invoke(&archive).await);
        assert!(world.is_good("a"));
        assert_eq!(world.tables().await, expected(&members(4, 20)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_redshift_pass() {
    let refuse = |code: &str, message: &str| redshift::Action::Refuse(code.to_owned(), message.to_owned());
    for (statement, action, error_type) in [
        ("COPY", refuse("XX000", "1023"), "Retryable.Serialization"),
        (
            "LOCK",
            refuse("XX000", "could not complete because of conflict with concurrent transaction"),
            "Retryable.Serialization",
        ),
        ("COPY", refuse("57014", "Query (150) canceled on user's request"), "Retryable.StatementTimeout"),
        (
            "COPY",
            refuse("XX000", "S3ServiceException:Please reduce your request rate,Status 503,Error SlowDown"),
            "Retryable.S3Unavailable",
        ),
        ("COPY", refuse("XX000", "something never seen"), "Retryable.Unknown"),
        ("COPY", redshift::Action::Miscount(1), "Retryable.CountsDiffer"),
        ("BEGIN", redshift::Action::CutBefore, "Retryable.ConnectionLost"),
        ("COPY", redshift::Action::CutBefore, "Retryable.ConnectionLost"),
        ("COPY", redshift::Action::CutAfter, "Retryable.ConnectionLost"),
        ("INSERT", redshift::Action::CutAfter, "Retryable.ConnectionLost"),
        ("COMMIT", redshift::Action::CutBefore, "Retryable.ConnectionLost"),
    ] {
        let world = world().await;
        world.stack.redshift.inject(redshift::Fault::on(statement, action));
        fails(&world, error_type, &[]).await;
        world.stack.redshift.clear_faults();
        recovers(&world).await;
    }
}

/// Conflicts and lost connections are got over within the invocation, with the files that are staged.
#[tokio::test(flavor = "multi_thread")]
async fn what_passes_at_once_is_tried_again_at_once() {
    let refuse = |code: &str, message: &str| redshift::Action::Refuse(code.to_owned(), message.to_owned());
    for (statement, action) in [
        ("COPY", refuse("XX000", "1023")),
        ("LOCK", refuse("XX000", "could not complete because of conflict with concurrent transaction")),
        ("SELECT COALESCE", redshift::Action::CutBefore),
        ("COPY", redshift::Action::CutAfter),
        ("COMMIT", redshift::Action::CutBefore),
        ("COMMIT", redshift::Action::CutAfter),
    ] {
        let world = Setup::appending().start().await;
        world.stack.redshift.inject(redshift::Fault::on(statement, action).times(2));
        world.put("a", &sample(3, 50), 1);
        recovers(&world).await;
        let staged = world
            .stack
            .s3
            .requests()
            .iter()
            .filter(|request| request.operation == "GetObject" && request.key == Some(key("a")))
            .count();
        assert_eq!(staged, 1);
    }
}

/// The connection is lost after COMMIT was carried out: the ledger knows, and nothing is loaded twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_without_an_answer_is_settled_by_the_ledger() {
    let world = Setup::appending().start().await;
    world.stack.redshift.inject(redshift::Fault::on("COMMIT", redshift::Action::CutAfter).times(1));
    let archive = world.put("a", &sample(3, 50), 1);
    let report = World::report(world.invoke(&archive).await);
    assert_eq!(report["good"][0]["outcome"], "already_loaded");
    assert!(world.is_good("a"));
    assert_eq!(world.tables().await, expected(&members(3, 50)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_cannot_be_reached_passes() {
    let world = Setup::default().with("PGPORT", "1").start().await;
    fails(&world, "Retryable.ConnectionLost", &["localhost:1/"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_with_too_little_time_begins_nothing() {
    let world = Setup { timeout: Some(Duration::from_secs(10)), ..Setup::default() }.start().await;
    fails(&world, "Retryable.DeadlineNear", &["time"]).await;
}

/// The time is nearly up in the middle of a download, while a part of a staged file is uploaded already.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_out_of_time_leaves_no_unfinished_upload() {
    let world = Setup { timeout: Some(Duration::from_secs(17)), ..Setup::default() }.start().await;
    let mut rows = String::from("id,name,active,site_key\n");
    for (n, word) in support::words(7).take(600_000).enumerate() {
        let _ = writeln!(rows, "{n},{word:016x},t,007");
    }
    let archive = sample_with("analytics_group.csv", rows);
    world.stack.s3.inject(
        s3::Fault::on("GetObject", "client/", s3::Action::CutBodyAfter(archive.len() as u64 * 9 / 10))
            .times(1),
    );
    world
        .stack
        .s3
        .inject(s3::Fault::on("GetObject", "client/", s3::Action::Delay(Duration::from_secs(4))).times(1));
    let archive = world.put("a", &archive, 1);
    let Outcome::Failed { error_type, message } = world.invoke(&archive).await else {
        panic!("it was in time")
    };
    assert_eq!(error_type, "Retryable.DeadlineNear", "{message}");
    let operations: Vec<String> =
        world.stack.s3.requests().into_iter().map(|request| request.operation).collect();
    assert!(
        operations.contains(&"UploadPart".to_owned())
            && operations.contains(&"AbortMultipartUpload".to_owned()),
        "{operations:?}"
    );
    assert_eq!(world.stack.s3.unfinished_uploads(), 0);
    assert!(world.is_unsettled("a"));
}

fn front(change: impl Fn(&mut redshift::Options) + Send + Sync + 'static) -> Setup {
    Setup {
        stack: stack::Options { redshift: Some(Arc::new(change)), ..stack::Options::default() },
        ..Setup::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_refused_is_for_the_operator() {
    fails(
        &Setup::default().with("pgpass", "wrong").start().await,
        "Deployment.LoginRefused",
        &["cmslite_loader"],
    )
    .await;
    fails(
        &Setup::default().with("PGDATABASE", "absent").start().await,
        "Deployment.SchemaMismatch",
        &["absent"],
    )
    .await;
    let sha256 = front(|options| options.auth = Auth::Sha256Digest).start().await;
    fails(&sha256, "Deployment.AuthenticationUnsupported", &["MD5 password", "tag 13"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_in_clear_inside_tls_is_answered() {
    let world = front(|options| options.auth = Auth::Cleartext).start().await;
    world.put("a", &sample(3, 50), 1);
    recovers(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_prove_itself_is_refused() {
    let unknown_issuer = Setup::default().with("PGSSLROOTCERT", "").start().await;
    fails(&unknown_issuer, "Deployment.TlsNotTrusted", &["not trusted", "certificate verify failed"]).await;
    let other_name = front(|options| options.host_names = vec!["redshift.example".to_owned()]);
    fails(&other_name.clone().start().await, "Deployment.TlsNotTrusted", &["ostname"]).await;
    let alias = other_name.with("PGSSLMODE", "verify-ca").start().await;
    alias.put("a", &sample(3, 50), 1);
    recovers(&alias).await;
    fails(
        &front(|options| options.tls = Tls::Disabled).start().await,
        "Deployment.TlsNotTrusted",
        &["offers no TLS"],
    )
    .await;
}

/// The certificates that the system trusts are found, though TLS is linked into the program: a server whose
/// issuer stands among them is trusted without `PGSSLROOTCERT`.
#[tokio::test(flavor = "multi_thread")]
async fn the_systems_certificates_are_found() {
    let world = world().await;
    let system = world.stack.certificates().display().to_string();
    let mut environment = world.environment.clone();
    environment.retain(|(name, _)| name != "PGSSLROOTCERT");
    // Where OpenSSL is told that the system's certificates are.
    environment.push(("SSL_CERT_FILE".to_owned(), system));
    let lambda =
        devstack::lambda::Lambda::start(devstack::lambda::Options::new(support::PROGRAM, environment))
            .await
            .unwrap();
    let archive = world.put("a", &sample(3, 50), 1);
    World::report(lambda.invoke(World::event(&archive)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_columns_and_rights_that_are_missing_are_for_the_operator() {
    for (change, error_type, word) in [
        ("DROP TABLE cmslite.user_status", "Deployment.SchemaMismatch", "user_status"),
        ("ALTER TABLE cmslite.user_status DROP COLUMN status", "Deployment.SchemaMismatch", "status"),
        ("REVOKE DELETE ON cmslite.user_status FROM cmslite_loader", "Deployment.Privilege", "user_status"),
        ("REVOKE INSERT ON cmslite.user_status FROM cmslite_loader", "Deployment.Privilege", "user_status"),
        ("REVOKE CREATE ON SCHEMA cmslite FROM cmslite_loader", "Deployment.Privilege", "schema cmslite"),
    ] {
        let world = world().await;
        world.admin(change).await;
        let archive = world.put("a", &sample(3, 50), 1);
        let Outcome::Failed { error_type: found, message } = world.invoke(&archive).await else {
            panic!("{change}")
        };
        assert_eq!(found, error_type, "{change}: {message}");
        assert!(message.contains(word), "{message}");
        assert!(world.is_unsettled("a") && world.rows("cms_group").await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_without_a_way_into_s3_is_for_the_operator() {
    let role = Setup::default().with("COPY_IAM_ROLE", "arn:aws:iam::000000000000:role/unknown").start().await;
    fails(&role, "Deployment.CopyAuthorization", &["not authorized to assume"]).await;
    // Redshift's own keys may not read what the function may.
    let change = |options: &mut redshift::Options| options.roles[0].credentials.2 = None;
    let no_token = front(change).with("COPY_IAM_ROLE", "default").start().await;
    fails(&no_token, "Deployment.CopyAuthorization", &["InvalidToken"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_that_refuses_the_function_is_for_the_operator() {
    for operation in ["ListObjectsV2", "GetObject", "PutObject"] {
        let world = Setup::denying(operation).start().await;
        fails(&world, "Deployment.S3Access", &["AccessDenied"]).await;
    }
    let mut keys = function_keys();
    keys.session_token = None;
    fails(
        &Setup { keys: Some(keys.clone()), ..Setup::default() }.start().await,
        "Deployment.S3Access",
        &["InvalidToken"],
    )
    .await;
    keys.session_token = Some("another".to_owned());
    fails(
        &Setup { keys: Some(keys), ..Setup::default() }.start().await,
        "Deployment.S3Access",
        &["InvalidToken"],
    )
    .await;
    let elsewhere =
        Setup { config: Some(support::SHIPPED.replace(BUCKET, "no-such-bucket")), ..Setup::default() }
            .start()
            .await;
    let Outcome::Failed { error_type, .. } = elsewhere.sweep().await else { panic!() };
    assert_eq!(error_type, "Deployment.NoSuchBucket");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_configuration_fails_every_event_with_its_reason() {
    let config = Setup {
        config: Some(support::SHIPPED.replace("\"delim\": \",\"", "\"delim\": \",,\"")),
        ..Setup::default()
    }
    .start()
    .await;
    fails(
        &config,
        "Deployment.Configuration",
        &["cmslite_user_group_metadata.json: delim: expected one ASCII character"],
    )
    .await;
    let environment = Setup::default().with("PGSSLMODE", "require").with("PGHOST", "").start().await;
    fails(&environment, "Deployment.Configuration", &["PGSSLMODE", "PGHOST is not set"]).await;
}
