//! Defines why a COPY stops.

use std::io;

use crate::redshift::wire::Report;

/// The reason why a COPY stops.
pub(super) enum CopyError {
    /// The connection to PostgreSQL has ended.
    Io(io::Error),
    Refused(Report),
}

impl From<io::Error> for CopyError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Report> for CopyError {
    fn from(report: Report) -> Self {
        Self::Refused(report)
    }
}
