//! Asks Redshift before an archive is staged: the ledger, and the limits of the tables.

use std::time::Duration;

use cmslite_core::config::TableName;
use cmslite_core::error::{Deployment, Error, Retryable};
use cmslite_core::limits::{ColumnLimit, ColumnType, TableLimits};
use cmslite_core::queue::Object;
use tracing::{debug, info};

use crate::redshift::ledger::{self, LedgerAnswer, LoadDecision, Policy};
use crate::redshift::session::Session;
use crate::redshift::statement::{LedgerKey, Statement};
use crate::redshift::{Column, LedgerRow, Obstacle, Redshift, StatementError, obstacles};
use crate::run_request::RunRequest;

/// The time left when a statement is stopped: enough to roll back and to report.
const RESERVE: Duration = Duration::from_secs(5);

/// A revision of an archive that is to be loaded.
pub struct ArchiveLoad<'a> {
    /// The run that loads it.
    pub request: &'a RunRequest,
    /// The archive.
    pub archive: &'a Object,
    /// The SHA-256 of the archive's bytes; `None` before they were read.
    pub sha256: Option<&'a str>,
}

/// The ledger's decision about an archive.
#[derive(Debug)]
pub struct Decided {
    /// The decision.
    pub decision: LoadDecision,
    /// The earlier load that decided it, or that had the same bytes; `None` if there is no such load.
    pub before: Option<LedgerRow>,
}

/// The result of asking Redshift before an archive is staged.
pub struct Consulted {
    /// The ledger's decision.
    pub decided: Decided,
    /// The limits of the tables' columns.
    pub limits: TableLimits,
}

