//! Tests faults that are injected into the local S3.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;
use chrono::Utc;
use devstack::s3::{Action, Algorithm, Fault, Gate};

use crate::case;

use super::support::{BUCKET, LIMIT, client_with, get, long_term, operations, put, refusal, refused, start};

#[tokio::test]
async fn a_refusal_on_demand_hits_the_requests_it_is_for() {
    let (s3, client) = start().await;
    s3.inject(Fault::on("GetObject", "bad", Action::Refuse(503, "SlowDown".to_owned())).after(1).times(2));
    put(&client, "bad", b"x").await;
    put(&client, "good", b"x").await;
    let read = |key: &str| client.get_object().bucket(BUCKET).key(key).send();
    assert!(read("bad").await.is_ok());
    assert_eq!(refusal(read("bad").await), refused(503, "SlowDown"));
    assert!(read("good").await.is_ok());
    assert_eq!(refusal(read("bad").await), refused(503, "SlowDown"));
    assert!(read("bad").await.is_ok());
}

#[tokio::test]
async fn a_page_of_a_listing_is_turned_round_on_demand() {
    let (s3, client) = start().await;
    for key in ["a", "b", "c"] {
        put(&client, key, b"x").await;
    }
    s3.inject(Fault::on("ListObjectsV2", "", Action::ReversePage).times(1));
    for expected in [["c", "b", "a"], ["a", "b", "c"]] {
        let listed = client.list_objects_v2().bucket(BUCKET).send().await.unwrap();
        let keys: Vec<&str> = listed.contents().iter().filter_map(|object| object.key()).collect();
        assert_eq!(keys, expected);
    }
}

#[tokio::test]
async fn faults_end_when_they_are_cleared() {
    let (s3, client) = start().await;
    put(&client, "k", b"x").await;
    s3.inject(Fault::on("GetObject", "", Action::Refuse(500, "InternalError".to_owned())));
    for _ in 0..3 {
        assert_eq!(
            refusal(client.get_object().bucket(BUCKET).key("k").send().await),
            refused(500, "InternalError")
        );
    }
    s3.clear_faults();
    assert_eq!(get(&client, "k").await, b"x");
}

#[tokio::test]
async fn a_client_that_retries_gets_past_a_slow_down_even_with_a_large_body() {
    let (s3, _client) = start().await;
    s3.inject(Fault::on("PutObject", "", Action::Refuse(503, "SlowDown".to_owned())).times(2));
    let retrying = client_with(
        &s3,
        &long_term(),
        RetryConfig::standard().with_initial_backoff(Duration::from_millis(10)),
    );
    put(&retrying, "k", &vec![1; 20_000_000]).await;
    assert_eq!(operations(&s3), ["PutObject"; 3]);
    assert_eq!(s3.objects(BUCKET)[0].size, 20_000_000);
}

