//! Unwraps events that come through SNS, SQS, both, or the record of a failed invocation.

use std::collections::HashSet;

use aws_lambda_events::sqs::SqsMessage;
use serde_json::Value;

use super::asked::Asked;
use super::refusal::unknown;
use super::{bridge, by_hand, notification};
use crate::error::Error;
use crate::queue::Selection;

/// The maximum depth of texts in texts that are read as an event. EventBridge in SNS in SQS in the record of
/// a failed invocation is three deep.
const MAX_WRAPPINGS: usize = 5;

/// The input of an invocation.
#[derive(Debug)]
pub enum Event {
    /// An event that succeeds or fails as a whole.
    Whole(Asked),
    /// A batch of SQS, in which each message succeeds or fails separately.
    Batch(Vec<Message>),
}

/// A message of SQS.
#[derive(Debug)]
pub struct Message {
    /// The `messageId`, by which the answer names the message. `None` if it has none; Lambda's messages
    /// always have one.
    pub id: Option<String>,
    /// The message group, in which messages keep their order, if the queue is FIFO.
    pub fifo_group: Option<String>,
    /// What the message asks for, or why it is not understood.
    pub asked: Result<Asked, Error>,
}

impl Event {
    /// Reads Lambda's event.
    ///
    /// # Errors
    ///
    /// [`UnknownEvent`](crate::error::Deployment::UnknownEvent) says which forms are accepted. A message of a
    /// batch that has none of them is an error in [`Message::asked`] alone.
    pub fn parse(event: &Value) -> Result<Self, Error> {
        match records(event) {
            Some(records) if records.iter().any(is_sqs) => {
                Ok(Self::Batch(records.iter().map(Message::read).collect()))
            }
            _ => read(event, MAX_WRAPPINGS).map(Self::Whole),
        }
    }
}

impl Message {
    fn read(record: &Value) -> Self {
        // The id comes from the record itself: a message must be named even if everything else in it is
        // wrong.
        let id = record.get("messageId").and_then(Value::as_str).filter(|id| !id.is_empty());
        let (fifo_group, asked) = match sqs_message(record) {
            Ok(message) => (fifo_group(&message), body(&message, record, MAX_WRAPPINGS)),
            Err(error) => (None, Err(error)),
        };
        Self { id: id.map(str::to_owned), fifo_group, asked }
    }
}

/// Returns which messages of a batch, given by their [`Message::fifo_group`], must come again: those that
/// failed, and in a FIFO queue also those after them in their group, which would otherwise be done out of
/// order ("return all failed and unprocessed messages in batchItemFailures. This helps preserve the ordering
/// of messages in your queue": AWS Lambda Developer Guide, "Handling errors for an SQS event source").
pub fn messages_to_retry<'a>(
    fifo_groups: impl IntoIterator<Item = Option<&'a str>>,
    failed: impl Fn(usize) -> bool,
) -> Vec<bool> {
    let mut stopped: HashSet<&str> = HashSet::new();
    let is_again = |(n, group): (usize, Option<&'a str>)| {
        let is_again = failed(n) || group.is_some_and(|group| stopped.contains(group));
        if is_again {
            stopped.extend(group);
        }
        is_again
    };
    fifo_groups.into_iter().enumerate().map(is_again).collect()
}

