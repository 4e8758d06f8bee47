//! Takes the lease of a dataset's queue: of several runs one works, and the others wait for it.
//!
//! It saves requests, downloads and staging, and decides nothing: who has none, or has lost it, works all the same,
//! and the ledger keeps every archive from being loaded twice.

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

/// The longest wait between the first two looks at another run's lease; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The longest wait between looks: so long a queue lies idle at the most after a run has ended.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How long another run is waited for at the most, if that is less than half of the time that is left. By then it
/// has more to do than an event should wait for, such as a backlog that is loaded by hand.
const WAIT_AT_MOST: Duration = Duration::from_secs(5 * 60);

/// How long giving a lease back may take; whoever waits has to wait for its end else.
const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(5);

/// The same at the end of a run's time, and after a request to stop, of which the command's two seconds are left.
const GIVEN_BACK_AT_LAST_WITHIN: Duration = Duration::from_millis(400);

/// Whose turn it is.
pub enum Turn {
    /// This run's.
    Ours(Lease),
    /// Nobody's: what the event tells of was settled meanwhile.
    Settled,
}

/// A lease that this run has, or none where S3 does not let it have one. Dropped without [`Lease::release`] it is
/// over when it is not renewed.
pub struct Lease(Option<Held>);

struct Held {
    place: Place,
    valid_until: watch::Receiver<Instant>,
    renewal: JoinHandle<()>,
}

/// Where a lease lies, and whose it shall be.
#[derive(Clone)]
struct Place {
    s3: S3,
    bucket: String,
    key: String,
    holder: String,
    cancellation: Cancellation,
}

/// What came of trying to get a lease.
enum Attempt {
    /// It is ours, with this `ETag`.
    Taken(String),
    /// Another run has it.
    Held(String),
    /// It changed hands just now.
    Changed,
}

/// Waits until no other run works on the dataset's queue, or until what the event tells of is settled. Who has waited
/// for [`WAIT_AT_MOST`] works without a lease.
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
            // A role of an earlier version's template. If nothing is allowed, the listings say so.
            Err(Error::Deployment(fault)) => {
                warn!("working without a lease on the queue: {}", fault.message);
                return Ok(Turn::Ours(Lease(None)));
            }
            // A store that knows no such conditions.
            Err(Error::Retryable(fault)) if fault.kind == Retryable::Unknown => {
                warn!("working without a lease on the queue: {}", fault.message);
                return Ok(Turn::Ours(Lease(None)));
            }
            Err(error) => return Err(error),
        };
        request
            .cancellation
            .check(ARCHIVE_RESERVE, || format!("{holder} works on the queue, and nothing was begun"))?;
        let waited = since.elapsed();
        if waited >= at_most {
            warn!(
                "working without a lease on the queue: {holder} has worked on it for {} seconds",
                waited.as_secs()
            );
            return Ok(Turn::Ours(Lease(None)));
        }
        if wait == FIRST_WAIT {
            info!("waiting: {holder} works on the queue");
        }
        sleep(wait.mul_f64(0.5 + 0.5 * retry::random()).min(at_most.saturating_sub(waited))).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Another run's lease as it was seen first, and when.
#[derive(Default)]
struct Watched(Option<(String, Instant)>);

impl Watched {
    /// For how long the lease has been as it is.
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
    /// Takes the lease if nobody has it: one request where it is free, and one more where it is not.
    async fn attempt(&self, watched: &mut Watched) -> Result<Attempt, Error> {
        // Who waits already expects to find it.
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

    /// Renews the lease until somebody else has it; `valid_until` says until when it is certain.
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
                    info!("another run has taken the lease on the queue; the ledger keeps them apart");
                    valid_until.send_replace(begun);
                    return;
                }
                Err(error) => debug!("the lease on the queue was not renewed: {}", error.chain()),
            }
        }
    }

    /// Renews the lease: its `ETag`, or none where it is another run's or nobody's.
    async fn renew(&self, etag: &str) -> Result<Option<String>, Error> {
        if let Some(renewed) = self.write(WriteIf::Matches(etag.to_owned())).await? {
            return Ok(Some(renewed));
        }
        // The answer to the renewal before may have been lost.
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

    /// Whether no other run works on the queue, as far as a clock can tell: none whose lease is in order.
    pub fn is_certain(&self) -> bool {
        self.0.as_ref().is_some_and(|held| *held.valid_until.borrow() > Instant::now())
    }

    /// Gives the lease back, so that the next run need not wait for its end. One that is no longer certain may be
    /// another run's, and is left.
    pub async fn release(self) {
        let is_certain = self.is_certain();
        let Some(held) = &self.0 else { return };
        held.renewal.abort();
        if !is_certain {
            return;
        }
        let Place { s3, bucket, key, cancellation, .. } = &held.place;
        let has_time = cancellation.check(ARCHIVE_RESERVE, String::new).is_ok();
        let limit = if has_time { GIVEN_BACK_WITHIN } else { GIVEN_BACK_AT_LAST_WITHIN };
        match timeout(limit, s3.delete(bucket, key)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!("the lease on the queue was not given back: {}", error.chain()),
            Err(_) => debug!("the lease on the queue was not given back within {limit:?}"),
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
