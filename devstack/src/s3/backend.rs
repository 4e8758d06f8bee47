//! The operations.

use std::io;
use std::io::Read as _;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::{Stream, StreamExt as _};
use http::HeaderMap;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::Checksum as _;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, Bucket, CommonPrefix, CompleteMultipartUploadInput, CompleteMultipartUploadOutput,
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopyPartResult, CopySource, CreateBucketInput, CreateBucketOutput,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput,
    DeletedObject, ETag, ETagCondition, EncodingType, GetBucketLocationInput, GetBucketLocationOutput, GetObjectInput, GetObjectOutput,
    HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListBucketsInput, ListBucketsOutput, ListObjectsV2Input,
    ListObjectsV2Output, MetadataDirective, Object as ListedObject, PutObjectInput, PutObjectOutput, Range, StreamingBlob, Timestamp,
    UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};

use super::Shared;
use super::access::CutBodyAfter;
use super::objects::{BlobWriter, Object, Objects, Piece, Upload};

/// "up to 5 GB" (Amazon S3 API Reference, `CopyObject`).
const COPY_LIMIT_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// "5 MiB to 5 GiB. There is no minimum size limit on the last part" (Amazon S3 User Guide, multipart upload limits).
const PART_MINIMUM_BYTES: u64 = 5 * 1024 * 1024;

/// Bytes handed out at once.
const CHUNK_BYTES: usize = 128 * 1024;

pub(super) struct Backend(pub(super) Arc<Shared>);

fn internal(error: &io::Error) -> S3Error {
    s3_error!(InternalError, "{error}")
}

fn timestamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp::from(std::time::SystemTime::from(time))
}

