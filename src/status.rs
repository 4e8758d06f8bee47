//! Where a dataset stands: its queue, what is settled and how, and where markers and ledger disagree.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;

use chrono::{DateTime, SecondsFormat, SubsecRound as _, Utc};
use serde::Serialize;

use crate::config::Dataset;
use crate::queue::{Archive, Listings, Object, Plan, Standing};
use crate::redshift::LedgerRow;
use crate::report::{FORMAT_VERSION, ToldErrorFile};

/// Good archives that the text shows unless all are wanted: the last of them.
const SHOWN_GOOD: usize = 10;

/// What the ledger was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ledger {
    /// Its rows of this dataset, in the order of their loads.
    Rows(Vec<LedgerRow>),
    /// There is none yet: the first load makes it.
    Absent,
    /// It could not be read.
    Unreadable(String),
}

/// Where a dataset stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Version of this form.
    pub version: u32,
    /// The dataset.
    pub dataset: String,
    /// Its bucket.
    pub bucket: String,
    /// The archives to load, oldest first.
    pub queue: Vec<Waiting>,
    /// The archives that are older than the newest and never loaded.
    pub superseded: Vec<Waiting>,
    /// The archives settled as bad, oldest first, and why.
    pub bad: Vec<Bad>,
    /// The archives settled as good, oldest first.
    pub good: Vec<Good>,
    /// How many rows the ledger has; none where there is no ledger or it could not be read.
    pub ledger_rows: Option<usize>,
    /// Why the ledger could not be read.
    pub ledger_unreadable: Option<String>,
    /// Under truncate: the archive that the tables hold, by the ledger.
    pub tables_hold: Option<LedgerRow>,
    /// Where markers and ledger disagree.
    pub disagreements: Vec<Disagreement>,
    #[serde(skip)]
    all: bool,
}

/// An archive that is not settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// Its key.
    pub key: String,
    /// Its revision.
    pub etag: String,
    /// When it was uploaded.
    pub last_modified: DateTime<Utc>,
    /// Bytes.
    pub size_bytes: u64,
}

/// An archive settled as bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bad {
    /// Its key.
    pub key: String,
    /// Its revision.
    pub etag: String,
    /// Its `error.json`, where there is one and it was asked for.
    pub error: Option<ToldErrorFile>,
}

/// An archive settled as good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Good {
    /// Its key.
    pub key: String,
    /// Its revision.
    pub etag: String,
    /// Its last load, where the ledger knows one.
    pub load: Option<LedgerRow>,
}

/// Markers and ledger, or markers among themselves, say different things of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disagreement {
    /// Its key.
    pub key: String,
    /// What disagrees.
    pub kind: Kind,
}

/// What disagrees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// In the ledger, but not marked: a run ended in between.
    LoadedNotMarked,
    /// Marked good since the ledger began, but not in it.
    MarkedNotLoaded,
    /// In the ledger, but marked bad.
    LoadedMarkedBad,
    /// Marked good and bad.
    TwoMarkers,
    /// Marked bad with no `error.json`.
    BadWithoutReason,
    /// An `error.json` with no marker.
    ReasonWithoutMarker,
    /// The newest good archive, while the tables hold another.
    TablesHoldAnother,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LoadedNotMarked => "is loaded by the ledger, but not marked: the next run marks it",
            Self::MarkedNotLoaded => {
                "is marked good, but the ledger does not know this revision: it was marked by something else, or the ledger's row is gone; `load --again` loads it"
            }
            Self::LoadedMarkedBad => "is loaded by the ledger, but marked bad: delete the bad marker, and the next run marks it good",
            Self::TwoMarkers => "is marked good and bad: delete the marker that is wrong",
            Self::BadWithoutReason => "is marked bad without an error.json: it was marked by something else; `load --again` finds the reason",
            Self::ReasonWithoutMarker => "has an error.json, but is not marked bad: a run ended in between, and the next settles it",
            Self::TablesHoldAnother => "is the newest good archive, but by the ledger the tables hold another; `load --again` loads it",
        })
    }
}

/// A revision, as ledger and listings both name it.
type Revision<'a> = (&'a str, &'a str);

fn revision(object: &Object) -> Revision<'_> {
    (&object.key, object.revision())
}

