//! Random histories against a model: uploads and re-uploads, good and bad, events in any order and number,
//! sweeps, up to three functions at once, and trouble from S3, Redshift and Lambda. After every step the
//! tables, the ledger and the markers are what the model allows, and when the trouble is over they are
//! exactly what the model says.
//!
//! A run without trouble must do exactly what the model does. Of a run in trouble nobody can say how far it
//! came; what it did must be a beginning of what it had to do, and the model goes on from there.
//!
//! `HISTORIES` sets their number and `HISTORIES_SEED` another beginning than the usual one:
//! `HISTORIES=20000 HISTORIES_SEED=$RANDOM cargo test --test integration histories`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use devstack::lambda::Outcome;
use devstack::stack::BUCKET;
use devstack::{redshift, s3};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::harness::{
    Harness, Row, TABLES, bad_key, cases, expected, good_key, key, members, sample, sample_with, skipping,
};

/// The time after which the leases of working functions expire, sooner than by themselves.
const LEASES_END_AFTER: Duration = Duration::from_secs(1);

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

// Histories
// ----------------------------------------------------------------------------------------------------------

/// The contents of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Content {
    Good(u64),
    /// The archive is found bad while it is transformed.
    ShortHeader(u8),
    /// The archive is found bad while it is unpacked.
    NoArchive(u8),
    /// Redshift finds the archive bad.
    Refused(u8),
}

#[derive(Debug, Clone, Copy)]
struct Upload {
    name: &'static str,
    content: Content,
    /// The age of the upload's beginning, if it was made in parts.
    began_seconds_ago: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Event(&'static str),
    Sweep,
}

/// A fault for one of the requests or statements of a step, if there are that many.
#[derive(Debug, Clone)]
enum Trouble {
    S3 {
        operation: &'static str,
        nth: usize,
        how: How,
    },
    Redshift {
        statement: &'static str,
        nth: usize,
        how: How,
    },
    /// An upload while the functions are at work.
    Upload {
        operation: &'static str,
        upload: Upload,
    },
}

#[derive(Debug, Clone, Copy)]
enum How {
    Refuse,
    CutBefore,
    CutAfter,
    KillBefore,
    KillAfter,
}

#[derive(Debug, Clone)]
enum Step {
    Upload(Upload),
    /// The clock of S3 advances by this many seconds.
    Wait(i64),
    /// Functions run at the same time, with faults.
    Run(Vec<Call>, Vec<Trouble>),
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        5 => (0..3_u64).prop_map(Content::Good),
        1 => (0..2_u8).prop_map(Content::ShortHeader),
        1 => (0..2_u8).prop_map(Content::NoArchive),
        1 => (0..2_u8).prop_map(Content::Refused),
    ]
}

fn upload() -> impl Strategy<Value = Upload> {
    let began = prop_oneof![3 => Just(None), 1 => (0..6_i64).prop_map(Some)];
    (prop::sample::select(NAMES.as_slice()), content(), began)
        .prop_map(|(name, content, began_seconds_ago)| Upload { name, content, began_seconds_ago })
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![3 => prop::sample::select(NAMES.as_slice()).prop_map(Call::Event), 1 => Just(Call::Sweep)]
}

const OPERATIONS: [&str; 6] =
    ["ListObjectsV2", "GetObject", "PutObject", "DeleteObject", "CopyObject", "HeadObject"];
const STATEMENTS: [&str; 10] = [
    "svv_columns",
    "svv_tables",
    "CREATE TABLE",
    "BEGIN",
    "LOCK ",
    "SELECT COALESCE",
    "DELETE",
    "COPY ",
    "INSERT",
    "COMMIT",
];

fn trouble() -> impl Strategy<Value = Trouble> {
    let how = || {
        prop::sample::select(
            [How::Refuse, How::CutBefore, How::CutAfter, How::KillBefore, How::KillAfter].as_slice(),
        )
    };
    prop_oneof![
        (prop::sample::select(OPERATIONS.as_slice()), 0..4_usize, how())
            .prop_map(|(operation, nth, how)| Trouble::S3 { operation, nth, how }),
        (prop::sample::select(STATEMENTS.as_slice()), 0..3_usize, how())
            .prop_map(|(statement, nth, how)| Trouble::Redshift { statement, nth, how }),
        (
            prop::sample::select(["ListObjectsV2", "GetObject", "PutObject", "CopyObject"].as_slice()),
            upload()
        )
            .prop_map(|(operation, upload)| Trouble::Upload { operation, upload }),
    ]
}

