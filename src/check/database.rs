//! Tries Redshift: login, ledger, and a load's statements for each table, rolled back.

use std::time::Duration;

use chrono::Utc;
use cmslite_core::config::{Dataset, Table, TableName};
use cmslite_core::error::Error;
use cmslite_core::grants::needed;
use cmslite_core::problem::Quoting;
use cmslite_core::row_counts::RowsByTable;

use super::columns::compare;
use super::finding::Finding;
use super::grants::check_grants;
use super::storage::{NAME, staged_keys};
use crate::cancellation::Cancellation;
use crate::clients::Clients;
use crate::redshift::session::Session;
use crate::redshift::statement::{Authorization, Copy, LedgerKey, Load, LoadErrorTable, Statement};
use crate::redshift::{Column, StatementError, ledger};

/// The time limit for Redshift. The check holds the lock for a moment, and loads wait for it.
const WITHIN: Duration = Duration::from_secs(60);

pub(super) async fn check_redshift(
    clients: &Clients,
    dataset: &Dataset,
    staged: bool,
    cancellation: &Cancellation,
    findings: &mut Vec<Finding>,
) {
    let within = cancellation.within(WITHIN);
    let session = match clients.redshift.connect(&within).await {
        Ok(session) => session,
        Err(error) => {
            findings.push(Finding::bad("Redshift: login", error.chain(), error.remedy()));
            return;
        }
    };
    findings.push(Finding::good("Redshift: login", clients.redshift.describe().await));
    let each = within.time_left().into_iter().chain(within.statement_timeout()).min().unwrap_or(WITHIN);
    if let Err(error) = session.limit_statements(each).await {
        let error = Error::from(error);
        findings.push(Finding::bad("Redshift: session", error.chain(), error.remedy()));
    }
    let of_ledger = ledger::tables(dataset);
    let names = ledger::all_tables(dataset);
    let (mut columns, unseen) = match session.columns(&names).await {
        Ok(columns) => (columns, None),
        Err(error) => (vec![Vec::new(); names.len()], Some(Error::from(error).chain())),
    };
    let found = columns.split_off(dataset.tables.len());
    // For a user who cannot read these, the columns are compared, and COPY is tried below.
    let kinds = session.table_types(&names).await.unwrap_or_else(|_| vec![None; names.len()]);
    if let Err(error) = session.reveal_defaults(&dataset.tables, &mut columns).await {
        let error = Error::from(error);
        findings.push(Finding::bad("Redshift: defaults of columns", error.chain(), error.remedy()));
    }
    let absent: Vec<&TableName> = of_ledger
        .iter()
        .zip(&found)
        // A user who sees no columns cannot see whether a table exists either.
        .filter(|(_, columns)| columns.is_empty() && unseen.is_none())
        .map(|((name, _), _)| *name)
        .collect();
    let rights = check_grants(&session, &needed(dataset, &absent)).await;
    findings.extend(rights.findings);
    if of_ledger.iter().all(|(name, _)| !rights.lacking.contains(name)) {
        findings.push(check_ledger(&session, dataset, &found, &absent).await);
    }
    let authorization = clients.copy_authorization().await;
    for ((table, columns), kind) in dataset.tables.iter().zip(columns).zip(kinds) {
        let subject = format!("table {}", table.name);
        let lacks = rights.lacking.contains(&&table.name);
        match &unseen {
            // A user without permission for the table does not see it.
            None if lacks && columns.is_empty() => {}
            None => findings.extend(compare(table, dataset, kind, &columns)),
            Some(why) => findings.push(Finding::note(
                &subject,
                why,
                "let the user read svv_columns to have the columns compared",
            )),
        }
        if lacks {
            continue;
        }
        let tried = match &authorization {
            Ok(authorization) => try_load(&session, clients, dataset, table, authorization, staged).await,
            Err(error) => {
                findings.push(Finding::bad(&subject, error.chain(), error.remedy()));
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
        findings.push(Finding::of(&subject, &text, tried.map_err(Error::from)));
    }
    findings.push(check_load_errors(&session).await);
    session.close().await;
}

/// Tries the statements of the ledger, the table of rows and the lock table, and rolls them back. `found` has
/// the columns of each, in this order; `missing` lists those that do not exist.
async fn check_ledger(
    session: &Session,
    dataset: &Dataset,
    found: &[Vec<Column>],
    missing: &[&TableName],
) -> Finding {
    let Dataset { ledger, ledger_tables, ledger_lock, .. } = dataset;
    let subject = format!("ledger {ledger}");
    for ((name, wanted), found) in ledger::tables(dataset).into_iter().zip(found) {
        let differences = ledger::differences(wanted, found);
        if name == ledger && ledger::is_of_an_earlier_version(found) {
            return Finding::bad(
                subject,
                format!("it is of an earlier version: {}", differences.join(", ")),
                format!(
                    "while nothing loads, have its owner or a superuser run ddl/upgrade-ledger.sql: {}",
                    Statement::AddSha256(name)
                ),
            );
        }
        if !differences.is_empty() {
            return Finding::bad(
                format!("ledger {name}"),
                differences.join(", "),
                "create it as ddl/ledger.sql does, or name another table with \"ledger\" in the configuration",
            );
        }
    }
    let entry = LedgerKey {
        dataset: &dataset.name,
        bucket: &dataset.bucket,
        key: NAME,
        etag: NAME,
        sha256: None,
        last_modified: Utc::now(),
    };
    let load =
        Load { entry: &entry, size_bytes: 0, rows: 0, sequence: 0, loaded_at: Utc::now(), request_id: NAME };
    let write = Statement::WriteLedger { ledger, load };
    let rows = RowsByTable::from([(NAME.to_owned(), 0)]);
    let write_rows = Statement::WriteTableRows {
        ledger_tables,
        dataset: &dataset.name,
        sequence: 0,
        request_id: NAME,
        rows: &rows,
    };
    let read_rows = Statement::ReadTableRows { ledger, ledger_tables, dataset: &dataset.name, sequence: 0 };
    let made = missing.contains(&ledger).then_some(Statement::CreateLedger(ledger));
    let made_rows = missing.contains(&ledger_tables).then_some(Statement::CreateTableRows(ledger_tables));
    let made_lock = missing.contains(&ledger_lock).then_some(Statement::CreateLock(ledger_lock));
    let steps = made.into_iter().chain(made_rows).chain(made_lock).chain([
        Statement::Lock(ledger_lock),
        Statement::ReadLedger { ledger, entry: &entry, by_request: None },
        read_rows,
        write,
        write_rows,
    ]);
    let tried = rolled_back(session, steps).await.map_err(Error::from);
    let text = if missing.contains(&ledger) {
        "does not exist yet; the first load creates it".to_owned()
    } else if missing.is_empty() {
        "can be read and written, and its lock can be taken".to_owned()
    } else {
        let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
        format!(
            "can be read and written, and its lock can be taken; missing, and created by the next load: {}",
            missing.join(", ")
        )
    };
    Finding::of(&subject, &text, tried)
}

/// Tries the statements of a load of one table, and rolls them back.
async fn try_load(
    session: &Session,
    clients: &Clients,
    dataset: &Dataset,
    table: &Table,
    authorization: &Authorization,
    staged: bool,
) -> Result<(), StatementError> {
    let keys = staged_keys(dataset, table);
    let manifest = format!("s3://{}/{}", dataset.bucket, keys.manifest());
    let delete = dataset.truncate.then_some(Statement::DeleteNoRows(&table.name));
    let copy = staged.then(|| {
        let copy = Copy {
            table: &table.name,
            columns: table.loaded_columns().collect(),
            manifest: &manifest,
            authorization,
            region: Some(clients.region.as_str()),
            staging: keys.staging(),
            // No archive is read.
            quoting: Quoting::Shown,
        };
        Statement::CopyNoLoad { copy, max_error: 0 }
    });
    rolled_back(session, delete.into_iter().chain(copy)).await
}

/// Runs statements in a transaction that is rolled back, up to the first that is refused.
async fn rolled_back<'s>(
    session: &Session,
    statements: impl Iterator<Item = Statement<'s>>,
) -> Result<(), StatementError> {
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

/// Checks whether Redshift's answers will show which rows it refused.
async fn check_load_errors(session: &Session) -> Finding {
    let subject = "load errors";
    for (table, name) in
        [(LoadErrorTable::Sys, "sys_load_error_detail"), (LoadErrorTable::Stl, "stl_load_errors")]
    {
        if session.run(&Statement::LoadErrors { table, files: NAME, passed_over: &[] }).await.is_ok() {
            return Finding::good(subject, format!("{name} can be read"));
        }
    }
    Finding::note(
        subject,
        "neither sys_load_error_detail nor stl_load_errors can be read: refused rows could not be found, and their archive would stay unsettled",
        "let the user read one of them",
    )
}
