//! The Redshift stand-in: a front that speaks the PostgreSQL protocol, passes SQL through to a real
//! PostgreSQL, carries out `COPY ... FROM 's3://...'` itself, and refuses what Redshift refuses.
//!
//! What it does rests on AWS's documentation, named where it is used, and where that is silent on reports of
//! users. Where both are silent it has choices of its own, on which nothing is tested:
//!
//! - The statements of one simple query stand each for itself unless BEGIN is among them.
//! - A quoted CSV field that equals the null string is NULL, as an unquoted one is; so is, with ESCAPE, an
//!   escaped one.
//! - The carriage return of a CRLF goes, outside quotes and unless escaped; a missing last newline does no
//!   harm.
//! - A NUL byte in a field is error 1218; misplaced quotes are error 1214; a number too large for its DECIMAL
//!   is 1204.
//! - DATE takes `YYYY-MM-DD` only, and TIMESTAMP no date alone; a seventh digit of a second is an error.
//! - `pg_last_copy_id()` and `pg_last_copy_count()` keep their values when the transaction is rolled back.
//! - NOLOAD asks for the rights that loading asks for, and counts the rows that it would load.
//! - A body from S3 that breaks off fails the COPY at once.
//! - Keys (PRIMARY KEY, UNIQUE, FOREIGN KEY) are dropped from DDL without a trace, and VARCHAR's length is
//!   measured in bytes by COPY, but in characters by INSERT, which is PostgreSQL's.
//!
//! Known limits: a prepared statement keeps the values of `pg_last_copy_id()` and `pg_last_copy_count()` that
//! it was prepared with; the load errors of a COPY that succeeded (MAXERROR) are seen from the next
//! transaction on.

mod copy;
mod errors;
mod faults;
mod log;
mod login;
mod session;
mod sql;
mod tls;
mod upstream;
mod wire;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_native_tls::TlsAcceptor;
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

pub use self::faults::{Action, Fault, Gate};
pub use self::log::Statement;

use self::faults::Faults;
use self::log::Log;

/// How the front asks for a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// MD5 (tag 5).
    Md5,
    /// In clear (tag 3).
    Cleartext,
    /// Redshift's own SHA-256 digest (tag 13), which no PostgreSQL driver answers.
    Sha256Digest,
}

/// Whether the front speaks TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// To whom asks for it: "plain accepted unless `require_SSL`" (Management Guide, connecting-ssl-support).
    Offered,
    /// To everybody.
    Required,
    /// To nobody.
    Absent,
}

/// Which conflicts there are (`c_serial_isolation.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// The default of clusters made before 2024-05-22.
    Serializable,
    /// The default since.
    Snapshot,
}

/// A role that COPY may take.
#[derive(Clone)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// Its keys: id, secret, token.
    pub credentials: (String, String, Option<String>),
}

/// How to start the front.
#[derive(Clone)]
pub struct Options {
    /// The port on 127.0.0.1; 0 for any free one.
    pub port: u16,
    /// The directory of PostgreSQL's socket.
    pub postgres: PathBuf,
    /// S3's URL.
    pub s3_endpoint: String,
    /// The cluster's region.
    pub region: String,
    /// Who may log in, with which password; `postgres` is the superuser.
    pub users: Vec<(String, String)>,
    /// How the password is asked for.
    pub auth: Auth,
    /// Whether TLS is spoken.
    pub tls: Tls,
    /// The names that the certificate is made out for.
    pub names: Vec<String>,
    /// The roles that COPY may take.
    pub roles: Vec<Role>,
    /// Whether the first of them is the default role.
    pub default_role: bool,
    /// Which conflicts there are.
    pub isolation: Isolation,
    /// Whether `SYS_LOAD_ERROR_DETAIL` exists; older clusters have `STL_LOAD_ERRORS` only.
    pub sys_tables: bool,
}

impl Options {
    /// A front before the PostgreSQL of a socket directory, with one superuser.
    pub fn new(
        postgres: impl Into<PathBuf>,
        s3_endpoint: impl Into<String>,
        superuser_password: &str,
    ) -> Self {
        Self {
            port: 0,
            postgres: postgres.into(),
            s3_endpoint: s3_endpoint.into(),
            region: "ca-central-1".to_owned(),
            users: vec![("postgres".to_owned(), superuser_password.to_owned())],
            auth: Auth::Md5,
            tls: Tls::Offered,
            names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
            roles: Vec::new(),
            default_role: false,
            isolation: Isolation::Snapshot,
            sys_tables: true,
        }
    }
}

