//! Tests that no password, key or token is shown, and that a rotated password is read again.

use devstack::lambda::Outcome;
use devstack::redshift::{Action, Fault};
use devstack::stack::{self, LOADER_PASSWORD, function_keys};
use serde_json::json;

use crate::command_line::load;
use crate::harness::{Harness, HarnessBuilder, cases, moto, sample};

const WRONG_PASSWORD: &str = "a-wrong-Passw0rd";

#[track_caller]
fn holds_no_secret(text: &str) {
    let keys = function_keys();
    let token = keys.session_token.unwrap();
    let secrets = [LOADER_PASSWORD, &keys.secret_access_key, &token, &keys.access_key_id, WRONG_PASSWORD];
    for secret in secrets {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
}

/// Returns a function and a command that log as much as possible.
fn talkative() -> HarnessBuilder {
    Harness::builder()
        .appending()
        .env("RUST_LOG", "trace")
        .env("AWS_LAMBDA_LOG_LEVEL", "TRACE")
        .env("RUST_BACKTRACE", "1")
}

/// Runs a load in the function and in the command, while every COPY has a fault.
async fn tells_no_secret(fault: Option<Action>) {
    let harness = talkative().start().await;
    if let Some(action) = fault {
        harness.stack.redshift.inject(Fault::on("COPY", action));
    }
    let archive = harness.put("a", &sample(1, 5), 1);
    holds_no_secret(&format!("{:?}", harness.invoke(&archive).await));
    let (_, stdout, log) = load(&harness).await;
    let function_log = harness.log().await;
    assert!(function_log.contains("archive begun") && log.contains("queue read"));
    for text in [&function_log, &stdout, &log] {
        holds_no_secret(text);
    }
    for statement in harness.stack.redshift.statements() {
        holds_no_secret(&statement.sql);
    }
}

cases! {
    /// No log has a password, key or token, at any level, whether the load succeeds or fails.
    async no_secret_is_in_any_log: tells_no_secret {
        all_is_well(None);
        lost_connection(Some(Action::CutBefore));
        refused_copy(Some(Action::Refuse("42601".to_owned(), "syntax error".to_owned())));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_password_is_in_no_log() {
    let harness = talkative().env("pgpass", WRONG_PASSWORD).start().await;
    let archive = harness.put("a", &sample(1, 5), 1);
    holds_no_secret(&format!("{:?}", harness.invoke(&archive).await));
    holds_no_secret(&harness.log().await);
}

/// Secrets Manager keeps a password in Redshift's JSON form. It is rotated while the function runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_read_from_secrets_manager_and_again_when_it_was_rotated() {
    let moto = moto::start().await;
    let endpoint = moto.endpoint();
    let secrets = {
        let config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(aws_sdk_secretsmanager::config::BehaviorVersion::latest())
            .region(aws_sdk_secretsmanager::config::Region::new("ca-central-1"))
            .endpoint_url(&endpoint)
            .credentials_provider(aws_sdk_secretsmanager::config::Credentials::new(
                "id", "key", None, None, "test",
            ));
        aws_sdk_secretsmanager::Client::from_conf(config.build())
    };
    let form = |password: &str| {
        json!({"username": stack::LOADER, "password": password, "engine": "redshift"}).to_string()
    };
    secrets
        .create_secret()
        .name("cmslite/redshift")
        .secret_string(form(LOADER_PASSWORD))
        .send()
        .await
        .unwrap();
    let harness = Harness::builder()
        .appending()
        .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", &endpoint)
        .env("PGPASS_SECRET_ID", "cmslite/redshift")
        .env("pgpass", "")
        .env("PGUSER", "somebody_else")
        .start()
        .await;
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);

    harness.stack.redshift.set_password(stack::LOADER, "rotated-Passw0rd");
    let b = harness.put("b", &sample(2, 5), 2);
    let Outcome::Failed { error_type, message } = harness.invoke(&b).await else {
        panic!("the old password is taken")
    };
    assert_eq!(error_type, "Deployment.LoginRefused", "{message}");
    assert!(message.contains("with the password of the secret cmslite/redshift, version "), "{message}");
    // The secret is read again. The password is still the refused one, so it is not sent again.
    let Outcome::Failed { message, .. } = harness.invoke(&b).await else {
        panic!("the old password is taken")
    };
    assert!(message.contains("does not send the same password again"), "{message}");
    let refused = || harness.stack.redshift.logins().iter().filter(|(_, accepted)| !accepted).count();
    assert_eq!(refused(), 1);
    secrets
        .put_secret_value()
        .secret_id("cmslite/redshift")
        .secret_string(form("rotated-Passw0rd"))
        .send()
        .await
        .unwrap();
    Harness::report(harness.invoke(&b).await);
    Harness::report(harness.invoke(&harness.put("c", &sample(3, 5), 3)).await);
    assert_eq!(refused(), 1);
    assert_eq!(harness.rows("user_group").await.len(), 15);
    let starts =
        harness.log().await.matches("the login was refused, and has changed in the meantime").count();
    assert_eq!(starts, 1);
    assert!(!harness.log().await.contains("rotated-Passw0rd"));

    let unknown = Harness::builder()
        .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", &endpoint)
        .env("PGPASS_SECRET_ID", "no/such")
        .start()
        .await;
    let Outcome::Failed { error_type, message } = unknown.sweep().await else { panic!("it started") };
    assert_eq!(error_type, "Deployment.SecretUnreadable");
    assert!(message.contains("the secret no/such (PGPASS_SECRET_ID) cannot be read"), "{message}");

    // Nothing listens at this address.
    let unreachable = Harness::builder()
        .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:1")
        .env("PGPASS_SECRET_ID", "cmslite/redshift")
        .start()
        .await;
    let Outcome::Failed { error_type, message } = unreachable.sweep().await else { panic!("it started") };
    assert_eq!(error_type, "Retryable.SecretUnavailable", "{message}");
}
