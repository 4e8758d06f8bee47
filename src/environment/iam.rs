//! Reads the settings of an IAM login: the cluster or workgroup that issues it, the database and the user.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::secret::Secret;

/// The request for a login that Redshift's API issues in place of a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IamLogin {
    /// The cluster or workgroup that issues the login.
    pub warehouse: Warehouse,
    /// The database for which the login is valid.
    pub database: String,
    /// Whether the address is known, so that the API need not be asked for it.
    pub is_located: bool,
}

/// A cluster or a workgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warehouse {
    /// A provisioned cluster.
    Cluster {
        /// The cluster's identifier.
        id: String,
        /// The database user to log in as; `None` for the user that represents the IAM identity.
        user: Option<String>,
    },
    /// A workgroup of Redshift Serverless. Its user represents the IAM identity.
    Workgroup {
        /// The workgroup's name.
        name: String,
    },
}

impl Warehouse {
    /// Returns the variable that names the cluster or workgroup.
    pub fn variable(&self) -> &'static str {
        match self {
            Self::Cluster { .. } => "REDSHIFT_CLUSTER",
            Self::Workgroup { .. } => "REDSHIFT_WORKGROUP",
        }
    }
}

impl fmt::Display for Warehouse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster { id, .. } => write!(f, "the cluster {id}"),
            Self::Workgroup { name } => write!(f, "the workgroup {name}"),
        }
    }
}

/// A login that Redshift's API issued.
pub struct TemporaryLogin {
    /// The user's name: `IAM:u`, `IAMA:u` or `IAMR:role`.
    pub user: String,
    /// The password.
    pub password: Secret,
    /// The cluster or workgroup that issued the login.
    pub warehouse: Warehouse,
    /// The time when the password expires.
    pub until: DateTime<Utc>,
    /// Host and port, if the API was asked for them.
    pub endpoint: Option<(String, u16)>,
}

/// The variables of an IAM login, as [`Environment::read`](super::Environment::read) reads them.
pub(super) struct IamVariables<'v> {
    pub(super) cluster: Option<String>,
    pub(super) workgroup: Option<String>,
    pub(super) user: Option<&'v str>,
    pub(super) database: Option<&'v str>,
    pub(super) is_located: bool,
    /// The variables that name a password.
    pub(super) passwords: Vec<&'static str>,
}

impl IamVariables<'_> {
    /// Returns the IAM login, if one is configured.
    ///
    /// # Errors
    ///
    /// The mistakes in the variables of the login, and what to do about each.
    pub(super) fn read(self) -> Result<Option<IamLogin>, Vec<String>> {
        let mut mistakes = Vec::new();
        let user = self.user.map(str::to_owned);
        let warehouse = match (self.cluster, self.workgroup) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                mistakes.push(
                    "REDSHIFT_CLUSTER and REDSHIFT_WORKGROUP are both set: keep the one that has the database"
                        .to_owned(),
                );
                return Err(mistakes);
            }
            (Some(id), None) => Warehouse::Cluster { id, user },
            (None, Some(name)) => Warehouse::Workgroup { name },
        };
        let variable = warehouse.variable();
        if !self.passwords.is_empty() {
            mistakes.push(format!(
                "{variable} is a login by IAM, which has no password, and {} is set too: remove one of them",
                self.passwords.join(" and ")
            ));
        }
        match &warehouse {
            Warehouse::Cluster { id, user } => {
                if !is_identifier(id) {
                    mistakes.push(format!(
                        "REDSHIFT_CLUSTER: {id:?} is not a cluster identifier: write the part of its endpoint before the first dot"
                    ));
                }
                // GetClusterCredentials, DbUser: "Must not contain a colon (:) or slash (/)".
                if let Some(user) = user.as_ref().filter(|user| user.contains([':', '/'])) {
                    mistakes.push(format!(
                        "PGUSER: {user:?} is not a database user: write its name without IAM:, or leave PGUSER out to log in as the IAM role"
                    ));
                }
            }
            Warehouse::Workgroup { name } => {
                if !is_identifier(name) {
                    mistakes.push(format!(
                        "REDSHIFT_WORKGROUP: {name:?} is not a workgroup's name: write the part of its endpoint before the first dot"
                    ));
                }
                if self.user.is_some() {
                    mistakes.push(
                        "PGUSER is set, but a workgroup issues logins only for the IAM role: remove PGUSER, and grant to the user \"IAMR:role\""
                            .to_owned(),
                    );
                }
            }
        }
        let Some(database) = self.database else {
            mistakes.push("PGDATABASE is not set".to_owned());
            return Err(mistakes);
        };
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Some(IamLogin { warehouse, database: database.to_owned(), is_located: self.is_located }))
    }
}

/// Checks an identifier: "1 to 63 alphanumeric characters or hyphens" (`CreateCluster`, ClusterIdentifier); a
/// workgroup's name may have 64 (Redshift Serverless API Reference, WorkgroupName).
fn is_identifier(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
