//! docs/operations.md, followed: every command in it is run as it stands there, and does what is said of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at what it did not expect")]

mod alarms;
mod by_hand;
mod deploying;
mod moving_over;
mod reader;
mod runbook;
#[path = "../support/mod.rs"]
mod support;
