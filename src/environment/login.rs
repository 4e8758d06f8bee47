//! Reads the login to Redshift from variables, completed by a secret.

use std::fmt;
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use cmslite_core::error::{Deployment, Error};
use cmslite_core::text::seconds;

use super::iam::{TemporaryLogin, Warehouse};
use super::stored_secret::StoredSecret;
use crate::secret::Secret;

/// The default port of Redshift.
const DEFAULT_PORT: u16 = 5439;

/// The address and the user of a login to Redshift.
#[derive(Clone)]
pub struct Login {
    /// The host, as the certificate names it.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The database.
    pub database: String,
    /// The user.
    pub user: String,
    /// The password.
    pub password: Secret,
    /// The origin of the password.
    pub password_origin: PasswordOrigin,
    /// The proof of identity that the server must give.
    pub tls: Tls,
    /// A PEM file with certificates to trust instead of the system's.
    pub root_certificates: Option<PathBuf>,
}

/// The origin of a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordOrigin {
    /// A variable, by name.
    Variable(&'static str),
    /// A secret of Secrets Manager.
    Secret {
        /// The secret's name or ARN.
        id: String,
        /// The secret's version, if Secrets Manager returns it.
        version: Option<String>,
    },
    /// Redshift's API, for an IAM login.
    Iam {
        /// The cluster or workgroup that issued the password.
        warehouse: Warehouse,
        /// The time when the password expires.
        until: DateTime<Utc>,
    },
}

impl fmt::Display for PasswordOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "the variable {name}"),
            Self::Secret { id, version: None } => write!(f, "the secret {id}"),
            Self::Secret { id, version: Some(version) } => write!(f, "the secret {id}, version {version}"),
            Self::Iam { warehouse, until } => {
                write!(f, "IAM for {warehouse} ({}), valid until {}", warehouse.variable(), seconds(*until))
            }
        }
    }
}

impl Login {
    /// Checks whether the password expires within `margin` from now.
    pub fn ends_within(&self, margin: TimeDelta, now: DateTime<Utc>) -> bool {
        match self.password_origin {
            PasswordOrigin::Iam { until, .. } => until < now + margin,
            PasswordOrigin::Variable(_) | PasswordOrigin::Secret { .. } => false,
        }
    }
}

/// A secret that Secrets Manager returned.
pub struct FetchedSecret {
    /// The secret's text.
    pub text: Secret,
    /// The secret's origin.
    pub origin: PasswordOrigin,
}

/// The proof of identity that a server must give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// A trusted certificate for the host's name.
    VerifyFull,
    /// A trusted certificate for any name: for a DNS alias.
    VerifyCa,
    /// No proof, and no encryption: only for servers on this machine.
    Disable,
}

/// The part of a login that variables give.
#[derive(Clone)]
pub(super) struct PartialLogin {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) database: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password: Option<(Secret, PasswordOrigin)>,
    pub(super) tls: Tls,
    pub(super) root_certificates: Option<PathBuf>,
}

impl PartialLogin {
    /// Returns the login, completed by a secret.
    ///
    /// # Errors
    ///
    /// Those of [`Environment::login`](super::Environment::login).
    pub(super) fn with(&self, secret: Option<&FetchedSecret>) -> Result<Login, Error> {
        let Some(secret) = secret else { return self.finished(None) };
        let unreadable = |why: String| {
            let message = format!("{} (PGPASS_SECRET_ID) {why}", secret.origin);
            Error::deployment(Deployment::SecretUnreadable, message)
        };
        let stored = StoredSecret::parse(&secret.text).map_err(unreadable)?;
        let login = self.completed_by(&stored, &secret.origin);
        if stored.password.is_none() {
            let fields = login.missing_fields();
            return Err(unreadable(format!("lacks {}", fields.join(", "))));
        }
        login.finished(Some(&stored))
    }

    /// Returns the login that Redshift's API issued. An address in the variables has priority.
    ///
    /// # Errors
    ///
    /// Those of [`Environment::login`](super::Environment::login).
    pub(super) fn by_iam(&self, given: TemporaryLogin) -> Result<Login, Error> {
        let (host, port) = given.endpoint.unzip();
        let origin = PasswordOrigin::Iam { warehouse: given.warehouse, until: given.until };
        let login = Self {
            host: self.host.clone().or(host),
            port: self.port.or(port),
            user: Some(given.user),
            password: Some((given.password, origin)),
            ..self.clone()
        };
        login.finished(None)
    }

    /// Returns the missing variables, and the fields of a secret that could replace them.
    pub(super) fn missing(&self, secret: Option<&StoredSecret>) -> Vec<String> {
        let in_json = |field: &str| match secret {
            Some(stored) if stored.is_json => format!(", and the secret has no {field:?}"),
            _ => String::new(),
        };
        let cluster = secret.and_then(|stored| stored.cluster.as_ref());
        let of_cluster = cluster.map(|name| format!("; write the endpoint of {name}")).unwrap_or_default();
        [
            (self.host.is_none(), "PGHOST", in_json("host") + &of_cluster),
            (self.database.is_none(), "PGDATABASE", in_json("dbname")),
            (self.user.is_none(), "PGUSER", in_json("username")),
            (self.password.is_none(), "pgpass (or PGPASSWORD, or PGPASS_SECRET_ID)", String::new()),
        ]
        .into_iter()
        .filter(|(missing, ..)| *missing)
        .map(|(_, name, more)| format!("{name} is not set{more}"))
        .collect()
    }

    /// Returns the fields that a secret in Redshift's form would need.
    fn missing_fields(&self) -> Vec<&'static str> {
        let fields = [
            (true, "\"password\""),
            (self.user.is_none(), "\"username\""),
            (self.host.is_none(), "\"host\""),
            (self.database.is_none(), "\"dbname\""),
        ];
        fields.into_iter().filter(|(missing, _)| *missing).map(|(_, name)| name).collect()
    }

    /// Completes the login: the environment has priority over the secret, except for the password and the
    /// user that belongs to it.
    fn completed_by(&self, stored: &StoredSecret, origin: &PasswordOrigin) -> Self {
        Self {
            host: self.host.clone().or(stored.host.clone()),
            port: self.port.or(stored.port),
            database: self.database.clone().or(stored.database.clone()),
            user: stored.username.clone().or(self.user.clone()),
            password: stored.password.clone().map(|password| (password, origin.clone())),
            tls: self.tls,
            root_certificates: self.root_certificates.clone(),
        }
    }

    fn finished(&self, secret: Option<&StoredSecret>) -> Result<Login, Error> {
        match self.clone() {
            Self {
                host: Some(host),
                port,
                database: Some(database),
                user: Some(user),
                password: Some((password, password_origin)),
                tls,
                root_certificates,
            } => Ok(Login {
                host,
                port: port.unwrap_or(DEFAULT_PORT),
                database,
                user,
                password,
                password_origin,
                tls,
                root_certificates,
            }),
            incomplete => Err(Error::deployment(
                Deployment::Configuration,
                format!("environment: {}", incomplete.missing(secret).join("; ")),
            )),
        }
    }
}
