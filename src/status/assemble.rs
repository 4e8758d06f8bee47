//! Combines listings, ledger and `error.json` files, and finds where they disagree.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::SubsecRound as _;
use cmslite_core::config::Dataset;
use cmslite_core::key::Key;
use cmslite_core::problem::ReportedErrorFile;
use cmslite_core::queue::{Archive, ArchiveState, Object, Plan};

use super::markers::Markers;
use super::state::{Bad, Disagreement, DisagreementKind, Good, Status, Unreadable, Waiting};
use crate::redshift::{LedgerRow, RecentLoad};
use crate::report::PassedOverObject;

/// A revision, as both the ledger and the listings name it.
type Revision<'a> = (&'a str, &'a str);

fn revision(object: &Object) -> Revision<'_> {
    (&object.key, object.revision())
}

/// The input of [`assemble`]: what was read from S3, and the latest loads with their rows by table.
#[derive(Clone, Copy)]
pub(super) struct Read<'a> {
    pub(super) markers: &'a Markers,
    pub(super) plan: &'a Plan,
    /// The `error.json` files, by the archives' keys.
    pub(super) errors: &'a BTreeMap<Key, ReportedErrorFile>,
    /// The SHA-256 in each good marker that was read, by the archives' keys. The marker of an archive whose
    /// bytes were loaded before has one.
    pub(super) unloaded: &'a BTreeMap<Key, Option<String>>,
    /// The latest loads.
    pub(super) recent_loads: &'a [RecentLoad],
}

/// Combines what S3 and the ledger say. With `all`, the text shows everything.
pub(super) fn assemble(
    dataset: &Dataset,
    read: Read<'_>,
    rows: Option<&[LedgerRow]>,
    ledger_unreadable: Option<Unreadable>,
    all: bool,
) -> Status {
    let Read { markers, plan, errors, unloaded, recent_loads } = read;
    let known = rows.unwrap_or_default();
    let loads: HashMap<Revision<'_>, &LedgerRow> =
        known.iter().map(|row| ((row.key.as_str(), row.etag.as_str()), row)).collect();
    // An archive that waits after a bad one may be older than the archive in the tables: the next run finds
    // it superseded.
    let is_superseded = |object: &&Object| dataset.truncate && is_older_than_loaded(object, known);
    let queued = || plan.in_state(ArchiveState::Queued);
    let mut superseded: Vec<&Object> = plan.in_state(ArchiveState::Superseded).collect();
    superseded.extend(queued().filter(is_superseded));
    let mut first_of: HashMap<&str, &LedgerRow> = HashMap::new();
    for row in known {
        if let Some(sha256) = &row.sha256 {
            first_of.entry(sha256).or_insert(row);
        }
    }
    // This is the first load of the same bytes, if it was another archive's or this archive was not loaded.
    let same_bytes_as = |object: &Object| -> Option<&LedgerRow> {
        let load = loads.get(&revision(object)).copied();
        let sha256 =
            load.and_then(|load| load.sha256.as_ref()).or_else(|| unloaded.get(&object.key)?.as_ref())?;
        let first = first_of.get(sha256.as_str()).copied()?;
        let is_another = load.is_none() || first.key != object.key;
        (is_another && !dataset.truncate).then_some(first)
    };
    let mut disagreements = marker_disagreements(dataset, markers, plan);
    let shared = plan.archives.iter().filter(|archive| dataset.rival_of(&archive.object.key).is_some());
    disagreements
        .extend(shared.map(|archive| disagreement(&archive.object.key, DisagreementKind::TwoDatasets)));
    if ledger_unreadable.is_none() {
        // Without `truncate`, an archive whose marker was not read may have bytes that were loaded. Loading
        // it again would double them.
        let is_explained = |object: &&Object| {
            same_bytes_as(object).is_some() || !dataset.truncate && !unloaded.contains_key(&object.key)
        };
        let explained: HashSet<&str> = plan
            .in_state(ArchiveState::Good)
            .filter(is_explained)
            .map(|object| object.key.as_str())
            .collect();
        let of_ledger = ledger_disagreements(dataset, markers, plan, known, &loads);
        disagreements.extend(of_ledger.into_iter().filter(|found| {
            found.kind != DisagreementKind::MarkedNotLoaded || !explained.contains(found.key.as_str())
        }));
    }
    Status {
        dataset: dataset.name.clone(),
        bucket: dataset.bucket.clone(),
        queue: queued().filter(|object| !is_superseded(object)).map(waiting).collect(),
        superseded: superseded.into_iter().map(waiting).collect(),
        bad: plan
            .in_state(ArchiveState::Bad)
            .map(|object| Bad {
                key: object.key.clone(),
                etag: object.revision().to_owned(),
                last_modified: object.last_modified,
                error: errors.get(&object.key).cloned(),
            })
            .collect(),
        good: plan
            .in_state(ArchiveState::Good)
            .map(|object| Good {
                key: object.key.clone(),
                etag: object.revision().to_owned(),
                last_modified: object.last_modified,
                load: loads.get(&revision(object)).map(|row| (*row).clone()),
                same_bytes_as: same_bytes_as(object).cloned(),
            })
            .collect(),
        passed_over: plan
            .passed_over
            .iter()
            .map(|(key, why)| PassedOverObject { key: key.clone(), why: *why })
            .collect(),
        ledger_rows: rows.map(<[LedgerRow]>::len),
        ledger_unreadable,
        recent_loads: recent_loads.to_vec(),
        tables_hold: known.last().filter(|_| dataset.truncate).cloned(),
        disagreements,
        all,
    }
}

