//! Finds the grants of `ddl/grants.sql` that the loader's user lacks.

use cmslite_core::config::TableName;
use cmslite_core::error::{Deployment, Error};
use cmslite_core::grants::{Grant, GrantedOn};

use super::finding::Finding;
use crate::redshift::StatementError;
use crate::redshift::session::Session;
use crate::redshift::statement::Statement;

/// What is known about the user's permissions.
#[derive(Default)]
pub(super) struct Rights<'a> {
    /// A finding for each grant.
    pub(super) findings: Vec<Finding>,
    /// The tables for which the user lacks a permission. Statements that need it are not tried.
    pub(super) lacking: Vec<&'a TableName>,
}

/// Looks up each of `grants`. If that is not possible, the statements that need them show what is missing.
pub(super) async fn check_grants<'a>(session: &Session, grants: &[Grant<'a>]) -> Rights<'a> {
    let mut rights = Rights::default();
    let mut user = String::new();
    for grant in grants {
        let lacks = match look_up(session, grant).await {
            Ok((current_user, lacks)) => {
                user = current_user;
                lacks
            }
            Err(error) => match Error::from(error) {
                // The table does not exist, which the comparison of its columns reports.
                Error::Deployment(fault) if fault.kind == Deployment::SchemaMismatch => continue,
                // The permission for its schema is missing.
                Error::Deployment(fault) if fault.kind == Deployment::Privilege => grant.privileges.clone(),
                error => {
                    let text = format!("it cannot be looked up: {}", error.chain());
                    let remedy = "nothing: the checks below test whether it is granted";
                    rights.findings.push(Finding::note(grant.to_string(), text, remedy));
                    continue;
                }
            },
        };
        if lacks.is_empty() {
            rights.findings.push(Finding::good(grant.to_string(), "granted"));
            continue;
        }
        let text = format!("{user} lacks {}", lacks.join(", "));
        let missing = Grant { privileges: lacks, on: grant.on };
        let remedy = format!("as an administrator: {}", missing.to(&user));
        rights.findings.push(Finding::bad(grant.to_string(), text, remedy));
        if let GrantedOn::Table(table) = grant.on {
            rights.lacking.push(table);
        }
    }
    rights
}

/// Returns the user, and the privileges of the grant that it lacks.
async fn look_up(
    session: &Session,
    grant: &Grant<'_>,
) -> Result<(String, Vec<&'static str>), StatementError> {
    let rows = session.run(&Statement::Privileges(grant)).await?;
    let mut values = rows.into_iter().next().unwrap_or_default().into_iter().map(Option::unwrap_or_default);
    let user = values.next().unwrap_or_default();
    // A boolean or, for HAS_SCHEMA_PRIVILEGE, "a CHAR or VARCHAR string" (r_HAS_SCHEMA_PRIVILEGE.md).
    let is_held = |value: &String| value == "t" || value == "true";
    let lacks = grant.privileges.iter().zip(values).filter(|(_, value)| !is_held(value));
    Ok((user, lacks.map(|(name, _)| *name).collect()))
}
