//! Provides the environment of a test: S3, the Redshift stand-in with a database of its own, and the real
//! binary driven as by Lambda. All tests of a process share one PostgreSQL.

pub mod moto;
mod samples;
pub mod terminal;

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use devstack::guard::Directory;
use devstack::lambda::{self, Lambda, Outcome};
use devstack::postgres::Postgres;
use devstack::s3::{self, Credentials};
use devstack::stack::{self, BUCKET, Stack, function_keys};
use devstack::{redshift, stack::LOADER};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

pub use samples::{
    Row, TABLES, appending, bad_key, expected, good_key, key, long_sample, members, moment, sample,
    sample_with, skipping, words,
};

/// The binary under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_cmslite-user-data-to-redshift");

/// The shipped configuration, which replaces the rows of the tables.
pub const SHIPPED: &str = include_str!("../../config.d/cmslite_user_group_metadata.json");

/// Returns a configuration with `quote_cells` on: most tests look at the position and the text.
pub fn quoting(config: &str) -> String {
    config.replace("\"quote_cells\": false", "\"quote_cells\": true")
}

/// The limit after which a wait is reported as hanging. Nothing is measured with it, so it may be far longer
/// than anything takes on a busy machine.
pub const HANGS_AFTER: Duration = Duration::from_secs(300);

