//! Defines what was asked of a function, and what came of it.

use std::time::Duration;

use serde_json::Value;

/// The function's name, in its environment and its ARN.
pub const NAME: &str = "cmslite-user-data-to-redshift";

/// Its only version (AWS Lambda Developer Guide, "Manage Lambda function versions").
pub const VERSION: &str = "$LATEST";

/// Where it runs.
pub const REGION: &str = "ca-central-1";

/// The largest payload of an invocation, and of its answer: 6 MB each (AWS Lambda quotas).
pub const PAYLOAD_LIMIT_BYTES: usize = 6 * 1024 * 1024;

/// What an invocation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// What the function answered.
    Ok(Value),
    /// How it failed.
    Failed {
        /// Its `errorType`.
        error_type: String,
        /// Its `errorMessage`.
        message: String,
    },
}

impl Outcome {
    /// A failure that is not the function's own.
    pub(super) fn failed(error_type: &str, message: impl Into<String>) -> Self {
        Self::Failed { error_type: error_type.to_owned(), message: message.into() }
    }
}

/// A try of an invocation that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Its id; a retry has the same.
    pub request_id: String,
    /// What the function was given.
    pub payload: Value,
    /// What it came to.
    pub outcome: Outcome,
    /// How long a process worked on it; zero if none was given it.
    pub took: Duration,
    /// Whether nobody waits for its outcome, so that Lambda tries again after a failure.
    pub is_asynchronous: bool,
    /// Whether it was the last try.
    pub is_final: bool,
}
