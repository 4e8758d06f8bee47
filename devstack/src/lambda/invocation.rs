//! Defines an invocation and its outcome.

use std::time::Duration;

use serde_json::Value;

/// The function's name, in its environment and its ARN.
pub const NAME: &str = "cmslite-user-data-to-redshift";

/// The function's only version (AWS Lambda Developer Guide, "Manage Lambda function versions").
pub const VERSION: &str = "$LATEST";

/// The function's region.
pub const REGION: &str = "ca-central-1";

/// The maximum size of an invocation's payload, and of its answer: 6 MB each (AWS Lambda quotas).
pub const PAYLOAD_LIMIT_BYTES: usize = 6 * 1024 * 1024;

/// The outcome of an invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The function's answer.
    Ok(Value),
    /// The function's failure.
    Failed {
        /// The failure's `errorType`.
        error_type: String,
        /// The failure's `errorMessage`.
        message: String,
    },
}

impl Outcome {
    /// Returns a failure that is not the function's own.
    pub(super) fn failed(error_type: &str, message: impl Into<String>) -> Self {
        Self::Failed { error_type: error_type.to_owned(), message: message.into() }
    }
}

/// A try of an invocation that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The invocation's id; a retry has the same.
    pub request_id: String,
    /// The function's input.
    pub payload: Value,
    /// The outcome.
    pub outcome: Outcome,
    /// The time for which a process worked on it; zero if no process received it.
    pub took: Duration,
    /// Whether the invocation is asynchronous, so that Lambda tries again after a failure.
    pub is_asynchronous: bool,
    /// Whether it was the last try.
    pub is_final: bool,
}
