//! Reads EventBridge's events: S3's and schedules.
//!
//! The source for S3's is the Amazon S3 User Guide, "EventBridge event message structure" and "Using
//! EventBridge", which lists the types.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use serde::Deserialize;
use serde_json::Value;

use super::asked::{Asked, ObjectRef, PassedOverEvent, upload};
use super::refusal::unknown;
use crate::error::Error;
use crate::key::Key;

#[derive(Deserialize)]
struct Detail {
    bucket: Bucket,
    object: Object,
}

#[derive(Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Deserialize)]
struct Object {
    key: Key,
    etag: Option<String>,
    size: Option<i64>,
}

/// Reads an event of EventBridge.
pub(super) fn read(event: &Value) -> Result<Asked, Error> {
    let refuse = |what: &str| unknown(what, event);
    let told: EventBridgeEvent =
        EventBridgeEvent::deserialize(event).map_err(|error| refuse(&error.to_string()))?;
    match (told.source.as_str(), told.detail_type.as_str()) {
        ("aws.s3", "Object Created" | "Object Restore Completed") => {
            let Detail { bucket, object } =
                Detail::deserialize(&told.detail).map_err(|error| refuse(&format!("detail: {error}")))?;
            let Object { key, etag, size } = object;
            let decoded = Some(Key::decoded(&key)).filter(|decoded| *decoded != key);
            // With two keys, it is not known which one the event means.
            let upload = if decoded.is_none() { upload(&key, etag, size, told.time) } else { None };
            let object = ObjectRef { bucket: bucket.name, key, decoded, upload };
            Ok(Asked { objects: vec![object], ..Asked::default() })
        }
        // A CloudTrail event is refused: the rule that matches it was meant to report uploads.
        ("aws.s3", other) if !other.ends_with("via CloudTrail") => {
            let text = |pointer| told.detail.pointer(pointer).and_then(Value::as_str);
            let event = PassedOverEvent {
                name: other.to_owned(),
                bucket: text("/bucket/name").map(str::to_owned),
                key: text("/object/key").map(Key::from),
            };
            Ok(Asked { passed_over: vec![event], ..Asked::default() })
        }
        ("aws.events" | "aws.scheduler", "Scheduled Event") => Ok(Asked { sweep: true, ..Asked::default() }),
        (source, detail_type) => Err(refuse(&format!("it is {detail_type:?} of {source:?}"))),
    }
}
