//! Starts a stack of S3 with a bucket, PostgreSQL with the tables, and the Redshift stand-in.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_postgres::{Client, NoTls};

use crate::postgres::{self, Postgres};
use crate::redshift::{self, Redshift, Role};
use crate::s3::{self, Credentials, S3};

/// The bucket that the shipped configuration names.
pub const BUCKET: &str = "sp-ca-bc-gov-131565110619-12-microservices";

/// The loader's user.
pub const LOADER: &str = "cmslite_loader";

/// The loader's password: only for stacks on this machine, and easy to search for.
pub const LOADER_PASSWORD: &str = "devstack-Passw0rd-of-the-loader";

/// The superuser's password.
pub const SUPERUSER_PASSWORD: &str = "devstack-Passw0rd-of-postgres";

/// The role that COPY may use.
pub const COPY_ROLE: &str = "arn:aws:iam::000000000000:role/devstack-copy";

/// Returns the keys of the uploading team.
pub fn uploader_keys() -> Credentials {
    Credentials::long_term("AKIADEVSTACKUPLOADER", "devstack/Secret0fTheUploader")
}

/// Returns the temporary keys of the function.
pub fn function_keys() -> Credentials {
    Credentials::temporary(
        "ASIADEVSTACKFUNCTION",
        "devstack/Secret0fTheFunction",
        "devstack-Session-Token-of-the-function",
    )
}

fn role_keys() -> Credentials {
    Credentials::temporary(
        "ASIADEVSTACKCOPYROLE",
        "devstack/Secret0fTheRole",
        "devstack-Session-Token-of-the-role",
    )
}

/// The reason why the stack cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// S3, or a file, failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// PostgreSQL failed.
    #[error("{0}")]
    Postgres(#[from] postgres::Error),
    /// The stand-in failed.
    #[error("{0}")]
    Redshift(#[from] redshift::Error),
    /// A statement failed.
    #[error("a statement was refused: {}", .0.as_db_error().map_or_else(|| .0.to_string(), ToString::to_string))]
    Sql(#[from] tokio_postgres::Error),
}

/// A function that changes options before a server starts.
pub type Change<T> = Arc<dyn Fn(&mut T) + Send + Sync>;

/// The options of a stack.
#[derive(Clone, Default)]
pub struct Options {
    /// S3's port; 0 for any free one.
    pub s3_port: u16,
    /// The stand-in's port; 0 for any free one.
    pub redshift_port: u16,
    /// The URL of another S3, if the stack's own is not used.
    pub s3_endpoint: Option<String>,
    /// A change of the stand-in's options before it starts.
    pub redshift: Option<Change<redshift::Options>>,
    /// A change of S3's options before it starts.
    pub s3: Option<Change<s3::Options>>,
}

/// A running stack with one bucket and one database, whose tables exist and are empty.
pub struct Stack {
    /// The S3 server.
    pub s3: S3,
    /// The Redshift stand-in.
    pub redshift: Redshift,
    /// The database's name.
    pub database: String,
    s3_endpoint: String,
    certificates: tempfile::NamedTempFile,
    // The last field is dropped last, so that the stand-in's sessions end before their server.
    postgres: Arc<Postgres>,
}

impl Stack {
    /// Starts a stack with its own PostgreSQL.
    ///
    /// # Errors
    ///
    /// [`Error`] says which part failed.
    pub async fn start(options: Options) -> Result<Self, Error> {
        Self::start_on(Arc::new(Postgres::start().await?), "analytics", options).await
    }

    /// Starts a stack on a PostgreSQL that others use too, in a separate database.
    ///
    /// # Errors
    ///
    /// [`Error`] says which part failed.
    pub async fn start_on(postgres: Arc<Postgres>, database: &str, options: Options) -> Result<Self, Error> {
        let mut s3_options = s3::Options {
            port: options.s3_port,
            credentials: vec![uploader_keys(), function_keys(), role_keys()],
            ..s3::Options::default()
        };
        if let Some(change) = &options.s3 {
            change(&mut s3_options);
        }
        let s3 = S3::start(s3_options).await?;
        s3.create_bucket(BUCKET);
        let s3_endpoint = options.s3_endpoint.clone().unwrap_or_else(|| s3.endpoint());
        let mut front = redshift::Options::new(postgres.socket_directory(), &s3_endpoint, SUPERUSER_PASSWORD);
        front.port = options.redshift_port;
        front.users.push((LOADER.to_owned(), LOADER_PASSWORD.to_owned()));
        let role = role_keys();
        front.roles.push(Role {
            arn: COPY_ROLE.to_owned(),
            credentials: (role.access_key_id, role.secret_access_key, role.session_token),
        });
        front.default_role = true;
        if let Some(change) = &options.redshift {
            change(&mut front);
        }
        let redshift = Redshift::start(front).await?;
        let certificates = tempfile::Builder::new()
            .prefix("ca-")
            .suffix(".pem")
            // It is removed with the server's directory if this process is killed.
            .tempfile_in(postgres.socket_directory())?;
        fs::write(certificates.path(), redshift.ca_pem())?;
        postgres.create_database(database).await?;
        let stack = Self { s3, redshift, database: database.to_owned(), s3_endpoint, certificates, postgres };
        // This connection bypasses the stand-in, whose login may be of a kind that no driver supports.
        let admin = stack.admin().await?;
        for ddl in [include_str!("../../ddl/tables.sql"), include_str!("../../ddl/grants.sql")] {
            // The stand-in has already created the user, and has its password.
            let plain =
                redshift::postgresql_ddl(&ddl.replace("CREATE USER cmslite_loader PASSWORD DISABLE;", ""))
                    .map_err(io::Error::other)?;
            admin.batch_execute(&plain).await?;
        }
        Ok(stack)
    }

    /// Connects to the database as superuser, bypassing the stand-in, to look at its contents.
    ///
    /// # Errors
    ///
    /// The connection to PostgreSQL fails.
    pub async fn admin(&self) -> Result<Client, Error> {
        Ok(self.postgres.connect(&self.database, "postgres").await?)
    }

    /// Connects through the stand-in, unencrypted.
    ///
    /// # Errors
    ///
    /// The connection to the stand-in fails.
    pub async fn client(&self, user: &str, password: &str) -> Result<Client, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config
            .host("127.0.0.1")
            .port(self.redshift.port())
            .user(user)
            .password(password)
            .dbname(&self.database);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Returns S3's URL.
    pub fn s3_endpoint(&self) -> &str {
        &self.s3_endpoint
    }

    /// Returns the path of the file with the stand-in's certificate authority.
    pub fn certificates(&self) -> PathBuf {
        self.certificates.path().to_owned()
    }

    /// Returns the environment of the function, with its temporary keys.
    pub fn function_environment(&self) -> Vec<(String, String)> {
        self.environment(&function_keys())
    }

    /// Returns the environment of the command or the function with the given keys.
    pub fn environment(&self, keys: &Credentials) -> Vec<(String, String)> {
        let mut environment = vec![
            ("AWS_ENDPOINT_URL", self.s3_endpoint.clone()),
            ("AWS_REGION", "ca-central-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", keys.access_key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY", keys.secret_access_key.clone()),
            ("PGHOST", "localhost".to_owned()),
            ("PGPORT", self.redshift.port().to_string()),
            ("PGDATABASE", self.database.clone()),
            ("PGUSER", LOADER.to_owned()),
            ("pgpass", LOADER_PASSWORD.to_owned()),
            ("PGSSLROOTCERT", self.certificates.path().display().to_string()),
        ];
        environment.extend(keys.session_token.clone().map(|token| ("AWS_SESSION_TOKEN", token)));
        environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
