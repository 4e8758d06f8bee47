//! SNS: one message to one topic.

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_sns::Client;
use aws_sdk_sns::config::Builder;
use cmslite_core::error::chain;

use crate::time_limits::{CONNECT, MESSAGE};
use crate::waits::Waits;

/// A topic.
pub struct Topic {
    client: Client,
    arn: String,
    waits: Waits,
}

impl Topic {
    /// The topic with this ARN. What is waited for is entered into `waits`.
    pub fn new(config: &SdkConfig, arn: &str, waits: &Waits) -> Self {
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_timeout(MESSAGE).build();
        Self {
            client: Client::from_conf(Builder::from(config).timeout_config(timeouts).build()),
            arn: arn.to_owned(),
            waits: waits.clone(),
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
        let publish = self.client.publish().topic_arn(&self.arn).subject(subject).message(body).send();
        let published = self.waits.during(format!("SNS: Publish to {}", self.arn), publish).await;
        published.map(drop).map_err(|error| chain(&error))
    }
}
