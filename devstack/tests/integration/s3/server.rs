//! Tests what the server offers to tests besides S3: set times, a log of requests, a clean end.

use std::collections::BTreeSet;
use std::path::Path;

use aws_sdk_s3::error::SdkError;

use devstack::s3::Options;

use super::support::{BUCKET, long_term, options, put, start, start_with, until};

#[tokio::test]
async fn what_is_stored_has_the_time_that_is_set() {
    let (s3, client) = start().await;
    let time = chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    s3.set_time(Some(time));
    put(&client, "k", b"x").await;
    let copied = client
        .copy_object()
        .bucket(BUCKET)
        .key("copy")
        .copy_source(format!("{BUCKET}/k"))
        .send()
        .await
        .unwrap();
    assert_eq!(copied.copy_object_result.unwrap().last_modified.unwrap().secs(), 1_700_000_000);
    s3.set_time(None);
    put(&client, "now", b"x").await;
    let times: Vec<_> =
        s3.objects(BUCKET).into_iter().map(|object| (object.key, object.last_modified == time)).collect();
    assert_eq!(times, [("copy".to_owned(), true), ("k".to_owned(), true), ("now".to_owned(), false)]);
    s3.empty_bucket(BUCKET);
    assert!(s3.objects(BUCKET).is_empty());
}

#[tokio::test]
async fn an_object_put_in_parts_has_the_etag_of_its_parts() {
    let (s3, client) = start().await;
    s3.put_multipart_at(
        BUCKET,
        "k",
        &[b"ab", b"c"],
        chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
    )
    .unwrap();
    let object = client.get_object().bucket(BUCKET).key("k").send().await.unwrap();
    assert_eq!(object.e_tag.as_deref(), Some("\"d833159094d1d7ad96ffcc78414e3682-2\""));
    assert_eq!(object.body.collect().await.unwrap().into_bytes().as_ref(), b"abc");
}

#[tokio::test]
async fn every_request_is_logged_with_what_became_of_it() {
    let (s3, client) = start().await;
    put(&client, "a b/ü", b"x").await;
    let _ = client.get_object().bucket(BUCKET).key("absent").send().await;
    client.list_buckets().send().await.unwrap();
    let requests = s3.requests();
    let told: Vec<_> = requests
        .iter()
        .map(|request| {
            (request.operation.as_str(), request.bucket.as_deref(), request.key.as_deref(), request.status)
        })
        .collect();
    let expected = [
        ("PutObject", Some(BUCKET), Some("a b/ü"), Some(200)),
        ("GetObject", Some(BUCKET), Some("absent"), Some(404)),
        ("ListBuckets", None, None, Some(200)),
    ];
    assert_eq!(told, expected);
    assert!(requests.iter().all(|request| request.access_key_id == Some(long_term().access_key_id)));
    assert!(requests.is_sorted_by_key(|request| request.at));
    s3.clear_requests();
    assert!(s3.requests().is_empty());
}

/// Returns a free port below those that systems assign by themselves, so that no other process gets it when
/// it is free again. Two processes begin their search at different ports.
fn port_of_our_own() -> u16 {
    let first = 10_000 + u16::try_from(std::process::id() % 20_000).unwrap();
    (first..32_000).find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

#[tokio::test]
async fn a_dropped_server_frees_its_port_and_leaves_no_file() {
    let files = || {
        std::fs::read_dir(std::env::temp_dir())
            .unwrap()
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .collect::<BTreeSet<_>>()
    };
    let port = port_of_our_own();
    let (s3, client) = start_with(Options { port, ..options() }).await;
    put(&client, "k", b"only here").await;
    let holds = |directory: &Path| {
        let named = directory.file_name().is_some_and(|name| name.to_string_lossy().starts_with("s3-"));
        let mut inside = std::fs::read_dir(directory).into_iter().flatten().flatten();
        named && inside.any(|file| std::fs::read(file.path()).is_ok_and(|bytes| bytes == b"only here"))
    };
    let directory = files().into_iter().find(|directory| holds(directory)).unwrap();
    drop(s3);
    assert!(!directory.exists());
    until(|| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()).await;
    let gone = client.get_object().bucket(BUCKET).key("k").send().await.unwrap_err();
    assert!(matches!(gone, SdkError::DispatchFailure(_)), "{gone:?}");
}
