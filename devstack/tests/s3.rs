//! The local S3 against AWS's own SDK and command line: it does what S3 does, and above all refuses what S3
//! refuses.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at what it did not expect"
)]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Region, retry::RetryConfig};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{
    BucketLocationConstraint, ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart,
    CreateBucketConfiguration, Delete, EncodingType, MetadataDirective, ObjectIdentifier,
};
use chrono::Utc;
use devstack::python;
use devstack::s3::{Action, Credentials, Fault, Notification, Options, Pause, S3, Target};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

const BUCKET: &str = "uploads";

/// The smallest part that need not be the last.
const PART: usize = 5 * 1024 * 1024;

/// The longest that anything here may take.
const LIMIT: Duration = Duration::from_secs(30);

fn lasting() -> Credentials {
    Credentials::lasting("AKIATEST000000000001", "lasting-secret")
}

fn temporary() -> Credentials {
    Credentials::temporary("ASIATEST000000000002", "temporary-secret", "the-token")
}

fn limited() -> Credentials {
    Credentials::lasting("AKIATEST000000000003", "limited-secret").denying("PutObject")
}

fn options() -> Options {
    Options { credentials: vec![lasting(), temporary(), limited()], ..Options::default() }
}

async fn start() -> (S3, Client) {
    start_with(options()).await
}

async fn start_with(options: Options) -> (S3, Client) {
    let s3 = S3::start(options).await.unwrap();
    s3.create_bucket(BUCKET);
    let client = client(&s3, &lasting());
    (s3, client)
}

/// A client that tries once, so that a refusal is seen.
fn client(s3: &S3, keys: &Credentials) -> Client {
    client_with(s3, keys, RetryConfig::disabled())
}

fn client_with(s3: &S3, keys: &Credentials, retry: RetryConfig) -> Client {
    let keys = aws_sdk_s3::config::Credentials::new(
        &keys.access_key_id,
        &keys.secret_access_key,
        keys.session_token.clone(),
        None,
        "test",
    );
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("ca-central-1"))
        .endpoint_url(s3.endpoint())
        .force_path_style(true)
        .retry_config(retry)
        .credentials_provider(keys);
    Client::from_conf(config.build())
}

/// Status and code of a refusal.
fn refusal<T: std::fmt::Debug, E: ProvideErrorMetadata + std::fmt::Debug>(
    result: Result<T, SdkError<E, aws_sdk_s3::config::http::HttpResponse>>,
) -> (u16, String) {
    let error = result.expect_err("it should have been refused");
    let status = error.raw_response().map(|response| response.status().as_u16()).unwrap_or_default();
    (status, error.code().unwrap_or_default().to_owned())
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

async fn put(client: &Client, key: &str, body: &[u8]) -> String {
    let body = ByteStream::from(body.to_vec());
    client.put_object().bucket(BUCKET).key(key).body(body).send().await.unwrap().e_tag.unwrap()
}

async fn get(client: &Client, key: &str) -> Vec<u8> {
    client.get_object().bucket(BUCKET).key(key).send().await.unwrap().body.collect().await.unwrap().to_vec()
}

async fn begin(client: &Client, key: &str) -> String {
    client.create_multipart_upload().bucket(BUCKET).key(key).send().await.unwrap().upload_id.unwrap()
}

async fn part(client: &Client, key: &str, upload: &str, number: i32, body: Vec<u8>) -> CompletedPart {
    let sent = client
        .upload_part()
        .bucket(BUCKET)
        .key(key)
        .upload_id(upload)
        .part_number(number)
        .body(body.into())
        .send()
        .await
        .unwrap();
    CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).build()
}

fn parts(parts: &[CompletedPart]) -> CompletedMultipartUpload {
    CompletedMultipartUpload::builder().set_parts(Some(parts.to_vec())).build()
}

fn operations(s3: &S3) -> Vec<String> {
    s3.requests().into_iter().map(|request| request.operation).collect()
}

