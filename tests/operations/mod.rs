//! Tests the template and the documents: moto creates the template's stack, its permissions are enough, and
//! every command in a document is run as it is printed and does what the document says.

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
