//! Waits for conditions by checking them often, where nothing announces them.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// Waits until a condition is true, checking often. [`crate::lambda::Lambda::until`] waits for what a
/// function does without polling.
///
/// # Errors
///
/// The condition is not true within `within`.
pub async fn eventually(within: Duration, mut holds: impl FnMut() -> bool) -> Result<(), String> {
    let begun = Instant::now();
    let looked = timeout(within, async {
        while !holds() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    looked.await.map_err(|_| format!("the condition was not true within {:?}", begun.elapsed()))
}
