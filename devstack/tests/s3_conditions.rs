//! What the loader relies on S3 to enforce, enforced: with the SDK as the client, and the rule each test stands on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at what it did not expect")]

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials as Keys, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use devstack::s3::{Action, Credentials, Fault, Notification, Options, S3, Target};

const BUCKET: &str = "bucket";
const MIB: usize = 1024 * 1024;

fn keys() -> Credentials {
    Credentials::lasting("AKIATEST", "secret")
}

fn client_with(s3: &S3, keys: &Credentials) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("ca-central-1"))
        .endpoint_url(s3.endpoint())
        .force_path_style(true)
        .retry_config(RetryConfig::disabled())
        .credentials_provider(Keys::new(&keys.access_key_id, &keys.secret_access_key, keys.session_token.clone(), None, "test"));
    Client::from_conf(config.build())
}

async fn s3_with(credentials: Vec<Credentials>) -> S3 {
    let s3 = S3::start(Options { credentials, ..Options::default() }).await.unwrap();
    s3.create_bucket(BUCKET);
    s3
}

async fn s3() -> (S3, Client) {
    let s3 = s3_with(vec![keys()]).await;
    let client = client_with(&s3, &keys());
    (s3, client)
}

/// S3's code for a refusal, or its status where there is no body to hold one.
fn code<T, E: ProvideErrorMetadata>(result: Result<T, SdkError<E>>) -> String {
    match result {
        Ok(_) => "it went well".to_owned(),
        Err(error) => match error.code() {
            Some(code) => code.to_owned(),
            None => error.raw_response().map_or_else(|| "no answer".to_owned(), |response| response.status().as_u16().to_string()),
        },
    }
}

async fn put(client: &Client, key: &str, bytes: &[u8]) -> String {
    let put = client.put_object().bucket(BUCKET).key(key).body(ByteStream::from(bytes.to_vec())).send().await.unwrap();
    put.e_tag.unwrap()
}

async fn get(client: &Client, key: &str) -> Vec<u8> {
    client.get_object().bucket(BUCKET).key(key).send().await.unwrap().body.collect().await.unwrap().to_vec()
}

/// "If the object's ETag is different, S3 returns 412 Precondition Failed" (API Reference, GetObject, CopyObject).
#[tokio::test]
async fn conditions_on_reads_and_copies_are_enforced() {
    let (s3, client) = s3().await;
    let etag = put(&client, "a", b"old").await;
    assert!(client.get_object().bucket(BUCKET).key("a").if_match(&etag).send().await.is_ok());
    put(&client, "a", b"new").await;
    assert_eq!(code(client.get_object().bucket(BUCKET).key("a").if_match(&etag).send().await), "PreconditionFailed");
    assert_eq!(code(client.head_object().bucket(BUCKET).key("a").if_match(&etag).send().await), "412");
    let copy = client.copy_object().bucket(BUCKET).key("b").copy_source("bucket/a").copy_source_if_match(&etag);
    assert_eq!(code(copy.send().await), "PreconditionFailed");
    assert_eq!(s3.read(BUCKET, "b"), None);
}

/// "Uploads the object only if the object key name does not already exist" (API Reference, PutObject, If-None-Match).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_first_puts_exactly_one_wins() {
    let (_s3, client) = s3().await;
    let puts = (0..8).map(|n: u8| {
        let put = client.put_object().bucket(BUCKET).key("once").if_none_match("*").body(ByteStream::from(vec![n; 1000]));
        tokio::spawn(async move { put.send().await.is_ok() })
    });
    let mut won = 0;
    for put in puts.collect::<Vec<_>>() {
        won += usize::from(put.await.unwrap());
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn ranges_are_inclusive_and_bounded() {
    let (_s3, client) = s3().await;
    put(&client, "a", b"0123456789").await;
    let range = async |range: &str| {
        let answer = client.get_object().bucket(BUCKET).key("a").range(range).send().await.unwrap();
        (answer.content_range.clone().unwrap(), answer.body.collect().await.unwrap().to_vec())
    };
    assert_eq!(range("bytes=7-").await, ("bytes 7-9/10".to_owned(), b"789".to_vec()));
    assert_eq!(range("bytes=2-4").await, ("bytes 2-4/10".to_owned(), b"234".to_vec()));
    assert_eq!(range("bytes=-2").await.1, b"89");
    assert_eq!(code(client.get_object().bucket(BUCKET).key("a").range("bytes=10-").send().await), "InvalidRange");
}

/// Listings are in UTF-8 binary order of keys (User Guide, "Listing object keys programmatically"), `a` beside `a/b`.
#[tokio::test]
async fn keys_of_every_kind_are_listed_in_order_and_read_back() {
    let (_s3, client) = s3().await;
    let keys = ["a", "a/b", "a b+%ü\"'&<.tgz", "z/", "é"];
    for key in keys {
        put(&client, key, key.as_bytes()).await;
    }
    let page = client.list_objects_v2().bucket(BUCKET).send().await.unwrap();
    let mut sorted = keys;
    sorted.sort_unstable();
    assert_eq!(page.contents().iter().map(|object| object.key().unwrap()).collect::<Vec<_>>(), sorted);
    for key in keys {
        assert_eq!(get(&client, key).await, key.as_bytes());
    }
    let folders = client.list_objects_v2().bucket(BUCKET).delimiter("/").send().await.unwrap();
    let prefixes: Vec<&str> = folders.common_prefixes().iter().filter_map(|prefix| prefix.prefix()).collect();
    assert_eq!((prefixes, folders.contents().len()), (vec!["a/", "z/"], 3));
}

/// A copy keeps content type and user metadata, and encodes its source's key.
#[tokio::test]
async fn a_copy_is_the_same_object_elsewhere() {
    let (s3, client) = s3().await;
    client
        .put_object()
        .bucket(BUCKET)
        .key("a b+ü")
        .content_type("application/gzip")
        .metadata("who", "me")
        .body(ByteStream::from_static(b"x"))
        .send()
        .await
        .unwrap();
    client.copy_object().bucket(BUCKET).key("c").copy_source("bucket/a%20b%2B%C3%BC").send().await.unwrap();
    let head = client.head_object().bucket(BUCKET).key("c").send().await.unwrap();
    assert_eq!((head.content_type(), head.metadata().unwrap()["who"].as_str()), (Some("application/gzip"), "me"));
    assert_eq!(s3.read(BUCKET, "c").unwrap(), b"x");
}

struct Parts<'a> {
    client: &'a Client,
    id: String,
}

