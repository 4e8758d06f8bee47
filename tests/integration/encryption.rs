//! Tests `S3_KMS_KEY_ID`, with which everything that is written is encrypted, and buckets that encrypt with
//! their own key.

use std::collections::BTreeSet;

use devstack::lambda::Outcome;
use devstack::s3::{Action, Fault, Request};
use devstack::stack::{BUCKET, function_keys};
use serde_json::json;

use crate::harness::{Harness, bad_key, expected, good_key, long_sample, members, sample, sample_with};

const KMS_KEY: &str = "arn:aws:kms:ca-central-1:123456789012:key/11111111-2222-3333-4444-555555555555";
const OTHER_KEY: &str = "arn:aws:kms:ca-central-1:123456789012:key/99999999-2222-3333-4444-555555555555";

/// Returns the function's requests that start an object.
fn writes(harness: &Harness) -> Vec<Request> {
    let own = function_keys().access_key_id;
    let writes = ["PutObject", "CopyObject", "CreateMultipartUpload"];
    let requests = harness.stack.s3.requests().into_iter();
    requests
        .filter(|request| request.access_key_id.as_ref() == Some(&own))
        .filter(|request| writes.contains(&&*request.operation))
        .collect()
}

/// Returns the kind of object that a request starts.
fn kind(request: &Request) -> &'static str {
    let key = request.key.as_deref().unwrap_or_default();
    let kinds = [
        (".error.json", "error.json"),
        (".manifest", "manifest"),
        ("/tries/", "tries"),
        ("/lease/", "lease"),
        ("/good/", "good marker"),
        ("/bad/", "bad marker"),
        ("/batch/", "staged file"),
        ("/status/", "status page"),
    ];
    kinds.into_iter().find(|(part, _)| key.contains(part)).map_or("unknown", |(_, kind)| kind)
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_written_is_encrypted_by_the_key() {
    let harness = Harness::builder()
        .appending()
        .env("S3_KMS_KEY_ID", KMS_KEY)
        .env("COPY_IAM_ROLE", "default")
        .env("STATUS_PAGE", "on")
        .start()
        .await;
    let bad = harness.put("bad", b"no archive", 1);
    // The archive's own key is not used: one key is for everything that is written.
    harness.stack.s3.set_tags_and_key(BUCKET, &bad, &[("class", "personal data")], Some(OTHER_KEY)).unwrap();
    Harness::report(harness.invoke(&bad).await);
    Harness::report(harness.invoke(&harness.put("long", &long_sample(7, 40_000_000), 2)).await);
    let config = harness.config_file();
    let (output, _directory) = harness.command(&["check", config.to_str().unwrap()]).await;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}");
    let encrypted = format!("S3: encryption: written objects are encrypted with {KMS_KEY}; ");
    assert!(told.contains(&encrypted) && told.contains("kms:Decrypt"), "{told}");

    let writes = writes(&harness);
    for request in &writes {
        let header = |name: &str| request.headers.get(&format!("x-amz-server-side-encryption{name}"));
        assert_eq!(header("").map(String::as_str), Some("aws:kms"), "{request:?}");
        assert_eq!(header("-aws-kms-key-id").map(String::as_str), Some(KMS_KEY), "{request:?}");
        assert_eq!(header("-bucket-key-enabled").map(String::as_str), Some("true"), "{request:?}");
    }
    let kinds: BTreeSet<(&str, &str)> =
        writes.iter().map(|request| (&*request.operation, kind(request))).collect();
    for wanted in [
        ("PutObject", "error.json"),
        ("PutObject", "lease"),
        ("PutObject", "manifest"),
        ("PutObject", "staged file"),
        ("PutObject", "status page"),
        ("CopyObject", "good marker"),
        ("CopyObject", "bad marker"),
    ] {
        assert!(kinds.contains(&wanted), "{wanted:?} is not in {kinds:?}");
    }
    for key in [good_key("long"), bad_key("bad"), format!("{}.error.json", bad_key("bad"))] {
        let kept = harness.stack.s3.tags_and_key(BUCKET, &key).unwrap();
        assert_eq!(kept.kms_key.as_deref(), Some(KMS_KEY), "{key}");
    }
    let explained = harness.stack.s3.tags_and_key(BUCKET, &format!("{}.error.json", bad_key("bad"))).unwrap();
    assert_eq!(explained.tags, [("class".to_owned(), "personal data".to_owned())]);
}

