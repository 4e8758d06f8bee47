//! Writes the bodies of requests to files, and sends the bodies of answers from files.

use std::fs::File;
use std::io::{self, Read as _};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::HeaderMap;
use s3s::dto::StreamingBlob;
use s3s::{S3Error, S3Result, s3_error};

use crate::s3::blob::{BlobWriter, Piece};
use crate::s3::checksums::{Checksum, Verifier};
use crate::s3::disconnect::Disconnect;
use crate::s3::error::{error_named, internal};
use crate::s3::exchange::FlipBit;
use crate::s3::state::State;

/// The maximum number of bytes that are sent at once.
const CHUNK_BYTES: usize = 128 * 1024;

/// Stores a body and verifies every checksum that the request announces.
pub(super) async fn receive(
    state: &State,
    body: Option<StreamingBlob>,
    headers: &HeaderMap,
    trailers: Option<s3s::TrailingHeaders>,
    mut flip: Option<FlipBit>,
) -> S3Result<(Piece, Checksum)> {
    let mut verifier = Verifier::new(headers)?;
    let mut writer = BlobWriter::create(state.directory.path()).map_err(|error| internal(&error))?;
    if let Some(mut body) = body {
        while let Some(chunk) = body.next().await {
            let mut chunk = chunk.map_err(|error| broken_body(&error.to_string()))?;
            if let Some(flip) = flip.take_if(|_| !chunk.is_empty()) {
                let mut damaged = chunk.to_vec();
                flip.apply(&mut damaged, 0, chunk.len() as u64);
                chunk = damaged.into();
            }
            verifier.update(&chunk);
            writer.write(&chunk).map_err(|error| internal(&error))?;
        }
    }
    let trailers = trailers.and_then(|trailers| trailers.take());
    let piece = writer.finish();
    let checksum = verifier.finish(piece.md5, trailers.as_ref())?;
    Ok((piece, checksum))
}

/// Returns the error for a body that could not be read to its end. The error is recognised by its text, since
/// `s3s` does not export the types of its errors.
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

/// The position at which an answer's body breaks off.
pub(super) struct Break {
    pub(super) after_bytes: u64,
    /// The connection that breaks at that position. If it is `None`, nothing more is sent.
    pub(super) disconnect: Option<Disconnect>,
}

/// Returns the chunks of a body from files. A fault may break the body off or flip one of its bits.
pub(super) fn send(
    readers: Vec<io::Take<File>>,
    cut: Option<Break>,
    flip: Option<FlipBit>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync {
    let size: u64 = readers.iter().map(io::Take::limit).sum();
    let state = (readers.into_iter(), None::<io::Take<File>>, cut, 0);
    futures_util::stream::unfold(state, move |(mut rest, mut current, mut cut, offset)| async move {
        loop {
            let mut reader = current.take().or_else(|| rest.next())?;
            let left = cut.as_ref().map(|cut| cut.after_bytes);
            if let Some(Break { after_bytes: 0, disconnect }) = &cut {
                if let Some(disconnect) = disconnect {
                    disconnect.when_flushed();
                }
                // The body never ends: its connection breaks, or nothing more is sent.
                std::future::pending::<()>().await;
            }
            let want = left
                .map_or(CHUNK_BYTES, |left| usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES));
            let mut buffer = vec![0; want];
            match reader.read(&mut buffer) {
                Ok(0) => {}
                Ok(count) => {
                    buffer.truncate(count);
                    if let Some(flip) = flip {
                        flip.apply(&mut buffer, offset, size);
                    }
                    if let Some(cut) = &mut cut {
                        cut.after_bytes -= count as u64;
                    }
                    let state = (rest, Some(reader), cut, offset + count as u64);
                    return Some((Ok(Bytes::from(buffer)), state));
                }
                Err(error) => return Some((Err(error), (Vec::new().into_iter(), None, None, offset))),
            }
        }
    })
}
