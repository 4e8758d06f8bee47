//! The environment, read once at start into types.

use std::path::PathBuf;

use serde::Deserialize;

use crate::secret::Secret;
use cmslite_core::error::{Deployment, Error, Fault};

/// Redshift's port when none is given.
const DEFAULT_PORT: u16 = 5439;

/// Everything that the program takes from its environment, `AWS_*` aside.
#[derive(Clone)]
pub struct Environment {
    /// Instead of the bundled `config.d/`.
    pub config_dir: Option<PathBuf>,
    /// How COPY reads S3.
    pub copy: CopyAccess,
    /// The secret that completes the login, if there is one.
    pub password_secret_id: Option<String>,
    /// The ARN of the SNS topic to which bad archives are told, if there is one.
    pub bad_archive_topic: Option<String>,
    /// The account that the bucket must belong to, if one is given: 12 digits.
    pub bucket_owner: Option<String>,
    login: PartialLogin,
}

/// How COPY reads S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyAccess {
    /// With the function's own keys and their session token.
    OwnKeys,
    /// With the cluster's default role.
    DefaultRole,
    /// With a role, by ARN.
    Role(String),
}

/// Where and as whom to log in to Redshift.
#[derive(Clone)]
pub struct Login {
    /// The host, as the certificate names it.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The database.
    pub database: String,
    /// The user. Its password must be stored as an MD5 digest.
    pub user: String,
    /// The password.
    pub password: Secret,
    /// How the server must prove itself.
    pub tls: Tls,
    /// Certificates to trust instead of the system's, a PEM file.
    pub root_certificates: Option<PathBuf>,
}

/// How the server must prove itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// By a trusted certificate for the host's name.
    VerifyFull,
    /// By a trusted certificate, whatever name it bears: for a DNS alias.
    VerifyCa,
    /// Not at all, and unencrypted: towards this machine only.
    Disable,
}

#[derive(Clone)]
struct PartialLogin {
    host: Option<String>,
    port: Option<u16>,
    database: Option<String>,
    user: Option<String>,
    password: Option<Secret>,
    tls: Tls,
    root_certificates: Option<PathBuf>,
}

impl Environment {
    /// Reads the process's variables.
    ///
    /// # Errors
    ///
    /// As [`Environment::read`].
    pub fn from_process() -> Result<Self, Error> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Reads the variables through `var`.
    ///
    /// # Errors
    ///
    /// [`Deployment::Configuration`] names every variable that has no valid value. What a secret may still
    /// supply is asked for in [`Environment::login`].
    pub fn read(var: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let var = |name: &str| var(name).filter(|value| !value.is_empty());
        let mut mistakes = Vec::new();
        let port = var("PGPORT").and_then(|port| {
            if let Ok(port) = port.parse() {
                Some(port)
            } else {
                mistakes.push(format!("PGPORT: {port:?} is no port"));
                None
            }
        });
        let host = var("PGHOST");
        let tls = match var("PGSSLMODE").as_deref() {
            None | Some("verify-full") => Tls::VerifyFull,
            Some("verify-ca") => Tls::VerifyCa,
            Some("disable") => {
                if !host.as_deref().is_some_and(is_loopback) {
                    mistakes
                        .push("PGSSLMODE: disable is for a loopback host only; use verify-full".to_owned());
                }
                Tls::Disable
            }
            Some(other) => {
                mistakes.push(format!("PGSSLMODE: {other:?} does not make the server prove itself; use verify-full, or verify-ca for a DNS alias"));
                Tls::VerifyFull
            }
        };
        let copy = match var("COPY_IAM_ROLE") {
            None => CopyAccess::OwnKeys,
            Some(role) if role.eq_ignore_ascii_case("default") => CopyAccess::DefaultRole,
            Some(role) if role.starts_with("arn:") => CopyAccess::Role(role),
            Some(role) => {
                mistakes.push(format!("COPY_IAM_ROLE: {role:?} is neither an ARN nor default"));
                CopyAccess::DefaultRole
            }
        };
        let bad_archive_topic = var("BAD_ARCHIVE_TOPIC_ARN");
        if let Some(topic) =
            bad_archive_topic.as_ref().filter(|topic| !(topic.starts_with("arn:") && topic.contains(":sns:")))
        {
            mistakes.push(format!("BAD_ARCHIVE_TOPIC_ARN: {topic:?} is not the ARN of an SNS topic"));
        }
        let bucket_owner = bucket_owner(&var).unwrap_or_else(|mistake| {
            mistakes.push(mistake);
            None
        });
        let login = PartialLogin {
            host,
            port,
            database: var("PGDATABASE"),
            user: var("PGUSER").or_else(|| var("pguser")),
            password: var("pgpass").or_else(|| var("PGPASSWORD")).map(Secret::new),
            tls,
            root_certificates: var("PGSSLROOTCERT").filter(|path| path != "system").map(PathBuf::from),
        };
        let password_secret_id = var("PGPASS_SECRET_ID");
        if password_secret_id.is_none() {
            mistakes.extend(login.missing());
        }
        if mistakes.is_empty() {
            Ok(Self {
                config_dir: var("CONFIG_DIR").map(PathBuf::from),
                copy,
                password_secret_id,
                bad_archive_topic,
                bucket_owner,
                login,
            })
        } else {
            Err(Error::deployment(Deployment::Configuration, format!("environment: {}", mistakes.join("; "))))
        }
    }

