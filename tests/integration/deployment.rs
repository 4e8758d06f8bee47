//! Tests logins, certificates, tables, permissions and configuration: the operator gets the cause, and
//! nothing is marked.

use devstack::lambda::{Lambda, Options, Outcome};
use devstack::redshift::{self, Auth, Tls};
use devstack::s3::{self, Credentials};
use devstack::stack::{BUCKET, function_keys};

use crate::faults::{fails, recovers};
use crate::harness::{Harness, HarnessBuilder, PROGRAM, SHIPPED, cases, key, sample};

/// A function on such a stack fails.
pub async fn is_for_the_operator(builder: HarnessBuilder, error_type: &str, words: &[&str]) {
    fails(&builder.start().await, error_type, words).await;
}

/// A function on such a stack loads.
pub async fn is_answered(builder: HarnessBuilder) {
    let harness = builder.start().await;
    harness.put("a", &sample(3, 50), 1);
    recovers(&harness).await;
}

/// A stand-in that has a way of its own to log in.
pub fn with_login(auth: Auth) -> HarnessBuilder {
    Harness::builder().redshift(move |options| options.auth = auth)
}

/// A server with a certificate for another name.
fn with_another_name() -> HarnessBuilder {
    Harness::builder().redshift(|options| options.host_names = vec!["redshift.example".to_owned()])
}

cases! {
    async a_login_that_is_refused_is_for_the_operator: is_for_the_operator {
        wrong_password(Harness::builder().env("pgpass", "wrong"), "Deployment.LoginRefused", &["cmslite_loader"]);
        no_such_database(Harness::builder().env("PGDATABASE", "absent"), "Deployment.SchemaMismatch", &["absent"]);
        sha256_password_without_tls(
            with_login(Auth::Sha256Digest).env("PGSSLMODE", "disable"),
            "Deployment.AuthenticationUnsupported",
            &["only within TLS", "tag 13"],
        );
    }
}

cases! {
    async a_server_that_does_not_prove_itself_is_refused: is_for_the_operator {
        unknown_issuer(
            Harness::builder().env("PGSSLROOTCERT", ""),
            "Deployment.TlsNotTrusted",
            &["not trusted", "certificate verify failed"],
        );
        another_name(with_another_name(), "Deployment.TlsNotTrusted", &["ostname"]);
        no_tls(
            Harness::builder().redshift(|options| options.tls = Tls::Disabled),
            "Deployment.TlsUnsupported",
            &["offers no TLS"],
        );
    }
}

cases! {
    async what_is_configured_so_is_answered: is_answered {
        another_name_where_only_the_issuer_counts(with_another_name().env("PGSSLMODE", "verify-ca"));
    }
}

/// The certificates that the system trusts are found, though TLS is linked into the program: a server whose
/// issuer stands among them is trusted without `PGSSLROOTCERT`.
#[tokio::test(flavor = "multi_thread")]
async fn the_systems_certificates_are_found() {
    let harness = Harness::start().await;
    let system = harness.stack.certificates().display().to_string();
    let mut environment = harness.environment.clone();
    environment.retain(|(name, _)| name != "PGSSLROOTCERT");
    // Where OpenSSL is told that the system's certificates are.
    environment.push(("SSL_CERT_FILE".to_owned(), system));
    let lambda = Lambda::start(Options::new(PROGRAM, environment)).await.unwrap();
    let archive = harness.put("a", &sample(3, 50), 1);
    Harness::report(lambda.invoke(Harness::event(&archive)).await);
}

/// An archive is uploaded after a change of the database by the superuser.
async fn is_named(change: &str, error_type: &str, word: &str) {
    let harness = Harness::start().await;
    harness.admin(change).await;
    let archive = harness.put("a", &sample(3, 50), 1);
    let Outcome::Failed { error_type: found, message } = harness.invoke(&archive).await else {
        panic!("it loaded")
    };
    assert_eq!(found, error_type, "{message}");
    assert!(message.contains(word), "{message}");
    assert!(harness.is_unsettled("a") && harness.rows("cms_group").await.is_empty());
}

