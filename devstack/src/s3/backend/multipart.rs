//! Carries out the operations on multipart uploads.

use std::collections::BTreeMap;
use std::sync::Arc;

use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CompletedPart, CopyPartResult, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, ETag, EncodingType, ListMultipartUploadsInput, ListMultipartUploadsOutput,
    ListPartsInput, ListPartsOutput, MultipartUpload, Part as ListedPart, Range, UploadPartCopyInput,
    UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};

use super::body;
use super::copy_source;
use super::metadata;
use crate::s3::blob::Piece;
use crate::s3::buckets::{Buckets, Part, Upload};
use crate::s3::checksums::{Algorithm, Checksum};
use crate::s3::conditions::Conditions;
use crate::s3::error::no_bucket;
use crate::s3::exchange::FlipBit;
use crate::s3::listing::encode_url;
use crate::s3::object::{ContentHeaders, Object, etag_of_parts, timestamp};
use crate::s3::state::State;

/// The minimum size of a part: "5 MiB to 5 GiB. There is no minimum size limit on the last part" (Amazon S3
/// User Guide, multipart upload limits).
const PART_MINIMUM_BYTES: u64 = 5 * 1024 * 1024;

/// The maximum number of parts or uploads on a page of their listings (Amazon S3 User Guide, multipart upload
/// limits).
const PAGE_LIMIT: i32 = 1000;

/// Returns an upload, if it exists and is for this key.
fn upload<'a>(buckets: &'a mut Buckets, id: &str, bucket: &str, key: &str) -> S3Result<&'a mut Upload> {
    if !buckets.has(bucket) {
        return Err(no_bucket());
    }
    buckets
        .uploads
        .get_mut(id)
        .filter(|upload| upload.bucket == bucket && upload.key == key)
        .ok_or_else(no_upload)
}

fn no_upload() -> S3Error {
    s3_error!(
        NoSuchUpload,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
    )
}

fn check_number(number: i32) -> S3Result<()> {
    if (1..=10_000).contains(&number) {
        return Ok(());
    }
    Err(s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"))
}

pub(super) fn create(
    state: &State,
    input: CreateMultipartUploadInput,
) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
    let mut buckets = state.buckets();
    buckets.get(&input.bucket).ok_or_else(no_bucket)?;
    let begun = state.now();
    let id = buckets.next_upload_id(begun);
    let upload = Upload {
        bucket: input.bucket.clone(),
        key: input.key.clone(),
        begun,
        headers: ContentHeaders {
            content_type: input.content_type,
            content_encoding: input.content_encoding,
            content_disposition: input.content_disposition,
            content_language: input.content_language,
            cache_control: input.cache_control,
            expires: input.expires,
        },
        metadata: metadata::check(input.metadata)?,
        tags: input.tagging.as_deref().map(metadata::tags_of).unwrap_or_default(),
        encryption: (input.server_side_encryption, input.ssekms_key_id),
        algorithm: Algorithm::composite(input.checksum_algorithm.as_ref(), input.checksum_type.as_ref()),
        parts: BTreeMap::new(),
    };
    buckets.uploads.insert(id.clone(), upload);
    Ok(S3Response::new(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(id),
        checksum_algorithm: input.checksum_algorithm,
        checksum_type: input.checksum_type,
        ..CreateMultipartUploadOutput::default()
    }))
}

