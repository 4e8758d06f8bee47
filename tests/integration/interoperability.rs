//! Tests the whole loader with programs of others: moto as S3, and the AWS command line for uploads.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use devstack::s3::{Notification, Target};
use devstack::samples;
use devstack::stack::{self, BUCKET};
use serde_json::{Value, json};

use crate::harness::{HANGS_AFTER, Harness, bad_key, expected, good_key, key, members, moto};

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
    let harness = Harness::builder().s3_endpoint(endpoint).start().await;
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
    Harness::report(harness.invoke(&good).await);
    assert_eq!(harness.tables().await, expected(&members));
    assert!(keys().await.contains(&good_key("a ü+")));
    Harness::report(harness.invoke(&good).await);
    assert_eq!(harness.ledger().await, [good.as_str()]);

    // LastModified has whole seconds, so this makes the next upload newer.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    s3.put_object().bucket(BUCKET).key(key("b")).body(b"no archive".to_vec().into()).send().await.unwrap();
    let report = Harness::report(harness.invoke(&key("b")).await);
    assert_eq!(report["objects_bad"], json!(1));
    assert!(keys().await.contains(&bad_key("b")));
    let explanation =
        s3.get_object().bucket(BUCKET).key(format!("{}.error.json", bad_key("b"))).send().await.unwrap();
    let explanation: Value =
        serde_json::from_slice(&explanation.body.collect().await.unwrap().into_bytes()).unwrap();
    assert_eq!(explanation["problems"][0]["code"], "corrupt_gzip");
    assert_eq!(harness.tables().await, expected(&members));
}

/// After `aws s3 cp` into the stack's bucket, the archive is loaded without any further action.
#[tokio::test(flavor = "multi_thread")]
async fn aws_s3_cp_loads_an_archive() {
    let harness = Harness::start().await;
    let target = Target::Invoke(harness.lambda.invoke_url("cmslite"));
    harness.stack.s3.notify(Notification {
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
            ("AWS_ENDPOINT_URL", harness.stack.s3_endpoint()),
            ("AWS_REGION", "ca-central-1"),
            ("HOME", "/nonexistent"),
        ])
        .envs([("AWS_ACCESS_KEY_ID", keys.access_key_id), ("AWS_SECRET_ACCESS_KEY", keys.secret_access_key)])
        .kill_on_drop(true)
        .output();
    let copied = tokio::time::timeout(HANGS_AFTER, copied).await.expect("aws hangs").unwrap();
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    harness.becomes_good("by hand").await;
    assert_eq!(harness.tables().await, expected(&members(9, 40)));
}