fn history() -> impl Strategy<Value = Vec<Step>> {
    let calm = call().prop_map(|call| Step::Run(vec![call], Vec::new()));
    let troubled = (prop::collection::vec(call(), 1..=3), prop::collection::vec(trouble(), 0..=2))
        .prop_map(|(calls, troubles)| Step::Run(calls, troubles));
    let step = prop_oneof![5 => upload().prop_map(Step::Upload), 2 => (1..4_i64).prop_map(Step::Wait), 2 => calm, 3 => troubled];
    prop::collection::vec(step, 2..12)
}

fn bytes(content: Content) -> Vec<u8> {
    match content {
        Content::Good(seed) => sample(seed, 2),
        Content::ShortHeader(n) => sample_with("analytics_group.csv", format!("id,name\n{n}\n")),
        Content::NoArchive(n) => format!("this is no archive, number {n}").into_bytes(),
        Content::Refused(n) => {
            sample_with("analytics_group.csv", format!("id,name,active,site_key\n{n},a,on,k\n"))
        }
    }
}

// The model
// ----------------------------------------------------------------------------------------------------------

/// The age of an archive, which decides the order.
type Age = (DateTime<Utc>, String);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Revision {
    etag: String,
    age: Age,
    /// The time when the upload was complete: that of its event.
    uploaded: DateTime<Utc>,
    size: u64,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Marker {
    /// The revision that it says it is a copy of.
    etag: String,
    at: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Loaded {
    key: String,
    etag: String,
    age: Age,
}

/// The contents of S3 and Redshift.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct State {
    good: BTreeMap<String, Marker>,
    bad: BTreeMap<String, Marker>,
    explained: BTreeSet<String>,
    ledger: Vec<Loaded>,
}

#[derive(Debug, Clone, Default)]
struct Model {
    truncate: bool,
    /// Whether bytes that were loaded under another key are not loaded.
    skips: bool,
    now: DateTime<Utc>,
    source: BTreeMap<String, Revision>,
    /// Every revision ever uploaded.
    uploads: BTreeMap<(String, String), Content>,
    state: State,
}

/// The expected result of a run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Expected {
    good: Vec<String>,
    bad: Vec<String>,
    superseded: Vec<String>,
    not_processed: Vec<String>,
    /// Whether it stopped before an archive that it was asked for.
    stopped: bool,
}

/// Returns how many of the archives, oldest first, the calls ask for.
fn end(archives: &[(String, Revision)], calls: &[Call]) -> usize {
    let end = calls.iter().map(|call| match call {
        Call::Sweep => archives.len(),
        Call::Event(name) => {
            archives.iter().position(|(archive, _)| *archive == key(name)).map_or(0, |at| at + 1)
        }
    });
    end.max().unwrap_or(0)
}

impl Model {
    fn settled(&self, key: &str, revision: &Revision) -> bool {
        self.settled_since(key, revision, revision.age.0)
    }

    fn is_bad(&self, key: &str, revision: &Revision) -> bool {
        self.marked_since(&self.state.bad, key, revision, revision.age.0)
    }

    fn settled_since(&self, key: &str, revision: &Revision, time: DateTime<Utc>) -> bool {
        let marked = |markers| self.marked_since(markers, key, revision, time);
        marked(&self.state.good) || marked(&self.state.bad)
    }

    /// Checks whether an archive has a marker of a revision that is not older than a time.
    fn marked_since(
        &self,
        markers: &BTreeMap<String, Marker>,
        key: &str,
        revision: &Revision,
        time: DateTime<Utc>,
    ) -> bool {
        let marker = markers.get(key).filter(|marker| marker.at >= time);
        // Or of the same bytes: an upload in parts and one in one piece, within a second, are two revisions
        // to S3.
        marker.is_some_and(|marker| marker.etag == revision.etag || self.is_copy_of(marker, key, revision))
    }

    /// Checks whether the event of an archive asks for nothing. With `truncate`, an older archive may wait
    /// after a bad one.
    fn event_is_settled(&self, key: &str, revision: &Revision) -> bool {
        if self.truncate {
            self.marked_since(&self.state.good, key, revision, revision.uploaded)
        } else {
            self.settled_since(key, revision, revision.uploaded)
        }
    }

