//! Makes a load: one run over one dataset's queue, with the result for each of its archives.

// One archive, from the ledger to its marker.
mod archive;

// One archive's transaction.
mod transaction;
// The holder of a lock that the load waited for.
mod lock_holders;
// Everything that Redshift refuses in an archive.
mod refusals;
// Whether an archive has too few rows.
mod row_guards;
// What is asked before an archive is staged.
mod consult;
// The rows that Redshift refused.
mod refused_rows;

// The lease: which of several runs works on the queue.
mod lease;
// Whether another run has settled an archive in the meantime.
mod settled;

// Whether an archive takes longer than the function's time.
mod overdue;

// Markers.
mod settle;
// `error.json`, and which run writes it.
mod explain;
// The messages about bad archives.
mod notify;
// What is tried again within a run.
mod retry;
// The duration of each phase.
mod timing;

use chrono::Utc;
use cmslite_core::error::{Deployment, Error, Retryable};
use cmslite_core::key::Key;
use cmslite_core::queue::{ArchiveState, Kept, NewestBad, Object, Plan, Selection};
use tracing::{Instrument as _, info, info_span};

use self::lease::{Lease, Turn, wait_for_turn};
use self::timing::Phase;
use crate::cancellation::ARCHIVE_RESERVE;
use crate::clients::Clients;
use crate::listing;
use crate::report::{ArchiveEnd, Report};
use crate::run_request::RunRequest;

/// The result of a run.
pub struct Run {
    /// The report of the run.
    pub report: Report,
    /// The reason why the run ended before its goal, if it did.
    pub failure: Option<Error>,
    /// What the run has read from S3; `None` if it did not get that far.
    pub listings: Option<Listings>,
}

/// What a run has read from S3 before its first archive, for a status page.
pub struct Listings {
    /// The plan, in which an archive that the run found bad may be marked as bad already.
    pub plan: Plan,
    /// The newest of the archives that were bad before.
    pub newest_bad: NewestBad,
}

/// The number of bad archives whose keys a run keeps for a status page.
const NEWEST_BAD: usize = 20;

/// Works through the queue of a dataset, oldest first, and stops at the first archive that is bad or cannot
/// be loaded.
pub async fn run(clients: &Clients, request: &RunRequest) -> Run {
    let dataset = &request.dataset;
    let span = info_span!("run", request_id = request.request_id, dataset = dataset.name);
    let mut report = Report::of(dataset, &request.request_id);
    // Boxed: the steps below are nested too deep for the compiler to lay out in one piece.
    let mut listings = None;
    let failure = Box::pin(work(clients, request, &mut listings, &mut report)).instrument(span).await.err();
    report.failure = failure.as_ref().map(Into::into);
    Run { report, failure, listings }
}

/// Waits for this run's turn, and works on the queue unless the work was done in the meantime.
async fn work(
    clients: &Clients,
    request: &RunRequest,
    listings: &mut Option<Listings>,
    report: &mut Report,
) -> Result<(), Error> {
    let turn = request.cancellation.bounded(wait_for_turn(&clients.s3, request));
    match Phase::Queue.of(&mut report.seconds, turn).await? {
        Turn::Ours(lease) => {
            let worked = work_on_queue(clients, request, &lease, listings, report).await;
            lease.release().await;
            worked
        }
        Turn::Settled => {
            info!("already settled, according to its markers: nothing to do");
            report.settled_meanwhile = request.uploads.iter().map(|upload| upload.key.clone()).collect();
            Ok(())
        }
    }
}

