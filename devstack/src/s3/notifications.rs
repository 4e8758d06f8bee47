//! Sends notifications as S3 does: asynchronously, after the object exists (Amazon S3 User Guide, "Event
//! message structure").

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

use super::object::ObjectSummary;

/// The maximum number of tries for a target that does not answer.
const TRIES: u32 = 5;

/// The characters that a key in a notification leaves unencoded; a space becomes `+`.
const KEY: AsciiSet =
    NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b' ');

/// A rule for notifications: the objects that it covers, and the target.
#[derive(Clone)]
pub struct Notification {
    /// The bucket.
    pub bucket: String,
    /// The prefix of the objects' keys.
    pub prefix: String,
    /// The suffix of the objects' keys.
    pub suffix: String,
    /// The target.
    pub target: Target,
}

/// The target of a notification.
#[derive(Clone)]
pub enum Target {
    /// A function, given by its URL in Lambda's Invoke API.
    Invoke(String),
    /// A channel, for tests.
    Channel(UnboundedSender<Value>),
}

#[derive(Default)]
pub(super) struct Notifier {
    notifications: Mutex<Vec<Notification>>,
    last_sequencer: AtomicI64,
}

impl Notifier {
    pub(super) fn add(&self, notification: Notification) {
        self.notifications.lock().unwrap_or_else(PoisonError::into_inner).push(notification);
    }

    /// Returns a number greater than all earlier ones, whatever the clock shows. The caller holds the lock of
    /// the buckets.
    fn next_sequencer(&self, now: DateTime<Utc>) -> i64 {
        let last = self.last_sequencer.load(Ordering::Relaxed);
        let next = now.timestamp_nanos_opt().unwrap_or_default().max(last + 1);
        self.last_sequencer.store(next, Ordering::Relaxed);
        next
    }

    /// Notifies the matching targets of an object that `how` created: `Put`, `Copy` or
    /// `CompleteMultipartUpload`.
    pub(super) fn created(&self, region: &str, bucket: &str, object: &ObjectSummary, how: &str) {
        let concerned: Vec<Notification> = {
            let all = self.notifications.lock().unwrap_or_else(PoisonError::into_inner);
            let fits = |n: &&Notification| {
                n.bucket == bucket && object.key.starts_with(&n.prefix) && object.key.ends_with(&n.suffix)
            };
            all.iter().filter(fits).cloned().collect()
        };
        let now = Utc::now();
        let sequencer = self.next_sequencer(now);
        for notification in concerned {
            let event = event(region, bucket, object, how, (now, sequencer));
            match notification.target {
                Target::Channel(channel) => drop(channel.send(event)),
                Target::Invoke(url) => drop(tokio::spawn(invoke(url, event))),
            }
        }
    }
}

fn event(
    region: &str,
    bucket: &str,
    object: &ObjectSummary,
    how: &str,
    (now, sequencer): (DateTime<Utc>, i64),
) -> Value {
    json!({"Records": [{
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": region,
        "eventTime": now.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        "eventName": format!("ObjectCreated:{how}"),
        "userIdentity": {"principalId": "AWS:AIDADEVSTACK"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": "D3VSTACK00000000", "x-amz-id-2": "devstack"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "devstack",
            "bucket": {"name": bucket, "ownerIdentity": {"principalId": "A1DEVSTACK"}, "arn": format!("arn:aws:s3:::{bucket}")},
            "object": {
                "key": form_encode(&object.key),
                "size": object.size,
                "eTag": object.etag,
                "sequencer": format!("{sequencer:018X}"),
            },
        },
    }]})
}

fn form_encode(key: &str) -> String {
    utf8_percent_encode(key, &KEY).to_string().replace(' ', "+")
}

async fn invoke(url: String, event: Value) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let mut why = String::new();
    for attempt in 0..TRIES {
        tokio::time::sleep(Duration::from_millis(250) * (2_u32.pow(attempt) - 1)).await;
        let request = http::Request::post(&url)
            .header("content-type", "application/json")
            .header("x-amz-invocation-type", "Event")
            .body(Full::new(Bytes::from(event.to_string())));
        let request = match request {
            Ok(request) => request,
            Err(error) => return tracing::warn!(url, %error, "not an invoke URL"),
        };
        match client.request(request).await {
            // A target that runs the function at once may report the function's own failure. The notification
            // was delivered anyway.
            Ok(_) => return,
            Err(error) => why = error.to_string(),
        }
    }
    tracing::warn!(url, error = why, "a notification could not be delivered");
}
