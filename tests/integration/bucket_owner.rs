//! Tests `S3_BUCKET_OWNER`: every request to S3 names the account that must own the bucket, and a bucket of
//! another account is neither read nor written.

use devstack::lambda::Outcome;
use devstack::s3::Request;
use devstack::s3::policy::ACCOUNT;
use devstack::stack::function_keys;

use crate::harness::{Harness, long_sample, sample, told};

const OTHER: &str = "999999999999";

fn own_requests(harness: &Harness) -> Vec<Request> {
    let own = function_keys().access_key_id;
    let requests = harness.stack.s3.requests().into_iter();
    requests.filter(|request| request.access_key_id.as_ref() == Some(&own)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_names_the_account() {
    // COPY signs its requests with other keys, those of a role.
    let harness = Harness::builder()
        .appending()
        .env("S3_BUCKET_OWNER", ACCOUNT)
        .env("COPY_IAM_ROLE", "default")
        .start()
        .await;
    Harness::report(harness.invoke(&harness.put("bad", b"no archive", 1)).await);
    Harness::report(harness.invoke(&harness.put("long", &long_sample(7, 40_000_000), 2)).await);
    harness.put("again", &sample(1, 5), 3);
    let config = harness.config_file();
    let config = config.to_str().unwrap();
    for arguments in
        [["check", config].as_slice(), &["status", config], &["load", config, "--dry-run"], &["load", config]]
    {
        let (output, _directory) = harness.command(arguments).await;
        assert!(output.status.success(), "{}", told(&output));
    }
    let requests = own_requests(&harness);
    for request in &requests {
        assert_eq!(request.expected_bucket_owner.as_deref(), Some(ACCOUNT), "{request:?}");
        let copies = matches!(&*request.operation, "CopyObject" | "UploadPartCopy");
        assert_eq!(request.expected_source_bucket_owner.as_deref(), copies.then_some(ACCOUNT), "{request:?}");
    }
    for operation in ["ListObjectsV2", "HeadObject", "GetObject", "PutObject", "DeleteObject", "CopyObject"] {
        assert!(requests.iter().any(|request| request.operation == operation), "{operation}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_another_account_is_neither_read_nor_written() {
    let harness = Harness::builder().env("S3_BUCKET_OWNER", OTHER).start().await;
    let a = harness.put("a", &sample(1, 5), 1);
    let Outcome::Failed { error_type, message } = harness.invoke(&a).await else { panic!("it was used") };
    assert_eq!(error_type, "Deployment.S3Access");
    assert!(message.contains("S3_BUCKET_OWNER"), "{message}");
    assert_eq!(harness.keys(), [a]);
    let requests = own_requests(&harness);
    assert!(
        !requests.is_empty() && requests.iter().all(|request| request.status == Some(403)),
        "{requests:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_account_is_told_at_start() {
    let harness = Harness::builder().env("S3_BUCKET_OWNER", "1234-5678-9012").start().await;
    let Outcome::Failed { error_type, message } = harness.sweep().await else { panic!("it started") };
    assert_eq!(error_type, "Deployment.Configuration");
    assert!(message.contains("S3_BUCKET_OWNER: \"1234-5678-9012\" is not an AWS account"), "{message}");
    let config = harness.config_file();
    let (output, _directory) = harness.command(&["load", config.to_str().unwrap(), "--dry-run"]).await;
    let said = told(&output);
    assert!(output.status.code() == Some(2) && said.contains("S3_BUCKET_OWNER"), "{output:?}");
}
