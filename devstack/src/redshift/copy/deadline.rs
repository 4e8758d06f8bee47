//! Enforces the session's `statement_timeout`.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::error::CopyError;
use crate::redshift::upstream::Upstream;
use crate::redshift::wire::Report;

/// The time when the session's `statement_timeout` is over. PostgreSQL enforces the limit for its own work;
/// this is for the time spent waiting for S3.
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    pub(super) async fn of(upstream: &mut Upstream) -> Result<Self, CopyError> {
        let begun = Instant::now();
        let rows = upstream
            .ask("SELECT setting FROM pg_catalog.pg_settings WHERE name = 'statement_timeout'")
            .await??;
        let setting = rows.into_iter().flatten().next().flatten();
        let milliseconds =
            setting.and_then(|setting| setting.parse().ok()).filter(|milliseconds| *milliseconds > 0);
        Ok(Self(milliseconds.map(|milliseconds| begun + Duration::from_millis(milliseconds))))
    }

    pub(super) async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, Report> {
        match self.0 {
            None => Ok(work.await),
            // The session replaces the text with Redshift's, as for PostgreSQL's own errors of this SQLSTATE.
            Some(deadline) => tokio::time::timeout_at(deadline, work)
                .await
                .map_err(|_| Report::error("57014", "statement timeout")),
        }
    }
}
