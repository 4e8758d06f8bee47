//! The template and docs/operations.md: its stack is made in moto, its permissions suffice, and every command
//! of the runbook is run as it stands there and does what is said of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at what it did not expect"
)]

mod alarms;
mod by_hand;
mod deploying;
mod moving_over;
mod permissions;
mod reader;
mod runbook;
#[path = "../support/mod.rs"]
mod support;