    /// The login, completed by the text of the secret that [`Environment::password_secret_id`] names.
    ///
    /// # Errors
    ///
    /// [`Deployment::Configuration`] names what neither the environment nor the secret says;
    /// [`Deployment::SecretUnreadable`] when the secret is JSON without a password.
    pub fn login(&self, secret: Option<&Secret>) -> Result<Login, Error> {
        let stored = secret.map(StoredSecret::parse).transpose()?;
        let login = self.login.completed_by(stored);
        let missing = login.missing();
        match login {
            PartialLogin {
                host: Some(host),
                port,
                database: Some(database),
                user: Some(user),
                password: Some(password),
                tls,
                root_certificates,
            } => Ok(Login {
                host,
                port: port.unwrap_or(DEFAULT_PORT),
                database,
                user,
                password,
                tls,
                root_certificates,
            }),
            _ => Err(Error::deployment(
                Deployment::Configuration,
                format!("environment: {}", missing.join("; ")),
            )),
        }
    }
}

/// The account that the bucket must belong to, for what needs nothing else of the environment.
///
/// # Errors
///
/// [`Deployment::Configuration`] where it is no account.
pub fn bucket_owner_from_process() -> Result<Option<String>, Error> {
    bucket_owner(&|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .map_err(|mistake| Error::deployment(Deployment::Configuration, format!("environment: {mistake}")))
}

fn bucket_owner(var: &impl Fn(&str) -> Option<String>) -> Result<Option<String>, String> {
    let Some(account) = var("S3_BUCKET_OWNER") else { return Ok(None) };
    if account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Some(account));
    }
    Err(format!("S3_BUCKET_OWNER: {account:?} is no AWS account, which has 12 digits"))
}

impl PartialLogin {
    fn missing(&self) -> Vec<String> {
        [
            (self.host.is_none(), "PGHOST"),
            (self.database.is_none(), "PGDATABASE"),
            (self.user.is_none(), "PGUSER"),
            (self.password.is_none(), "pgpass (or PGPASSWORD, or PGPASS_SECRET_ID)"),
        ]
        .into_iter()
        .filter(|(missing, _)| *missing)
        .map(|(_, name)| format!("{name} is not set"))
        .collect()
    }

    /// The environment wins over the secret, the password aside.
    fn completed_by(&self, stored: Option<StoredSecret>) -> Self {
        let stored = stored.unwrap_or_default();
        Self {
            host: self.host.clone().or(stored.host),
            port: self.port.or(stored.port),
            database: self.database.clone().or(stored.database),
            user: self.user.clone().or(stored.username),
            password: stored.password.map(Secret::new).or_else(|| self.password.clone()),
            tls: self.tls,
            root_certificates: self.root_certificates.clone(),
        }
    }
}

