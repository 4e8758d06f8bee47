//! A stack for one test: S3, the Redshift stand-in with a database of its own, and the real binary driven as
//! Lambda drives it.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod moto;

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use devstack::lambda::{self, Lambda, Outcome};
use devstack::postgres::Postgres;
use devstack::s3::{self, Credentials};
use devstack::samples::{self, Member};
use devstack::stack::{self, BUCKET, Stack, function_keys};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_cmslite-user-data-to-redshift");
pub const SHIPPED: &str = include_str!("../../config.d/cmslite_user_group_metadata.json");
pub const TABLES: [&str; 4] = ["cms_group", "user_activity", "user_group", "user_status"];

pub type Row = Vec<Option<String>>;

/// One PostgreSQL for all tests of a file; it ends with the process.
async fn postgres() -> Arc<Postgres> {
    static POSTGRES: OnceCell<Arc<Postgres>> = OnceCell::const_new();
    Arc::clone(POSTGRES.get_or_init(|| async { Arc::new(Postgres::start().await.unwrap()) }).await)
}

pub struct World {
    pub stack: Stack,
    pub lambda: Lambda,
    pub config_dir: tempfile::TempDir,
    pub environment: Vec<(String, String)>,
    admin: OnceCell<tokio_postgres::Client>,
}

/// How a test's world differs from the usual one.
#[derive(Clone, Default)]
pub struct Setup {
    pub stack: stack::Options,
    /// The configuration, instead of the shipped one.
    pub config: Option<String>,
    /// The function's keys, instead of its temporary ones.
    pub keys: Option<Credentials>,
    /// Variables that are added to the function's environment; an empty value removes one.
    pub environment: Vec<(&'static str, String)>,
    pub concurrency: Option<usize>,
    pub timeout: Option<Duration>,
}

impl Setup {
    /// The shipped configuration, appending instead of replacing.
    pub fn appending() -> Self {
        Self { config: Some(appending()), ..Self::default() }
    }

    /// A function whose keys have no right to an operation of S3.
    pub fn denying(operation: &str) -> Self {
        Self::with_keys(function_keys().denying(operation))
    }

