//! One archive's load: the order of statements inside its one transaction, and what the ledger decides.

use std::time::Duration;

use chrono::Utc;
use tracing::{debug, info};

use crate::config::{Dataset, Limit, Table, TableName};
use crate::error::{Deployment, Error, Retryable};
use crate::ledger::{self, Verdict};
use crate::problem::{Problem, Problems, Reason, printable};
use crate::queue::Object;
use crate::redshift::{Column, Redshift, Refusal, RefusedRow, RefusedRows, Session};
use crate::sql::{Authorization, Copy, LedgerKey, Statement};
use crate::stop::Stop;
use crate::transform::LineMap;

/// What is left of the function's time when a statement is stopped: enough to roll back and to report.
const RESERVE: Duration = Duration::from_secs(5);

/// One table's staged file, ready for COPY.
#[derive(Debug)]
pub struct StagedTable<'a> {
    /// The table.
    pub table: &'a Table,
    /// The member that it was made of.
    pub member: String,
    /// The staged file, as `s3://bucket/key`.
    pub file: String,
    /// Its manifest, as `s3://bucket/key`.
    pub manifest: String,
    /// Rows in it.
    pub rows: u64,
    /// From its lines to the member's.
    pub lines: LineMap,
}

/// An archive's revision on its way into Redshift.
pub struct Load<'a> {
    /// The dataset.
    pub dataset: &'a Dataset,
    /// The archive.
    pub archive: &'a Object,
    /// The invocation.
    pub request_id: &'a str,
    /// Until when it may go on.
    pub stop: &'a Stop,
    /// Whether it is loaded even if an earlier invocation has loaded it.
    pub again: bool,
}

/// What is known before an archive is staged.
pub struct Consulted {
    /// What the ledger says.
    pub verdict: Verdict,
    /// The dataset's tables, with what their columns take.
    pub tables: Vec<Table>,
}

/// What a load came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loaded {
    /// The transaction is committed.
    Now,
    /// Nothing was loaded: the ledger knew the revision.
    Before,
    /// Nothing was loaded: the ledger knew a newer archive.
    Superseded,
}