pub(super) async fn upload_part(
    state: &State,
    request: S3Request<UploadPartInput>,
) -> S3Result<S3Response<UploadPartOutput>> {
    let flip = request.extensions.get::<FlipBit>().copied();
    let input = request.input;
    check_number(input.part_number)?;
    let algorithm = upload(&mut state.buckets(), &input.upload_id, &input.bucket, &input.key)?.algorithm;
    let (piece, checksum) =
        body::receive(state, input.body, &request.headers, request.trailing_headers, flip).await?;
    let etag = piece.etag();
    if algorithm.is_some_and(|algorithm| algorithm != checksum.algorithm) {
        return Err(s3_error!(
            InvalidRequest,
            "Checksum Type mismatch occurred: the upload was created with another checksum than this part's."
        ));
    }
    let fields = checksum.fields();
    let part = Part { piece, last_modified: state.now(), checksum };
    // The upload may have been aborted in the meantime.
    upload(&mut state.buckets(), &input.upload_id, &input.bucket, &input.key)?
        .parts
        .insert(input.part_number, part);
    Ok(S3Response::new(UploadPartOutput {
        e_tag: Some(ETag::Strong(etag)),
        checksum_crc32: fields.checksum_crc32,
        checksum_crc32c: fields.checksum_crc32c,
        checksum_crc64nvme: fields.checksum_crc64nvme,
        checksum_sha1: fields.checksum_sha1,
        checksum_sha256: fields.checksum_sha256,
        ..UploadPartOutput::default()
    }))
}

pub(super) async fn upload_part_copy(
    state: &Arc<State>,
    input: UploadPartCopyInput,
) -> S3Result<S3Response<UploadPartCopyOutput>> {
    check_number(input.part_number)?;
    let algorithm = upload(&mut state.buckets(), &input.upload_id, &input.bucket, &input.key)?.algorithm;
    let conditions = Conditions {
        if_match: input.copy_source_if_match,
        if_none_match: input.copy_source_if_none_match,
        if_modified_since: input.copy_source_if_modified_since,
        if_unmodified_since: input.copy_source_if_unmodified_since,
    };
    let source = copy_source::find(state, &input.copy_source, &conditions)?;
    let size = source.size();
    let range = match input.copy_source_range.as_deref().map(Range::parse) {
        None => 0..size,
        Some(Ok(Range::Int { first, last: Some(last) })) if first <= last => {
            if last >= size {
                return Err(s3_error!(
                    InvalidRequest,
                    "The specified copy range is invalid for the source object size."
                ));
            }
            first..last + 1
        }
        Some(_) => {
            return Err(s3_error!(
                InvalidArgument,
                "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the \
                 first and last bytes to copy"
            ));
        }
    };
    copy_source::check_size(range.end - range.start)?;
    let piece = copy_source::copy(state, source, range).await?;
    let etag = piece.etag();
    let checksum = copy_source::checksum(algorithm.unwrap_or(Algorithm::DEFAULT), &piece).await?;
    let fields = checksum.fields();
    let part = Part { piece, last_modified: state.now(), checksum };
    let last_modified = timestamp(part.last_modified);
    upload(&mut state.buckets(), &input.upload_id, &input.bucket, &input.key)?
        .parts
        .insert(input.part_number, part);
    let result = CopyPartResult {
        e_tag: Some(ETag::Strong(etag)),
        last_modified: Some(last_modified),
        checksum_crc32: fields.checksum_crc32,
        checksum_crc32c: fields.checksum_crc32c,
        checksum_crc64nvme: fields.checksum_crc64nvme,
        checksum_sha1: fields.checksum_sha1,
        checksum_sha256: fields.checksum_sha256,
    };
    Ok(S3Response::new(UploadPartCopyOutput {
        copy_part_result: Some(result),
        ..UploadPartCopyOutput::default()
    }))
}

pub(super) fn complete(
    state: &State,
    input: CompleteMultipartUploadInput,
) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
    let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
    // The lock is held from the first look to the end, so that of simultaneous completions and aborts only
    // the first succeeds.
    let mut buckets = state.buckets();
    let upload = upload(&mut buckets, &input.upload_id, &input.bucket, &input.key)?;
    let object = assemble(upload, &parts)?;
    let conditions = (input.if_match.as_ref(), input.if_none_match.as_ref());
    let place = (&*input.bucket, &*input.key);
    let etag = state.insert(&mut buckets, place, object, "CompleteMultipartUpload", conditions)?;
    buckets.uploads.remove(&input.upload_id);
    Ok(S3Response::new(CompleteMultipartUploadOutput {
        location: Some(format!("/{}/{}", input.bucket, encode_url(&input.key))),
        bucket: Some(input.bucket),
        key: Some(input.key),
        e_tag: Some(ETag::Strong(etag)),
        ..CompleteMultipartUploadOutput::default()
    }))
}

