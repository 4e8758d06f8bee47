//! What the server holds: metadata in memory, bytes in files that live as long as something refers to them.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, SubsecRound as _, Utc};
use md5::{Digest as _, Md5};
use s3s::dto::Timestamp;

use super::checksums::{Algorithm, Checksum};

/// A time as answers give it.
pub(super) fn timestamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp::from(std::time::SystemTime::from(time))
}

/// A file of bytes, removed with its last owner; a reader that has it open goes on.
pub(super) struct Blob {
    path: PathBuf,
}

impl Drop for Blob {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// A blob being written, with its size and MD5.
pub(super) struct BlobWriter {
    file: File,
    blob: Blob,
    md5: Md5,
    size: u64,
}

impl BlobWriter {
    pub(super) fn create(directory: &Path) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let path = directory.join(NEXT.fetch_add(1, Ordering::Relaxed).to_string());
        Ok(Self { file: File::create_new(&path)?, blob: Blob { path }, md5: Md5::new(), size: 0 })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.md5.update(bytes);
        self.size += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    pub(super) fn finish(self) -> Piece {
        Piece { blob: Arc::new(self.blob), range: 0..self.size, md5: self.md5.finalize().into() }
    }
}

/// A range of a blob, with the MD5 of its bytes.
#[derive(Clone)]
pub(super) struct Piece {
    blob: Arc<Blob>,
    range: Range<u64>,
    pub(super) md5: [u8; 16],
}

impl Piece {
    pub(super) fn size(&self) -> u64 {
        self.range.end - self.range.start
    }

    pub(super) fn etag(&self) -> String {
        hex::encode(self.md5)
    }
}

/// An object, whole and unchangeable.
#[derive(Clone)]
pub(super) struct Object {
    pieces: Vec<Piece>,
    pub(super) etag: String,
    pub(super) last_modified: DateTime<Utc>,
    pub(super) content_type: Option<String>,
    pub(super) metadata: HashMap<String, String>,
    /// Of the whole object; an object uploaded in parts has none here.
    pub(super) checksum: Option<Checksum>,
}

/// An object as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectSummary {
    /// The key.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// The `ETag` without quotes.
    pub etag: String,
    /// Whole seconds.
    pub last_modified: DateTime<Utc>,
}

impl Object {
    pub(super) fn new(pieces: Vec<Piece>, etag: String, last_modified: DateTime<Utc>) -> Self {
        Self {
            pieces,
            etag,
            last_modified: last_modified.trunc_subsecs(0),
            content_type: None,
            metadata: HashMap::new(),
            checksum: None,
        }
    }

    pub(super) fn of_bytes(directory: &Path, bytes: &[u8], last_modified: DateTime<Utc>) -> io::Result<Self> {
        let mut writer = BlobWriter::create(directory)?;
        writer.write(bytes)?;
        let piece = writer.finish();
        let etag = piece.etag();
        Ok(Self::new(vec![piece], etag, last_modified))
    }

    pub(super) fn of_parts(directory: &Path, parts: &[&[u8]], begun: DateTime<Utc>) -> io::Result<Self> {
        let mut pieces = Vec::new();
        for part in parts {
            let mut writer = BlobWriter::create(directory)?;
            writer.write(part)?;
            pieces.push(writer.finish());
        }
        let etag = etag_of_parts(&pieces);
        Ok(Self::new(pieces, etag, begun))
    }

    pub(super) fn size(&self) -> u64 {
        self.pieces.iter().map(Piece::size).sum()
    }

    pub(super) fn summary(&self, key: &str) -> ObjectSummary {
        ObjectSummary {
            key: key.to_owned(),
            size: self.size(),
            etag: self.etag.clone(),
            last_modified: self.last_modified,
        }
    }

    /// Open readers for a range of the object, in order.
    pub(super) fn open(&self, range: Range<u64>) -> io::Result<Vec<io::Take<File>>> {
        let mut readers = Vec::new();
        let mut offset = 0;
        for piece in &self.pieces {
            let end = offset + piece.size();
            let (from, to) = (range.start.max(offset), range.end.min(end));
            if from < to {
                let mut file = File::open(&piece.blob.path)?;
                file.seek(SeekFrom::Start(piece.range.start + from - offset))?;
                readers.push(file.take(to - from));
            }
            offset = end;
        }
        Ok(readers)
    }

