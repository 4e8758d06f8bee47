//! Finds everything that Redshift refuses in an archive, in the table that failed and in the tables not yet
//! tried, so that an uploader corrects all of it at once.

use std::time::Duration;

use cmslite_core::error::{Error, Retryable};
use cmslite_core::problem::{Problems, Quoting, REPORTED_PROBLEMS};
use cmslite_core::text::printable;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, warn};

use super::consult::ArchiveLoad;
use super::refused_rows::{Refused, refused_rows};
use crate::cancellation::ARCHIVE_RESERVE;
use crate::clients::Clients;
use crate::redshift::session::Session;
use crate::redshift::statement::{Authorization, Copy, Statement};
use crate::redshift::{RefusedRow, RefusedRows, StatementError};
use crate::stage::StagedTable;

/// The number of refused rows after which COPY stops: far more than are reported, so that those reported are
/// the first of their file even if Redshift reads it in several places at once.
const MAX_ERROR: u32 = 1_000;

/// The time limit for reading back the texts of one staged file: the texts are a convenience.
const READ_BACK_WITHIN: Duration = Duration::from_secs(30);

impl ArchiveLoad<'_> {
    /// Returns what Redshift refuses in the first of `tables`, whose COPY failed, and in those after it,
    /// which were not tried: [`Error::BadInput`], or another error if Redshift does not show which rows it
    /// refused.
    ///
    /// Call it outside the transaction. Once it is known that rows were refused, no failure here changes
    /// that: the result then says that there may be more.
    pub(super) async fn refusals(
        &self,
        clients: &Clients,
        session: &Session,
        authorization: &Authorization,
        tables: &[StagedTable<'_>],
        fault: Error,
    ) -> Error {
        let Some(first) = tables.first() else { return fault };
        let mut refused = match refused_rows(session, first, fault).await {
            Ok(rows) => vec![Refused::new(first, rows)],
            Err(error) => return error,
        };
        let until = self.settling_begins();
        let mut problems = Problems::default();
        for (at, staged) in tables.iter().enumerate() {
            if refused.iter().map(Refused::count).sum::<usize>() >= REPORTED_PROBLEMS {
                break;
            }
            match within(until, self.ask(session, staged, authorization, &clients.region)).await {
                Ok(rows) => match refused.last_mut().filter(|_| at == 0) {
                    Some(first) => first.merge(rows),
                    None => refused.push(Refused::new(staged, rows)),
                },
                Err(error) => {
                    warn!(
                        error_type = error.error_type(),
                        "cannot find all rows that Redshift refuses: {}",
                        error.chain()
                    );
                    problems.set_incomplete(unasked(tables.get(at..).unwrap_or_default(), &error));
                    break;
                }
            }
        }
        let mut left = REPORTED_PROBLEMS;
        for refused in &mut refused {
            left -= refused.cut_to(left);
            let limit = Instant::now() + READ_BACK_WITHIN;
            let limit = until.map_or(limit, |until| until.min(limit));
            if let Err(error) = within(Some(limit), refused.read_back(&clients.s3)).await {
                debug!(error = %error.chain(), "cannot read the texts that Redshift refused");
            }
            for problem in refused.problems(self.request.dataset.null_as.as_deref()) {
                problems.push(problem);
            }
        }
        problems.decide(self.request.dataset.quoting);
        problems.into()
    }

    /// Returns what Redshift refuses in a table's staged file.
    async fn ask(
        &self,
        session: &Session,
        staged: &StagedTable<'_>,
        authorization: &Authorization,
        region: &str,
    ) -> Result<Vec<RefusedRow>, Error> {
        let step = || {
            format!("Redshift was not asked which rows it refuses in {}", printable(staged.member.as_bytes()))
        };
        self.leave(session, ARCHIVE_RESERVE, step).await?;
        let copy = copy_of(staged, authorization, region, self.request.dataset.quoting);
        let refused = match session.run(&Statement::CopyNoLoad { copy, max_error: MAX_ERROR }).await {
            Ok(_) => None,
            Err(StatementError::RowsRefused(fault)) => Some(fault),
            Err(error) => return Err(error.into()),
        };
        match (session.refused_rows(&staged.files()).await?, refused) {
            (RefusedRows::Rows(rows), _) => Ok(rows),
            (RefusedRows::Unknown { .. }, None) => Ok(Vec::new()),
            (RefusedRows::Unknown { .. }, Some(fault)) => Err(fault.into()),
        }
    }

    /// Returns the time after which nothing more may be looked for, so that the archive is settled in time. A
    /// bad archive that is not settled would be found bad once more.
    fn settling_begins(&self) -> Option<Instant> {
        let left = self.request.cancellation.time_left()?;
        Some(Instant::now() + left.saturating_sub(ARCHIVE_RESERVE))
    }
}

/// Returns the COPY of a table's staged file.
pub(super) fn copy_of<'c>(
    staged: &'c StagedTable<'c>,
    authorization: &'c Authorization,
    region: &'c str,
    quoting: Quoting,
) -> Copy<'c> {
    Copy {
        table: &staged.table.name,
        columns: staged.table.loaded_columns().collect(),
        manifest: &staged.manifest,
        authorization,
        region: Some(region),
        staging: staged.keys.staging(),
        quoting,
    }
}

/// Returns the result of `work`, if it finishes in time.
async fn within<T>(until: Option<Instant>, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match until {
        None => work.await,
        Some(until) => timeout_at(until, work).await.unwrap_or_else(|_| {
            Err(Error::retryable(Retryable::DeadlineNear, "there was no answer within the remaining time"))
        }),
    }
}

/// Returns why there may be more problems, for the uploader and the operator.
fn unasked(tables: &[StagedTable<'_>], error: &Error) -> String {
    let members: Vec<String> = tables.iter().map(|table| printable(table.member.as_bytes())).collect();
    format!(
        "Redshift could not be asked for all rows that it refuses in {} ({})",
        members.join(", "),
        error.error_type()
    )
}