/// Reads an event, whatever it is wrapped in.
fn read(event: &Value, wrappings: usize) -> Result<Asked, Error> {
    let Some(object) = event.as_object() else { return Err(unknown("it is not a JSON object", event)) };
    if object.get("Event").and_then(Value::as_str) == Some("s3:TestEvent") {
        return Ok(Asked::default());
    }
    if object.contains_key("Records") {
        let records = records(event).ok_or_else(|| unknown("its Records are not a list", event))?;
        let mut asked = Asked::default();
        for record in records {
            asked.extend(read_record(record, wrappings)?);
        }
        return Ok(asked);
    }
    if object.contains_key("detail-type") {
        return bridge::read(event);
    }
    if object.contains_key("dataset") {
        let asked = by_hand::read(event)?;
        let is_wrapped = wrappings < MAX_WRAPPINGS;
        if is_wrapped && asked.by_name.iter().any(|asked| matches!(asked.selection, Selection::Reload(_))) {
            let why = "\"again\" in a message could load twice, since a message may be delivered twice; invoke the function with it directly";
            return Err(unknown(why, event));
        }
        return Ok(asked);
    }
    // SNS in SQS, without raw delivery.
    if object.contains_key("TopicArn") && object.contains_key("Message") {
        return sns(event, event, wrappings);
    }
    // Lambda's record of an invocation that failed for good, sent again (AWS Lambda Developer Guide,
    // "Capturing records of Lambda asynchronous invocations").
    if let (Some(payload), true) = (object.get("requestPayload"), object.contains_key("requestContext")) {
        let left = wrappings.checked_sub(1).ok_or_else(|| too_deep(event))?;
        return read(payload, left);
    }
    Err(unknown("it has neither Records, detail-type nor dataset", event))
}

fn read_record(record: &Value, wrappings: usize) -> Result<Asked, Error> {
    if notification::is_record(record) {
        return notification::read(record);
    }
    if let Some(message) = record.get("Sns") {
        return sns(message, record, wrappings);
    }
    if is_sqs(record) {
        return sqs_message(record).and_then(|message| body(&message, record, wrappings));
    }
    Err(unknown("a record is not from S3, SNS or SQS", record))
}

/// Reads the text of an SNS message (Amazon SNS Developer Guide, "Parsing Amazon SNS message formats").
fn sns(message: &Value, around: &Value, wrappings: usize) -> Result<Asked, Error> {
    let text = |name: &str| message.get(name).and_then(Value::as_str);
    if let Some(other) = text("Type").filter(|kind| *kind != "Notification") {
        return Err(unknown(
            &format!("it is an SNS message of the type {other:?}, which must be confirmed"),
            around,
        ));
    }
    let text = text("Message").ok_or_else(|| unknown("a message of SNS has no Message", around))?;
    within(text, "the Message of SNS", around, wrappings)
}

fn records(event: &Value) -> Option<&Vec<Value>> {
    event.get("Records")?.as_array()
}

fn is_sqs(record: &Value) -> bool {
    (record.get("body").is_some() || record.get("messageId").is_some()) && !notification::is_record(record)
}

fn sqs_message(record: &Value) -> Result<SqsMessage, Error> {
    serde::Deserialize::deserialize(record).map_err(|error: serde_json::Error| {
        unknown(&format!("a message of SQS does not have the expected form: {error}"), record)
    })
}

fn body(message: &SqsMessage, record: &Value, wrappings: usize) -> Result<Asked, Error> {
    let text = message.body.as_deref().ok_or_else(|| unknown("a message of SQS has no body", record))?;
    within(text, "the body of SQS", record, wrappings)
}

/// Returns the group of a message from a FIFO queue, which it recognises by the queue's name. Messages of
/// other queues may have a group too, for fairness, and have no order.
fn fifo_group(message: &SqsMessage) -> Option<String> {
    message.event_source_arn.as_deref()?.strip_suffix(".fifo")?;
    Some(message.attributes.get("MessageGroupId").cloned().unwrap_or_default())
}

/// Reads a text as an event.
fn within(text: &str, what: &str, around: &Value, wrappings: usize) -> Result<Asked, Error> {
    let left = wrappings.checked_sub(1).ok_or_else(|| too_deep(around))?;
    let event: Value = serde_json::from_str(text)
        .map_err(|error| unknown(&format!("{what} is not JSON: {error}"), around))?;
    read(&event, left)
}

fn too_deep(event: &Value) -> Error {
    unknown(&format!("it is wrapped more than {MAX_WRAPPINGS} times"), event)
}
