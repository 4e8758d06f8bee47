//! Reads an invocation's event into what it asks for.
//!
//! docs/reference/events.md shows each form.

// From Lambda's event to what is asked, through any service.
mod wrapping;
// S3's notifications.
mod notification;
// EventBridge: S3's events, and schedules.
mod bridge;
// Events that a person writes.
mod by_hand;
// What an event may ask for.
mod asked;
// The refusal of an event that has none of these forms.
mod refusal;

pub use self::asked::{Asked, DatasetAsked, ObjectRef, PassedOverEvent};
pub use self::wrapping::{Event, Message, messages_to_retry};

#[cfg(test)]
mod tests;
