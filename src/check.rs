//! Whether a dataset could be loaded: every right, table and column that a load needs, tried without loading
//! anything.
//!
//! Rights are not looked up but used: the statements of a load are sent in a transaction that is rolled back,
//! with COPY told to load nothing.

use std::fmt;
use std::time::Duration;

use chrono::Utc;
use serde::Serialize;
use tokio::time::Instant;

use crate::config::{Dataset, Table, TableName};
use crate::error::{Deployment, Error, Retryable};
use crate::ledger;
use crate::listings;
use crate::pipeline::Loader;
use crate::queue::{Object, Plan, Standing, Until, plan};
use crate::redshift::{Column, Refusal, Session};
use crate::report::FORMAT_VERSION;
use crate::sql::{Authorization, Copy, LedgerKey, LoadErrorTable, Statement};
use crate::stage::Manifest;

/// How long Redshift may take over all of it: the ledger is locked for a moment, and loads wait for it.
const WITHIN: Duration = Duration::from_secs(60);

/// The name of the archive that is none, under which files are written for the check.
const NAME: &str = "check";

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Version of this form.
    pub version: u32,
    /// The dataset.
    pub dataset: String,
    /// What was found, in the order in which it was looked for.
    pub findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub subject: String,
    /// How it was found.
    pub outcome: Outcome,
    /// What was found.
    pub text: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// How something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it must be.
    Good,
    /// Worth knowing, and no obstacle.
    Note,
    /// A load would fail.
    Bad,
}

impl Finding {
    fn good(subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self { subject: subject.into(), outcome: Outcome::Good, text: text.into(), remedy: None }
    }

    fn note(subject: impl Into<String>, text: impl Into<String>, remedy: &str) -> Self {
        Self {
            subject: subject.into(),
            outcome: Outcome::Note,
            text: text.into(),
            remedy: Some(remedy.to_owned()),
        }
    }

    fn bad(subject: impl Into<String>, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            outcome: Outcome::Bad,
            text: text.into(),
            remedy: Some(remedy.into()),
        }
    }

    /// What an attempt came to.
    fn of(subject: &str, good: &str, result: Result<(), Error>) -> Self {
        match result {
            Ok(()) => Self::good(subject, good),
            Err(error) => Self::bad(subject, error.chain(), remedy(&error)),
        }
    }
}

/// What to do about a failure.
fn remedy(error: &Error) -> &'static str {
    match error {
        Error::BadInput(_) => "mend the archive",
        Error::Retryable(fault) => match fault.kind {
            Retryable::ConnectionLost => {
                "look at PGHOST and PGPORT, whether the cluster runs, and whether its security group lets this machine or the function's subnets in"
            }
            Retryable::Serialization | Retryable::StatementTimeout | Retryable::DeadlineNear => {
                "something else works on the tables or the ledger: try again when it has ended"
            }
            Retryable::S3Unavailable
            | Retryable::CountsDiffer
            | Retryable::SourceChanged
            | Retryable::StoppedAtBadArchive
            | Retryable::Interrupted
            | Retryable::Unknown => "try again; if it lasts, the message says where",
        },
        Error::Deployment(fault) => match fault.kind {
            Deployment::S3Access => {
                "give the program's role s3:ListBucket on the bucket, s3:GetObject on archives and markers, s3:PutObject below batch/, good/ and bad/, and \
                 s3:DeleteObject on markers, as template.yaml does; or look at the AWS_* variables"
            }
            Deployment::NoSuchBucket => "look at \"bucket\" in the configuration, and at AWS_REGION",
            Deployment::LoginRefused => {
                "look at PGUSER and the password (pgpass, PGPASSWORD or PGPASS_SECRET_ID)"
            }
            Deployment::AuthenticationUnsupported => "store the user's password as an MD5 digest",
            Deployment::TlsNotTrusted => {
                "use the host name of the certificate, and PGSSLROOTCERT if its issuer is not one that the system trusts"
            }
            Deployment::SchemaMismatch => "make the table as ddl/ does, or mend the configuration",
            Deployment::Privilege => "grant the user what ddl/grants.sql grants",
            Deployment::CopyAuthorization => {
                "attach the role of COPY_IAM_ROLE to the cluster and let it s3:GetObject below batch/; without COPY_IAM_ROLE, the program's own role needs that"
            }
            Deployment::SecretUnreadable => {
                "let the program's role secretsmanager:GetSecretValue on PGPASS_SECRET_ID"
            }
            Deployment::Configuration | Deployment::UnknownEvent | Deployment::NotAgain => {
                "mend the configuration"
            }
        },
    }
}

