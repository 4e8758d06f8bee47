//! SNS: one message to one topic.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_sns::Client;
use aws_sdk_sns::config::Builder;
use cmslite_core::error::chain;

/// How long a message may take, its retries included: a function in a subnet from which SNS cannot be reached
/// would else wait for as long as it lives.
const WITHIN: Duration = Duration::from_secs(5);

/// A topic.
pub struct Topic {
    client: Client,
    arn: String,
}

impl Topic {
    /// The topic with this ARN.
    pub fn new(config: &SdkConfig, arn: &str) -> Self {
        let timeouts = TimeoutConfig::builder().operation_timeout(WITHIN).build();
        Self {
            client: Client::from_conf(Builder::from(config).timeout_config(timeouts).build()),
            arn: arn.to_owned(),
        }
    }

    /// Its ARN.
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// Publishes a message.
    ///
    /// # Errors
    ///
    /// SNS's own, with its causes, on one line.
    pub async fn publish(&self, subject: String, body: String) -> Result<(), String> {
        let published =
            self.client.publish().topic_arn(&self.arn).subject(subject).message(body).send().await;
        published.map(drop).map_err(|error| chain(&error))
    }
}
