//! Defines an object: its pieces and its metadata.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::Path;

use chrono::{DateTime, SubsecRound as _, Utc};
use md5::{Digest as _, Md5};
use s3s::dto::{ServerSideEncryption, Timestamp};

use super::blob::{BlobWriter, Piece};
use super::checksums::{Algorithm, Checksum, Hasher};

/// Converts a time to the type that answers use.
pub(super) fn timestamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp::from(std::time::SystemTime::from(time))
}

/// An object, complete and immutable.
#[derive(Clone)]
pub(super) struct Object {
    pieces: Vec<Piece>,
    /// The size that the object reports instead of its real one, if a test has set it.
    pub(super) claimed_bytes: Option<u64>,
    pub(super) etag: String,
    pub(super) last_modified: DateTime<Utc>,
    pub(super) headers: ContentHeaders,
    pub(super) metadata: HashMap<String, String>,
    /// The key and the value of each tag.
    pub(super) tags: Vec<(String, String)>,
    /// The kind of encryption, if one was named, and the KMS key.
    pub(super) encryption: (Option<ServerSideEncryption>, Option<String>),
    /// The checksum of the whole object, or a composite one if the object was uploaded in parts with an
    /// algorithm. An object that was uploaded in parts without one has no checksum.
    pub(super) checksum: Option<Checksum>,
}

/// The HTTP headers of an object, as a writer gives them and a reader gets them.
#[derive(Clone, Default)]
pub(super) struct ContentHeaders {
    /// The `Content-Type` header.
    pub(super) content_type: Option<String>,
    /// The `Content-Encoding` header.
    pub(super) content_encoding: Option<String>,
    /// The `Content-Disposition` header.
    pub(super) content_disposition: Option<String>,
    /// The `Content-Language` header.
    pub(super) content_language: Option<String>,
    /// The `Cache-Control` header.
    pub(super) cache_control: Option<String>,
    /// The `Expires` header.
    pub(super) expires: Option<Timestamp>,
}

/// The tags and the encryption of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagsAndKey {
    /// The key and the value of each tag.
    pub tags: Vec<(String, String)>,
    /// The KMS key that the object's writer named, or the bucket's.
    pub kms_key: Option<String>,
}

/// The properties of an object that a listing shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectSummary {
    /// The key.
    pub key: String,
    /// The size in bytes.
    pub size: u64,
    /// The `ETag` without quotes.
    pub etag: String,
    /// The time of the last change in whole seconds.
    pub last_modified: DateTime<Utc>,
}

impl Object {
    pub(super) fn new(pieces: Vec<Piece>, etag: String, last_modified: DateTime<Utc>) -> Self {
        Self {
            pieces,
            claimed_bytes: None,
            etag,
            last_modified: last_modified.trunc_subsecs(0),
            headers: ContentHeaders::default(),
            metadata: HashMap::new(),
            tags: Vec::new(),
            encryption: (None, None),
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

    /// Gives the object an `ETag` that is neither an MD5 of its bytes nor another object's `ETag`. `number`
    /// is unique to this object.
    pub(super) fn replace_etag(&mut self, number: u64) {
        let (md5, parts) =
            self.etag.split_once('-').map_or((&*self.etag, None), |(md5, parts)| (md5, Some(parts)));
        let opaque = hex::encode(Md5::digest(format!("{md5} encrypted {number}")));
        self.etag = parts.map_or(opaque.clone(), |parts| format!("{opaque}-{parts}"));
    }

    pub(super) fn size(&self) -> u64 {
        self.claimed_bytes.unwrap_or_else(|| self.pieces.iter().map(Piece::size).sum())
    }

    pub(super) fn summary(&self, key: &str) -> ObjectSummary {
        ObjectSummary {
            key: key.to_owned(),
            size: self.size(),
            etag: self.etag.clone(),
            last_modified: self.last_modified,
        }
    }

    /// Opens readers for a range of the object, in order.
    pub(super) fn open(&self, range: Range<u64>) -> io::Result<Vec<io::Take<File>>> {
        let mut readers = Vec::new();
        let mut offset = 0;
        for piece in &self.pieces {
            let end = offset + piece.size();
            let (from, to) = (range.start.max(offset), range.end.min(end));
            if from < to {
                readers.push(piece.open(from - offset..to - offset)?);
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

    /// Returns a range as one piece. It shares the file if the range is within one piece; otherwise the bytes
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
                return Ok(piece.slice(range.start - offset..range.end - offset, md5.finalize().into()));
            }
            offset = end;
        }
        let mut writer = BlobWriter::create(directory)?;
        self.read_chunks(range, |bytes| writer.write(bytes))?;
        Ok(writer.finish())
    }

    /// Computes the checksum of the object's bytes.
    pub(super) fn compute_checksum(&self, algorithm: Algorithm) -> io::Result<Checksum> {
        let mut hasher = Hasher::new(algorithm);
        self.read_chunks(0..self.size(), |bytes| {
            hasher.update(bytes);
            Ok(())
        })?;
        Ok(hasher.finish())
    }

    /// Computes the checksum that S3 stores, which is composite if the object was uploaded in parts.
    pub(super) fn compute_kept_checksum(&self, algorithm: Algorithm) -> io::Result<Checksum> {
        if !self.etag.contains('-') {
            return self.compute_checksum(algorithm);
        }
        let mut parts = Vec::new();
        let mut offset = 0;
        for piece in &self.pieces {
            let mut hasher = Hasher::new(algorithm);
            self.read_chunks(offset..offset + piece.size(), |bytes| {
                hasher.update(bytes);
                Ok(())
            })?;
            parts.push(hasher.finish());
            offset += piece.size();
        }
        Checksum::composite(algorithm, &parts).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Passes a range of the object to `each`, chunk by chunk.
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

/// Returns the `ETag` of an object uploaded in parts: the MD5 of the parts' MD5s, and their number.
pub(super) fn etag_of_parts(pieces: &[Piece]) -> String {
    let mut digest = Md5::new();
    for piece in pieces {
        digest.update(piece.md5);
    }
    format!("{}-{}", hex::encode(digest.finalize()), pieces.len())
}