/// Tries everything that a load of `dataset` needs. Leaves nothing behind but the small files that it writes
/// below `batch/`, which the bucket's lifecycle rule removes with the rest.
pub async fn check(loader: &Loader, dataset: &Dataset) -> Check {
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
    let staged = check_s3(loader, dataset, &mut findings).await;
    check_redshift(loader, dataset, staged, &mut findings).await;
    Check { version: FORMAT_VERSION, dataset: dataset.name.clone(), findings }
}

/// Whether archives can be listed and read, staged files written, and markers set. Returns whether files for
/// COPY were written.
async fn check_s3(loader: &Loader, dataset: &Dataset, findings: &mut Vec<Finding>) -> bool {
    let (store, bucket) = (&loader.store, &dataset.bucket);
    let archives = match listings::read(store, dataset, &Until::End).await {
        Err(error) => {
            findings.push(Finding::bad("S3: list", error.chain(), remedy(&error)));
            return false;
        }
        Ok((listings, revisions)) => plan(dataset, &listings, &revisions),
    };
    findings.push(Finding::good("S3: list", listing_text(&archives)));
    match archives.archives.last() {
        None => findings.push(Finding::note("S3: read", "there is no archive yet to be read", "upload one")),
        Some(newest) => {
            let key = &newest.object.key;
            let read = store.head(bucket, key).await.map(drop);
            findings.push(Finding::of("S3: read", key, read));
        }
    }
    let written = write_files(loader, dataset).await;
    let is_written = written.is_ok();
    findings.push(Finding::of("S3: write", &format!("below {}", dataset.batch_prefix()), written));
    if is_written {
        let settled = settle_nothing(loader, dataset).await;
        findings.push(Finding::of(
            "S3: copy and delete",
            &format!("below {} and {}", dataset.good_prefix(), dataset.bad_prefix()),
            settled,
        ));
    }
    is_written
}

fn listing_text(plan: &Plan) -> String {
    let count = |standing| plan.standing(standing).count();
    let [good, bad, superseded, queued] =
        [Standing::Good, Standing::Bad, Standing::Superseded, Standing::Queued].map(count);
    format!(
        "{} archives: {good} good, {bad} bad, {superseded} superseded, {queued} to load",
        plan.archives.len()
    )
}

/// The staged file of one table, without its ending.
fn stem(dataset: &Dataset, table: &Table) -> String {
    dataset.staged_stem(&format!("{}{NAME}", dataset.source_prefix()), "00000000", &table.member)
}

/// A staged file without rows, and its manifest, for each table.
async fn write_files(loader: &Loader, dataset: &Dataset) -> Result<(), Error> {
    let (store, bucket) = (&loader.store, &dataset.bucket);
    for table in &dataset.tables {
        let stem = stem(dataset, table);
        let columns: Vec<&str> = table.loaded_columns().collect();
        let file = format!("{stem}.csv");
        store.put(bucket, &file, format!("{}\n", columns.join(",")), "text/csv; charset=utf-8").await?;
        store
            .put(
                bucket,
                &format!("{stem}.manifest"),
                Manifest::of(bucket, &[&file]).to_json(),
                "application/json",
            )
            .await?;
    }
    Ok(())
}

/// Copies a file to where markers are, under a name that is no archive's, and removes the copies.
async fn settle_nothing(loader: &Loader, dataset: &Dataset) -> Result<(), Error> {
    let (store, bucket) = (&loader.store, &dataset.bucket);
    let Some(table) = dataset.tables.first() else { return Ok(()) };
    let key = format!("{}.csv", stem(dataset, table));
    let file: Option<Object> = store.head(bucket, &key).await?;
    let file = file
        .ok_or_else(|| Error::retryable(Retryable::SourceChanged, format!("s3://{bucket}/{key} is gone")))?;
    for prefix in [dataset.good_prefix(), dataset.bad_prefix()] {
        let copy = format!("{prefix}{NAME}");
        store.copy(bucket, &file, &copy).await?;
        store.delete(bucket, &copy).await?;
    }
    Ok(())
}

