//! Carries out the operations on objects.

use std::sync::Arc;

use s3s::dto::{
    ChecksumMode, CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, DeleteObjectInput,
    DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, ETag, GetObjectInput,
    GetObjectOutput, GetObjectTaggingInput, GetObjectTaggingOutput, HeadObjectInput, HeadObjectOutput,
    MetadataDirective, PutObjectInput, PutObjectOutput, StreamingBlob, Tag, TaggingDirective,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::body::{self, Break};
use super::copy_source;
use super::metadata::{self, tags_of};
use crate::s3::checksums::Checksum;
use crate::s3::conditions::{Conditions, check_write};
use crate::s3::disconnect::Disconnect;
use crate::s3::error::{internal, no_bucket};
use crate::s3::exchange::{EndBody, FlipBit};
use crate::s3::object::{ContentHeaders, Object, timestamp};
use crate::s3::state::State;

/// The content type of an object whose writer did not give one (Amazon S3 API Reference, `PutObject`).
const UNKNOWN_CONTENT: &str = "binary/octet-stream";

/// The maximum number of keys in `DeleteObjects` (Amazon S3 API Reference).
const DELETE_LIMIT_KEYS: usize = 1000;

pub(super) fn head(state: &State, input: HeadObjectInput) -> S3Result<S3Response<HeadObjectOutput>> {
    let object = state.object(&input.bucket, &input.key)?;
    let conditions = Conditions {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        if_modified_since: input.if_modified_since,
        if_unmodified_since: input.if_unmodified_since,
    };
    conditions.check_read(&object)?;
    let known = object.checksum.as_ref().filter(|_| wants_checksum(input.checksum_mode.as_ref()));
    let checksum = known.map(Checksum::fields).unwrap_or_default();
    Ok(S3Response::new(HeadObjectOutput {
        content_length: i64::try_from(object.size()).ok(),
        content_type: object.headers.content_type.or_else(|| Some(UNKNOWN_CONTENT.to_owned())),
        content_encoding: object.headers.content_encoding,
        content_disposition: object.headers.content_disposition,
        content_language: object.headers.content_language,
        cache_control: object.headers.cache_control,
        expires: object.headers.expires,
        e_tag: Some(ETag::Strong(object.etag.clone())),
        last_modified: Some(timestamp(object.last_modified)),
        metadata: Some(object.metadata),
        server_side_encryption: object.encryption.0,
        ssekms_key_id: object.encryption.1,
        accept_ranges: Some("bytes".to_owned()),
        checksum_crc32: checksum.checksum_crc32,
        checksum_crc32c: checksum.checksum_crc32c,
        checksum_crc64nvme: checksum.checksum_crc64nvme,
        checksum_sha1: checksum.checksum_sha1,
        checksum_sha256: checksum.checksum_sha256,
        checksum_type: checksum.checksum_type,
        ..HeadObjectOutput::default()
    }))
}

pub(super) fn get(
    state: &State,
    request: S3Request<GetObjectInput>,
) -> S3Result<S3Response<GetObjectOutput>> {
    let cut = request.extensions.get::<EndBody>().map(|end| Break {
        after_bytes: end.after_bytes,
        disconnect: request.extensions.get::<Disconnect>().filter(|_| !end.is_silent).cloned(),
    });
    let flip = request.extensions.get::<FlipBit>().copied();
    let input = request.input;
    let object = state.object(&input.bucket, &input.key)?;
    let conditions = Conditions {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        if_modified_since: input.if_modified_since,
        if_unmodified_since: input.if_unmodified_since,
    };
    conditions.check_read(&object)?;
    let size = object.size();
    let range = input.range.map(|range| range.check(size)).transpose()?;
    let served = range.clone().unwrap_or(0..size);
    let readers = object.open(served.clone()).map_err(|error| internal(&error))?;
    // The checksum of the whole object does not apply to a range.
    let known =
        object.checksum.as_ref().filter(|_| range.is_none() && wants_checksum(input.checksum_mode.as_ref()));
    let checksum = known.map(Checksum::fields).unwrap_or_default();
    Ok(S3Response::new(GetObjectOutput {
        body: Some(StreamingBlob::wrap(body::send(readers, cut, flip))),
        content_length: i64::try_from(served.end - served.start).ok(),
        content_range: range.map(|range| format!("bytes {}-{}/{size}", range.start, range.end - 1)),
        content_type: object.headers.content_type.or_else(|| Some(UNKNOWN_CONTENT.to_owned())),
        content_encoding: object.headers.content_encoding,
        content_disposition: object.headers.content_disposition,
        content_language: object.headers.content_language,
        cache_control: object.headers.cache_control,
        expires: object.headers.expires,
        e_tag: Some(ETag::Strong(object.etag)),
        last_modified: Some(timestamp(object.last_modified)),
        metadata: Some(object.metadata),
        server_side_encryption: object.encryption.0,
        ssekms_key_id: object.encryption.1,
        accept_ranges: Some("bytes".to_owned()),
        checksum_crc32: checksum.checksum_crc32,
        checksum_crc32c: checksum.checksum_crc32c,
        checksum_crc64nvme: checksum.checksum_crc64nvme,
        checksum_sha1: checksum.checksum_sha1,
        checksum_sha256: checksum.checksum_sha256,
        checksum_type: checksum.checksum_type,
        ..GetObjectOutput::default()
    }))
}

pub(super) async fn put(
    state: &State,
    request: S3Request<PutObjectInput>,
) -> S3Result<S3Response<PutObjectOutput>> {
    let flip = request.extensions.get::<FlipBit>().copied();
    let input = request.input;
    let (piece, checksum) =
        body::receive(state, input.body, &request.headers, request.trailing_headers, flip).await?;
    let etag = piece.etag();
    let fields = checksum.fields();
    let mut object = Object::new(vec![piece], etag, state.now());
    object.headers = ContentHeaders {
        content_type: input.content_type,
        content_encoding: input.content_encoding,
        content_disposition: input.content_disposition,
        content_language: input.content_language,
        cache_control: input.cache_control,
        expires: input.expires,
    };
    object.metadata = metadata::check(input.metadata)?;
    object.tags = input.tagging.as_deref().map(tags_of).unwrap_or_default();
    object.encryption = (input.server_side_encryption, input.ssekms_key_id);
    object.checksum = Some(checksum);
    let conditions = (input.if_match.as_ref(), input.if_none_match.as_ref());
    let etag = state.insert(&mut state.buckets(), (&input.bucket, &input.key), object, "Put", conditions)?;
    Ok(S3Response::new(PutObjectOutput {
        e_tag: Some(ETag::Strong(etag)),
        checksum_crc32: fields.checksum_crc32,
        checksum_crc32c: fields.checksum_crc32c,
        checksum_crc64nvme: fields.checksum_crc64nvme,
        checksum_sha1: fields.checksum_sha1,
        checksum_sha256: fields.checksum_sha256,
        ..PutObjectOutput::default()
    }))
}

pub(super) async fn copy(
    state: &Arc<State>,
    input: CopyObjectInput,
) -> S3Result<S3Response<CopyObjectOutput>> {
    let conditions = Conditions {
        if_match: input.copy_source_if_match,
        if_none_match: input.copy_source_if_none_match,
        if_modified_since: input.copy_source_if_modified_since,
        if_unmodified_since: input.copy_source_if_unmodified_since,
    };
    let source = copy_source::find(state, &input.copy_source, &conditions)?;
    copy_source::check_size(source.size())?;
    let replace =
        input.metadata_directive.as_ref().map(MetadataDirective::as_str) == Some(MetadataDirective::REPLACE);
    let onto_itself = matches!(&input.copy_source, CopySource::Bucket { bucket, key, .. } if **bucket == *input.bucket && **key == *input.key);
    if onto_itself && !replace {
        return Err(s3_error!(
            InvalidRequest,
            "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage \
             class, website redirect location or encryption attributes."
        ));
    }
    let (headers, metadata) = if replace {
        let headers = ContentHeaders {
            content_type: input.content_type,
            content_encoding: input.content_encoding,
            content_disposition: input.content_disposition,
            content_language: input.content_language,
            cache_control: input.cache_control,
            expires: input.expires,
        };
        (headers, metadata::check(input.metadata)?)
    } else {
        (source.headers.clone(), source.metadata.clone())
    };
    let checksum = source.checksum.clone();
    // "By default, the tags of the source are copied" unless they are replaced (`TaggingDirective`).
    let is_tagged =
        input.tagging_directive.as_ref().map(TaggingDirective::as_str) == Some(TaggingDirective::REPLACE);
    let tags = if is_tagged {
        input.tagging.as_deref().map(tags_of).unwrap_or_default()
    } else {
        source.tags.clone()
    };
    let size = source.size();
    let piece = copy_source::copy(state, source, 0..size).await?;
    let etag = piece.etag();
    let mut object = Object::new(vec![piece], etag, state.now());
    object.headers = headers;
    object.metadata = metadata;
    object.tags = tags;
    object.encryption = (input.server_side_encryption, input.ssekms_key_id);
    object.checksum = checksum;
    let last_modified = timestamp(object.last_modified);
    let etag =
        state.insert(&mut state.buckets(), (&input.bucket, &input.key), object, "Copy", (None, None))?;
    let result = CopyObjectResult {
        e_tag: Some(ETag::Strong(etag)),
        last_modified: Some(last_modified),
        ..CopyObjectResult::default()
    };
    Ok(S3Response::new(CopyObjectOutput { copy_object_result: Some(result), ..CopyObjectOutput::default() }))
}

pub(super) fn delete(state: &State, input: &DeleteObjectInput) -> S3Result<S3Response<DeleteObjectOutput>> {
    let mut buckets = state.buckets();
    let objects = buckets.get_mut(&input.bucket).ok_or_else(no_bucket)?;
    if input.if_match.is_some() {
        check_write(
            objects.get(&input.key).map(|object| object.etag.as_str()),
            input.if_match.as_ref(),
            None,
        )?;
    }
    objects.remove(&input.key);
    Ok(S3Response::new(DeleteObjectOutput::default()))
}

pub(super) fn delete_all(
    state: &State,
    input: DeleteObjectsInput,
) -> S3Result<S3Response<DeleteObjectsOutput>> {
    let delete = input.delete;
    if delete.objects.is_empty() || delete.objects.len() > DELETE_LIMIT_KEYS {
        return Err(s3_error!(
            MalformedXML,
            "The XML you provided was not well-formed or did not validate against our published schema"
        ));
    }
    let mut buckets = state.buckets();
    let objects = buckets.get_mut(&input.bucket).ok_or_else(no_bucket)?;
    let mut deleted = Vec::new();
    for object in delete.objects {
        objects.remove(&object.key);
        deleted.push(DeletedObject { key: Some(object.key), ..DeletedObject::default() });
    }
    let deleted = (!delete.quiet.unwrap_or_default()).then_some(deleted);
    Ok(S3Response::new(DeleteObjectsOutput { deleted, ..DeleteObjectsOutput::default() }))
}

pub(super) fn tagging(
    state: &State,
    input: &GetObjectTaggingInput,
) -> S3Result<S3Response<GetObjectTaggingOutput>> {
    let object = state.object(&input.bucket, &input.key)?;
    let tags = object.tags.into_iter();
    let tag_set = tags.map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect();
    Ok(S3Response::new(GetObjectTaggingOutput { tag_set, version_id: None }))
}

fn wants_checksum(mode: Option<&ChecksumMode>) -> bool {
    mode.map(ChecksumMode::as_str) == Some(ChecksumMode::ENABLED)
}
