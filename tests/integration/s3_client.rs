//! The S3 operations that no small archive reaches.

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use cmslite_core::error::{Error, Retryable};
use cmslite_core::queue::Object;
use cmslite_user_data_to_redshift::s3;
use devstack::s3::{Options, S3};

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

/// "You can copy objects up to 5 GB with CopyObject" (Amazon S3 API Reference): beyond, in parts. The limit
/// is lowered here.
#[tokio::test]
async fn an_archive_beyond_the_limit_is_copied_in_parts_with_its_condition() {
    let (s3, client) = s3().await;
    let client = client.with_copy_limit(5 * MIB as u64);
    let bytes: Vec<u8> = (0..12 * MIB).map(|n| (n % 251) as u8).collect();
    s3.put_at("bucket", "a b+ü.tgz", &bytes, chrono::Utc::now()).unwrap();
    let object = client.list("bucket", "").await.unwrap().remove(0);
    client.copy("bucket", &object, "to/a b+ü.tgz").await.unwrap();
    assert!(s3.read("bucket", "to/a b+ü.tgz").unwrap() == bytes);
    let copied = s3.requests().iter().filter(|request| request.operation == "UploadPartCopy").count();
    assert_eq!(copied, 3);

    let changed = Object { etag: "\"00000000000000000000000000000000\"".to_owned(), ..object };
    let error = client.copy("bucket", &changed, "to/other").await.unwrap_err();
    assert!(matches!(&error, Error::Retryable(fault) if fault.kind == Retryable::SourceChanged), "{error}");
    assert_eq!((s3.read("bucket", "to/other"), s3.unfinished_uploads()), (None, 0));
}

#[tokio::test]
async fn a_listing_of_many_pages_is_complete_and_in_order() {
    let (s3, client) = s3().await;
    for n in 0..50 {
        s3.put_at("bucket", &format!("p/{n:02} ü"), b"x", chrono::Utc::now()).unwrap();
    }
    s3.put_at("bucket", "q", b"x", chrono::Utc::now()).unwrap();
    let keys: Vec<String> = client
        .list("bucket", "p/")
        .await
        .unwrap()
        .into_iter()
        .map(|object| object.key.as_str().to_owned())
        .collect();
    assert_eq!(keys, (0..50).map(|n| format!("p/{n:02} ü")).collect::<Vec<_>>());
    assert_eq!(s3.requests().len(), 8);
}
