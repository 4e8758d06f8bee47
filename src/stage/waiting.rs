//! Counts the time that a reading spends waiting for S3.

use cmslite_core::overdue::STALL;
use cmslite_core::progress::Progress;
use tokio::time::Instant;

/// Returns the result of `wait`, and counts the time that it takes. It may block: the threads that unpack and
/// transform wait here for S3.
pub fn waiting<T>(progress: &Progress, wait: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let outcome = wait();
    progress.waited(begun.elapsed(), STALL);
    outcome
}
