//! Turns a status into the page's contents.

use chrono::{DateTime, Utc};
use cmslite_core::config::Dataset;

use super::overview::{
    BAD_SHOWN, BadArchive, Counts, DISAGREEMENTS_SHOWN, LedgerState, MadeBy, Overview, WAITING_SHOWN,
    held_by_markers, is_missing, shown_of_passed_over,
};
use crate::status::{Bad, Status};

impl Overview {
    /// Returns the page's contents for a status. The page is made at `made_at`.
    pub fn of_status(dataset: &Dataset, status: &Status, made_at: DateTime<Utc>) -> Self {
        let held = match (&status.tables_hold, &status.ledger_unreadable) {
            (Some(row), _) => Some(row.last_modified),
            (None, None) => None,
            (None, Some(_)) => Some(held_by_markers(status.good.iter().map(|good| good.last_modified))),
        };
        let is_missing = |bad: &Bad| is_missing(dataset.truncate, bad.last_modified, held);
        let newest_bad = status.bad.iter().rev().take(BAD_SHOWN);
        Self {
            dataset: dataset.name.clone(),
            uploads: format!("s3://{}/{}", dataset.bucket, dataset.source_prefix()),
            truncate: dataset.truncate,
            made_at,
            made_by: MadeBy::Command,
            counts: Counts {
                good: status.good.len(),
                bad: status.bad.len(),
                bad_and_missing: status.bad.iter().filter(|bad| is_missing(bad)).count(),
                waiting: status.queue.len(),
                superseded: status.superseded.len(),
                disagreements: status.disagreements.len(),
                passed_over: status.passed_over.len(),
            },
            waiting: status.queue.iter().take(WAITING_SHOWN).cloned().collect(),
            bad: newest_bad
                .map(|bad| BadArchive {
                    key: bad.key.clone(),
                    uploaded: bad.last_modified,
                    is_missing: is_missing(bad),
                    error: bad.error.clone(),
                })
                .collect(),
            ledger: match (&status.ledger_unreadable, status.ledger_rows) {
                (Some(why), _) => LedgerState::Unread(why.message.clone()),
                (None, Some(_)) => LedgerState::Read,
                (None, None) => LedgerState::Absent,
            },
            loads: status.recent_loads.clone(),
            disagreements: Some(status.disagreements.iter().take(DISAGREEMENTS_SHOWN).cloned().collect()),
            passed_over: shown_of_passed_over(status.passed_over.iter().cloned()),
        }
    }
}
