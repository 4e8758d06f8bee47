//! Defines why there is no PostgreSQL.

use std::io;
use std::path::PathBuf;

use crate::python;

/// The environment variable with the directory of PostgreSQL binaries to use instead of any other.
pub const BIN_VARIABLE: &str = "CMSLITE_POSTGRES_BIN";

/// The reason why there is no PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine has no PostgreSQL, and none can be fetched.
    #[error(
        "no PostgreSQL: install it (Debian: apt-get install postgresql) or set {BIN_VARIABLE} to its bin directory; fetching one failed too: {0}"
    )]
    NotFound(python::Error),
    /// The directory in the variable has no PostgreSQL.
    #[error("{BIN_VARIABLE}: {} holds no initdb and postgres", .0.display())]
    NotThere(PathBuf),
    /// The server's user may not write to the directory for temporary files.
    #[error(
        "no directory for PostgreSQL: {source}; set TMPDIR to a directory in which {user} may make one, such as /tmp"
    )]
    Directory {
        /// The user of the server.
        user: String,
        /// The output of `mkdir`.
        source: io::Error,
    },
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
