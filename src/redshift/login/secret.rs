//! Reads a password from Secrets Manager.

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::Builder;
use cmslite_core::error::{Deployment, Error, Fault, Retryable};

use super::answer::passes;
use crate::environment::{FetchedSecret, PasswordOrigin};
use crate::secret::Secret;
use crate::time_limits::{CONNECT, SECRET, SECRET_ATTEMPT};
use crate::waits::Waits;

/// A secret in Secrets Manager, and a client to read it.
pub(super) struct StoredSecret {
    client: Client,
    id: String,
    waits: Waits,
}

impl StoredSecret {
    pub(super) fn new(config: &SdkConfig, id: &str, waits: &Waits) -> Self {
        let limits = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(SECRET_ATTEMPT)
            .operation_timeout(SECRET)
            .build();
        let client = Client::from_conf(Builder::from(config).timeout_config(limits).build());
        Self { client, id: id.to_owned(), waits: waits.clone() }
    }

    pub(super) async fn read(&self) -> Result<FetchedSecret, Error> {
        let id = &self.id;
        let unreadable = |why: &str| {
            Fault::new(Deployment::SecretUnreadable, format!("the secret {id} (PGPASS_SECRET_ID) {why}"))
        };
        let asked = self.client.get_secret_value().secret_id(id).send();
        let asked = self.waits.during(format!("Secrets Manager: GetSecretValue of {id}"), asked).await;
        let answer = asked.map_err(|error| {
            if passes(&error) {
                let message = format!("Secrets Manager did not return the secret {id} (PGPASS_SECRET_ID)");
                return Error::from(Fault::new(Retryable::SecretUnavailable, message).caused_by(error));
            }
            unreadable("cannot be read").caused_by(error.into_service_error()).into()
        })?;
        let origin = PasswordOrigin::Secret { id: id.clone(), version: answer.version_id };
        let text = answer.secret_string.map(Secret::from);
        let text = text.ok_or_else(|| unreadable("is binary; store it as text"))?;
        Ok(FetchedSecret { text, origin })
    }
}