impl Parts<'_> {
    async fn begin(client: &Client) -> Parts<'_> {
        let begun = client.create_multipart_upload().bucket(BUCKET).key("m").checksum_algorithm(ChecksumAlgorithm::Crc32).send().await.unwrap();
        Parts { client, id: begun.upload_id.unwrap() }
    }

    async fn part(&self, number: i32, bytes: usize) -> CompletedPart {
        let body = ByteStream::from(vec![b'x'; bytes]);
        let part = self.client.upload_part().bucket(BUCKET).key("m").upload_id(&self.id).part_number(number).body(body).send().await.unwrap();
        CompletedPart::builder().part_number(number).set_e_tag(part.e_tag).set_checksum_crc32(part.checksum_crc32).build()
    }

    async fn complete(&self, parts: Vec<CompletedPart>) -> String {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        code(self.client.complete_multipart_upload().bucket(BUCKET).key("m").upload_id(&self.id).multipart_upload(parts).send().await)
    }
}

/// API Reference, CompleteMultipartUpload: InvalidPart, InvalidPartOrder, EntityTooSmall; and the checksums of an upload that
/// was begun with one.
#[tokio::test]
async fn a_multipart_upload_is_completed_only_as_it_was_uploaded() {
    let (s3, client) = s3().await;
    let upload = Parts::begin(&client).await;
    let (one, two) = (upload.part(1, 5 * MIB).await, upload.part(2, 10).await);
    let wrong = CompletedPart::builder().part_number(1).e_tag("\"00000000000000000000000000000000\"").build();
    assert_eq!(upload.complete(vec![wrong, two.clone()]).await, "InvalidPart");
    assert_eq!(upload.complete(vec![two.clone(), one.clone()]).await, "InvalidPartOrder");
    let unsummed = CompletedPart::builder().part_number(1).set_e_tag(one.e_tag.clone()).build();
    assert_eq!(upload.complete(vec![unsummed, two.clone()]).await, "InvalidRequest");
    let small = upload.part(3, 10).await;
    assert_eq!(upload.complete(vec![two.clone(), small]).await, "EntityTooSmall");
    assert_eq!(s3.read(BUCKET, "m"), None);
    assert_eq!(upload.complete(vec![one, two]).await, "it went well");
    let object = &s3.objects(BUCKET)[0];
    assert!(object.etag.ends_with("-2") && object.size == 5 * MIB as u64 + 10, "{object:?}");
    assert_eq!((s3.unfinished_uploads(), upload.complete(Vec::new()).await.as_str()), (0, "NoSuchUpload"));
}

#[tokio::test]
async fn a_damaged_body_is_refused() {
    let (s3, client) = s3().await;
    let put = client.put_object().bucket(BUCKET).key("a").content_md5("AAAAAAAAAAAAAAAAAAAAAA==").body(ByteStream::from_static(b"x"));
    assert_eq!(code(put.send().await), "BadDigest");
    let sum = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let put = client.put_object().bucket(BUCKET).key("a").checksum_sha256(sum).body(ByteStream::from_static(b"x"));
    assert_eq!(code(put.send().await), "BadDigest");
    assert_eq!(s3.read(BUCKET, "a"), None);
}