/// Returns the object made from the named parts. Its `ETag` is the MD5 of the parts' MD5s with their number,
/// and its time is the time at which the upload began.
fn assemble(upload: &Upload, parts: &[CompletedPart]) -> S3Result<Object> {
    if parts.is_empty() {
        return Err(s3_error!(
            MalformedXML,
            "The XML you provided was not well-formed or did not validate against our published schema"
        ));
    }
    if !parts.is_sorted_by(|one, next| one.part_number < next.part_number) {
        return Err(s3_error!(
            InvalidPartOrder,
            "The list of parts was not in ascending order. Parts must be ordered by part number."
        ));
    }
    let mut pieces: Vec<Piece> = Vec::new();
    let mut checksums = Vec::new();
    for (n, named) in parts.iter().enumerate() {
        let number = named.part_number.unwrap_or_default();
        let part = upload.parts.get(&number).filter(|part| matches_part(part, named)).ok_or_else(|| {
            s3_error!(
                InvalidPart,
                "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not \
                 match the part's entity tag."
            )
        })?;
        // S3's message (apache/opendal#4580).
        if let Some(algorithm) = upload.algorithm.filter(|_| !names_checksum(named)) {
            return Err(s3_error!(
                InvalidRequest,
                "The upload was created using a {algorithm} checksum. The complete request must include the checksum for each part. It was \
                 missing for part {number} in the request."
            ));
        }
        if n + 1 < parts.len() && part.piece.size() < PART_MINIMUM_BYTES {
            return Err(s3_error!(
                EntityTooSmall,
                "Your proposed upload is smaller than the minimum allowed size"
            ));
        }
        pieces.push(part.piece.clone());
        checksums.push(&part.checksum);
    }
    let etag = etag_of_parts(&pieces);
    let mut object = Object::new(pieces, etag, upload.begun);
    object.headers.clone_from(&upload.headers);
    object.metadata.clone_from(&upload.metadata);
    object.tags.clone_from(&upload.tags);
    object.encryption.clone_from(&upload.encryption);
    object.checksum = upload.algorithm.and_then(|algorithm| Checksum::composite(algorithm, checksums));
    Ok(object)
}

/// Checks whether a part has the `ETag` that a completion names, and the checksum if one is named.
fn matches_part(part: &Part, named: &CompletedPart) -> bool {
    let etag = named.e_tag.as_ref().map(ETag::value) == Some(part.piece.etag().as_str());
    let had = part.checksum.fields();
    let sums = [
        (&named.checksum_crc32, had.checksum_crc32),
        (&named.checksum_crc32c, had.checksum_crc32c),
        (&named.checksum_crc64nvme, had.checksum_crc64nvme),
        (&named.checksum_sha1, had.checksum_sha1),
        (&named.checksum_sha256, had.checksum_sha256),
    ];
    etag && sums.iter().all(|(named, had)| named.is_none() || *named == had)
}

fn names_checksum(part: &CompletedPart) -> bool {
    part.checksum_crc32.is_some()
        || part.checksum_crc32c.is_some()
        || part.checksum_sha1.is_some()
        || part.checksum_sha256.is_some()
}

pub(super) fn abort(
    state: &State,
    input: &AbortMultipartUploadInput,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    let mut buckets = state.buckets();
    upload(&mut buckets, &input.upload_id, &input.bucket, &input.key)?;
    buckets.uploads.remove(&input.upload_id);
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}

