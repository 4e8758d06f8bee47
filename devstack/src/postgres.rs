//! Runs a private PostgreSQL: found on the machine or fetched, started in a temporary directory, and removed
//! with its owner.

// A file uses only modules listed below its own.

/// PostgreSQL's programs, found or fetched.
mod binaries;

/// The user of the server.
mod user;

/// The reason why there is no PostgreSQL.
mod error;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;
use tokio_postgres::{Client, NoTls};

pub use self::error::{BIN_VARIABLE, Error};
use self::user::User;
use crate::guard;

/// The server's log line once it accepts connections.
const READY: &str = "database system is ready to accept connections";

/// The settings of a server without durability, which a test or a demo does not need. The level `log` is
/// above that of failed statements, and is the level of [`READY`].
const SETTINGS: [&str; 9] = [
    "listen_addresses=",
    "unix_socket_permissions=0777",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "shared_buffers=64MB",
    "max_connections=200",
    "max_wal_size=4GB",
    "log_min_messages=log",
];

/// Returns the directory of PostgreSQL's programs, which is fetched if the machine has none.
///
/// # Errors
///
/// [`Error::NotFound`] says what to install; [`Error::NotThere`] which variable is wrong.
pub fn find_binaries() -> Result<PathBuf, Error> {
    match binaries::on_the_machine()? {
        Some(bin) => Ok(bin),
        None => binaries::fetched(),
    }
}

/// A running server, reachable only through a socket in a private directory. Dropping it stops it and removes
/// its directory; so does the end of this process, in any way.
pub struct Postgres {
    directory: guard::Directory,
    bin: PathBuf,
}

impl Postgres {
    /// Starts a server from the machine's own binaries, or else from the fetched package.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] says what to install; [`Error::NotThere`] which variable is wrong;
    /// [`Error::Directory`] where the server's user may not write.
    pub async fn start() -> Result<Self, Error> {
        Self::start_with(find_binaries).await
    }

    /// Starts a server from the fetched package, even if the machine has one.
    ///
    /// # Errors
    ///
    /// Those of [`Postgres::start`].
    pub async fn start_fetched() -> Result<Self, Error> {
        Self::start_with(binaries::fetched).await
    }

    async fn start_with(find: fn() -> Result<PathBuf, Error>) -> Result<Self, Error> {
        let started = spawn_blocking(move || Self::start_from(find()?));
        started.await.map_err(|error| Error::Failed(error.to_string()))?
    }

    fn start_from(bin: PathBuf) -> Result<Self, Error> {
        let user = User::find()?;
        let mut directory = guard::Directory::make_as("pg-", user.ids)
            .map_err(|source| Error::Directory { user: user.name, source })?;
        let data = directory.path().join("data");
        let socket = directory.path().to_owned();
        let initdb = bin.join("initdb");
        let mut command = vec![initdb.as_os_str()];
        command.extend(
            ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--pgdata"]
                .map(OsStr::new),
        );
        command.push(data.as_os_str());
        let failed = |error| Error::Failed(format!("PostgreSQL did not start: {error}"));
        directory.run(&command).map_err(failed)?;
        let postgres = bin.join("postgres");
        let mut command = vec![postgres.as_os_str(), OsStr::new("-D"), data.as_os_str()];
        command.extend([OsStr::new("-k"), socket.as_os_str(), OsStr::new("-p"), OsStr::new("5432")]);
        command.extend(SETTINGS.iter().flat_map(|setting| [OsStr::new("-c"), OsStr::new(setting)]));
        directory.start(&command, |line| line.contains(READY)).map_err(failed)?;
        Ok(Self { directory, bin })
    }

    /// Returns the directory of the server's socket. Files in it are removed with it.
    pub fn socket_directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the directory of the server's binaries; the fetched package has `psql` too.
    pub fn bin_directory(&self) -> &Path {
        &self.bin
    }

    /// Creates an empty database.
    ///
    /// # Errors
    ///
    /// The server refuses the connection or the statement.
    pub async fn create_database(&self, name: &str) -> Result<(), Error> {
        let client = self.connect("postgres", "postgres").await?;
        client.batch_execute(&format!("CREATE DATABASE \"{}\"", name.replace('"', "\"\""))).await?;
        Ok(())
    }

    /// Connects as a user.
    ///
    /// # Errors
    ///
    /// The server refuses the connection.
    pub async fn connect(&self, database: &str, user: &str) -> Result<Client, Error> {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.directory.path()).port(5432).user(user).dbname(database);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}
