//! Writes the function's page after a run, from what the run has already read from S3 and from one query to
//! Redshift.
//!
//! A whole status would list the bucket again, read the ledger from its beginning, and hold both in memory.
//! So markers and ledger are not compared here, and the cost does not grow with the history: one session with
//! one query, an `error.json` for each bad archive that is shown, and one write.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use cmslite_core::config::Dataset;
use cmslite_core::error::Error;
use cmslite_core::key::Key;
use cmslite_core::problem::ReportedErrorFile;
use cmslite_core::queue::{ArchiveState, Object};
use tracing::{debug, info, warn};

use super::overview::{
    BAD_SHOWN, BadArchive, Counts, LedgerState, MadeBy, Overview, WAITING_SHOWN, held_by_markers, is_missing,
    shown_of_passed_over,
};
use crate::cancellation::{ARCHIVE_RESERVE, Cancellation, REPORT_RESERVE};
use crate::clients::Clients;
use crate::load::{Listings, Run};
use crate::redshift::{RecentLoad, StatementError};
use crate::report::{PassedOverObject, Report};
use crate::status::{RECENT_LOADS, Waiting};

/// The time limit for the page. It is written after the report and its metrics. If less than this time, plus
/// what another run needs, is left, no page is written.
const WITHIN: Duration = Duration::from_secs(10);

/// The part of [`WITHIN`] for Redshift. A page that says that Redshift does not answer is better than no
/// page.
const LEDGER_WITHIN: Duration = Duration::from_secs(5);

/// Writes the page of a dataset after a run, if the run has read the queue and enough time is left. A failure
/// to write it is only a warning: a run that has loaded its archives has not failed.
pub async fn write_after(clients: &Clients, dataset: &Dataset, run: &Run, cancellation: &Cancellation) {
    let Some(listings) = &run.listings else {
        debug!("the status page is not written: the run has not read the queue");
        return;
    };
    if cancellation.time_left().is_some_and(|left| left < ARCHIVE_RESERVE + WITHIN) {
        info!("the status page is not written: too little time is left");
        return;
    }
    let cancellation = cancellation.within(WITHIN + REPORT_RESERVE);
    let write = async {
        let (ledger, loads) = ledger(clients, dataset, &cancellation).await;
        let mut page = Overview::of_run(dataset, &run.report, listings, ledger, loads, Utc::now());
        for bad in &mut page.bad {
            let file = clients.s3.read_small(&dataset.bucket, &dataset.error_key(&bad.key)).await?;
            let file = file.and_then(|file| ReportedErrorFile::parse(&file.bytes));
            bad.error = file.map(|file| file.as_may_be_shown(dataset.quoting));
        }
        clients.s3.put_page(&dataset.bucket, &dataset.status_key(), page.html()).await
    };
    match cancellation.bounded(write).await {
        Ok(()) => debug!(key = dataset.status_key(), "status page written"),
        Err(error) => {
            warn!(error_type = error.error_type(), "cannot write the status page: {}", error.chain());
        }
    }
}

/// Returns what the ledger says about the latest loads. Redshift ends the query when its time is up.
async fn ledger(
    clients: &Clients,
    dataset: &Dataset,
    cancellation: &Cancellation,
) -> (LedgerState, Vec<RecentLoad>) {
    let cancellation = cancellation.within(LEDGER_WITHIN + REPORT_RESERVE);
    let loads = async {
        let session = clients.redshift.connect(&cancellation).await.map_err(StatementError::Other)?;
        session.limit_statements(LEDGER_WITHIN).await?;
        let loads = session.recent_loads(dataset, RECENT_LOADS).await;
        session.close().await;
        loads
    };
    match cancellation.bounded(async { Ok(loads.await) }).await {
        Ok(Ok(loads)) => (LedgerState::Read, loads),
        Ok(Err(StatementError::MissingRelation(_))) => (LedgerState::Absent, Vec::new()),
        Ok(Err(error)) => (LedgerState::Unread(Error::from(error).chain()), Vec::new()),
        Err(error) => (LedgerState::Unread(error.chain()), Vec::new()),
    }
}

