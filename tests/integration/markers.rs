//! Tests that a marker keeps the metadata and tags of its archive, but not its storage class.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::StorageClass;
use devstack::s3::{Action, Credentials, Fault};
use devstack::stack::{BUCKET, uploader_keys};
use serde_json::{Value, json};

use crate::harness::{Harness, bad_key, cases, good_key, key, sample};

const TAGS: [(&str, &str); 2] = [("class", "personal data"), ("owner", "a=b&c+d")];

fn uploader(harness: &Harness) -> Client {
    let Credentials { access_key_id, secret_access_key, session_token, .. } = uploader_keys();
    let keys =
        aws_sdk_s3::config::Credentials::new(access_key_id, secret_access_key, session_token, None, "test");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("ca-central-1"))
        .endpoint_url(harness.stack.s3.endpoint())
        .force_path_style(true)
        .credentials_provider(keys);
    Client::from_conf(config.build())
}

/// Uploads an archive with all attributes that S3 can keep, and settles it. Returns the report.
async fn settled(harness: &Harness, archive: &[u8], metadata: &[(&str, String)]) -> Value {
    let tagging = "class=personal%20data&owner=a%3Db%26c%2Bd";
    let mut put = uploader(harness)
        .put_object()
        .bucket(BUCKET)
        .key(key("a"))
        .content_type("application/x-tar")
        .content_encoding("gzip")
        .content_disposition("attachment; filename=\"a.tgz\"")
        .content_language("en-CA")
        .cache_control("no-store")
        .expires(DateTime::from_secs(2_364_220_800))
        .storage_class(StorageClass::StandardIa)
        .tagging(tagging);
    for (name, value) in metadata {
        put = put.metadata(*name, value);
    }
    put.body(archive.to_vec().into()).send().await.unwrap();
    let report = Harness::report(harness.invoke(&key("a")).await);
    assert_eq!(report["objects_processed"], json!(1), "{report}");
    report
}

async fn head(harness: &Harness, key: &str) -> HeadObjectOutput {
    uploader(harness).head_object().bucket(BUCKET).key(key).send().await.unwrap()
}

fn tags(harness: &Harness, key: &str) -> Vec<(String, String)> {
    harness.stack.s3.tags_and_key(BUCKET, key).unwrap().tags
}

fn are_kept(head: &HeadObjectOutput) {
    assert_eq!(
        (head.content_type(), head.content_encoding(), head.content_disposition()),
        (Some("application/x-tar"), Some("gzip"), Some("attachment; filename=\"a.tgz\""))
    );
    assert_eq!(
        (head.content_language(), head.cache_control(), head.expires_string()),
        (Some("en-CA"), Some("no-store"), Some("Thu, 01 Dec 2044 16:00:00 GMT"))
    );
}

async fn keeps_what_s3_knows(archive: &[u8], marker: String) {
    let harness = Harness::start().await;
    let metadata = [("exported-by", "the CMS".to_owned()), ("source-etag", "of something else".to_owned())];
    let report = settled(&harness, archive, &metadata).await;
    assert_eq!(report["incomplete_markers"], json!([]));
    let found = head(&harness, &marker).await;
    are_kept(&found);
    let own = found.metadata().unwrap();
    let etag = head(&harness, &key("a")).await.e_tag.unwrap();
    assert_eq!(
        (own["exported-by"].as_str(), own["source-etag"].as_str()),
        ("the CMS", etag.trim_matches('"'))
    );
    assert_eq!(tags(&harness, &marker), TAGS.map(|(key, value)| (key.to_owned(), value.to_owned())));
    // The reader of a marker should neither wait nor pay for it, so the class is the bucket's default.
    let requests = harness.stack.s3.requests();
    let copy = requests.iter().find(|request| request.operation == "CopyObject").unwrap();
    assert!(!copy.headers.contains_key("x-amz-storage-class"), "{copy:?}");
}

cases! {
    async a_marker_keeps_what_s3_knows_of_its_archive: keeps_what_s3_knows {
        good(&sample(1, 5), good_key("a"));
        bad(b"no archive", bad_key("a"));
    }
}

/// Without the permissions for tags, the marker is still set, and the report says what it lacks.
async fn is_marked_without(operation: &str, archive: &[u8], marker: String) {
    let harness = Harness::builder().denying(operation).start().await;
    let report = settled(&harness, archive, &[("exported-by", "the CMS".to_owned())]).await;
    let told = &report["incomplete_markers"][0];
    assert_eq!(told["key"], json!(key("a")), "{report}");
    let lacks = told["lacks"][0].as_str().unwrap();
    assert!(lacks.starts_with("tags, ") && lacks.contains("s3:PutObjectTagging"), "{lacks}");
    assert_eq!(tags(&harness, &marker), []);
    let found = head(&harness, &marker).await;
    are_kept(&found);
    assert_eq!(found.metadata().unwrap()["exported-by"], "the CMS");
    let log = harness.log().await;
    assert!(log.contains("the marker lacks tags, "), "{log}");
}

cases! {
    async a_marker_without_the_rights_to_tags_has_none: is_marked_without {
        good_unread("GetObjectTagging", &sample(1, 5), good_key("a"));
        good_unwritten("PutObjectTagging", &sample(1, 5), good_key("a"));
        bad_unread("GetObjectTagging", b"no archive", bad_key("a"));
        bad_unwritten("PutObjectTagging", b"no archive", bad_key("a"));
    }
}

/// A copy that is refused for another reason fails.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_not_allowed_at_all_is_a_fault_of_the_deployment() {
    let harness = Harness::builder().denying("CopyObject").start().await;
    let a = harness.put("a", &sample(1, 5), 1);
    harness.stack.s3.set_tags_and_key(BUCKET, &a, &TAGS, None).unwrap();
    let devstack::lambda::Outcome::Failed { error_type, .. } = harness.invoke(&a).await else { panic!() };
    assert_eq!(error_type, "Deployment.S3Access");
    assert!(harness.is_unsettled("a"));
}

/// The uploader and the program share 2 KB of metadata.
#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_does_not_fit_beside_ours_is_left_out_and_named() {
    let harness = Harness::start().await;
    let metadata = [("large", "x".repeat(1990)), ("small", "y".repeat(20))];
    let report = settled(&harness, &sample(1, 5), &metadata).await;
    assert_eq!(
        report["incomplete_markers"],
        json!([{"key": key("a"), "lacks": ["metadata that does not fit into 2 KB beside the program's: large"]}])
    );
    let found = head(&harness, &good_key("a")).await;
    let own = found.metadata().unwrap();
    assert_eq!((own.get("large"), own["small"].len()), (None, 20));
    assert!(own.contains_key("source-etag"));

    // The command reports it too.
    harness.stack.s3.clear_requests();
    let config = harness.config_file();
    let again = ["load", config.to_str().unwrap(), "--again", &key("a")];
    let (output, _) = harness.command(&again).await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        told.contains(&format!(
            "WARNING: markers that lack something of their archives:\n    {}: metadata",
            key("a")
        )),
        "{told}"
    );
}

/// The uploader chooses headers, and S3 returns them unchanged.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_whose_headers_are_no_utf_8_is_loaded() {
    let harness = Harness::start().await;
    for operation in ["GetObject", "HeadObject"] {
        let header = Action::AnswerHeader("content-disposition", b"attachment; filename=\"\xe9t\xe9.tgz\"");
        harness.stack.s3.inject(Fault::on(operation, "csv_a.tgz", header));
    }
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    assert!(harness.is_good("a"));
}
