//! Takes one archive from the ledger's decision to its marker.

use cmslite_core::error::{Deployment, Error};
use cmslite_core::problem::Problems;
use cmslite_core::queue::Object;
use tokio::time::Instant;
use tracing::{info, warn};

use super::consult::{ArchiveLoad, Consulted, Decided};
use super::explain::Explanation;
use super::lease::Lease;
use super::timing::Phase;
use super::transaction::Learned;
use super::{notify, overdue, retry, settle};
use crate::clients::Clients;
use crate::redshift::ledger::LoadDecision;
use crate::report::{ArchiveEnd, ArchiveOutcome, BadArchive, LoadedTable, PhaseSeconds};
use crate::run_request::RunRequest;
use crate::stage::{StagedTable, confirm, discard, stage};

/// Works on one archive until it is settled, or cannot be.
pub async fn run(
    clients: &Clients,
    request: &RunRequest,
    lease: &Lease,
    archive: &Object,
    seconds: &mut PhaseSeconds,
) -> ArchiveOutcome {
    info!(etag = archive.etag, size = archive.size, "archive begun");
    let begun = Instant::now();
    let mut outcome = ArchiveOutcome::new(ArchiveEnd::Good);
    // What is known so far about the load is kept, even if the work is dropped.
    let work = async {
        let loaded = match Box::pin(load(clients, request, archive, seconds, &mut outcome)).await {
            Err(error) => Err(overdue::judge(&clients.s3, request, archive, error).await),
            end => end,
        };
        match loaded {
            Ok(ArchiveEnd::Good) => {
                let settled = settle::good(&clients.s3, request, archive, outcome.unloaded_sha256.as_deref());
                outcome.marker_lacks = Phase::Settle.of(seconds, settled).await?;
                Ok(ArchiveEnd::Good)
            }
            Err(Error::BadInput(problems)) => {
                let settled = settle_bad(clients, request, lease, archive, &problems);
                outcome.marker_lacks = Phase::Settle.of(seconds, settled).await?;
                Ok(ArchiveEnd::Bad(problems))
            }
            end => end,
        }
    };
    let end = request.cancellation.bounded(work).await;
    if end.as_ref().is_ok_and(|end| !matches!(end, ArchiveEnd::LeftToTask)) {
        overdue::forget(&clients.s3, request, archive, begun.elapsed()).await;
    }
    outcome.end = end.unwrap_or_else(ArchiveEnd::Unsettled);
    outcome
}

/// Loads an archive, unless the ledger says that it is loaded or superseded.
async fn load(
    clients: &Clients,
    request: &RunRequest,
    archive: &Object,
    seconds: &mut PhaseSeconds,
    outcome: &mut ArchiveOutcome,
) -> Result<ArchiveEnd, Error> {
    let load = ArchiveLoad { request, archive, sha256: None };
    let consult = retry::with_retries(&request.cancellation, async || load.consult(&clients.redshift).await);
    let Consulted { decided, limits } = Phase::Load.of(seconds, consult).await?;
    if let Some(end) = nothing_to_load(&decided) {
        note(decided, outcome);
        return Ok(end);
    }
    if request.left_to_task_above.is_some_and(|most| archive.size > most) {
        if request.selection.is_by_hand() {
            // The task works through the queue, which does not contain this archive.
            let message = format!(
                "{} is too large for the function (LEAVE_TO_TASK_BYTES): load it by its key with the container task or the command",
                archive.key
            );
            return Err(Error::deployment(Deployment::ReloadRefused, message));
        }
        info!(bytes = archive.size, "left to the container task, with the archives after it");
        return Ok(ArchiveEnd::LeftToTask);
    }
    let tried = overdue::refuse_tried(&clients.s3, request, archive);
    Phase::Queue.of(seconds, tried).await?;
    let (staged, downloaded) = Phase::Stage.of(seconds, stage(&clients.s3, request, archive, limits)).await?;
    let load = ArchiveLoad { sha256: Some(&downloaded.sha256), ..load };
    let authorization = clients.copy_authorization().await?;
    // The staged files are used again. A COMMIT without an answer is no problem: the ledger is read first.
    let mut learned = Learned::default();
    let run = retry::with_retries(&request.cancellation, async || {
        load.run(clients, &authorization, &staged, &mut learned).await
    });
    let decided = match Phase::Load.of(seconds, run).await {
        Err(Error::BadInput(problems)) => {
            let confirm = confirm(&clients.s3, request, archive, &downloaded);
            Phase::Stage.of(seconds, confirm).await?;
            outcome.failed_tables = refused_tables(&staged, &problems);
            return Err(problems.into());
        }
        Err(error) => {
            // Staged files are needed to find out which rows were refused.
            if !learned.has_unknown_refusals {
                discard(&clients.s3, &staged).await;
            }
            return Err(error);
        }
        Ok(decided) => decided,
    };
    if decided.decision != LoadDecision::Superseded {
        outcome.judged = learned.judged;
    }
    outcome.loaded_before = learned.repeats;
    if let Some(end) = nothing_to_load(&decided) {
        note(decided, outcome);
        outcome.unloaded_sha256 = Some(downloaded.sha256);
        discard(&clients.s3, &staged).await;
        return Ok(end);
    }
    let tables = staged.iter().map(|table| LoadedTable {
        table: table.table.name.to_string(),
        key: archive.key.clone(),
        rows: table.rows,
        empty_rows: table.empty_rows,
        dropped_columns: table.dropped_columns.clone(),
    });
    let tables: Vec<LoadedTable> = tables.collect();
    for notes in tables.iter().filter_map(LoadedTable::notes) {
        info!("{notes}");
    }
    info!(rows = tables.iter().map(|table| table.rows).sum::<u64>(), "loaded");
    outcome.loaded_tables = Some(tables);
    Ok(ArchiveEnd::Good)
}

