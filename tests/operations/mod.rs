//! The template and the documents: the template's stack is made in moto, its permissions suffice, and every command of a
//! document is run as it stands there and does what is said of it.

mod alarms;
mod by_hand;
mod deploying;
mod documents;
mod logins;
mod moving_over;
mod page;
mod permissions;
mod questions;
mod queued;
mod reader;
mod task;
