//! Reads the records of S3's notifications (Amazon S3 User Guide, "Event message structure" and "Supported
//! event types for SQS, SNS, and Lambda").

use aws_lambda_events::s3::S3Entity;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::asked::{Asked, ObjectRef, PassedOverEvent, upload};
use super::refusal::unknown;
use crate::error::Error;
use crate::key::Key;

/// A record of which only the bucket's name and the object's key are required.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    /// The event's time. A time in another form does not refuse the event: the time only saves requests.
    event_time: Option<Value>,
    s3: S3Entity,
}

/// Checks whether a record has the form of S3's records.
pub(super) fn is_record(record: &Value) -> bool {
    record.get("s3").is_some()
}

/// Reads one record.
pub(super) fn read(record: &Value) -> Result<Asked, Error> {
    if let Some(name) = record.get("eventName").and_then(Value::as_str).filter(|name| !is_arrival(name)) {
        return Ok(passed_over(name, record));
    }
    let Record { event_time, s3 } = Record::deserialize(record).map_err(|error| {
        unknown(&format!("a record of S3 does not have the expected form: {error}"), record)
    })?;
    let (Some(bucket), Some(key)) = (s3.bucket.name, s3.object.key) else {
        return Err(unknown("a record of S3 lacks the bucket or the key", record));
    };
    let time: Option<DateTime<Utc>> = event_time.and_then(|time| serde_json::from_value(time).ok());
    let key = Key::decoded(&key);
    let upload = upload(&key, s3.object.e_tag, s3.object.size, time);
    Ok(Asked { objects: vec![ObjectRef { bucket, key, decoded: None, upload }], ..Asked::default() })
}

/// Checks whether an event of this name reports an object that can be read from now on. In a record the name
/// has no `s3:` prefix, in a notification configuration it has one.
fn is_arrival(name: &str) -> bool {
    let name = name.strip_prefix("s3:").unwrap_or(name);
    name == "ObjectRestore:Completed" || name.split(':').next() == Some("ObjectCreated")
}

fn passed_over(name: &str, record: &Value) -> Asked {
    let text = |pointer| record.pointer(pointer).and_then(Value::as_str);
    let event = PassedOverEvent {
        name: name.to_owned(),
        bucket: text("/s3/bucket/name").map(str::to_owned),
        key: text("/s3/object/key").map(Key::decoded),
    };
    Asked { passed_over: vec![event], ..Asked::default() }
}
