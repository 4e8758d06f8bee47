//! Turns an archive's revision in S3 into its staged files: it downloads, unpacks, transforms and writes at
//! the same time, in bounded memory.

// The repetition of a reading, until it is known what S3 stores.
mod proof;
// One reading: download, unpacking and transforming.
mod read;

// The sink that uploads the staged files.
mod upload;
// The reading of pieces after they were staged.
mod read_back;

// The trait of sinks, and the sink that discards.
mod sink;

// The compression of a piece's text, and its reversal.
mod compress;

// A bounded number of buffers.
mod buffer_pool;
// The manifest and the keys for COPY.
mod manifest;
// The counting of waits for S3.
mod waiting;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};

use cmslite_core::config::Table;
use cmslite_core::error::{Error, Retryable};
use cmslite_core::limits::TableLimits;
use cmslite_core::queue::Object;
use cmslite_core::transform::{DroppedColumns, LineMap};
use tracing::info;

use self::upload::{StagedFile, Uploader, Written};
use crate::run_request::RunRequest;
use crate::s3::{Downloaded, S3};

pub use self::compress::staged_text;
pub use self::manifest::{Manifest, Pieces, StagedKeys};
pub use self::proof::{confirm, read_proven};
pub use self::read_back::read_piece;
pub use self::sink::{AsyncSink, NullSink};

/// One table's staged file, ready for COPY.
#[derive(Debug)]
pub struct StagedTable<'a> {
    /// The table.
    pub table: &'a Table,
    /// The name of the source member.
    pub member: String,
    /// The bucket of the pieces and the manifest.
    pub bucket: &'a str,
    /// The keys of the pieces and the manifest.
    pub keys: StagedKeys,
    /// The pieces.
    pub pieces: Pieces,
    /// The manifest's URL, `s3://bucket/key`.
    pub manifest: String,
    /// The number of rows.
    pub rows: u64,
    /// The number of rows left out because all of their cells are empty.
    pub empty_rows: u64,
    /// The columns of the member that are not loaded.
    pub dropped_columns: DroppedColumns,
    /// The mapping from the staged file's lines to the member's.
    pub lines: LineMap,
}

impl StagedTable<'_> {
    /// Returns the prefix of the URLs of the pieces, which no other URL has.
    pub fn files(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.keys.all_pieces())
    }

    /// Returns the member's line for a line of a piece, if it is known.
    pub fn source_line(&self, piece: usize, line: u64) -> Option<u64> {
        self.lines.source_line(self.pieces.line(piece, line)?)
    }
}

/// Deletes staged files that will not be loaded, as many as can be deleted quickly.
pub async fn discard(s3: &S3, staged: &[StagedTable<'_>]) {
    let Some(StagedTable { bucket, .. }) = staged.first() else { return };
    let keys = staged.iter().flat_map(|StagedTable { keys, pieces, .. }| {
        (0..pieces.count()).map(|at| keys.piece(at)).chain([keys.manifest()])
    });
    upload::remove(s3, bucket, keys).await;
}

/// Stages a revision of an archive, and names the staged files in manifests. Also returns how far the source
/// bytes are known to be S3's.
///
/// # Errors
///
/// Those of [`read_proven`]; S3's for the manifests.
pub async fn stage<'r>(
    s3: &S3,
    request: &'r RunRequest,
    archive: &Object,
    limits: TableLimits,
) -> Result<(Vec<StagedTable<'r>>, Downloaded), Error> {
    let dataset = &request.dataset;
    let bucket = &dataset.bucket;
    let sink = || Uploader::new(s3.clone(), request, archive, reading_id());
    let (members, Written { mut files, bytes }, downloaded) =
        read_proven(s3, request, archive, &limits, sink).await?;
    let mut staged = Vec::new();
    for table in &dataset.tables {
        let member = members.iter().find(|staged| staged.member == table.member);
        let file = files.iter().position(|file| file.member == table.member);
        let (Some(member), Some(file)) = (member, file) else {
            let message = format!("no staged file was made from {}", table.member);
            return Err(Error::retryable(Retryable::Unknown, message));
        };
        let StagedFile { keys, pieces, .. } = files.swap_remove(file);
        staged.push(StagedTable {
            table,
            member: member.name.clone(),
            bucket,
            manifest: format!("s3://{bucket}/{}", keys.manifest()),
            keys,
            pieces,
            rows: member.rows,
            empty_rows: member.empty_rows,
            dropped_columns: member.dropped_columns.clone(),
            lines: member.lines.clone(),
        });
    }
    for StagedTable { keys, pieces, .. } in &staged {
        let manifest = Manifest::of(bucket, keys, pieces.count()).to_json();
        if let Err(error) = s3.put(bucket, &keys.manifest(), manifest, "application/json").await {
            discard(s3, &staged).await;
            return Err(error);
        }
    }
    info!(rows = staged.iter().map(|table| table.rows).sum::<u64>(), bytes, "staged");
    Ok((staged, downloaded))
}

/// Returns an id for one reading of an archive. Each reading has its own files: they are written before it is
/// known whether the downloaded bytes are right, and another run may be loading from those of its own
/// reading.
fn reading_id() -> String {
    format!("{:08x}", RandomState::new().build_hasher().finish() as u32)
}
