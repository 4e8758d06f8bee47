//! Defines why the stand-in cannot start.

use std::io;

/// The reason why the stand-in cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port cannot be opened.
    #[error("the stand-in cannot listen: {0}")]
    Io(#[from] io::Error),
    /// The certificate cannot be created.
    #[error("the stand-in's certificate cannot be made: {0}")]
    Tls(String),
    /// PostgreSQL refused something.
    #[error("PostgreSQL refused the stand-in: {0}")]
    Sql(#[from] tokio_postgres::Error),
}
