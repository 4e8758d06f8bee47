//! Tests login and TLS.
//!
//! Each test names the document that it follows; a bare `x.md` is a page of the Amazon Redshift Database
//! Developer Guide.

use devstack::redshift::{Auth, Redshift, Tls};
use postgres_native_tls::MakeTlsConnector;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Config, NoTls};

use crate::case;

use super::support::{Session, code, stack, stack_with};

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

async fn login_error(config: &Config) -> tokio_postgres::Error {
    match config.connect(NoTls).await {
        Ok(_) => panic!("the login was accepted"),
        Err(error) => error,
    }
}

/// MD5 digests are salted with the user's name (`r_CREATE_USER.md`). The Python driver's `core.py` answers
/// tags 3 and 5.
#[tokio::test]
async fn a_password_is_asked_for_as_md5_or_in_clear() {
    for (name, auth) in [("MD5", Auth::Md5), ("in clear", Auth::Cleartext)] {
        case(name);
        let stack = stack_with(|options| options.auth = auth).await;
        assert_eq!(stack.session_of("loader", "load").await.only_row("SELECT current_user").await, "loader");
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

/// A user with a SHA-256 digest gets authentication tag 13, which tokio-postgres reports as an I/O error
/// (microsoft/vscode-sqltools#1415 and rust-postgres).
#[tokio::test]
async fn a_sha256_user_meets_authentication_tag_13() {
    use std::error::Error as _;
    let stack = stack_with(|options| options.auth = Auth::Sha256Digest).await;
    let error = login_error(&stack.config("loader", "load")).await;
    assert!(error.source().unwrap().to_string().contains("unknown authentication tag `13`"), "{error:?}");
}

/// Plain connections are accepted unless `require_SSL` is true (Management Guide, connecting-ssl-support).
#[tokio::test]
async fn tls_is_optional_required_or_disabled() {
    for (name, tls, plain, secure) in [
        ("optional", Tls::Optional, true, true),
        ("required", Tls::Required, false, true),
        ("disabled", Tls::Disabled, true, false),
    ] {
        case(name);
        let stack = stack_with(|options| options.tls = tls).await;
        let mut config = stack.config("loader", "load");
        config.ssl_mode(SslMode::Disable);
        assert_eq!(config.connect(NoTls).await.is_ok(), plain, "{name}");
        let mut config = Config::new();
        config
            .host("localhost")
            .port(stack.redshift.port())
            .user("loader")
            .password("load")
            .dbname(&stack.database)
            .ssl_mode(SslMode::Require);
        assert_eq!(config.connect(trusting(&stack.redshift)).await.is_ok(), secure, "{name}");
    }
}

/// `verify-full` checks the chain and the host's name (Management Guide, connecting-ssl-support).
#[tokio::test]
async fn its_certificate_is_trusted_only_by_its_authority_and_for_its_names() {
    let stack = stack_with(|options| options.host_names = vec!["localhost".to_owned()]).await;
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

/// `extra_float_digits=3` is refused with 22023 (launchbadge/sqlx#956). An unknown setting in `options` is
/// FATAL (sqlalchemy#9494).
#[tokio::test]
async fn unknown_settings_are_refused_at_start_up() {
    let stack = stack().await;
    for (name, options, expected) in [
        ("a value out of range", "-c extra_float_digits=3", "22023"),
        ("a setting of PostgreSQL's", "-c standard_conforming_strings=on", "42704"),
        ("an unknown setting", "-c no_such=1", "42704"),
    ] {
        case(name);
        let mut config = stack.config("loader", "load");
        let error = login_error(config.options(options)).await;
        assert_eq!(code(&error), expected, "{name}");
        assert_eq!(error.as_db_error().unwrap().severity(), "FATAL");
    }
    let mut config = stack.config("loader", "load");
    config.options("-c statement_timeout=1500 -c search_path=pg_catalog").application_name("tester");
    let session = Session::open(&config).await.unwrap();
    assert_eq!(session.only_row("SHOW statement_timeout").await, "1500ms");
    assert_eq!(session.only_row("SHOW application_name").await, "tester");
}

#[tokio::test]
async fn a_database_that_is_not_there_is_refused() {
    let stack = stack().await;
    let mut config = stack.config("loader", "load");
    assert_eq!(code(&login_error(config.dbname("no_such")).await), "3D000");
}

/// The version has the form of `r_VERSION.md`.
#[tokio::test]
async fn version_is_redshifts() {
    let stack = stack().await;
    let session = stack.session().await;
    for sql in ["SELECT version()", "SELECT pg_catalog.version()"] {
        let version = session.only_row(sql).await;
        assert!(version.starts_with("PostgreSQL 8.0.2 ") && version.contains("Redshift 1.0."), "{version}");
    }
}

/// A temporary login is an ordinary password login until it expires.
///
/// It follows GetClusterCredentials ("the database user name prefixed with IAM: if AutoCreate is False or
/// IAMA: if AutoCreate is True", with the permissions of the user named in DbUser) and
/// GetClusterCredentialsWithIAM ("after this timestamp, a log in with the temporary password fails") in the
/// Amazon Redshift API Reference.
#[tokio::test]
async fn a_temporary_password_is_taken_until_it_ends() {
    use std::time::{Duration, SystemTime};
    for auth in [Auth::Md5, Auth::Cleartext] {
        let stack = stack_with(|options| {
            options.auth = auth;
            options.users.push(("IAMR:role".to_owned(), "its-own".to_owned()));
        })
        .await;
        let issuer = stack.redshift.issuer();
        for (user, database_user) in
            [("IAM:loader", "loader"), ("IAMA:loader", "loader"), ("IAMR:role", "IAMR:role")]
        {
            case(user);
            issuer.give(user, "temporary", SystemTime::now() + Duration::from_secs(900));
            let session = stack.session_of(user, "temporary").await;
            assert_eq!(session.only_row("SELECT current_user").await, database_user);
            let wrong = login_error(&stack.config(user, "load")).await;
            assert_eq!(wrong.code(), Some(&SqlState::INVALID_PASSWORD), "{wrong:?}");
            issuer.give(user, "temporary", SystemTime::now() - Duration::from_secs(1));
            let over = login_error(&stack.config(user, "temporary")).await;
            assert_eq!(over.code(), Some(&SqlState::INVALID_PASSWORD), "{over:?}");
            // A session outlives the password that it began with.
            assert_eq!(session.only_row("SELECT 1").await, "1");
        }
        assert_eq!(stack.session_of("loader", "load").await.only_row("SELECT current_user").await, "loader");
    }
}
