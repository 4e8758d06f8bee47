//! Tests buckets and listings of their keys.

use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration, EncodingType};
use chrono::Utc;
use devstack::s3::Options;

use crate::case;

use super::support::{BUCKET, get, options, put, refusal, refused, start, start_with};

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

/// Keys are listed in "UTF-8 binary order" (User Guide, "Listing object keys programmatically").
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
    for (name, encoding) in [("plain", None), ("URL-encoded", Some(EncodingType::Url))] {
        case(name);
        let listed =
            client.list_objects_v2().bucket(BUCKET).set_encoding_type(encoding.clone()).send().await.unwrap();
        let listed: Vec<String> =
            listed.contents().iter().map(|object| object.key().unwrap().to_owned()).collect();
        let decode = |key: &String| {
            percent_encoding::percent_decode_str(&key.replace('+', " ")).decode_utf8().unwrap().into_owned()
        };
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
    let (s3, client) = start_with(Options { max_keys: 3, ..options() }).await;
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
    // A page that ends with the last key is not truncated.
    let last = client.list_objects_v2().bucket(BUCKET).max_keys(3).start_after("k6").send().await.unwrap();
    assert_eq!((last.is_truncated(), last.next_continuation_token()), (Some(false), None));
    let none = client.list_objects_v2().bucket(BUCKET).max_keys(0).send().await.unwrap();
    assert_eq!((none.is_truncated(), none.contents().len()), (Some(false), 0));
    let forged = client.list_objects_v2().bucket(BUCKET).continuation_token("!").send().await;
    assert_eq!(refusal(forged), refused(400, "InvalidArgument"));
}

/// A listing "returns up to 1,000 objects" (API Reference, `ListObjectsV2`).
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
    let (s3, client) = start_with(Options { max_keys: 2, ..options() }).await;
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