async fn check_redshift(loader: &Loader, dataset: &Dataset, staged: bool, findings: &mut Vec<Finding>) {
    let session = match loader.redshift.connect(Some(Instant::now() + WITHIN)).await {
        Ok(session) => session,
        Err(error) => {
            findings.push(Finding::bad("Redshift: login", error.chain(), remedy(&error)));
            return;
        }
    };
    findings.push(Finding::good("Redshift: login", loader.redshift.describe()));
    if let Err(refusal) = session.run(&Statement::StatementTimeout(WITHIN.as_millis())).await {
        let error = Error::from(refusal);
        findings.push(Finding::bad("Redshift: session", error.chain(), remedy(&error)));
    }
    let names: Vec<&TableName> =
        dataset.tables.iter().map(|table| &table.name).chain([&dataset.ledger]).collect();
    let (mut columns, unseen) = match session.columns(&names).await {
        Ok(columns) => (columns, None),
        Err(refusal) => (vec![Vec::new(); names.len()], Some(Error::from(refusal).chain())),
    };
    findings.push(check_ledger(&session, dataset, &columns.pop().unwrap_or_default()).await);
    let authorization = loader.authorization().await;
    for (table, columns) in dataset.tables.iter().zip(columns) {
        let subject = format!("table {}", table.name);
        match &unseen {
            None => findings.extend(compare(table, dataset, &columns)),
            Some(why) => findings.push(Finding::note(
                &subject,
                why,
                "let the user read svv_columns to have the columns compared",
            )),
        }
        let rehearsed = match &authorization {
            Ok(authorization) => rehearse(&session, loader, dataset, table, authorization, staged).await,
            Err(error) => {
                findings.push(Finding::bad(&subject, error.chain(), remedy(error)));
                continue;
            }
        };
        let text = if staged {
            "DELETE and COPY are allowed"
        } else {
            "DELETE is allowed; COPY was not tried, since nothing could be written to S3"
        };
        let text = if dataset.truncate {
            text.to_owned()
        } else {
            text.replace("DELETE and COPY are", "COPY is").replace("DELETE is allowed; ", "")
        };
        findings.push(Finding::of(&subject, &text, rehearsed.map_err(Error::from)));
    }
    findings.push(check_load_errors(&session).await);
    session.close().await;
}

/// The ledger's statements, rolled back.
async fn check_ledger(session: &Session, dataset: &Dataset, columns: &[Column]) -> Finding {
    let ledger = &dataset.ledger;
    let subject = format!("ledger {ledger}");
    let differences = ledger::differences(columns);
    if !differences.is_empty() {
        return Finding::bad(
            subject,
            differences.join(", "),
            "make it as ddl/ledger.sql does, or name another table with \"ledger\" in the configuration",
        );
    }
    let entry = LedgerKey {
        dataset: &dataset.name,
        bucket: &dataset.bucket,
        key: NAME,
        etag: NAME,
        last_modified: Utc::now(),
    };
    let write = Statement::WriteLedger {
        ledger,
        entry: &entry,
        size_bytes: 0,
        rows: 0,
        sequence: 0,
        loaded_at: Utc::now(),
        request_id: NAME,
    };
    let made = if columns.is_empty() { Some(Statement::CreateLedger(ledger)) } else { None };
    let is_new = made.is_some();
    let steps = made.into_iter().chain([
        Statement::LockLedger(ledger),
        Statement::ReadLedger { ledger, entry: &entry, by_request: None },
        write,
    ]);
    let rehearsed = rolled_back(session, steps).await.map_err(Error::from);
    Finding::of(
        &subject,
        if is_new { "not there yet; the first load makes it" } else { "can be locked, read and written" },
        rehearsed,
    )
}

/// The statements of a load of one table, rolled back.
async fn rehearse(
    session: &Session,
    loader: &Loader,
    dataset: &Dataset,
    table: &Table,
    authorization: &Authorization,
    staged: bool,
) -> Result<(), Refusal> {
    let manifest = format!("s3://{}/{}.manifest", dataset.bucket, stem(dataset, table));
    let delete = dataset.truncate.then_some(Statement::DeleteNone(&table.name));
    let copy = staged.then(|| {
        Statement::CopyNothing(Copy {
            table: &table.name,
            columns: table.loaded_columns().collect(),
            manifest: &manifest,
            authorization,
            region: loader.region.as_deref(),
        })
    });
    rolled_back(session, delete.into_iter().chain(copy)).await
}

