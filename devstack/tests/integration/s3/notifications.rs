//! Tests notifications of created objects.

use chrono::Utc;
use devstack::s3::{Notification, S3, Target};
use serde_json::Value;

use super::support::{BUCKET, LIMIT, begin, part, parts, put, start};

fn channel(s3: &S3, prefix: &str, suffix: &str) -> tokio::sync::mpsc::UnboundedReceiver<Value> {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let target = Target::Channel(sender);
    s3.notify(Notification {
        bucket: BUCKET.to_owned(),
        prefix: prefix.to_owned(),
        suffix: suffix.to_owned(),
        target,
    });
    receiver
}

/// The notification has the form of the User Guide, "Event message structure"; the key is form-encoded.
#[tokio::test]
async fn a_put_is_told_with_a_form_encoded_key() {
    let (s3, client) = start().await;
    let mut told = channel(&s3, "client/", ".tgz");
    let before = Utc::now();
    put(&client, "client/a b+ü.tgz", b"bytes").await;
    let event = tokio::time::timeout(LIMIT, told.recv()).await.unwrap().unwrap();
    let record = &event["Records"][0];
    let text = |pointer: &str| record.pointer(pointer).unwrap().as_str().unwrap().to_owned();
    assert_eq!(text("/eventVersion"), "2.1");
    assert_eq!(text("/eventSource"), "aws:s3");
    assert_eq!(text("/awsRegion"), "ca-central-1");
    assert_eq!(text("/eventName"), "ObjectCreated:Put");
    let time = chrono::DateTime::parse_from_rfc3339(&text("/eventTime")).unwrap();
    let during = before.timestamp_millis()..=Utc::now().timestamp_millis();
    assert!(during.contains(&time.timestamp_millis()), "{time} is not in {during:?}");
    assert_eq!(text("/s3/s3SchemaVersion"), "1.0");
    assert_eq!(text("/s3/bucket/name"), BUCKET);
    assert_eq!(text("/s3/bucket/arn"), "arn:aws:s3:::uploads");
    assert_eq!(text("/s3/object/key"), "client/a+b%2B%C3%BC.tgz");
    assert_eq!(record.pointer("/s3/object/size").unwrap(), 5);
    assert_eq!(text("/s3/object/eTag"), "4b3a6218bb3e3a7303e8a171a60fcf92");
    assert!(text("/s3/object/sequencer").bytes().all(|byte| byte.is_ascii_hexdigit()));
    for pointer in [
        "/userIdentity/principalId",
        "/requestParameters/sourceIPAddress",
        "/responseElements/x-amz-request-id",
        "/s3/configurationId",
    ] {
        assert!(!text(pointer).is_empty(), "{pointer}");
    }
}

#[tokio::test]
async fn every_way_to_create_is_told_once_in_order_and_nothing_else_is() {
    let (s3, client) = start().await;
    let mut told = channel(&s3, "client/", "");
    put(&client, "other/a.tgz", b"x").await;
    s3.put_at(BUCKET, "client/quiet.tgz", b"x", Utc::now()).unwrap();
    put(&client, "client/a.tgz", b"x").await;
    let refused = client
        .put_object()
        .bucket(BUCKET)
        .key("client/a.tgz")
        .if_none_match("*")
        .body(b"y".to_vec().into())
        .send()
        .await;
    assert!(refused.is_err());
    client
        .copy_object()
        .copy_source(format!("{BUCKET}/other/a.tgz"))
        .bucket(BUCKET)
        .key("client/b.tgz")
        .send()
        .await
        .unwrap();
    let upload = begin(&client, "client/c.tgz").await;
    let made = part(&client, "client/c.tgz", &upload, 1, b"x".to_vec()).await;
    client
        .complete_multipart_upload()
        .bucket(BUCKET)
        .key("client/c.tgz")
        .upload_id(&upload)
        .multipart_upload(parts(&[made]))
        .send()
        .await
        .unwrap();
    client.delete_object().bucket(BUCKET).key("client/a.tgz").send().await.unwrap();
    let mut seen = Vec::new();
    while let Ok(event) = told.try_recv() {
        let record = &event["Records"][0];
        let sequencer = record.pointer("/s3/object/sequencer").unwrap().as_str().unwrap().to_owned();
        seen.push((
            sequencer,
            record["eventName"].as_str().unwrap().to_owned(),
            record.pointer("/s3/object/key").unwrap().as_str().unwrap().to_owned(),
        ));
    }
    assert!(seen.is_sorted());
    let seen: Vec<_> = seen.iter().map(|(_, name, key)| (name.as_str(), key.as_str())).collect();
    assert_eq!(
        seen,
        [
            ("ObjectCreated:Put", "client/a.tgz"),
            ("ObjectCreated:Copy", "client/b.tgz"),
            ("ObjectCreated:CompleteMultipartUpload", "client/c.tgz")
        ]
    );
}

/// A target that does not answer is tried again, and the PUT does not wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_is_invoked_asynchronously_and_again_if_it_does_not_answer() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (s3, client) = start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let path = "/2015-03-31/functions/loader/invocations";
    let target = Target::Invoke(format!("http://127.0.0.1:{port}{path}"));
    s3.notify(Notification {
        bucket: BUCKET.to_owned(),
        prefix: String::new(),
        suffix: ".tgz".to_owned(),
        target,
    });
    put(&client, "late.tgz", b"x").await;
    let invoked = tokio::time::timeout(LIMIT, async {
        drop(listener.accept().await.unwrap());
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"]}") {
            assert!(stream.read_buf(&mut request).await.unwrap() > 0);
        }
        stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        String::from_utf8(request).unwrap()
    });
    let request = invoked.await.unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{head}");
    assert!(head.to_ascii_lowercase().contains("\r\nx-amz-invocation-type: event"), "{head}");
    let event: Value = serde_json::from_str(body).unwrap();
    assert_eq!(event.pointer("/Records/0/s3/object/key").unwrap(), "late.tgz");
}
