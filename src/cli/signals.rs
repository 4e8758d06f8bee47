//! Handles Ctrl-C and SIGTERM.

use tokio::signal::ctrl_c;
use tokio::signal::unix::{SignalKind, signal};
use tracing::warn;

use crate::cancellation::Cancellation;

/// Stops before the next step at the first Ctrl-C or SIGTERM, or drops what still waits soon after it, and
/// ends at once at the second.
pub(super) fn cancel(cancellation: &Cancellation, status: u8) {
    let requested = cancellation.clone();
    tokio::spawn(async move {
        if interrupted().await.is_ok() {
            requested.request();
            warn!("stopping before the next step, or in two seconds; a second Ctrl-C ends at once");
        }
        if interrupted().await.is_ok() {
            std::process::exit(status.into());
        }
    });
}

async fn interrupted() -> std::io::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = ctrl_c() => pressed,
        _ = terminated.recv() => Ok(()),
    }
}