/// Why the front cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port cannot be had.
    #[error("the stand-in cannot listen: {0}")]
    Io(#[from] io::Error),
    /// The certificate cannot be made.
    #[error("the stand-in's certificate cannot be made: {0}")]
    Tls(String),
    /// PostgreSQL refused something.
    #[error("PostgreSQL refused the stand-in: {0}")]
    Sql(#[from] tokio_postgres::Error),
}

struct Shared {
    options: Options,
    acceptor: TlsAcceptor,
    log: Log,
    faults: Faults,
    sessions: AtomicU64,
    queries: AtomicI64,
    prepared: tokio::sync::Mutex<HashSet<String>>,
    /// Passwords by user.
    passwords: Mutex<HashMap<String, String>>,
}

impl Shared {
    fn postgres_socket(&self) -> PathBuf {
        self.options.postgres.join(".s.PGSQL.5432")
    }

    async fn superuser(&self, database: &str) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.options.postgres).port(5432).user("postgres").dbname(database);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Makes a database pass for one of Redshift's before its first session. A database that is dropped and
    /// made again under the same name needs another front.
    async fn prepare(&self, database: &str) -> Result<(), tokio_postgres::Error> {
        let mut prepared = self.prepared.lock().await;
        if prepared.contains(database) {
            return Ok(());
        }
        errors::prepare(&self.superuser(database).await?, self.options.sys_tables).await?;
        prepared.insert(database.to_owned());
        Ok(())
    }
}

/// A running front. Dropping it ends every session.
pub struct Redshift {
    port: u16,
    ca_pem: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Redshift {
    /// Starts a front.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn start(options: Options) -> Result<Self, Error> {
        let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
        let port = listener.local_addr()?.port();
        let tls::Identity { ca_pem, acceptor } = tls::identity(&options.names)?;
        let passwords = Mutex::new(options.users.iter().cloned().collect());
        let shared = Arc::new(Shared {
            options,
            passwords,
            acceptor,
            log: Log::default(),
            faults: Faults::default(),
            sessions: AtomicU64::new(0),
            queries: AtomicI64::new(0),
            prepared: tokio::sync::Mutex::default(),
        });
        let superuser = shared.superuser("postgres").await?;
        for (user, _) in shared.options.users.iter().filter(|(user, _)| user != "postgres") {
            let name = user.replace('"', "\"\"");
            if let Err(error) = superuser.batch_execute(&format!("CREATE ROLE \"{name}\" LOGIN")).await {
                // Another front of the same PostgreSQL has made it, or is making it at this moment.
                if ![Some(&SqlState::DUPLICATE_OBJECT), Some(&SqlState::UNIQUE_VIOLATION)]
                    .contains(&error.code())
                {
                    return Err(error.into());
                }
            }
        }
        let server = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self { port, ca_pem, shared, server })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate authority to trust.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Gives a user another password, as ALTER USER would.
    pub fn set_password(&self, user: &str, password: &str) {
        let mut passwords = self.shared.passwords.lock().unwrap_or_else(PoisonError::into_inner);
        passwords.insert(user.to_owned(), password.to_owned());
    }

    /// Every statement so far, in the order in which they came.
    pub fn statements(&self) -> Vec<Statement> {
        self.shared.log.all()
    }

    /// Forgets the statements so far.
    pub fn clear_statements(&self) {
        self.shared.log.clear();
    }

    /// Makes statements fail from now on.
    pub fn inject(&self, fault: Fault) {
        self.shared.faults.add(fault);
    }

    /// Lets statements succeed again.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }
}

impl Drop for Redshift {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    // Sessions end with the front, not after it.
    let mut sessions = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while sessions.try_join_next().is_some() {}
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        sessions.spawn(async move {
            if let Err(error) = Box::pin(session::serve(stream, shared)).await {
                tracing::debug!(%error, "a session ended");
            }
        });
    }
}

/// Redshift's DDL in PostgreSQL's words, for a database that is set up past the front.
///
/// # Errors
///
/// What Redshift refuses.
pub fn plain_ddl(ddl: &str) -> Result<String, String> {
    let values = sql::Values { last_copy_id: -1, last_copy_count: 0, isolation: Isolation::Snapshot };
    let statements = sql::split(ddl)
        .into_iter()
        .map(|statement| sql::translate(&statement, &values).map_err(|report| report.message));
    Ok(statements.collect::<Result<Vec<_>, _>>()?.join(";\n"))
}
