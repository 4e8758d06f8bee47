//! Tests S3 operations that are not needed for small archives.

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use cmslite_core::error::{Error, Retryable};
use cmslite_core::queue::Object;
use cmslite_user_data_to_redshift::cancellation::Cancellation;
use cmslite_user_data_to_redshift::s3;
use devstack::s3::{Action, Fault, Gate, Options, S3};
use devstack::wait::eventually;
use std::time::Duration;
use tokio::time::Instant;

const MIB: usize = 1024 * 1024;

async fn s3() -> (S3, s3::S3) {
    let options = Options { max_keys: 7, ..Options::default() };
    let keys = options.credentials[0].clone();
    let s3 = S3::start(options).await.unwrap();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("ca-central-1"))
        .endpoint_url(s3.endpoint())
        .force_path_style(true)
        .credentials_provider(Credentials::new(
            keys.access_key_id,
            keys.secret_access_key,
            None,
            None,
            "test",
        ));
    let client = s3::S3::new(aws_sdk_s3::Client::from_conf(config.build()));
    (s3, client)
}

/// "You can copy objects up to 5 GB with CopyObject" (Amazon S3 API Reference). Larger objects are copied in
/// parts. The limit is lower here.
#[tokio::test]
async fn an_archive_beyond_the_limit_is_copied_in_parts_with_its_condition() {
    let (s3, client) = s3().await;
    let client = client.with_copy_limit(5 * MIB as u64);
    let bytes: Vec<u8> = (0..12 * MIB).map(|n| (n % 251) as u8).collect();
    s3.put_at("bucket", "a b+ü.tgz", &bytes, chrono::Utc::now()).unwrap();
    let object = client.list("bucket", "").next().await.unwrap().unwrap().remove(0);
    s3.set_tags_and_key("bucket", "a b+ü.tgz", &[("class", "personal data")], None).unwrap();
    let missing =
        client.copy("bucket", &object, "to/a b+ü.tgz", Some("5a"), &Cancellation::default()).await.unwrap();
    assert_eq!(missing, [""; 0]);
    let kept = s3.tags_and_key("bucket", "to/a b+ü.tgz").unwrap();
    assert_eq!(kept.tags, [("class".to_owned(), "personal data".to_owned())]);
    assert_eq!(s3.metadata("bucket", "to/a b+ü.tgz").unwrap()["source-etag"], object.revision());
    assert!(s3.read("bucket", "to/a b+ü.tgz").unwrap() == bytes);
    let copied = s3.requests().iter().filter(|request| request.operation == "UploadPartCopy").count();
    assert_eq!(copied, 3);
    let metadata = s3.metadata("bucket", "to/a b+ü.tgz").unwrap();
    assert_eq!(
        (metadata["source-etag"].as_str(), metadata["source-sha256"].as_str()),
        (object.revision(), "5a")
    );

    // Without the permissions for tags, the copy has none.
    for (operation, fault) in [("GetObjectTagging", "a b"), ("CreateMultipartUpload", "to/")] {
        s3.inject(Fault::on(operation, fault, Action::Refuse(403, "AccessDenied".to_owned())).times(1));
        let missing = client.copy("bucket", &object, "to/b", None, &Cancellation::default()).await.unwrap();
        assert!(missing[0].starts_with("tags, "), "{operation}: {missing:?}");
        assert_eq!(s3.tags_and_key("bucket", "to/b").unwrap().tags, []);
    }

    let changed = Object { etag: "\"00000000000000000000000000000000\"".to_owned(), ..object };
    let error =
        client.copy("bucket", &changed, "to/other", None, &Cancellation::default()).await.unwrap_err();
    assert!(matches!(&error, Error::Retryable(fault) if fault.kind == Retryable::SourceChanged), "{error}");
    assert_eq!((s3.read("bucket", "to/other"), s3.unfinished_uploads()), (None, 0));
}

