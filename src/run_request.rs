//! Defines what a run is asked for, and how long it may go on.

use std::sync::{Arc, Mutex};

use cmslite_core::config::Dataset;
use cmslite_core::overdue::Effort;
use cmslite_core::progress::Progress;
use cmslite_core::queue::{Object, Selection};

use crate::cancellation::Cancellation;

/// One run over one dataset.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The dataset.
    pub dataset: Arc<Dataset>,
    /// Which archives of its queue it works on.
    pub selection: Selection,
    /// The revisions that an event of S3 tells of. If they are settled, the run has nothing to do. None where the
    /// event does not say enough of each of them, or is none of S3's.
    pub uploads: Vec<Object>,
    /// The invocation's id, kept in the ledger.
    pub request_id: String,
    /// How many archives it works on at the most.
    pub limit: Option<usize>,
    /// The most bytes of an archive that it loads. A larger one is left to the container task, which has no limit of
    /// time, and so is what waits behind it. None where there is no such task, and in the task itself.
    pub left_to_task_above: Option<u64>,
    /// Until when it may go on.
    pub cancellation: Cancellation,
    /// Where it shows how far it has come.
    pub progress: Progress,
    /// The reading that was given up since the time was nearly up, if one was.
    pub given_up: Arc<Mutex<Option<Effort>>>,
}

impl RunRequest {
    /// Whether an archive is loaded even if an earlier invocation has loaded it.
    pub fn is_reload(&self) -> bool {
        matches!(self.selection, Selection::Reload(_))
    }

    /// Whether an archive is loaded however few rows it has.
    pub fn accepts_few_rows(&self) -> bool {
        matches!(self.selection, Selection::AcceptShrink(_))
    }
}