    /// Checks whether a marker has the bytes of a revision that was uploaded in one piece, as copies are
    /// made.
    fn is_copy_of(&self, marker: &Marker, key: &str, revision: &Revision) -> bool {
        !revision.etag.contains('-')
            && self.uploads.get(&(key.to_owned(), marker.etag.clone())) == Some(&revision.content)
    }

    fn by_age(&self) -> Vec<(String, Revision)> {
        let mut archives: Vec<(String, Revision)> =
            self.source.iter().map(|(key, revision)| (key.clone(), revision.clone())).collect();
        archives.sort_by(|(_, one), (_, other)| one.age.cmp(&other.age));
        archives
    }

    /// Returns the unsettled archives that a call must work on, and those that it will never load.
    fn queue(&self, calls: &[Call]) -> (Vec<(String, Revision)>, Vec<String>) {
        let archives = self.by_age();
        let end = end(&archives, calls);
        let newest = archives.iter().rposition(|(key, revision)| !self.is_bad(key, revision));
        let mut queue = Vec::new();
        let mut superseded = Vec::new();
        for (n, (key, revision)) in
            archives.into_iter().enumerate().filter(|(_, (key, revision))| !self.settled(key, revision))
        {
            if self.truncate && Some(n) < newest {
                superseded.push(key);
            } else if n < end {
                queue.push((key, revision));
            }
        }
        (queue, superseded)
    }

    /// Returns what concurrent calls may work on: with `truncate` one archive each, and the next one only if
    /// the previous is bad.
    fn in_reach(&self, calls: &[Call]) -> Vec<(String, Revision)> {
        if !self.truncate {
            return self.queue(calls).0;
        }
        let archives = self.by_age();
        let end = end(&archives, calls);
        let mut reached = Vec::new();
        for (n, (key, revision)) in archives.into_iter().enumerate().rev() {
            if self.is_bad(&key, &revision) {
                continue;
            }
            if n >= end || self.settled(&key, &revision) || reached.len() == calls.len() {
                break;
            }
            let is_good = matches!(revision.content, Content::Good(_));
            reached.push((key, revision));
            if is_good {
                break;
            }
        }
        reached
    }

    /// Checks whether the tables hold a revision; without `truncate`, also the same bytes uploaded in another
    /// way under its key.
    fn loaded(&self, key: &str, revision: &Revision) -> bool {
        if self.truncate {
            let is_it = |row: &Loaded| row.key == *key && row.etag == revision.etag;
            self.state.ledger.last().is_some_and(is_it)
        } else {
            self.state.ledger.iter().any(|row| row.key == *key && self.content(row) == Some(revision.content))
        }
    }

    /// Checks whether a revision is settled without a load, since its bytes were loaded under another key.
    fn is_skipped(&self, key: &str, revision: &Revision) -> bool {
        let is_it = |row: &Loaded| row.key != *key && self.content(row) == Some(revision.content);
        self.skips && self.state.ledger.iter().any(is_it)
    }

    fn content(&self, row: &Loaded) -> Option<Content> {
        self.uploads.get(&(row.key.clone(), row.etag.clone())).copied()
    }

    /// Makes one clean run. An event whose archive was settled after it asks for nothing: older archives have
    /// events of their own, and the sweep.
    fn run(&mut self, call: Call) -> Expected {
        if let Call::Event(name) = call
            && let Some(revision) = self.source.get(&key(name))
            && self.event_is_settled(&key(name), revision)
        {
            return Expected::default();
        }
        let (queue, superseded) = self.queue(&[call]);
        let mut expected = Expected { superseded, ..Expected::default() };
        let mut queue = queue.into_iter();
        for (key, revision) in queue.by_ref() {
            if self.truncate
                && !self.loaded(&key, &revision)
                && self.state.ledger.iter().any(|row| row.age > revision.age)
            {
                expected.superseded.push(key);
                continue;
            }
            let marker = Marker { etag: revision.etag.clone(), at: self.now };
            if !self.loaded(&key, &revision) {
                if !matches!(revision.content, Content::Good(_)) {
                    self.state.good.remove(&key);
                    self.state.bad.insert(key.clone(), marker);
                    self.state.explained.insert(key.clone());
                    expected.bad.push(key);
                    break;
                }
                if !self.is_skipped(&key, &revision) {
                    self.state.ledger.push(Loaded {
                        key: key.clone(),
                        etag: revision.etag.clone(),
                        age: revision.age,
                    });
                }
            }
            self.state.bad.remove(&key);
            self.state.explained.remove(&key);
            self.state.good.insert(key.clone(), marker);
            expected.good.push(key);
        }
        expected.not_processed = queue.map(|(key, _)| key).collect();
        expected.stopped = !expected.not_processed.is_empty();
        if self.truncate && !expected.bad.is_empty() {
            // The archive that it would have replaced is left to the next run.
            let (uncovered, superseded) = self.queue(&[call]);
            expected.not_processed = uncovered.into_iter().map(|(key, _)| key).collect();
            expected.superseded = superseded;
            expected.stopped = match call {
                Call::Sweep => !expected.not_processed.is_empty(),
                Call::Event(name) => expected.not_processed.contains(&key(name)),
            };
        }
        expected
    }

