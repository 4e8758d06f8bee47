//! Makes the answer of an invocation.

use std::collections::BTreeMap;

use aws_lambda_events::sqs::SqsBatchResponse;
use cmslite_core::error::Error;
use cmslite_core::key::Key;
use cmslite_core::text::{start_of, visible_json};
use lambda_runtime::Diagnostic;
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::report::{Detail, Ends, FORMAT_VERSION, Report, omitted};

/// The maximum number of bytes of a failure's message. Escaped, a message is less than six times as long.
const MESSAGE_BYTES: usize = 16_000;

/// The answer of an invocation.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Answer {
    /// An answer to the caller, or to the place where Lambda stores it.
    Done(Done),
    /// An answer to Lambda itself, for SQS: the messages that are delivered again. All other messages of the
    /// batch are deleted.
    Batch(SqsBatchResponse),
}

impl Answer {
    /// Returns the answer with which these messages are delivered again.
    pub(super) fn again(message_ids: Vec<String>) -> Self {
        let mut response = SqsBatchResponse::default();
        response.set_failures(message_ids);
        Self::Batch(response)
    }
}

/// The work that was done. Its lists are cut in JSON so that it is shorter than
/// [`MAX_BYTES`](crate::report::MAX_BYTES); their lengths are beside them.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// A report for each dataset that was worked on.
    pub(super) reports: Vec<Report>,
    /// The objects that belong to no dataset, are not archives, or are named by an event that asks for
    /// nothing.
    pub(super) ignored: Vec<Key>,
}

#[derive(Serialize)]
struct DoneJson<'a, R> {
    version: u32,
    reports: Vec<R>,
    ignored: Ends<'a, Key>,
    omitted: BTreeMap<&'static str, usize>,
}

impl Done {
    fn json(&self, detail: Detail) -> impl Serialize {
        let ignored = Ends::of(&self.ignored, detail.ends);
        DoneJson {
            version: FORMAT_VERSION,
            reports: self.reports.iter().map(|report| report.json(detail)).collect(),
            omitted: omitted([("ignored", ignored.omitted)]),
            ignored,
        }
    }
}

impl Serialize for Done {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = |detail| {
            visible_json(&serde_json::to_string(&self.json(detail)).unwrap_or_default()).into_owned()
        };
        RawValue::from_string(text(Detail::that_fits(text))).map_err(S::Error::custom)?.serialize(serializer)
    }
}

/// Returns the diagnostic of a failure for Lambda.
pub(super) fn diagnostic(error: &Error) -> Diagnostic {
    Diagnostic {
        error_type: error.error_type().to_owned(),
        error_message: start_of(&error.chain(), MESSAGE_BYTES),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::report::MAX_BYTES;

    #[test]
    fn an_answer_to_a_batch_names_what_comes_again() {
        let text = |ids: &[&str]| {
            serde_json::to_string(&Answer::again(ids.iter().map(|id| (*id).to_owned()).collect())).unwrap()
        };
        assert_eq!(text(&[]), r#"{"batchItemFailures":[]}"#);
        assert_eq!(
            text(&["a", "b"]),
            r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"b"}]}"#
        );
    }

    #[test]
    fn an_answer_fits_however_many_objects_it_is_about() {
        let names = || (0..20_000).map(|n| format!("{n}{}", "n".repeat(1_000)).into()).collect::<Vec<Key>>();
        let report = || Report { superseded: names(), not_processed: names(), ..Report::default() };
        for datasets in [0, 1, 12] {
            let answer =
                Done { reports: std::iter::repeat_with(report).take(datasets).collect(), ignored: names() };
            let text = serde_json::to_string(&answer).unwrap();
            assert!(text.len() < MAX_BYTES, "{datasets}: {}", text.len());
            let json: Value = serde_json::from_str(&text).unwrap();
            let shown = json["ignored"].as_array().unwrap().len();
            assert_eq!(json["omitted"]["ignored"], 20_000 - shown);
        }
    }
}
