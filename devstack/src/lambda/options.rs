//! Defines the options of a function.

use std::path::PathBuf;
use std::time::Duration;

/// The options of a function.
#[derive(Clone)]
pub struct Options {
    /// The port of the Invoke API on 127.0.0.1; 0 for any free one.
    pub port: u16,
    /// The program, which Lambda would find under the name `bootstrap`.
    pub program: PathBuf,
    /// The program's environment; from this process's own it gets only PATH.
    pub environment: Vec<(String, String)>,
    /// The time limit of an invocation.
    pub timeout: Duration,
    /// The number of processes that serve at the same time.
    pub concurrency: usize,
    /// The waits before a failed asynchronous invocation is tried again; Lambda waits one and two minutes.
    pub retry_after: Vec<Duration>,
}

impl Options {
    /// Returns Lambda's defaults for a function, except that retries come after a moment.
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
