//! A dry run: the whole queue is read, unpacked and transformed, and nothing is staged, loaded or settled.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::config::Dataset;
use crate::error::{Deployment, Error};
use crate::listings;
use crate::pipeline::Invocation;
use crate::problem::Problems;
use crate::queue::{Object, Standing, Until, plan};
use crate::report::{BadArchive, FORMAT_VERSION, Failure};
use crate::stage::Nowhere;
use crate::store::Store;
use crate::stream::stream;

/// What a dry run found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rehearsal {
    /// Version of this form.
    pub version: u32,
    /// The dataset.
    pub dataset: String,
    /// Its bucket.
    pub bucket: String,
    /// The archives of the queue that could be loaded, as far as that shows before Redshift has seen them.
    pub good: Vec<GoodArchive>,
    /// Those that would be found bad, and why.
    pub bad: Vec<BadArchive>,
    /// The archives of the queue that were beyond the limit.
    pub not_read: Vec<String>,
    /// The archives that are older than the newest and never loaded.
    pub superseded: Vec<String>,
    /// Why the dry run ended early, if it did.
    pub failure: Option<Failure>,
}

/// An archive that could be loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GoodArchive {
    /// Its key.
    pub key: String,
    /// Its revision.
    pub etag: String,
    /// Rows by table.
    pub tables: Vec<TableRows>,
}

/// Rows for a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableRows {
    /// The table.
    pub table: String,
    /// Rows.
    pub rows: u64,
}

/// Reads every archive that `until` names, up to `invocation.limit` of them, also behind a bad one. Needs S3
/// only: what the ledger would say, and what Redshift would refuse, is not asked.
pub async fn rehearse(
    store: &Store,
    dataset: &Arc<Dataset>,
    until: &Until,
    invocation: &Invocation,
) -> (Rehearsal, Option<Error>) {
    let mut rehearsal = Rehearsal {
        version: FORMAT_VERSION,
        dataset: dataset.name.clone(),
        bucket: dataset.bucket.clone(),
        good: Vec::new(),
        bad: Vec::new(),
        not_read: Vec::new(),
        superseded: Vec::new(),
        failure: None,
    };
    let failure = work(store, dataset, until, invocation, &mut rehearsal).await.err();
    rehearsal.failure =
        failure.as_ref().map(|error| Failure { error_type: error.error_type(), message: error.chain() });
    (rehearsal, failure)
}

async fn work(
    store: &Store,
    dataset: &Arc<Dataset>,
    until: &Until,
    invocation: &Invocation,
    rehearsal: &mut Rehearsal,
) -> Result<(), Error> {
    let (listings, revisions) = listings::read(store, dataset, until).await?;
    let plan = plan(dataset, &listings, &revisions);
    rehearsal.superseded = plan.standing(Standing::Superseded).map(|archive| archive.key.clone()).collect();
    let mut queue =
        plan.queue(until).map_err(|reason| Error::deployment(Deployment::NotAgain, reason.to_string()))?;
    let beyond = queue.split_off(invocation.limit.unwrap_or(usize::MAX).min(queue.len()));
    rehearsal.not_read = beyond.into_iter().map(|archive| archive.key).collect();
    for archive in queue {
        match read(store, dataset, &archive, invocation).await? {
            Ok(good) => rehearsal.good.push(good),
            Err(problems) => rehearsal.bad.push(BadArchive::new(&archive.key, archive.revision(), &problems)),
        }
    }
    Ok(())
}

async fn read(
    store: &Store,
    dataset: &Arc<Dataset>,
    archive: &Object,
    invocation: &Invocation,
) -> Result<Result<GoodArchive, Problems>, Error> {
    match Box::pin(stream(store, dataset, archive, &invocation.stop, &invocation.progress, Nowhere)).await {
        Ok(members) => {
            let rows = |member: &str| {
                members.iter().find(|staged| staged.member == member).map_or(0, |staged| staged.rows)
            };
            let tables = dataset
                .tables
                .iter()
                .map(|table| TableRows { table: table.name.to_string(), rows: rows(&table.member) });
            Ok(Ok(GoodArchive {
                key: archive.key.clone(),
                etag: archive.revision().to_owned(),
                tables: tables.collect(),
            }))
        }
        Err(Error::BadInput(problems)) => Ok(Err(problems)),
        Err(error) => Err(error),
    }
}

impl fmt::Display for Rehearsal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Dry run: {} (s3://{})", self.dataset, self.bucket)?;
        if self.good.is_empty() && self.bad.is_empty() && self.not_read.is_empty() && self.failure.is_none() {
            writeln!(f, "  The queue is empty.")?;
        }
        for archive in &self.good {
            writeln!(f, "  good  {}", archive.key)?;
            for TableRows { table, rows } in &archive.tables {
                writeln!(f, "          {table}: {rows} rows")?;
            }
        }
        for archive in &self.bad {
            writeln!(f, "  BAD   {}", archive.text())?;
        }
        for key in &self.not_read {
            writeln!(f, "  not read, beyond --limit: {key}")?;
        }
        for key in &self.superseded {
            writeln!(f, "  superseded by a newer archive, never loaded: {key}")?;
        }
        if let Some(failure) = &self.failure {
            writeln!(f, "  Ended early: {}: {}", failure.error_type, failure.message)?;
        }
        writeln!(f, "  Nothing was staged, loaded or settled.")
    }
}