    /// A function with other keys.
    pub fn with_keys(keys: Credentials) -> Self {
        let change = {
            let keys = keys.clone();
            move |options: &mut s3::Options| options.credentials[1] = keys.clone()
        };
        let stack = stack::Options { s3: Some(Arc::new(change)), ..stack::Options::default() };
        Self { stack, keys: Some(keys), ..Self::default() }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    pub async fn start(self) -> World {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let database = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let stack = Stack::start_on(postgres().await, &database, self.stack).await.unwrap();
        let config_dir = tempfile::tempdir().unwrap();
        std::fs::write(
            config_dir.path().join("cmslite_user_group_metadata.json"),
            self.config.as_deref().unwrap_or(SHIPPED),
        )
        .unwrap();
        let mut environment = match &self.keys {
            Some(keys) => stack.environment(keys),
            None => stack.function_environment(),
        };
        environment.push(("CONFIG_DIR".to_owned(), config_dir.path().display().to_string()));
        for (name, value) in self.environment {
            environment.retain(|(known, _)| known != name);
            if !value.is_empty() {
                environment.push((name.to_owned(), value));
            }
        }
        let mut options = lambda::Options::new(PROGRAM, environment.clone());
        options.concurrency = self.concurrency.unwrap_or(1);
        options.timeout = self.timeout.unwrap_or(options.timeout);
        let lambda = Lambda::start(options).await.unwrap();
        World { stack, lambda, config_dir, environment, admin: OnceCell::new() }
    }
}

pub async fn world() -> World {
    Setup::default().start().await
}

pub fn appending() -> String {
    SHIPPED.replace("\"truncate\": true", "\"truncate\": false")
}

pub fn key(name: &str) -> String {
    format!("client/cmslite_gdx/cms-analytics-csv_{name}.tgz")
}

pub fn good_key(name: &str) -> String {
    format!("processed/good/{}", key(name))
}

pub fn bad_key(name: &str) -> String {
    format!("processed/bad/{}", key(name))
}

/// The four files with `rows` rows each.
pub fn members(seed: u64, rows: usize) -> Vec<Member> {
    samples::real_dataset(seed, rows).unwrap()
}

pub fn sample(seed: u64, rows: usize) -> Vec<u8> {
    samples::archive(&members(seed, rows)).unwrap()
}

/// An archive whose four files have about `csv_bytes` together.
pub fn long_sample(seed: u64, csv_bytes: u64) -> Vec<u8> {
    let mut archive = Vec::new();
    samples::write_archive(seed, csv_bytes, &mut archive).unwrap();
    archive
}

/// An archive whose file for one table has other contents.
pub fn sample_with(member: &str, contents: impl Into<Vec<u8>>) -> Vec<u8> {
    let mut members = members(1, 3);
    members.iter_mut().find(|known| known.name == member).unwrap().contents = contents.into();
    samples::archive(&members).unwrap()
}

/// Numbers that do not compress (`SplitMix64`).
pub fn words(seed: u64) -> impl Iterator<Item = u64> {
    (1..).map(move |n: u64| {
        let word = seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    })
}

/// What the tables must hold after `members` were loaded: read by the `csv` crate, which wrote them.
pub fn expected(members: &[Member]) -> Vec<(&'static str, Vec<Row>)> {
    let rows = |name: &str| -> Vec<Vec<String>> {
        let member = members.iter().find(|member| member.name == name).unwrap();
        let mut reader = csv::Reader::from_reader(member.contents.as_slice());
        reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
    };
    let text = |cell: &str| (cell != "-").then(|| cell.to_owned());
    let boolean = |cell: &str| match cell {
        "" | "-" => None,
        "t" | "true" | "1" | "y" | "yes" => Some("t".to_owned()),
        _ => Some("f".to_owned()),
    };
    // PostgreSQL shows a timestamp without the zeros at its end.
    let time = |cell: &str| {
        (!cell.is_empty() && cell != "-").then(|| cell.trim_end_matches('0').trim_end_matches('.').to_owned())
    };
    let mut tables = vec![
        (
            "cms_group",
            rows("analytics_group.csv")
                .iter()
                .map(|r| vec![text(&r[0]), text(&r[1]), boolean(&r[2]), text(&r[3])])
                .collect::<Vec<Row>>(),
        ),
        (
            "user_activity",
            rows("analytics_user_activity.csv")
                .iter()
                .map(|r| {
                    let group = r[3].split(" - ").nth(1).unwrap_or_default();
                    vec![text(&r[0]), text(&r[1]), text(&r[2]), text(&r[3]), time(&r[4]), text(group)]
                })
                .collect(),
        ),
        (
            "user_group",
            rows("analytics_user_group.csv")
                .iter()
                .map(|r| r[..6].iter().map(|cell| text(cell)).chain([boolean(&r[6])]).collect())
                .collect(),
        ),
        (
            "user_status",
            rows("analytics_user_status.csv")
                .iter()
                .map(|r| {
                    vec![
                        text(&r[0]),
                        text(&r[1]),
                        text(&r[2]),
                        text(&r[3]),
                        text(&r[4]),
                        time(&r[5]),
                        text(&r[6]),
                    ]
                })
                .collect(),
        ),
    ];
    for (_, rows) in &mut tables {
        rows.sort();
    }
    tables
}

impl World {
    /// Puts an archive, `seconds` after a moment in the past, without a notification.
    pub fn put(&self, name: &str, archive: &[u8], seconds: i64) -> String {
        self.stack.s3.put_at(BUCKET, &key(name), archive, moment(seconds)).unwrap();
        key(name)
    }

    /// The notification of an object, as S3 sends it.
    pub fn event(key: &str) -> Value {
        let mut event: Value =
            serde_json::from_str(include_str!("../../events/s3-object-created.json")).unwrap();
        event["Records"][0]["s3"]["object"]["key"] = json!(key.replace('+', "%2B").replace(' ', "+"));
        event
    }

    pub async fn invoke(&self, key: &str) -> Outcome {
        self.lambda.invoke(Self::event(key)).await
    }

    /// Invokes for a key and expects an answer: the report of its one dataset.
    #[track_caller]
    pub fn report(outcome: Outcome) -> Value {
        match outcome {
            Outcome::Ok(answer) => answer["reports"][0].clone(),
            Outcome::Failed { error_type, message } => panic!("{error_type}: {message}"),
        }
    }

    pub async fn sweep(&self) -> Outcome {
        self.lambda.invoke(json!({"dataset": "cmslite_user_group_metadata"})).await
    }

    /// The rows of a table, sorted.
    pub async fn rows(&self, table: &str) -> Vec<Row> {
        self.query(&format!("SELECT * FROM cmslite.{table}")).await
    }

    pub async fn tables(&self) -> Vec<(&'static str, Vec<Row>)> {
        let mut tables = Vec::new();
        for table in TABLES {
            tables.push((table, self.rows(table).await));
        }
        tables
    }