#[tokio::test]
async fn a_body_breaks_off_on_demand_and_the_rest_is_read_with_a_range() {
    let (s3, client) = start().await;
    let body: Vec<u8> = (0..1_000_000_u32).map(|n| (n / 100) as u8).collect();
    let etag = put(&client, "k", &body).await;
    s3.inject(Fault::on("GetObject", "", Action::CutBodyAfter(300_000)).times(1));
    let mut reading = client.get_object().bucket(BUCKET).key("k").send().await.unwrap().body;
    let mut read = Vec::new();
    let broken = loop {
        match reading.next().await {
            Some(Ok(chunk)) => read.extend_from_slice(&chunk),
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    assert!(broken && read[..] == body[..300_000], "{} bytes", read.len());
    let rest = client
        .get_object()
        .bucket(BUCKET)
        .key("k")
        .if_match(etag)
        .range(format!("bytes={}-", read.len()))
        .send()
        .await
        .unwrap();
    read.extend_from_slice(&rest.body.collect().await.unwrap().to_vec());
    assert!(read == body);
}

#[tokio::test]
async fn an_answer_is_lost_on_demand_though_the_work_was_done() {
    let (s3, client) = start().await;
    s3.inject(Fault::on("PutObject", "", Action::CutAfter).times(1));
    let lost =
        client.put_object().bucket(BUCKET).key("k").body(b"x".to_vec().into()).send().await.unwrap_err();
    assert!(matches!(lost, SdkError::DispatchFailure(_)), "{lost:?}");
    assert_eq!(s3.read(BUCKET, "k").unwrap(), b"x");
    assert_eq!(s3.requests()[0].status, None);
    put(&client, "k", b"y").await;
}

#[tokio::test]
async fn a_request_is_delayed_on_demand() {
    let (s3, client) = start().await;
    s3.inject(Fault::on("ListObjectsV2", "", Action::Delay(Duration::from_millis(300))).times(1));
    let begun = Instant::now();
    client.list_objects_v2().bucket(BUCKET).send().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn the_source_is_changed_on_demand_between_a_read_and_a_copy() {
    let (s3, client) = start().await;
    let s3 = Arc::new(s3);
    let etag = put(&client, "k", b"old").await;
    let (changed, calls) = (Arc::downgrade(&s3), Arc::new(AtomicU32::new(0)));
    let counted = Arc::clone(&calls);
    let change = Action::RunBefore(Arc::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        changed.upgrade().unwrap().put_at(BUCKET, "k", b"new", Utc::now()).unwrap();
    }));
    s3.inject(Fault::on("CopyObject", "to", change).times(1));
    assert_eq!(get(&client, "k").await, b"old");
    let copy = client
        .copy_object()
        .copy_source(format!("{BUCKET}/k"))
        .copy_source_if_match(etag)
        .bucket(BUCKET)
        .key("to")
        .send()
        .await;
    assert_eq!(refusal(copy), refused(412, "PreconditionFailed"));
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_request_waits_at_a_gate_until_it_is_released() {
    let (s3, client) = start().await;
    let gate = Gate::new();
    s3.inject(Fault::on("PutObject", "", Action::Wait(gate.clone())).times(1));
    let putting = tokio::spawn({
        let client = client.clone();
        async move { put(&client, "k", b"x").await }
    });
    tokio::time::timeout(LIMIT, gate.reached()).await.unwrap();
    assert!(s3.objects(BUCKET).is_empty());
    assert_eq!(s3.requests()[0].status, None);
    gate.open();
    tokio::time::timeout(LIMIT, putting).await.unwrap().unwrap();
    assert_eq!(s3.read(BUCKET, "k").unwrap(), b"x");
}

#[tokio::test]
async fn a_connection_breaks_in_place_of_a_request_or_after_it() {
    let (s3, client) = start().await;
    let count = Arc::new(AtomicUsize::new(0));
    let act: Arc<dyn Fn() + Send + Sync> = {
        let count = Arc::clone(&count);
        Arc::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        })
    };
    s3.inject(Fault::on("PutObject", "instead", Action::RunInstead(Arc::clone(&act))));
    s3.inject(Fault::on("PutObject", "then", Action::RunAfter(act)));
    for key in ["instead", "then"] {
        case(key);
        let put =
            client.put_object().bucket(BUCKET).key(key).body(ByteStream::from_static(b"x")).send().await;
        assert!(matches!(put.unwrap_err(), SdkError::DispatchFailure(_)));
    }
    assert_eq!(count.load(Ordering::Relaxed), 2);
    assert_eq!(s3.objects(BUCKET).iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), ["then"]);
}

/// The SDK itself compares only the answer to a read of the whole object, if S3 has a checksum of the whole.
#[tokio::test]
async fn a_flipped_bit_contradicts_the_checksum_and_changes_nothing_that_is_stored() {
    let (s3, client) = start().await;
    put(&client, "k", b"bytes").await;
    s3.inject(Fault::on("GetObject", "k", Action::FlipBit(5 * 8 + 1)).times(3));
    let read = || client.get_object().bucket(BUCKET).key("k");
    let mismatch = read().send().await.unwrap().body.collect().await.unwrap_err();
    assert!(format!("{mismatch:?}").contains("ChecksumMismatch"), "{mismatch:?}");
    let range = read().range("bytes=0-").send().await.unwrap().body.collect().await.unwrap();
    assert_eq!(range.to_vec(), b"`ytes");
    s3.put_multipart_at(BUCKET, "k", &[b"by", b"tes"], Utc::now()).unwrap();
    s3.keep_checksum(BUCKET, "k", Algorithm::Crc32).unwrap();
    assert_eq!(read().send().await.unwrap().body.collect().await.unwrap().to_vec(), b"`ytes");
    assert_eq!(get(&client, "k").await, b"bytes");
}

#[tokio::test]
async fn a_bit_flipped_on_its_way_to_s3_is_refused() {
    let (s3, client) = start().await;
    s3.inject(Fault::on("PutObject", "k", Action::FlipBit(3)).times(1));
    let sent = client.put_object().bucket(BUCKET).key("k").body(ByteStream::from_static(b"bytes")).send();
    assert_eq!(refusal(sent.await), refused(400, "BadDigest"));
    assert_eq!(s3.objects(BUCKET), []);
}

#[tokio::test]
async fn an_answer_or_the_rest_of_a_body_never_comes() {
    let (s3, client) = start().await;
    put(&client, "k", &vec![1; 1_000_000]).await;
    s3.inject(Fault::on("HeadObject", "", Action::Silence).times(1));
    s3.inject(Fault::on("GetObject", "", Action::SilenceAfter(300_000)).times(1));
    let wait = Duration::from_millis(300);
    let head = client.head_object().bucket(BUCKET).key("k").send();
    assert!(tokio::time::timeout(wait, head).await.is_err());
    assert_eq!(s3.requests().last().unwrap().status, None);
    let mut body = client.get_object().bucket(BUCKET).key("k").send().await.unwrap().body;
    let mut read = 0;
    while let Ok(chunk) = tokio::time::timeout(wait, body.next()).await {
        read += chunk.unwrap().unwrap().len();
    }
    // At most the bytes before the silence arrive; how many arrive in this time depends on the machine.
    assert!(read <= 300_000, "{read}");
    assert_eq!(get(&client, "k").await.len(), 1_000_000);
}
