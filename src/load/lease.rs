//! Takes the lease of a dataset's queue: one of several runs works, and the others wait for it.
//!
//! The lease saves requests, downloads and staging, and decides nothing: a run without a lease works too, and
//! the ledger prevents that an archive is loaded twice.

use std::time::Duration;

use chrono::Utc;
use cmslite_core::error::{Error, Retryable};
use cmslite_core::lease::{LEASE, LeaseNote, RENEWED_AFTER};
use cmslite_core::text::printable;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tracing::{Instrument as _, debug, info, warn};

use super::{retry, settled};
use crate::cancellation::{ARCHIVE_RESERVE, Cancellation};
use crate::run_request::RunRequest;
use crate::s3::{S3, WriteIf};

/// The longest wait between the first two looks at another run's lease; each further wait may be twice as
/// long.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The longest wait between looks, which is how long a queue may be idle after a run has ended.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The longest wait for another run, if that is less than half of the time left. After that the other run has
/// more to do than an event should wait for, such as a backlog that is loaded by hand.
const WAIT_AT_MOST: Duration = Duration::from_secs(5 * 60);

/// The time limit for releasing a lease; otherwise the waiting runs must wait until it expires.
const RELEASE_WITHIN: Duration = Duration::from_secs(5);

/// The time limit for releasing a lease at the end of a run's time, and after a request to stop, when the
/// command has two seconds left.
const LAST_RELEASE_WITHIN: Duration = Duration::from_millis(400);

/// The result of waiting for the lease.
pub enum Turn {
    /// This run works, if possible with a lease.
    Ours(Lease),
    /// No run needs to work: what the event asks for was settled in the meantime.
    Settled,
}

/// A lease that this run holds, or none if the run works without one. If it is dropped without
/// [`Lease::release`], it expires.
pub struct Lease(Option<Held>);

struct Held {
    place: Place,
    valid_until: watch::Receiver<Instant>,
    renewal: JoinHandle<()>,
}

/// The object of a lease, and the run that wants it.
#[derive(Clone)]
struct Place {
    s3: S3,
    bucket: String,
    key: String,
    holder: String,
    cancellation: Cancellation,
}

/// The result of trying to get a lease.
enum Attempt {
    /// This run has taken the lease, which has this `ETag`.
    Taken(String),
    /// Another run holds the lease.
    Held(String),
    /// The lease has just changed hands.
    Changed,
}

