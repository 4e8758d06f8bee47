//! What the function is invoked with, read into what is to be done.

use std::collections::HashSet;

use aws_lambda_events::eventbridge::EventBridgeEvent;
use aws_lambda_events::s3::S3Event;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::Value;

use crate::error::{Deployment, Error};
use crate::queue::Selection;
use crate::text::printable;

/// What an event asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// Objects were created.
    Created(Vec<ObjectRef>),
    /// Work through the whole queue of every dataset.
    SweepAll,
    /// Work through one dataset's queue.
    Dataset {
        /// The dataset's name.
        name: String,
        /// Which archives of it.
        selection: Selection,
    },
    /// S3's test of a new notification configuration: nothing to do.
    Test,
}

/// An object as an event names it, its key decoded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectRef {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ByHand {
    dataset: String,
    key: Option<String>,
    #[serde(default)]
    again: bool,
    #[serde(default)]
    accept_shrink: bool,
}

#[derive(Deserialize)]
struct Detail {
    bucket: DetailBucket,
    object: DetailObject,
}

#[derive(Deserialize)]
struct DetailBucket {
    name: String,
}

#[derive(Deserialize)]
struct DetailObject {
    key: String,
}

impl Trigger {
    /// Reads an event: an S3 notification, S3's test event, `EventBridge`'s `Object Created` or a schedule,
    /// or by hand `{"dataset": NAME, "key": KEY, "again": true}`, of which only the dataset must be there;
    /// `"accept_shrink": true` in the place of `again`.
    ///
    /// # Errors
    ///
    /// [`Deployment::UnknownEvent`] says which forms are accepted.
    pub fn parse(event: Value) -> Result<Self, Error> {
        let Some(object) = event.as_object() else { return Err(unknown("it is no JSON object")) };
        if object.get("Event").and_then(Value::as_str) == Some("s3:TestEvent") {
            return Ok(Self::Test);
        }
        if object.contains_key("Records") {
            return notification(event);
        }
        if object.contains_key("detail-type") {
            return bridge(event);
        }
        if object.contains_key("dataset") {
            let by_hand: ByHand =
                serde_json::from_value(event).map_err(|error| unknown(&error.to_string()))?;
            let selection = match (by_hand.key, by_hand.again, by_hand.accept_shrink) {
                (None, false, false) => Selection::WholeQueue,
                (Some(key), false, false) => Selection::UpTo(HashSet::from([key])),
                (Some(key), true, false) => Selection::Reload(key),
                (Some(key), false, true) => Selection::AcceptShrink(key),
                (_, true, true) => {
                    return Err(unknown("only one of \"again\" and \"accept_shrink\" may be true"));
                }
                (None, true, false) => return Err(unknown("\"again\" needs a \"key\"")),
                (None, false, true) => return Err(unknown("\"accept_shrink\" needs a \"key\"")),
            };
            return Ok(Self::Dataset { name: by_hand.dataset, selection });
        }
        Err(unknown("it has neither Records, detail-type nor dataset"))
    }
}

fn unknown(why: &str) -> Error {
    Error::deployment(
        Deployment::UnknownEvent,
        format!(
            "the event is not understood: {}; accepted are S3 notifications, EventBridge's \"Object Created\" and \
             \"Scheduled Event\", and {{\"dataset\": NAME}} with an optional \"key\" and \"again\" or \"accept_shrink\"",
            printable(why.as_bytes())
        ),
    )
}

fn notification(event: Value) -> Result<Trigger, Error> {
    let event: S3Event =
        serde_json::from_value(event).map_err(|error| unknown(&format!("Records are not S3's: {error}")))?;
    let mut created = Vec::new();
    for record in event.records {
        if !record
            .event_name
            .as_deref()
            .unwrap_or_default()
            .trim_start_matches("s3:")
            .starts_with("ObjectCreated")
        {
            continue;
        }
        let (Some(bucket), Some(key)) = (record.s3.bucket.name, record.s3.object.key) else {
            return Err(unknown("a record names no bucket or no key"));
        };
        created.push(ObjectRef { bucket, key: form_decode(&key)? });
    }
    Ok(Trigger::Created(created))
}

