//! The operations on buckets and objects; those on multipart uploads are in `multipart`.

use std::io;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::Utc;
use futures_util::{Stream, StreamExt as _};
use http::HeaderMap;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, Bucket, BucketLocationConstraint, ChecksumMode,
    CommonPrefix, CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CopyObjectInput,
    CopyObjectOutput, CopyObjectResult, CopySource, CreateBucketInput, CreateBucketOutput,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteObjectInput, DeleteObjectOutput,
    DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, ETag, ETagCondition, EncodingType,
    GetBucketLocationInput, GetBucketLocationOutput, GetObjectInput, GetObjectOutput, HeadBucketInput,
    HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListBucketsInput, ListBucketsOutput,
    ListMultipartUploadsInput, ListMultipartUploadsOutput, ListObjectsV2Input, ListObjectsV2Output,
    ListPartsInput, ListPartsOutput, MetadataDirective, Object as ListedObject, PutObjectInput,
    PutObjectOutput, StreamingBlob, UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput,
    UploadPartOutput,
};
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};

use super::access::CutBodyAfter;
use super::checksums::{Algorithm, Checksum, Verifier};
use super::conditions::{Conditions, check_write};
use super::listing;
use super::multipart;
use super::objects::{BlobWriter, Buckets, Object, Piece, timestamp};
use super::{Shared, error_named};

/// "up to 5 GB" (Amazon S3 API Reference, `CopyObject`).
pub(super) const COPY_LIMIT_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// A page holds no more (Amazon S3 API Reference, `ListObjectsV2`).
const PAGE_LIMIT_KEYS: usize = 1000;

/// What an object is whose writer did not say (Amazon S3 API Reference, `PutObject`).
const UNKNOWN_CONTENT: &str = "binary/octet-stream";

/// Bytes handed out at once.
const CHUNK_BYTES: usize = 128 * 1024;

/// Long enough for a client that reads to have everything before a connection is cut.
const FLUSH: Duration = Duration::from_millis(100);

pub(super) struct Backend(pub(super) Arc<Shared>);

pub(super) fn internal(error: &io::Error) -> S3Error {
    s3_error!(InternalError, "{error}")
}

impl Backend {
    fn object(&self, bucket: &str, key: &str) -> S3Result<Object> {
        let buckets = self.0.buckets();
        let objects = buckets.get(bucket).ok_or_else(no_bucket)?;
        objects.get(key).cloned().ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."))
    }

    /// Stores an object where the conditions hold, and tells of it; of several requests racing each other one
    /// is first.
    pub(super) fn insert(
        &self,
        buckets: &mut Buckets,
        (bucket, key): (&str, &str),
        object: Object,
        how: &str,
        (if_match, if_none_match): (Option<&ETagCondition>, Option<&ETagCondition>),
    ) -> S3Result<()> {
        let objects = buckets.get_mut(bucket).ok_or_else(no_bucket)?;
        check_write(objects.get(key).map(|object| object.etag.as_str()), if_match, if_none_match)?;
        let summary = object.summary(key);
        objects.insert(key.to_owned(), object);
        // Still under the lock, so that sequencers come in the order of the writes.
        self.0.notifier.created(&self.0.options.region, bucket, &summary, how);
        Ok(())
    }

    /// Stores a body and verifies every checksum that the request announces.
    pub(super) async fn receive(
        &self,
        body: Option<StreamingBlob>,
        headers: &HeaderMap,
        trailers: Option<s3s::TrailingHeaders>,
    ) -> S3Result<(Piece, Checksum)> {
        let mut verifier = Verifier::new(headers)?;
        let mut writer = BlobWriter::create(self.0.directory.path()).map_err(|error| internal(&error))?;
        if let Some(mut body) = body {
            while let Some(chunk) = body.next().await {
                let chunk = chunk.map_err(|error| broken_body(&error.to_string()))?;
                verifier.update(&chunk);
                writer.write(&chunk).map_err(|error| internal(&error))?;
            }
        }
        let trailers = trailers.and_then(|trailers| trailers.take());
        let piece = writer.finish();
        let checksum = verifier.finish(piece.md5, trailers.as_ref())?;
        Ok((piece, checksum))
    }

    /// A copy source that fits its conditions.
    pub(super) fn source(&self, source: &CopySource, conditions: &Conditions) -> S3Result<Object> {
        let CopySource::Bucket { bucket, key, .. } = source else {
            return Err(s3_error!(NotImplemented, "only bucket/key is a copy source here"));
        };
        let object = self.object(bucket, key)?;
        conditions.check_copy(&object)?;
        Ok(object)
    }

