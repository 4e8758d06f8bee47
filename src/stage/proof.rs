//! Nobody is blamed for what the network did: an archive is bad only where the bytes that were read are known to
//! be those that S3 holds.

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

/// How often an archive is read within an invocation until it is known what S3 holds.
const READS: u32 = 5;

/// The wait before an archive is read again; each further one is twice as long. It is short: whatever flips bits is not
/// overloaded.
const FIRST_WAIT: Duration = Duration::from_millis(25);

/// Streams a revision of an archive through unpacking and transforming until it is good, or certainly bad: what
/// came was compared with S3's checksum, or the same bytes came twice. `sink` makes a new sink for each reading;
/// what it gives beside the sink is kept until that reading has ended.
///
/// # Errors
///
/// [`Error::BadInput`] with everything that is wrong with the archive; [`Retryable::DamagedDownload`] when it
/// came damaged each time; else S3's or the sink's.
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
    let mut came = Vec::new();
    let mut reads = 0;
    // An archive that is bad is read twice where S3 keeps nothing to compare: both readings are its time.
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
                if downloaded.verified_by.is_some() || came.contains(&downloaded.sha256) {
                    return Err(problems.into());
                }
                came.push(downloaded.sha256);
                let message = format!(
                    "{} seems to be bad, and S3 keeps no checksum to compare: it was read {reads} times and came \
                     differently each time",
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
        if came.len() == 1 && reads == 1 {
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

/// Makes certain that a download brought what S3 holds, where that was not known: it is repeated, and must bring
/// the same.
///
/// # Errors
///
/// [`Retryable::DamagedDownload`] when it does not; those of [`S3::download`].
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
    let message = format!("{} came differently when it was downloaded once more", archive.key);
    Err(Error::retryable(Retryable::DamagedDownload, message))
}
