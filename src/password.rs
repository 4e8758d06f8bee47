//! The secret that holds the password, read from Secrets Manager.

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;

use crate::error::{Deployment, Error, Fault};
use crate::secret::Secret;

/// Reads the secret that `id` names, by name or ARN.
///
/// # Errors
///
/// [`Deployment::SecretUnreadable`].
pub async fn fetch(config: &SdkConfig, id: &str) -> Result<Secret, Error> {
    let unreadable = |why: &str| Fault::new(Deployment::SecretUnreadable, format!("the secret {id} (PGPASS_SECRET_ID) {why}"));
    let answer = Client::new(config).get_secret_value().secret_id(id).send().await.map_err(|error| {
        let error = error.into_service_error();
        unreadable("cannot be read").caused_by(error)
    })?;
    answer.secret_string.map(Secret::from).ok_or_else(|| unreadable("is binary; store it as text").into())
}
