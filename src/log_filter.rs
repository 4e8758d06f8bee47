//! Decides which events are logged: only this program's own.
//!
//! Debug and trace events of libraries may contain statements, headers and signatures.

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// Returns a filter for this program's events at `level` and above.
pub fn own_events(level: Level) -> Targets {
    Targets::new().with_default(LevelFilter::OFF).with_target(env!("CARGO_CRATE_NAME"), level)
}
