//! Checks whether a dataset could be loaded: every permission, table and column that a load needs is tried,
//! and nothing is loaded.
//!
//! Permissions are not looked up but used: the statements of a load are sent in a transaction that is rolled
//! back, with COPY told to load nothing.

// Redshift: login, ledger, tables.
mod database;
// S3: listing, reading, writing, copying.
mod storage;
// What the configuration shows by itself.
mod offline;
// The differences between a table and the configuration.
mod columns;
// The permissions that the user lacks.
mod grants;

// The findings and their remedies.
mod finding;

use cmslite_core::config::Dataset;
use cmslite_core::error::Error;

use self::database::check_redshift;
use self::storage::check_s3;
use crate::cancellation::Cancellation;
use crate::clients::Clients;
use crate::report::FORMAT_VERSION;

pub use self::finding::{Check, Finding, Outcome};
pub use self::offline::check_offline;

/// Tries everything that a load of `dataset` needs. Leaves nothing behind but the small files that it writes
/// below `batch/`, which the bucket's lifecycle rule removes. When the time is used up, it returns the
/// findings so far and what it was waiting for.
pub async fn check(clients: &Clients, dataset: &Dataset, cancellation: &Cancellation) -> Check {
    let mut findings = vec![Finding::good(
        "configuration",
        format!(
            "{} tables, {}; archives below s3://{}/{} that match {}",
            dataset.tables.len(),
            if dataset.truncate { "each load replaces their rows" } else { "each load appends" },
            dataset.bucket,
            dataset.source_prefix(),
            dataset.doc.as_str()
        ),
    )];
    let work = async {
        let staged = check_s3(clients, dataset, &mut findings).await;
        check_redshift(clients, dataset, staged, cancellation, &mut findings).await;
        Ok::<_, Error>(())
    };
    if let Err(error) = cancellation.bounded(work).await {
        findings.push(Finding::bad("check", error.chain(), error.remedy()));
    }
    Check { version: FORMAT_VERSION, dataset: dataset.name.clone(), is_offline: false, findings }
}