/// Waits until no other run works on the dataset's queue, or until what the event asks for is settled. After
/// [`WAIT_AT_MOST`] the run works without a lease.
///
/// # Errors
///
/// S3's; [`Retryable::DeadlineNear`] and `Interrupted` while it waits.
pub async fn wait_for_turn(s3: &S3, request: &RunRequest) -> Result<Turn, Error> {
    let dataset = &request.dataset;
    let place = Place {
        s3: s3.clone(),
        bucket: dataset.bucket.clone(),
        key: dataset.lease_key(),
        holder: request.request_id.clone(),
        cancellation: request.cancellation.clone(),
    };
    let mut watched = Watched::default();
    let mut wait = FIRST_WAIT;
    let since = Instant::now();
    let left = request.cancellation.time_left();
    let at_most = left.map_or(WAIT_AT_MOST, |left| WAIT_AT_MOST.min(left / 2));
    loop {
        if settled::is_event_settled(s3, request).await? {
            return Ok(Turn::Settled);
        }
        let begun = Instant::now();
        let holder = match place.attempt(&mut watched).await {
            Ok(Attempt::Taken(etag)) => return Ok(Turn::Ours(Lease::held(place, etag, begun))),
            Ok(Attempt::Held(holder)) => format!("another run ({})", printable(holder.as_bytes())),
            Ok(Attempt::Changed) => "another run".to_owned(),
            // A role of an earlier version's template. If nothing is allowed, the listings show it.
            Err(Error::Deployment(fault)) => {
                warn!("working without a lease on the queue: {}", fault.message);
                return Ok(Turn::Ours(Lease(None)));
            }
            // A store that does not support such conditions.
            Err(Error::Retryable(fault)) if fault.kind == Retryable::Unknown => {
                warn!("working without a lease on the queue: {}", fault.message);
                return Ok(Turn::Ours(Lease(None)));
            }
            Err(error) => return Err(error),
        };
        request
            .cancellation
            .check(ARCHIVE_RESERVE, || format!("{holder} is working on the queue; this run did not begin"))?;
        let waited = since.elapsed();
        if waited >= at_most {
            warn!(
                "working without a lease on the queue: {holder} has worked on it for {} seconds",
                waited.as_secs()
            );
            return Ok(Turn::Ours(Lease(None)));
        }
        if wait == FIRST_WAIT {
            info!("waiting: {holder} is working on the queue");
        }
        sleep(wait.mul_f64(0.5 + 0.5 * retry::random()).min(at_most.saturating_sub(waited))).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// The `ETag` of another run's lease, and the time when this run first saw it.
#[derive(Default)]
struct Watched(Option<(String, Instant)>);

impl Watched {
    /// Returns for how long the lease has not changed.
    fn unchanged_for(&mut self, etag: &str) -> Duration {
        let now = Instant::now();
        match &self.0 {
            Some((seen, since)) if seen == etag => now.saturating_duration_since(*since),
            _ => {
                self.0 = Some((etag.to_owned(), now));
                Duration::ZERO
            }
        }
    }
}

impl Place {
    /// Takes the lease if no run holds it: one request if it is free, and one more if it is not.
    async fn attempt(&self, watched: &mut Watched) -> Result<Attempt, Error> {
        // A run that waits already expects to find a lease.
        if watched.0.is_none()
            && let Some(etag) = self.write(WriteIf::Absent).await?
        {
            return Ok(Attempt::Taken(etag));
        }
        let condition = match self.s3.read_small(&self.bucket, &self.key).await? {
            None => WriteIf::Absent,
            Some(found) => {
                let unchanged_for = watched.unchanged_for(&found.etag);
                match LeaseNote::parse(&found.bytes) {
                    Some(note) if !note.may_be_taken(&self.holder, Utc::now(), unchanged_for) => {
                        return Ok(Attempt::Held(note.holder));
                    }
                    Some(note) if note.holder != self.holder => {
                        info!(
                            holder = %printable(note.holder.as_bytes()),
                            until = %note.until,
                            "taking over a lease that its holder did not renew"
                        );
                    }
                    _ => {}
                }
                WriteIf::Matches(found.etag)
            }
        };
        Ok(self.write(condition).await?.map_or(Attempt::Changed, Attempt::Taken))
    }

    async fn write(&self, condition: WriteIf) -> Result<Option<String>, Error> {
        let note = LeaseNote::new(&self.holder, Utc::now(), self.cancellation.time_left());
        let json = serde_json::to_string(&note).unwrap_or_default();
        self.s3.put_if(&self.bucket, &self.key, json, condition).await
    }

    /// Renews the lease until another run takes it; `valid_until` says until when it is certain.
    async fn keep(self, mut etag: String, valid_until: watch::Sender<Instant>) {
        loop {
            sleep(RENEWED_AFTER).await;
            let begun = Instant::now();
            match self.renew(&etag).await {
                Ok(Some(renewed)) => {
                    etag = renewed;
                    valid_until.send_replace(begun + LEASE);
                }
                Ok(None) => {
                    info!(
                        "another run has taken the lease on the queue; the ledger keeps the two runs apart"
                    );
                    valid_until.send_replace(begun);
                    return;
                }
                Err(error) => debug!("the lease on the queue was not renewed: {}", error.chain()),
            }
        }
    }

    /// Renews the lease and returns its `ETag`, or `None` if another run has it or it is gone.
    async fn renew(&self, etag: &str) -> Result<Option<String>, Error> {
        if let Some(renewed) = self.write(WriteIf::Matches(etag.to_owned())).await? {
            return Ok(Some(renewed));
        }
        // The answer to the previous renewal may have been lost.
        let Some(found) = self.s3.read_small(&self.bucket, &self.key).await? else { return Ok(None) };
        match LeaseNote::parse(&found.bytes) {
            Some(note) if note.holder == self.holder => Ok(Some(found.etag)),
            _ => Ok(None),
        }
    }
}

impl Lease {
    fn held(place: Place, etag: String, begun: Instant) -> Self {
        let (sender, valid_until) = watch::channel(begun + LEASE);
        let renewal = tokio::spawn(place.clone().keep(etag, sender).in_current_span());
        Self(Some(Held { place, valid_until, renewal }))
    }

    /// Checks whether no other run with a valid lease works on the queue, as far as a clock can tell.
    pub fn is_certain(&self) -> bool {
        self.0.as_ref().is_some_and(|held| *held.valid_until.borrow() > Instant::now())
    }

    /// Releases the lease, so that the next run need not wait until it expires. A lease that is no longer
    /// certain may belong to another run, and is left alone.
    pub async fn release(self) {
        let is_certain = self.is_certain();
        let Some(held) = &self.0 else { return };
        held.renewal.abort();
        if !is_certain {
            return;
        }
        let Place { s3, bucket, key, cancellation, .. } = &held.place;
        let has_time = cancellation.check(ARCHIVE_RESERVE, String::new).is_ok();
        let limit = if has_time { RELEASE_WITHIN } else { LAST_RELEASE_WITHIN };
        match timeout(limit, s3.delete(bucket, key)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!("the lease on the queue was not released: {}", error.chain()),
            Err(_) => debug!("the lease on the queue was not released within {limit:?}"),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(held) = &self.0 {
            held.renewal.abort();
        }
    }
}