impl Overview {
    /// Returns the page's contents after a run, without the reasons of its bad archives.
    fn of_run(
        dataset: &Dataset,
        report: &Report,
        listings: &Listings,
        ledger: LedgerState,
        loads: Vec<RecentLoad>,
        made_at: DateTime<Utc>,
    ) -> Self {
        let Listings { plan, .. } = listings;
        let states = States::after(report, listings);
        let held = match ledger {
            LedgerState::Unread(_) => {
                let good = states.in_state(ArchiveState::Good).map(|archive| archive.last_modified);
                Some(held_by_markers(good))
            }
            LedgerState::Read | LedgerState::Absent => loads.last().map(|load| load.last_modified),
        };
        let bad = states.bad(dataset, held);
        let bad_and_missing = if dataset.truncate {
            bad.iter().filter(|bad| bad.is_missing).count()
        } else {
            states.count(ArchiveState::Bad)
        };
        let waiting = states.in_state(ArchiveState::Queued).map(|archive| Waiting {
            key: archive.key.clone(),
            etag: archive.revision().to_owned(),
            last_modified: archive.last_modified,
            size_bytes: archive.size,
        });
        let passed_over =
            plan.passed_over.iter().map(|(key, why)| PassedOverObject { key: key.clone(), why: *why });
        // If the run stopped after a bad archive, the page shows the archive instead of the failure.
        let failure = report.failure.clone().filter(|_| report.bad.is_empty());
        Self {
            dataset: dataset.name.clone(),
            uploads: format!("s3://{}/{}", dataset.bucket, dataset.source_prefix()),
            truncate: dataset.truncate,
            made_at,
            made_by: MadeBy::Run { request_id: report.request_id.clone(), failure },
            counts: Counts {
                good: states.count(ArchiveState::Good),
                bad: states.count(ArchiveState::Bad),
                bad_and_missing,
                waiting: states.count(ArchiveState::Queued),
                superseded: states.count(ArchiveState::Superseded),
                disagreements: 0,
                passed_over: plan.passed_over_count(),
            },
            waiting: waiting.take(WAITING_SHOWN).collect(),
            bad: bad.into_iter().take(BAD_SHOWN).collect(),
            ledger,
            loads,
            disagreements: None,
            passed_over: shown_of_passed_over(passed_over),
        }
    }
}

/// The state of each archive after a run: the run's result, or else the listings' state.
struct States<'a> {
    listings: &'a Listings,
    made: HashMap<&'a str, ArchiveState>,
    /// Archives settled by another run, with a result that is not known here.
    settled_meanwhile: HashSet<&'a str>,
}

impl<'a> States<'a> {
    fn after(report: &'a Report, listings: &'a Listings) -> Self {
        let good = report.good.iter().map(|archive| (archive.key.as_str(), ArchiveState::Good));
        let bad = report.bad.iter().map(|archive| (archive.key.as_str(), ArchiveState::Bad));
        let superseded = report.found_superseded.iter().map(|key| (key.as_str(), ArchiveState::Superseded));
        Self {
            listings,
            made: good.chain(bad).chain(superseded).collect(),
            settled_meanwhile: report.settled_meanwhile.iter().map(Key::as_str).collect(),
        }
    }

    /// Returns those archives of the plan that are in `state` after the run, oldest first.
    fn in_state(&self, state: ArchiveState) -> impl Iterator<Item = &'a Object> {
        self.listings.plan.archives.iter().filter_map(move |archive| {
            let key = archive.object.key.as_str();
            let after = self.made.get(key).copied().unwrap_or(archive.state);
            (after == state && !self.settled_meanwhile.contains(key)).then_some(&archive.object)
        })
    }

    /// Returns the number of archives in a state, including those that the plan counts but does not hold.
    fn count(&self, state: ArchiveState) -> usize {
        let plan = &self.listings.plan;
        self.in_state(state).count() + plan.count(state) - plan.in_state(state).count()
    }

    /// Returns the newest bad archives, newest first.
    fn bad(&self, dataset: &Dataset, held: Option<DateTime<Utc>>) -> Vec<BadArchive> {
        let in_plan: HashSet<&str> =
            self.listings.plan.archives.iter().map(|archive| archive.object.key.as_str()).collect();
        let listed = self.listings.newest_bad.iter().filter(|(key, _)| !in_plan.contains(key.as_str()));
        let held_by_plan =
            self.in_state(ArchiveState::Bad).map(|archive| (&archive.key, archive.last_modified));
        let mut bad: Vec<(&Key, DateTime<Utc>)> = listed.chain(held_by_plan).collect();
        bad.sort_by(|(key, uploaded), (other, before)| (before, other).cmp(&(uploaded, key)));
        let shown = bad.into_iter().map(|(key, uploaded)| BadArchive {
            key: key.clone(),
            uploaded,
            is_missing: is_missing(dataset.truncate, uploaded, held),
            error: None,
        });
        shown.collect()
    }
}