async fn until(what: impl Fn() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert!(begun.elapsed() < LIMIT, "it takes too long");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

// Reading
// ------------------------------------------------------------------------------------------------------------

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

/// "the default is binary/octet-stream" (API Reference, `PutObject`).
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
    for (range, bytes, said) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=8-99", "89", "bytes 8-9/10"),
    ] {
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
    for overwrite in [true, false] {
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

// Writing
// ------------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_put_on_condition_of_absence_is_refused_when_the_key_is_taken() {
    let (s3, client) = start().await;
    let write = |body: &[u8]| {
        client.put_object().bucket(BUCKET).key("k").if_none_match("*").body(body.to_vec().into())
    };
    write(b"first").send().await.unwrap();
    assert_eq!(refusal(write(b"second").send().await), refused(412, "PreconditionFailed"));
    assert_eq!(s3.read(BUCKET, "k").unwrap(), b"first");
    // "expects the '*' character" (API Reference, `PutObject`).
    let other =
        client.put_object().bucket(BUCKET).key("k").if_none_match("\"etag\"").body(b"x".to_vec().into());
    assert_eq!(refusal(other.send().await), refused(501, "NotImplemented"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_racing_puts_on_condition_of_absence_exactly_one_wins() {
    let (s3, client) = start().await;
    for round in 0..10 {
        let key = format!("k{round}");
        let mut racers = tokio::task::JoinSet::new();
        for racer in 0..8_u8 {
            let put = client
                .put_object()
                .bucket(BUCKET)
                .key(&key)
                .if_none_match("*")
                .body(vec![racer; 100_000].into());
            racers.spawn(async move {
                put.send().await.map(|_| racer).map_err(|error| refusal(Err::<(), _>(error)))
            });
        }
        let results = racers.join_all().await;
        let winners: Vec<&u8> = results.iter().flatten().collect();
        assert_eq!(winners.len(), 1);
        assert_eq!(s3.read(BUCKET, &key).unwrap(), vec![*winners[0]; 100_000]);
        assert!(
            results
                .iter()
                .filter_map(|result| result.as_ref().err())
                .all(|refusal| *refusal == refused(412, "PreconditionFailed"))
        );
    }
}

#[tokio::test]
async fn a_put_or_delete_on_condition_of_an_etag_is_refused_when_the_object_changed() {
    let (s3, client) = start().await;
    let write = |key: &str, etag: &str| {
        client.put_object().bucket(BUCKET).key(key).if_match(etag).body(b"mine".to_vec().into())
    };
    let old = put(&client, "k", b"old").await;
    let new = put(&client, "k", b"new").await;
    assert_eq!(refusal(write("k", &old).send().await), refused(412, "PreconditionFailed"));
    assert_eq!(s3.read(BUCKET, "k").unwrap(), b"new");
    write("k", &new).send().await.unwrap();
    assert_eq!(s3.read(BUCKET, "k").unwrap(), b"mine");
    assert_eq!(refusal(write("absent", &new).send().await), refused(404, "NoSuchKey"));
    let delete = |etag: String| client.delete_object().bucket(BUCKET).key("k").if_match(etag);
    assert_eq!(refusal(delete(new).send().await), refused(412, "PreconditionFailed"));
    delete(format!("\"{}\"", s3.objects(BUCKET)[0].etag)).send().await.unwrap();
    assert!(s3.objects(BUCKET).is_empty());
}

#[tokio::test]
async fn a_wrong_checksum_is_refused_and_stores_nothing() {
    let (s3, client) = start().await;
    let write = || client.put_object().bucket(BUCKET).key("k").body(b"hello".to_vec().into());
    // MD5 and CRC32 are those of "other".
    let wrong = [
        refusal(write().content_md5("eV8yArF8trw9S3cdjGyerw==").send().await),
        refusal(write().checksum_crc32("2Vg1IA==").send().await),
        refusal(write().checksum_crc32_c("2Vg1IA==").send().await),
        refusal(write().checksum_crc64_nvme("AAAAAAAAAAA=").send().await),
        refusal(write().checksum_sha1("AAAAAAAAAAAAAAAAAAAAAAAAAAA=").send().await),
        refusal(write().checksum_sha256("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").send().await),
    ];
    assert_eq!(wrong, std::array::from_fn(|_| refused(400, "BadDigest")));
    assert_eq!(refusal(write().content_md5("not base64").send().await), refused(400, "InvalidDigest"));
    assert_eq!(refusal(write().checksum_crc32("AAAAAAAAAAA=").send().await), refused(400, "InvalidRequest"));
    assert_eq!(
        refusal(
            write().checksum_crc32("NhCmhg==").checksum_sha1("qvTGHdzF6KLavt4PO0gs2a6pQ00=").send().await
        ),
        refused(400, "InvalidRequest")
    );
    assert!(s3.objects(BUCKET).is_empty());
    write().content_md5("XUFAKrxLKna5cZ2REBfFkg==").send().await.unwrap();
    write().checksum_crc32("NhCmhg==").send().await.unwrap();
    assert_eq!(s3.read(BUCKET, "k").unwrap(), b"hello");
}

#[tokio::test]
async fn every_algorithm_is_accepted_ahead_of_the_body_and_behind_it_and_comes_back() {
    let (_s3, client) = start().await;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&vec![7; 300_000]).unwrap();
    for algorithm in [
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32C,
        ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Sha1,
        ChecksumAlgorithm::Sha256,
    ] {
        // From memory the SDK sends it in a header, from a file in a trailer.
        for body in [ByteStream::from(vec![7; 300_000]), ByteStream::from_path(file.path()).await.unwrap()] {
            let put = client
                .put_object()
                .bucket(BUCKET)
                .key("k")
                .checksum_algorithm(algorithm.clone())
                .body(body)
                .send()
                .await
                .unwrap();
            let got = client
                .get_object()
                .bucket(BUCKET)
                .key("k")
                .checksum_mode(ChecksumMode::Enabled)
                .send()
                .await
                .unwrap();
            let of = |sums: [Option<&str>; 5]| sums.map(|sum| sum.map(str::to_owned));
            let sent = of([
                put.checksum_crc32(),
                put.checksum_crc32_c(),
                put.checksum_crc64_nvme(),
                put.checksum_sha1(),
                put.checksum_sha256(),
            ]);
            let kept = of([
                got.checksum_crc32(),
                got.checksum_crc32_c(),
                got.checksum_crc64_nvme(),
                got.checksum_sha1(),
                got.checksum_sha256(),
            ]);
            assert_eq!(sent.iter().flatten().count(), 1);
            assert_eq!(sent, kept);
            // Which the SDK verifies while it reads.
            assert_eq!(got.body.collect().await.unwrap().to_vec(), vec![7; 300_000]);
        }
    }
}

/// Puts `hello` in one chunk with a checksum in a trailer, as SDKs send what they stream.
async fn put_with_trailer(s3: &S3, announced: &str, trailer: &str) -> (u16, String) {
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    let url = format!("{}/{BUCKET}/trailer", s3.endpoint());
    let headers = [
        ("content-encoding", "aws-chunked"),
        ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ("x-amz-decoded-content-length", "5"),
        ("x-amz-trailer", announced),
    ];
    let keys = lasting();
    let identity =
        aws_sdk_s3::config::Credentials::new(keys.access_key_id, keys.secret_access_key, None, None, "test")
            .into();
    let params = aws_sigv4::sign::v4::SigningParams::builder()
        .identity(&identity)
        .region("ca-central-1")
        .name("s3")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let signable =
        SignableRequest::new("PUT", &url, headers.into_iter(), SignableBody::StreamingUnsignedPayloadTrailer)
            .unwrap();
    let (instructions, _) = sign(signable, &params).unwrap().into_parts();
    let mut request = http::Request::put(&url);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    for (name, value) in instructions.headers() {
        request = request.header(name, value);
    }
    let request =
        request.body(Full::new(bytes::Bytes::from(format!("5\r\nhello\r\n0\r\n{trailer}\r\n")))).unwrap();
    let answer = HttpClient::builder(TokioExecutor::new()).build_http().request(request).await.unwrap();
    let status = answer.status().as_u16();
    let text = String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
    let code = text
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
        .map(|(code, _)| code.to_owned());
    (status, code.unwrap_or_default())
}

#[tokio::test]
async fn a_wrong_or_missing_trailer_is_refused() {
    let (s3, _client) = start().await;
    let name = "x-amz-checksum-crc32";
    assert_eq!(
        put_with_trailer(&s3, name, "x-amz-checksum-crc32:2Vg1IA==\r\n").await,
        refused(400, "BadDigest")
    );
    assert_eq!(put_with_trailer(&s3, name, "").await, refused(400, "MalformedTrailerError"));
    assert!(s3.objects(BUCKET).is_empty());
    assert_eq!(put_with_trailer(&s3, name, "x-amz-checksum-crc32:NhCmhg==\r\n").await, refused(200, ""));
    assert_eq!(s3.read(BUCKET, "trailer").unwrap(), b"hello");
}

#[tokio::test]
async fn deletes_are_silent_about_what_was_not_there() {
    let (s3, client) = start().await;
    for key in ["a", "b", "c"] {
        put(&client, key, b"x").await;
    }
    client.delete_object().bucket(BUCKET).key("never").send().await.unwrap();
    let named = ["a", "never", "c"].map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
    let delete = Delete::builder().set_objects(Some(named.to_vec())).build().unwrap();
    let deleted = client.delete_objects().bucket(BUCKET).delete(delete).send().await.unwrap();
    assert_eq!(
        deleted.deleted().iter().map(|object| object.key().unwrap()).collect::<Vec<_>>(),
        ["a", "never", "c"]
    );
    assert_eq!(s3.objects(BUCKET).iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), ["b"]);
}

#[tokio::test]
async fn buckets_are_made_listed_and_located() {
    let (_s3, client) = start_with(Options { region: "ca-west-1".to_owned(), ..options() }).await;
    let here = CreateBucketConfiguration::builder()
        .location_constraint(BucketLocationConstraint::from("ca-west-1"))
        .build();
    let make = || client.create_bucket().bucket("another").create_bucket_configuration(here.clone());
    make().send().await.unwrap();
    assert_eq!(refusal(make().send().await), refused(409, "BucketAlreadyOwnedByYou"));
    let listed = client.list_buckets().send().await.unwrap();
    assert_eq!(
        listed.buckets().iter().map(|bucket| bucket.name().unwrap()).collect::<Vec<_>>(),
        ["another", BUCKET]
    );
    assert_eq!(
        client.head_bucket().bucket("another").send().await.unwrap().bucket_region(),
        Some("ca-west-1")
    );
    let location = client.get_bucket_location().bucket("another").send().await.unwrap();
    assert_eq!(location.location_constraint().map(BucketLocationConstraint::as_str), Some("ca-west-1"));
}

// Listing
// ------------------------------------------------------------------------------------------------------------

/// "UTF-8 binary order" (User Guide, "Listing object keys programmatically").
#[tokio::test]
async fn keys_of_any_kind_are_listed_in_binary_order_and_read_back() {
    let (_s3, client) = start().await;
    let long = "k".repeat(1024);
    let keys = [
        "a",
        "a/b",
        "a b",
        "a+b",
        "a%2Fb",
        "a%b",
        "ü/é.tgz",
        "\"quoted\"",
        "it's",
        "a//b",
        "a/./b",
        "a&b=c?d#e",
        "日本",
        "Z",
        "😀",
        &long,
    ];
    for key in keys {
        put(&client, key, key.as_bytes()).await;
    }
    let mut sorted = keys;
    sorted.sort_unstable();
    for encoding in [None, Some(EncodingType::Url)] {
        let listed =
            client.list_objects_v2().bucket(BUCKET).set_encoding_type(encoding.clone()).send().await.unwrap();
        let listed: Vec<String> =
            listed.contents().iter().map(|object| object.key().unwrap().to_owned()).collect();
        let decode =
            |key: &String| percent_encoding::percent_decode_str(key).decode_utf8().unwrap().into_owned();
        let listed = if encoding.is_some() { listed.iter().map(decode).collect() } else { listed };
        assert_eq!(listed, sorted);
    }
    for key in keys {
        assert_eq!(get(&client, key).await, key.as_bytes(), "{key}");
    }
    let too_long = client.put_object().bucket(BUCKET).key("k".repeat(1025)).body(b"x".to_vec().into());
    assert_eq!(refusal(too_long.send().await), refused(400, "KeyTooLongError"));
}

#[tokio::test]
async fn a_listing_says_size_etag_and_whole_seconds() {
    let (s3, client) = start().await;
    let time = chrono::DateTime::parse_from_rfc3339("2024-05-06T07:08:09.987Z").unwrap().to_utc();
    s3.put_at(BUCKET, "k", b"four", time).unwrap();
    let listed = client.list_objects_v2().bucket(BUCKET).send().await.unwrap();
    let object = &listed.contents()[0];
    assert_eq!((object.size(), object.e_tag()), (Some(4), Some("\"8cbad96aced40b3838dd9f07f6ef5772\"")));
    assert_eq!(object.last_modified(), Some(&DateTime::from_secs(1_714_979_289)));
    assert_eq!(s3.objects(BUCKET)[0].last_modified.timestamp_subsec_nanos(), 0);
}

#[tokio::test]
async fn pages_hold_every_key_once() {
    let (s3, client) = start_with(Options { page_keys: 3, ..options() }).await;
    let keys: Vec<String> = (0..10).map(|n| format!("k{n}")).collect();
    for key in &keys {
        s3.put_at(BUCKET, key, b"x", Utc::now()).unwrap();
    }
    let mut pages = Vec::new();
    let mut paginator = client.list_objects_v2().bucket(BUCKET).into_paginator().send();
    while let Some(page) = paginator.next().await {
        pages.push(
            page.unwrap()
                .contents()
                .iter()
                .map(|object| object.key().unwrap().to_owned())
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 3, 1]);
    assert_eq!(pages.concat(), keys);
    let one = client.list_objects_v2().bucket(BUCKET).max_keys(2).start_after("k6").send().await.unwrap();
    assert_eq!(one.contents().iter().map(|object| object.key().unwrap()).collect::<Vec<_>>(), ["k7", "k8"]);
    assert_eq!((one.is_truncated(), one.key_count()), (Some(true), Some(2)));
    // A page that ends with the last key says so.
    let last = client.list_objects_v2().bucket(BUCKET).max_keys(3).start_after("k6").send().await.unwrap();
    assert_eq!((last.is_truncated(), last.next_continuation_token()), (Some(false), None));
    let none = client.list_objects_v2().bucket(BUCKET).max_keys(0).send().await.unwrap();
    assert_eq!((none.is_truncated(), none.contents().len()), (Some(false), 0));
    let forged = client.list_objects_v2().bucket(BUCKET).continuation_token("!").send().await;
    assert_eq!(refusal(forged), refused(400, "InvalidArgument"));
}

/// "returns up to 1,000 objects" (API Reference, `ListObjectsV2`).
#[tokio::test]
async fn a_page_holds_a_thousand_keys_whatever_is_asked() {
    let (s3, client) = start().await;
    for n in 0..1001 {
        s3.put_at(BUCKET, &format!("{n:04}"), b"", Utc::now()).unwrap();
    }
    let page = client.list_objects_v2().bucket(BUCKET).max_keys(5000).send().await.unwrap();
    assert_eq!((page.contents().len(), page.is_truncated()), (1000, Some(true)));
}

#[tokio::test]
async fn a_delimiter_groups_keys_across_pages() {
    let (s3, client) = start_with(Options { page_keys: 2, ..options() }).await;
    for key in ["p/a", "p/a/1", "p/a/2", "p/b", "p/c/1", "p/c/2", "p/c/3", "p/d", "q/x"] {
        s3.put_at(BUCKET, key, b"x", Utc::now()).unwrap();
    }
    let (mut keys, mut prefixes, mut count) = (Vec::new(), Vec::new(), 0);
    let mut paginator =
        client.list_objects_v2().bucket(BUCKET).prefix("p/").delimiter("/").into_paginator().send();
    while let Some(page) = paginator.next().await {
        let page = page.unwrap();
        keys.extend(page.contents().iter().map(|object| object.key().unwrap().to_owned()));
        prefixes.extend(page.common_prefixes().iter().map(|group| group.prefix().unwrap().to_owned()));
        count += 1;
    }
    assert_eq!(keys, ["p/a", "p/b", "p/d"]);
    assert_eq!(prefixes, ["p/a/", "p/c/"]);
    assert_eq!(count, 3);
}

// Copying
// ------------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_copy_has_the_bytes_type_and_metadata_of_its_source() {
    let (s3, client) = start().await;
    let put = client
        .put_object()
        .bucket(BUCKET)
        .key("from ü+%.tgz")
        .content_type("application/gzip")
        .metadata("from", "cms");
    let etag = put.body(b"bytes".to_vec().into()).send().await.unwrap().e_tag.unwrap();
    let source = format!(
        "{BUCKET}/{}",
        percent_encoding::utf8_percent_encode("from ü+%.tgz", percent_encoding::NON_ALPHANUMERIC)
    );
    let copied = client
        .copy_object()
        .copy_source(&source)
        .copy_source_if_match(&etag)
        .bucket(BUCKET)
        .key("to")
        .send()
        .await
        .unwrap();
    assert_eq!(copied.copy_object_result().unwrap().e_tag(), Some(etag.as_str()));
    let head = client.head_object().bucket(BUCKET).key("to").send().await.unwrap();
    assert_eq!(
        (head.content_type(), head.metadata().unwrap()["from"].as_str()),
        (Some("application/gzip"), "cms")
    );
    // Bytes are shared, and still there when the source is gone.
    client.delete_object().bucket(BUCKET).key("from ü+%.tgz").send().await.unwrap();
    assert_eq!(s3.read(BUCKET, "to").unwrap(), b"bytes");
    let source = format!("{BUCKET}/to");
    let replaced = client
        .copy_object()
        .copy_source(&source)
        .bucket(BUCKET)
        .key("to")
        .metadata_directive(MetadataDirective::Replace);
    replaced.metadata("from", "hand").send().await.unwrap();
    assert_eq!(
        client.head_object().bucket(BUCKET).key("to").send().await.unwrap().metadata().unwrap()["from"],
        "hand"
    );
    // "without changing the object's metadata, ..."
    assert_eq!(
        refusal(client.copy_object().copy_source(&source).bucket(BUCKET).key("to").send().await),
        refused(400, "InvalidRequest")
    );
}

#[tokio::test]
async fn a_copy_on_condition_is_refused_when_the_source_is_another() {
    let (s3, client) = start().await;
    let old = put(&client, "k", b"old").await;
    let new = put(&client, "k", b"new").await;
    let copy = || client.copy_object().copy_source(format!("{BUCKET}/k")).bucket(BUCKET).key("to");
    assert_eq!(refusal(copy().copy_source_if_match(&old).send().await), refused(412, "PreconditionFailed"));
    assert_eq!(
        refusal(copy().copy_source_if_none_match(&new).send().await),
        refused(412, "PreconditionFailed")
    );
    let past = DateTime::from_secs(Utc::now().timestamp() - 3600);
    assert_eq!(
        refusal(copy().copy_source_if_unmodified_since(past).send().await),
        refused(412, "PreconditionFailed")
    );
    let future = DateTime::from_secs(Utc::now().timestamp() + 3600);
    assert_eq!(
        refusal(copy().copy_source_if_modified_since(future).send().await),
        refused(412, "PreconditionFailed")
    );
    assert_eq!(s3.read(BUCKET, "to"), None);
    copy().copy_source_if_match(&new).copy_source_if_none_match(&old).send().await.unwrap();
    assert_eq!(s3.read(BUCKET, "to").unwrap(), b"new");
    let absent =
        client.copy_object().copy_source(format!("{BUCKET}/absent")).bucket(BUCKET).key("to").send().await;
    assert_eq!(refusal(absent), refused(404, "NoSuchKey"));
}

/// "You can create a copy of your object up to 5 GB in size in a single atomic action" (API Reference,
/// `CopyObject`). Its parts share one file, so that it costs 64 MB here.
#[tokio::test]
async fn an_object_over_five_gigabytes_is_not_copied_in_one_go_but_in_parts() {
    let (s3, client) = start().await;
    let large = vec![0; 64 * 1024 * 1024];
    put(&client, "seed", &large).await;
    let source = |key: &str| format!("{BUCKET}/{key}");
    let multiply = async |from: &str, to: &str, times: i32| {
        let upload = begin(&client, to).await;
        let mut made = Vec::new();
        for number in 1..=times {
            let copy = client
                .upload_part_copy()
                .copy_source(source(from))
                .bucket(BUCKET)
                .key(to)
                .upload_id(&upload)
                .part_number(number);
            let copied = copy.send().await.unwrap();
            let etag = copied.copy_part_result.unwrap().e_tag;
            made.push(CompletedPart::builder().part_number(number).set_e_tag(etag).build());
        }
        client
            .complete_multipart_upload()
            .bucket(BUCKET)
            .key(to)
            .upload_id(&upload)
            .multipart_upload(parts(&made))
            .send()
            .await
            .unwrap();
    };
    multiply("seed", "large", 81).await;
    assert_eq!(s3.objects(BUCKET)[0].size, 81 * 64 * 1024 * 1024);
    let copy = client.copy_object().copy_source(source("large")).bucket(BUCKET).key("to").send().await;
    assert_eq!(refusal(copy), refused(400, "InvalidRequest"));
    let upload = begin(&client, "to").await;
    let copy = |range: &str| {
        let copy = client.upload_part_copy().copy_source(source("large")).copy_source_range(range);
        copy.bucket(BUCKET).key("to").upload_id(&upload).part_number(1).send()
    };
    assert_eq!(refusal(copy("bytes=0-5368709120").await), refused(400, "InvalidRequest"));
    copy("bytes=5368709120-5435817983").await.unwrap();
}

// Multipart
// ----------------------------------------------------------------------------------------------------------

/// The `ETag` of parts is the MD5 of their MD5s; the time is that at which the upload began (User Guide,
/// "Multipart upload").
#[tokio::test]
async fn a_multipart_upload_becomes_one_object_of_the_time_it_began() {
    let (s3, client) = start().await;
    let create = client
        .create_multipart_upload()
        .bucket(BUCKET)
        .key("k")
        .content_type("text/csv")
        .metadata("from", "cms");
    let upload = create.send().await.unwrap().upload_id.unwrap();
    let begun = Utc::now();
    let first = part(&client, "k", &upload, 1, vec![1; PART]).await;
    let second = part(&client, "k", &upload, 7, vec![2; 10]).await;
    assert_eq!((s3.unfinished_uploads(), s3.objects(BUCKET).len()), (1, 0));
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let done = client.complete_multipart_upload().bucket(BUCKET).key("k").upload_id(&upload);
    let done = done.multipart_upload(parts(&[first, second])).send().await.unwrap();
    // md5(md5(b"\1" * 5242880) + md5(b"\2" * 10)), by Python's hashlib.
    assert_eq!(done.e_tag(), Some("\"34d4c179026ab040d35d264b856c514a-2\""));
    let got = client.get_object().bucket(BUCKET).key("k").send().await.unwrap();
    assert_eq!((got.e_tag(), got.content_type()), (done.e_tag(), Some("text/csv")));
    assert_eq!(got.metadata().unwrap()["from"], "cms");
    assert!(
        (got.last_modified().unwrap().secs() - begun.timestamp()).abs() <= 1,
        "{:?} is not {begun}",
        got.last_modified()
    );
    let body = got.body.collect().await.unwrap().to_vec();
    assert!(body == [vec![1; PART], vec![2; 10]].concat());
    let across = client
        .get_object()
        .bucket(BUCKET)
        .key("k")
        .range(format!("bytes={}-{}", PART - 2, PART + 1))
        .send()
        .await
        .unwrap();
    assert_eq!(across.body.collect().await.unwrap().to_vec(), [1, 1, 2, 2]);
    assert_eq!(s3.unfinished_uploads(), 0);
}

#[tokio::test]
async fn a_completion_that_does_not_name_the_parts_is_refused() {
    let (s3, client) = start().await;
    let upload = begin(&client, "k").await;
    let first = part(&client, "k", &upload, 1, vec![1; PART]).await;
    let second = part(&client, "k", &upload, 2, vec![2; 100]).await;
    let third = part(&client, "k", &upload, 3, vec![3; 100]).await;
    let named = |named: &[CompletedPart]| {
        client
            .complete_multipart_upload()
            .bucket(BUCKET)
            .key("k")
            .upload_id(&upload)
            .multipart_upload(parts(named))
    };
    let wrong = CompletedPart::builder().part_number(2).e_tag("\"00000000000000000000000000000000\"").build();
    let absent = CompletedPart::builder().part_number(4).set_e_tag(first.e_tag.clone()).build();
    assert_eq!(refusal(named(&[first.clone(), wrong]).send().await), refused(400, "InvalidPart"));
    assert_eq!(refusal(named(&[first.clone(), absent]).send().await), refused(400, "InvalidPart"));
    assert_eq!(
        refusal(named(&[second.clone(), first.clone()]).send().await),
        refused(400, "InvalidPartOrder")
    );
    assert_eq!(
        refusal(named(&[first.clone(), first.clone()]).send().await),
        refused(400, "InvalidPartOrder")
    );
    assert_eq!(
        refusal(named(&[first.clone(), second.clone(), third]).send().await),
        refused(400, "EntityTooSmall")
    );
    assert_eq!(refusal(named(&[]).send().await), refused(400, "MalformedXML"));
    let other_key = client
        .complete_multipart_upload()
        .bucket(BUCKET)
        .key("other")
        .upload_id(&upload)
        .multipart_upload(parts(std::slice::from_ref(&first)));
    assert_eq!(refusal(other_key.send().await), refused(404, "NoSuchUpload"));
    put(&client, "k", b"meanwhile").await;
    assert_eq!(
        refusal(named(&[first.clone(), second.clone()]).if_none_match("*").send().await),
        refused(412, "PreconditionFailed")
    );
    assert_eq!(s3.read(BUCKET, "k").unwrap(), b"meanwhile");
    // None of this cost the upload its parts.
    named(&[first.clone(), second.clone()]).send().await.unwrap();
    assert_eq!(refusal(named(&[first, second]).send().await), refused(404, "NoSuchUpload"));
}

#[tokio::test]
async fn a_part_is_replaced_by_the_next_of_its_number_and_checked_as_a_put_is() {
    let (s3, client) = start().await;
    let upload = begin(&client, "k").await;
    let old = part(&client, "k", &upload, 1, b"old".to_vec()).await;
    let new = part(&client, "k", &upload, 1, b"new".to_vec()).await;
    let send = |number: i32| {
        client
            .upload_part()
            .bucket(BUCKET)
            .key("k")
            .upload_id(&upload)
            .part_number(number)
            .body(b"x".to_vec().into())
    };
    assert_eq!(
        refusal(send(1).content_md5("eV8yArF8trw9S3cdjGyerw==").send().await),
        refused(400, "BadDigest")
    );
    assert_eq!(refusal(send(0).send().await), refused(400, "InvalidArgument"));
    assert_eq!(refusal(send(10_001).send().await), refused(400, "InvalidArgument"));
    let complete = |part: CompletedPart| {
        client
            .complete_multipart_upload()
            .bucket(BUCKET)
            .key("k")
            .upload_id(&upload)
            .multipart_upload(parts(&[part]))
    };
    assert_eq!(refusal(complete(old).send().await), refused(400, "InvalidPart"));
    complete(new).send().await.unwrap();
    assert_eq!(s3.read(BUCKET, "k").unwrap(), b"new");
}

/// Begun with a checksum of the composite kind, an upload is completed with each part's
/// (apache/opendal#4580).
#[tokio::test]
async fn an_upload_begun_with_a_checksum_is_completed_with_those_of_its_parts() {
    let (s3, client) = start().await;
    put(&client, "from", b"copied").await;
    let create = client
        .create_multipart_upload()
        .bucket(BUCKET)
        .key("k")
        .checksum_algorithm(ChecksumAlgorithm::Sha256);
    let upload = create.send().await.unwrap().upload_id.unwrap();
    let send = |algorithm: ChecksumAlgorithm| {
        let part = client
            .upload_part()
            .bucket(BUCKET)
            .key("k")
            .upload_id(&upload)
            .part_number(1)
            .checksum_algorithm(algorithm);
        part.body(vec![1; PART].into()).send()
    };
    assert_eq!(refusal(send(ChecksumAlgorithm::Crc32).await), refused(400, "InvalidRequest"));
    let first = send(ChecksumAlgorithm::Sha256).await.unwrap();
    let copy = client
        .upload_part_copy()
        .copy_source(format!("{BUCKET}/from"))
        .bucket(BUCKET)
        .key("k")
        .upload_id(&upload)
        .part_number(2);
    let second = copy.send().await.unwrap().copy_part_result.unwrap();
    let named = |sums: [Option<&str>; 2]| {
        let etags = [first.e_tag(), second.e_tag()];
        let named = (1..).zip(etags).zip(sums).map(|((number, etag), sum)| {
            let part = CompletedPart::builder().part_number(number).set_e_tag(etag.map(str::to_owned));
            part.set_checksum_sha256(sum.map(str::to_owned)).build()
        });
        let named: Vec<CompletedPart> = named.collect();
        client
            .complete_multipart_upload()
            .bucket(BUCKET)
            .key("k")
            .upload_id(&upload)
            .multipart_upload(parts(&named))
    };
    let (one, two) = (first.checksum_sha256(), second.checksum_sha256());
    assert_eq!(refusal(named([one, None]).send().await), refused(400, "InvalidRequest"));
    assert_eq!(refusal(named([one, one]).send().await), refused(400, "InvalidPart"));
    named([one, two]).send().await.unwrap();
    assert!(s3.read(BUCKET, "k").unwrap() == [vec![1; PART], b"copied".to_vec()].concat());
}

#[tokio::test]
async fn an_aborted_upload_is_gone() {
    let (s3, client) = start().await;
    let upload = begin(&client, "k").await;
    let first = part(&client, "k", &upload, 1, b"x".to_vec()).await;
    let abort = || client.abort_multipart_upload().bucket(BUCKET).key("k").upload_id(&upload);
    assert_eq!(
        refusal(client.abort_multipart_upload().bucket(BUCKET).key("other").upload_id(&upload).send().await),
        refused(404, "NoSuchUpload")
    );
    abort().send().await.unwrap();
    assert_eq!(refusal(abort().send().await), refused(404, "NoSuchUpload"));
    let late = client
        .upload_part()
        .bucket(BUCKET)
        .key("k")
        .upload_id(&upload)
        .part_number(2)
        .body(b"x".to_vec().into());
    assert_eq!(refusal(late.send().await), refused(404, "NoSuchUpload"));
    let complete = client
        .complete_multipart_upload()
        .bucket(BUCKET)
        .key("k")
        .upload_id(&upload)
        .multipart_upload(parts(&[first]));
    assert_eq!(refusal(complete.send().await), refused(404, "NoSuchUpload"));
    assert_eq!((s3.unfinished_uploads(), s3.objects(BUCKET).len()), (0, 0));
}

#[tokio::test]
async fn unfinished_uploads_and_their_parts_are_listed_page_by_page() {
    let (_s3, client) = start().await;
    let upload = begin(&client, "b ü").await;
    let others = [begin(&client, "a").await, begin(&client, "c").await, begin(&client, "c").await];
    for (number, size) in [(3, 3), (1, 1), (2, 2)] {
        part(&client, "b ü", &upload, number, vec![0; size]).await;
    }
    let list = || client.list_parts().bucket(BUCKET).key("b ü").upload_id(&upload);
    let page = list().max_parts(2).send().await.unwrap();
    assert_eq!(
        page.parts()
            .iter()
            .map(|part| (part.part_number().unwrap(), part.size().unwrap()))
            .collect::<Vec<_>>(),
        [(1, 1), (2, 2)]
    );
    let rest = list().part_number_marker(page.next_part_number_marker().unwrap()).send().await.unwrap();
    assert_eq!((rest.parts().len(), rest.is_truncated()), (1, Some(false)));

    let mut listed = Vec::new();
    let (mut key, mut id) = (None, None);
    loop {
        let page = client
            .list_multipart_uploads()
            .bucket(BUCKET)
            .max_uploads(1)
            .set_key_marker(key)
            .set_upload_id_marker(id);
        let page = page.send().await.unwrap();
        listed.extend(
            page.uploads()
                .iter()
                .map(|upload| (upload.key().unwrap().to_owned(), upload.upload_id().unwrap().to_owned())),
        );
        if page.is_truncated() != Some(true) {
            break;
        }
        (key, id) = (page.next_key_marker, page.next_upload_id_marker);
    }
    let [a, c1, c2] = others;
    assert_eq!(
        listed,
        [("a", a), ("b ü", upload), ("c", c1), ("c", c2)].map(|(key, id)| (key.to_owned(), id))
    );
    let with_prefix = client.list_multipart_uploads().bucket(BUCKET).prefix("b").send().await.unwrap();
    assert_eq!(with_prefix.uploads().len(), 1);
}

#[tokio::test]
async fn a_part_is_copied_from_a_range_on_condition_of_the_source() {
    let (s3, client) = start().await;
    let source: Vec<u8> = (0..PART + 1000).map(|n| (n / 7) as u8).collect();
    let etag = put(&client, "from", &source).await;
    let upload = begin(&client, "to").await;
    let copy = |number: i32, range: String, etag: &str| {
        let copy = client
            .upload_part_copy()
            .copy_source(format!("{BUCKET}/from"))
            .copy_source_if_match(etag)
            .copy_source_range(range);
        copy.bucket(BUCKET).key("to").upload_id(&upload).part_number(number).send()
    };
    let end = source.len() - 1;
    assert_eq!(
        refusal(copy(1, format!("bytes=0-{}", PART - 1), "\"other\"").await),
        refused(412, "PreconditionFailed")
    );
    assert_eq!(refusal(copy(1, format!("bytes=0-{}", end + 1), &etag).await), refused(400, "InvalidRequest"));
    assert_eq!(refusal(copy(1, "bytes=5-".to_owned(), &etag).await), refused(400, "InvalidArgument"));
    assert_eq!(refusal(copy(1, "bytes=5-4".to_owned(), &etag).await), refused(400, "InvalidArgument"));
    let mut made = Vec::new();
    for (number, range) in [(1, format!("bytes=0-{}", PART - 1)), (2, format!("bytes={PART}-{end}"))] {
        let copied = copy(number, range, &etag).await.unwrap();
        made.push(
            CompletedPart::builder()
                .part_number(number)
                .set_e_tag(copied.copy_part_result.unwrap().e_tag)
                .build(),
        );
    }
    let complete = client
        .complete_multipart_upload()
        .bucket(BUCKET)
        .key("to")
        .upload_id(&upload)
        .multipart_upload(parts(&made));
    let to = complete.send().await.unwrap().e_tag.unwrap();
    assert!(to.ends_with("-2\""), "{to}");
    assert!(s3.read(BUCKET, "to").unwrap() == source);
    // Copied back in one go it has the MD5 of its bytes again.
    let back = client
        .copy_object()
        .copy_source(format!("{BUCKET}/to"))
        .copy_source_if_match(&to)
        .bucket(BUCKET)
        .key("back")
        .send()
        .await
        .unwrap();
    assert_eq!(back.copy_object_result().unwrap().e_tag(), Some(etag.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_completions_and_an_abort_racing_each_other_one_is_first() {
    let (s3, client) = start().await;
    for round in 0..20 {
        let key = format!("k{round}");
        let upload = begin(&client, &key).await;
        let made = parts(&[part(&client, &key, &upload, 1, b"x".to_vec()).await]);
        let complete = || {
            client
                .complete_multipart_upload()
                .bucket(BUCKET)
                .key(&key)
                .upload_id(&upload)
                .multipart_upload(made.clone())
                .send()
        };
        let abort = client.abort_multipart_upload().bucket(BUCKET).key(&key).upload_id(&upload).send();
        let (one, two, abort) = tokio::join!(complete(), complete(), abort);
        assert_eq!([one.is_ok(), two.is_ok(), abort.is_ok()].iter().filter(|ok| **ok).count(), 1);
        assert_eq!(s3.read(BUCKET, &key).is_some(), abort.is_err());
    }
}

// Keys and permissions
// -----------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_wrong_signature_an_unknown_key_and_no_signature_are_refused() {
    let (s3, _client) = start().await;
    let wrong = Credentials { secret_access_key: "wrong".to_owned(), ..lasting() };
    let unknown = Credentials::lasting("AKIAUNKNOWN", "wrong");
    assert_eq!(
        refusal(client(&s3, &wrong).list_objects_v2().bucket(BUCKET).send().await),
        refused(403, "SignatureDoesNotMatch")
    );
    assert_eq!(
        refusal(client(&s3, &unknown).list_objects_v2().bucket(BUCKET).send().await),
        refused(403, "InvalidAccessKeyId")
    );
    let put =
        client(&s3, &wrong).put_object().bucket(BUCKET).key("k").body(b"x".to_vec().into()).send().await;
    assert_eq!(refusal(put), refused(403, "SignatureDoesNotMatch"));
    let anonymous = http::Request::get(format!("{}/{BUCKET}?list-type=2", s3.endpoint()))
        .body(Full::<bytes::Bytes>::default())
        .unwrap();
    let answer = HttpClient::builder(TokioExecutor::new()).build_http().request(anonymous).await.unwrap();
    assert_eq!(answer.status(), 403);
    assert!(s3.objects(BUCKET).is_empty());
    let seen: Vec<_> =
        s3.requests().into_iter().map(|request| (request.access_key_id, request.status)).collect();
    let key = |keys: Credentials| Some(keys.access_key_id);
    assert_eq!(
        seen,
        [
            (key(wrong.clone()), Some(403)),
            (key(unknown), Some(403)),
            (key(wrong), Some(403)),
            (None, Some(403))
        ]
    );
}

/// A token that is not the key's is `InvalidToken`, 400 (API Reference, "Error responses").
#[tokio::test]
async fn a_temporary_key_is_worth_nothing_without_its_token() {
    let (s3, _client) = start().await;
    let list = async |keys: Credentials| client(&s3, &keys).list_objects_v2().bucket(BUCKET).send().await;
    list(temporary()).await.unwrap();
    assert_eq!(
        refusal(list(Credentials { session_token: None, ..temporary() }).await),
        refused(403, "InvalidToken")
    );
    let wrong = Some("another-token".to_owned());
    assert_eq!(
        refusal(list(Credentials { session_token: wrong.clone(), ..temporary() }).await),
        refused(400, "InvalidToken")
    );
    assert_eq!(
        refusal(list(Credentials { session_token: wrong, ..lasting() }).await),
        refused(400, "InvalidToken")
    );
}

#[tokio::test]
async fn a_presigned_url_works_with_its_token_and_not_when_changed() {
    let (s3, _client) = start().await;
    s3.put_at(BUCKET, "k ü", b"bytes", Utc::now()).unwrap();
    let lasts = aws_sdk_s3::presigning::PresigningConfig::expires_in(Duration::from_secs(60)).unwrap();
    let signed =
        client(&s3, &temporary()).get_object().bucket(BUCKET).key("k ü").presigned(lasts).await.unwrap();
    let http = HttpClient::builder(TokioExecutor::new()).build_http::<Full<bytes::Bytes>>();
    let fetch = async |url: &str| http.get(url.parse().unwrap()).await.unwrap().status().as_u16();
    assert_eq!(fetch(signed.uri()).await, 200);
    assert_eq!(fetch(&signed.uri().replace("/k%20", "/l%20")).await, 403);
    assert_eq!(
        fetch(&signed.uri().replace("X-Amz-Security-Token=the-token", "X-Amz-Security-Token=a-token")).await,
        403
    );
}

#[tokio::test]
async fn a_denied_operation_is_refused_and_others_are_not() {
    let (s3, _client) = start().await;
    let client = client(&s3, &limited());
    let put = client.put_object().bucket(BUCKET).key("k").body(b"x".to_vec().into()).send().await;
    assert_eq!(refusal(put), refused(403, "AccessDenied"));
    assert!(client.list_objects_v2().bucket(BUCKET).send().await.is_ok());
    assert!(s3.objects(BUCKET).is_empty());
}

// Notifications
// ------------------------------------------------------------------------------------------------------

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

/// The shape is that of the User Guide, "Event message structure"; the key is form-encoded.
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
    assert!((time.to_utc() - before).num_seconds().abs() <= 2);
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
        assert!(!text(pointer).is_empty());
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

/// A target that is not there yet is tried again, and the PUT does not wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_is_invoked_asynchronously_though_it_comes_up_late() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (s3, client) = start().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let path = "/2015-03-31/functions/loader/invocations";
    let target = Target::Invoke(format!("http://127.0.0.1:{port}{path}"));
    s3.notify(Notification {
        bucket: BUCKET.to_owned(),
        prefix: String::new(),
        suffix: ".tgz".to_owned(),
        target,
    });
    put(&client, "late.tgz", b"x").await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let invoked = tokio::time::timeout(LIMIT, async {
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

// Faults and the log
// -------------------------------------------------------------------------------------------------

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
    let retrying =
        client_with(&s3, &lasting(), RetryConfig::standard().with_initial_backoff(Duration::from_millis(10)));
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
    s3.inject(Fault::on("PutObject", "", Action::CutBeforeAnswer).times(1));
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
    let change = Action::First(Arc::new(move || {
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
    let pause = Pause::new();
    s3.inject(Fault::on("PutObject", "", Action::Pause(pause.clone())).times(1));
    let putting = tokio::spawn({
        let client = client.clone();
        async move { put(&client, "k", b"x").await }
    });
    tokio::time::timeout(LIMIT, pause.reached()).await.unwrap();
    assert!(s3.objects(BUCKET).is_empty());
    assert_eq!(s3.requests()[0].status, None);
    pause.release();
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
    s3.inject(Fault::on("PutObject", "instead", Action::Instead(Arc::clone(&act))));
    s3.inject(Fault::on("PutObject", "then", Action::Then(act)));
    for key in ["instead", "then"] {
        let put =
            client.put_object().bucket(BUCKET).key(key).body(ByteStream::from_static(b"x")).send().await;
        assert!(matches!(put.unwrap_err(), SdkError::DispatchFailure(_)));
    }
    assert_eq!(count.load(Ordering::Relaxed), 2);
    assert_eq!(s3.objects(BUCKET).iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), ["then"]);
}

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
    s3.put_in_parts_at(
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
    assert!(requests.iter().all(|request| request.access_key_id == Some(lasting().access_key_id)));
    assert!(requests.is_sorted_by_key(|request| request.at));
    s3.clear_requests();
    assert!(s3.requests().is_empty());
}

// The server
// ---------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_dropped_server_frees_its_port_and_leaves_no_file() {
    let files = || {
        std::fs::read_dir(std::env::temp_dir())
            .unwrap()
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .collect::<BTreeSet<_>>()
    };
    let (s3, client) = start().await;
    put(&client, "k", b"only here").await;
    let holds = |directory: &Path| {
        let named = directory.file_name().is_some_and(|name| name.to_string_lossy().starts_with("s3-"));
        let mut inside = std::fs::read_dir(directory).into_iter().flatten().flatten();
        named && inside.any(|file| std::fs::read(file.path()).is_ok_and(|bytes| bytes == b"only here"))
    };
    let directory = files().into_iter().find(|directory| holds(directory)).unwrap();
    let address = s3.endpoint().trim_start_matches("http://").to_owned();
    drop(s3);
    assert!(!directory.exists());
    until(|| std::net::TcpListener::bind(&address).is_ok()).await;
    let gone = client.get_object().bucket(BUCKET).key("k").send().await.unwrap_err();
    assert!(matches!(gone, SdkError::DispatchFailure(_)), "{gone:?}");
}

// A second opinion
// ---------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn the_aws_command_line_copies_lists_and_removes() {
    let (s3, _client) = start().await;
    let bin = tokio::task::spawn_blocking(|| python::venv("awscli-1.46.3", &["awscli==1.46.3"]))
        .await
        .unwrap()
        .unwrap();
    let home = tempfile::tempdir().unwrap();
    let keys = temporary();
    let endpoint = s3.endpoint();
    let aws = async |arguments: &[&str]| {
        let output = tokio::process::Command::new(bin.join("aws"))
            .args(arguments)
            .current_dir(home.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home.path())
            .env("AWS_ENDPOINT_URL", &endpoint)
            .env("AWS_REGION", "ca-central-1")
            .env("AWS_ACCESS_KEY_ID", &keys.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &keys.secret_access_key)
            .env("AWS_SESSION_TOKEN", keys.session_token.as_deref().unwrap_or_default())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(LIMIT * 4, output).await.expect("aws hangs").unwrap();
        assert!(output.status.success(), "aws {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let small = b"small".to_vec();
    let large: Vec<u8> = (0..20_000_000_u32).map(|n| (n / 1000) as u8).collect();
    std::fs::write(home.path().join("small"), &small).unwrap();
    std::fs::write(home.path().join("large"), &large).unwrap();
    aws(&["s3", "cp", "small", "s3://uploads/client/a b+ü.tgz"]).await;
    aws(&["s3", "cp", "large", "s3://uploads/client/large.tgz"]).await;
    assert_eq!(s3.read(BUCKET, "client/a b+ü.tgz").unwrap(), small);
    assert!(s3.read(BUCKET, "client/large.tgz").unwrap() == large);
    assert!(s3.objects(BUCKET)[1].etag.ends_with("-3"));
    assert_eq!(operations(&s3).iter().filter(|operation| *operation == "UploadPart").count(), 3);
    assert_eq!(s3.unfinished_uploads(), 0);

    let listed = aws(&["s3", "ls", "s3://uploads/client/"]).await;
    let lines: Vec<Vec<&str>> =
        listed.lines().map(|line| line.split_whitespace().skip(2).collect()).collect();
    assert_eq!(lines, [vec!["5", "a", "b+ü.tgz"], vec!["20000000", "large.tgz"]]);
    assert!(aws(&["s3", "ls"]).await.trim_end().ends_with(" uploads"));

    aws(&["s3", "cp", "s3://uploads/client/large.tgz", "down"]).await;
    assert!(std::fs::read(home.path().join("down")).unwrap() == large);
    aws(&["s3", "cp", "s3://uploads/client/large.tgz", "s3://uploads/copied"]).await;
    assert!(s3.read(BUCKET, "copied").unwrap() == large);
    aws(&["s3", "rm", "s3://uploads/client/", "--recursive"]).await;
    assert_eq!(s3.objects(BUCKET).iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), ["copied"]);
}