cases! {
    async tables_columns_and_rights_that_are_missing_are_for_the_operator: is_named {
        no_table("DROP TABLE cmslite.user_status", "Deployment.SchemaMismatch", "user_status");
        no_column("ALTER TABLE cmslite.user_status DROP COLUMN status", "Deployment.SchemaMismatch", "status");
        no_delete("REVOKE DELETE ON cmslite.user_status FROM cmslite_loader", "Deployment.Privilege", "user_status");
        no_insert("REVOKE INSERT ON cmslite.user_status FROM cmslite_loader", "Deployment.Privilege", "user_status");
        no_create("REVOKE CREATE ON SCHEMA cmslite FROM cmslite_loader", "Deployment.Privilege", "schema cmslite");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_no_ledger_is_refused_before_anything_is_staged() {
    let harness = Harness::start().await;
    harness
        .admin("CREATE TABLE cmslite.load_ledger (dataset varchar(255), key varchar(20), note text)")
        .await;
    harness.admin("GRANT ALL ON cmslite.load_ledger TO cmslite_loader").await;
    let Outcome::Failed { error_type, message } = harness.invoke(&harness.put("a", &sample(1, 5), 1)).await
    else {
        panic!("it loaded")
    };
    assert_eq!(error_type, "Deployment.SchemaMismatch");
    let told = "cmslite.load_ledger is not a ledger of this program: bucket is missing, key is character varying(20) instead of VARCHAR(1024)";
    assert!(
        message.starts_with(told)
            && message.contains("note is not a column of a ledger")
            && message.contains("ddl/ledger.sql"),
        "{message}"
    );
    assert!(harness.keys().iter().all(|key| key.starts_with("client/")));
}

cases! {
    async copy_without_a_way_into_s3_is_for_the_operator: is_for_the_operator {
        unknown_role(
            Harness::builder().env("COPY_IAM_ROLE", "arn:aws:iam::000000000000:role/unknown"),
            "Deployment.CopyAuthorization",
            &["not authorized to assume"],
        );
        role_that_may_not_read_what_the_function_may(
            Harness::builder()
                .redshift(|options: &mut redshift::Options| options.roles[0].credentials.2 = None)
                .env("COPY_IAM_ROLE", "default"),
            "Deployment.CopyAuthorization",
            &["InvalidToken"],
        );
    }
}

/// The function's keys with another session token.
fn with_token(session_token: Option<&str>) -> HarnessBuilder {
    let session_token = session_token.map(str::to_owned);
    Harness::builder().keys(Credentials { session_token, ..function_keys() })
}

cases! {
    async s3_that_refuses_the_function_is_for_the_operator: is_for_the_operator {
        no_listing(Harness::builder().denying("ListObjectsV2"), "Deployment.S3Access", &["AccessDenied"]);
        no_reading(Harness::builder().denying("GetObject"), "Deployment.S3Access", &["AccessDenied"]);
        no_writing(Harness::builder().denying("PutObject"), "Deployment.S3Access", &["AccessDenied"]);
        no_session_token(with_token(None), "Deployment.S3Access", &["InvalidToken"]);
        another_session_token(with_token(Some("another")), "Deployment.S3Access", &["InvalidToken"]);
    }
}

/// What S3 says of an archive, and what only somebody who operates can mend: it is asked once, said with its remedy, and
/// also in the report's first line what waits behind it.
async fn is_asked_once(status: u16, code: &str, error_type: &str, remedy: &str) {
    let harness = Harness::builder().appending().start().await;
    harness.stack.s3.inject(s3::Fault::on("GetObject", ".tgz", s3::Action::Refuse(status, code.to_owned())));
    fails(&harness, error_type, &[code, remedy]).await;
    let asked = |operation: &str| {
        harness.stack.s3.requests().iter().filter(|request| request.operation == operation).count()
    };
    assert_eq!(asked("GetObject"), 1);
    harness.put("b", &sample(4, 5), 2);
    let (output, _) = harness.command(&["load", harness.config_file().to_str().unwrap()]).await;
    let told = String::from_utf8_lossy(&output.stdout);
    let first = told.lines().find(|line| line.contains("Report: ")).unwrap_or_default();
    assert!(
        first.contains(&format!("STOPPED at {} by {error_type}; archives after it: 1", key("a"))),
        "{told}"
    );
    harness.stack.s3.clear_faults();
    recovers(&harness).await;
}

cases! {
    async what_lasts_in_s3_is_for_the_operator_and_not_tried_again: is_asked_once {
        an_archive_storage_class(403, "InvalidObjectState", "Deployment.ObjectUnreadable", "restore-object");
        a_disabled_kms_key(400, "KMS.DisabledException", "Deployment.ObjectUnreadable", "KMS key");
        a_kms_key_to_be_deleted(400, "KMS.KMSInvalidStateException", "Deployment.ObjectUnreadable", "KMS key");
        an_absent_kms_key(400, "KMS.NotFoundException", "Deployment.ObjectUnreadable", "KMS key");
        a_refused_kms_key(400, "KMS.AccessDeniedException", "Deployment.ObjectUnreadable", "kms:Decrypt");
        a_key_of_the_uploaders(400, "InvalidRequest", "Deployment.ObjectUnreadable", "SSE-C");
        an_expired_session(400, "ExpiredToken", "Deployment.S3Access", "sign in again");
        no_right_or_a_requester_who_pays(403, "AccessDenied", "Deployment.S3Access", "Requester Pays");
        what_is_not_offered(501, "NotImplemented", "Deployment.S3Access", "does not support");
        a_wrong_clock(403, "RequestTimeTooSkewed", "Deployment.S3Access", "clock");
        another_region(301, "PermanentRedirect", "Deployment.NoSuchBucket", "eu-west-1");
    }
}

/// As directory buckets list (Amazon S3 API Reference, `ListObjectsV2`, "Sorting order of returned objects"). What is
/// merged would lack markers, and what is settled would be loaded again.
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_lists_in_no_order_is_refused_before_anything_is_loaded() {
    let harness = Harness::start().await;
    harness.put("b", &sample(4, 5), 0);
    harness.stack.s3.inject(s3::Fault::on("ListObjectsV2", "", s3::Action::ReversePage));
    fails(&harness, "Deployment.UnorderedListing", &[BUCKET, &key("a"), &key("b"), "general purpose"]).await;
    let (output, _) = harness.command(&["check", harness.config_file().to_str().unwrap()]).await;
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("directory buckets"), "{told}");
    harness.stack.s3.clear_faults();
    recovers(&harness).await;
}

/// Everything but the explanation of a bad archive may be written.
#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_lacks_on_one_prefix_is_for_the_operator() {
    let harness = Harness::start().await;
    let refused = s3::Action::Refuse(403, "AccessDenied".to_owned());
    harness.stack.s3.inject(s3::Fault::on("PutObject", "processed/bad/", refused));
    let bad = harness.put("a", b"no archive", 1);
    let Outcome::Failed { error_type, message } = harness.invoke(&bad).await else {
        panic!("it was written")
    };
    assert_eq!(error_type, "Deployment.S3Access");
    assert!(message.contains("processed/bad/") && message.contains("role's policy"), "{message}");
    assert!(harness.is_unsettled("a"));
    harness.stack.s3.clear_faults();
    Harness::report(harness.invoke(&bad).await);
    assert!(harness.is_bad("a"));
}

