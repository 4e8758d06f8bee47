//! Defines how to run a function.

use std::path::PathBuf;
use std::time::Duration;

/// How to run a function.
#[derive(Clone)]
pub struct Options {
    /// The port of the Invoke API on 127.0.0.1; 0 for any free one.
    pub port: u16,
    /// The program, as Lambda would find it under the name `bootstrap`.
    pub program: PathBuf,
    /// Its environment; of this process's own it gets PATH alone.
    pub environment: Vec<(String, String)>,
    /// How long an invocation may take.
    pub timeout: Duration,
    /// How many processes serve at once.
    pub concurrency: usize,
    /// The waits before an asynchronous invocation that failed is tried again; Lambda waits one and two
    /// minutes.
    pub retry_after: Vec<Duration>,
}

impl Options {
    /// A function with Lambda's defaults, but for retries after a moment.
    pub fn new(program: impl Into<PathBuf>, environment: Vec<(String, String)>) -> Self {
        Self {
            port: 0,
            program: program.into(),
            environment,
            timeout: Duration::from_secs(900),
            concurrency: 1,
            retry_after: vec![Duration::from_millis(500), Duration::from_secs(1)],
        }
    }
}
