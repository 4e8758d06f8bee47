//! The same end to end with what we did not write: moto as the S3, and the AWS command line as the client.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at what it did not expect"
)]

mod support;

use std::net::TcpListener;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use devstack::lambda::eventually;
use devstack::samples;
use devstack::stack::{self, BUCKET};
use serde_json::{Value, json};
use support::moto::{self, Moto};
use support::{Setup, World, bad_key, expected, good_key, key, members};

fn client(endpoint: &str) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("ca-central-1"))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .credentials_provider(Credentials::new("id", "key", None, None, "test"));
    Client::from_conf(config.build())
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_become_rows_with_moto_as_the_s3() {
    let moto = moto::start().await;
    let endpoint = moto.endpoint();
    let s3 = client(&endpoint);
    let place = aws_sdk_s3::types::CreateBucketConfiguration::builder()
        .location_constraint("ca-central-1".into())
        .build();
    s3.create_bucket().bucket(BUCKET).create_bucket_configuration(place).send().await.unwrap();
    let world = Setup {
        stack: stack::Options { s3_endpoint: Some(endpoint), ..stack::Options::default() },
        ..Setup::default()
    }
    .start()
    .await;
    let keys = async || -> Vec<String> {
        let page = s3.list_objects_v2().bucket(BUCKET).send().await.unwrap();
        page.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect()
    };

    let members = members(7, 300);
    let good = key("a ü+");
    s3.put_object()
        .bucket(BUCKET)
        .key(&good)
        .body(samples::archive(&members).unwrap().into())
        .send()
        .await
        .unwrap();
    World::report(world.invoke(&good).await);
    assert_eq!(world.tables().await, expected(&members));
    assert!(keys().await.contains(&good_key("a ü+")));
    World::report(world.invoke(&good).await);
    assert_eq!(world.ledger().await, [good.as_str()]);

    // LastModified has whole seconds: the next upload is a newer one.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    s3.put_object().bucket(BUCKET).key(key("b")).body(b"no archive".to_vec().into()).send().await.unwrap();
    let report = World::report(world.invoke(&key("b")).await);
    assert_eq!(report["objects_bad"], json!(1));
    assert!(keys().await.contains(&bad_key("b")));
    let explanation =
        s3.get_object().bucket(BUCKET).key(format!("{}.error.json", bad_key("b"))).send().await.unwrap();
    let explanation: Value =
        serde_json::from_slice(&explanation.body.collect().await.unwrap().into_bytes()).unwrap();
    assert_eq!(explanation["problems"][0]["code"], "corrupt_gzip");
    assert_eq!(world.tables().await, expected(&members));
}

/// `aws s3 cp` of an archive into the stack's bucket loads it, with nothing else done.
#[tokio::test(flavor = "multi_thread")]
async fn aws_s3_cp_loads_an_archive() {
    let world = support::world().await;
    let target = devstack::s3::Target::Invoke(world.lambda.invoke_url("cmslite"));
    world.stack.s3.notify(devstack::s3::Notification {
        bucket: BUCKET.to_owned(),
        prefix: "client/".to_owned(),
        suffix: String::new(),
        target,
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), samples::archive(&members(9, 40)).unwrap()).unwrap();
    let keys = stack::uploader_keys();
    let copied = tokio::process::Command::new(moto::aws())
        .args(["s3", "cp", file.path().to_str().unwrap(), &format!("s3://{BUCKET}/{}", key("by hand"))])
        .env_clear()
        .envs([
            ("AWS_ENDPOINT_URL", world.stack.s3_endpoint()),
            ("AWS_REGION", "ca-central-1"),
            ("HOME", "/nonexistent"),
        ])
        .envs([("AWS_ACCESS_KEY_ID", keys.access_key_id), ("AWS_SECRET_ACCESS_KEY", keys.secret_access_key)])
        .kill_on_drop(true)
        .output();
    let copied = tokio::time::timeout(Duration::from_secs(120), copied).await.expect("aws hangs").unwrap();
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    eventually(Duration::from_secs(30), || world.is_good("by hand")).await.unwrap();
    assert_eq!(world.tables().await, expected(&members(9, 40)));
}

