//! Words the refusal of an event that has none of the accepted forms.

use serde_json::Value;

use crate::error::{Deployment, Error};
use crate::text::{printable, visible_json};

/// The maximum number of an event's keys in a refusal.
const QUOTED_KEYS: usize = 8;

/// The accepted forms.
const ACCEPTED: &str = "the accepted forms are S3 notifications, EventBridge's \"Object Created\" and \"Object Restore Completed\", each of them \
                        directly, through SNS, through SQS or through both; EventBridge's \"Scheduled Event\"; and {\"dataset\": NAME} with an \
                        optional \"key\" and \"again\" or \"accept_shrink\"";

/// Returns the error that refuses an event. `what` says what is wrong, and the keys of `event` are quoted.
pub(super) fn unknown(what: &str, event: &Value) -> Error {
    let keys = match event {
        Value::Object(members) => keys(members),
        _ => String::new(),
    };
    let what = printable(what.as_bytes());
    Error::deployment(
        Deployment::UnknownEvent,
        format!("the event is not understood: {what}{keys}; {ACCEPTED}; docs/reference/events.md shows each"),
    )
}

/// Returns the keys of an object as JSON. They are untrusted text, so everything in them is escaped.
fn keys(members: &serde_json::Map<String, Value>) -> String {
    if members.is_empty() {
        return " (it is empty)".to_owned();
    }
    let quoted: Vec<String> = members.keys().take(QUOTED_KEYS).map(|key| quoted(key)).collect();
    let others = match members.len() - quoted.len() {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    format!(" (its keys are {}{others})", quoted.join(", "))
}

/// Returns a key as JSON. It is cut before it is quoted, so that the quotes stay.
fn quoted(key: &str) -> String {
    let start: String = key.chars().take(40).collect();
    let cut = if start.len() < key.len() { "…" } else { "" };
    let json = serde_json::to_string(&start).unwrap_or_default();
    format!("{}{cut}", visible_json(&json))
}
