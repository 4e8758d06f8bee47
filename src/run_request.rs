//! What a run is asked for, and how long it may go on.

use std::sync::Arc;

use cmslite_core::config::Dataset;
use cmslite_core::progress::Progress;
use cmslite_core::queue::Selection;

use crate::cancellation::Cancellation;

/// One run over one dataset.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The dataset.
    pub dataset: Arc<Dataset>,
    /// Which archives of its queue it works on.
    pub selection: Selection,
    /// The invocation's id, kept in the ledger.
    pub request_id: String,
    /// How many archives it works on at the most.
    pub limit: Option<usize>,
    /// Until when it may go on.
    pub cancellation: Cancellation,
    /// Where it shows how far it has come.
    pub progress: Progress,
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
