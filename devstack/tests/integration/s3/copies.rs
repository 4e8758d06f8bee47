//! Tests copies of whole objects, and the size above which they are made in parts.

use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{CompletedPart, MetadataDirective, TaggingDirective};
use chrono::Utc;
use devstack::s3::Options;

use super::support::{
    BUCKET, begin, client, long_term, options, parts, put, refusal, refused, start, start_with,
};

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
    // The two objects share their bytes, which remain when the source is gone.
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
    // A copy to itself "without changing the object's metadata, ..." is refused.
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
/// `CopyObject`). The parts share one file, so that the object takes 64 MB here.
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

/// Both permissions are needed "if you're copying objects that have object tags" (AWS re:Post, "Troubleshoot
/// copying objects between buckets").
#[tokio::test]
async fn a_copy_of_an_object_with_tags_needs_the_rights_to_them_unless_it_replaces_them() {
    for denied in ["GetObjectTagging", "PutObjectTagging"] {
        let keys = long_term().denying(denied);
        let (s3, _client) = start_with(Options { credentials: vec![keys.clone()], ..options() }).await;
        let client = client(&s3, &keys);
        put(&client, "k", b"x").await;
        let copy = || client.copy_object().copy_source(format!("{BUCKET}/k")).bucket(BUCKET).key("to");
        copy().send().await.unwrap();
        s3.set_tags_and_key(BUCKET, "k", &[("a", "b")], None).unwrap();
        for copy in [copy(), copy().tagging_directive(TaggingDirective::Copy)] {
            assert_eq!(refusal(copy.send().await), refused(403, "AccessDenied"), "{denied}");
        }
        copy().tagging_directive(TaggingDirective::Replace).send().await.unwrap();
        assert_eq!(s3.tags_and_key(BUCKET, "to").unwrap().tags, []);
        // Writing new tags needs only `PutObjectTagging`.
        let tagged = copy().tagging_directive(TaggingDirective::Replace).tagging("c=d").send().await;
        let begun = client.create_multipart_upload().bucket(BUCKET).key("parts").tagging("c=d").send().await;
        if denied == "PutObjectTagging" {
            assert_eq!(refusal(tagged), refused(403, "AccessDenied"));
            assert_eq!(refusal(begun), refused(403, "AccessDenied"));
        } else {
            assert!(tagged.is_ok() && begun.is_ok());
        }
    }
}

/// In S3, "the user-defined metadata is limited to 2 KB in size" (Amazon S3 User Guide, "Working with object
/// metadata").
#[tokio::test]
async fn metadata_above_two_kilobytes_is_refused() {
    let (_s3, client) = start().await;
    let sized = |bytes: usize| {
        let put = client.put_object().bucket(BUCKET).key("k").body(b"x".to_vec().into());
        put.metadata("name", "v".repeat(bytes - "name".len())).send()
    };
    sized(2048).await.unwrap();
    assert_eq!(refusal(sized(2049).await), refused(400, "MetadataTooLarge"));
    let copy = client.copy_object().copy_source(format!("{BUCKET}/k")).bucket(BUCKET).key("to");
    let copy = copy.metadata_directive(MetadataDirective::Replace).metadata("name", "v".repeat(2048));
    assert_eq!(refusal(copy.send().await), refused(400, "MetadataTooLarge"));
}
