//! Judges whether an archive has so few rows that it is refused, or that the operator should look at it.

use cmslite_core::error::Error;
use cmslite_core::row_counts::{EmptiedTable, FewRows, IncomingRows, JudgedRows};
use tracing::warn;

use super::consult::ArchiveLoad;
use crate::redshift::session::Session;
use crate::stage::StagedTable;

impl ArchiveLoad<'_> {
    /// Compares the staged rows with those of the previous load; this load gets the number `sequence`. The
    /// caller must hold the lock, so that no other load comes in between.
    ///
    /// # Errors
    ///
    /// [`Error::BadInput`] if the configuration does not allow so few rows and the run does not accept them;
    /// else Redshift's errors, classified by who must act.
    pub(super) async fn judge_rows(
        &self,
        session: &Session,
        sequence: i64,
        tables: &[StagedTable<'_>],
    ) -> Result<JudgedRows, Error> {
        let dataset = &self.request.dataset;
        let latest = sequence.saturating_sub(1);
        let before = if dataset.truncate && latest > 0 {
            Some(session.table_rows(dataset, latest).await?)
        } else {
            None
        };
        let incoming = tables.iter().map(|staged| IncomingRows {
            table: staged.table,
            member: &staged.member,
            rows: staged.rows,
        });
        let judged = JudgedRows::judge(dataset, before.as_ref(), incoming);
        if !judged.too_few.is_empty() && !self.request.accepts_few_rows() {
            return Err(judged.problems().into());
        }
        if dataset.max_shrink_percent.is_some() && !judged.unknown.is_empty() {
            warn!(
                "loaded without \"max_shrink_percent\": the previous load's row count is not known for {}",
                judged.unknown.join(", ")
            );
        }
        for FewRows { problem, .. } in &judged.too_few {
            warn!("accepted by request: {problem}");
        }
        for EmptiedTable { table, rows_before } in &judged.emptied {
            warn!(
                "{table} is emptied: the archive has no rows for it, and the previous load had {rows_before}"
            );
        }
        Ok(judged)
    }
}
