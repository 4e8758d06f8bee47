//! Tests reads: answers, ranges and conditions.

use aws_sdk_s3::primitives::DateTime;
use chrono::Utc;

use crate::case;

use super::support::{BUCKET, put, refusal, refused, start};

#[tokio::test]
async fn what_was_put_is_read_back_with_its_type_metadata_and_etag() {
    let (s3, client) = start().await;
    let put = client
        .put_object()
        .bucket(BUCKET)
        .key("a.tgz")
        .content_type("application/gzip")
        .metadata("from", "cms")
        .body(b"bytes".to_vec().into());
    let put = put.send().await.unwrap();
    let got = client.get_object().bucket(BUCKET).key("a.tgz").send().await.unwrap();
    assert_eq!(got.e_tag(), Some("\"4b3a6218bb3e3a7303e8a171a60fcf92\""));
    assert_eq!(got.e_tag(), put.e_tag());
    assert_eq!(got.content_type(), Some("application/gzip"));
    assert_eq!(got.metadata().unwrap()["from"], "cms");
    assert_eq!(got.last_modified().unwrap().subsec_nanos(), 0);
    assert_eq!(got.body.collect().await.unwrap().to_vec(), b"bytes");
    let head = client.head_object().bucket(BUCKET).key("a.tgz").send().await.unwrap();
    assert_eq!((head.content_length(), head.e_tag()), (Some(5), put.e_tag()));
    assert_eq!(head.metadata().unwrap()["from"], "cms");
    assert_eq!(s3.read(BUCKET, "a.tgz").unwrap(), b"bytes");
    assert_eq!(s3.objects(BUCKET)[0].etag, "4b3a6218bb3e3a7303e8a171a60fcf92");
}

/// For the content type, "the default is binary/octet-stream" (API Reference, `PutObject`).
#[tokio::test]
async fn an_object_without_a_type_is_binary() {
    let (s3, client) = start().await;
    s3.put_at(BUCKET, "plain", b"x", Utc::now()).unwrap();
    assert_eq!(
        client.head_object().bucket(BUCKET).key("plain").send().await.unwrap().content_type(),
        Some("binary/octet-stream")
    );
}

#[tokio::test]
async fn what_is_not_there_is_404() {
    let (_s3, client) = start().await;
    assert_eq!(refusal(client.get_object().bucket(BUCKET).key("no").send().await), refused(404, "NoSuchKey"));
    assert_eq!(refusal(client.head_object().bucket(BUCKET).key("no").send().await), refused(404, "NotFound"));
    assert_eq!(
        refusal(client.get_object().bucket("nowhere").key("no").send().await),
        refused(404, "NoSuchBucket")
    );
    assert_eq!(
        refusal(client.list_objects_v2().bucket("nowhere").send().await),
        refused(404, "NoSuchBucket")
    );
    assert_eq!(refusal(client.head_bucket().bucket("nowhere").send().await), refused(404, "NotFound"));
    let put = client.put_object().bucket("nowhere").key("no").body(b"x".to_vec().into());
    assert_eq!(refusal(put.send().await), refused(404, "NoSuchBucket"));
}

#[tokio::test]
async fn a_range_is_served_and_one_beyond_the_end_refused() {
    let (s3, client) = start().await;
    s3.put_at(BUCKET, "ten", b"0123456789", Utc::now()).unwrap();
    for (name, range, bytes, said) in [
        ("in the middle", "bytes=2-4", "234", "bytes 2-4/10"),
        ("to the end", "bytes=7-", "789", "bytes 7-9/10"),
        ("the last bytes", "bytes=-2", "89", "bytes 8-9/10"),
        ("beyond the end", "bytes=8-99", "89", "bytes 8-9/10"),
    ] {
        case(name);
        let got = client.get_object().bucket(BUCKET).key("ten").range(range).send().await.unwrap();
        assert_eq!(got.content_range(), Some(said));
        assert_eq!(got.body.collect().await.unwrap().to_vec(), bytes.as_bytes());
    }
    let beyond = client.get_object().bucket(BUCKET).key("ten").range("bytes=10-").send().await;
    assert_eq!(refusal(beyond), refused(416, "InvalidRange"));
    assert_eq!(
        s3.requests().iter().map(|request| request.status.unwrap()).collect::<Vec<_>>(),
        [206, 206, 206, 206, 416]
    );
}

