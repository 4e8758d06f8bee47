//! What a command waits for, told once a minute, so that nobody looks at a silent terminal.

use std::convert::Infallible;
use std::env;
use std::io::{self, Write as _};
use std::time::Duration;

use tokio::time::interval;

use super::progress_bar;
use crate::waits::Waits;

/// How often it is told what is waited for.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// For tests: milliseconds in place of [`TOLD_EVERY`].
const TOLD_EVERY_MS: &str = "CMSLITE_TEST_TOLD_EVERY_MS";

/// How often within [`TOLD_EVERY`] it is looked at.
const LOOKS: u32 = 20;

/// Does `work`, and says on standard error what it waits for, once for each minute of waiting, unless it is to be `quiet`.
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
            // Whoever closed standard error does not want to know.
            let _ = progress_bar::above(|| writeln!(io::stderr(), "{wait}"));
        }
    }
}
