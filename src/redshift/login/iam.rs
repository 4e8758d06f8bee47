//! Requests the IAM login from Redshift's API: a user and a password for a quarter of an hour, and, if
//! needed, the cluster's address.

use std::error::Error as StdError;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_redshift::error::{ProvideErrorMetadata, SdkError};
use chrono::{DateTime, Utc};
use cmslite_core::error::{Deployment, Error, Fault, Retryable};
use tracing::debug;

use super::answer::passes;
use crate::environment::{IamLogin, TemporaryLogin, Warehouse};
use crate::secret::Secret;
use crate::time_limits::{CONNECT, REDSHIFT_API, REDSHIFT_API_ATTEMPT};
use crate::waits::Waits;

/// A client of the part of Redshift's API that issues logins.
///
/// Passwords are requested with the API's default duration, which is its minimum: 900 seconds. A user is
/// never created (`AutoCreate`), and a login is for one database.
pub(super) struct LoginByIam {
    api: Api,
    login: IamLogin,
    region: String,
    waits: Waits,
}

enum Api {
    Redshift(aws_sdk_redshift::Client),
    Serverless(aws_sdk_redshiftserverless::Client),
}

/// The answer to a call that issues a login.
struct Given {
    user: Option<String>,
    password: Option<String>,
    until: Option<aws_smithy_types::DateTime>,
}

impl LoginByIam {
    pub(super) fn new(config: &SdkConfig, login: &IamLogin, waits: &Waits) -> Self {
        let limits = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(REDSHIFT_API_ATTEMPT)
            .operation_timeout(REDSHIFT_API)
            .build();
        let api = match login.warehouse {
            Warehouse::Cluster { .. } => {
                let config = aws_sdk_redshift::config::Builder::from(config).timeout_config(limits);
                Api::Redshift(aws_sdk_redshift::Client::from_conf(config.build()))
            }
            Warehouse::Workgroup { .. } => {
                let config = aws_sdk_redshiftserverless::config::Builder::from(config).timeout_config(limits);
                Api::Serverless(aws_sdk_redshiftserverless::Client::from_conf(config.build()))
            }
        };
        let region = config.region().map(ToString::to_string).unwrap_or_default();
        Self { api, login: login.clone(), region, waits: waits.clone() }
    }

    /// Requests a new login, and the address if the environment does not give it.
    ///
    /// # Errors
    ///
    /// [`Deployment::LoginNotGiven`], with the remedy if it is known; [`Retryable::LoginUnavailable`].
    pub(super) async fn read(&self) -> Result<TemporaryLogin, Error> {
        let endpoint = if self.login.is_located { None } else { Some(self.locate().await?) };
        let given = self.ask().await?;
        let (Some(user), Some(password)) = (given.user, given.password) else {
            let message = format!("the answer to {} has no user or no password", self.call());
            return Err(Error::retryable(Retryable::LoginUnavailable, message));
        };
        // A password without an expiry is assumed to expire at once, and is requested again.
        let until = given.until.and_then(|until| DateTime::from_timestamp(until.secs(), 0));
        let until = until.unwrap_or_else(Utc::now);
        debug!(user, %until, "{} issued a login to {}", self.call(), self.login.warehouse);
        let (password, warehouse) = (Secret::new(password), self.login.warehouse.clone());
        Ok(TemporaryLogin { user, password, warehouse, until, endpoint })
    }