    /// Returns the rows of the tables according to the ledger.
    fn tables(&self) -> Vec<(&'static str, Vec<Row>)> {
        let rows: &[Loaded] = match self.state.ledger.as_slice() {
            [.., last] if self.truncate => std::slice::from_ref(last),
            rows => rows,
        };
        let mut tables: BTreeMap<&str, Vec<Row>> =
            TABLES.into_iter().map(|table| (table, Vec::new())).collect();
        for row in rows {
            let Content::Good(seed) = self.uploads[&(row.key.clone(), row.etag.clone())] else {
                panic!("a bad archive is in the ledger")
            };
            for (table, rows) in expected(&members(seed, 2)) {
                tables.get_mut(table).unwrap().extend(rows);
            }
        }
        tables
            .into_iter()
            .map(|(table, mut rows)| {
                (TABLES.into_iter().find(|known| *known == table).unwrap(), {
                    rows.sort();
                    rows
                })
            })
            .collect()
    }

    /// Accepts the work of a troubled run, if it is a beginning of what the calls had to do.
    fn adopt(&mut self, after: State, calls: &[Call], uploaded_meanwhile: bool) -> Result<(), String> {
        let before = &self.state;
        let news =
            after.ledger.strip_prefix(before.ledger.as_slice()).ok_or("the ledger lost rows")?.to_vec();
        let mut newest = before.ledger.iter().map(|row| row.age.clone()).max();
        for row in &news {
            if self.truncate && newest.as_ref().is_some_and(|newest| row.age < *newest) {
                return Err(format!("{} was loaded over newer data", row.key));
            }
            newest = newest.max(Some(row.age.clone()));
            match self.uploads.get(&(row.key.clone(), row.etag.clone())) {
                Some(Content::Good(_)) => {}
                other => return Err(format!("the ledger has {} with {other:?}", row.key)),
            }
        }
        if !self.truncate {
            let distinct: BTreeSet<_> = after
                .ledger
                .iter()
                .map(|row| ((!self.skips).then_some(&row.key), self.content(row)))
                .collect();
            if distinct.len() != after.ledger.len() {
                return Err("the same bytes were loaded twice".to_owned());
            }
        }
        if !uploaded_meanwhile {
            let queue = self.in_reach(calls);
            let mut contents = BTreeSet::new();
            let due = queue.iter().filter(|(key, revision)| {
                matches!(revision.content, Content::Good(_))
                    && !self.loaded(key, revision)
                    && !self.is_skipped(key, revision)
                    && (contents.insert(revision.content) || !self.skips)
            });
            let due: Vec<(&str, &str)> =
                due.map(|(key, revision)| (key.as_str(), revision.etag.as_str())).collect();
            let done: Vec<(&str, &str)> =
                news.iter().map(|row| (row.key.as_str(), row.etag.as_str())).collect();
            if !due.starts_with(&done) {
                return Err(format!("loaded {done:?}, which is no beginning of {due:?}"));
            }
            let touched: BTreeSet<&String> = queue.iter().map(|(key, _)| key).collect();
            for (markers, were) in [(&after.good, &before.good), (&after.bad, &before.bad)] {
                if let Some((key, _)) = were
                    .iter()
                    .find(|(key, marker)| !touched.contains(key) && markers.get(*key) != Some(marker))
                {
                    return Err(format!("the marker of {key} is gone or another"));
                }
            }
        }
        for (key, marker) in &after.good {
            let marked = self.uploads.get(&(key.clone(), marker.etag.clone())).copied();
            let is_it =
                |row: &Loaded| row.etag == marker.etag || !self.truncate && self.content(row) == marked;
            if !after.ledger.iter().any(|row| (row.key == *key || self.skips) && is_it(row)) {
                return Err(format!("{key} is marked good, but was never loaded"));
            }
        }
        for (key, marker) in &after.bad {
            if matches!(self.uploads.get(&(key.clone(), marker.etag.clone())), None | Some(Content::Good(_)))
            {
                return Err(format!("{key} is marked bad, but nothing is wrong with it"));
            }
            if after.good.contains_key(key) {
                return Err(format!("{key} has two markers"));
            }
            if !after.explained.contains(key) {
                return Err(format!("{key} is bad without a reason"));
            }
        }
        self.state = after;
        Ok(())
    }
}

