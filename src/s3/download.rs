//! The bytes of one revision, resumed where a read breaks.

use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use cmslite_core::error::{Error, Fault, Retryable};
use cmslite_core::queue::Object;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::client::S3;
use super::error::classify;
use super::limits::told;
use crate::cancellation::{ARCHIVE_RESERVE, Cancellation};
use crate::time_limits::STALLED_AFTER;

/// How often in a row a download may break without bringing anything.
const BREAKS_IN_A_ROW: u32 = 5;

/// How one answer's body ended.
enum Received {
    All,
    Broken(Box<dyn std::error::Error + Send + Sync>),
}

impl S3 {
    /// Sends the bytes of a revision to `chunks`, resuming where a read breaks. Ends early when nobody
    /// listens any more.
    ///
    /// # Errors
    ///
    /// [`Retryable::SourceChanged`] when the object is no longer that revision, those of
    /// [`Cancellation::check`], else S3's own.
    pub async fn download(
        &self,
        bucket: &str,
        object: &Object,
        cancellation: &Cancellation,
        chunks: mpsc::Sender<Bytes>,
    ) -> Result<(), Error> {
        let what = || format!("cannot read s3://{bucket}/{}", object.key);
        let mut offset = 0;
        let mut breaks = 0;
        loop {
            let begun_at = offset;
            let range = (offset > 0).then(|| format!("bytes={offset}-"));
            let response = self
                .client
                .get_object()
                .bucket(bucket)
                .key(&object.key)
                .if_match(&object.etag)
                .set_range(range)
                .send()
                .await;
            let broke: Box<dyn std::error::Error + Send + Sync> =
                match response.map_err(|error| classify(error, &what())) {
                    Err(Error::Retryable(fault)) if fault.kind == Retryable::S3Unavailable => {
                        Error::from(fault).into()
                    }
                    Err(error) => return Err(self.unless_gone(bucket, &object.key, error).await),
                    Ok(response) => {
                        match self
                            .receive(response.body, bucket, object, &mut offset, cancellation, &chunks)
                            .await?
                        {
                            Received::All => return Ok(()),
                            Received::Broken(why) => why,
                        }
                    }
                };
            breaks = if offset > begun_at { 1 } else { breaks + 1 };
            if breaks > BREAKS_IN_A_ROW {
                return Err(Fault::new(Retryable::S3Unavailable, what()).caused_by(broke).into());
            }
            warn!(key = object.key, offset, error = %broke, "download broke, resuming");
            sleep(Duration::from_millis(100) * 2_u32.pow(breaks)).await;
        }
    }

    /// Hands on one answer's body as far as it comes.
    async fn receive(
        &self,
        mut body: ByteStream,
        bucket: &str,
        object: &Object,
        offset: &mut u64,
        cancellation: &Cancellation,
        chunks: &mpsc::Sender<Bytes>,
    ) -> Result<Received, Error> {
        loop {
            cancellation.check(ARCHIVE_RESERVE, || format!("{} was not read to its end", object.key))?;
            let what = told("the next bytes", Some(bucket), Some(&object.key));
            match self.waits.during(what, timeout(STALLED_AFTER, body.next())).await {
                Ok(Some(Ok(chunk))) => {
                    *offset += chunk.len() as u64;
                    // Nobody listens any more: the reader has seen enough.
                    if chunks.send(chunk).await.is_err() {
                        return Ok(Received::All);
                    }
                }
                Ok(None) if *offset == object.size => return Ok(Received::All),
                Ok(None) => {
                    return Ok(Received::Broken(
                        format!("it ended after {offset} of {} bytes", object.size).into(),
                    ));
                }
                Ok(Some(Err(error))) => return Ok(Received::Broken(error.into())),
                Err(_) => {
                    return Ok(Received::Broken(
                        format!("nothing came for {} seconds", STALLED_AFTER.as_secs()).into(),
                    ));
                }
            }
        }
    }
}