#[tokio::test]
async fn a_read_on_condition_of_an_etag_is_refused_when_the_object_changed() {
    let (_s3, client) = start().await;
    let old = put(&client, "k", b"old").await;
    let new = put(&client, "k", b"new").await;
    let read = |etag: &str| client.get_object().bucket(BUCKET).key("k").if_match(etag);
    assert_eq!(read(&new).send().await.unwrap().body.collect().await.unwrap().to_vec(), b"new");
    assert_eq!(refusal(read(&old).send().await), refused(412, "PreconditionFailed"));
    assert_eq!(refusal(read(&old).range("bytes=1-").send().await), refused(412, "PreconditionFailed"));
    assert_eq!(refusal(client.head_object().bucket(BUCKET).key("k").if_match(&old).send().await).0, 412);
    assert!(client.head_object().bucket(BUCKET).key("k").if_match(&new).send().await.is_ok());
}

#[tokio::test]
async fn a_read_of_what_the_reader_has_is_304() {
    let (_s3, client) = start().await;
    let etag = put(&client, "k", b"x").await;
    assert_eq!(refusal(client.get_object().bucket(BUCKET).key("k").if_none_match(&etag).send().await).0, 304);
    assert_eq!(
        refusal(client.head_object().bucket(BUCKET).key("k").if_none_match(&etag).send().await).0,
        304
    );
    assert!(client.get_object().bucket(BUCKET).key("k").if_none_match("\"other\"").send().await.is_ok());
}

/// The four cases with two conditions are those of the API Reference, `GetObject`.
#[tokio::test]
async fn times_are_conditions_too_and_yield_to_etags() {
    let (s3, client) = start().await;
    let time = Utc::now() - chrono::Duration::hours(2);
    s3.put_at(BUCKET, "k", b"x", time).unwrap();
    let at = |hours: i64| DateTime::from_secs(time.timestamp() + hours * 3600);
    let etag = format!("\"{}\"", s3.objects(BUCKET)[0].etag);
    let read = || client.get_object().bucket(BUCKET).key("k");
    assert_eq!(refusal(read().if_modified_since(at(1)).send().await).0, 304);
    assert_eq!(refusal(read().if_modified_since(at(0)).send().await).0, 304);
    assert!(read().if_modified_since(at(-1)).send().await.is_ok());
    assert_eq!(refusal(read().if_unmodified_since(at(-1)).send().await).0, 412);
    assert!(read().if_unmodified_since(at(0)).send().await.is_ok());
    assert!(read().if_match(&etag).if_unmodified_since(at(-1)).send().await.is_ok());
    assert_eq!(refusal(read().if_none_match(&etag).if_modified_since(at(-1)).send().await).0, 304);
    assert_eq!(
        refusal(client.head_object().bucket(BUCKET).key("k").if_modified_since(at(0)).send().await).0,
        304
    );
}

#[tokio::test]
async fn an_overwrite_and_a_delete_leave_a_running_read_alone() {
    let (_s3, client) = start().await;
    let body: Vec<u8> = (0..20_000_000_u32).map(|n| (n / 1000) as u8).collect();
    for (name, overwrite) in [("overwrite", true), ("delete", false)] {
        case(name);
        put(&client, "k", &body).await;
        let mut reading = client.get_object().bucket(BUCKET).key("k").send().await.unwrap().body;
        let mut read = reading.next().await.unwrap().unwrap().to_vec();
        if overwrite {
            put(&client, "k", b"short").await;
        } else {
            client.delete_object().bucket(BUCKET).key("k").send().await.unwrap();
        }
        while let Some(chunk) = reading.next().await {
            read.extend_from_slice(&chunk.unwrap());
        }
        assert!(read == body, "{} of {} bytes", read.len(), body.len());
    }
}
