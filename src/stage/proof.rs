//! Makes certain that the network is not the cause of a bad archive: an archive is bad only if the bytes that
//! were read are known to be those that S3 stores.

use std::time::Duration;

use cmslite_core::archive::{self, StagedMember};
use cmslite_core::error::{Error, Retryable};
use cmslite_core::limits::TableLimits;
use cmslite_core::queue::Object;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::read::{Reading, given_up, read_archive};
use super::sink::AsyncSink;
use crate::cancellation::ARCHIVE_RESERVE;
use crate::run_request::RunRequest;
use crate::s3::{Downloaded, S3};

/// The maximum number of times that one invocation reads an archive to find out what S3 stores.
const READS: u32 = 5;

/// The wait before an archive is read again; each further one is twice as long. It is short: a fault that
/// flips bits is not an overload.
const FIRST_WAIT: Duration = Duration::from_millis(25);

/// Streams a revision of an archive through unpacking and transforming until it is good or certainly bad: its
/// bytes were compared with S3's checksum, or the same bytes were received twice. `sink` makes a new sink for
/// each reading; the second value that it returns is kept until that reading has ended.
///
/// # Errors
///
/// [`Error::BadInput`] with all problems of the archive; [`Retryable::DamagedDownload`] when it was damaged
/// each time; else S3's or the sink's.
pub async fn read_proven<S: AsyncSink, G>(
    s3: &S3,
    request: &RunRequest,
    archive: &Object,
    limits: &TableLimits,
    mut sink: impl FnMut() -> (S, G),
) -> Result<(Vec<StagedMember>, S::Staged, Downloaded), Error> {
    if let Some(problems) = archive::too_large(&request.dataset, archive.size) {
        return Err(problems.into());
    }
    let mut received = Vec::new();
    let mut reads = 0;
    // A bad archive is read twice if S3 has no checksum to compare. Both readings count for the archive's
    // time.
    let begun = Instant::now();
    request.progress.forget_waits();
    loop {
        reads += 1;
        let (sink, _writing) = sink();
        let damaged = match read_archive(s3, request, archive, limits.clone(), sink, begun).await {
            Ok(Reading { read: Ok((members, staged)), downloaded }) => {
                return Ok((members, staged, downloaded));
            }
            Ok(Reading { read: Err(problems), downloaded }) => {
                if downloaded.verified_by.is_some() || received.contains(&downloaded.sha256) {
                    return Err(problems.into());
                }
                received.push(downloaded.sha256);
                let message = format!(
                    "{} seems to be bad, and S3 keeps no checksum to compare: it was read {reads} times, with different bytes each time",
                    archive.key
                );
                Error::retryable(Retryable::DamagedDownload, message)
            }
            Err(Error::Retryable(fault)) if fault.kind == Retryable::DamagedDownload => fault.into(),
            Err(error) => return Err(error),
        };
        if reads >= READS {
            return Err(damaged);
        }
        if received.len() == 1 && reads == 1 {
            info!("the archive seems to be bad, and S3 keeps no checksum to compare: reading it once more");
        } else {
            warn!(error_type = damaged.error_type(), "{damaged}; reading it again");
        }
        sleep(FIRST_WAIT * 2_u32.pow(reads - 1)).await;
        let has_time =
            request.cancellation.check(ARCHIVE_RESERVE, || format!("{} was not read again", archive.key));
        has_time.map_err(|error| given_up(request, begun, error))?;
    }
}

/// Makes certain that a download had the bytes that S3 stores. If that is not known, the download is repeated
/// and must have the same bytes.
///
/// # Errors
///
/// [`Retryable::DamagedDownload`] when the bytes differ; those of [`S3::download`].
pub async fn confirm(
    s3: &S3,
    request: &RunRequest,
    archive: &Object,
    downloaded: &Downloaded,
) -> Result<(), Error> {
    if downloaded.verified_by.is_some() {
        return Ok(());
    }
    info!("S3 keeps no checksum to compare: downloading the archive once more");
    let (nobody, _) = mpsc::channel(1);
    let again = s3.download(&request.dataset.bucket, archive, &request.cancellation, nobody).await?;
    if again.sha256 == downloaded.sha256 {
        return Ok(());
    }
    let message = format!("{} had different bytes when it was downloaded again", archive.key);
    Err(Error::retryable(Retryable::DamagedDownload, message))
}