/// Conditions on an object as it is: 412 where they do not hold (Amazon S3 User Guide, conditional requests).
fn check_conditions(etag: Option<&str>, if_match: Option<&ETagCondition>, if_none_match: Option<&ETagCondition>) -> S3Result<()> {
    let fits = |condition: &ETagCondition| match (condition, etag) {
        (_, None) => false,
        (ETagCondition::Any, Some(_)) => true,
        (ETagCondition::ETag(wanted), Some(etag)) => wanted.value() == etag,
    };
    if if_match.is_some_and(|condition| !fits(condition)) || if_none_match.is_some_and(fits) {
        return Err(s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold"));
    }
    Ok(())
}

/// The checksums of `PutObject`'s or `UploadPart`'s input, which have the same fields and no common type.
macro_rules! announced {
    ($input:ident) => {
        Announced {
            md5: $input.content_md5,
            crc32: $input.checksum_crc32,
            crc32c: $input.checksum_crc32c,
            crc64nvme: $input.checksum_crc64nvme,
            sha1: $input.checksum_sha1,
            sha256: $input.checksum_sha256,
        }
    };
}

/// The checksums that a request announces: in headers, or in trailers once its body was read.
#[derive(Default)]
struct Announced {
    md5: Option<String>,
    crc32: Option<String>,
    crc32c: Option<String>,
    crc64nvme: Option<String>,
    sha1: Option<String>,
    sha256: Option<String>,
}

impl Announced {
    fn complete_from(&mut self, trailers: &HeaderMap) {
        let from = |name: &str| trailers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        self.crc32 = self.crc32.take().or_else(|| from("x-amz-checksum-crc32"));
        self.crc32c = self.crc32c.take().or_else(|| from("x-amz-checksum-crc32c"));
        self.crc64nvme = self.crc64nvme.take().or_else(|| from("x-amz-checksum-crc64nvme"));
        self.sha1 = self.sha1.take().or_else(|| from("x-amz-checksum-sha1"));
        self.sha256 = self.sha256.take().or_else(|| from("x-amz-checksum-sha256"));
    }
}

impl Backend {
    fn object(&self, bucket: &str, key: &str) -> S3Result<Object> {
        let buckets = self.0.buckets();
        let objects = buckets.get(bucket).ok_or_else(no_bucket)?;
        objects.get(key).cloned().ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."))
    }

    /// Stores an object where the conditions hold; of several requests racing each other one is first.
    fn insert(
        &self,
        bucket: &str,
        key: &str,
        object: Object,
        if_match: Option<&ETagCondition>,
        if_none_match: Option<&ETagCondition>,
    ) -> S3Result<()> {
        let mut buckets = self.0.buckets();
        let objects = buckets.get_mut(bucket).ok_or_else(no_bucket)?;
        let present = objects.get(key).map(|object| object.etag.as_str());
        if if_match.is_some() && present.is_none() {
            return Err(s3_error!(NoSuchKey, "The specified key does not exist."));
        }
        check_conditions(present, if_match, if_none_match)?;
        objects.insert(key.to_owned(), object);
        Ok(())
    }

    fn tell(&self, bucket: &str, key: &str, how: &str) {
        let summary = self.0.buckets().get(bucket).and_then(|objects| objects.get(key)).map(|object| object.summary(key));
        if let Some(summary) = summary {
            self.0.notifier.created(bucket, &summary, how);
        }
    }

    /// Stores a body and verifies every checksum that the request announces.
    async fn receive(
        &self,
        body: Option<StreamingBlob>,
        mut announced: Announced,
        trailers: Option<s3s::TrailingHeaders>,
    ) -> S3Result<(Piece, String)> {
        let mut writer = BlobWriter::create(self.0.directory.path()).map_err(|error| internal(&error))?;
        let mut hasher = ChecksumHasher {
            crc32: Some(s3s::crypto::Crc32::new()),
            crc32c: Some(s3s::crypto::Crc32c::new()),
            sha1: announced.sha1.is_some().then(s3s::crypto::Sha1::new),
            sha256: announced.sha256.is_some().then(s3s::crypto::Sha256::new),
            crc64nvme: Some(s3s::crypto::Crc64Nvme::new()),
        };
        if let Some(mut body) = body {
            while let Some(chunk) = body.next().await {
                let chunk = chunk.map_err(|error| s3_error!(IncompleteBody, "the body broke off: {error}"))?;
                hasher.update(&chunk);
                writer.write(&chunk).map_err(|error| internal(&error))?;
            }
        }
        if let Some(trailers) = trailers.and_then(|trailers| trailers.take()) {
            announced.complete_from(&trailers);
        }
        let computed = hasher.finalize();
        let crc32 = computed.checksum_crc32.clone().unwrap_or_default();
        let piece = writer.finish();
        let differ = [
            (announced.crc32, computed.checksum_crc32),
            (announced.crc32c, computed.checksum_crc32c),
            (announced.crc64nvme, computed.checksum_crc64nvme),
            (announced.sha1, computed.checksum_sha1),
            (announced.sha256, computed.checksum_sha256),
        ]
        .into_iter()
        .any(|(announced, computed)| announced.is_some() && computed.is_some() && announced != computed);
        if differ {
            return Err(s3_error!(BadDigest, "The checksum you specified did not match what we received."));
        }
        if let Some(md5) = announced.md5 {
            let digest = base64_simd::STANDARD.encode_to_string(piece.md5);
            if md5 != digest {
                return Err(s3_error!(BadDigest, "The Content-MD5 you specified did not match what we received."));
            }
        }
        Ok((piece, crc32))
    }

    /// A copy source that fits its conditions.
    fn source(&self, source: &CopySource, if_match: Option<&ETagCondition>, if_none_match: Option<&ETagCondition>) -> S3Result<Object> {
        let CopySource::Bucket { bucket, key, .. } = source else {
            return Err(s3_error!(NotImplemented, "only bucket/key is a copy source here"));
        };
        let object = self.object(bucket, key)?;
        check_conditions(Some(&object.etag), if_match, if_none_match)?;
        Ok(object)
    }

    fn put_part(&self, upload_id: &str, bucket: &str, key: &str, number: i32, part: (Piece, String)) -> S3Result<()> {
        if !(1..=10_000).contains(&number) {
            return Err(s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"));
        }
        let mut buckets = self.0.buckets();
        let upload = buckets.uploads.get_mut(upload_id).filter(|upload| upload.bucket == bucket && upload.key == key).ok_or_else(no_upload)?;
        upload.parts.insert(number, part);
        Ok(())
    }
}

fn crc32_of(piece: &Piece) -> io::Result<String> {
    let mut hasher = ChecksumHasher { crc32: Some(s3s::crypto::Crc32::new()), ..ChecksumHasher::default() };
    let object = Object::new(vec![piece.clone()], String::new(), Utc::now());
    let mut buffer = vec![0; CHUNK_BYTES];
    for mut reader in object.open(0..object.size())? {
        loop {
            let count = reader.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
        }
    }
    Ok(hasher.finalize().checksum_crc32.unwrap_or_default())
}

fn no_bucket() -> S3Error {
    s3_error!(NoSuchBucket, "The specified bucket does not exist")
}

fn no_upload() -> S3Error {
    s3_error!(NoSuchUpload, "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.")
}

/// A body read in chunks from files; it breaks off where a fault says so.
fn body(readers: Vec<io::Take<std::fs::File>>, cut: Option<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync {
    let state = (readers.into_iter(), None::<io::Take<std::fs::File>>, cut);
    futures_util::stream::unfold(state, |(mut rest, mut current, mut cut)| async move {
        loop {
            let mut reader = current.take().or_else(|| rest.next())?;
            if cut == Some(0) {
                // What went before is to arrive.
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                let broken = Err(io::Error::from(io::ErrorKind::ConnectionAborted));
                return Some((broken, (Vec::new().into_iter(), None, None)));
            }
            let want = cut.map_or(CHUNK_BYTES, |left| usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES));
            let mut buffer = vec![0; want];
            match reader.read(&mut buffer) {
                Ok(0) => {}
                Ok(count) => {
                    buffer.truncate(count);
                    cut = cut.map(|left| left - count as u64);
                    return Some((Ok(Bytes::from(buffer)), (rest, Some(reader), cut)));
                }
                Err(error) => return Some((Err(error), (Vec::new().into_iter(), None, None))),
            }
        }
    })
}

#[async_trait::async_trait]
impl s3s::S3 for Backend {
    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let buckets = self.0.buckets().names().into_iter().map(|name| Bucket {
            name: Some(name),
            creation_date: Some(timestamp(Utc::now())),
            ..Bucket::default()
        });
        Ok(S3Response::new(ListBucketsOutput { buckets: Some(buckets.collect()), ..ListBucketsOutput::default() }))
    }

    async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        self.0.buckets().create(&request.input.bucket);
        Ok(S3Response::new(CreateBucketOutput { location: Some(format!("/{}", request.input.bucket)) }))
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.0.buckets().get(&request.input.bucket).ok_or_else(no_bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn get_bucket_location(&self, request: S3Request<GetBucketLocationInput>) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.0.buckets().get(&request.input.bucket).ok_or_else(no_bucket)?;
        Ok(S3Response::new(GetBucketLocationOutput::default()))
    }

    async fn list_objects_v2(&self, request: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let buckets = self.0.buckets();
        let objects = buckets.get(&input.bucket).ok_or_else(no_bucket)?;
        let limit = usize::try_from(input.max_keys.unwrap_or(1000)).unwrap_or_default().min(self.0.options.page_keys);
        let prefix = input.prefix.clone().unwrap_or_default();
        let delimiter = input.delimiter.clone().unwrap_or_default();
        let after = input.continuation_token.as_deref().map(decode_token).transpose()?.or_else(|| input.start_after.clone());
        let page = page(objects, &prefix, &delimiter, after.as_deref().unwrap_or_default(), limit);

        let encode = |text: String| match input.encoding_type.as_ref().map(EncodingType::as_str) {
            Some(EncodingType::URL) => percent_encoding::utf8_percent_encode(&text, &KEY_IN_URL).to_string(),
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
        let prefixes: Vec<CommonPrefix> = page.prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(encode(prefix)) }).collect();
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(encode(prefix)),
            delimiter: input.delimiter,
            max_keys: i32::try_from(limit).ok(),
            key_count: i32::try_from(contents.len() + prefixes.len()).ok(),
            is_truncated: Some(page.last.is_some()),
            next_continuation_token: page.last.map(|last| base64_simd::URL_SAFE_NO_PAD.encode_to_string(last)),
            continuation_token: input.continuation_token,
            encoding_type: input.encoding_type,
            start_after: input.start_after,
            contents: Some(contents),
            common_prefixes: Some(prefixes),
            ..ListObjectsV2Output::default()
        }))
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let object = self.object(&input.bucket, &input.key)?;
        check_conditions(Some(&object.etag), input.if_match.as_ref(), None)?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: i64::try_from(object.size()).ok(),
            content_type: object.content_type.clone(),
            e_tag: Some(ETag::Strong(object.etag.clone())),
            last_modified: Some(timestamp(object.last_modified)),
            metadata: Some(object.metadata),
            accept_ranges: Some("bytes".to_owned()),
            ..HeadObjectOutput::default()
        }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let cut = request.extensions.get::<CutBodyAfter>().map(|cut| cut.0);
        let input = request.input;
        let object = self.object(&input.bucket, &input.key)?;
        check_conditions(Some(&object.etag), input.if_match.as_ref(), None)?;
        if input.if_none_match.as_ref().is_some_and(|condition| check_conditions(Some(&object.etag), Some(condition), None).is_ok()) {
            let mut error = s3_error!(NotModified);
            error.set_status_code(http::StatusCode::NOT_MODIFIED);
            return Err(error);
        }
        let size = object.size();
        let range = input.range.map(|range| range.check(size)).transpose()?;
        let served = range.clone().unwrap_or(0..size);
        let readers = object.open(served.clone()).map_err(|error| internal(&error))?;
        Ok(S3Response::new(GetObjectOutput {
            body: Some(StreamingBlob::wrap(body(readers, cut))),
            content_length: i64::try_from(served.end - served.start).ok(),
            content_range: range.map(|range| format!("bytes {}-{}/{size}", range.start, range.end - 1)),
            content_type: object.content_type,
            e_tag: Some(ETag::Strong(object.etag)),
            last_modified: Some(timestamp(object.last_modified)),
            metadata: Some(object.metadata),
            accept_ranges: Some("bytes".to_owned()),
            ..GetObjectOutput::default()
        }))
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let trailers = request.trailing_headers;
        let input = request.input;
        let announced = announced!(input);
        let (piece, crc32) = self.receive(input.body, announced, trailers).await?;
        let etag = piece.etag();
        let mut object = Object::new(vec![piece], etag.clone(), Utc::now());
        object.content_type = input.content_type;
        object.metadata = input.metadata.unwrap_or_default();
        self.insert(&input.bucket, &input.key, object, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        self.tell(&input.bucket, &input.key, "Put");
        Ok(S3Response::new(PutObjectOutput { e_tag: Some(ETag::Strong(etag)), checksum_crc32: Some(crc32), ..PutObjectOutput::default() }))
    }

    async fn copy_object(&self, request: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let input = request.input;
        let source = self.source(&input.copy_source, input.copy_source_if_match.as_ref(), input.copy_source_if_none_match.as_ref())?;
        if source.size() > COPY_LIMIT_BYTES {
            return Err(s3_error!(
                InvalidRequest,
                "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120"
            ));
        }
        let piece = source.piece(self.0.directory.path(), 0..source.size()).map_err(|error| internal(&error))?;
        let etag = piece.etag();
        let mut object = Object::new(vec![piece], etag.clone(), Utc::now());
        if input.metadata_directive.as_ref().map(MetadataDirective::as_str) == Some(MetadataDirective::REPLACE) {
            object.content_type = input.content_type;
            object.metadata = input.metadata.unwrap_or_default();
        } else {
            object.content_type = source.content_type;
            object.metadata = source.metadata;
        }
        let last_modified = timestamp(object.last_modified);
        self.insert(&input.bucket, &input.key, object, None, None)?;
        self.tell(&input.bucket, &input.key, "Copy");
        let result = CopyObjectResult { e_tag: Some(ETag::Strong(etag)), last_modified: Some(last_modified), ..CopyObjectResult::default() };
        Ok(S3Response::new(CopyObjectOutput { copy_object_result: Some(result), ..CopyObjectOutput::default() }))
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        let mut buckets = self.0.buckets();
        buckets.get_mut(&request.input.bucket).ok_or_else(no_bucket)?.remove(&request.input.key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(&self, request: S3Request<DeleteObjectsInput>) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let mut buckets = self.0.buckets();
        let objects = buckets.get_mut(&request.input.bucket).ok_or_else(no_bucket)?;
        let mut deleted = Vec::new();
        for object in request.input.delete.objects {
            objects.remove(&object.key);
            deleted.push(DeletedObject { key: Some(object.key), ..DeletedObject::default() });
        }
        Ok(S3Response::new(DeleteObjectsOutput { deleted: Some(deleted), ..DeleteObjectsOutput::default() }))
    }

    async fn create_multipart_upload(&self, request: S3Request<CreateMultipartUploadInput>) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let input = request.input;
        let mut buckets = self.0.buckets();
        buckets.get(&input.bucket).ok_or_else(no_bucket)?;
        let id = format!("upload-{}-{}", buckets.uploads.len(), Utc::now().timestamp_nanos_opt().unwrap_or_default());
        let upload = Upload {
            bucket: input.bucket.clone(),
            key: input.key.clone(),
            begun: Utc::now(),
            content_type: input.content_type,
            metadata: input.metadata.unwrap_or_default(),
            crc32: input.checksum_algorithm.as_ref().is_some_and(|algorithm| algorithm.as_str() == "CRC32"),
            parts: std::collections::BTreeMap::new(),
        };
        buckets.uploads.insert(id.clone(), upload);
        let output = CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            ..CreateMultipartUploadOutput::default()
        };
        Ok(S3Response::new(output))
    }

    async fn upload_part(&self, request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let trailers = request.trailing_headers;
        let input = request.input;
        let announced = announced!(input);
        let part = self.receive(input.body, announced, trailers).await?;
        let (etag, crc32) = (part.0.etag(), part.1.clone());
        self.put_part(&input.upload_id, &input.bucket, &input.key, input.part_number, part)?;
        Ok(S3Response::new(UploadPartOutput { e_tag: Some(ETag::Strong(etag)), checksum_crc32: Some(crc32), ..UploadPartOutput::default() }))
    }

    async fn upload_part_copy(&self, request: S3Request<UploadPartCopyInput>) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let input = request.input;
        let source = self.source(&input.copy_source, input.copy_source_if_match.as_ref(), input.copy_source_if_none_match.as_ref())?;
        let range = match input.copy_source_range {
            None => 0..source.size(),
            Some(range) => match Range::parse(&range) {
                Ok(Range::Int { first, last: Some(last) }) if first <= last && last < source.size() => first..last + 1,
                _ => return Err(s3_error!(InvalidArgument, "The x-amz-copy-source-range value is not valid for this source")),
            },
        };
        let piece = source.piece(self.0.directory.path(), range).map_err(|error| internal(&error))?;
        let etag = piece.etag();
        let crc32 = crc32_of(&piece).map_err(|error| internal(&error))?;
        self.put_part(&input.upload_id, &input.bucket, &input.key, input.part_number, (piece, crc32.clone()))?;
        let result = CopyPartResult {
            e_tag: Some(ETag::Strong(etag)),
            last_modified: Some(timestamp(Utc::now())),
            checksum_crc32: Some(crc32),
            ..CopyPartResult::default()
        };
        Ok(S3Response::new(UploadPartCopyOutput { copy_part_result: Some(result), ..UploadPartCopyOutput::default() }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        use md5::{Digest as _, Md5};
        let input = request.input;
        let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let object = {
            let buckets = self.0.buckets();
            let upload = buckets
                .uploads
                .get(&input.upload_id)
                .filter(|upload| upload.bucket == input.bucket && upload.key == input.key)
                .ok_or_else(no_upload)?;
            let mut pieces: Vec<Piece> = Vec::new();
            let mut digest = Md5::new();
            let numbers: Vec<i32> = parts.iter().map(|part| part.part_number.unwrap_or_default()).collect();
            if !numbers.is_sorted_by(|a, b| a < b) {
                return Err(s3_error!(InvalidPartOrder, "The list of parts was not in ascending order."));
            }
            for (n, part) in parts.iter().enumerate() {
                let number = part.part_number.unwrap_or_default();
                let named = part.e_tag.as_ref().map(ETag::value);
                let (piece, crc32) =
                    upload.parts.get(&number).filter(|(piece, _)| named == Some(piece.etag().as_str())).ok_or_else(|| {
                        s3_error!(InvalidPart, "One or more of the specified parts could not be found, or its ETag does not match.")
                    })?;
                // As real S3 words it (apache/opendal#4580).
                if upload.crc32 && part.checksum_crc32.as_ref() != Some(crc32) {
                    return Err(s3_error!(
                        InvalidRequest,
                        "The upload was created using a crc32 checksum. The complete request must include the checksum for each part. It was missing for part {number} in the request."
                    ));
                }
                if n + 1 < parts.len() && piece.size() < PART_MINIMUM_BYTES {
                    return Err(s3_error!(EntityTooSmall, "Your proposed upload is smaller than the minimum allowed object size."));
                }
                digest.update(piece.md5);
                pieces.push(piece.clone());
            }
            if pieces.is_empty() {
                return Err(s3_error!(MalformedXML, "You must specify at least one part"));
            }
            let etag = format!("{}-{}", hex::encode(digest.finalize()), pieces.len());
            let mut object = Object::new(pieces, etag, upload.begun);
            object.content_type.clone_from(&upload.content_type);
            object.metadata.clone_from(&upload.metadata);
            object
        };
        let etag = object.etag.clone();
        self.insert(&input.bucket, &input.key, object, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        self.0.buckets().uploads.remove(&input.upload_id);
        self.tell(&input.bucket, &input.key, "CompleteMultipartUpload");
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(ETag::Strong(etag)),
            ..CompleteMultipartUploadOutput::default()
        }))
    }

    async fn abort_multipart_upload(&self, request: S3Request<AbortMultipartUploadInput>) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.0.buckets().uploads.remove(&request.input.upload_id).ok_or_else(no_upload)?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}

