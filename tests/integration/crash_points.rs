//! Every step that the function takes towards the outside, and what becomes of an archive when it ends there.
//!
//! The steps are not listed by hand: a run without trouble is watched, and each request that it sent to S3
//! and each statement that it sent to Redshift is a step. What a function leaves behind can differ between
//! two of its steps only by what a step did, so its death before and after each of them is its death
//! anywhere. The same table stands in `docs/explanation/guarantees.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Weak};
use std::time::Instant;

use devstack::lambda::Outcome;
use devstack::samples::{self, Member};
use devstack::stack::{self, BUCKET};
use devstack::{redshift, s3};

use crate::harness::{Harness, Row, cases, key, members, moment, sample, sample_with};

const GUARANTEES: &str = include_str!("../../docs/explanation/guarantees.md");

/// A step, distinguished from others of its name by the number of those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    /// The step's name in the documentation.
    name: String,
    place: Place,
    nth: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// The operation and the key.
    S3(String, String),
    /// The statement.
    Redshift(String),
}

/// The way in which a function ends at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    KilledBefore,
    KilledAfter,
    CutBefore,
    CutAfter,
}

fn named(place: &Place) -> String {
    match place {
        Place::S3(operation, key) => {
            let object = match key.as_str() {
                "" => return operation.clone(),
                key if key.ends_with(".error.json") => "error.json",
                key if key.contains("/lease/") => "lease",
                key if key.contains("/good/") => "good marker",
                key if key.contains("/bad/") => "bad marker",
                key if key.ends_with(".manifest") => "manifest",
                key if key.contains("/batch/") => "staged file",
                _ => "archive",
            };
            format!("{operation} {object}")
        }
        Place::Redshift(sql) => {
            let known = [
                ("SET statement_timeout", "SET statement_timeout"),
                ("BEGIN", "BEGIN"),
                ("COMMIT", "COMMIT"),
                ("ROLLBACK", "ROLLBACK"),
                (r#"CREATE TABLE IF NOT EXISTS "cmslite"."load_ledger" "#, "CREATE TABLE ledger"),
                (
                    r#"CREATE TABLE IF NOT EXISTS "cmslite"."load_ledger_tables" "#,
                    "CREATE TABLE ledger tables",
                ),
                (r#"CREATE TABLE IF NOT EXISTS "cmslite"."load_ledger_lock" "#, "CREATE TABLE ledger lock"),
                (r#"LOCK "cmslite"."load_ledger_lock""#, "LOCK ledger lock"),
                ("SELECT COALESCE(MAX(sequence)", "SELECT ledger"),
                ("SELECT key, etag", "SELECT ledger load"),
                ("SELECT column_name", "SELECT columns"),
                ("SELECT table_type", "SELECT table types"),
                ("SELECT pg_last_copy_count", "SELECT copy count"),
                ("SELECT line_number", "SELECT load errors"),
                ("DELETE", "DELETE table"),
                ("COPY", if sql.ends_with("NOLOAD") { "COPY NOLOAD table" } else { "COPY table" }),
                (r#"INSERT INTO "cmslite"."load_ledger" "#, "INSERT ledger"),
                (r#"INSERT INTO "cmslite"."load_ledger_tables" "#, "INSERT ledger tables"),
                ("SELECT t.table_name", "SELECT ledger tables"),
            ];
            let found = known.iter().find(|(begin, _)| sql.starts_with(begin));
            found.unwrap_or_else(|| panic!("a step without a name: {sql}")).1.to_owned()
        }
    }
}

/// Returns the steps of everything that the function did since its logs were cleared, in order.
fn steps(harness: &Harness) -> Vec<Step> {
    let mut places: Vec<(Instant, Place, bool)> = Vec::new();
    let own = stack::function_keys().access_key_id;
    for request in harness.stack.s3.requests() {
        let is_own = request.access_key_id.as_ref() == Some(&own);
        places.push((request.at, Place::S3(request.operation, request.key.unwrap_or_default()), is_own));
    }
    for statement in
        harness.stack.redshift.statements().into_iter().filter(|statement| statement.user == stack::LOADER)
    {
        places.push((statement.at, Place::Redshift(statement.sql), true));
    }
    places.sort_by_key(|(at, ..)| *at);
    let mut seen: BTreeMap<Place, usize> = BTreeMap::new();
    let steps = places.into_iter().filter_map(|(_, place, is_own)| {
        let name = named(&place);
        let place = general(place);
        let count = seen.entry(place.clone()).or_default();
        *count += 1;
        // What COPY reads with its role's keys is not a step of the function, but it meets the same faults.
        is_own.then(|| Step { name, nth: *count - 1, place })
    });
    steps.collect()
}

/// Returns a place without the parts that differ from run to run.
fn general(place: Place) -> Place {
    match place {
        // A staged file is below an id of its reading.
        Place::S3(operation, key) => match key.rsplit_once('/') {
            Some((directory, name)) if directory.contains("/batch/") => {
                Place::S3(operation, format!("/{name}"))
            }
            _ => Place::S3(operation, key),
        },
        Place::Redshift(sql) => {
            let end = sql.find(['(', '\'']).filter(|_| sql.starts_with("COPY") || sql.starts_with("INSERT"));
            let end = end
                .or_else(|| sql.strip_prefix("SET statement_timeout TO").map(|rest| sql.len() - rest.len()));
            let end = end.or_else(|| {
                (sql.starts_with("SELECT COALESCE") || sql.starts_with("SELECT line_number")).then_some(30)
            });
            Place::Redshift(sql[..end.unwrap_or(sql.len())].to_owned())
        }
    }
}

/// Everything that a later run or a person could see, except staged files.
#[derive(Debug, PartialEq, Eq)]
struct State {
    tables: Vec<(&'static str, Vec<Row>)>,
    ledger: Vec<Row>,
    ledger_tables: Vec<Row>,
    objects: Vec<(String, String)>,
}

async fn state(harness: &Harness) -> State {
    let (mut ledger, mut ledger_tables) = (Vec::new(), Vec::new());
    if !harness.ledger().await.is_empty() {
        ledger = harness.query("SELECT sequence, key, etag, row_count FROM cmslite.load_ledger").await;
        // Each row of the ledger with the rows that belong to it.
        ledger_tables = harness
            .query(
                "SELECT l.key, t.table_name, t.row_count FROM cmslite.load_ledger l
                 FULL JOIN cmslite.load_ledger_tables t USING (dataset, sequence, request_id)",
            )
            .await;
    }
    let objects =
        harness.stack.s3.objects(BUCKET).into_iter().filter(|object| !object.key.contains("/batch/"));
    // An error.json has a time and a request id: only its existence matters.
    let objects = objects.map(|object| {
        if object.key.contains(".error.") { (object.key, String::new()) } else { (object.key, object.etag) }
    });
    State { tables: harness.tables().await, ledger, ledger_tables, objects: objects.collect() }
}

/// Lets the function end at a step; returns whether it did.
fn inject(harness: &Arc<Harness>, step: &Step, end: End) -> Arc<AtomicBool> {
    let is_met = Arc::new(AtomicBool::new(false));
    let act: Arc<dyn Fn() + Send + Sync> = {
        let harness: Weak<Harness> = Arc::downgrade(harness);
        let is_met = Arc::clone(&is_met);
        Arc::new(move || {
            is_met.store(true, Ordering::SeqCst);
            if matches!(end, End::KilledBefore | End::KilledAfter) {
                harness.upgrade().unwrap().lambda.kill_and_wait();
            }
        })
    };
    let before = matches!(end, End::KilledBefore | End::CutBefore);
    match &step.place {
        Place::S3(operation, key) => {
            let action = if before { s3::Action::RunInstead(act) } else { s3::Action::RunAfter(act) };
            harness.stack.s3.inject(s3::Fault::on(operation, key, action).after(step.nth).times(1));
        }
        Place::Redshift(sql) => {
            let action =
                if before { redshift::Action::RunInstead(act) } else { redshift::Action::RunAfter(act) };
            harness.stack.redshift.inject(redshift::Fault::on(sql, action).after(step.nth).times(1));
        }
    }
    is_met
}

/// The preparation of the bucket before the invocation.
type Prepare = fn(&Harness) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

/// An invocation for archive `a`, at whose steps the function ends.
struct Scenario {
    appends: bool,
    prepare: Prepare,
    wanted: fn(&Step) -> bool,
}

/// Tries an end at every wanted step.
async fn survives(scenario: Scenario, end: End) {
    let Scenario { appends, prepare, wanted } = scenario;
    let builder = if appends { Harness::builder().appending() } else { Harness::builder() };
    // So that the reader of the staged files can be identified.
    let builder = builder.env("COPY_IAM_ROLE", "default");
    let harness = Arc::new(builder.start().await);
    let prepared = async || {
        harness.reset().await;
        prepare(&harness).await;
        harness.stack.s3.clear_requests();
        harness.stack.redshift.clear_statements();
    };
    prepared().await;
    Harness::report(harness.invoke(&key("a")).await);
    let steps: Vec<Step> = steps(&harness).into_iter().filter(wanted).collect();
    assert!(!steps.is_empty(), "no step is tried");
    let expected = state(&harness).await;

    let documented = documented();
    println!("{} steps", steps.len());
    for step in &steps {
        let what = format!("{end:?} {} ({})", step.name, step.nth + 1);
        println!("  {what}");
        assert!(
            documented.contains(&step.name),
            "docs/explanation/guarantees.md does not tell of the step {:?}",
            step.name
        );
        prepared().await;
        let is_met = inject(&harness, step, end);
        let outcome = harness.invoke(&key("a")).await;
        assert!(is_met.load(Ordering::SeqCst), "{what}: the step was not taken: {outcome:?}");
        match (outcome, end) {
            (Outcome::Failed { error_type, .. }, End::KilledBefore | End::KilledAfter) => {
                assert_eq!(error_type, "Runtime.ExitError", "{what}");
            }
            (Outcome::Ok(answer), End::KilledBefore | End::KilledAfter) => {
                panic!("{what}: it was not killed: {answer}")
            }
            // A broken connection is tried again at once where that can help.
            (Outcome::Ok(_), End::CutBefore | End::CutAfter) => {}
            (Outcome::Failed { error_type, message }, End::CutBefore | End::CutAfter) => {
                assert!(error_type.starts_with("Retryable."), "{what}: {error_type}: {message}");
            }
        }
        // The next run waits for the lease that a killed function had, or comes so late that it has expired.
        // For one of the steps the test checks that it waits.
        if step.name != "PutObject lease" {
            harness.expire_leases();
        }
        Harness::report(harness.invoke(&key("a")).await);
        assert_eq!(state(&harness).await, expected, "{what}");
    }
}

/// Returns the steps of the table in the documentation: the texts in backticks in its first column.
fn documented() -> BTreeSet<String> {
    let rows = GUARANTEES.lines().filter_map(|line| line.strip_prefix("| `"));
    let names: BTreeSet<String> = rows
        .filter_map(|row| row.split(" | ").next())
        .flat_map(|cell| cell.split('`').step_by(2).map(str::to_owned))
        .collect();
    assert!(names.len() > 10, "the table of docs/explanation/guarantees.md is not found");
    names.into_iter().filter(|name| !name.is_empty()).collect()
}

/// Makes each end a separate test, so that they run side by side and show the progress.
macro_rules! scenario {
    ($(#[$doc:meta])* $name:ident: $scenario:expr) => {
        cases! {
            $(#[$doc])*
            async $name: survives {
                killed_before($scenario, End::KilledBefore);
                killed_after($scenario, End::KilledAfter);
                cut_before($scenario, End::CutBefore);
                cut_after($scenario, End::CutAfter);
            }
        }
    };
}

scenario! {
    the_first_load_while_appending: Scenario {
        appends: true,
        prepare: |harness| Box::pin(async { put_sample(harness) }),
        wanted: |_| true,
    }
}

fn put_sample(harness: &Harness) {
    harness.put("a", &sample(3, 20), 1);
}

scenario! {
    a_load_that_replaces: Scenario {
        appends: false,
        // An older archive is loaded first, so that there are rows to replace.
        prepare: |harness| Box::pin(async {
            harness.put("0", &sample(4, 10), 0);
            Harness::report(harness.invoke(&key("0")).await);
            put_sample(harness);
        }),
        wanted: |_| true,
    }
}

scenario! {
    a_bad_archive: Scenario {
        appends: true,
        prepare: |harness| Box::pin(async { put_groups(harness, "id,name\n1\n") }),
        // Uploads in progress when the archive proves bad are given up, before or after they were sent.
        wanted: |step| step.name != "PutObject staged file",
    }
}

fn put_groups(harness: &Harness, text: &str) {
    harness.put("a", &sample_with("analytics_group.csv", text), 1);
}

scenario! {
    an_archive_that_redshift_refuses: Scenario {
        appends: true,
        // Only Redshift can judge if the loader cannot read the limits of the columns.
        prepare: |harness| Box::pin(async {
            harness.put("0", &sample(4, 10), 0);
            Harness::report(harness.invoke(&key("0")).await);
            harness.admin("REVOKE SELECT ON pg_catalog.svv_columns FROM PUBLIC").await;
            put_groups(harness, "id,name,active,site_key\n1,a,maybe,k\n");
        }),
        // The other steps are those of a successful load.
        wanted: |step| {
            ["COPY table", "COPY NOLOAD table", "SELECT load errors", "ROLLBACK", "GetObject staged file"]
                .contains(&step.name.as_str())
                || step.name.contains("bad")
        },
    }
}

scenario! {
    /// A corrected archive uploaded in parts, of which the marker's time does not tell whether it is settled.
    a_corrected_upload_in_parts: Scenario {
        appends: true,
        prepare: |harness| Box::pin(async {
            put_groups(harness, "id,name\n1\n");
            Harness::report(harness.invoke(&key("a")).await);
            let good = sample(3, 20);
            let (one, two) = good.split_at(good.len() / 2);
            harness.stack.s3.put_multipart_at(BUCKET, &key("a"), &[one, two], moment(1)).unwrap();
        }),
        wanted: |step| {
            step.name.starts_with("HeadObject")
                || step.name.contains("marker")
                || step.name.contains("error.json")
        },
    }
}

/// Returns an archive with a member that is large enough to be staged in parts.
fn with_a_large_member() -> Vec<u8> {
    let mut members: Vec<Member> = members(3, 20);
    let large = members.iter_mut().find(|member| member.name == "analytics_group.csv").unwrap();
    large.contents = b"id,name,active,site_key\n".to_vec();
    for row in 0..60_000 {
        large.contents.extend_from_slice(format!("{row},{},t,007\n", "x".repeat(120)).as_bytes());
    }
    samples::archive(&members).unwrap()
}

scenario! {
    a_member_staged_in_pieces: Scenario {
        appends: true,
        prepare: |harness| Box::pin(async {
            static ARCHIVE: LazyLock<Vec<u8>> = LazyLock::new(with_a_large_member);
            harness.put("a", &ARCHIVE, 1);
        }),
        wanted: |step| step.name == "PutObject staged file",
    }
}

scenario! {
    /// The bytes of an archive that is loaded, uploaded anew in parts: which they are is known when they are staged.
    the_same_bytes_again: Scenario {
        appends: true,
        prepare: |harness| Box::pin(async {
            put_sample(harness);
            Harness::report(harness.invoke(&key("a")).await);
            let same = sample(3, 20);
            let (one, two) = same.split_at(same.len() / 2);
            harness.stack.s3.put_multipart_at(BUCKET, &key("a"), &[one, two], moment(5)).unwrap();
        }),
        wanted: |step| {
            step.name.contains("ledger") || step.name.contains("marker") || step.name == "ROLLBACK"
        },
    }
}
