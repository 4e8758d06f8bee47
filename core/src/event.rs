//! Reads what the function is invoked with into what is asked of it.
//!
//! docs/reference/events.md shows each form.

// From what Lambda hands over to what is asked, by whatever way it came.
mod wrapping;
// S3's notifications.
mod notification;
// EventBridge: S3's events, and schedules.
mod bridge;
// What a person writes.
mod by_hand;
// What an event may ask for.
mod asked;
// What is said of an event that is none of these.
mod refusal;

pub use self::asked::{Asked, DatasetAsked, ObjectRef, PassedOverEvent};
pub use self::wrapping::{Event, Message, coming_again};

#[cfg(test)]
mod tests;