/// Puts together what listings, ledger and `error.json`s (by the archives' keys) say; `all` is whether the
/// text shows everything.
pub fn status(
    dataset: &Dataset,
    listings: &Listings,
    plan: &Plan,
    ledger: Ledger,
    errors: &BTreeMap<String, ToldErrorFile>,
    all: bool,
) -> Status {
    let waiting = |standing| {
        let waiting = plan.standing(standing).map(|object| Waiting {
            key: object.key.clone(),
            etag: object.revision().to_owned(),
            last_modified: object.last_modified,
            size_bytes: object.size,
        });
        waiting.collect()
    };
    let (rows, ledger_unreadable) = match ledger {
        Ledger::Rows(rows) => (Some(rows), None),
        Ledger::Absent => (None, None),
        Ledger::Unreadable(why) => (None, Some(why)),
    };
    let known = rows.as_deref().unwrap_or_default();
    let loads: HashMap<Revision<'_>, &LedgerRow> =
        known.iter().map(|row| ((row.key.as_str(), row.etag.as_str()), row)).collect();
    let mut disagreements = marker_disagreements(dataset, listings, plan);
    if ledger_unreadable.is_none() {
        disagreements.extend(ledger_disagreements(dataset, listings, plan, known, &loads));
    }
    Status {
        version: FORMAT_VERSION,
        dataset: dataset.name.clone(),
        bucket: dataset.bucket.clone(),
        queue: waiting(Standing::Queued),
        superseded: waiting(Standing::Superseded),
        bad: plan
            .standing(Standing::Bad)
            .map(|object| Bad {
                key: object.key.clone(),
                etag: object.revision().to_owned(),
                error: errors.get(&object.key).cloned(),
            })
            .collect(),
        good: plan
            .standing(Standing::Good)
            .map(|object| Good {
                key: object.key.clone(),
                etag: object.revision().to_owned(),
                load: loads.get(&revision(object)).map(|row| (*row).clone()),
            })
            .collect(),
        ledger_rows: rows.as_ref().map(Vec::len),
        ledger_unreadable,
        tables_hold: known.last().filter(|_| dataset.truncate).cloned(),
        disagreements,
        all,
    }
}

fn disagreement(key: &str, kind: Kind) -> Disagreement {
    Disagreement { key: key.to_owned(), kind }
}

/// What the markers contradict among themselves.
fn marker_disagreements(dataset: &Dataset, listings: &Listings, plan: &Plan) -> Vec<Disagreement> {
    let bad: HashSet<&str> = listings.bad.iter().map(|object| object.key.as_str()).collect();
    let good: HashSet<&str> = listings.good.iter().map(|object| object.key.as_str()).collect();
    // An archive may have left the source: its markers and its error.json still belong together.
    let prefix = dataset.bad_key("");
    let mut keys: BTreeSet<&str> = plan.archives.iter().map(|archive| archive.object.key.as_str()).collect();
    keys.extend(
        bad.iter()
            .filter_map(|key| key.strip_prefix(&prefix))
            .map(|key| key.strip_suffix(".error.json").unwrap_or(key)),
    );
    let mut disagreements = Vec::new();
    for key in keys {
        let (is_good, is_bad) =
            (good.contains(dataset.good_key(key).as_str()), bad.contains(dataset.bad_key(key).as_str()));
        let has_reason = bad.contains(dataset.error_key(key).as_str());
        if is_good && is_bad {
            disagreements.push(disagreement(key, Kind::TwoMarkers));
        }
        match (is_bad, has_reason) {
            (true, false) => disagreements.push(disagreement(key, Kind::BadWithoutReason)),
            (false, true) => disagreements.push(disagreement(key, Kind::ReasonWithoutMarker)),
            _ => {}
        }
    }
    disagreements
}