    /// Returns the name of the call that issues a login.
    fn call(&self) -> &'static str {
        match &self.login.warehouse {
            Warehouse::Cluster { user: Some(_), .. } => "GetClusterCredentials",
            Warehouse::Cluster { user: None, .. } => "GetClusterCredentialsWithIAM",
            Warehouse::Workgroup { .. } => "GetCredentials",
        }
    }

    async fn ask(&self) -> Result<Given, Error> {
        let (database, call) = (&self.login.database, self.call());
        let waited = format!("Redshift's API: {call} for {}", self.login.warehouse);
        match (&self.api, &self.login.warehouse) {
            (Api::Redshift(client), Warehouse::Cluster { id, user: Some(user) }) => {
                let asked = client.get_cluster_credentials().cluster_identifier(id).db_user(user);
                let asked = self.waits.during(waited, asked.db_name(database).send()).await;
                let given = asked.map_err(|error| self.refused(call, error))?;
                Ok(Given { user: given.db_user, password: given.db_password, until: given.expiration })
            }
            (Api::Redshift(client), warehouse) => {
                let id = name(warehouse);
                let asked = client.get_cluster_credentials_with_iam().cluster_identifier(id);
                let asked = self.waits.during(waited, asked.db_name(database).send()).await;
                let given = asked.map_err(|error| self.refused(call, error))?;
                Ok(Given { user: given.db_user, password: given.db_password, until: given.expiration })
            }
            (Api::Serverless(client), warehouse) => {
                let asked = client.get_credentials().workgroup_name(name(warehouse)).db_name(database);
                let asked = self.waits.during(waited, asked.send()).await;
                let given = asked.map_err(|error| self.refused(call, error))?;
                Ok(Given { user: given.db_user, password: given.db_password, until: given.expiration })
            }
        }
    }

    /// Returns the cluster's address.
    async fn locate(&self) -> Result<(String, u16), Error> {
        let warehouse = &self.login.warehouse;
        let waited = format!("Redshift's API: the endpoint of {warehouse}");
        let (call, host, port, status) = match &self.api {
            Api::Redshift(client) => {
                let call = "DescribeClusters";
                let asked = client.describe_clusters().cluster_identifier(name(warehouse)).send();
                let asked = self.waits.during(waited, asked).await;
                let described = asked.map_err(|error| self.refused(call, error))?;
                let cluster = described.clusters.unwrap_or_default().into_iter().next();
                let status = cluster.as_ref().and_then(|cluster| cluster.cluster_status.clone());
                let endpoint = cluster.and_then(|cluster| cluster.endpoint);
                let (host, port) = endpoint.map(|endpoint| (endpoint.address, endpoint.port)).unzip();
                (call, host.flatten(), port.flatten(), status)
            }
            Api::Serverless(client) => {
                let call = "GetWorkgroup";
                let asked = client.get_workgroup().workgroup_name(name(warehouse)).send();
                let asked = self.waits.during(waited, asked).await;
                let workgroup = asked.map_err(|error| self.refused(call, error))?.workgroup;
                let status = workgroup.as_ref().and_then(|workgroup| workgroup.status.clone());
                let endpoint = workgroup.and_then(|workgroup| workgroup.endpoint);
                let (host, port) = endpoint.map(|endpoint| (endpoint.address, endpoint.port)).unzip();
                (call, host.flatten(), port.flatten(), status.map(|status| status.as_str().to_owned()))
            }
        };
        let endpoint = host.zip(port.and_then(|port| u16::try_from(port).ok()));
        endpoint.ok_or_else(|| {
            // A cluster that is being created has no endpoint yet.
            let status = status.map(|status| format!(": it is {status}")).unwrap_or_default();
            let message =
                format!("{call} returned no endpoint of {warehouse}{status}; try again, or set PGHOST");
            Error::retryable(Retryable::LoginUnavailable, message)
        })
    }

    fn refused<E>(&self, call: &'static str, error: SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let warehouse = &self.login.warehouse;
        let what = match call {
            "DescribeClusters" | "GetWorkgroup" => format!("the endpoint of {warehouse}"),
            _ => format!("a login to {warehouse}"),
        };
        if passes(&error) {
            let message = format!("Redshift's API did not return {what} ({call})");
            return Fault::new(Retryable::LoginUnavailable, message).caused_by(error).into();
        }
        let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
        let remedy = match code {
            Some("AccessDenied" | "AccessDeniedException") => {
                format!("; {}", self.right(call))
            }
            Some("ClusterNotFound" | "ClusterNotFoundFault" | "ResourceNotFoundException") => format!(
                "; it does not exist in region {} in this account: check {} and AWS_REGION",
                self.region,
                warehouse.variable()
            ),
            _ => String::new(),
        };
        let message = format!("Redshift's API refuses {what} ({call}){remedy}");
        Fault::new(Deployment::LoginNotGiven, message).caused_by(error).into()
    }

    /// Returns the remedy for a call that is not permitted: the permission for it (Service Authorization
    /// Reference, Amazon Redshift and Amazon Redshift Serverless).
    fn right(&self, call: &str) -> String {
        let IamLogin { warehouse, database, .. } = &self.login;
        let on = match (call, warehouse) {
            ("DescribeClusters", _) => {
                format!(
                    "set PGHOST, or let the role redshift:DescribeClusters on cluster:{}",
                    name(warehouse)
                )
            }
            ("GetWorkgroup", _) => {
                "set PGHOST, or let the role redshift-serverless:GetWorkgroup on workgroup/ID".to_owned()
            }
            (_, Warehouse::Cluster { id, user: Some(user) }) => format!(
                "let the role redshift:GetClusterCredentials on dbuser:{id}/{user} and dbname:{id}/{database}"
            ),
            (_, Warehouse::Cluster { id, user: None }) => {
                format!("let the role redshift:GetClusterCredentialsWithIAM on dbname:{id}/{database}")
            }
            (_, Warehouse::Workgroup { .. }) => {
                "let the role redshift-serverless:GetCredentials on workgroup/ID".to_owned()
            }
        };
        match warehouse {
            Warehouse::Cluster { .. } => on,
            Warehouse::Workgroup { .. } => format!("{on}, where ID is the workgroup's id and not its name"),
        }
    }
}

fn name(warehouse: &Warehouse) -> &str {
    match warehouse {
        Warehouse::Cluster { id, .. } => id,
        Warehouse::Workgroup { name } => name,
    }
}
