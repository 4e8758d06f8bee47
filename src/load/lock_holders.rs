//! Finds which session holds the lock that a load has waited for.

use std::time::Duration;

use cmslite_core::config::TableName;
use cmslite_core::error::{Error, Fault};
use cmslite_core::text::seconds;
use tokio::time::timeout;
use tracing::debug;

use super::consult::ArchiveLoad;
use crate::cancellation::REPORT_RESERVE;
use crate::redshift::statement::Statement;
use crate::redshift::{Redshift, StatementError, timestamp};

/// The time limit for asking which session holds a lock: the answer is a convenience, and the run has failed
/// already.
const ASK_WITHIN: Duration = Duration::from_secs(3);

/// The number of sessions that are named.
const NAMED: usize = 5;

impl ArchiveLoad<'_> {
    /// Adds to the error of a statement that was stopped at its limit the sessions that hold a lock on its
    /// table, as far as the user sees them, and the query that shows all of them.
    ///
    /// It asks in a separate session, after the other was rolled back.
    pub(super) async fn name_lock_holders(
        &self,
        redshift: &Redshift,
        table: &TableName,
        stopped: Error,
    ) -> Error {
        let Error::Retryable(fault) = stopped else { return stopped };
        let query = Statement::LockHolders(table);
        let left = self.request.cancellation.time_left();
        let within = left.map_or(ASK_WITHIN, |left| left.saturating_sub(REPORT_RESERVE).min(ASK_WITHIN));
        let holders = match timeout(within, self.lock_holders(redshift, &query)).await {
            Ok(Ok(holders)) => holders,
            Ok(Err(error)) => {
                debug!(error = %Error::from(error).chain(), "cannot find out which sessions hold a lock");
                Vec::new()
            }
            Err(_) => Vec::new(),
        };
        let who = if holders.is_empty() {
            format!("a superuser can see which other sessions hold a lock on {table}")
        } else {
            format!(
                "a lock on {table} is held by {}; a superuser can see all sessions that hold one",
                holders.join(", ")
            )
        };
        let message = format!(
            "{}; {who} with {query}, and can end a session with SELECT pg_terminate_backend(PID)",
            fault.message
        );
        Fault::new(fault.kind, message).into()
    }

    async fn lock_holders(
        &self,
        redshift: &Redshift,
        query: &Statement<'_>,
    ) -> Result<Vec<String>, StatementError> {
        let session = redshift.connect(&self.request.cancellation).await.map_err(StatementError::Other)?;
        let rows = session.run(query).await;
        session.close().await;
        Ok(rows?.into_iter().filter_map(holder).take(NAMED).collect())
    }
}

fn holder(row: Vec<Option<String>>) -> Option<String> {
    let mut cells = row.into_iter();
    let mut next = || cells.next().flatten();
    let (pid, user, since, mode) = (next()?, next()?, next()?, next()?);
    let since = timestamp(&since).map_or(since, seconds);
    Some(format!("session {pid} of user {user} since {since} ({mode})"))
}
