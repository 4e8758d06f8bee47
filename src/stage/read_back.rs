//! Reads pieces of staged files again, since Redshift does not report every text that it refused.

use std::ops::ControlFlow;

use cmslite_core::error::{Error, Fault, Retryable};

use super::StagedTable;
use super::compress::PieceReader;
use crate::s3::S3;

/// The maximum number of bytes of a piece that are read. This is all of it, unless it has a row of unusual
/// size.
const READ_BACK_BYTES: u64 = 16 * 1024 * 1024;

/// Passes the text of a piece, with its header line, to `take` until that breaks. Only the beginning of an
/// unusually large piece is read.
///
/// # Errors
///
/// S3's errors, sorted by who must act; [`Retryable::Unknown`] if the piece is not what was staged. The text
/// before the error was passed.
pub async fn read_piece(
    s3: &S3,
    staged: &StagedTable<'_>,
    piece: usize,
    take: impl FnMut(&[u8]) -> ControlFlow<()> + Send,
) -> Result<(), Error> {
    let key = staged.keys.piece(piece);
    let unreadable = |error| {
        let what = format!("s3://{}/{key} is not what was staged", staged.bucket);
        Error::from(Fault::new(Retryable::Unknown, what).caused_by(error))
    };
    let mut reader = PieceReader::new(staged.keys.staging(), take).map_err(unreadable)?;
    let mut failed = None;
    let read = s3.read_beginning(staged.bucket, &key, READ_BACK_BYTES, |bytes| {
        reader.push(bytes).unwrap_or_else(|error| {
            failed = Some(error);
            ControlFlow::Break(())
        })
    });
    read.await?;
    failed.map_or(Ok(()), |error| Err(unreadable(error)))
}