/// "Objects encrypted by SSE-C or SSE-KMS have ETags that are not an MD5 digest of their object data". So
/// neither the check of a download nor a marker may treat the ETag as one.
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_encrypts_by_a_key_of_its_own_works() {
    let harness = Harness::start().await;
    let s3 = &harness.stack.s3;
    s3.encrypt_by_default(BUCKET, OTHER_KEY);
    let (a, b) = (harness.put("a", &sample(1, 5), 1), harness.put("b", b"no archive", 2));
    let etag = |key: &str| s3.objects(BUCKET).into_iter().find(|object| object.key == key).unwrap().etag;
    Harness::report(harness.lambda.invoke(harness.upload_event(&b)).await);
    let report = Harness::report(harness.sweep().await);
    assert_eq!(report["good"][0]["key"], json!(a));
    assert_eq!(harness.tables().await, expected(&members(1, 5)));
    assert_ne!(etag(&a), etag(&good_key("a")));
    assert_eq!(s3.metadata(BUCKET, &good_key("a")).unwrap()["source-etag"], etag(&a));
    assert_eq!(s3.tags_and_key(BUCKET, &good_key("a")).unwrap().kms_key.as_deref(), Some(OTHER_KEY));

    // No event finds anything left to do. A corrected upload of the same size is recognised as another
    // revision than that of the marker.
    s3.clear_requests();
    for outcome in [
        harness.lambda.invoke(harness.upload_event(&a)).await,
        harness.lambda.invoke(harness.upload_event(&b)).await,
        harness.sweep().await,
    ] {
        assert_eq!(Harness::report(outcome)["objects_processed"], json!(0));
    }
    assert!(s3.requests().iter().all(|request| request.operation != "GetObject"));
    let refused = sample_with("analytics_group.csv", "id,name,active,site_key\n1,a,on,k\n");
    let corrected = sample_with("analytics_group.csv", "id,name,active,site_key\n1,a,no,k\n");
    assert_eq!(refused.len(), corrected.len());
    let c = harness.put("c", &refused, 3);
    assert_eq!(Harness::report(harness.invoke(&c).await)["objects_bad"], json!(1));
    s3.put_at(BUCKET, &c, &corrected, chrono::Utc::now()).unwrap();
    assert_eq!(Harness::report(harness.sweep().await)["good"][0]["key"], json!(c));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_not_be_used_is_a_fault_of_the_deployment() {
    let harness = Harness::builder().env("S3_KMS_KEY_ID", KMS_KEY).start().await;
    let refused = Action::Refuse(400, "KMS.NotFoundException".to_owned());
    harness.stack.s3.inject(Fault::on("PutObject", "/batch/", refused));
    let a = harness.put("a", &sample(1, 5), 1);
    let Outcome::Failed { error_type, message } = harness.invoke(&a).await else { panic!() };
    assert_eq!(error_type, "Deployment.ObjectUnreadable");
    assert!(message.contains("kms:GenerateDataKey"), "{message}");
    assert!(harness.is_unsettled("a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_key_is_told_at_start() {
    let harness = Harness::builder().env("S3_KMS_KEY_ID", "my key").start().await;
    let Outcome::Failed { error_type, message } = harness.sweep().await else { panic!("it started") };
    assert_eq!(error_type, "Deployment.Configuration");
    assert!(
        message.contains("S3_KMS_KEY_ID: \"my key\" is neither the ARN nor the id of a KMS key"),
        "{message}"
    );
}

/// The role of COPY must be able to read what is encrypted with the key.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_copy_that_may_not_decrypt_is_told_what_it_lacks() {
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::*"]}]});
    let harness = Harness::builder()
        .copy_role(serde_json::from_value(policy).unwrap())
        .env("S3_KMS_KEY_ID", KMS_KEY)
        .env("COPY_IAM_ROLE", "default")
        .start()
        .await;
    let a = harness.put("a", &sample(1, 5), 1);
    let Outcome::Failed { error_type, message } = harness.invoke(&a).await else { panic!("it was loaded") };
    assert_eq!(error_type, "Deployment.CopyAuthorization");
    assert!(message.contains("kms:Decrypt"), "{message}");
    assert!(harness.is_unsettled("a"));
    let config = harness.config_file();
    let (output, _directory) = harness.command(&["check", config.to_str().unwrap()]).await;
    let told = String::from_utf8_lossy(&output.stdout);
    let refused = told.lines().find(|line| line.trim_start().starts_with("BAD")).unwrap_or_default();
    assert!(!output.status.success() && refused.contains("kms:Decrypt"), "{told}");
}
