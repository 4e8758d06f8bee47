//! Tests writes and deletes, and their conditions.

use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::support::{BUCKET, put, refusal, refused, start};

#[tokio::test]
async fn a_put_on_condition_of_absence_is_refused_when_the_key_is_taken() {
    let (s3, client) = start().await;
    let write = |body: &[u8]| {
        client.put_object().bucket(BUCKET).key("k").if_none_match("*").body(body.to_vec().into())
    };
    write(b"first").send().await.unwrap();
    assert_eq!(refusal(write(b"second").send().await), refused(412, "PreconditionFailed"));
    assert_eq!(s3.read(BUCKET, "k").unwrap(), b"first");
    // If-None-Match "expects the '*' character" (API Reference, `PutObject`).
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
