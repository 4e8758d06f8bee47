//! Carries out the operations on buckets.

use s3s::dto::{
    Bucket, BucketLocationConstraint, CommonPrefix, CreateBucketInput, CreateBucketOutput, ETag,
    EncodingType, GetBucketLocationInput, GetBucketLocationOutput, HeadBucketInput, HeadBucketOutput,
    ListBucketsOutput, ListObjectsV2Input, ListObjectsV2Output, Object as ListedObject,
};
use s3s::{S3Response, S3Result, s3_error};

use crate::s3::error::no_bucket;
use crate::s3::listing;
use crate::s3::object::timestamp;
use crate::s3::state::State;

/// The maximum number of keys on a page (Amazon S3 API Reference, `ListObjectsV2`).
const PAGE_LIMIT_KEYS: usize = 1000;

pub(super) fn list_buckets(state: &State) -> S3Response<ListBucketsOutput> {
    let buckets = state.buckets().names().into_iter().map(|(name, created)| Bucket {
        name: Some(name),
        creation_date: Some(timestamp(created)),
        ..Bucket::default()
    });
    S3Response::new(ListBucketsOutput { buckets: Some(buckets.collect()), ..ListBucketsOutput::default() })
}

pub(super) fn create(state: &State, input: &CreateBucketInput) -> S3Result<S3Response<CreateBucketOutput>> {
    let mut buckets = state.buckets();
    if buckets.get(&input.bucket).is_some() {
        return Err(s3_error!(
            BucketAlreadyOwnedByYou,
            "Your previous request to create the named bucket succeeded and you already own it."
        ));
    }
    buckets.create(&input.bucket);
    Ok(S3Response::new(CreateBucketOutput { location: Some(format!("/{}", input.bucket)) }))
}

pub(super) fn head(state: &State, input: &HeadBucketInput) -> S3Result<S3Response<HeadBucketOutput>> {
    state.buckets().get(&input.bucket).ok_or_else(no_bucket)?;
    Ok(S3Response::new(HeadBucketOutput {
        bucket_region: Some(state.options.region.clone()),
        ..HeadBucketOutput::default()
    }))
}

pub(super) fn location(
    state: &State,
    input: &GetBucketLocationInput,
) -> S3Result<S3Response<GetBucketLocationOutput>> {
    state.buckets().get(&input.bucket).ok_or_else(no_bucket)?;
    // "Buckets in Region us-east-1 have a LocationConstraint of null."
    let region = Some(state.options.region.clone()).filter(|region| region != "us-east-1");
    Ok(S3Response::new(GetBucketLocationOutput {
        location_constraint: region.map(BucketLocationConstraint::from),
    }))
}

pub(super) fn list_objects(
    state: &State,
    input: ListObjectsV2Input,
) -> S3Result<S3Response<ListObjectsV2Output>> {
    let buckets = state.buckets();
    let objects = buckets.get(&input.bucket).ok_or_else(no_bucket)?;
    let Ok(asked) = usize::try_from(input.max_keys.unwrap_or(1000)) else {
        return Err(s3_error!(
            InvalidArgument,
            "Argument maxKeys must be an integer between 0 and 2147483647"
        ));
    };
    let limit = asked.min(state.options.max_keys).min(PAGE_LIMIT_KEYS);
    let prefix = input.prefix.clone().unwrap_or_default();
    let delimiter = input.delimiter.clone().unwrap_or_default();
    let after = input
        .continuation_token
        .as_deref()
        .map(listing::decode_token)
        .transpose()?
        .or_else(|| input.start_after.clone());
    let page = listing::page(objects, &prefix, &delimiter, after.as_deref().unwrap_or_default(), limit);

    let encode = |text: String| match input.encoding_type.as_ref().map(EncodingType::as_str) {
        Some(EncodingType::URL) => listing::encode_url(&text),
        _ => text,
    };
    let contents: Vec<ListedObject> = page
        .keys
        .into_iter()
        .filter_map(|key| objects.get(&key).map(|object| object.summary(&key)))
        .map(|object| ListedObject {
            key: Some(encode(object.key)),
            e_tag: Some(ETag::Strong(object.etag)),
            last_modified: Some(timestamp(object.last_modified)),
            size: i64::try_from(object.size).ok(),
            ..ListedObject::default()
        })
        .collect();
    let prefixes: Vec<CommonPrefix> =
        page.prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(encode(prefix)) }).collect();
    Ok(S3Response::new(ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(encode(prefix)),
        delimiter: input.delimiter.map(encode),
        max_keys: i32::try_from(limit).ok(),
        key_count: i32::try_from(contents.len() + prefixes.len()).ok(),
        is_truncated: Some(page.last.is_some()),
        next_continuation_token: page.last.as_deref().map(listing::encode_token),
        continuation_token: input.continuation_token,
        start_after: input.start_after.map(encode),
        encoding_type: input.encoding_type,
        contents: Some(contents),
        common_prefixes: Some(prefixes),
        ..ListObjectsV2Output::default()
    }))
}
