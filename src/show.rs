//! Shows everything about one archive.

// The archive as text for a person.
mod text;

use chrono::{DateTime, Utc};
use cmslite_core::config::Dataset;
use cmslite_core::error::Error;
use cmslite_core::key::Key;
use cmslite_core::problem::ReportedErrorFile;
use cmslite_core::queue::Object;
use cmslite_core::row_counts::RowsByTable;
use cmslite_core::similar::closest;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::cancellation::Cancellation;
use crate::clients::Clients;
use crate::dry_run::TableRows;
use crate::redshift::statement::{LedgerKey, Statement};
use crate::redshift::{LedgerRow, StatementError};
use crate::report::{FORMAT_VERSION, PassedOverObject};
use crate::status::{DisagreementKind, Status, Unreadable, read};

/// Everything that is known about an archive.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Archive {
    /// The version of this form.
    pub version: u32,
    /// The dataset's name.
    pub dataset: String,
    /// The dataset's bucket.
    pub bucket: String,
    /// The archive's key.
    pub key: Key,
    /// The archive's state.
    pub state: State,
    /// Why the archive is passed over, if it is.
    pub passed_over: Option<PassedOverObject>,
    /// The object that is now in S3 under its key; null if there is none.
    pub revision: Option<Revision>,
    /// The time when the archive's marker was set, if it has one.
    pub settled_at: Option<DateTime<Utc>>,
    /// The latest load of this revision; if the object no longer exists, that of the key's latest loaded
    /// revision.
    pub load: Option<LedgerRow>,
    /// The number of rows that this load added to each table; empty if the ledger does not say so.
    pub tables: Vec<TableRows>,
    /// The loads of other revisions under the archive's key, and earlier loads of this revision, oldest
    /// first.
    pub other_loads: Vec<LedgerRow>,
    /// Without `truncate`, the load of the same bytes that came before this archive's load, or that is the
    /// reason why this archive was not loaded.
    pub same_bytes_as: Option<LedgerRow>,
    /// With `truncate`, whether the tables hold the archive, according to the ledger.
    pub is_held: Option<bool>,
    /// Why the archive is bad, from its `error.json`.
    pub error_file: Option<ReportedErrorFile>,
    /// The disagreements of the archive's markers and the ledger.
    pub disagreements: Vec<DisagreementKind>,
    /// Why the ledger could not be read.
    #[serde(serialize_with = "message")]
    #[schemars(with = "Option<String>")]
    pub ledger_unreadable: Option<Unreadable>,
}

/// The state of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The archive is settled as good.
    Good,
    /// The archive is settled as bad.
    Bad,
    /// The archive is to be loaded.
    Waiting,
    /// The archive is older than the newest that is not bad. It is not loaded, unless that one is found bad.
    Superseded,
    /// The object is not an archive, by its name.
    PassedOver,
    /// The archive was loaded, and is no longer in the bucket.
    Gone,
}

/// One upload under a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Revision {
    /// The `ETag` without quotes.
    pub etag: String,
    /// The time when the revision was uploaded.
    pub last_modified: DateTime<Utc>,
    /// The size in bytes.
    pub size_bytes: u64,
}

/// The reason why an archive is not shown.
#[derive(Debug)]
pub enum ShowError {
    /// The dataset has no archive with this key or name.
    Unknown {
        /// The text that was asked for.
        asked: String,
        /// The prefix under which a name alone was looked for.
        prefix: Key,
        /// The key that was probably meant.
        nearest: Option<Key>,
    },
    /// S3 has no archive with this key, and the ledger, which may have one, cannot be read.
    Unreadable(Unreadable),
    /// The search failed.
    Failed(Error),
}

impl From<Error> for ShowError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Asks S3 and Redshift for everything about an archive of `dataset`, given by its key or by its name after
/// the dataset's prefix. If the ledger cannot be read, the result has what S3 says.
///
/// # Errors
///
/// [`ShowError`].
pub async fn show(
    clients: &Clients,
    dataset: &Dataset,
    asked: &str,
    cancellation: &Cancellation,
) -> Result<Archive, ShowError> {
    let below = format!("{}{asked}", dataset.source_prefix());
    let is_asked_for = |key: &Key| [asked, &below].contains(&key.as_str());
    let read = async {
        let (status, loads) = read(clients, dataset, true, is_asked_for, cancellation).await?;
        let Some((key, state)) = find(&status, &loads, [asked, &below]) else {
            // The ledger that cannot be read may have the archive.
            return Ok(Err(match status.ledger_unreadable {
                Some(why) => ShowError::Unreadable(why),
                None => unknown(&status, dataset, asked),
            }));
        };
        let bucket = &dataset.bucket;
        let object = clients.s3.head(bucket, &key).await?;
        let marker = match state {
            State::Good => clients.s3.head(bucket, &dataset.good_key(&key)).await?,
            State::Bad => clients.s3.head(bucket, &dataset.bad_key(&key)).await?,
            State::Waiting | State::Superseded | State::PassedOver | State::Gone => None,
        };
        let mut archive = assemble(&status, loads, key, state, object, dataset);
        archive.settled_at = marker.map(|marker| marker.last_modified);
        if let Some(load) = &archive.load {
            archive.tables = tables(clients, dataset, load, cancellation).await;
        }
        Ok::<_, Error>(Ok(archive))
    };
    cancellation.bounded(read).await?
}