/// Makes one test for each row of a table, named after the row: `name(arguments)` calls the check with the
/// arguments.
macro_rules! cases {
    ($(#[$doc:meta])* async $table:ident: $check:ident { $($case:ident($($argument:expr),* $(,)?);)+ }) => {
        $(#[$doc])*
        mod $table {
            use super::*;

            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() {
                    $check($($argument),*).await;
                }
            )+
        }
    };
    ($(#[$doc:meta])* $table:ident: $check:ident { $($case:ident($($argument:expr),* $(,)?);)+ }) => {
        $(#[$doc])*
        mod $table {
            use super::*;

            $(
                #[test]
                fn $case() {
                    $check($($argument),*);
                }
            )+
        }
    };
}
pub(crate) use cases;

/// Creates a directory for one test. All of them are in one that is removed when this process ends, in any
/// way.
pub fn temporary() -> tempfile::TempDir {
    static ALL: LazyLock<Directory> = LazyLock::new(|| Directory::make("tests-").unwrap());
    tempfile::tempdir_in(ALL.path()).unwrap()
}

/// Returns the PostgreSQL of this process, which ends with it.
async fn postgres() -> Arc<Postgres> {
    static POSTGRES: OnceCell<Arc<Postgres>> = OnceCell::const_new();
    Arc::clone(POSTGRES.get_or_init(|| async { Arc::new(Postgres::start().await.unwrap()) }).await)
}

/// The databases that no test uses any more. Dropping one needs a connection, which a destructor cannot wait
/// for: the next test does it, so that a run needs the disk space of the concurrent tests only.
static UNUSED: Mutex<Vec<String>> = Mutex::new(Vec::new());

async fn drop_unused(postgres: &Postgres) {
    let unused = std::mem::take(&mut *UNUSED.lock().unwrap());
    if unused.is_empty() {
        return;
    }
    let client = postgres.connect("postgres", "postgres").await.unwrap();
    for database in unused {
        client.batch_execute(&format!("DROP DATABASE \"{database}\" WITH (FORCE)")).await.unwrap();
    }
}

/// Returns a command's standard output, followed by its standard error.
pub fn told(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

/// A stack with a function.
pub struct Harness {
    pub stack: Stack,
    pub lambda: Lambda,
    pub config_dir: tempfile::TempDir,
    pub environment: Vec<(String, String)>,
    admin: OnceCell<tokio_postgres::Client>,
}

impl Drop for Harness {
    fn drop(&mut self) {
        UNUSED.lock().unwrap().push(self.stack.database.clone());
    }
}

/// The differences of a harness from the usual one, which has the shipped configuration and temporary keys.
#[derive(Clone, Default)]
pub struct HarnessBuilder {
    stack: stack::Options,
    config: Option<String>,
    keys: Option<Credentials>,
    environment: Vec<(&'static str, String)>,
    concurrency: Option<usize>,
    timeout: Option<Duration>,
    withholds_cells: bool,
}

impl HarnessBuilder {
    /// Withholds texts of cells, like the shipped configuration.
    pub fn withholding_cells(mut self) -> Self {
        self.withholds_cells = true;
        self
    }

    /// Sets the configuration, instead of the shipped one.
    pub fn config(mut self, config: impl Into<String>) -> Self {
        self.config = Some(config.into());
        self
    }

    /// Sets the shipped configuration, appending instead of replacing.
    pub fn appending(self) -> Self {
        self.config(samples::appending())
    }

    /// Sets the function's keys, whether or not S3 has them.
    pub fn keys(mut self, keys: Credentials) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Sets the function's keys, which S3 gets with their permissions.
    pub fn known_keys(mut self, keys: Credentials) -> Self {
        let known = keys.clone();
        self.stack.s3 = Some(Arc::new(move |options: &mut s3::Options| {
            options.credentials[1] = known.clone();
        }));
        self.keys(keys)
    }

    /// Limits the role of COPY in S3 to a policy.
    pub fn copy_role(mut self, policy: s3::policy::Policy) -> Self {
        self.stack.s3 = Some(Arc::new(move |options: &mut s3::Options| {
            let keys = options.credentials[2].clone();
            options.credentials[2] = keys.with_policy(policy.clone());
        }));
        self
    }

    /// Removes the permission for an operation of S3 from the keys.
    pub fn denying(self, operation: &str) -> Self {
        self.known_keys(function_keys().denying(operation))
    }

    /// Sets another S3 instead of the stack's own.
    pub fn s3_endpoint(mut self, url: impl Into<String>) -> Self {
        self.stack.s3_endpoint = Some(url.into());
        self
    }

    /// Changes the stand-in's options.
    pub fn redshift(mut self, change: impl Fn(&mut redshift::Options) + Send + Sync + 'static) -> Self {
        self.stack.redshift = Some(Arc::new(change));
        self
    }

    /// Sets a variable of the function's environment; an empty value removes it.
    pub fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// Sets how many processes of the function serve at the same time, instead of one.
    pub fn concurrency(mut self, processes: usize) -> Self {
        self.concurrency = Some(processes);
        self
    }

    /// Sets the time limit of an invocation.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    pub async fn start(self) -> Harness {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let postgres = postgres().await;
        drop_unused(&postgres).await;
        let database = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let stack = Stack::start_on(postgres, &database, self.stack).await.unwrap();
        let config_dir = temporary();
        let config = self.config.as_deref().unwrap_or(SHIPPED);
        let config = if self.withholds_cells { config.to_owned() } else { quoting(config) };
        std::fs::write(config_dir.path().join("cmslite_user_group_metadata.json"), config).unwrap();
        let mut environment = match &self.keys {
            Some(keys) => stack.environment(keys),
            None => stack.function_environment(),
        };
        // Faults that must be met to the end are not waited for a minute each.
        environment.push(("AWS_MAX_ATTEMPTS".to_owned(), "4".to_owned()));
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
        Harness { stack, lambda, config_dir, environment, admin: OnceCell::new() }
    }
}

impl Harness {
    pub fn builder() -> HarnessBuilder {
        HarnessBuilder::default()
    }

    /// Starts the usual harness.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Puts an archive, with a time `seconds` after a fixed moment in the past, without a notification.
    pub fn put(&self, name: &str, archive: &[u8], seconds: i64) -> String {
        self.stack.s3.put_at(BUCKET, &key(name), archive, moment(seconds)).unwrap();
        key(name)
    }

    /// Returns the notification of an object, as S3 sends it.
    pub fn event(key: &str) -> Value {
        let mut event: Value =
            serde_json::from_str(include_str!("../../events/s3-object-created.json")).unwrap();
        event["Records"][0]["s3"]["object"]["key"] = json!(key.replace('+', "%2B").replace(' ', "+"));
        event
    }

    /// Returns the notification of an object with its current revision, size and time.
    pub fn upload_event(&self, key: &str) -> Value {
        let objects = self.stack.s3.objects(BUCKET);
        let object = objects.iter().find(|object| object.key == key).expect("it was uploaded");
        let mut event = Self::event(key);
        let record = &mut event["Records"][0];
        record["eventTime"] =
            json!(object.last_modified.to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
        record["s3"]["object"]["eTag"] = json!(object.etag);
        record["s3"]["object"]["size"] = json!(object.size);
        event
    }

    /// Refuses leases, as for the role of an earlier version's template: functions work side by side.
    pub fn deny_leases(&self) {
        let refusal = s3::Action::Refuse(403, "AccessDenied".to_owned());
        self.stack.s3.inject(s3::Fault::on("PutObject", "/lease/", refusal));
    }

    /// Expires the leases that killed functions left, as happens after a while.
    pub fn expire_leases(&self) {
        for key in self.keys().into_iter().filter(|key| key.contains("/lease/")) {
            let mut note: Value =
                serde_json::from_slice(&self.stack.s3.read(BUCKET, &key).unwrap_or_default())
                    .unwrap_or_default();
            if note.is_object() {
                note["until"] = json!(moment(0));
                self.stack.s3.put_at(BUCKET, &key, note.to_string().as_bytes(), moment(0)).unwrap();
            }
        }
    }

    pub async fn invoke(&self, key: &str) -> Outcome {
        self.lambda.invoke(Self::event(key)).await
    }

    pub async fn sweep(&self) -> Outcome {
        self.lambda.invoke(json!({"dataset": "cmslite_user_group_metadata"})).await
    }

    /// Returns the report of an answer's only dataset.
    #[track_caller]
    pub fn report(outcome: Outcome) -> Value {
        match outcome {
            Outcome::Ok(answer) => answer["reports"][0].clone(),
            Outcome::Failed { error_type, message } => panic!("{error_type}: {message}"),
        }
    }

    /// Waits until no invocation waits, runs, or will be tried again.
    pub async fn idle(&self) {
        lambda::eventually(HANGS_AFTER, || self.lambda.is_idle()).await.unwrap();
    }

    /// Waits until an archive is settled as good.
    pub async fn becomes_good(&self, name: &str) {
        let settled = lambda::eventually(HANGS_AFTER, || self.is_good(name)).await;
        settled.unwrap_or_else(|error| panic!("{name}: {error}: {:#?}", self.lambda.history()));
    }

    /// Returns the rows of a table, sorted.
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

    /// Returns the rows of a query as PostgreSQL's superuser, as text, sorted.
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

    /// Returns the keys in the ledger, in the order of their loads; empty if there is no ledger.
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

    /// Restores the start: an empty bucket, empty tables, no ledger, no faults.
    pub async fn reset(&self) {
        self.stack.s3.clear_faults();
        self.stack.redshift.clear_faults();
        self.stack.s3.empty_bucket(BUCKET);
        self.stack.s3.set_time(None);
        self.stack.s3.clear_requests();
        self.stack.redshift.clear_statements();
        let tables = TABLES.map(|table| format!("cmslite.{table}")).join(", ");
        self.admin(&format!(
            "TRUNCATE {tables}; DROP TABLE IF EXISTS cmslite.load_ledger, cmslite.load_ledger_tables, cmslite.load_ledger_lock"
        ))
        .await;
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

    /// Returns everything that the function wrote, to the end of its last invocation. Its output may arrive
    /// after its outcome; the last line of an invocation shows that it is complete.
    pub async fn log(&self) -> String {
        let Some(last) = self.lambda.history().pop() else { return self.lambda.log() };
        let is_there = || {
            let log = self.lambda.log();
            let count = |word: &str| {
                log.lines().filter(|line| line.contains(word) && line.contains(&last.request_id)).count()
            };
            match &last.outcome {
                // The metrics of each dataset that it worked on.
                Outcome::Ok(answer) => count("\"_aws\"") >= answer["reports"].as_array().map_or(0, Vec::len),
                // Lambda reports it once the process has ended.
                Outcome::Failed { error_type, .. }
                    if error_type.starts_with("Runtime.") || error_type.starts_with("Sandbox.") =>
                {
                    true
                }
                Outcome::Failed { .. } => count("\"ERROR\"") > 0,
            }
        };
        let there = lambda::eventually(HANGS_AFTER, is_there).await;
        there.unwrap_or_else(|error| panic!("{error}: {last:?} is not at its end in {}", self.lambda.log()));
        self.lambda.log()
    }

    /// Returns the `error.json` of a bad archive.
    pub fn error_json(&self, name: &str) -> Value {
        let bytes = self
            .stack
            .s3
            .read(BUCKET, &format!("{}.error.json", bad_key(name)))
            .expect("there is no error.json");
        serde_json::from_slice(&bytes).unwrap()
    }

    /// Returns the statements of the loader's user, by session.
    pub fn sessions(&self) -> Vec<Vec<String>> {
        let mut sessions: Vec<(u64, Vec<String>)> = Vec::new();
        for statement in
            self.stack.redshift.statements().into_iter().filter(|statement| statement.user == LOADER)
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
        let directory = temporary();
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
