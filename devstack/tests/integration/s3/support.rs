//! Provides a server with a bucket and three kinds of keys, and clients that show how a request was refused.

use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use devstack::s3::{Credentials, Options, S3};

pub const BUCKET: &str = "uploads";

/// The minimum size in bytes of a part that is not the last.
pub const PART: usize = 5 * 1024 * 1024;

/// The limit of every wait. Only a wait that would never end takes this long.
pub const LIMIT: Duration = Duration::from_secs(300);

pub fn long_term() -> Credentials {
    Credentials::long_term("AKIATEST000000000001", "long-term-secret")
}

pub fn temporary() -> Credentials {
    Credentials::temporary("ASIATEST000000000002", "temporary-secret", "the-token")
}

pub fn limited() -> Credentials {
    Credentials::long_term("AKIATEST000000000003", "limited-secret").denying("PutObject")
}

pub fn options() -> Options {
    Options { credentials: vec![long_term(), temporary(), limited()], ..Options::default() }
}

pub async fn start() -> (S3, Client) {
    start_with(options()).await
}

pub async fn start_with(options: Options) -> (S3, Client) {
    let s3 = S3::start(options).await.unwrap();
    s3.create_bucket(BUCKET);
    let client = client(&s3, &long_term());
    (s3, client)
}

/// Returns a client that tries each request once, so that a refusal is seen.
pub fn client(s3: &S3, keys: &Credentials) -> Client {
    client_with(s3, keys, RetryConfig::disabled())
}

pub fn client_with(s3: &S3, keys: &Credentials, retry: RetryConfig) -> Client {
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

/// Returns the status and the code of a refusal.
pub fn refusal<T: std::fmt::Debug, E: ProvideErrorMetadata + std::fmt::Debug>(
    result: Result<T, SdkError<E, aws_sdk_s3::config::http::HttpResponse>>,
) -> (u16, String) {
    let error = result.expect_err("it should have been refused");
    let status = error.raw_response().map(|response| response.status().as_u16()).unwrap_or_default();
    (status, error.code().unwrap_or_default().to_owned())
}

pub fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

pub async fn put(client: &Client, key: &str, body: &[u8]) -> String {
    let body = ByteStream::from(body.to_vec());
    client.put_object().bucket(BUCKET).key(key).body(body).send().await.unwrap().e_tag.unwrap()
}

pub async fn get(client: &Client, key: &str) -> Vec<u8> {
    client.get_object().bucket(BUCKET).key(key).send().await.unwrap().body.collect().await.unwrap().to_vec()
}

pub async fn begin(client: &Client, key: &str) -> String {
    client.create_multipart_upload().bucket(BUCKET).key(key).send().await.unwrap().upload_id.unwrap()
}

pub async fn part(client: &Client, key: &str, upload: &str, number: i32, body: Vec<u8>) -> CompletedPart {
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

pub fn parts(parts: &[CompletedPart]) -> CompletedMultipartUpload {
    CompletedMultipartUpload::builder().set_parts(Some(parts.to_vec())).build()
}

pub fn operations(s3: &S3) -> Vec<String> {
    s3.requests().into_iter().map(|request| request.operation).collect()
}

pub async fn until(what: impl Fn() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert!(begun.elapsed() < LIMIT, "it takes too long");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
