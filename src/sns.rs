//! Sends one message to one topic of SNS.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_sns::Client;
use aws_sdk_sns::config::Builder;
use cmslite_core::error::chain;

use crate::time_limits::{CONNECT, MESSAGE};
use crate::waits::Waits;

/// The maximum wait before another attempt.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A topic of SNS.
pub struct Topic {
    client: Client,
    arn: String,
    waits: Waits,
}

impl Topic {
    /// Creates the topic with this ARN. Waits are entered into `waits`.
    pub fn new(config: &SdkConfig, arn: &str, waits: &Waits) -> Self {
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_timeout(MESSAGE).build();
        // The waits between these attempts leave room within the limit, so that an error says what SNS
        // answered, and not only that the time was up.
        let retries = RetryConfig::standard().with_max_backoff(LONGEST_WAIT);
        let config = Builder::from(config).timeout_config(timeouts).retry_config(retries);
        Self { client: Client::from_conf(config.build()), arn: arn.to_owned(), waits: waits.clone() }
    }

    /// Returns the topic's ARN.
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// Publishes a message.
    ///
    /// # Errors
    ///
    /// SNS's own, with its causes, on one line.
    pub async fn publish(&self, subject: String, body: String) -> Result<(), String> {
        let publish = self.client.publish().topic_arn(&self.arn).subject(subject).message(body).send();
        let published = self.waits.during(format!("SNS: Publish to {}", self.arn), publish).await;
        published.map(drop).map_err(|error| chain(&error))
    }
}