    pub(super) fn read_all(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for mut reader in self.open(0..self.size())? {
            reader.read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    }

    /// A copy of a range as one piece, which shares the file where the range lies within one; else the bytes
    /// are copied.
    pub(super) fn piece(&self, directory: &Path, range: Range<u64>) -> io::Result<Piece> {
        let mut offset = 0;
        for piece in &self.pieces {
            let end = offset + piece.size();
            if range == (offset..end) {
                return Ok(piece.clone());
            }
            if range.start >= offset && range.end <= end {
                let mut md5 = Md5::new();
                self.read_chunks(range.clone(), |bytes| {
                    md5.update(bytes);
                    Ok(())
                })?;
                let start = piece.range.start + range.start - offset;
                let shared = start..start + (range.end - range.start);
                return Ok(Piece {
                    blob: Arc::clone(&piece.blob),
                    range: shared,
                    md5: md5.finalize().into(),
                });
            }
            offset = end;
        }
        let mut writer = BlobWriter::create(directory)?;
        self.read_chunks(range, |bytes| writer.write(bytes))?;
        Ok(writer.finish())
    }

    /// Hands a range of the object to `each`, chunk by chunk.
    pub(super) fn read_chunks(
        &self,
        range: Range<u64>,
        mut each: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut buffer = vec![0; 256 * 1024];
        for mut reader in self.open(range)? {
            loop {
                match reader.read(&mut buffer)? {
                    0 => break,
                    count => each(&buffer[..count])?,
                }
            }
        }
        Ok(())
    }
}

/// The `ETag` of an object uploaded in parts: the MD5 of the parts' MD5s, and their number.
pub(super) fn etag_of_parts(pieces: &[Piece]) -> String {
    let mut digest = Md5::new();
    for piece in pieces {
        digest.update(piece.md5);
    }
    format!("{}-{}", hex::encode(digest.finalize()), pieces.len())
}

/// A multipart upload that is under way.
pub(super) struct Upload {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) begun: DateTime<Utc>,
    pub(super) content_type: Option<String>,
    pub(super) metadata: HashMap<String, String>,
    /// With which checksum it was begun, if its completion must then repeat that for each part.
    pub(super) algorithm: Option<Algorithm>,
    pub(super) parts: BTreeMap<i32, Part>,
}

/// A part of a multipart upload.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) piece: Piece,
    pub(super) last_modified: DateTime<Utc>,
    pub(super) checksum: Checksum,
}

/// The objects of a bucket by key, in S3's order: UTF-8 binary.
pub(super) type Objects = BTreeMap<String, Object>;

struct Bucket {
    created: DateTime<Utc>,
    objects: Objects,
}

/// Everything.
#[derive(Default)]
pub(super) struct Buckets {
    by_name: BTreeMap<String, Bucket>,
    /// By upload id.
    pub(super) uploads: HashMap<String, Upload>,
    begun_uploads: u64,
}

impl Buckets {
    pub(super) fn create(&mut self, name: &str) -> &mut Objects {
        &mut self
            .by_name
            .entry(name.to_owned())
            .or_insert_with(|| Bucket { created: Utc::now(), objects: Objects::new() })
            .objects
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Objects> {
        self.by_name.get(name).map(|bucket| &bucket.objects)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Objects> {
        self.by_name.get_mut(name).map(|bucket| &mut bucket.objects)
    }

    /// The buckets' names and when they were made.
    pub(super) fn names(&self) -> Vec<(String, DateTime<Utc>)> {
        self.by_name.iter().map(|(name, bucket)| (name.clone(), bucket.created)).collect()
    }

    /// An id that no other upload has.
    pub(super) fn next_upload_id(&mut self, begun: DateTime<Utc>) -> String {
        self.begun_uploads += 1;
        format!("upload-{}-{}", self.begun_uploads, begun.timestamp_millis())
    }

    pub(super) fn unfinished_uploads(&self) -> usize {
        self.uploads.len()
    }
}
