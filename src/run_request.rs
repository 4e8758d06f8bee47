//! Defines the request for a run, and the run's limits.

use std::sync::{Arc, Mutex};

use cmslite_core::config::Dataset;
use cmslite_core::overdue::Effort;
use cmslite_core::progress::Progress;
use cmslite_core::queue::{Object, Selection};

use crate::cancellation::Cancellation;

/// A request for one run over one dataset.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The dataset.
    pub dataset: Arc<Dataset>,
    /// The archives of the queue that the run works on.
    pub selection: Selection,
    /// The revisions that an event of S3 names. If they are settled, the run has nothing to do. Empty if the
    /// event does not describe each of them completely, or is not from S3.
    pub uploads: Vec<Object>,
    /// The invocation's id, which is stored in the ledger.
    pub request_id: String,
    /// The maximum number of archives that the run works on.
    pub limit: Option<usize>,
    /// The maximum number of bytes of an archive that the run loads. A larger one is left to the container
    /// task, which has no time limit, and so are the archives after it. `None` if there is no such task, and
    /// in the task itself.
    pub left_to_task_above: Option<u64>,
    /// The time limit and the cancellation.
    pub cancellation: Cancellation,
    /// The progress that the run reports.
    pub progress: Progress,
    /// The reading that was given up because the time was nearly used up, if there was one.
    pub given_up: Arc<Mutex<Option<Effort>>>,
}

impl RunRequest {
    /// Checks whether the run loads an archive even if an earlier invocation has loaded it.
    pub fn is_reload(&self) -> bool {
        matches!(self.selection, Selection::Reload(_))
    }

    /// Checks whether the run loads an archive however few rows it has.
    pub fn accepts_few_rows(&self) -> bool {
        matches!(self.selection, Selection::AcceptShrink(_))
    }
}