/// If the copy is cancelled or runs out of time, nothing that costs money is left.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_in_parts_that_cannot_end_is_given_up() {
    let (s3, client) = s3().await;
    let client = client.with_copy_limit(5 * MIB as u64);
    s3.put_at("bucket", "a", &vec![7; 42 * MIB], chrono::Utc::now()).unwrap();
    let object = client.list("bucket", "").next().await.unwrap().unwrap().remove(0);
    let gate = Gate::new();
    s3.inject(Fault::on("UploadPartCopy", "to", Action::Wait(gate.clone())));
    let soon = Cancellation::at(Some(Instant::now() + Duration::from_secs(9)));
    let error = client.copy("bucket", &object, "to/a", None, &soon).await.unwrap_err();
    assert_eq!(error.error_type(), "Retryable.DeadlineNear", "{error}");
    assert_eq!((s3.read("bucket", "to/a"), s3.unfinished_uploads()), (None, 0));

    let copied = {
        let (client, object) = (client.clone(), object.clone());
        tokio::spawn(
            async move { client.copy("bucket", &object, "to/b", None, &Cancellation::default()).await },
        )
    };
    gate.reached().await;
    let began = || s3.requests().iter().filter(|request| request.operation == "UploadPartCopy").count() >= 8;
    eventually(Duration::from_secs(60), began).await.unwrap();
    copied.abort();
    eventually(Duration::from_secs(60), || s3.unfinished_uploads() == 0).await.unwrap();
}

/// An object that is too large for one request is not copied just to mark it as bad.
#[tokio::test]
async fn a_note_stands_for_a_large_object() {
    let (s3, client) = s3().await;
    let client = client.with_copy_limit(5);
    s3.put_at("bucket", "a b+ü.tgz", b"0123456789", chrono::Utc::now()).unwrap();
    let object = client.list("bucket", "").next().await.unwrap().unwrap().remove(0);
    s3.set_tags_and_key("bucket", "a b+ü.tgz", &[("class", "personal data")], None).unwrap();
    client.copy_or_note("bucket", &object, "to/a", &Cancellation::default()).await.unwrap();
    assert_eq!(s3.tags_and_key("bucket", "to/a").unwrap().tags.len(), 1);
    assert_eq!(s3.read("bucket", "to/a").unwrap(), b"");
    let metadata = s3.metadata("bucket", "to/a").unwrap();
    assert_eq!(metadata["source-key"], "a%20b%2B%C3%BC.tgz");
    assert_eq!(metadata["source-etag"], object.revision());
    let changed = Object { etag: "\"0\"".to_owned(), ..object };
    let error = client.copy_or_note("bucket", &changed, "to/b", &Cancellation::default()).await.unwrap_err();
    assert_eq!(error.error_type(), "Retryable.SourceChanged", "{error}");
}

#[tokio::test]
async fn a_listing_of_many_pages_is_complete_and_in_order() {
    let (s3, client) = s3().await;
    for n in 0..50 {
        s3.put_at("bucket", &format!("p/{n:02} ü"), b"x", chrono::Utc::now()).unwrap();
    }
    s3.put_at("bucket", "q", b"x", chrono::Utc::now()).unwrap();
    let mut keys: Vec<String> = Vec::new();
    let mut pages = client.list("bucket", "p/");
    while let Some(page) = pages.next().await.unwrap() {
        keys.extend(page.into_iter().map(|object| object.key.as_str().to_owned()));
    }
    assert_eq!(keys, (0..50).map(|n| format!("p/{n:02} ü")).collect::<Vec<_>>());
    assert_eq!(s3.requests().len(), 8);
}

/// At most two pages: otherwise, memory would grow with the listing that is furthest behind.
#[tokio::test]
async fn a_listing_is_read_two_pages_ahead_and_no_further() {
    let (s3, client) = s3().await;
    for n in 0..50 {
        s3.put_at("bucket", &format!("p/{n:02}"), b"x", chrono::Utc::now()).unwrap();
    }
    let mut pages = client.list("bucket", "p/");
    for taken in 1..=6 {
        assert_eq!(pages.next().await.unwrap().unwrap().len(), 7);
        eventually(Duration::from_secs(60), || s3.requests().len() >= taken + 2).await.unwrap();
        assert_eq!(s3.requests().len(), taken + 2);
    }
}

#[tokio::test]
async fn a_listing_that_fails_is_not_taken_for_one_that_ends() {
    let (s3, client) = s3().await;
    for n in 0..50 {
        s3.put_at("bucket", &format!("p/{n:02}"), b"x", chrono::Utc::now()).unwrap();
    }
    s3.inject(Fault::on("ListObjectsV2", "", Action::Refuse(403, "AccessDenied".to_owned())).after(1));
    let mut pages = client.list("bucket", "p/");
    assert_eq!(pages.next().await.unwrap().unwrap().len(), 7);
    let error = pages.next().await.unwrap_err();
    assert_eq!(error.error_type(), "Deployment.S3Access", "{error}");
}