/// A password that Secrets Manager keeps, in Redshift's JSON form; it is rotated while the function lives.
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
        .secret_string(form(stack::LOADER_PASSWORD))
        .send()
        .await
        .unwrap();
    let world = Setup::appending()
        .with("AWS_ENDPOINT_URL_SECRETS_MANAGER", &endpoint)
        .with("PGPASS_SECRET_ID", "cmslite/redshift")
        .with("pgpass", "")
        .with("PGUSER", "")
        .start()
        .await;
    World::report(world.invoke(&world.put("a", &support::sample(1, 5), 1)).await);

    world.stack.redshift.set_password(stack::LOADER, "rotated-Passw0rd");
    let b = world.put("b", &support::sample(2, 5), 2);
    let devstack::lambda::Outcome::Failed { error_type, message } = world.invoke(&b).await else {
        panic!("the old password is taken")
    };
    assert_eq!(error_type, "Deployment.LoginRefused", "{message}");
    secrets
        .put_secret_value()
        .secret_id("cmslite/redshift")
        .secret_string(form("rotated-Passw0rd"))
        .send()
        .await
        .unwrap();
    World::report(world.invoke(&b).await);
    World::report(world.invoke(&world.put("c", &support::sample(3, 5), 3)).await);
    assert_eq!(world.rows("user_group").await.len(), 15);
    let starts = world.log().await.matches("the login was refused, and has changed meanwhile").count();
    assert_eq!(starts, 1);
    assert!(!world.log().await.contains("rotated-Passw0rd"));

    let unknown = Setup::default()
        .with("AWS_ENDPOINT_URL_SECRETS_MANAGER", &endpoint)
        .with("PGPASS_SECRET_ID", "no/such")
        .start()
        .await;
    let devstack::lambda::Outcome::Failed { error_type, message } = unknown.sweep().await else {
        panic!("it started")
    };
    assert_eq!(error_type, "Deployment.SecretUnreadable");
    assert!(message.contains("the secret no/such (PGPASS_SECRET_ID) cannot be read"), "{message}");
}

