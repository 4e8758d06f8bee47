//! Measures the phases of a run, and names them in the log.

use tokio::time::Instant;
use tracing::{Instrument as _, info_span};

use crate::report::PhaseSeconds;

/// A part of a run that is measured, and named in the log.
#[derive(Clone, Copy)]
pub enum Phase {
    /// Waiting for the lease, listing source, good and bad, and checking what other runs did with an archive.
    Queue,
    /// Reading an archive, transforming and staging it.
    Stage,
    /// Working with Redshift: asking the ledger, and loading.
    Load,
    /// Setting markers.
    Settle,
}

impl Phase {
    /// Does `work`, and adds its duration to `seconds`, even if the work is dropped before its end.
    pub async fn of<T>(self, seconds: &mut PhaseSeconds, work: impl Future<Output = T>) -> T {
        let (phase, spent) = match self {
            Self::Queue => ("queue", &mut seconds.queue),
            Self::Stage => ("stage", &mut seconds.stage),
            Self::Load => ("load", &mut seconds.load),
            Self::Settle => ("settle", &mut seconds.settle),
        };
        let _spending = Spending { spent, begun: Instant::now() };
        work.instrument(info_span!("phase", phase)).await
    }
}

/// A duration that is being measured.
struct Spending<'s> {
    spent: &'s mut f64,
    begun: Instant,
}

impl Drop for Spending<'_> {
    fn drop(&mut self) {
        PhaseSeconds::add(self.spent, self.begun.elapsed());
    }
}
