//! Decides which events are logged: this program's own and no others.
//!
//! What the libraries below would say at debug or trace may hold statements, headers and signatures.

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// This program's events at `level` and above.
pub fn own_events(level: Level) -> Targets {
    Targets::new().with_default(LevelFilter::OFF).with_target(env!("CARGO_CRATE_NAME"), level)
}