/// A topic in moto, with a queue that hears it.
async fn topic(moto: &Moto) -> String {
    let topic = moto
        .python("print(json.dumps(boto('sns').create_topic(Name='notices')['TopicArn']))", &[])
        .await
        .as_str()
        .unwrap()
        .to_owned();
    moto.hear(&topic).await;
    topic
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_archive_is_told_once_with_its_reasons() {
    let moto = moto::start().await;
    let setup = Setup::appending()
        .with("AWS_ENDPOINT_URL_SNS", moto.endpoint())
        .with("BAD_ARCHIVE_TOPIC_ARN", topic(&moto).await);
    let world = setup.start().await;
    World::report(world.invoke(&world.put("good", &support::sample(1, 5), 1)).await);
    assert_eq!(moto.heard().await, []);

    let rows = "1,\"name, é\"\n".repeat(30);
    let bad = world.put(
        "bad ü+",
        &support::sample_with("analytics_group.csv", format!("id,name,active,site_key\n{rows}")),
        2,
    );
    let report = World::report(world.invoke(&bad).await);
    World::report(world.invoke(&bad).await);
    let told_now = moto.heard().await;
    let [(subject, body)] = told_now.as_slice() else { panic!("{told_now:?}") };
    assert_eq!(subject, "Bad archive in cmslite_user_group_metadata: cms-analytics-csv_bad ?+.tgz");
    assert!(
        body.contains(&format!(
            "Archive: s3://{BUCKET}/{bad} (ETag {})\n",
            report["bad"][0]["etag"].as_str().unwrap()
        )),
        "{body}"
    );
    assert!(body.contains(&format!("Reasons: s3://{BUCKET}/{}.error.json\n", bad_key("bad ü+"))), "{body}");
    assert!(body.contains("upload it again under the same name"), "{body}");
    assert_eq!(body.matches("\n- analytics_group.csv, line ").count(), 20, "{body}");
    let found = report["bad"][0]["problems_found"].as_u64().unwrap();
    assert!(
        body.contains(&format!("Problems found: {found}\n"))
            && (found == 20 || body.ends_with(&format!("and {} more\n", found - 20))),
        "{body}"
    );
    for problem in report["bad"][0]["problems"].as_array().unwrap() {
        assert!(body.contains(problem["reason"].as_str().unwrap()), "{body}");
    }

    // The command tells as the function does.
    world.put("by hand", b"no archive", 3);
    let (output, _directory) = world.command(&["load", world.config_file().to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(1));
    let told = moto.heard().await;
    assert!(
        told.len() == 1
            && told[0].0.ends_with("cms-analytics-csv_by hand.tgz")
            && told[0].1.contains("not a sound gzip file"),
        "{told:?}"
    );

    // A function that ends before the marker is set has told already, and the next one tells again.
    world.stack.s3.inject(devstack::s3::Fault::on(
        "CopyObject",
        "",
        devstack::s3::Action::Refuse(503, "SlowDown".to_owned()),
    ));
    let unsettled = world.put("unsettled", b"no archive", 4);
    assert!(
        matches!(world.invoke(&unsettled).await, devstack::lambda::Outcome::Failed { .. })
            && world.is_unsettled("unsettled")
    );
    assert_eq!(moto.heard().await.len(), 1);
    world.stack.s3.clear_faults();
    World::report(world.invoke(&unsettled).await);
    assert!(world.is_bad("unsettled"));
    assert_eq!(moto.heard().await.len(), 1);
    for secret in [
        stack::LOADER_PASSWORD,
        &stack::function_keys().secret_access_key,
        &stack::function_keys().session_token.unwrap(),
    ] {
        assert!(!body.contains(secret));
    }
}

/// A topic that is not there, an SNS that is not there, and one that takes the message and never answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_archive_that_nobody_can_be_told_of_is_bad_all_the_same() {
    let moto = moto::start().await;
    let topic = topic(&moto).await;
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let outcome = async |name: &str, endpoint: Option<String>, topic: &str| {
        let mut setup = Setup::appending();
        if let Some(endpoint) = endpoint {
            setup = setup.with("AWS_ENDPOINT_URL_SNS", endpoint).with("BAD_ARCHIVE_TOPIC_ARN", topic);
        }
        let world = setup.start().await;
        let mut report = World::report(world.invoke(&world.put("a", b"no archive", 1)).await);
        assert!(world.is_bad("a"), "{name}");
        for differs in ["seconds", "request_id", "oldest_unsettled_age_seconds"] {
            report.as_object_mut().unwrap().remove(differs);
        }
        let took = world.lambda.history()[0].took;
        (report, world.error_json("a")["problems"].clone(), took, world.log().await)
    };
    let (report, problems, _, log) = outcome("nobody", None, "").await;
    assert!(!log.contains("tell of the bad archive"));
    for (name, endpoint, topic, why) in [
        ("no topic", moto.endpoint(), format!("{topic}-gone"), "NotFound"),
        ("no SNS", "http://127.0.0.1:1".to_owned(), topic.clone(), "dispatch failure"),
        ("silence", format!("http://{}", silent.local_addr().unwrap()), topic.clone(), "timeout"),
    ] {
        let (report_now, problems_now, took, log) = outcome(name, Some(endpoint), &topic).await;
        assert_eq!((&report_now, &problems_now), (&report, &problems), "{name}");
        assert!(took < Duration::from_secs(10), "{name}: {took:?}");
        let warning = log
            .lines()
            .find(|line| line.contains("cannot tell of the bad archive"))
            .unwrap_or_else(|| panic!("{name}: {log}"));
        assert!(warning.contains("\"level\":\"WARN\"") && warning.contains(why), "{warning}");
        println!("{name}: {took:?}: {warning}");
    }
}
