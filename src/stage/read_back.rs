//! Reads pieces of staged files again, since Redshift does not give every text that it refused.

use std::ops::ControlFlow;

use cmslite_core::error::{Error, Fault, Retryable};

use super::StagedTable;
use super::compress::PieceReader;
use crate::s3::S3;

/// How much of a piece is read: all of it, unless it has a row of an uncommon size.
const READ_BACK_BYTES: u64 = 16 * 1024 * 1024;

/// Hands the text of a piece to `take`, header line included, until that breaks; of an uncommonly large one only the beginning.
///
/// # Errors
///
/// S3's, by who must act; [`Retryable::Unknown`] where it is not what was staged. What came before has been taken then.
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