impl ArchiveLoad<'_> {
    pub(super) fn key(&self) -> LedgerKey<'_> {
        LedgerKey {
            dataset: &self.request.dataset.name,
            bucket: &self.request.dataset.bucket,
            key: &self.archive.key,
            etag: self.archive.revision(),
            sha256: self.sha256,
            last_modified: self.archive.last_modified,
        }
    }

    /// Asks the ledger before anything is staged, and creates it if it does not exist.
    ///
    /// # Errors
    ///
    /// Redshift's, by who must act.
    pub async fn consult(&self, redshift: &Redshift) -> Result<Consulted, Error> {
        let session = redshift.connect(&self.request.cancellation).await?;
        let consulted = self.consult_in(&session).await;
        session.close().await;
        consulted
    }

    async fn consult_in(&self, session: &Session) -> Result<Consulted, Error> {
        self.limit_statements(session).await?;
        let dataset = &self.request.dataset;
        let of_ledger = ledger::tables(dataset);
        let names = ledger::all_tables(dataset);
        let (mut columns, may_look) = match session.columns(&names).await {
            Ok(columns) => (columns, true),
            // A user who may not see columns may still load: the ledger's own statements and COPY show it.
            Err(StatementError::MissingRelation(_) | StatementError::Other(Error::Deployment(_))) => {
                (vec![Vec::new(); names.len()], false)
            }
            Err(error) => return Err(error.into()),
        };
        let found = columns.split_off(dataset.tables.len());
        for ((name, wanted), found) in of_ledger.iter().zip(&found) {
            check_columns(name, wanted, found)?;
        }
        let is_seen = |name: &TableName| {
            of_ledger.iter().zip(&found).any(|((of, _), columns)| *of == name && !columns.is_empty())
        };
        let decided = self.read_or_create_ledger(session).await?;
        if matches!(decided.decision, LoadDecision::Load { .. }) {
            if !is_seen(&dataset.ledger_tables) {
                self.find_or_create_table_rows(session).await?;
            }
            if !is_seen(&dataset.ledger_lock) {
                self.create_lock(session, may_look).await?;
            }
            session.reveal_defaults(&dataset.tables, &mut columns).await?;
            self.refuse_unfit_tables(session, &columns).await?;
        }
        // The limits make a cell that does not fit a problem like every other of the archive, reported all at
        // once, and before anything is staged.
        let mut limits = TableLimits::default();
        if self.request.accepts_few_rows() {
            limits.accept_few_rows();
        }
        for (table, columns) in self.request.dataset.tables.iter().zip(columns) {
            limits.set(table, table.loaded_columns().map(|name| limit(&columns, name)).collect());
        }
        Ok(Consulted { decided, limits })
    }

    /// Refuses tables that no archive can be loaded into, before anything is staged for them. If their
    /// columns cannot be read, COPY decides.
    async fn refuse_unfit_tables(&self, session: &Session, columns: &[Vec<Column>]) -> Result<(), Error> {
        let tables = &self.request.dataset.tables;
        let names: Vec<&TableName> = tables.iter().map(|table| &table.name).collect();
        let kinds = match session.table_types(&names).await {
            Ok(kinds) => kinds,
            Err(error) => match Error::from(error) {
                Error::Retryable(fault) if fault.kind != Retryable::Unknown => return Err(fault.into()),
                error => {
                    debug!(error = %error.chain(), "cannot read the kinds of the tables");
                    vec![None; names.len()]
                }
            },
        };
        let mut unfit = Vec::new();
        for ((table, columns), kind) in tables.iter().zip(columns).zip(kinds) {
            for Obstacle { text, remedy } in obstacles(table, kind, columns) {
                unfit.push(format!("table {}: {text}; {remedy}", table.name));
            }
        }
        if unfit.is_empty() {
            return Ok(());
        }
        let message =
            format!("no archive of {} can be loaded: {}", self.request.dataset.name, unfit.join(". "));
        Err(Error::deployment(Deployment::SchemaMismatch, message))
    }

    async fn read_or_create_ledger(&self, session: &Session) -> Result<Decided, Error> {
        match self.read_ledger(session).await {
            Err(StatementError::MissingRelation(_)) => {}
            answer => return Ok(answer?),
        }
        info!(ledger = %self.request.dataset.ledger, "creating the ledger");
        let created = session.run(&Statement::CreateLedger(&self.request.dataset.ledger)).await;
        match self.read_ledger(session).await {
            Ok(decided) => Ok(decided),
            // Another function may have created it in the meantime: what matters is that it exists.
            Err(error) => Err(created.err().unwrap_or(error).into()),
        }
    }

    /// Creates the table of rows beside the ledger, unless the user sees no columns but may use it. A ledger
    /// of an earlier version has no such table.
    async fn find_or_create_table_rows(&self, session: &Session) -> Result<(), Error> {
        let dataset = &self.request.dataset;
        // No load has this number: the query only shows whether the table exists.
        match session.table_rows(dataset, 0).await {
            Err(StatementError::MissingRelation(_)) => {}
            answer => return Ok(answer.map(drop)?),
        }
        info!(table = %dataset.ledger_tables, "creating the table of rows beside the ledger");
        let created = session.run(&Statement::CreateTableRows(&dataset.ledger_tables)).await;
        match session.table_rows(dataset, 0).await {
            Ok(_) => Ok(()),
            // Another function may have created it, as with the ledger.
            Err(error) => Err(created.err().unwrap_or(error).into()),
        }
    }

    /// Creates the lock table. Reading it would wait for a load, so its columns show whether it exists. A
    /// user who may not look need not know: LOCK shows it.
    async fn create_lock(&self, session: &Session, may_look: bool) -> Result<(), Error> {
        let lock = &self.request.dataset.ledger_lock;
        info!(table = %lock, "creating the lock table beside the ledger");
        let Err(refused) = session.run(&Statement::CreateLock(lock)).await else { return Ok(()) };
        match Error::from(refused) {
            error if may_look => {
                // Another function may have created it in the meantime.
                let is_there = session.columns(&[lock]).await?.iter().any(|columns| !columns.is_empty());
                if is_there { Ok(()) } else { Err(error) }
            }
            Error::Deployment(fault) => {
                debug!(error = %Error::from(fault).chain(), "the lock table is assumed to exist");
                Ok(())
            }
            error => Err(error),
        }
    }

    /// Reads the ledger's decision, and the earlier load that is the reason.
    pub(super) async fn read_ledger(&self, session: &Session) -> Result<Decided, StatementError> {
        let dataset = &self.request.dataset;
        let decision = self.decide(session).await?;
        let before = match decision {
            LoadDecision::AlreadyLoaded { sequence }
            | LoadDecision::Repeated { sequence }
            | LoadDecision::Load { repeats: Some(sequence), .. } => session.load(dataset, sequence).await?,
            LoadDecision::Load { repeats: None, .. } | LoadDecision::Superseded => None,
        };
        Ok(Decided { decision, before })
    }

    async fn decide(&self, session: &Session) -> Result<LoadDecision, StatementError> {
        let entry = self.key();
        // When an archive is loaded again, only a load of this same invocation counts: the answer to its
        // COMMIT may have been lost.
        let by_request = self.request.is_reload().then_some(self.request.request_id.as_str());
        let rows = session
            .run(&Statement::ReadLedger { ledger: &self.request.dataset.ledger, entry: &entry, by_request })
            .await?;
        let number = |at: usize| {
            rows.first()
                .and_then(|row| row.get(at))
                .and_then(Option::as_ref)
                .and_then(|text| text.parse::<i64>().ok())
        };
        let policy = Policy {
            truncate: self.request.dataset.truncate,
            skips_repeated: self.request.dataset.skips_repeated && !self.request.is_reload(),
        };
        match [0, 1, 2, 3, 4].map(number) {
            [Some(latest), Some(own), Some(same_bytes), Some(elsewhere), Some(newer)] => {
                Ok(ledger::decide(policy, LedgerAnswer { latest, own, same_bytes, elsewhere, newer }))
            }
            _ => Err(StatementError::Other(Error::retryable(
                Retryable::Unknown,
                "the ledger's answer is not understood",
            ))),
        }
    }

    /// Limits the next statements to the function's remaining time, so that Redshift holds no lock for a dead
    /// function, and to the limit of a statement.
    pub(super) async fn limit_statements(&self, session: &Session) -> Result<(), Error> {
        self.leave(session, RESERVE, || format!("nothing of {} was loaded", self.archive.key)).await
    }

    /// Limits the next statements so that `reserve` is left of the function's time when the last of them
    /// ends.
    pub(super) async fn leave(
        &self,
        session: &Session,
        reserve: Duration,
        step: impl FnOnce() -> String,
    ) -> Result<(), Error> {
        self.request.cancellation.check(reserve, step)?;
        let cancellation = &self.request.cancellation;
        let left = cancellation.time_left().map(|left| left.saturating_sub(reserve));
        let Some(limit) = left.into_iter().chain(cancellation.statement_timeout()).min() else {
            return Ok(());
        };
        session.limit_statements(limit).await?;
        Ok(())
    }
}