    /// A copy of an object's range; hashing and copying it may take seconds.
    pub(super) async fn copy(&self, source: Object, range: std::ops::Range<u64>) -> S3Result<Piece> {
        let shared = Arc::clone(&self.0);
        let copied = tokio::task::spawn_blocking(move || source.piece(shared.directory.path(), range)).await;
        copied.map_err(io::Error::other).flatten().map_err(|error| internal(&error))
    }

    /// The checksum of a copied part.
    pub(super) async fn checksum(&self, algorithm: Algorithm, piece: &Piece) -> S3Result<Checksum> {
        let object = Object::new(vec![piece.clone()], String::new(), Utc::now());
        let computed = tokio::task::spawn_blocking(move || Checksum::of(algorithm, &object)).await;
        computed.map_err(io::Error::other).flatten().map_err(|error| internal(&error))
    }
}

pub(super) fn no_bucket() -> S3Error {
    s3_error!(NoSuchBucket, "The specified bucket does not exist")
}

/// What became of a body that could not be read to its end. `s3s` keeps the errors' types to itself.
fn broken_body(error: &str) -> S3Error {
    if error.contains("Sha256Mismatch") {
        return error_named(
            "XAmzContentSHA256Mismatch",
            http::StatusCode::BAD_REQUEST,
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        );
    }
    if error.contains("SignatureMismatch") {
        return s3_error!(
            SignatureDoesNotMatch,
            "The signature of a chunk does not match the signature you provided."
        );
    }
    s3_error!(
        IncompleteBody,
        "You did not provide the number of bytes specified by the Content-Length HTTP header: {error}"
    )
}

