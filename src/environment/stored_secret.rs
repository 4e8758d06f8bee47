//! Reads the forms of a secret: the password alone, or Redshift's JSON.

use serde_json::{Map, Value};

use super::endpoint::Endpoint;
use crate::secret::Secret;

/// The contents of a secret. A secret that is not a JSON object is the password itself.
#[derive(Default)]
pub(super) struct StoredSecret {
    pub(super) username: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) database: Option<String>,
    /// The cluster, or the namespace of a workgroup, in a secret that Redshift manages.
    pub(super) cluster: Option<String>,
    /// Whether the secret has fields, so that one can be missing.
    pub(super) is_json: bool,
}

impl StoredSecret {
    /// Reads a secret. Redshift's form has `username`, `password`, `engine`, `host`, `port`, `dbname` or
    /// `database`, `dbClusterIdentifier` and `namespaceName` (AWS Secrets Manager User Guide, "JSON structure
    /// of AWS Secrets Manager secrets"), of which all but the password may be absent.
    ///
    /// # Errors
    ///
    /// What is wrong, with the names of fields and never a value.
    pub(super) fn parse(secret: &Secret) -> Result<Self, String> {
        let text = secret.expose();
        if !text.trim_start().starts_with('{') {
            let password =
                text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
            if password.is_empty() {
                return Err("is empty".to_owned());
            }
            return Ok(Self { password: Some(Secret::new(password)), ..Self::default() });
        }
        // serde's message could quote the secret, so it is not passed on.
        let fields: Map<String, Value> = serde_json::from_str(text).map_err(|_| {
            "is neither plain text nor Redshift's JSON form {\"username\", \"password\", ...}".to_owned()
        })?;
        let mut wrong = Vec::new();
        let mut text = |name: &str| match fields.get(name) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if text.is_empty() => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) if name == "port" => Some(number.to_string()),
            Some(_) => {
                wrong.push(format!("{name:?} is not a text"));
                None
            }
        };
        let (username, password) = (text("username"), text("password").map(Secret::new));
        let (host, port) = (text("host"), text("port"));
        let database = text("dbname").or_else(|| text("database")).or_else(|| text("dbName"));
        let cluster = text("dbClusterIdentifier").or_else(|| text("namespaceName"));
        let endpoint = host.map(|host| Endpoint::parse(&host)).transpose();
        let endpoint = endpoint.unwrap_or_else(|_| {
            wrong.push("\"host\" is not a host name".to_owned());
            None
        });
        let port = port.and_then(|port| {
            let port = port.trim().parse().ok().filter(|port| *port > 0);
            if port.is_none() {
                wrong.push("\"port\" is not a port".to_owned());
            }
            port
        });
        if !wrong.is_empty() {
            return Err(format!("does not have Redshift's form: {}", wrong.join(", ")));
        }
        let endpoint = endpoint.unwrap_or_default();
        Ok(Self {
            username,
            password,
            host: Some(endpoint.host).filter(|host| !host.is_empty()),
            port: port.or(endpoint.port),
            database: database.or(endpoint.database),
            cluster,
            is_json: true,
        })
    }
}