/// Secrets Manager's JSON form of a Redshift secret; a secret that is no JSON object is the password itself.
#[derive(Default, Deserialize)]
struct StoredSecret {
    username: Option<String>,
    password: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    #[serde(alias = "dbName", alias = "dbname")]
    database: Option<String>,
}

impl StoredSecret {
    fn parse(secret: &Secret) -> Result<Self, Error> {
        let text = secret.expose();
        if !text.trim_start().starts_with('{') {
            return Ok(Self { password: Some(text.to_owned()), ..Self::default() });
        }
        // serde's message could quote the secret, so it is not passed on.
        match serde_json::from_str::<Self>(text) {
            Ok(stored) if stored.password.is_some() => Ok(stored),
            Ok(_) => Err(Fault::new(Deployment::SecretUnreadable, "the secret PGPASS_SECRET_ID names has no key \"password\"").into()),
            Err(_) => Err(Fault::new(
                Deployment::SecretUnreadable,
                "the secret PGPASS_SECRET_ID names is neither plain text nor Redshift's JSON form {\"username\", \"password\", ...}",
            )
            .into()),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Environment, Error> {
        Environment::read(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    const BASE: [(&str, &str); 4] = [("PGHOST", "h"), ("PGDATABASE", "d"), ("pguser", "u"), ("pgpass", "p")];

    fn with<'a>(extra: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        extra.iter().copied().chain(BASE).collect()
    }

    fn message(variables: &[(&str, &str)]) -> String {
        read(variables).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn the_seeds_names_are_enough() {
        let login = read(&BASE)
            .unwrap()
            .login(None)
            .map_err(|error| error.to_string())
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            (login.host.as_str(), login.port, login.user.as_str(), login.password.expose()),
            ("h", 5439, "u", "p")
        );
        assert_eq!(login.tls, Tls::VerifyFull);
    }

    #[test]
    fn every_missing_variable_is_named() {
        let text = message(&[]);
        for name in ["PGHOST", "PGDATABASE", "PGUSER", "pgpass"] {
            assert!(text.contains(&format!("{name} ")), "{text}");
        }
    }

    #[test]
    fn an_unverified_server_is_for_this_machine_only() {
        assert!(message(&with(&[("PGSSLMODE", "disable")])).contains("loopback"));
        assert!(message(&with(&[("PGSSLMODE", "require")])).contains("verify-full"));
        assert!(read(&with(&[("PGSSLMODE", "disable"), ("PGHOST", "127.0.0.1")])).is_ok());
    }

    #[test]
    fn a_topic_is_an_arn_in_any_partition() {
        let topic = "arn:aws-us-gov:sns:us-gov-west-1:000000000000:topic";
        let environment =
            read(&with(&[("BAD_ARCHIVE_TOPIC_ARN", topic)])).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(environment.bad_archive_topic.as_deref(), Some(topic));
        assert!(
            message(&with(&[("BAD_ARCHIVE_TOPIC_ARN", "topic")])).contains("is not the ARN of an SNS topic")
        );
    }

    #[test]
    fn a_secret_is_plain_text_or_redshifts_json() {
        let environment =
            read(&[("PGDATABASE", "d"), ("PGPASS_SECRET_ID", "s")]).unwrap_or_else(|error| panic!("{error}"));
        let json = Secret::new(
            r#"{"username":"u","password":"p","engine":"redshift","host":"h","port":5440,"dbname":"other"}"#,
        );
        let login = environment.login(Some(&json)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((login.port, login.database.as_str(), login.password.expose()), (5440, "d", "p"));
        let plain = environment
            .login(Some(&Secret::new("hush")))
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(plain.contains("PGHOST is not set") && !plain.contains("hush"), "{plain}");
        let broken = environment
            .login(Some(&Secret::new("{\"password\": hush")))
            .err()
            .map(|error| error.chain())
            .unwrap_or_default();
        assert!(broken.contains("neither plain text nor") && !broken.contains("hush"), "{broken}");
    }
}