    /// The rows of a query by PostgreSQL's superuser, as text, sorted.
    pub async fn query(&self, sql: &str) -> Vec<Row> {
        let mut rows: Vec<Row> = self
            .superuser()
            .await
            .simple_query(sql)
            .await
            .unwrap()
            .iter()
            .filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => {
                    Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect())
                }
                _ => None,
            })
            .collect();
        rows.sort();
        rows
    }

    pub async fn admin(&self, sql: &str) {
        self.superuser().await.batch_execute(sql).await.unwrap();
    }

    async fn superuser(&self) -> &tokio_postgres::Client {
        self.admin.get_or_init(|| async { self.stack.admin().await.unwrap() }).await
    }

    /// The keys in the ledger, in the order of their loads; none where there is no ledger.
    pub async fn ledger(&self) -> Vec<String> {
        let there = self.query("SELECT to_regclass('cmslite.load_ledger') IS NOT NULL").await;
        if there[0][0].as_deref() == Some("f") {
            return Vec::new();
        }
        let rows = self.query("SELECT lpad(sequence::text, 9, '0'), key FROM cmslite.load_ledger").await;
        rows.into_iter().map(|row| row[1].clone().unwrap()).collect()
    }

    pub fn keys(&self) -> Vec<String> {
        self.stack.s3.objects(BUCKET).into_iter().map(|object| object.key).collect()
    }

    /// Everything as it was at the start: an empty bucket, empty tables, no ledger, no faults.
    pub async fn reset(&self) {
        self.stack.s3.clear_faults();
        self.stack.redshift.clear_faults();
        self.stack.s3.empty_bucket(BUCKET);
        self.stack.s3.set_time(None);
        self.stack.s3.clear_requests();
        self.stack.redshift.clear_statements();
        let tables = TABLES.map(|table| format!("cmslite.{table}")).join(", ");
        self.admin(&format!("TRUNCATE {tables}; DROP TABLE IF EXISTS cmslite.load_ledger")).await;
    }

    pub fn is_good(&self, name: &str) -> bool {
        self.keys().contains(&good_key(name))
    }

    pub fn is_bad(&self, name: &str) -> bool {
        self.keys().contains(&bad_key(name))
    }

    pub fn is_unsettled(&self, name: &str) -> bool {
        !self.is_good(name) && !self.is_bad(name)
    }

    /// What the function has written, its last invocation's report included, which may come after the
    /// invocation's outcome.
    pub async fn log(&self) -> String {
        let id = self.lambda.history().last().map(|ended| ended.request_id.clone()).unwrap_or_default();
        let reported =
            || self.lambda.log().lines().any(|line| line.contains("\"report\":") && line.contains(&id));
        // An invocation that fails before it works on any dataset has none.
        let _ = devstack::lambda::eventually(Duration::from_secs(5), reported).await;
        self.lambda.log()
    }

    /// Everything that the function wrote, once the metrics of its last invocation are among it: its output
    /// comes past its answers.
    pub async fn metrics_log(&self) -> String {
        let last = self.lambda.history().last().unwrap().request_id.clone();
        let is_there = || self.lambda.log().lines().any(|line| line.contains("_aws") && line.contains(&last));
        let there = devstack::lambda::eventually(Duration::from_secs(30), is_there).await;
        there.unwrap_or_else(|error| panic!("{error:?}: no metrics in {}", self.lambda.log()));
        self.lambda.log()
    }

    /// The explanation beside a bad archive.
    pub fn error_json(&self, name: &str) -> Value {
        let bytes = self
            .stack
            .s3
            .read(BUCKET, &format!("{}.error.json", bad_key(name)))
            .expect("there is no error.json");
        serde_json::from_slice(&bytes).unwrap()
    }

    /// The statements of the loader's user, by session.
    pub fn sessions(&self) -> Vec<Vec<String>> {
        let mut sessions: Vec<(u64, Vec<String>)> = Vec::new();
        for statement in
            self.stack.redshift.statements().into_iter().filter(|statement| statement.user == stack::LOADER)
        {
            assert!(!statement.extended && statement.parameters == 0, "{statement:?}");
            match sessions.last_mut().filter(|(number, _)| *number == statement.session) {
                Some((_, statements)) => statements.push(statement.sql),
                None => sessions.push((statement.session, vec![statement.sql])),
            }
        }
        sessions.into_iter().map(|(_, statements)| statements).collect()
    }

    /// Runs the command in an empty directory.
    pub async fn command(&self, arguments: &[&str]) -> (Output, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .current_dir(directory.path())
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        (output, directory)
    }

    pub fn config_file(&self) -> PathBuf {
        self.config_dir.path().join("cmslite_user_group_metadata.json")
    }
}

/// A whole second, some days ago.
pub fn moment(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(Utc::now().timestamp() / 86_400 * 86_400, 0).unwrap() - TimeDelta::days(3)
        + TimeDelta::seconds(seconds)
}