/// Returns the outcome of an archive that is not to be loaded, according to the ledger.
fn nothing_to_load(decided: &Decided) -> Option<ArchiveEnd> {
    match decided.decision {
        LoadDecision::Load { .. } => None,
        LoadDecision::AlreadyLoaded { .. } | LoadDecision::Repeated { .. } => Some(ArchiveEnd::Good),
        LoadDecision::Superseded => {
            info!("a newer archive is loaded already; superseded");
            Some(ArchiveEnd::Superseded)
        }
    }
}

/// Records why nothing is loaded.
fn note(decided: Decided, outcome: &mut ArchiveOutcome) {
    outcome.is_repeated = matches!(decided.decision, LoadDecision::Repeated { .. });
    let Some(before) = decided.before else { return };
    let (key, at) = (&before.key, before.loaded_at);
    if outcome.is_repeated {
        warn!(same_bytes_as = %key, "not loaded: the same bytes were loaded at {at} as {key}");
    } else {
        info!(etag = before.etag, "already loaded at {at}: nothing is loaded");
    }
    outcome.loaded_before.get_or_insert(before);
}

/// Returns the tables whose members have problems.
fn refused_tables(staged: &[StagedTable<'_>], problems: &Problems) -> Vec<String> {
    let is_refused = |table: &&StagedTable<'_>| {
        problems.reported().iter().any(|problem| problem.member.as_ref() == Some(&table.member))
    };
    staged.iter().filter(is_refused).map(|table| table.table.name.to_string()).collect()
}

/// Explains why an archive is bad, sends the message, and settles it. Returns what its marker lacks.
async fn settle_bad(
    clients: &Clients,
    request: &RunRequest,
    lease: &Lease,
    archive: &Object,
    problems: &Problems,
) -> Result<Vec<String>, Error> {
    for problem in problems.reported() {
        warn!("bad input: {problem}");
    }
    if let Some(why) = problems.incomplete() {
        warn!("bad input: there may be more: {why}");
    }
    let explanation = Explanation { request, archive, problems };
    let Some(written) = explanation.write_unless_there(&clients.s3, lease.is_certain()).await? else {
        return settle::bad(&clients.s3, request, archive).await;
    };
    // Before the marker: if an invocation ends in between, the archive is found bad, and the message sent,
    // again.
    let mut is_told = false;
    if let Some(topic) = &clients.topic {
        let bad = BadArchive::new(&archive.key, archive.revision(), problems);
        is_told = notify::bad_archive(topic, &request.dataset, &bad).await;
    }
    let settled = settle::bad(&clients.s3, request, archive).await;
    if settled.is_err() && is_told {
        explanation.record_message_sent(&clients.s3, written).await;
    }
    settled
}