impl Load<'_> {
    fn key(&self) -> LedgerKey<'_> {
        LedgerKey {
            dataset: &self.dataset.name,
            bucket: &self.dataset.bucket,
            key: &self.archive.key,
            etag: self.archive.revision(),
            last_modified: self.archive.last_modified,
        }
    }

    /// Asks the ledger before anything is staged, and makes it where there is none.
    ///
    /// # Errors
    ///
    /// Redshift's, by who must act.
    pub async fn consult(&self, redshift: &Redshift) -> Result<Consulted, Error> {
        let session = redshift.connect(self.stop.deadline()).await?;
        let consulted = self.consult_in(&session).await;
        session.close().await;
        consulted
    }

    async fn consult_in(&self, session: &Session) -> Result<Consulted, Error> {
        self.limit_statements(session).await?;
        let names: Vec<&TableName> =
            self.dataset.tables.iter().map(|table| &table.name).chain([&self.dataset.ledger]).collect();
        let mut columns = match session.columns(&names).await {
            Ok(columns) => columns,
            // Who may not look may still load: the ledger's own statements and COPY say the rest.
            Err(Refusal::NoRelation(_) | Refusal::Other(Error::Deployment(_))) => {
                vec![Vec::new(); names.len()]
            }
            Err(refusal) => return Err(refusal.into()),
        };
        self.check_ledger(&columns.pop().unwrap_or_default())?;
        let verdict = self.read_or_create_ledger(session).await?;
        // So that a cell that does not fit is told like everything else that is wrong with an archive, all of
        // them at once, and before anything is staged.
        let mut tables = self.dataset.tables.clone();
        for (table, columns) in tables.iter_mut().zip(columns) {
            table.limits = table.loaded_columns().map(|name| limit(&columns, name)).collect();
        }
        Ok(Consulted { verdict, tables })
    }

    async fn read_or_create_ledger(&self, session: &Session) -> Result<Verdict, Error> {
        match self.read_ledger(session).await {
            Err(Refusal::NoRelation(_)) => {}
            answer => return Ok(answer?),
        }
        info!(ledger = %self.dataset.ledger, "making the ledger");
        let created = session.run(&Statement::CreateLedger(&self.dataset.ledger)).await;
        match self.read_ledger(session).await {
            Ok(verdict) => Ok(verdict),
            // Another function may have made it in the meantime; what counts is whether it is there.
            Err(refusal) => Err(created.err().unwrap_or(refusal).into()),
        }
    }

    /// Refuses a table that is no ledger before anything is staged for it.
    fn check_ledger(&self, columns: &[Column]) -> Result<(), Error> {
        let ledger = &self.dataset.ledger;
        let differences = ledger::differences(columns);
        if differences.is_empty() {
            return Ok(());
        }
        let message = format!(
            "{ledger} is not a ledger of this program: {}; make it as ddl/ledger.sql does, or name another table with \"ledger\" in the configuration",
            differences.join(", ")
        );
        Err(Error::deployment(Deployment::SchemaMismatch, message))
    }

    async fn read_ledger(&self, session: &Session) -> Result<Verdict, Refusal> {
        let entry = self.key();
        // Loading again, only what this very invocation loaded counts as loaded: its COMMIT may have lost its
        // answer.
        let by_request = self.again.then_some(self.request_id);
        let rows = session
            .run(&Statement::ReadLedger { ledger: &self.dataset.ledger, entry: &entry, by_request })
            .await?;
        let number = |at: usize| {
            rows.first()
                .and_then(|row| row.get(at))
                .and_then(Option::as_ref)
                .and_then(|text| text.parse::<i64>().ok())
        };
        match (number(0), number(1), number(2)) {
            (Some(latest), Some(own), Some(newer)) => {
                Ok(ledger::verdict(self.dataset.truncate, latest, own, newer))
            }
            _ => Err(Refusal::Other(Error::retryable(
                Retryable::Unknown,
                "the ledger's answer is not understood",
            ))),
        }
    }

    /// Loads all tables in one transaction.
    ///
    /// # Errors
    ///
    /// [`Error::BadInput`] when Redshift refused rows; else Redshift's, by who must act. Nothing is loaded
    /// then, unless the connection broke after COMMIT was sent: the ledger knows.
    pub async fn run(
        &self,
        redshift: &Redshift,
        authorization: &Authorization,
        region: Option<&str>,
        tables: &[StagedTable<'_>],
    ) -> Result<Loaded, Error> {
        let session = redshift.connect(self.stop.deadline()).await?;
        let result = self.transaction(&session, authorization, region, tables).await;
        if result.is_err() {
            // Whatever this answers, the connection's end rolls back too.
            let _ = session.run(&Statement::Rollback).await;
        }
        let result = match result {
            Err(Failure::Rows(table, fault)) => Err(refused(&session, table, fault).await),
            Err(Failure::Other(error)) => Err(error),
            Ok(loaded) => Ok(loaded),
        };
        session.close().await;
        result
    }

    async fn transaction<'t>(
        &self,
        session: &Session,
        authorization: &Authorization,
        region: Option<&str>,
        tables: &'t [StagedTable<'t>],
    ) -> Result<Loaded, Failure<'t>> {
        let ledger = &self.dataset.ledger;
        self.limit_statements(session).await?;
        session.run(&Statement::Begin).await?;
        session.run(&Statement::LockLedger(ledger)).await?;
        let sequence = match self.read_ledger(session).await? {
            Verdict::Load { sequence } => sequence,
            decided => {
                session.run(&Statement::Rollback).await?;
                return Ok(if decided == Verdict::AlreadyLoaded {
                    Loaded::Before
                } else {
                    Loaded::Superseded
                });
            }
        };
        let mut rows = 0;
        for staged in tables {
            let table = &staged.table.name;
            self.limit_statements(session).await?;
            if self.dataset.truncate {
                session.run(&Statement::DeleteAll(table)).await?;
            }
            let copy = Copy {
                table,
                columns: staged.table.loaded_columns().collect(),
                manifest: &staged.manifest,
                authorization,
                region,
            };
            match session.run(&Statement::Copy(copy)).await {
                Ok(_) => {}
                Err(Refusal::Rows(fault)) => return Err(Failure::Rows(staged, fault.into())),
                Err(refusal) => return Err(refusal.into()),
            }
            let counted = session.run(&Statement::LastCopyCount).await?;
            let loaded = counted
                .first()
                .and_then(|row| row.first())
                .and_then(Option::as_ref)
                .and_then(|text| text.parse::<u64>().ok());
            if loaded != Some(staged.rows) {
                let message = format!(
                    "COPY loaded {} rows into {table}, but {} were staged",
                    loaded.map_or("unknown".to_owned(), |n| n.to_string()),
                    staged.rows
                );
                return Err(Failure::Other(Error::retryable(Retryable::CountsDiffer, message)));
            }
            debug!(%table, rows = staged.rows, "copied");
            rows += staged.rows;
        }
        let entry = self.key();
        let write = Statement::WriteLedger {
            ledger,
            entry: &entry,
            size_bytes: self.archive.size,
            rows,
            sequence,
            loaded_at: Utc::now(),
            request_id: self.request_id,
        };
        session.run(&write).await?;
        session.run(&Statement::Commit).await?;
        Ok(Loaded::Now)
    }

    /// Bounds the next statements to what is left of the function's time, so that Redshift holds no lock for
    /// a function that is dead.
    async fn limit_statements(&self, session: &Session) -> Result<(), Error> {
        self.stop.check(RESERVE, || format!("nothing of {} was loaded", self.archive.key))?;
        let Some(left) = self.stop.left() else { return Ok(()) };
        let left = left.saturating_sub(RESERVE);
        session.run(&Statement::StatementTimeout(left.as_millis().max(1))).await?;
        Ok(())
    }
}

