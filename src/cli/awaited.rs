//! Tells once a minute what a command waits for, so that the terminal is not silent.

use std::convert::Infallible;
use std::env;
use std::io::{self, Write as _};
use std::time::Duration;

use tokio::time::interval;

use super::progress_bar;
use crate::waits::Waits;

/// The interval between the messages.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// The variable that replaces [`TOLD_EVERY`] in tests, in milliseconds.
const TOLD_EVERY_MS: &str = "CMSLITE_TEST_TOLD_EVERY_MS";

/// The number of looks at what is waited for within [`TOLD_EVERY`].
const LOOKS: u32 = 20;

/// Does `work`, and says on standard error what it waits for, once for each minute of waiting, unless `quiet`
/// is set.
pub(super) async fn told<T>(waits: &Waits, quiet: bool, work: impl Future<Output = T>) -> T {
    if quiet {
        return work.await;
    }
    let every = env::var(TOLD_EVERY_MS).ok().and_then(|every| every.parse().ok());
    let every = every.map_or(TOLD_EVERY, Duration::from_millis).max(Duration::from_millis(LOOKS.into()));
    tokio::select! {
        done = work => done,
        never = tell(waits, every) => match never {},
    }
}

async fn tell(waits: &Waits, every: Duration) -> Infallible {
    let mut looks = interval(every / LOOKS);
    let mut told = (0, 0);
    loop {
        looks.tick().await;
        let Some(wait) = waits.oldest() else { continue };
        let times = wait.elapsed().as_nanos() / every.as_nanos().max(1);
        let (number, before) = told;
        if times > 0 && (number != wait.number || times > before) {
            told = (wait.number, times);
            // Standard error may be closed.
            let _ = progress_bar::above(|| writeln!(io::stderr(), "{wait}"));
        }
    }
}
