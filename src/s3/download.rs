//! Reads the bytes of one revision, resumes interrupted reads, and compares the bytes with S3's checksum.

use std::time::Duration;

use aws_sdk_s3::config::ResponseChecksumValidation;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use cmslite_core::error::{Error, Fault, Retryable};
use cmslite_core::queue::Object;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::client::S3;
use super::error::classify;
use super::limits::request_name;
use super::verify::{Downloaded, Mismatch, Verifier};
use crate::cancellation::{ARCHIVE_RESERVE, Cancellation};
use crate::time_limits::STALLED_AFTER;
use crate::waits::Waits;

/// The number of times in a row that a download may break without any new bytes.
const BREAKS_IN_A_ROW: u32 = 5;

/// The header that asks S3 for the object's checksum. With its own option, the SDK would also compare each
/// answer by itself; the verifier does this over all answers.
const CHECKSUM_MODE: (&str, &str) = ("x-amz-checksum-mode", "ENABLED");

/// The end of one answer's body.
enum Received {
    All,
    Broken(Box<dyn std::error::Error + Send + Sync>),
}

impl S3 {
    /// Sends the bytes of a revision to `chunks`, resumes interrupted reads, and compares the bytes with S3's
    /// checksum. When the receiver stops, the rest is read only for the comparison.
    ///
    /// # Errors
    ///
    /// [`Retryable::DamagedDownload`] when the bytes differ from S3's, [`Retryable::SourceChanged`] when the
    /// object is no longer that revision or has another size, those of [`Cancellation::check`], else S3's
    /// own.
    pub async fn download(
        &self,
        bucket: &str,
        object: &Object,
        cancellation: &Cancellation,
        chunks: mpsc::Sender<Bytes>,
    ) -> Result<Downloaded, Error> {
        let what = || format!("cannot read s3://{bucket}/{}", object.key);
        let mut offset = 0;
        let mut breaks = 0;
        let mut verifier = None;
        let validation = ResponseChecksumValidation::WhenRequired;
        let unchecked = aws_sdk_s3::Config::builder().response_checksum_validation(validation);
        loop {
            let begun_at = offset;
            let range = (offset > 0).then(|| format!("bytes={offset}-"));
            let response = self
                .client
                .get_object()
                .bucket(bucket)
                .key(object.key.as_str())
                .if_match(&object.etag)
                .set_range(range)
                .customize()
                .config_override(unchecked.clone())
                .mutate_request(|request| {
                    request.headers_mut().insert(CHECKSUM_MODE.0, CHECKSUM_MODE.1);
                })
                .send()
                .await;
            let broke: Box<dyn std::error::Error + Send + Sync> =
                match response.map_err(|error| classify(error, &what())) {
                    Err(Error::Retryable(fault)) if fault.kind == Retryable::S3Unavailable => {
                        Error::from(fault).into()
                    }
                    Err(error) => return Err(self.or_source_changed(bucket, &object.key, error).await),
                    Ok(response) => {
                        // Only the first answer is of the whole object; the answer to a range says nothing
                        // about it.
                        let verifier = verifier.get_or_insert_with(|| Verifier::new(&response, object));
                        let mut progress = Progress { waits: &self.waits, offset: &mut offset, verifier };
                        let received = progress.receive(response.body, bucket, object, cancellation, &chunks);
                        match received.await? {
                            Received::All => break,
                            Received::Broken(why) => why,
                        }
                    }
                };
            breaks = if offset > begun_at { 1 } else { breaks + 1 };
            if breaks > BREAKS_IN_A_ROW {
                return Err(Fault::new(Retryable::S3Unavailable, what()).caused_by(broke).into());
            }
            warn!(key = %object.key, offset, error = %broke, "download broke, resuming");
            sleep(Duration::from_millis(100) * 2_u32.pow(breaks)).await;
        }
        let compared = verifier.map_or_else(|| Ok(Downloaded::default()), Verifier::finish);
        compared.map_err(|Mismatch { algorithm, received, expected }| {
            let message = format!(
                "s3://{bucket}/{} was damaged in transit: its {algorithm} is {expected}, and that of the received bytes is {received}",
                object.key
            );
            Error::retryable(Retryable::DamagedDownload, message)
        })
    }
}

/// The progress of a download.
struct Progress<'d> {
    waits: &'d Waits,
    offset: &'d mut u64,
    verifier: &'d mut Verifier,
}

impl Progress<'_> {
    /// Sends the chunks of one answer's body as they arrive, until it ends or breaks.
    async fn receive(
        &mut self,
        mut body: ByteStream,
        bucket: &str,
        object: &Object,
        cancellation: &Cancellation,
        chunks: &mpsc::Sender<Bytes>,
    ) -> Result<Received, Error> {
        let mut is_heard = true;
        loop {
            cancellation.check(ARCHIVE_RESERVE, || format!("{} was not read to its end", object.key))?;
            let what = request_name("the next bytes", Some(bucket), Some(&object.key));
            match self.waits.during(what, timeout(STALLED_AFTER, body.next())).await {
                Ok(Some(Ok(chunk))) => {
                    *self.offset += chunk.len() as u64;
                    if *self.offset > object.size {
                        let message =
                            format!("{} has more than the {} bytes listed", object.key, object.size);
                        return Err(Error::retryable(Retryable::SourceChanged, message));
                    }
                    self.verifier.update(&chunk);
                    if is_heard && chunks.send(chunk).await.is_err() {
                        is_heard = false;
                        debug!(
                            offset = *self.offset,
                            "the reader has stopped; the rest of the download only goes into the checksum"
                        );
                    }
                }
                // Nothing is left to request, even if the connection broke at the end.
                Ok(None | Some(Err(_))) if *self.offset == object.size => return Ok(Received::All),
                Ok(None) => {
                    return Ok(Received::Broken(
                        format!("it ended after {} of {} bytes", self.offset, object.size).into(),
                    ));
                }
                Ok(Some(Err(error))) => return Ok(Received::Broken(error.into())),
                Err(_) => {
                    return Ok(Received::Broken(
                        format!("no data arrived for {} seconds", STALLED_AFTER.as_secs()).into(),
                    ));
                }
            }
        }
    }
}
