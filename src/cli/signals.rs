//! Handles Ctrl-C and SIGTERM.

use tokio::signal::ctrl_c;
use tokio::signal::unix::{SignalKind, signal};
use tracing::warn;

use crate::cancellation::Cancellation;

/// Handles Ctrl-C and SIGTERM from now on. At the first, the run stops before its next step, or soon drops
/// what it still waits for. At the second, the process ends at once with `status`.
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