// Against the program
// ----------------------------------------------------------------------------------------------------------

fn put(harness: &Harness, model: &mut Model, upload: Upload) {
    let (key, bytes) = (key(upload.name), bytes(upload.content));
    match upload.began_seconds_ago {
        None => harness.stack.s3.put_at(BUCKET, &key, &bytes, model.now).unwrap(),
        Some(seconds) => {
            let (one, two) = bytes.split_at(bytes.len() / 2);
            harness
                .stack
                .s3
                .put_multipart_at(BUCKET, &key, &[one, two], model.now - TimeDelta::seconds(seconds))
                .unwrap();
        }
    }
    let object = harness.stack.s3.objects(BUCKET).into_iter().find(|object| object.key == key).unwrap();
    model.uploads.insert((key.clone(), object.etag.clone()), upload.content);
    model.source.insert(
        key.clone(),
        Revision {
            etag: object.etag,
            age: (object.last_modified, key),
            uploaded: model.now,
            size: object.size,
            content: upload.content,
        },
    );
}

async fn state(harness: &Harness, model: &Model) -> Result<State, String> {
    let mut state = State::default();
    for object in harness.stack.s3.objects(BUCKET) {
        let names = NAMES.map(key);
        for (name, archive) in NAMES.iter().zip(&names) {
            let markers = if object.key == good_key(name) {
                &mut state.good
            } else if object.key == bad_key(name) {
                &mut state.bad
            } else {
                if object.key == format!("{}.error.json", bad_key(name)) {
                    state.explained.insert(archive.clone());
                }
                continue;
            };
            let etag = harness
                .stack
                .s3
                .metadata(BUCKET, &object.key)
                .unwrap()
                .remove("source-etag")
                .ok_or("a marker names no revision")?;
            let content = model
                .uploads
                .get(&(archive.clone(), etag.clone()))
                .ok_or("a marker names a revision that was never uploaded")?;
            if harness.stack.s3.read(BUCKET, &object.key).unwrap() != bytes(*content) {
                return Err(format!("the marker of {archive} is no copy of the revision that it names"));
            }
            markers.insert(archive.clone(), Marker { etag, at: object.last_modified });
        }
    }
    if harness.query("SELECT to_regclass('cmslite.load_ledger') IS NOT NULL").await[0][0].as_deref()
        == Some("t")
    {
        let rows =
            harness.query("SELECT lpad(sequence::text, 9, '0'), key, etag, extract(epoch FROM last_modified)::bigint FROM cmslite.load_ledger").await;
        state.ledger.extend(rows.into_iter().map(|row| {
            let cell = |n: usize| row[n].clone().unwrap();
            Loaded {
                key: cell(1),
                etag: cell(2),
                age: (DateTime::from_timestamp(cell(3).parse().unwrap(), 0).unwrap(), cell(1)),
            }
        }));
    }
    // A function may end between creating the two tables; a load has rows in both.
    if !state.ledger.is_empty() {
        let without_rows = harness
            .query(
                "SELECT l.key, l.row_count, sum(t.row_count), count(*) FROM cmslite.load_ledger l
                 LEFT JOIN cmslite.load_ledger_tables t USING (dataset, sequence, request_id)
                 GROUP BY l.sequence, l.key, l.row_count HAVING count(t.row_count) <> 4 OR sum(t.row_count) <> l.row_count",
            )
            .await;
        if !without_rows.is_empty() {
            return Err(format!("the ledger does not have the rows of each table: {without_rows:?}"));
        }
    }
    Ok(state)
}

