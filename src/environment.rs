//! Reads the environment once, at start, into types.

// The login, from variables and a secret.
mod login;

// The forms of a secret.
mod stored_secret;

// The IAM login.
mod iam;

// Addresses of clusters.
mod endpoint;

// The settings of every request to S3.
mod s3_settings;

use std::path::{Path, PathBuf};

use self::endpoint::Endpoint;
use self::iam::IamVariables;
use self::login::PartialLogin;
use crate::secret::Secret;
use cmslite_core::error::{Deployment, Error};

pub use self::iam::{IamLogin, TemporaryLogin, Warehouse};
pub use self::login::{FetchedSecret, Login, PasswordOrigin, Tls};
pub use self::s3_settings::S3Settings;

/// Everything that the program takes from its environment, except `AWS_*`.
#[derive(Clone)]
pub struct Environment {
    /// The directory that replaces the bundled `config.d/`.
    pub config_dir: Option<PathBuf>,
    /// The authorization with which COPY reads S3.
    pub copy: CopyAccess,
    /// The secret that completes the login, if there is one.
    pub password_secret_id: Option<String>,
    /// The settings of the IAM login, if one is configured.
    pub iam_login: Option<IamLogin>,
    /// The ARN of the SNS topic for messages about bad archives, if there is one.
    pub bad_archive_topic: Option<String>,
    /// The `left_to_task_above` of a [`RunRequest`](crate::run_request::RunRequest), for the function only.
    pub left_to_task_above: Option<u64>,
    /// Whether the function writes a dataset's status page after each run.
    pub has_status_page: bool,
    /// The settings of every request to S3.
    pub s3: S3Settings,
    login: PartialLogin,
}

