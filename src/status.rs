//! Where a dataset stands: its queue, what is settled and how, and where markers and ledger disagree.

// Listings, ledger and `error.json`s put together.
mod assemble;
// As JSON.
mod json;
// As text for a person.
mod text;

// What a status says.
mod state;

use std::collections::BTreeMap;

use cmslite_core::config::Dataset;
use cmslite_core::error::Error;
use cmslite_core::problem::ReportedErrorFile;
use cmslite_core::queue::{ArchiveState, Selection, plan};

use self::assemble::assemble;
use crate::cancellation::Cancellation;
use crate::clients::Clients;
use crate::listing;
use crate::redshift::StatementError;
use crate::redshift::statement::Statement;

pub use self::state::{Bad, Disagreement, DisagreementKind, Good, Ledger, Status, Waiting};

/// Asks S3 and Redshift where `dataset` stands; `all` is whether everything is
/// shown, and not only both ends of long lists. A ledger that
/// cannot be read leaves the markers to be shown.
///
/// # Errors
///
/// S3's, by who must act; those of [`Cancellation::bounded`].
pub async fn status(
    clients: &Clients,
    dataset: &Dataset,
    all: bool,
    cancellation: &Cancellation,
) -> Result<Status, Error> {
    cancellation.bounded(read(clients, dataset, all, cancellation)).await
}

async fn read(
    clients: &Clients,
    dataset: &Dataset,
    all: bool,
    cancellation: &Cancellation,
) -> Result<Status, Error> {
    let selection = Selection::WholeQueue;
    let (read, ledger) =
        tokio::join!(listing::read(&clients.s3, dataset, &selection), ledger(clients, dataset, cancellation));
    let (listings, revisions) = read?;
    let plan = plan(dataset, &listings, &revisions);
    let mut errors = BTreeMap::new();
    for archive in plan.in_state(ArchiveState::Bad) {
        let file = clients.s3.read_small(&dataset.bucket, &dataset.error_key(&archive.key)).await?;
        let file = file.and_then(|file| ReportedErrorFile::parse(&file.bytes));
        // It may have been written when cells could be quoted.
        let file = file.map(|file| file.as_may_be_shown(dataset.quoting));
        errors.extend(file.map(|file| (archive.key.clone(), file)));
    }
    Ok(assemble(dataset, &listings, &plan, ledger, &errors, all))
}

async fn ledger(clients: &Clients, dataset: &Dataset, cancellation: &Cancellation) -> Ledger {
    let rows = async {
        let session = clients.redshift.connect(cancellation).await.map_err(StatementError::Other)?;
        if let Some(limit) = cancellation.statement_timeout() {
            session.run(&Statement::StatementTimeout(limit.as_millis().max(1))).await?;
        }
        let rows = session.loads(&dataset.ledger, &dataset.name, &dataset.bucket).await;
        session.close().await;
        rows
    };
    match rows.await {
        Ok(rows) => Ledger::Rows(rows),
        Err(StatementError::MissingRelation(_)) => Ledger::Absent,
        Err(error) => Ledger::Unreadable(Error::from(error).chain()),
    }
}