fn limit(columns: &[Column], name: &str) -> Limit {
    let Some(column) = columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)) else {
        return Limit::default();
    };
    // CHAR is another matter: blanks at a text's end do not count there.
    let max_bytes = column.length.filter(|_| column.data_type == "character varying");
    Limit { max_bytes, not_null: !column.nullable }
}

/// Why a transaction was not committed.
enum Failure<'t> {
    /// Redshift refused rows of this table.
    Rows(&'t StagedTable<'t>, Error),
    /// Anything else.
    Other(Error),
}

impl From<Refusal> for Failure<'_> {
    fn from(refusal: Refusal) -> Self {
        Self::Other(refusal.into())
    }
}

impl From<Error> for Failure<'_> {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// The rows that Redshift refused, in the words of the archive; the fault itself when Redshift does not tell
/// them, since then nobody knows that the input is at fault.
async fn refused(session: &Session, staged: &StagedTable<'_>, fault: Error) -> Error {
    let rows = match session.refused_rows(&staged.file).await {
        Err(error) => return error,
        Ok(RefusedRows::Told(rows)) => rows,
        Ok(RefusedRows::Untold { allowed }) => {
            let query = Statement::AnyLoadErrors { file: &staged.file };
            let message = format!(
                "{fault}; which rows, {}, so that nobody knows what is wrong with {}: as a superuser, run {query}",
                if allowed {
                    "neither sys_load_error_detail nor stl_load_errors says"
                } else {
                    "the user may not read in sys_load_error_detail or stl_load_errors"
                },
                staged.member
            );
            return if allowed {
                Error::retryable(Retryable::Unknown, message)
            } else {
                Error::deployment(Deployment::Privilege, message)
            };
        }
    };
    let mut problems = Problems::default();
    for row in rows {
        problems.push(problem(staged, row));
    }
    problems.into()
}

fn problem(staged: &StagedTable<'_>, row: RefusedRow) -> Problem {
    let mut message = row.message;
    if let Some(kind) = row.column_type {
        let length = row.column_length.map(|length| format!("({length})")).unwrap_or_default();
        message = format!("{message}; the column is {kind}{length}");
        if let (true, Some(value)) = (message.contains("length"), &row.value) {
            message = format!("{message}, the value has {} bytes", value.len());
        }
    }
    let mut problem = Problem::member(
        &staged.member,
        Reason::Refused { code: row.code, message: printable(message.as_bytes()) },
    );
    problem.line = row.line.and_then(|line| staged.lines.source_line(line));
    problem.column = row.column;
    match row.value {
        Some(value) => problem.with_text(value.as_bytes()),
        None => problem,
    }
}