/// Serialises only the message of why the ledger could not be read.
#[allow(clippy::ref_option, reason = "serde hands on a field by reference")]
fn message<S: Serializer>(why: &Option<Unreadable>, serializer: S) -> Result<S::Ok, S::Error> {
    why.as_ref().map(|why| why.message.as_str()).serialize(serializer)
}

/// Returns the key and the state of the archive that is asked for, if it exists.
fn find(status: &Status, loads: &[LedgerRow], keys: [&str; 2]) -> Option<(Key, State)> {
    keys.into_iter().find_map(|wanted| {
        let known = all(status).find(|(key, _)| key.as_str() == wanted);
        let gone =
            || loads.iter().rev().find(|row| row.key.as_str() == wanted).map(|row| (&row.key, State::Gone));
        known.or_else(gone).map(|(key, state)| (key.clone(), state))
    })
}

/// Returns every key of a dataset that S3 has, with its state.
fn all(status: &Status) -> impl Iterator<Item = (&Key, State)> {
    let waiting = status.queue.iter().map(|archive| (&archive.key, State::Waiting));
    let superseded = status.superseded.iter().map(|archive| (&archive.key, State::Superseded));
    let bad = status.bad.iter().map(|archive| (&archive.key, State::Bad));
    let good = status.good.iter().map(|archive| (&archive.key, State::Good));
    let passed_over = status.passed_over.iter().map(|object| (&object.key, State::PassedOver));
    waiting.chain(superseded).chain(bad).chain(good).chain(passed_over)
}

fn unknown(status: &Status, dataset: &Dataset, asked: &str) -> ShowError {
    let prefix = dataset.source_prefix();
    // The shared prefix of all keys does not help to find the key that was meant.
    let name = asked.strip_prefix(&prefix).unwrap_or(asked);
    let names = all(status).map(|(key, _)| key.strip_prefix(&prefix).unwrap_or(key));
    let nearest = closest(name, names).map(|name| Key::from(format!("{prefix}{name}")));
    ShowError::Unknown { asked: asked.to_owned(), prefix: prefix.into(), nearest }
}

fn assemble(
    status: &Status,
    mut loads: Vec<LedgerRow>,
    key: Key,
    state: State,
    object: Option<Object>,
    dataset: &Dataset,
) -> Archive {
    let latest = loads.last().map(|row| (row.key.clone(), row.etag.clone()));
    loads.retain(|row| row.key == key);
    let revision = object.map(|object| Revision {
        etag: object.revision().to_owned(),
        last_modified: object.last_modified,
        size_bytes: object.size,
    });
    let of_revision = |row: &LedgerRow| revision.as_ref().is_none_or(|revision| revision.etag == row.etag);
    let load = loads.iter().rposition(of_revision).map(|at| loads.remove(at));
    let good = status.good.iter().find(|good| good.key == key);
    let bad = status.bad.iter().find(|bad| bad.key == key);
    let passed_over = status.passed_over.iter().find(|object| object.key == key);
    let disagreements = status.disagreements.iter().filter(|found| found.key == key);
    let is_held = load
        .as_ref()
        .is_some_and(|load| latest.is_some_and(|(key, etag)| key == load.key && etag == load.etag));
    Archive {
        version: FORMAT_VERSION,
        dataset: status.dataset.clone(),
        bucket: status.bucket.clone(),
        state,
        passed_over: passed_over.cloned(),
        revision,
        settled_at: None,
        load,
        tables: Vec::new(),
        other_loads: loads,
        same_bytes_as: good.and_then(|good| good.same_bytes_as.clone()),
        is_held: dataset.truncate.then_some(is_held),
        error_file: bad.and_then(|bad| bad.error.clone()),
        disagreements: disagreements.map(|found| found.kind.clone()).collect(),
        ledger_unreadable: status.ledger_unreadable.clone(),
        key,
    }
}

/// Returns the number of rows that a load added to each table; empty if the numbers cannot be read.
async fn tables(
    clients: &Clients,
    dataset: &Dataset,
    load: &LedgerRow,
    cancellation: &Cancellation,
) -> Vec<TableRows> {
    let read = async {
        let session = clients.redshift.connect(cancellation).await.map_err(StatementError::Other)?;
        if let Some(limit) = cancellation.statement_timeout() {
            session.limit_statements(limit).await?;
        }
        let entry = LedgerKey {
            dataset: &dataset.name,
            bucket: &dataset.bucket,
            key: &load.key,
            etag: &load.etag,
            sha256: None,
            last_modified: load.last_modified,
        };
        let told = session
            .run(&Statement::ReadLedger {
                ledger: &dataset.ledger,
                entry: &entry,
                by_request: Some(&load.request_id),
            })
            .await?;
        // The second column is the number of the latest load of this revision by `load.request_id`.
        let number = told.first().and_then(|row| row.get(1)).and_then(Option::as_ref);
        let rows = match number.and_then(|number| number.parse().ok()) {
            Some(sequence) => session.table_rows(dataset, sequence).await,
            None => Ok(RowsByTable::default()),
        };
        session.close().await;
        rows
    };
    match read.await {
        Ok(rows) => rows.into_iter().map(|(table, rows)| TableRows { table, rows }).collect(),
        Err(error) => {
            tracing::debug!(error = %Error::from(error).chain(), "cannot read the rows by table");
            Vec::new()
        }
    }
}