fn inject(harness: &Arc<Harness>, model: &Arc<Mutex<Model>>, trouble: &Trouble) {
    let act = |how: How| -> Arc<dyn Fn() + Send + Sync> {
        let harness = Arc::downgrade(harness);
        Arc::new(move || {
            if let (How::KillBefore | How::KillAfter, Some(harness)) = (how, harness.upgrade()) {
                harness.lambda.kill_and_wait();
                harness.expire_leases();
            }
        })
    };
    match trouble {
        Trouble::S3 { operation, nth, how } => {
            let action = match how {
                How::Refuse => s3::Action::Refuse(503, "SlowDown".to_owned()),
                How::CutBefore | How::KillBefore => s3::Action::RunInstead(act(*how)),
                How::CutAfter | How::KillAfter => s3::Action::RunAfter(act(*how)),
            };
            harness.stack.s3.inject(s3::Fault::on(operation, "", action).after(*nth).times(1));
        }
        Trouble::Redshift { statement, nth, how } => {
            let action = match how {
                How::Refuse => redshift::Action::Refuse("XX000".to_owned(), "1023".to_owned()),
                How::CutBefore | How::KillBefore => redshift::Action::RunInstead(act(*how)),
                How::CutAfter | How::KillAfter => redshift::Action::RunAfter(act(*how)),
            };
            harness.stack.redshift.inject(redshift::Fault::on(statement, action).after(*nth).times(1));
        }
        Trouble::Upload { operation, upload } => {
            let (weak, model, upload) = (Arc::downgrade(harness), Arc::clone(model), *upload);
            let act = move || {
                if let Some(harness) = weak.upgrade() {
                    put(&harness, &mut model.lock().unwrap(), upload);
                }
            };
            harness
                .stack
                .s3
                .inject(s3::Fault::on(operation, "", s3::Action::RunBefore(Arc::new(act))).times(1));
        }
    }
}

/// Returns the event of an archive's latest upload.
fn event(model: &Model, name: &str) -> Value {
    let key = key(name);
    let mut event = Harness::event(&key);
    if let Some(Revision { etag, uploaded, size, .. }) = model.source.get(&key) {
        let record = &mut event["Records"][0];
        record["eventTime"] = json!(uploaded);
        record["s3"]["object"]["eTag"] = json!(etag);
        record["s3"]["object"]["size"] = json!(size);
    }
    event
}

async fn invoke(harness: &Harness, model: &Model, call: Call) -> Outcome {
    // Any lease that the faults left has expired by now.
    harness.expire_leases();
    match call {
        Call::Event(name) => harness.lambda.invoke(event(model, name)).await,
        Call::Sweep => harness.sweep().await,
    }
}

fn fail(message: impl Into<String>) -> TestCaseError {
    TestCaseError::fail(message.into())
}

/// Compares the report of a clean run with its work.
async fn check_told(harness: &Harness, outcome: &Outcome, expected: &Expected) -> Result<(), TestCaseError> {
    let report: Value = match outcome {
        Outcome::Ok(answer) if !expected.stopped => answer["reports"][0].clone(),
        Outcome::Failed { error_type, .. }
            if expected.stopped && error_type == "Retryable.StoppedAtBadArchive" =>
        {
            // A failure's report is only in the log.
            let id =
                harness.lambda.history().last().map(|ended| ended.request_id.clone()).unwrap_or_default();
            let log = harness.log().await;
            let line = log.lines().rfind(|line| line.contains("\"report\":") && line.contains(&id));
            let line: Value =
                serde_json::from_str(line.unwrap_or_default()).map_err(|error| fail(error.to_string()))?;
            let report = line["report"].as_str().ok_or_else(|| fail("no report in the line"))?;
            serde_json::from_str(report).map_err(|error| fail(error.to_string()))?
        }
        other => return Err(fail(format!("{other:?} is not what {expected:?} comes to"))),
    };
    let keys = |list: &str| -> Vec<Value> {
        report[list].as_array().unwrap().iter().map(|item| item.get("key").unwrap_or(item).clone()).collect()
    };
    let told = [keys("good"), keys("bad"), keys("superseded"), keys("not_processed")];
    let wanted = [&expected.good, &expected.bad, &expected.superseded, &expected.not_processed];
    prop_assert_eq!(json!(told), json!(wanted));
    Ok(())
}

async fn check_state(harness: &Harness, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!(&state(harness, model).await.map_err(fail)?, &model.state);
    prop_assert_eq!(harness.tables().await, model.tables());
    Ok(())
}