fn waiting(object: &Object) -> Waiting {
    Waiting {
        key: object.key.clone(),
        etag: object.revision().to_owned(),
        last_modified: object.last_modified,
        size_bytes: object.size,
    }
}

/// Checks whether this archive is not in the tables and a newer archive was loaded.
fn is_older_than_loaded(object: &Object, rows: &[LedgerRow]) -> bool {
    let age = (object.last_modified, &object.key);
    let is_held = rows.last().is_some_and(|row| (row.key.as_str(), row.etag.as_str()) == revision(object));
    !is_held && rows.iter().any(|row| (row.last_modified, &row.key) > age)
}

fn disagreement(key: &str, kind: DisagreementKind) -> Disagreement {
    Disagreement { key: key.into(), kind }
}

/// Returns the disagreements between the markers.
fn marker_disagreements(dataset: &Dataset, markers: &Markers, plan: &Plan) -> Vec<Disagreement> {
    // An archive may have left the source: its markers and its error.json still belong together.
    let prefix = dataset.bad_key("");
    let mut keys: BTreeSet<&str> = plan.archives.iter().map(|archive| archive.object.key.as_str()).collect();
    keys.extend(
        markers
            .bad
            .iter()
            .filter_map(|key| key.strip_prefix(&prefix))
            .map(|key| key.strip_suffix(".error.json").unwrap_or(key)),
    );
    let mut disagreements = Vec::new();
    for key in keys {
        let (is_good, is_bad) =
            (markers.is_good(&dataset.good_key(key)), markers.is_bad(&dataset.bad_key(key)));
        let has_reason = markers.is_bad(&dataset.error_key(key));
        if is_good && is_bad {
            disagreements.push(disagreement(key, DisagreementKind::TwoMarkers));
        }
        match (is_bad, has_reason) {
            (true, false) => disagreements.push(disagreement(key, DisagreementKind::BadWithoutReason)),
            (false, true) => disagreements.push(disagreement(key, DisagreementKind::ReasonWithoutMarker)),
            _ => {}
        }
    }
    disagreements
}

/// Returns the archives that were marked good since the ledger began and are not in it. The script settled
/// those that were marked before.
pub(super) fn marked_not_loaded<'p>(
    dataset: &Dataset,
    markers: &Markers,
    plan: &'p Plan,
    rows: &[LedgerRow],
) -> Vec<&'p Object> {
    let loaded: HashSet<Revision<'_>> =
        rows.iter().map(|row| (row.key.as_str(), row.etag.as_str())).collect();
    // S3's times have whole seconds.
    let Some(began) = rows.first().map(|row| row.loaded_at.trunc_subsecs(0)) else { return Vec::new() };
    plan.in_state(ArchiveState::Good)
        .filter(|object| !loaded.contains(&revision(object)))
        .filter(|object| markers.good_since(&dataset.good_key(&object.key)).is_some_and(|at| at >= began))
        .collect()
}

/// Returns the disagreements between the markers and the ledger.
fn ledger_disagreements(
    dataset: &Dataset,
    markers: &Markers,
    plan: &Plan,
    rows: &[LedgerRow],
    loads: &HashMap<Revision<'_>, &LedgerRow>,
) -> Vec<Disagreement> {
    let latest = rows.last().map(|row| (row.key.as_str(), row.etag.as_str()));
    let not_loaded: HashSet<Revision<'_>> =
        marked_not_loaded(dataset, markers, plan, rows).into_iter().map(revision).collect();
    let newest_good = plan.archives.iter().rev().find(|archive| archive.state == ArchiveState::Good);
    let mut disagreements = Vec::new();
    for archive in &plan.archives {
        let Archive { object, state } = archive;
        let is_loaded = loads.contains_key(&revision(object));
        let is_held = if dataset.truncate { latest == Some(revision(object)) } else { is_loaded };
        let kind = match state {
            ArchiveState::Queued if is_held => DisagreementKind::LoadedNotMarked,
            ArchiveState::Bad if is_held => DisagreementKind::LoadedMarkedBad,
            ArchiveState::Good if not_loaded.contains(&revision(object)) => DisagreementKind::MarkedNotLoaded,
            ArchiveState::Good
                if dataset.truncate && is_loaded && !is_held && newest_good == Some(archive) =>
            {
                DisagreementKind::TablesHoldAnother
            }
            _ => continue,
        };
        disagreements.push(disagreement(&object.key, kind));
    }
    disagreements
}
