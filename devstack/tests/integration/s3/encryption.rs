//! Tests KMS keys: permissions for them, and `ETag`s that are not an MD5.

use aws_sdk_s3::types::ServerSideEncryption;
use devstack::s3::Options;
use serde_json::json;

use super::support::{BUCKET, client, long_term, options, parts, refusal, refused, start, start_with};

const KEY: &str = "arn:aws:kms:ca-central-1:123456789012:key/11111111-2222-3333-4444-555555555555";
const OTHER: &str = "arn:aws:kms:ca-central-1:123456789012:key/99999999-2222-3333-4444-555555555555";

/// "Objects encrypted by SSE-C or SSE-KMS have ETags that are not an MD5 digest of their object data" (API Reference,
/// `Object`).
#[tokio::test]
async fn what_kms_encrypts_has_an_etag_of_its_own() {
    let (s3, client) = start().await;
    let put = || client.put_object().bucket(BUCKET).key("k").body(b"bytes".to_vec().into());
    let plain = put().send().await.unwrap().e_tag.unwrap();
    let by_key = put().server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id(KEY).send().await;
    let by_key = by_key.unwrap().e_tag.unwrap();
    assert_ne!(plain, by_key);
    let head = client.head_object().bucket(BUCKET).key("k").send().await.unwrap();
    assert_eq!((head.e_tag(), head.ssekms_key_id()), (Some(by_key.as_str()), Some(KEY)));
    // The condition of a write compares the `ETag` that was returned.
    put().if_match(&by_key).send().await.unwrap();

    s3.encrypt_by_default(BUCKET, OTHER);
    let etag = put().send().await.unwrap().e_tag.unwrap();
    let copied =
        client.copy_object().copy_source(format!("{BUCKET}/k")).bucket(BUCKET).key("to").send().await;
    let copied = copied.unwrap().copy_object_result.unwrap().e_tag.unwrap();
    assert!(etag != plain && etag != copied, "{etag} {copied}");
    assert_eq!(s3.tags_and_key(BUCKET, "to").unwrap().kms_key.as_deref(), Some(OTHER));

    let upload = client.create_multipart_upload().bucket(BUCKET).key("parts").send().await.unwrap();
    let id = upload.upload_id().unwrap();
    let part = client.upload_part().bucket(BUCKET).key("parts").upload_id(id).part_number(1);
    let part = part.body(b"bytes".to_vec().into()).send().await.unwrap().e_tag;
    let part = aws_sdk_s3::types::CompletedPart::builder().part_number(1).set_e_tag(part).build();
    let complete = client.complete_multipart_upload().bucket(BUCKET).key("parts").upload_id(id);
    let completed = complete.multipart_upload(parts(&[part])).send().await.unwrap().e_tag.unwrap();
    assert!(completed.ends_with("-1\""), "{completed}");
    assert_eq!(s3.tags_and_key(BUCKET, "parts").unwrap().kms_key.as_deref(), Some(OTHER));
}

#[tokio::test]
async fn a_kms_key_is_used_by_who_may_use_it() {
    let allowed = |actions: &[&str]| {
        let policy = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::*"},
            {"Effect": "Allow", "Action": actions, "Resource": KEY}]});
        serde_json::from_value(policy).unwrap()
    };
    for (actions, writes, uploads, reads) in [
        (&["kms:GenerateDataKey", "kms:Decrypt"][..], true, true, true),
        (&["kms:GenerateDataKey"], true, false, false),
        (&["kms:Decrypt"], false, false, true),
    ] {
        let keys = long_term().with_policy(allowed(actions));
        let (s3, _client) = start_with(Options { credentials: vec![keys.clone()], ..options() }).await;
        let client = client(&s3, &keys);
        s3.put_at(BUCKET, "k", b"bytes", chrono::Utc::now()).unwrap();
        s3.set_tags_and_key(BUCKET, "k", &[], Some(KEY)).unwrap();
        let get = client.get_object().bucket(BUCKET).key("k").send().await;
        s3.encrypt_by_default(BUCKET, KEY);
        let put = client.put_object().bucket(BUCKET).key("l").body(b"bytes".to_vec().into()).send().await;
        let create = client.create_multipart_upload().bucket(BUCKET).key("m").send().await;
        let copy =
            client.copy_object().copy_source(format!("{BUCKET}/k")).bucket(BUCKET).key("to").send().await;
        assert_eq!(
            (put.is_ok(), create.is_ok(), get.is_ok(), copy.is_ok()),
            (writes, uploads, reads, reads && writes),
            "{actions:?}"
        );
        if let Err(error) = get {
            assert_eq!(refusal(Err::<(), _>(error)), refused(403, "AccessDenied"));
        }
    }
}