/// What markers and ledger contradict.
fn ledger_disagreements(
    dataset: &Dataset,
    listings: &Listings,
    plan: &Plan,
    rows: &[LedgerRow],
    loads: &HashMap<Revision<'_>, &LedgerRow>,
) -> Vec<Disagreement> {
    let latest = rows.last().map(|row| (row.key.as_str(), row.etag.as_str()));
    // S3's times have whole seconds.
    let began = rows.first().map(|row| row.loaded_at.trunc_subsecs(0));
    let marked: HashMap<&str, DateTime<Utc>> =
        listings.good.iter().map(|marker| (marker.key.as_str(), marker.last_modified)).collect();
    let newest_good = plan.archives.iter().rev().find(|archive| archive.standing == Standing::Good);
    let mut disagreements = Vec::new();
    for archive in &plan.archives {
        let Archive { object, standing } = archive;
        let is_loaded = loads.contains_key(&revision(object));
        let is_held = if dataset.truncate { latest == Some(revision(object)) } else { is_loaded };
        let kind = match standing {
            Standing::Queued if is_held => Kind::LoadedNotMarked,
            Standing::Bad if is_held => Kind::LoadedMarkedBad,
            // Those marked before the ledger began were settled by the script.
            Standing::Good
                if !is_loaded
                    && began.is_some_and(|began| {
                        marked.get(dataset.good_key(&object.key).as_str()).is_some_and(|at| *at >= began)
                    }) =>
            {
                Kind::MarkedNotLoaded
            }
            Standing::Good if dataset.truncate && is_loaded && !is_held && newest_good == Some(archive) => {
                Kind::TablesHoldAnother
            }
            _ => continue,
        };
        disagreements.push(disagreement(&object.key, kind));
    }
    disagreements
}

fn seconds(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Status: {} (s3://{})", self.dataset, self.bucket)?;
        write!(
            f,
            "  Queue {}, superseded {}, bad {}, good {}",
            self.queue.len(),
            self.superseded.len(),
            self.bad.len(),
            self.good.len()
        )?;
        match (self.ledger_rows, &self.ledger_unreadable) {
            (Some(rows), _) => writeln!(f, "; {rows} loads in the ledger")?,
            (None, Some(why)) => writeln!(f, "; the ledger cannot be read: {why}")?,
            (None, None) => writeln!(f, "; no ledger yet, the first load makes it")?,
        }
        if let Some(row) = &self.tables_hold {
            writeln!(
                f,
                "  The tables hold {} ({} rows, loaded {})",
                row.key,
                row.rows,
                seconds(row.loaded_at)
            )?;
        }
        let waiting = |waiting: &Waiting| {
            format!(
                "{} (uploaded {}, {} bytes)",
                waiting.key,
                seconds(waiting.last_modified),
                waiting.size_bytes
            )
        };
        section(f, "Queue, oldest first", self.queue.iter().map(waiting))?;
        section(f, "Superseded by a newer archive, never loaded", self.superseded.iter().map(waiting))?;
        section(f, "Bad", self.bad.iter().map(Bad::text))?;
        let hidden = if self.all { 0 } else { self.good.len().saturating_sub(SHOWN_GOOD) };
        let title = if hidden == 0 {
            "Good".to_owned()
        } else {
            format!("Good, the last {SHOWN_GOOD} of {} (--all shows them all)", self.good.len())
        };
        section(f, &title, self.good.iter().skip(hidden).map(Good::text))?;
        section(
            f,
            "Disagreements",
            self.disagreements.iter().map(|found| format!("{} {}", found.key, found.kind)),
        )?;
        if self.disagreements.is_empty() && self.ledger_unreadable.is_none() {
            writeln!(f, "  Markers and ledger agree.")?;
        }
        Ok(())
    }
}

fn section(f: &mut fmt::Formatter<'_>, title: &str, lines: impl Iterator<Item = String>) -> fmt::Result {
    for (n, line) in lines.enumerate() {
        if n == 0 {
            writeln!(f, "  {title}:")?;
        }
        writeln!(f, "    {line}")?;
    }
    Ok(())
}

impl Bad {
    fn text(&self) -> String {
        let Some(error) = &self.error else { return self.key.clone() };
        let mut lines = vec![format!("{} (settled {})", self.key, error.at)];
        lines.extend(error.problems.iter().map(ToString::to_string));
        let untold = error.problems_found.saturating_sub(error.problems.len() as u64);
        if untold > 0 {
            lines.push(format!("and {untold} more"));
        }
        lines.join("\n      ")
    }
}

impl Good {
    fn text(&self) -> String {
        match &self.load {
            Some(load) => format!(
                "{} ({} rows, loaded {} by {})",
                self.key,
                load.rows,
                seconds(load.loaded_at),
                load.request_id
            ),
            None => format!("{} (not in the ledger)", self.key),
        }
    }
}
