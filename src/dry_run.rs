//! Makes a dry run: reads, unpacks and transforms the whole queue, and stages, loads and settles nothing.

use std::fmt;

use cmslite_core::error::{Deployment, Error};
use cmslite_core::key::Key;
use cmslite_core::limits::TableLimits;
use cmslite_core::problem::Problems;
use cmslite_core::queue::{Kept, Object};
use schemars::JsonSchema;
use serde::Serialize;

use crate::listing;
use crate::report::{BadArchive, FORMAT_VERSION, Failure, Section, few, superseded};
use crate::run_request::RunRequest;
use crate::s3::S3;
use crate::stage::{NullSink, read_proven};

/// The result of a dry run.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct DryRun {
    /// The version of this form.
    pub version: u32,
    /// The dataset's name.
    pub dataset: String,
    /// The dataset's bucket.
    pub bucket: String,
    /// The archives of the queue that could be loaded, as far as this can be known without Redshift.
    pub good: Vec<CheckedArchive>,
    /// The archives that would be found bad, and why.
    pub bad: Vec<BadArchive>,
    /// The archives of the queue that were beyond the limit.
    pub not_read: Vec<Key>,
    /// The archives that are older than the newest that is not bad, and are never loaded.
    pub superseded: Vec<Key>,
    /// The number of further archives, older than these.
    pub superseded_further: usize,
    /// Why the dry run ended early, if it did.
    pub failure: Option<Failure>,
}

/// An archive that could be loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CheckedArchive {
    /// The archive's key.
    pub key: Key,
    /// The archive's revision.
    pub etag: String,
    /// The rows by table.
    pub tables: Vec<TableRows>,
}

/// The rows for a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TableRows {
    /// The table's name.
    pub table: String,
    /// The number of rows.
    pub rows: u64,
}

/// Reads every archive that the request names, up to its limit, also after a bad one. It needs only S3: the
/// ledger and Redshift are not asked.
pub async fn run(s3: &S3, request: &RunRequest) -> (DryRun, Option<Error>) {
    let mut dry_run = DryRun {
        version: FORMAT_VERSION,
        dataset: request.dataset.name.clone(),
        bucket: request.dataset.bucket.clone(),
        good: Vec::new(),
        bad: Vec::new(),
        not_read: Vec::new(),
        superseded: Vec::new(),
        superseded_further: 0,
        failure: None,
    };
    let failure = work(s3, request, &mut dry_run).await.err();
    dry_run.failure = failure.as_ref().map(Failure::from);
    (dry_run, failure)
}

async fn work(s3: &S3, request: &RunRequest, dry_run: &mut DryRun) -> Result<(), Error> {
    let RunRequest { dataset, selection, limit, .. } = request;
    let cancellation = &request.cancellation;
    let listed = listing::read(s3, dataset, selection, Kept::WhatDecides, |_| {});
    let mut plan = cancellation.bounded(listed).await?;
    listing::log_passed_over(&plan);
    let mut left = limit.unwrap_or(usize::MAX);
    loop {
        let mut queue = plan
            .queue(selection)
            .map_err(|reason| Error::deployment(Deployment::ReloadRefused, reason.to_string()))?;
        dry_run.superseded = plan.superseded_keys().collect();
        dry_run.superseded_further = plan.forgotten.superseded;
        let beyond = queue.split_off(left.min(queue.len()));
        dry_run.not_read = beyond.into_iter().map(|archive| archive.key).collect();
        left -= queue.len();
        let mut found_bad = None;
        for archive in queue {
            match cancellation.bounded(read(s3, request, &archive)).await? {
                Ok(good) => dry_run.good.push(good),
                Err(problems) => {
                    dry_run.bad.push(BadArchive::new(&archive.key, archive.revision(), &problems));
                    found_bad = Some(archive.key);
                }
            }
        }
        // After a bad archive, the one that it would have replaced is next.
        match found_bad {
            Some(bad) if dataset.truncate && !selection.is_by_hand() => plan.settle_as_bad(&bad),
            _ => return Ok(()),
        }
    }
}

async fn read(
    s3: &S3,
    request: &RunRequest,
    archive: &Object,
) -> Result<Result<CheckedArchive, Problems>, Error> {
    let mut limits = TableLimits::default();
    if request.accepts_few_rows() {
        limits.accept_few_rows();
    }
    let read = read_proven(s3, request, archive, &limits, || (NullSink, ()));
    match Box::pin(read).await {
        Ok((members, (), _)) => {
            let rows = |member: &str| {
                members.iter().find(|staged| staged.member == member).map_or(0, |staged| staged.rows)
            };
            let tables = request
                .dataset
                .tables
                .iter()
                .map(|table| TableRows { table: table.name.to_string(), rows: rows(&table.member) });
            Ok(Ok(CheckedArchive {
                key: archive.key.clone(),
                etag: archive.revision().to_owned(),
                tables: tables.collect(),
            }))
        }
        Err(Error::BadInput(problems)) => Ok(Err(problems)),
        Err(error) => Err(error),
    }
}

impl fmt::Display for DryRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Dry run: {} (s3://{})", self.dataset, self.bucket)?;
        if self.good.is_empty() && self.bad.is_empty() && self.not_read.is_empty() && self.failure.is_none() {
            writeln!(f, "  The queue is empty.")?;
        }
        let (good, more_good) = few(&self.good);
        for archive in good {
            writeln!(f, "  good  {}", archive.key)?;
            for TableRows { table, rows } in &archive.tables {
                writeln!(f, "          {table}: {rows} rows")?;
            }
        }
        let (bad, more_bad) = few(&self.bad);
        for archive in bad {
            writeln!(f, "  BAD   {}", archive.text())?;
        }
        if more_good + more_bad > 0 {
            writeln!(f, "  and {more_good} more good and {more_bad} more bad; --json shows them all")?;
        }
        Section::new("Not read, beyond --limit", "--json").write(f, self.not_read.iter())?;
        Section { further: self.superseded_further, ..superseded() }.write(f, self.superseded.iter())?;
        if let Some(failure) = &self.failure {
            writeln!(f, "  Ended early: {}: {}", failure.error_type, failure.message)?;
        }
        writeln!(f, "  Nothing was staged, loaded or settled.")
    }
}
