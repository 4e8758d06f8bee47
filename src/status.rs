//! Describes the state of a dataset: its queue, its settled archives, and where markers and ledger disagree.

// The combination of listings, ledger and `error.json` files.
mod assemble;
// The markers that were found.
mod markers;
// The status as JSON.
mod json;
// The status as text for a person.
mod text;

// The values of a status.
mod state;

use std::collections::BTreeMap;

use cmslite_core::config::Dataset;
use cmslite_core::error::Error;
use cmslite_core::key::Key;
use cmslite_core::problem::ReportedErrorFile;
use cmslite_core::queue::{ArchiveState, Kept, Plan, Selection};
use tracing::debug;

use self::assemble::{Read, assemble, marked_not_loaded};
use self::markers::Markers;
use crate::cancellation::Cancellation;
use crate::clients::Clients;
use crate::listing;
use crate::redshift::{LedgerRow, RecentLoad, StatementError};

pub use self::state::{Bad, Disagreement, DisagreementKind, Good, Ledger, Status, Unreadable, Waiting};

/// The maximum number of latest loads whose rows by table are read.
pub const RECENT_LOADS: usize = 20;

/// The maximum number of markers that are read: the newest of those that the ledger does not explain.
const MARKERS_READ: usize = 100;

/// Asks S3 and Redshift for the state of `dataset`. With `all`, its text shows everything; otherwise it shows
/// only a part of each long list. If the ledger cannot be read, the markers are still shown.
///
/// # Errors
///
/// S3's errors, sorted by who must act; those of [`Cancellation::bounded`].
pub async fn status(
    clients: &Clients,
    dataset: &Dataset,
    all: bool,
    cancellation: &Cancellation,
) -> Result<Status, Error> {
    let read = read(clients, dataset, all, |_| true, cancellation);
    cancellation.bounded(async { Ok(read.await?.0) }).await
}

/// Does the same as [`status`], with every row of the ledger, but reads `error.json` only for the bad
/// archives whose keys are `wanted`.
///
/// # Errors
///
/// S3's errors, sorted by who must act.
pub(crate) async fn read(
    clients: &Clients,
    dataset: &Dataset,
    all: bool,
    wanted: impl Fn(&Key) -> bool,
    cancellation: &Cancellation,
) -> Result<(Status, Vec<LedgerRow>), Error> {
    // Everything is kept, because a status shows it. Only a status takes memory that grows with history.
    let mut markers = Markers::default();
    let listed = listing::read(&clients.s3, dataset, &Selection::WholeQueue, Kept::Everything, |listed| {
        markers.add(listed);
    });
    let (plan, (ledger, recent_loads)) = tokio::join!(listed, ledger(clients, dataset, cancellation));
    let plan = plan?;
    let mut errors = BTreeMap::new();
    for archive in plan.in_state(ArchiveState::Bad).filter(|archive| wanted(&archive.key)) {
        let file = clients.s3.read_small(&dataset.bucket, &dataset.error_key(&archive.key)).await?;
        let file = file.and_then(|file| ReportedErrorFile::parse(&file.bytes));
        // The file may have been written when cells could be quoted.
        let file = file.map(|file| file.as_may_be_shown(dataset.quoting));
        errors.extend(file.map(|file| (archive.key.clone(), file)));
    }
    let unloaded = unloaded(clients, dataset, &markers, &plan, &ledger).await;
    let read = Read {
        markers: &markers,
        plan: &plan,
        errors: &errors,
        unloaded: &unloaded,
        recent_loads: &recent_loads,
    };
    let (rows, ledger_unreadable) = match ledger {
        Ledger::Rows(rows) => (Some(rows), None),
        Ledger::Absent => (None, None),
        Ledger::Unreadable(why) => (None, Some(why)),
    };
    let status = assemble(dataset, read, rows.as_deref(), ledger_unreadable, all);
    Ok((status, rows.unwrap_or_default()))
}

/// Reads the newest markers of the archives that are marked good and not in the ledger. Returns the SHA-256
/// in each marker's metadata, which it has if the archive's bytes were loaded before. Empty with `truncate`.
async fn unloaded(
    clients: &Clients,
    dataset: &Dataset,
    markers: &Markers,
    plan: &Plan,
    ledger: &Ledger,
) -> BTreeMap<Key, Option<String>> {
    let mut unloaded = BTreeMap::new();
    let (Ledger::Rows(rows), false) = (ledger, dataset.truncate) else { return unloaded };
    for archive in marked_not_loaded(dataset, markers, plan, rows).into_iter().rev().take(MARKERS_READ) {
        match clients.s3.named_sha256(&dataset.bucket, &dataset.good_key(&archive.key)).await {
            Ok(sha256) => {
                unloaded.insert(archive.key.clone(), sha256);
            }
            Err(error) => {
                debug!(error = %error.chain(), "cannot read the markers");
                break;
            }
        }
    }
    unloaded
}

/// Returns the ledger, and the latest loads with their rows by table, which are empty if they cannot be read.
async fn ledger(
    clients: &Clients,
    dataset: &Dataset,
    cancellation: &Cancellation,
) -> (Ledger, Vec<RecentLoad>) {
    let mut recent_loads = Vec::new();
    let rows = async {
        let session = clients.redshift.connect(cancellation).await.map_err(StatementError::Other)?;
        if let Some(limit) = cancellation.statement_timeout() {
            session.limit_statements(limit).await?;
        }
        let rows = session.loads(dataset).await;
        if rows.is_ok() {
            match session.recent_loads(dataset, RECENT_LOADS).await {
                Ok(loads) => recent_loads = loads,
                Err(error) => debug!(error = %Error::from(error).chain(), "cannot read the rows by table"),
            }
        }
        session.close().await;
        rows
    };
    let ledger = match rows.await {
        Ok(rows) => Ledger::Rows(rows),
        Err(StatementError::MissingRelation(_)) => Ledger::Absent,
        Err(error) => Ledger::Unreadable(Error::from(error).into()),
    };
    (ledger, recent_loads)
}