async fn work_on_queue(
    clients: &Clients,
    request: &RunRequest,
    lease: &Lease,
    listings: &mut Option<Listings>,
    report: &mut Report,
) -> Result<(), Error> {
    let RunRequest { dataset, selection, .. } = request;
    let mut newest_bad = NewestBad::new(NEWEST_BAD);
    let read = listing::read(&clients.s3, dataset, selection, Kept::WhatDecides, |listed| {
        newest_bad.add(dataset, listed);
    });
    let plan = Phase::Queue.of(&mut report.seconds, request.cancellation.bounded(read)).await?;
    let Listings { plan, .. } = listings.insert(Listings { plan, newest_bad });
    listing::log_passed_over(plan);
    report.record_unusable_keys(&plan.passed_over);
    report.objects_found = plan.found();
    report.superseded = plan.superseded_keys().collect();
    report.superseded_further = plan.forgotten.superseded;
    let unsettled: Vec<Object> = plan.in_state(ArchiveState::Queued).cloned().collect();
    // A superseded archive is not loaded.
    let shared = unsettled.iter().find_map(|archive| Some((&archive.key, dataset.rival_of(&archive.key)?)));
    if let Some((key, rival)) = shared {
        report.record_remaining(&unsettled, Utc::now());
        let message = format!(
            "{key} is an archive of two datasets, {} and {rival}, and would be loaded by only one of them; let \"doc\" of only one match \
             it: until then neither loads anything",
            dataset.name
        );
        return Err(Error::deployment(Deployment::Configuration, message));
    }
    let mut worked = match plan.queue(selection) {
        Ok(queue) => {
            info!(
                found = report.objects_found,
                unsettled = queue.len(),
                superseded = plan.count(ArchiveState::Superseded),
                "queue read"
            );
            work_through(clients, request, lease, queue, report).await
        }
        Err(reason) => Err(Error::deployment(Deployment::ReloadRefused, reason.to_string())),
    };
    let bad = report.bad.last().map(|bad| bad.key.clone());
    report.record_remaining(&unsettled, Utc::now());
    if let (true, Some(bad)) = (dataset.truncate, bad) {
        worked = worked.and(uncover(plan, &bad, selection, report));
        // Archives that were superseded until now are in the queue from now on: they are counted, and have no
        // age.
        report.queue_length = Some(plan.count(ArchiveState::Queued));
    }
    worked
}

/// Takes back what a bad archive superseded: with `truncate`, an archive that was found bad supersedes
/// nothing. Reports the newest archive that is left, which the next run loads if it is newer than the archive
/// in the tables.
///
/// # Errors
///
/// [`Retryable::StoppedAtBadArchive`] if that archive is asked for, so that Lambda's retry loads it.
fn uncover(plan: &mut Plan, bad: &Key, selection: &Selection, report: &mut Report) -> Result<(), Error> {
    plan.settle_as_bad(bad);
    report.superseded = plan.superseded_keys().chain(report.found_superseded.iter().cloned()).collect();
    if selection.is_by_hand() {
        return Ok(());
    }
    let left = plan.queue(selection).unwrap_or_default();
    report.not_processed.extend(left.iter().map(|archive| archive.key.clone()));
    let Some(next) = left.first() else { return Ok(()) };
    if *selection == Selection::WholeQueue || selection.names(&next.key) {
        return Err(stopped_at(bad, next));
    }
    info!("{} is now the newest archive that is not bad: the next run loads it", next.key);
    Ok(())
}

/// Works on archives in their order, and records in `report` which ones were not reached.
async fn work_through(
    clients: &Clients,
    request: &RunRequest,
    lease: &Lease,
    queue: Vec<Object>,
    report: &mut Report,
) -> Result<(), Error> {
    let dataset = &request.dataset;
    let mut left = request.limit.unwrap_or(usize::MAX);
    let mut queue = queue.into_iter();
    let mut worked = Ok(());
    let mut is_first = true;
    while left > 0
        && let Some(archive) = queue.next()
    {
        let span = info_span!("archive", archive = archive.key.as_str());
        let begin = request.cancellation.check(ARCHIVE_RESERVE, || format!("{} was not begun", archive.key));
        if let Err(error) = begin {
            report.not_processed.push(archive.key);
            worked = Err(error);
            break;
        }
        // For the first archive, the listings are still fresh.
        if !std::mem::take(&mut is_first) {
            let look = settled::is_settled(&clients.s3, dataset, &archive).instrument(span.clone());
            let look = request.cancellation.bounded(look);
            match Phase::Queue.of(&mut report.seconds, look).await {
                Ok(false) => {}
                Ok(true) => {
                    info!(archive = archive.key.as_str(), "settled by another run in the meantime");
                    report.settled_meanwhile.push(archive.key);
                    continue;
                }
                Err(error) => {
                    report.not_processed.push(archive.key);
                    worked = Err(error);
                    break;
                }
            }
        }
        left -= 1;
        let run = archive::run(clients, request, lease, &archive, &mut report.seconds);
        let outcome = run.instrument(span).await;
        report.record(&archive, &outcome);
        match outcome.end {
            ArchiveEnd::Good | ArchiveEnd::Superseded => {}
            ArchiveEnd::LeftToTask => break,
            ArchiveEnd::Bad(_) => {
                worked = queue.as_slice().first().map_or(Ok(()), |next| Err(stopped_at(&archive.key, next)));
                break;
            }
            ArchiveEnd::Unsettled(error) => {
                worked = Err(error);
                break;
            }
        }
    }
    report.not_processed.extend(queue.map(|archive| archive.key));
    worked
}

fn stopped_at(bad: &Key, next: &Object) -> Error {
    let message =
        format!("{bad} is bad and was settled as bad; stopped before {}, which the next run loads", next.key);
    Error::retryable(Retryable::StoppedAtBadArchive, message)
}