async fn live(harness: &Arc<Harness>, kind: Kind, history: &[Step]) -> Result<(), TestCaseError> {
    harness.reset().await;
    let now = DateTime::from_timestamp(Utc::now().timestamp() - 86_400, 0).unwrap();
    let model = Arc::new(Mutex::new(Model {
        truncate: kind == Kind::Truncating,
        skips: kind == Kind::Skipping,
        now,
        ..Model::default()
    }));
    harness.stack.s3.set_time(Some(now));
    for step in history {
        match step {
            Step::Upload(upload) => put(harness, &mut model.lock().unwrap(), *upload),
            Step::Wait(seconds) => {
                let mut model = model.lock().unwrap();
                model.now += TimeDelta::seconds(*seconds);
                harness.stack.s3.set_time(Some(model.now));
            }
            Step::Run(calls, troubles) => run(harness, &model, calls, troubles).await?,
        }
    }
    // The faults are over: sweeps follow, as the schedule sends them, until one has nothing left to do.
    let mut model = model.lock().unwrap().clone();
    for _ in 0..=NAMES.len() {
        let expected = model.run(Call::Sweep);
        let outcome = invoke(harness, &model, Call::Sweep).await;
        check_told(harness, &outcome, &expected).await?;
        check_state(harness, &model).await?;
        if expected.bad.is_empty() {
            return check_end(&model);
        }
    }
    Err(fail("the queue does not end"))
}

async fn run(
    harness: &Arc<Harness>,
    shared: &Arc<Mutex<Model>>,
    calls: &[Call],
    troubles: &[Trouble],
) -> Result<(), TestCaseError> {
    if let ([call], []) = (calls, troubles) {
        let mut model = shared.lock().unwrap().clone();
        let outcome = invoke(harness, &model, *call).await;
        check_told(harness, &outcome, &model.run(*call)).await?;
        check_state(harness, &model).await?;
        *shared.lock().unwrap() = model;
        return Ok(());
    }
    let before = shared.lock().unwrap().clone();
    for trouble in troubles {
        inject(harness, shared, trouble);
    }
    let mut invocations = tokio::task::JoinSet::new();
    for call in calls.iter().copied() {
        let (harness, model) = (Arc::clone(harness), before.clone());
        invocations.spawn(async move { invoke(&harness, &model, call).await });
    }
    loop {
        let outcome = match tokio::time::timeout(LEASES_END_AFTER, invocations.join_next()).await {
            Ok(Some(outcome)) => outcome,
            Ok(None) => break,
            // The holder of a lease may be dead or alive: no lease can be relied on.
            Err(_) => {
                harness.expire_leases();
                continue;
            }
        };
        if let Outcome::Failed { error_type, message } = outcome.unwrap() {
            let allowed = error_type.starts_with("Retryable.") || error_type == "Runtime.ExitError";
            prop_assert!(allowed, "{}: {}", error_type, message);
        }
    }
    harness.stack.s3.clear_faults();
    harness.stack.redshift.clear_faults();
    let mut model = shared.lock().unwrap().clone();
    let uploaded_meanwhile = model.source != before.source;
    model.adopt(state(harness, &model).await.map_err(fail)?, calls, uploaded_meanwhile).map_err(fail)?;
    check_state(harness, &model).await?;
    *shared.lock().unwrap() = model;
    Ok(())
}

/// Checks what must be true in the end in any case, without the model's steps.
fn check_end(model: &Model) -> Result<(), TestCaseError> {
    let archives = model.by_age();
    let content = |row: &Loaded| (row.key.clone(), model.uploads[&(row.key.clone(), row.etag.clone())]);
    let is_good = |revision: &Revision| matches!(revision.content, Content::Good(_));
    if !model.truncate {
        for (key, revision) in archives {
            let is_good = is_good(&revision);
            let is_wanted = |row: &&Loaded| {
                let (loaded_key, content) = content(row);
                content == revision.content && (loaded_key == key || model.skips)
            };
            let loads = model.state.ledger.iter().filter(is_wanted).count();
            prop_assert_eq!(loads, usize::from(is_good));
            prop_assert_eq!(
                (model.state.good.contains_key(&key), model.state.bad.contains_key(&key)),
                (is_good, !is_good)
            );
        }
        return Ok(());
    }
    // The tables hold the newest archive that is not bad, unless they held a newer one that is gone.
    for (key, revision) in archives.into_iter().rev() {
        if model.state.ledger.iter().any(|row| row.age > revision.age) {
            break;
        }
        if is_good(&revision) {
            prop_assert_eq!(model.state.ledger.last().map(content), Some((key, revision.content)));
            break;
        }
        prop_assert!(model.state.bad.contains_key(&key), "{} is not marked bad", key);
    }
    Ok(())
}

fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// Under truncate, every pattern of good and bad among archives, and every order of their events: each once, all of
/// them uploaded before the first.
fn end_whichever_of_them_are_bad(archives: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(4).build().unwrap();
    let harness = runtime.block_on(async { Arc::new(Harness::start().await) });
    let names = &NAMES[..archives];
    for bad in 0..1_u8 << archives {
        for events in orders(names) {
            let mut history = Vec::new();
            for (n, name) in (0..).zip(names) {
                let content = if bad >> n & 1 == 1 { Content::NoArchive(n) } else { Content::Good(n.into()) };
                history.push(Step::Upload(Upload { name, content, began_seconds_ago: None }));
                history.push(Step::Wait(1));
            }
            history.extend(events.into_iter().map(|name| Step::Run(vec![Call::Event(name)], Vec::new())));
            let result = runtime.block_on(live(&harness, Kind::Truncating, &history));
            result.unwrap_or_else(|error| panic!("{error}\nafter the history {history:#?}"));
        }
    }
}

fn orders(names: &[&'static str]) -> Vec<Vec<&'static str>> {
    if names.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for at in 0..names.len() {
        let mut others = names.to_vec();
        let first = others.remove(at);
        all.extend(orders(&others).into_iter().map(|rest| [vec![first], rest].concat()));
    }
    all
}

cases! {
    truncating_with_bad_archives: end_whichever_of_them_are_bad {
        among_two(2);
        among_three(3);
    }
}

/// The number of tests into which the histories of a kind are divided, each with a stack and a seed of its
/// own.
const PARTS: u64 = 10;

/// The way in which loads add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Appending,
    Truncating,
    /// Appending, but no bytes twice.
    Skipping,
}

/// Tries a part of the histories.
fn end_as_the_model_says(kind: Kind, part: u64) {
    let cases = number("HISTORIES", 520).div_ceil(2 * PARTS);
    let seed = number("HISTORIES_SEED", 1);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(4).build().unwrap();
    let harness = runtime.block_on(async {
        let builder = match kind {
            Kind::Appending => Harness::builder().appending(),
            Kind::Skipping => Harness::builder().config(skipping()),
            Kind::Truncating => Harness::builder(),
        };
        // One try for each request: the test must see the faults that the SDK would wait out.
        Arc::new(builder.concurrency(3).env("AWS_MAX_ATTEMPTS", "1").start().await)
    });
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&part.to_le_bytes());
    bytes[16] = kind as u8;
    let config = Config {
        cases: u32::try_from(cases).unwrap(),
        failure_persistence: None,
        max_shrink_iters: 300,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let result = runner.run(&history(), |history| runtime.block_on(live(&harness, kind, &history)));
    if let Err(TestError::Fail(reason, history)) = &result {
        panic!("HISTORIES_SEED={seed}: {reason}\nafter the history {history:#?}");
    }
    result.unwrap();
    println!("{cases} histories");
}

cases! {
    appending_histories: end_as_the_model_says {
        part_0(Kind::Appending, 0);
        part_1(Kind::Appending, 1);
        part_2(Kind::Appending, 2);
        part_3(Kind::Appending, 3);
        part_4(Kind::Appending, 4);
        part_5(Kind::Appending, 5);
        part_6(Kind::Appending, 6);
        part_7(Kind::Appending, 7);
        part_8(Kind::Appending, 8);
        part_9(Kind::Appending, 9);
    }
}

cases! {
    truncating_histories: end_as_the_model_says {
        part_0(Kind::Truncating, 0);
        part_1(Kind::Truncating, 1);
        part_2(Kind::Truncating, 2);
        part_3(Kind::Truncating, 3);
        part_4(Kind::Truncating, 4);
        part_5(Kind::Truncating, 5);
        part_6(Kind::Truncating, 6);
        part_7(Kind::Truncating, 7);
        part_8(Kind::Truncating, 8);
        part_9(Kind::Truncating, 9);
    }
}

cases! {
    skipping_histories: end_as_the_model_says {
        part_0(Kind::Skipping, 0);
        part_1(Kind::Skipping, 1);
        part_2(Kind::Skipping, 2);
        part_3(Kind::Skipping, 3);
    }
}