/// Refuses a table that is not a ledger, or not one of the tables beside it, before anything is staged.
fn check_columns(
    name: &TableName,
    wanted: &[(&str, ledger::ColumnType)],
    found: &[Column],
) -> Result<(), Error> {
    let differences = ledger::differences(wanted, found);
    if differences.is_empty() {
        return Ok(());
    }
    if ledger::is_of_an_earlier_version(found) {
        let message = format!(
            "the ledger {name} is of an earlier version: {}; while nothing loads, have its owner or a superuser run ddl/upgrade-ledger.sql: {}",
            differences.join(", "),
            Statement::AddSha256(name)
        );
        return Err(Error::deployment(Deployment::SchemaMismatch, message));
    }
    let message = format!(
        "{name} is not a ledger of this program: {}; create it as ddl/ledger.sql does, or name another table with \"ledger\" in the configuration",
        differences.join(", ")
    );
    Err(Error::deployment(Deployment::SchemaMismatch, message))
}

fn limit(columns: &[Column], name: &str) -> ColumnLimit {
    let Some(column) = columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)) else {
        return ColumnLimit::default();
    };
    // CHAR is different: blanks at a text's end do not count there.
    let max_bytes = column.length.filter(|_| column.data_type == "character varying");
    ColumnLimit {
        column_type: ColumnType::of(&column.data_type, column.digits),
        max_bytes,
        not_null: !column.nullable,
    }
}
