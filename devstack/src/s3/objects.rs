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
        Self { pieces, etag, last_modified: last_modified.trunc_subsecs(0), content_type: None, metadata: HashMap::new() }
    }

    pub(super) fn of_bytes(directory: &Path, bytes: &[u8], last_modified: DateTime<Utc>) -> io::Result<Self> {
        let mut writer = BlobWriter::create(directory)?;
        writer.write(bytes)?;
        let piece = writer.finish();
        let etag = piece.etag();
        Ok(Self::new(vec![piece], etag, last_modified))
    }

    pub(super) fn size(&self) -> u64 {
        self.pieces.iter().map(Piece::size).sum()
    }

    pub(super) fn summary(&self, key: &str) -> ObjectSummary {
        ObjectSummary { key: key.to_owned(), size: self.size(), etag: self.etag.clone(), last_modified: self.last_modified }
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

    /// A copy of a range as one piece. A plain object is shared as a whole; else the bytes are copied.
    pub(super) fn piece(&self, directory: &Path, range: Range<u64>) -> io::Result<Piece> {
        if let ([piece], true) = (self.pieces.as_slice(), range == (0..self.size())) {
            return Ok(piece.clone());
        }
        let mut writer = BlobWriter::create(directory)?;
        let mut buffer = vec![0; 256 * 1024];
        for mut reader in self.open(range)? {
            loop {
                let count = reader.read(&mut buffer)?;
                if count == 0 {
                    break;
                }
                writer.write(&buffer[..count])?;
            }
        }
        Ok(writer.finish())
    }
}

/// A multipart upload that is under way.
pub(super) struct Upload {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) begun: DateTime<Utc>,
    pub(super) content_type: Option<String>,
    pub(super) metadata: HashMap<String, String>,
    /// Whether it was begun with a checksum, which its completion must then repeat for each part.
    pub(super) crc32: bool,
    pub(super) parts: BTreeMap<i32, (Piece, String)>,
}

/// The objects of a bucket by key, in S3's order: UTF-8 binary.
pub(super) type Objects = BTreeMap<String, Object>;

/// Everything.
#[derive(Default)]
pub(super) struct Buckets {
    buckets: BTreeMap<String, Objects>,
    pub(super) uploads: HashMap<String, Upload>,
}

impl Buckets {
    pub(super) fn create(&mut self, name: &str) -> &mut Objects {
        self.buckets.entry(name.to_owned()).or_default()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Objects> {
        self.buckets.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Objects> {
        self.buckets.get_mut(name)
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.buckets.keys().cloned().collect()
    }

    pub(super) fn unfinished_uploads(&self) -> usize {
        self.uploads.len()
    }
}