/// Runs statements in a transaction that is rolled back, up to the first that is refused.
async fn rolled_back<'s>(
    session: &Session,
    statements: impl Iterator<Item = Statement<'s>>,
) -> Result<(), Refusal> {
    session.run(&Statement::Begin).await?;
    let mut result = Ok(());
    for statement in statements {
        result = session.run(&statement).await.map(drop);
        if result.is_err() {
            break;
        }
    }
    session.run(&Statement::Rollback).await?;
    result
}

/// Whether it can be told which rows Redshift refused.
async fn check_load_errors(session: &Session) -> Finding {
    let subject = "load errors";
    for (table, name) in
        [(LoadErrorTable::Sys, "sys_load_error_detail"), (LoadErrorTable::Stl, "stl_load_errors")]
    {
        if session.run(&Statement::LoadErrors { table, file: NAME }).await.is_ok() {
            return Finding::good(subject, format!("{name} can be read"));
        }
    }
    Finding::note(
        subject,
        "neither sys_load_error_detail nor stl_load_errors can be read: rows that Redshift refuses could not be named, and their archive would stay unsettled",
        "let the user read one of them",
    )
}

/// How a table differs from what the configuration loads into it.
fn compare(table: &Table, dataset: &Dataset, found: &[Column]) -> Vec<Finding> {
    let subject = format!("table {}", table.name);
    if found.is_empty() {
        return vec![Finding::bad(
            subject,
            "there is no such table, or the user may not see it",
            "make it as ddl/tables.sql does, and grant as ddl/grants.sql does",
        )];
    }
    let position = |name: &str| found.iter().position(|column| column.name.eq_ignore_ascii_case(name));
    let mut findings = Vec::new();
    let mut filled = Vec::new();
    for name in table.loaded_columns().filter(|name| position(name).is_none()) {
        let text = format!("it has no column {name}");
        findings.push(Finding::bad(
            &subject,
            text,
            "add the column to the table, or mend \"columns\" or \"derived\" in the configuration",
        ));
    }
    for column in found.iter().filter(|column| !column.nullable) {
        let is_loaded = table.loaded_columns().any(|name| name.eq_ignore_ascii_case(&column.name));
        if !is_loaded && !column.has_default {
            let text = format!("its column {} is NOT NULL, has no default, and is not loaded", column.name);
            findings.push(Finding::bad(&subject, text, "let it take NULL, give it a default, or load it"));
        } else if is_loaded {
            filled.push(column.name.as_str());
        }
    }
    if let (Some(null), false) = (&dataset.null_as, filled.is_empty()) {
        let text = format!(
            "a cell {null:?} makes an archive bad in its columns that are NOT NULL: {}",
            filled.join(", ")
        );
        findings.push(Finding::note(
            &subject,
            text,
            "let a column take NULL if such cells are expected in it",
        ));
    }
    for column in table.columns.iter().filter(|column| column.date.is_some()) {
        let Some(is) = position(&column.name).and_then(|at| found.get(at)) else { continue };
        if !is.data_type.starts_with("timestamp") {
            let text = format!(
                "its column {} is {}, but the configuration writes dates with their time into it",
                is.name,
                is.type_text()
            );
            findings.push(Finding::note(
                &subject,
                text,
                "make it TIMESTAMP, or leave the column out of \"dateformat\"",
            ));
        }
    }
    let positions: Vec<usize> = table.loaded_columns().filter_map(position).collect();
    if !positions.is_sorted() {
        findings.push(Finding::note(
            &subject,
            "its columns have another order than the configuration's",
            "nothing: COPY names its columns",
        ));
    }
    findings
}

impl Check {
    /// Whether a load would fail.
    pub fn has_failed(&self) -> bool {
        self.findings.iter().any(|finding| finding.outcome == Outcome::Bad)
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Check: {}", self.dataset)?;
        for Finding { subject, outcome, text, remedy } in &self.findings {
            let mark = match outcome {
                Outcome::Good => "ok  ",
                Outcome::Note => "note",
                Outcome::Bad => "BAD ",
            };
            writeln!(f, "  {mark}  {subject}: {text}")?;
            if let Some(remedy) = remedy {
                writeln!(f, "        -> {remedy}")?;
            }
        }
        let bad = self.findings.iter().filter(|finding| finding.outcome == Outcome::Bad).count();
        match bad {
            0 => writeln!(f, "  An archive can be loaded. Nothing was."),
            1 => writeln!(f, "  1 obstacle. Nothing was loaded."),
            bad => writeln!(f, "  {bad} obstacles. Nothing was loaded."),
        }
    }
}