fn bridge(event: Value) -> Result<Trigger, Error> {
    let event: EventBridgeEvent =
        serde_json::from_value(event).map_err(|error| unknown(&error.to_string()))?;
    match (event.source.as_str(), event.detail_type.as_str()) {
        ("aws.s3", "Object Created") => {
            let detail: Detail =
                serde_json::from_value(event.detail).map_err(|error| unknown(&format!("detail: {error}")))?;
            // EventBridge, unlike a notification, delivers the key as it is.
            Ok(Trigger::Created(vec![ObjectRef { bucket: detail.bucket.name, key: detail.object.key }]))
        }
        ("aws.events" | "aws.scheduler", "Scheduled Event") => Ok(Trigger::SweepAll),
        (source, detail_type) => Err(unknown(&format!("it is {detail_type:?} of {source:?}"))),
    }
}

/// A key as S3 writes it into notifications: `+` is a space, the rest percent-encoded UTF-8.
fn form_decode(key: &str) -> Result<String, Error> {
    let spaced = key.replace('+', " ");
    percent_decode_str(&spaced)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| unknown(&format!("the key {key:?} is not UTF-8")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUCKET: &str = "sp-ca-bc-gov-131565110619-12-microservices";

    fn parse(text: &str) -> Result<Trigger, Error> {
        Trigger::parse(serde_json::from_str(text).unwrap())
    }

    fn created(keys: &[&str]) -> Trigger {
        Trigger::Created(
            keys.iter().map(|key| ObjectRef { bucket: BUCKET.to_owned(), key: (*key).to_owned() }).collect(),
        )
    }

    #[test]
    fn every_sample_in_events_is_accepted() {
        let key = "client/cmslite_gdx/cms-analytics-csv_2024-03-01.tgz";
        let name = "cmslite_user_group_metadata".to_owned();
        for (sample, expected) in [
            (include_str!("../../events/s3-object-created.json"), created(&[key])),
            (
                include_str!("../../events/s3-several-records.json"),
                created(&[key, "client/cmslite_gdx/cms-analytics-csv_ü 100%+.tgz"]),
            ),
            (include_str!("../../events/s3-test-event.json"), Trigger::Test),
            (include_str!("../../events/eventbridge-object-created.json"), created(&[key])),
            (include_str!("../../events/eventbridge-schedule.json"), Trigger::SweepAll),
            (
                include_str!("../../events/by-hand-sweep.json"),
                Trigger::Dataset { name: name.clone(), selection: Selection::WholeQueue },
            ),
            (
                include_str!("../../events/by-hand-key.json"),
                Trigger::Dataset {
                    name: name.clone(),
                    selection: Selection::UpTo(HashSet::from([key.to_owned()])),
                },
            ),
            (
                include_str!("../../events/by-hand-again.json"),
                Trigger::Dataset { name: name.clone(), selection: Selection::Reload(key.to_owned()) },
            ),
            (
                include_str!("../../events/by-hand-accept-shrink.json"),
                Trigger::Dataset { name, selection: Selection::AcceptShrink(key.to_owned()) },
            ),
        ] {
            assert_eq!(parse(sample).unwrap(), expected, "{sample}");
        }
    }

    #[test]
    fn a_removal_is_not_a_creation() {
        let event = include_str!("../../events/s3-object-created.json")
            .replace("ObjectCreated:Put", "ObjectRemoved:Delete");
        assert_eq!(parse(&event).unwrap(), created(&[]));
    }

    #[test]
    fn another_form_is_refused_with_the_accepted_ones() {
        for event in [
            "[]",
            "{}",
            "{\"dataset\": 1}",
            "{\"dataset\": \"a\", \"kye\": \"b\"}",
            "{\"dataset\": \"a\", \"again\": true}",
            "{\"dataset\": \"a\", \"accept_shrink\": true}",
            "{\"dataset\": \"a\", \"key\": \"k\", \"again\": true, \"accept_shrink\": true}",
            "{\"Records\": [{\"Sns\": {}}]}",
        ] {
            let error = parse(event).unwrap_err();
            assert!(error.to_string().contains("accepted are S3 notifications"), "{error}");
            assert_eq!(error.error_type(), "Deployment.UnknownEvent");
            assert!(!error.to_string().contains(char::is_control), "{error}");
        }
    }
}
