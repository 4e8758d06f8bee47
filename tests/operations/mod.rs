//! The template and docs/runbook.md: its stack is made in moto, its permissions suffice, and every command
//! of the runbook is run as it stands there and does what is said of it.

mod alarms;
mod by_hand;
mod deploying;
mod logins;
mod moving_over;
mod permissions;
mod questions;
mod queued;
mod reader;
mod runbook;
mod task;
