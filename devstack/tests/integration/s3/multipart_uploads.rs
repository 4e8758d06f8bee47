//! Tests multipart uploads, from their beginning to completion or abort.

use std::time::Duration;

use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedPart};

use super::support::{BUCKET, PART, begin, part, parts, put, refusal, refused, start};

/// The object's `ETag` is the MD5 of the parts' MD5s, and its time is the time at which the upload began
/// (User Guide, "Multipart upload").
#[tokio::test]
async fn a_multipart_upload_becomes_one_object_of_the_time_it_began() {
    let (s3, client) = start().await;
    let create = client
        .create_multipart_upload()
        .bucket(BUCKET)
        .key("k")
        .content_type("text/csv")
        .metadata("from", "cms");
    let begun = chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    s3.set_time(Some(begun));
    let upload = create.send().await.unwrap().upload_id.unwrap();
    s3.set_time(Some(begun + Duration::from_secs(60)));
    let first = part(&client, "k", &upload, 1, vec![1; PART]).await;
    let second = part(&client, "k", &upload, 7, vec![2; 10]).await;
    assert_eq!((s3.unfinished_uploads(), s3.objects(BUCKET).len()), (1, 0));
    let done = client.complete_multipart_upload().bucket(BUCKET).key("k").upload_id(&upload);
    let done = done.multipart_upload(parts(&[first, second])).send().await.unwrap();
    // The value is md5(md5(b"\1" * 5242880) + md5(b"\2" * 10)), computed with Python's hashlib.
    assert_eq!(done.e_tag(), Some("\"34d4c179026ab040d35d264b856c514a-2\""));
    let got = client.get_object().bucket(BUCKET).key("k").send().await.unwrap();
    assert_eq!((got.e_tag(), got.content_type()), (done.e_tag(), Some("text/csv")));
    assert_eq!(got.metadata().unwrap()["from"], "cms");
    assert_eq!(got.last_modified().unwrap().secs(), begun.timestamp());
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
    // The refused completions did not remove the upload's parts.
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

/// An upload that began with a composite checksum must be completed with the checksum of each part
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
    // The `ETag` of a copy in one request is the MD5 of the object's bytes again.
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
