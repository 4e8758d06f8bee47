//! Tests Redshift's ways to log in, and TLS: a temporary fault is tried again, a lasting one is reported once
//! with its own message, and a refused password is not sent again.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use devstack::lambda::{Lambda, Options, Outcome};
use devstack::redshift::{
    ALERT_HANDSHAKE_FAILURE, ALERT_INTERNAL_ERROR, ALERT_PROTOCOL_VERSION, Auth, CLOSES, Certificate, Fault,
    HELLO_OF_TLS_1_1,
};
use devstack::stack::LOADER;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslVersion};

use crate::deployment::{is_answered, is_for_the_operator, with_login};
use crate::faults::{fails, recovers};
use crate::harness::{Harness, HarnessBuilder, PROGRAM, cases, sample};

/// The server breaks off in TLS's handshake, and is well the next time.
async fn passes(said: &'static [u8]) {
    let harness = Harness::start().await;
    harness.stack.redshift.inject(Fault::on_handshake(said));
    fails(&harness, "Retryable.ConnectionLost", &["cannot connect to Redshift at localhost"]).await;
    harness.stack.redshift.clear_faults();
    recovers(&harness).await;
}

cases! {
    async a_handshake_that_breaks_off_is_the_networks: passes {
        an_end_of_the_stream(CLOSES);
        an_error_within_the_server(ALERT_INTERNAL_ERROR);
        half_an_answer(&HELLO_OF_TLS_1_1[..20]);
    }
}

/// The server speaks another TLS than this program.
async fn is_no_tls_of_ours(said: &'static [u8]) {
    let harness = Harness::start().await;
    harness.stack.redshift.inject(Fault::on_handshake(said));
    fails(&harness, "Deployment.TlsUnsupported", &["1.2 or newer", "a proxy"]).await;
}

cases! {
    async a_tls_that_is_too_old_is_said_as_that: is_no_tls_of_ours {
        a_hello_of_tls_1_1(HELLO_OF_TLS_1_1);
        an_alert_about_the_version(ALERT_PROTOCOL_VERSION);
        an_alert_about_the_ciphers(ALERT_HANDSHAKE_FAILURE);
    }
}

/// A server of OpenSSL's that speaks no TLS newer than `newest`; its port. It ends with the process.
fn old_server(newest: SslVersion) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut context = SslContext::builder(SslMethod::tls_server()).unwrap();
    context.set_security_level(0);
    context.set_min_proto_version(None).unwrap();
    context.set_max_proto_version(Some(newest)).unwrap();
    context.set_cipher_list("ALL:aNULL:@SECLEVEL=0").unwrap();
    let context = context.build();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if stream.read_exact(&mut [0; 8]).is_ok() && stream.write_all(b"S").is_ok() {
                let _ = Ssl::new(&context).unwrap().accept(stream);
            }
        }
    });
    port
}

async fn is_too_old(newest: SslVersion) {
    let port = old_server(newest).to_string();
    let words = ["1.2 or newer", "protocol"];
    is_for_the_operator(Harness::builder().env("PGPORT", port), "Deployment.TlsUnsupported", &words).await;
}

cases! {
    async openssl_of_an_old_version_is_too_old: is_too_old {
        tls_1_0(SslVersion::TLS1);
        tls_1_1(SslVersion::TLS1_1);
    }
}

fn with_certificate(certificate: Certificate) -> HarnessBuilder {
    Harness::builder().redshift(move |options| options.certificate = certificate)
}

cases! {
    async only_a_certificate_is_not_trusted: is_for_the_operator {
        self_signed(
            with_certificate(Certificate::SelfSigned),
            "Deployment.TlsNotTrusted",
            &["not trusted", "self-signed certificate"],
        );
        expired(
            with_certificate(Certificate::Expired),
            "Deployment.TlsNotTrusted",
            &["not trusted", "certificate has expired"],
        );
    }
}

cases! {
    async every_login_of_redshifts_is_answered: is_answered {
        in_clear(with_login(Auth::Cleartext));
        by_md5(with_login(Auth::Md5));
        by_sha256(with_login(Auth::Sha256Digest));
        by_sha256_where_only_the_issuer_counts(with_login(Auth::Sha256Digest).env("PGSSLMODE", "verify-ca"));
        a_host_with_blanks_and_a_dot(Harness::builder().env("PGHOST", " localhost. "));
    }
}

/// A wrong password is sent once, whatever the invocations; the user, where the password comes from and a way out are
/// said, and the password is not.
async fn is_sent_once(auth: Auth) {
    let harness = with_login(auth).env("pgpass", "").env("PGPASSWORD", "a-wrong-Passw0rd").start().await;
    let words =
        ["user cmslite_loader", "the variable PGPASSWORD", "ALTER USER cmslite_loader LOGIN PASSWORD"];
    fails(&harness, "Deployment.LoginRefused", &words).await;
    for _ in 0..2 {
        fails(
            &harness,
            "Deployment.LoginRefused",
            &["does not send the same password again", words[0], words[1]],
        )
        .await;
    }
    let Outcome::Failed { message, .. } = harness.sweep().await else { panic!("it went well") };
    assert!(!message.contains("a-wrong-Passw0rd"), "{message}");
    assert_eq!(harness.stack.redshift.logins(), [(LOADER.to_owned(), false)]);
    assert!(!harness.log().await.contains("a-wrong-Passw0rd"));
}

cases! {
    async a_refused_password_is_not_sent_again: is_sent_once {
        in_clear(Auth::Cleartext);
        by_md5(Auth::Md5);
        by_sha256(Auth::Sha256Digest);
    }
}

/// A lost connection refuses nothing: the password is sent again.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_not_refused_is_sent_again() {
    let harness = Harness::start().await;
    harness.stack.redshift.inject(Fault::on("BEGIN", devstack::redshift::Action::CutBefore));
    fails(&harness, "Retryable.ConnectionLost", &[]).await;
    harness.stack.redshift.clear_faults();
    recovers(&harness).await;
    assert!(harness.stack.redshift.logins().iter().all(|(_, accepted)| *accepted));
}

/// The whole address in one variable, as a console shows it.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_taken_as_it_is_pasted() {
    let harness = Harness::start().await;
    let mut environment = harness.environment.clone();
    let mut taken = |wanted: &str| {
        let at = environment.iter().position(|(name, _)| name == wanted).unwrap();
        environment.remove(at).1
    };
    let (host, port, database) = (taken("PGHOST"), taken("PGPORT"), taken("PGDATABASE"));
    environment.push(("PGHOST".to_owned(), format!("jdbc:redshift://{host}:{port}/{database}")));
    let lambda = Lambda::start(Options::new(PROGRAM, environment)).await.unwrap();
    let archive = harness.put("a", &sample(3, 50), 1);
    Harness::report(lambda.invoke(Harness::event(&archive)).await);
}

cases! {
    async an_address_that_cannot_be_one_is_refused_at_start: is_for_the_operator {
        two_hosts(Harness::builder().env("PGHOST", "a, b"), "Deployment.Configuration", &["PGHOST", "not a host name"]);
        a_login_within(
            Harness::builder().env("PGHOST", "postgres://u:p@h/d"),
            "Deployment.Configuration",
            &["PGHOST holds a user", "PGUSER and pgpass"],
        );
        two_ports(
            Harness::builder().env("PGHOST", "localhost:1"),
            "Deployment.Configuration",
            &["PGHOST has port 1", "leave one of them out"],
        );
    }
}
