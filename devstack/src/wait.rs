//! Waits for conditions that nobody announces.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// Waits until a condition holds, looking often. What a function does is told without looking:
/// [`crate::lambda::Lambda::until`].
///
/// # Errors
///
/// When it does not within `within`.
pub async fn eventually(within: Duration, mut holds: impl FnMut() -> bool) -> Result<(), String> {
    let begun = Instant::now();
    let looked = timeout(within, async {
        while !holds() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    looked.await.map_err(|_| format!("it did not come to pass within {:?}", begun.elapsed()))
}