/// A body read in chunks from files; it breaks off where a fault says so.
fn body(
    readers: Vec<io::Take<std::fs::File>>,
    cut: Option<u64>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync {
    let state = (readers.into_iter(), None::<io::Take<std::fs::File>>, cut);
    futures_util::stream::unfold(state, |(mut rest, mut current, mut cut)| async move {
        loop {
            let mut reader = current.take().or_else(|| rest.next())?;
            if cut == Some(0) {
                // What was not sent yet is lost with the connection: let it go out first.
                tokio::time::sleep(FLUSH).await;
                let broken = Err(io::Error::from(io::ErrorKind::ConnectionAborted));
                return Some((broken, (Vec::new().into_iter(), None, None)));
            }
            let want =
                cut.map_or(CHUNK_BYTES, |left| usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES));
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
        let buckets = self.0.buckets().names().into_iter().map(|(name, created)| Bucket {
            name: Some(name),
            creation_date: Some(timestamp(created)),
            ..Bucket::default()
        });
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(buckets.collect()),
            ..ListBucketsOutput::default()
        }))
    }

    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let mut buckets = self.0.buckets();
        if buckets.get(&request.input.bucket).is_some() {
            return Err(s3_error!(
                BucketAlreadyOwnedByYou,
                "Your previous request to create the named bucket succeeded and you already own it."
            ));
        }
        buckets.create(&request.input.bucket);
        Ok(S3Response::new(CreateBucketOutput { location: Some(format!("/{}", request.input.bucket)) }))
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.0.buckets().get(&request.input.bucket).ok_or_else(no_bucket)?;
        Ok(S3Response::new(HeadBucketOutput {
            bucket_region: Some(self.0.options.region.clone()),
            ..HeadBucketOutput::default()
        }))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.0.buckets().get(&request.input.bucket).ok_or_else(no_bucket)?;
        // "Buckets in Region us-east-1 have a LocationConstraint of null."
        let region = Some(self.0.options.region.clone()).filter(|region| region != "us-east-1");
        Ok(S3Response::new(GetBucketLocationOutput {
            location_constraint: region.map(BucketLocationConstraint::from),
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let buckets = self.0.buckets();
        let objects = buckets.get(&input.bucket).ok_or_else(no_bucket)?;
        let Ok(asked) = usize::try_from(input.max_keys.unwrap_or(1000)) else {
            return Err(s3_error!(
                InvalidArgument,
                "Argument maxKeys must be an integer between 0 and 2147483647"
            ));
        };
        let limit = asked.min(self.0.options.page_keys).min(PAGE_LIMIT_KEYS);
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

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let object = self.object(&input.bucket, &input.key)?;
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
            content_type: object.content_type.clone().or_else(|| Some(UNKNOWN_CONTENT.to_owned())),
            e_tag: Some(ETag::Strong(object.etag.clone())),
            last_modified: Some(timestamp(object.last_modified)),
            metadata: Some(object.metadata),
            accept_ranges: Some("bytes".to_owned()),
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            ..HeadObjectOutput::default()
        }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let cut = request.extensions.get::<CutBodyAfter>().map(|cut| cut.0);
        let input = request.input;
        let object = self.object(&input.bucket, &input.key)?;
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
        // That of the whole object says nothing about a range.
        let known = object
            .checksum
            .as_ref()
            .filter(|_| range.is_none() && wants_checksum(input.checksum_mode.as_ref()));
        let checksum = known.map(Checksum::fields).unwrap_or_default();
        Ok(S3Response::new(GetObjectOutput {
            body: Some(StreamingBlob::wrap(body(readers, cut))),
            content_length: i64::try_from(served.end - served.start).ok(),
            content_range: range.map(|range| format!("bytes {}-{}/{size}", range.start, range.end - 1)),
            content_type: object.content_type.or_else(|| Some(UNKNOWN_CONTENT.to_owned())),
            e_tag: Some(ETag::Strong(object.etag)),
            last_modified: Some(timestamp(object.last_modified)),
            metadata: Some(object.metadata),
            accept_ranges: Some("bytes".to_owned()),
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            ..GetObjectOutput::default()
        }))
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        let (piece, checksum) = self.receive(input.body, &request.headers, request.trailing_headers).await?;
        let etag = piece.etag();
        let fields = checksum.fields();
        let mut object = Object::new(vec![piece], etag.clone(), self.0.now());
        object.content_type = input.content_type;
        object.metadata = input.metadata.unwrap_or_default();
        object.checksum = Some(checksum);
        let conditions = (input.if_match.as_ref(), input.if_none_match.as_ref());
        self.insert(&mut self.0.buckets(), (&input.bucket, &input.key), object, "Put", conditions)?;
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

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let input = request.input;
        let conditions = Conditions {
            if_match: input.copy_source_if_match,
            if_none_match: input.copy_source_if_none_match,
            if_modified_since: input.copy_source_if_modified_since,
            if_unmodified_since: input.copy_source_if_unmodified_since,
        };
        let source = self.source(&input.copy_source, &conditions)?;
        if source.size() > COPY_LIMIT_BYTES {
            return Err(s3_error!(
                InvalidRequest,
                "The specified copy source is larger than the maximum allowable size for a copy source: {COPY_LIMIT_BYTES}"
            ));
        }
        let replace = input.metadata_directive.as_ref().map(MetadataDirective::as_str)
            == Some(MetadataDirective::REPLACE);
        let onto_itself = matches!(&input.copy_source, CopySource::Bucket { bucket, key, .. } if **bucket == *input.bucket && **key == *input.key);
        if onto_itself && !replace {
            return Err(s3_error!(
                InvalidRequest,
                "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage \
                 class, website redirect location or encryption attributes."
            ));
        }
        let (content_type, metadata) = if replace {
            (input.content_type, input.metadata.unwrap_or_default())
        } else {
            (source.content_type.clone(), source.metadata.clone())
        };
        let checksum = source.checksum.clone();
        let size = source.size();
        let piece = self.copy(source, 0..size).await?;
        let etag = piece.etag();
        let mut object = Object::new(vec![piece], etag.clone(), self.0.now());
        object.content_type = content_type;
        object.metadata = metadata;
        object.checksum = checksum;
        let last_modified = timestamp(object.last_modified);
        self.insert(&mut self.0.buckets(), (&input.bucket, &input.key), object, "Copy", (None, None))?;
        let result = CopyObjectResult {
            e_tag: Some(ETag::Strong(etag)),
            last_modified: Some(last_modified),
            ..CopyObjectResult::default()
        };
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(result),
            ..CopyObjectOutput::default()
        }))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = request.input;
        let mut buckets = self.0.buckets();
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

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let delete = request.input.delete;
        if delete.objects.is_empty() || delete.objects.len() > PAGE_LIMIT_KEYS {
            return Err(s3_error!(
                MalformedXML,
                "The XML you provided was not well-formed or did not validate against our published schema"
            ));
        }
        let mut buckets = self.0.buckets();
        let objects = buckets.get_mut(&request.input.bucket).ok_or_else(no_bucket)?;
        let mut deleted = Vec::new();
        for object in delete.objects {
            objects.remove(&object.key);
            deleted.push(DeletedObject { key: Some(object.key), ..DeletedObject::default() });
        }
        let deleted = (!delete.quiet.unwrap_or_default()).then_some(deleted);
        Ok(S3Response::new(DeleteObjectsOutput { deleted, ..DeleteObjectsOutput::default() }))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        multipart::create(self, request.input)
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        multipart::upload_part(self, request).await
    }

    async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        multipart::upload_part_copy(self, request.input).await
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        multipart::complete(self, request.input)
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        multipart::abort(self, &request.input)
    }

    async fn list_parts(&self, request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        multipart::list_parts(self, request.input)
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        multipart::list(self, request.input)
    }
}

fn wants_checksum(mode: Option<&ChecksumMode>) -> bool {
    mode.map(ChecksumMode::as_str) == Some(ChecksumMode::ENABLED)
}