/// The authorization with which COPY reads S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyAccess {
    /// The function's own keys and their session token.
    OwnKeys,
    /// The cluster's default role.
    DefaultRole,
    /// A role, by ARN.
    Role(String),
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
    /// [`Deployment::Configuration`] names every variable without a valid value. Values that a secret may
    /// supply are checked in [`Environment::login`].
    pub fn read(var: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let var = |name: &str| var(name).filter(|value| !value.is_empty());
        let mut mistakes = Vec::new();
        let port = var("PGPORT").and_then(|port| {
            if let Ok(port) = port.trim().parse() {
                Some(port)
            } else {
                mistakes.push(format!("PGPORT: {port:?} is not a port"));
                None
            }
        });
        let database = var("PGDATABASE");
        let endpoint = var("PGHOST").map(|text| {
            Endpoint::parse(&text).unwrap_or_else(|why| {
                mistakes.push(format!("PGHOST {why}"));
                Endpoint::default()
            })
        });
        let (host, port, database) = match endpoint {
            None => (None, port, database),
            Some(endpoint) => {
                if let (Some(port), Some(other)) = (port, endpoint.port)
                    && port != other
                {
                    mistakes.push(format!(
                        "PGHOST has port {other}, and PGPORT is {port}: leave one of them out"
                    ));
                }
                if let (Some(database), Some(other)) = (&database, &endpoint.database)
                    && database != other
                {
                    mistakes.push(format!(
                        "PGHOST has database {other}, and PGDATABASE is {database}: leave one of them out"
                    ));
                }
                (Some(endpoint.host), port.or(endpoint.port), database.or(endpoint.database))
            }
        };
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
                mistakes.push(format!("PGSSLMODE: {other:?} does not verify the server; use verify-full, or verify-ca for a DNS alias"));
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
        let s3 = S3Settings::read(&var).unwrap_or_else(|mistake| {
            mistakes.push(mistake);
            S3Settings::default()
        });
        let left_to_task_above = var("LEAVE_TO_TASK_BYTES").and_then(|bytes| {
            bytes
                .trim()
                .parse()
                .map_err(|_| {
                    mistakes.push(format!("LEAVE_TO_TASK_BYTES: {bytes:?} is not a number of bytes"));
                })
                .ok()
        });
        let has_status_page = match var("STATUS_PAGE").as_deref() {
            None | Some("off") => false,
            Some("on") => true,
            Some(other) => {
                mistakes.push(format!("STATUS_PAGE: {other:?} is neither on nor off"));
                false
            }
        };
        let login = PartialLogin {
            host,
            port,
            database,
            user: var("PGUSER").or_else(|| var("pguser")),
            password: ["pgpass", "PGPASSWORD"].into_iter().find_map(|name| {
                var(name).map(|password| (Secret::new(password), PasswordOrigin::Variable(name)))
            }),
            tls,
            root_certificates: var("PGSSLROOTCERT").filter(|path| path != "system").map(PathBuf::from),
        };
        let password_secret_id = var("PGPASS_SECRET_ID");
        let by_iam = IamVariables {
            cluster: var("REDSHIFT_CLUSTER"),
            workgroup: var("REDSHIFT_WORKGROUP"),
            user: login.user.as_deref(),
            database: login.database.as_deref(),
            is_located: login.host.is_some(),
            passwords: ["pgpass", "PGPASSWORD", "PGPASS_SECRET_ID"]
                .into_iter()
                .filter(|name| var(name).is_some())
                .collect(),
        };
        let iam_login = match by_iam.read() {
            Ok(iam_login) => {
                if password_secret_id.is_none() && iam_login.is_none() {
                    mistakes.extend(login.missing(None));
                }
                iam_login
            }
            Err(contradictions) => {
                mistakes.extend(contradictions);
                None
            }
        };
        if mistakes.is_empty() {
            Ok(Self {
                config_dir: var("CONFIG_DIR").map(PathBuf::from),
                copy,
                password_secret_id,
                iam_login,
                bad_archive_topic,
                left_to_task_above,
                has_status_page,
                s3,
                login,
            })
        } else {
            Err(Error::deployment(Deployment::Configuration, format!("environment: {}", mistakes.join("; "))))
        }
    }

    /// Returns the login, completed by the secret that [`Environment::password_secret_id`] names.
    ///
    /// # Errors
    ///
    /// [`Deployment::Configuration`] names what neither the environment nor the secret has;
    /// [`Deployment::SecretUnreadable`] names the fields of the secret that are missing or of another type.
    pub fn login(&self, secret: Option<&FetchedSecret>) -> Result<Login, Error> {
        self.login.with(secret)
    }

    /// Returns the login that Redshift's API issued for [`Environment::iam_login`].
    ///
    /// # Errors
    ///
    /// [`Deployment::Configuration`] names what neither the environment nor the API has.
    pub fn login_by_iam(&self, given: TemporaryLogin) -> Result<Login, Error> {
        self.login.by_iam(given)
    }

    /// Returns how the server must prove its identity, and the certificates to trust instead of the system's.
    pub fn trust(&self) -> (Tls, Option<&Path>) {
        (self.login.tls, self.login.root_certificates.as_deref())
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
    fn a_status_page_is_written_where_it_is_wanted() {
        let of = |value| read(&with(&[("STATUS_PAGE", value)])).map(|read| read.has_status_page);
        assert_eq!((of("on").ok(), of("off").ok(), of("").ok()), (Some(true), Some(false), Some(false)));
        assert!(message(&with(&[("STATUS_PAGE", "yes")])).contains("is neither on nor off"));
    }

    #[test]
    fn what_is_left_to_the_task_is_a_number_of_bytes() {
        let of = |bytes| read(&with(&[("LEAVE_TO_TASK_BYTES", bytes)])).map(|read| read.left_to_task_above);
        assert_eq!(of("2147483648").ok(), Some(Some(2_147_483_648)));
        assert_eq!(of("").ok(), Some(None));
        assert!(message(&with(&[("LEAVE_TO_TASK_BYTES", "2 GiB")])).contains("is not a number of bytes"));
    }

    /// Returns the login that a secret completes, or the error.
    fn completed(variables: &[(&str, &str)], secret: &str) -> Result<Login, String> {
        let origin = PasswordOrigin::Secret { id: "s".to_owned(), version: Some("7".to_owned()) };
        let secret = FetchedSecret { text: Secret::new(secret), origin };
        let environment = read(variables).unwrap_or_else(|error| panic!("{error}"));
        environment.login(Some(&secret)).map_err(|error| error.chain())
    }

    const BY_SECRET: [(&str, &str); 4] =
        [("PGHOST", "h"), ("PGDATABASE", "d"), ("PGUSER", "u"), ("PGPASS_SECRET_ID", "s")];

    #[test]
    fn a_plain_secret_loses_one_line_end() {
        for (secret, password) in
            [("p", "p"), ("p\n", "p"), ("p\r\n", "p"), ("p\n\n", "p\n"), (" p ", " p "), ("p\r", "p\r")]
        {
            let login = completed(&BY_SECRET, secret).unwrap_or_else(|error| panic!("{error}"));
            assert!(login.password.expose() == password && login.user == "u", "{secret:?}");
            assert_eq!(login.password_origin.to_string(), "the secret s, version 7");
        }
        assert!(completed(&BY_SECRET, "\n").is_err_and(|error| error.contains("is empty")));
    }

    #[test]
    fn redshifts_json_completes_the_login_and_its_user_goes_with_its_password() {
        let only = [("PGPASS_SECRET_ID", "s")];
        for (secret, expected) in [
            (
                r#"{"username":"v","password":"p","engine":"redshift","host":"i","port":5440,"dbname":"e"}"#,
                ("v", "i", 5440, "e"),
            ),
            (
                r#"{"username":"v","password":"p","host":"i.","port":"5440","database":"e"}"#,
                ("v", "i", 5440, "e"),
            ),
            (
                r#" {"username":"v","password":"p","host":"i:5440/e","dbClusterIdentifier":"c"}"#,
                ("v", "i", 5440, "e"),
            ),
        ] {
            let login = completed(&only, secret).unwrap_or_else(|error| panic!("{secret}: {error}"));
            let found = (login.user.as_str(), login.host.as_str(), login.port, login.database.as_str());
            assert_eq!(found, expected, "{secret}");
            let both = completed(&BY_SECRET, secret).unwrap_or_else(|error| panic!("{secret}: {error}"));
            assert_eq!(
                (both.user.as_str(), both.host.as_str(), both.database.as_str()),
                ("v", "h", "d"),
                "{secret}"
            );
        }
        let login = completed(&BY_SECRET, r#"{"password":"p"}"#).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(login.user, "u");
    }

    #[test]
    fn a_secret_that_is_wrong_is_told_by_its_fields_and_never_by_its_values() {
        let only = [("PGPASS_SECRET_ID", "s")];
        for (secret, word) in [
            ("{\"password\": hush", "neither plain text nor"),
            (
                "{}",
                "the secret s, version 7 (PGPASS_SECRET_ID) lacks \"password\", \"username\", \"host\", \"dbname\"",
            ),
            (r#"{"username":"hush","pass":"hush"}"#, "lacks \"password\", \"host\", \"dbname\""),
            (r#"{"username":"hush","password":["hush"]}"#, "\"password\" is not a text"),
            (
                r#"{"username":{"hush":1},"password":"hush","port":"hush"}"#,
                "\"username\" is not a text, \"port\" is not a port",
            ),
            (r#"{"password":"hush","host":"hush@h"}"#, "\"host\" is not a host name"),
            (
                r#"{"password":"hush","username":"v"}"#,
                "PGHOST is not set, and the secret has no \"host\"; PGDATABASE is not set",
            ),
            (
                r#"{"password":"hush","username":"v","dbClusterIdentifier":"c","dbname":"d"}"#,
                "write the endpoint of c",
            ),
            ("hush", "PGHOST is not set; PGDATABASE"),
        ] {
            let told = completed(&only, secret).err().unwrap_or_else(|| panic!("{secret}: taken"));
            assert!(told.contains(word) && !told.contains("hush"), "{secret}: {told}");
        }
    }

    #[test]
    fn a_host_is_taken_as_it_is_pasted() {
        let pasted =
            [("PGHOST", " jdbc:redshift://h.example:5440/dev "), ("PGUSER", "u"), ("PGPASSWORD", "p")];
        let login = read(&pasted).and_then(|read| read.login(None)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((login.host.as_str(), login.port, login.database.as_str()), ("h.example", 5440, "dev"));
        assert_eq!(login.password_origin.to_string(), "the variable PGPASSWORD");
        for (variable, word) in [
            (("PGPORT", "5439"), "PGHOST has port 5440, and PGPORT is 5439"),
            (("PGDATABASE", "d"), "PGHOST has database dev, and PGDATABASE is d"),
            (("PGSSLMODE", "disable"), "loopback"),
        ] {
            let variables: Vec<_> = pasted.into_iter().chain([variable]).collect();
            assert!(message(&variables).contains(word), "{}", message(&variables));
        }
        let refused = message(&with(&[("PGHOST", "postgres://u:hush@h/d")]));
        assert!(refused.contains("PGHOST holds a user") && !refused.contains("hush"), "{refused}");
        assert!(!refused.contains("not set"), "{refused}");
    }

    #[test]
    fn a_login_by_iam_needs_no_password_and_stands_beside_none() {
        let cluster = [("REDSHIFT_CLUSTER", "analytics"), ("PGDATABASE", "d")];
        let read_by_iam = |variables: &[(&str, &str)]| {
            read(variables).unwrap_or_else(|error| panic!("{error}")).iam_login.unwrap()
        };
        let login = read_by_iam(&[&cluster[..], &[("PGUSER", "u")]].concat());
        let user = Some("u".to_owned());
        let warehouse = Warehouse::Cluster { id: "analytics".to_owned(), user };
        assert_eq!(login, IamLogin { warehouse, database: "d".to_owned(), is_located: false });
        let workgroup = [("REDSHIFT_WORKGROUP", "w-1"), ("PGHOST", "h/d")];
        let warehouse = Warehouse::Workgroup { name: "w-1".to_owned() };
        assert_eq!(
            read_by_iam(&workgroup),
            IamLogin { warehouse, database: "d".to_owned(), is_located: true }
        );

        for (extra, told) in [
            (("REDSHIFT_WORKGROUP", "w"), "are both set: keep the one that has the database"),
            (("pgpass", "hush"), "which has no password, and pgpass is set too: remove one of them"),
            (("PGPASSWORD", "hush"), "and PGPASSWORD is set too"),
            (("PGPASS_SECRET_ID", "hush"), "and PGPASS_SECRET_ID is set too"),
            (
                ("REDSHIFT_CLUSTER", "c.abc.ca-central-1.redshift.amazonaws.com"),
                "is not a cluster identifier",
            ),
            (("PGUSER", "IAM:u"), "without IAM:"),
            (("PGDATABASE", ""), "PGDATABASE is not set"),
        ] {
            let variables: Vec<_> = [extra].into_iter().chain(cluster).collect();
            let message = message(&variables);
            assert!(message.contains(told) && !message.contains("hush"), "{extra:?}: {message}");
            assert!(!message.contains("PGHOST is not set"), "{message}");
        }
        for (extra, told) in
            [(("PGUSER", "u"), "remove PGUSER"), (("REDSHIFT_WORKGROUP", "a.b"), "is not a workgroup's name")]
        {
            let variables: Vec<_> = [extra].into_iter().chain(workgroup).collect();
            assert!(message(&variables).contains(told), "{}", message(&variables));
        }
    }

    #[test]
    fn a_login_by_iam_ends() {
        let now = chrono::Utc::now();
        let variables = [("REDSHIFT_CLUSTER", "c"), ("PGDATABASE", "d"), ("PGPORT", "5440")];
        let environment = read(&variables).unwrap_or_else(|error| panic!("{error}"));
        let warehouse = environment.iam_login.clone().unwrap().warehouse;
        let login = environment
            .login_by_iam(TemporaryLogin {
                user: "IAMR:r".to_owned(),
                password: Secret::new("p"),
                warehouse,
                until: now,
                endpoint: Some(("h".to_owned(), 5439)),
            })
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((login.host.as_str(), login.port, login.user.as_str()), ("h", 5440, "IAMR:r"));
        let margin = chrono::TimeDelta::seconds(60);
        for (before, ends) in [(0, true), (59, true), (61, false)] {
            assert_eq!(login.ends_within(margin, now - chrono::TimeDelta::seconds(before)), ends, "{before}");
        }
    }
}
