//! Tries S3: whether archives can be listed and read, staged files written, and markers set.

use std::ops::ControlFlow;

use chrono::{DateTime, Utc};
use cmslite_core::config::{Dataset, Table};
use cmslite_core::error::{Error, Fault, Retryable};
use cmslite_core::key::Key;
use cmslite_core::queue::{ArchiveState, Kept, Listed, Object, Plan, Selection};

use super::finding::Finding;
use crate::cancellation::Cancellation;
use crate::clients::Clients;
use crate::listing;
use crate::stage::{Manifest, StagedKeys, staged_text};

/// The name under which files are written for the check. It is not an archive's name.
pub(super) const NAME: &str = "check";

/// Checks whether archives can be listed and read, staged files written, and markers set. Returns whether
/// files for COPY were written.
pub(super) async fn check_s3(clients: &Clients, dataset: &Dataset, findings: &mut Vec<Finding>) -> bool {
    let (s3, bucket) = (&clients.s3, &dataset.bucket);
    let mut shared = None;
    let seen = |listed: &Listed| find_shared(dataset, listed, &mut shared);
    let plan = match listing::read(s3, dataset, &Selection::WholeQueue, Kept::WhatDecides, seen).await {
        Err(error) => {
            findings.push(Finding::bad("S3: list", error.chain(), error.remedy()));
            return false;
        }
        Ok(plan) => plan,
    };
    findings.push(Finding::good("S3: list", listing_text(&plan)));
    if let Some((_, key, rival)) = shared {
        let text = format!("{key} is an archive of {rival} too");
        findings.push(Finding::bad("datasets", text, "let \"doc\" of only one dataset match it"));
    }
    match plan.archives.last() {
        None => findings.push(Finding::note("S3: read", "there is no archive yet", "upload one")),
        Some(newest) => {
            let key = &newest.object.key;
            // GET may be refused where HEAD is not: for storage classes and encryption keys. An empty range
            // is not possible.
            let read = match newest.object.size {
                0 => s3.head(bucket, key).await.map(drop),
                _ => s3.read_beginning(bucket, key, 1, |_| ControlFlow::Break(())).await,
            };
            findings.push(Finding::of("S3: read", key, read));
        }
    }
    let written = write_files(clients, dataset).await;
    let is_written = written.is_ok();
    findings.push(Finding::of("S3: write", &format!("below {}", dataset.batch_prefix()), written));
    if is_written {
        findings.extend(check_encryption(clients, dataset).await);
        let settled = settle_nothing(clients, dataset).await;
        findings.push(Finding::of(
            "S3: copy and delete",
            &format!("below {} and {}", dataset.good_prefix(), dataset.bad_prefix()),
            settled,
        ));
    }
    is_written
}

/// Finds the oldest archive that another dataset also matches: its time, its key, and that dataset.
fn find_shared<'a>(
    dataset: &'a Dataset,
    listed: &Listed,
    oldest: &mut Option<(DateTime<Utc>, Key, &'a str)>,
) {
    let Some(object) = &listed.source else { return };
    let is_older =
        oldest.as_ref().is_none_or(|(at, key, _)| (object.last_modified, &object.key) < (*at, key));
    if is_older
        && dataset.matches(&object.key)
        && let Some(rival) = dataset.rival_of(&object.key)
    {
        *oldest = Some((object.last_modified, object.key.clone(), rival));
    }
}

fn listing_text(plan: &Plan) -> String {
    let count = |state| plan.count(state);
    let [good, bad, superseded, queued] =
        [ArchiveState::Good, ArchiveState::Bad, ArchiveState::Superseded, ArchiveState::Queued].map(count);
    let passed_over = match plan.passed_over_count() {
        0 => String::new(),
        count => format!("; {count} other objects passed over (`status` names them)"),
    };
    format!(
        "{} archives: {good} good, {bad} bad, {superseded} superseded, {queued} to load{passed_over}",
        plan.found()
    )
}

/// Returns the keys of one table's staged file and manifest.
pub(super) fn staged_keys(dataset: &Dataset, table: &Table) -> StagedKeys {
    let key = format!("{}{NAME}", dataset.source_prefix());
    // Written like a large archive's, so that COPY is tried with that format too.
    StagedKeys::new(dataset, &key, "00000000", "check", table, dataset.staging_of(u64::MAX))
}

/// Writes a staged file without rows, and its manifest, for each table.
async fn write_files(clients: &Clients, dataset: &Dataset) -> Result<(), Error> {
    let (s3, bucket) = (&clients.s3, &dataset.bucket);
    for table in &dataset.tables {
        let keys = staged_keys(dataset, table);
        let columns: Vec<&str> = table.loaded_columns().collect();
        let text = staged_text(keys.staging(), format!("{}\n", columns.join(","))).map_err(|error| {
            Fault::new(Retryable::Unknown, "a staged file cannot be compressed").caused_by(error)
        })?;
        s3.put(bucket, &keys.piece(0), text, keys.content_type()).await?;
        s3.put(bucket, &keys.manifest(), Manifest::of(bucket, &keys, 1).to_json(), "application/json")
            .await?;
    }
    Ok(())
}

/// Finds the KMS key, if there is one, that encrypts the written files: COPY's role must be able to use it
/// too.
async fn check_encryption(clients: &Clients, dataset: &Dataset) -> Option<Finding> {
    const SUBJECT: &str = "S3: encryption";
    let key = staged_keys(dataset, dataset.tables.first()?).piece(0);
    match clients.s3.kms_key(&dataset.bucket, &key).await {
        Ok(Some(key)) => {
            let text = format!(
                "written objects are encrypted with {key}; the role of COPY needs kms:Decrypt for it"
            );
            Some(Finding::good(SUBJECT, text))
        }
        Ok(None) if clients.s3.has_kms_key() => Some(Finding::bad(
            SUBJECT,
            "the written object is not encrypted with the key of S3_KMS_KEY_ID",
            "this S3 does not support KMS: unset S3_KMS_KEY_ID",
        )),
        Ok(None) => None,
        Err(error) => Some(Finding::bad(SUBJECT, error.chain(), error.remedy())),
    }
}

/// Copies a file to the markers' prefixes, under a name that is not an archive's, and removes the copies.
async fn settle_nothing(clients: &Clients, dataset: &Dataset) -> Result<(), Error> {
    let (s3, bucket) = (&clients.s3, &dataset.bucket);
    let Some(table) = dataset.tables.first() else { return Ok(()) };
    let key = staged_keys(dataset, table).piece(0);
    let file: Option<Object> = s3.head(bucket, &key).await?;
    let file = file
        .ok_or_else(|| Error::retryable(Retryable::SourceChanged, format!("s3://{bucket}/{key} is gone")))?;
    for prefix in [dataset.good_prefix(), dataset.bad_prefix()] {
        let copy = format!("{prefix}{NAME}");
        s3.copy(bucket, &file, &copy, None, &Cancellation::default()).await.map(drop)?;
        s3.delete(bucket, &copy).await?;
    }
    Ok(())
}
