//! Keeps bytes in files that exist as long as something refers to them.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use md5::{Digest as _, Md5};

/// A file of bytes. It is removed with its last owner; a reader that has it open can read on.
pub(super) struct Blob {
    path: PathBuf,
}

impl Drop for Blob {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// A blob that is being written, with its size and MD5.
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

    /// Opens a reader of a range.
    pub(super) fn open(&self, range: Range<u64>) -> io::Result<io::Take<File>> {
        let mut file = File::open(&self.blob.path)?;
        file.seek(SeekFrom::Start(self.range.start + range.start))?;
        Ok(file.take(range.end - range.start))
    }

    /// Returns a range as a separate piece, which shares the file. `md5` is the MD5 of the range.
    pub(super) fn slice(&self, range: Range<u64>, md5: [u8; 16]) -> Self {
        let shared = self.range.start + range.start..self.range.start + range.end;
        Self { blob: Arc::clone(&self.blob), range: shared, md5 }
    }
}
