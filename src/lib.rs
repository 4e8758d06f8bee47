//! Loads CMS Lite user data from archives in S3 into Redshift: once, in order, with nothing lost and everything explained.
//!
//! The data goes one way:
//!
//! ```text
//! event -> queue -> for each archive: unpack -> transform -> stage -> load -> settle -> report
//! ```
//!
//! The modules stand in that order. Those that decide (configuration, queue, transform, SQL text, verdicts) take values
//! and return values; those that reach out (`store`, `stage`, `redshift`) are thin and stand at the edges. `pipeline` is
//! the only one that knows all stages and their order.

pub mod config;
pub mod dates;
pub mod environment;
pub mod error;
pub mod problem;
pub mod secret;
pub mod stop;

pub mod event;
pub mod listings;
pub mod queue;

pub mod records;
pub mod transform;
pub mod unpack;

pub mod stage;
pub mod store;
pub mod stream;

pub mod ledger;
pub mod load;
pub mod password;
pub mod redshift;
pub mod retry;
pub mod sql;

pub mod metrics;
pub mod notify;
pub mod report;
pub mod settle;
pub mod status;

pub mod pipeline;
pub mod rehearsal;

pub mod check;
pub mod command;
pub mod lambda;
pub mod logging;