/// What a URL-encoded listing leaves unencoded.
const KEY_IN_URL: percent_encoding::AsciiSet = percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

fn decode_token(token: &str) -> S3Result<String> {
    let bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(token);
    bytes
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))
}

/// One page of a listing.
#[derive(Default)]
struct Page {
    keys: Vec<String>,
    prefixes: Vec<String>,
    /// Where the next page goes on, if there is one.
    last: Option<String>,
}

fn page(objects: &Objects, prefix: &str, delimiter: &str, after: &str, limit: usize) -> Page {
    let mut page = Page::default();
    for (key, _) in objects.range(prefix.to_owned()..) {
        if !key.starts_with(prefix) {
            break;
        }
        let group = match delimiter {
            "" => None,
            delimiter => key[prefix.len()..].find(delimiter).map(|at| &key[..prefix.len() + at + delimiter.len()]),
        };
        let name = group.unwrap_or(key);
        if name <= after || page.prefixes.last().is_some_and(|last| Some(last.as_str()) == group) {
            continue;
        }
        if page.keys.len() + page.prefixes.len() == limit {
            let last = page.keys.last().max(page.prefixes.last());
            page.last = Some(last.cloned().unwrap_or_default());
            break;
        }
        match group {
            Some(group) => page.prefixes.push(group.to_owned()),
            None => page.keys.push(key.clone()),
        }
    }
    page
}
