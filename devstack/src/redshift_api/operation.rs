//! Defines the permissions that each operation needs, and its answer.

use std::collections::BTreeMap;

use chrono::SecondsFormat;
use serde_json::{Value, json};

use super::settings::{CLUSTER, REGION, ROLE, Settings, WORKGROUP, WORKGROUP_ID};
use crate::s3::policy::{ACCOUNT, Permission};

/// The members of an answer, or the error.
pub(super) type Answered = Result<Value, Refusal>;

pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &'static str, message: &str) -> Self {
        Self { status, code, message: message.to_owned() }
    }
}

/// Returns the permissions that a request needs.
///
/// The actions and the forms of ARNs are those of the Service Authorization Reference (Amazon Redshift and
/// Amazon Redshift Serverless). A workgroup's ARN has its id. "If the `DbName` parameter is specified, the
/// IAM policy must allow access to the resource `dbname`" (`GetClusterCredentials`). The resource of
/// `DescribeClusters`, a cluster, is from the Management Guide ("Create an IAM role with permissions to call
/// GetClusterCredentials").
pub(super) fn required_permissions(
    operation: &str,
    parameters: &BTreeMap<String, String>,
) -> Vec<Permission> {
    let parameter = |name: &str| parameters.get(name).map(String::as_str);
    let on = |action: &'static str, resource: &str| Permission {
        action,
        resource: format!(
            "arn:aws:{}:{REGION}:{ACCOUNT}:{resource}",
            action.split(':').next().unwrap_or_default()
        ),
        prefix: None,
    };
    let cluster = parameter("ClusterIdentifier").unwrap_or("*");
    let database = |action| parameter("DbName").map(|name| on(action, &format!("dbname:{cluster}/{name}")));
    let workgroup = format!("workgroup/{WORKGROUP_ID}");
    match operation {
        "GetClusterCredentials" => {
            let action = "redshift:GetClusterCredentials";
            let user = parameter("DbUser").unwrap_or("*");
            [on(action, &format!("dbuser:{cluster}/{user}"))].into_iter().chain(database(action)).collect()
        }
        "GetClusterCredentialsWithIAM" => {
            let action = "redshift:GetClusterCredentialsWithIAM";
            vec![database(action).unwrap_or_else(|| on(action, &format!("dbname:{cluster}/*")))]
        }
        "DescribeClusters" => vec![on("redshift:DescribeClusters", &format!("cluster:{cluster}"))],
        "GetCredentials" => vec![on("redshift-serverless:GetCredentials", &workgroup)],
        "GetWorkgroup" => vec![on("redshift-serverless:GetWorkgroup", &workgroup)],
        _ => vec![on("redshift:Unknown", operation)],
    }
}

pub(super) fn answer(
    operation: &str,
    parameters: &BTreeMap<String, String>,
    settings: &mut Settings,
) -> Answered {
    let parameter = |name: &str| parameters.get(name).map(String::as_str);
    let cluster_is = |name: Option<&str>| match name {
        Some(CLUSTER) => Ok(()),
        _ => Err(Refusal::new(404, "ClusterNotFound", "Cluster not found.")),
    };
    let workgroup_is = |name: Option<&str>| match name {
        Some(WORKGROUP) => Ok(()),
        _ => Err(Refusal::new(404, "ResourceNotFoundException", "Workgroup not found.")),
    };
    let port = settings.redshift.as_ref().map(|(_, port)| *port).filter(|_| settings.status == "available");
    match operation {
        // "The action returns the database user name prefixed with IAM: if AutoCreate is False or IAMA: if
        // AutoCreate is True."
        "GetClusterCredentials" => {
            cluster_is(parameter("ClusterIdentifier"))?;
            let missing = || Refusal::new(400, "MissingParameter", "DbUser is required");
            let user = parameter("DbUser").ok_or_else(missing)?;
            let prefix = if parameter("AutoCreate") == Some("true") { "IAMA" } else { "IAM" };
            let user = format!("{prefix}:{user}");
            let (password, until) = settings.give(&user);
            let until = until.to_rfc3339_opts(SecondsFormat::Secs, true);
            Ok(json!({"Expiration": until, "DbUser": user, "DbPassword": password}))
        }
        "GetClusterCredentialsWithIAM" => {
            cluster_is(parameter("ClusterIdentifier"))?;
            let user = format!("IAMR:{ROLE}");
            let (password, until) = settings.give(&user);
            let until = until.to_rfc3339_opts(SecondsFormat::Secs, true);
            Ok(json!({"Expiration": until, "DbUser": user, "DbPassword": password, "NextRefreshTime": until}))
        }
        "DescribeClusters" => {
            cluster_is(parameter("ClusterIdentifier"))?;
            let mut cluster = json!({"ClusterIdentifier": CLUSTER, "ClusterStatus": settings.status});
            if let Some(port) = port {
                cluster["Endpoint"] = json!({"Address": "localhost", "Port": port});
            }
            Ok(json!({"Clusters": {"Cluster": cluster}}))
        }
        // `expiration` is a number of seconds since 1970.
        "GetCredentials" => {
            workgroup_is(parameter("workgroupName"))?;
            let user = format!("IAMR:{ROLE}");
            let (password, until) = settings.give(&user);
            let until = until.timestamp();
            Ok(json!({"dbUser": user, "dbPassword": password, "expiration": until, "nextRefreshTime": until}))
        }
        "GetWorkgroup" => {
            workgroup_is(parameter("workgroupName"))?;
            let mut workgroup = json!({
                "workgroupName": WORKGROUP, "workgroupId": WORKGROUP_ID, "status": settings.status.to_uppercase(),
            });
            if let Some(port) = port {
                workgroup["endpoint"] = json!({"address": "localhost", "port": port});
            }
            Ok(json!({"workgroup": workgroup}))
        }
        _ => Err(Refusal::new(400, "InvalidAction", "no such operation here")),
    }
}