cases! {
    async what_cannot_be_asked_at_all_is_for_the_operator: is_for_the_operator {
        fips_at_an_endpoint_of_ones_own(
            Harness::builder().env("AWS_USE_FIPS_ENDPOINT", "true"),
            "Deployment.Configuration",
            &["AWS_USE_FIPS_ENDPOINT"],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_not_there_is_for_the_operator() {
    let elsewhere = Harness::builder().config(SHIPPED.replace(BUCKET, "no-such-bucket")).start().await;
    let Outcome::Failed { error_type, .. } = elsewhere.sweep().await else { panic!() };
    assert_eq!(error_type, "Deployment.NoSuchBucket");
}

cases! {
    async an_invalid_configuration_fails_every_event_with_its_reason: is_for_the_operator {
        delimiter_of_two_characters(
            Harness::builder().config(SHIPPED.replace("\"delim\": \",\"", "\"delim\": \",,\"")),
            "Deployment.Configuration",
            &["cmslite_user_group_metadata.json:10:12: delim: expected one ASCII character", "\n  10 | \"delim\": \",,\""],
        );
        two_variables(
            Harness::builder().env("PGSSLMODE", "require").env("PGHOST", ""),
            "Deployment.Configuration",
            &["PGSSLMODE", "PGHOST is not set"],
        );
    }
}

/// CONTRIBUTING.md says until when the branch gets repairs.
#[test]
fn the_openssl_that_is_linked_in_is_the_one_that_the_lock_file_names() {
    const LOCK: &str = include_str!("../../Cargo.lock");
    let (_, rest) = LOCK.split_once("name = \"openssl-src\"\nversion = \"").unwrap();
    let (_, version) = rest.split_once('"').unwrap().0.split_once('+').unwrap();
    let linked = openssl::version::version();
    assert!(linked.starts_with(&format!("OpenSSL {version} ")), "{linked}, not {version}");
    assert!(version.starts_with("3.6."), "another branch: say in CONTRIBUTING.md until when it gets repairs");
}
