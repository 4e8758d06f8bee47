//! Tests that `error.json` is stored like its archive: with the same key and the same tags.

use devstack::s3::{Action, Fault, TagsAndKey};
use devstack::stack::BUCKET;

use crate::harness::{Harness, bad_key};

const KMS_KEY: &str = "arn:aws:kms:ca-central-1:123456789012:key/11111111-2222-3333-4444-555555555555";
const TAGS: [(&str, &str); 2] = [("class", "personal data"), ("owner", "a=b&c+d")];

/// A bad archive that is encrypted by a key of its own and bears tags, uploaded and found bad.
async fn explained(harness: &Harness) -> TagsAndKey {
    let a = harness.put("a", b"no archive", 1);
    harness.stack.s3.set_tags_and_key(BUCKET, &a, &TAGS, Some(KMS_KEY)).unwrap();
    Harness::report(harness.invoke(&a).await);
    assert!(harness.is_bad("a"));
    harness.stack.s3.tags_and_key(BUCKET, &format!("{}.error.json", bad_key("a"))).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_is_encrypted_and_tagged_as_its_archive() {
    let harness = Harness::start().await;
    let TagsAndKey { tags, kms_key } = explained(&harness).await;
    assert_eq!(tags, TAGS.map(|(key, value)| (key.to_owned(), value.to_owned())));
    assert_eq!(kms_key.as_deref(), Some(KMS_KEY));
    assert_eq!(harness.error_json("a")["problems_found"], 1);
}

/// Without a right to the tags, or to the key, the archive is explained all the same.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_explained_without_the_rights_to_its_key_and_tags() {
    for (operation, place, code, bears_the_key) in [
        ("GetObjectTagging", ".tgz", "AccessDenied", true),
        ("PutObject", ".error.json", "AccessDenied", false),
        ("PutObject", ".error.json", "KMS.AccessDeniedException", false),
    ] {
        let harness = Harness::start().await;
        let refused = Action::Refuse(if code.starts_with("KMS") { 400 } else { 403 }, code.to_owned());
        harness.stack.s3.inject(Fault::on(operation, place, refused).times(1));
        let TagsAndKey { tags, kms_key } = explained(&harness).await;
        assert!(tags.is_empty() && kms_key.is_some() == bears_the_key, "{operation}: {tags:?} {kms_key:?}");
        assert!(harness.log().await.contains("\"level\":\"WARN\""), "{operation} {code}");
    }
}
