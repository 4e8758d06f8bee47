//! Loads CMS Lite user data from archives in S3 into Redshift: once, in order, with nothing lost and
//! everything explained.
//!
//! The data goes one way:
//!
//! ```text
//! event -> queue -> for each archive: unpack -> transform -> stage -> load -> settle -> report
//! ```
//!
//! The modules stand in that order. Those that decide (configuration, queue, transform, SQL text, verdicts)
//! take values and return values; those that reach out (`store`, `stage`, `redshift`) are thin and stand at
//! the edges. `pipeline` is the only one that knows all stages and their order.

pub mod config;
pub mod dates;
pub mod environment;
pub mod error;
pub mod problem;
pub mod progress;
pub mod secret;
#[cfg(feature = "service")]
pub mod stop;

pub mod event;
#[cfg(feature = "service")]
pub mod listings;
pub mod queue;

pub mod members;
pub mod records;
pub mod transform;
pub mod unpack;

#[cfg(feature = "service")]
pub mod stage;
#[cfg(feature = "service")]
pub mod store;
#[cfg(feature = "service")]
pub mod stream;

#[cfg(feature = "service")]
pub mod ledger;
#[cfg(feature = "service")]
pub mod load;
#[cfg(feature = "service")]
pub mod password;
#[cfg(feature = "service")]
pub mod redshift;
#[cfg(feature = "service")]
pub mod retry;
#[cfg(feature = "service")]
pub mod sql;

#[cfg(feature = "service")]
pub mod metrics;
#[cfg(feature = "service")]
pub mod notify;
#[cfg(feature = "service")]
pub mod report;
#[cfg(feature = "service")]
pub mod settle;
#[cfg(feature = "service")]
pub mod status;

#[cfg(feature = "service")]
pub mod pipeline;
#[cfg(feature = "service")]
pub mod rehearsal;

#[cfg(feature = "service")]
pub mod check;
#[cfg(feature = "service")]
pub mod command;
#[cfg(feature = "service")]
pub mod display;
#[cfg(feature = "service")]
pub mod lambda;
#[cfg(feature = "service")]
pub mod logging;
