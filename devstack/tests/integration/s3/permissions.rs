//! Tests signatures, session tokens, presigned URLs and denied operations.

use std::time::Duration;

use chrono::Utc;
use devstack::s3::Credentials;
use http_body_util::Full;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;

use super::support::{BUCKET, client, limited, long_term, refusal, refused, start, temporary};

#[tokio::test]
async fn a_wrong_signature_an_unknown_key_and_no_signature_are_refused() {
    let (s3, _client) = start().await;
    let wrong = Credentials { secret_access_key: "wrong".to_owned(), ..long_term() };
    let unknown = Credentials::long_term("AKIAUNKNOWN", "wrong");
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

/// A token that does not belong to the key is refused with `InvalidToken`, 400 (API Reference, "Error
/// responses").
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
        refusal(list(Credentials { session_token: wrong, ..long_term() }).await),
        refused(400, "InvalidToken")
    );
}

#[tokio::test]
async fn a_presigned_url_works_with_its_token_and_not_when_changed() {
    let (s3, _client) = start().await;
    s3.put_at(BUCKET, "k ü", b"bytes", Utc::now()).unwrap();
    let lasts = aws_sdk_s3::presigning::PresigningConfig::expires_in(Duration::from_secs(3600)).unwrap();
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
