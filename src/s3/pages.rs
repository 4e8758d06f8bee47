//! Reads listings page by page.

use aws_sdk_s3::types::EncodingType;
use aws_sdk_s3::types::Object as ListedObject;
use chrono::DateTime;
use cmslite_core::error::{Error, Fault, Retryable};
use cmslite_core::queue::Object;
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::client::{S3, listed_key};
use super::error::classify;
use crate::task::Task;

/// A listing that is read ahead of its consumer by at most two pages: one that waits to be taken, and one
/// that is being read. The listing ends when this is dropped.
#[derive(Debug)]
pub struct Pages {
    pages: mpsc::Receiver<Vec<Object>>,
    reading: Task<Result<(), Error>>,
}

impl Pages {
    /// Returns the next page, in S3's order, of at most 1,000 objects; `None` at the listing's end, after
    /// which this must not be called.
    ///
    /// # Errors
    ///
    /// S3's errors, sorted by who must act.
    pub async fn next(&mut self) -> Result<Option<Vec<Object>>, Error> {
        if let Some(page) = self.pages.recv().await {
            return Ok(Some(page));
        }
        // Only the task's result distinguishes an end from a failure.
        let read = (&mut self.reading).await.map_err(|error| {
            Fault::new(Retryable::Unknown, "a listing of S3 ended abnormally").caused_by(error)
        })?;
        read.map(|()| None)
    }
}

impl S3 {
    /// Lists everything below a prefix, with a request for each page.
    pub fn list(&self, bucket: &str, prefix: &str) -> Pages {
        let (page, pages) = mpsc::channel(1);
        let (s3, bucket, prefix) = (self.clone(), bucket.to_owned(), prefix.to_owned());
        let read = async move { s3.read_pages(&bucket, &prefix, page).await };
        Pages { pages, reading: Task::spawn(read.in_current_span()) }
    }

    async fn read_pages(
        &self,
        bucket: &str,
        prefix: &str,
        taken: mpsc::Sender<Vec<Object>>,
    ) -> Result<(), Error> {
        // The keys are requested encoded. A raw key may contain characters that XML does not allow, and the
        // whole page could then not be read.
        let list =
            self.client.list_objects_v2().bucket(bucket).prefix(prefix).encoding_type(EncodingType::Url);
        let mut pages = list.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page =
                page.map_err(|error| classify(error, &format!("cannot list s3://{bucket}/{prefix}")))?;
            if page.is_truncated() == Some(true) && page.next_continuation_token().is_none_or(str::is_empty) {
                let message =
                    format!("S3 does not say where its listing of s3://{bucket}/{prefix} continues");
                return Err(Error::retryable(Retryable::Unknown, message));
            }
            // A store that cannot encode keys does not confirm the encoding.
            let is_encoded = page.encoding_type() == Some(&EncodingType::Url);
            let objects = page.contents.unwrap_or_default().into_iter();
            let objects: Option<Vec<Object>> = objects.map(|object| listed(object, is_encoded)).collect();
            let objects = objects.ok_or_else(|| {
                let message = format!("S3 listed s3://{bucket}/{prefix} without keys, ETags or times");
                Error::retryable(Retryable::Unknown, message)
            })?;
            if taken.send(objects).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Returns an object of a page, if it has a key, an `ETag` and a time.
fn listed(object: ListedObject, is_encoded: bool) -> Option<Object> {
    let modified = object.last_modified?;
    Some(Object {
        key: listed_key(object.key?, is_encoded),
        etag: object.e_tag?,
        last_modified: DateTime::from_timestamp(modified.secs(), modified.subsec_nanos()).unwrap_or_default(),
        size: object.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
    })
}
