//! What the function is invoked with, read into what is to be done.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use aws_lambda_events::eventbridge::EventBridgeEvent;
use aws_lambda_events::s3::S3Event;
use serde::Deserialize;
use serde_json::Value;

use crate::error::{Deployment, Error};
use crate::key::Key;
use crate::queue::{Object, Selection};
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRef {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: Key,
    /// The revision that the event tells of; none where it does not say all of it.
    ///
    /// Its time is the event's, in whole seconds: "the time when Amazon S3 finished processing the request" (Amazon
    /// S3 User Guide, "Event message structure"), never before the object's own.
    pub upload: Option<Object>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ByHand {
    dataset: String,
    key: Option<Key>,
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
    key: Key,
    etag: Option<String>,
    size: Option<i64>,
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
        let key = Key::decoded(&key);
        let upload = upload(&key, record.s3.object.e_tag, record.s3.object.size, Some(record.event_time));
        created.push(ObjectRef { bucket, key, upload });
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
            let DetailObject { key, etag, size } = detail.object;
            let upload = upload(&key, etag, size, event.time);
            Ok(Trigger::Created(vec![ObjectRef { bucket: detail.bucket.name, key, upload }]))
        }
        ("aws.events" | "aws.scheduler", "Scheduled Event") => Ok(Trigger::SweepAll),
        (source, detail_type) => Err(unknown(&format!("it is {detail_type:?} of {source:?}"))),
    }
}

/// What an event says of a revision, if that is enough to find its marker.
fn upload(key: &Key, etag: Option<String>, size: Option<i64>, time: Option<DateTime<Utc>>) -> Option<Object> {
    let (etag, size) = (etag.filter(|etag| !etag.is_empty())?, u64::try_from(size?).ok()?);
    // A time that the event does not give may come as 1970.
    let seconds = time?.timestamp();
    let last_modified = DateTime::from_timestamp(seconds, 0).filter(|_| seconds > 0)?;
    Some(Object { key: key.clone(), etag, last_modified, size })
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
            keys.iter()
                .map(|key| ObjectRef { bucket: BUCKET.to_owned(), key: (*key).into(), upload: None })
                .collect(),
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
                    selection: Selection::UpTo(HashSet::from([key.into()])),
                },
            ),
            (
                include_str!("../../events/by-hand-again.json"),
                Trigger::Dataset { name: name.clone(), selection: Selection::Reload(key.into()) },
            ),
            (
                include_str!("../../events/by-hand-accept-shrink.json"),
                Trigger::Dataset { name, selection: Selection::AcceptShrink(key.into()) },
            ),
        ] {
            assert_eq!(without_uploads(parse(sample).unwrap()), expected, "{sample}");
        }
    }

    fn without_uploads(mut trigger: Trigger) -> Trigger {
        if let Trigger::Created(objects) = &mut trigger {
            for object in objects {
                object.upload = None;
            }
        }
        trigger
    }

    #[test]
    fn an_event_tells_its_revision_if_it_says_all_of_it() {
        let upload = |event: &str| {
            let Trigger::Created(objects) = parse(event).unwrap() else { panic!("{event}") };
            objects[0].upload.clone()
        };
        for event in [
            include_str!("../../events/s3-object-created.json"),
            include_str!("../../events/eventbridge-object-created.json"),
        ] {
            let expected = Object {
                key: "client/cmslite_gdx/cms-analytics-csv_2024-03-01.tgz".into(),
                etag: "d41d8cd98f00b204e9800998ecf8427e".to_owned(),
                last_modified: "2024-03-01T17:15:42Z".parse().unwrap(),
                size: 20480,
            };
            assert_eq!(upload(event), Some(expected));
            for (known, other) in [
                ("\"size\": 20480", "\"x\": 1"),
                ("\"size\": 20480", "\"size\": -1"),
                ("\"eTag\"", "\"x\""),
                ("\"etag\"", "\"x\""),
            ] {
                let incomplete = event.replace(known, other);
                assert_eq!(upload(&incomplete).is_none(), incomplete != event, "{other}");
            }
        }
        let undated =
            include_str!("../../events/eventbridge-object-created.json").replace("\"time\"", "\"x\"");
        assert_eq!(upload(&undated), None);
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
    /// It is passed over by its name: an event that is refused would come again, and end in the dead-letter queue.
    #[test]
    fn an_event_whose_key_is_no_text_is_understood() {
        let event =
            include_str!("../../events/s3-object-created.json").replace("cms-analytics", "a%FF%ED%A0%80");
        let Trigger::Created(objects) = parse(&event).unwrap() else { panic!("{event}") };
        assert!(objects[0].key.starts_with("client/cmslite_gdx/a\u{fffd}"), "{:?}", objects[0].key);
    }
}