pub(super) fn list_parts(state: &State, input: ListPartsInput) -> S3Result<S3Response<ListPartsOutput>> {
    let mut buckets = state.buckets();
    let upload = upload(&mut buckets, &input.upload_id, &input.bucket, &input.key)?;
    let limit = input.max_parts.unwrap_or(PAGE_LIMIT).clamp(0, PAGE_LIMIT);
    let after = input.part_number_marker.unwrap_or_default().max(0);
    let mut rest = upload.parts.range(after.saturating_add(1)..);
    let parts: Vec<ListedPart> = rest
        .by_ref()
        .take(usize::try_from(limit).unwrap_or_default())
        .map(|(number, part)| {
            let fields = part.checksum.fields();
            ListedPart {
                part_number: Some(*number),
                e_tag: Some(ETag::Strong(part.piece.etag())),
                size: i64::try_from(part.piece.size()).ok(),
                last_modified: Some(timestamp(part.last_modified)),
                checksum_crc32: fields.checksum_crc32,
                checksum_crc32c: fields.checksum_crc32c,
                checksum_crc64nvme: fields.checksum_crc64nvme,
                checksum_sha1: fields.checksum_sha1,
                checksum_sha256: fields.checksum_sha256,
            }
        })
        .collect();
    let truncated = limit > 0 && rest.next().is_some();
    Ok(S3Response::new(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        part_number_marker: Some(after),
        next_part_number_marker: parts.last().and_then(|part| part.part_number).filter(|_| truncated),
        max_parts: Some(limit),
        is_truncated: Some(truncated),
        parts: Some(parts),
        ..ListPartsOutput::default()
    }))
}

pub(super) fn list(
    state: &State,
    input: ListMultipartUploadsInput,
) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
    if input.delimiter.is_some() {
        return Err(s3_error!(NotImplemented, "uploads are not grouped by a delimiter here"));
    }
    let buckets = state.buckets();
    buckets.get(&input.bucket).ok_or_else(no_bucket)?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let mut all: Vec<(&String, &Upload)> = buckets
        .uploads
        .iter()
        .filter(|(_, upload)| upload.bucket == input.bucket && upload.key.starts_with(&prefix))
        .collect();
    // Sorted by key, and uploads of the same key by the time at which they began.
    all.sort_by_key(|(id, upload)| (&upload.key, upload.begun, *id));
    let marker = input.key_marker.as_deref().unwrap_or_default();
    let first = match &input.upload_id_marker {
        Some(id) => {
            all.iter().position(|(other, upload)| upload.key == marker && *other == id).map(|at| at + 1)
        }
        None => None,
    };
    let first = first.unwrap_or_else(|| {
        all.partition_point(|(_, upload)| upload.key.as_str() <= marker && !marker.is_empty())
    });
    let limit = input.max_uploads.unwrap_or(PAGE_LIMIT).clamp(0, PAGE_LIMIT);
    let rest = &all[first..];
    let page = &rest[..rest.len().min(usize::try_from(limit).unwrap_or_default())];
    let truncated = limit > 0 && page.len() < rest.len();
    let last = page.last().filter(|_| truncated);
    let encode = |text: &str| match input.encoding_type.as_ref().map(EncodingType::as_str) {
        Some(EncodingType::URL) => encode_url(text),
        _ => text.to_owned(),
    };
    Ok(S3Response::new(ListMultipartUploadsOutput {
        next_key_marker: last.map(|(_, upload)| encode(&upload.key)),
        next_upload_id_marker: last.map(|(id, _)| (*id).clone()),
        uploads: Some(
            page.iter()
                .map(|(id, upload)| MultipartUpload {
                    key: Some(encode(&upload.key)),
                    upload_id: Some((*id).clone()),
                    initiated: Some(timestamp(upload.begun)),
                    ..MultipartUpload::default()
                })
                .collect(),
        ),
        key_marker: input.key_marker.as_deref().map(encode),
        prefix: input.prefix.as_deref().map(encode),
        bucket: Some(input.bucket),
        upload_id_marker: input.upload_id_marker,
        encoding_type: input.encoding_type,
        max_uploads: Some(limit),
        is_truncated: Some(truncated),
        ..ListMultipartUploadsOutput::default()
    }))
}
