//! Which events are served, from an upload's notification to a sweep by hand.

use devstack::lambda::Outcome;
use devstack::s3::{Notification, Target};
use devstack::samples;
use devstack::stack::{BUCKET, uploader_keys};
use serde_json::json;

use crate::harness::{Harness, expected, key, members, moment, sample};

/// A client with the keys of the uploading team.
fn uploader(harness: &Harness) -> aws_sdk_s3::Client {
    let keys = uploader_keys();
    let keys =
        aws_sdk_s3::config::Credentials::new(keys.access_key_id, keys.secret_access_key, None, None, "test");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
        .region(aws_sdk_s3::config::Region::new("ca-central-1"))
        .endpoint_url(harness.stack.s3_endpoint())
        .force_path_style(true)
        .credentials_provider(keys);
    aws_sdk_s3::Client::from_conf(config.build())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_alone_fills_four_tables_with_the_cells_of_its_files() {
    let harness = Harness::start().await;
    let target = Target::Invoke(harness.lambda.invoke_url("cmslite"));
    harness.stack.s3.notify(Notification {
        bucket: BUCKET.to_owned(),
        prefix: "client/cmslite_gdx/".to_owned(),
        suffix: String::new(),
        target,
    });
    let members = members(7, 200);
    let name = "2024 ü+%";
    let body = samples::archive(&members).unwrap().into();
    uploader(&harness).put_object().bucket(BUCKET).key(key(name)).body(body).send().await.unwrap();
    harness.becomes_good(name).await;
    assert_eq!(harness.tables().await, expected(&members));
    assert_eq!(harness.ledger().await, [key(name)]);
    assert_eq!(harness.stack.s3.unfinished_uploads(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_event_is_served() {
    let harness = Harness::builder().appending().start().await;
    let key = "client/cmslite_gdx/cms-analytics-csv_2024-03-01.tgz";
    let other = "client/cmslite_gdx/cms-analytics-csv_ü 100%+.tgz";
    for (n, (name, event)) in [
        ("s3-object-created", include_str!("../../events/s3-object-created.json")),
        ("s3-several-records", include_str!("../../events/s3-several-records.json")),
        ("eventbridge-object-created", include_str!("../../events/eventbridge-object-created.json")),
        ("eventbridge-schedule", include_str!("../../events/eventbridge-schedule.json")),
        ("by-hand-sweep", include_str!("../../events/by-hand-sweep.json")),
        ("by-hand-key", include_str!("../../events/by-hand-key.json")),
    ]
    .into_iter()
    .enumerate()
    {
        let n = n as u64;
        let archive = sample(n, 1);
        harness
            .stack
            .s3
            .put_at(BUCKET, key, &archive, chrono::Utc::now() + chrono::TimeDelta::seconds(n as i64 * 60))
            .unwrap();
        if n == 1 {
            harness.stack.s3.put_at(BUCKET, other, &sample(99, 1), moment(0)).unwrap();
        }
        Harness::report(harness.lambda.invoke(serde_json::from_str(event).unwrap()).await);
        let rows = n as usize + 1 + usize::from(n >= 1);
        assert_eq!(harness.rows("user_status").await.len(), rows, "{name}");
    }
    let answer = harness
        .lambda
        .invoke(serde_json::from_str(include_str!("../../events/s3-test-event.json")).unwrap())
        .await;
    assert_eq!(answer, Outcome::Ok(json!({"version": 1, "reports": [], "ignored": [], "omitted": {}})));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_no_dataset_is_ignored() {
    let harness = Harness::start().await;
    harness.stack.s3.put_at(BUCKET, "client/other/x.tgz", b"x", moment(1)).unwrap();
    let Outcome::Ok(answer) = harness.invoke("client/other/x.tgz").await else { panic!() };
    assert_eq!(
        answer,
        json!({"version": 1, "reports": [], "ignored": [format!("s3://{BUCKET}/client/other/x.tgz")], "omitted": {}})
    );
}