/// Temporary keys are nothing without their token (IAM User Guide, "Using temporary credentials").
#[tokio::test]
async fn keys_tokens_and_rights_are_looked_at() {
    let temporary = Credentials::temporary("ASIATEST", "secret", "token");
    let s3 = s3_with(vec![keys(), temporary.clone(), Credentials::lasting("AKIALIMITED", "secret").denying("PutObject")]).await;
    let list = async |keys: &Credentials| code(client_with(&s3, keys).list_objects_v2().bucket(BUCKET).send().await);
    assert_eq!(list(&temporary).await, "it went well");
    assert_eq!(list(&Credentials { session_token: None, ..temporary.clone() }).await, "InvalidToken");
    assert_eq!(list(&Credentials { session_token: Some("other".to_owned()), ..temporary }).await, "InvalidToken");
    assert_eq!(list(&Credentials::lasting("AKIATEST", "wrong")).await, "SignatureDoesNotMatch");
    assert_eq!(list(&Credentials::lasting("AKIANOBODY", "secret")).await, "InvalidAccessKeyId");
    let limited = client_with(&s3, &Credentials::lasting("AKIALIMITED", "secret"));
    assert_eq!(code(limited.put_object().bucket(BUCKET).key("a").body(ByteStream::from_static(b"x")).send().await), "AccessDenied");
}

/// "The object key name value is URL encoded … red+flower.jpg" (User Guide, "Event message structure").
#[tokio::test]
async fn a_notification_names_the_object_in_form_encoding() {
    let (s3, client) = s3().await;
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    s3.notify(Notification { bucket: BUCKET.to_owned(), prefix: "client/".to_owned(), suffix: ".tgz".to_owned(), target: Target::Channel(sender) });
    put(&client, "other/a.tgz", b"x").await;
    put(&client, "client/a.txt", b"x").await;
    let etag = put(&client, "client/a b+ü.tgz", b"xyz").await;
    let event = tokio::time::timeout(Duration::from_secs(5), receiver.recv()).await.unwrap().unwrap();
    let record = &event["Records"][0];
    assert_eq!((&record["eventName"], &record["eventSource"]), (&"ObjectCreated:Put".into(), &"aws:s3".into()));
    assert_eq!(record["s3"]["bucket"]["name"], BUCKET);
    let object = &record["s3"]["object"];
    assert_eq!((&object["key"], &object["size"]), (&"client/a+b%2B%C3%BC.tgz".into(), &3.into()));
    assert_eq!(object["eTag"], etag.trim_matches('"'));
    assert!(receiver.try_recv().is_err());
}

#[tokio::test]
async fn faults_strike_where_they_are_told_to() {
    let (s3, client) = s3().await;
    put(&client, "a", &[b'x'; 1000]).await;
    s3.inject(Fault::on("GetObject", "a", Action::Refuse(503, "SlowDown".to_owned())).after(1).times(1));
    assert_eq!(get(&client, "a").await.len(), 1000);
    assert_eq!(code(client.get_object().bucket(BUCKET).key("a").send().await), "SlowDown");
    s3.inject(Fault::on("GetObject", "a", Action::CutBodyAfter(300)).times(1));
    let cut = client.get_object().bucket(BUCKET).key("a").send().await.unwrap();
    assert!(cut.body.collect().await.is_err());
    s3.inject(Fault::on("PutObject", "b", Action::CutBeforeAnswer).times(1));
    assert_eq!(code(client.put_object().bucket(BUCKET).key("b").body(ByteStream::from_static(b"x")).send().await), "no answer");
    assert_eq!(s3.read(BUCKET, "b").unwrap(), b"x");
    let before = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = Arc::clone(&before);
    s3.inject(Fault::on("DeleteObject", "b", Action::First(Arc::new(move || seen.store(true, std::sync::atomic::Ordering::Relaxed)))));
    client.delete_object().bucket(BUCKET).key("b").send().await.unwrap();
    assert!(before.load(std::sync::atomic::Ordering::Relaxed) && s3.read(BUCKET, "b").is_none());
}

/// A reader keeps what it began to read (User Guide, "Amazon S3 data consistency model": no partial mixture).
#[tokio::test]
async fn an_overwrite_does_not_disturb_a_running_read() {
    let (_s3, client) = s3().await;
    put(&client, "a", &vec![b'1'; 4 * MIB]).await;
    let mut body = client.get_object().bucket(BUCKET).key("a").send().await.unwrap().body;
    let mut read = body.next().await.unwrap().unwrap().to_vec();
    put(&client, "a", b"2").await;
    while let Some(chunk) = body.next().await {
        read.extend_from_slice(&chunk.unwrap());
    }
    assert!(read == vec![b'1'; 4 * MIB]);
}
