//! The login whose password Secrets Manager keeps.

use std::future::Future;
use std::pin::Pin;

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;

use crate::environment::{Environment, Login};
use crate::error::{Deployment, Error, Fault};
use crate::redshift::Renewal;
use crate::secret::Secret;

/// A login that a secret completes.
pub struct SecretLogin {
    client: Client,
    id: String,
    environment: Environment,
}

impl SecretLogin {
    /// The login of `environment`, completed by the secret that `id` names, by name or ARN.
    pub fn new(config: &SdkConfig, id: &str, environment: &Environment) -> Self {
        Self { client: Client::new(config), id: id.to_owned(), environment: environment.clone() }
    }

    /// The login as the secret has it now.
    ///
    /// # Errors
    ///
    /// [`Deployment::SecretUnreadable`], and those of [`Environment::login`].
    pub async fn read(&self) -> Result<Login, Error> {
        let id = &self.id;
        let unreadable = |why: &str| {
            Fault::new(Deployment::SecretUnreadable, format!("the secret {id} (PGPASS_SECRET_ID) {why}"))
        };
        let answer = self.client.get_secret_value().secret_id(id).send().await.map_err(|error| {
            let error = error.into_service_error();
            unreadable("cannot be read").caused_by(error)
        })?;
        let secret: Option<Secret> = answer.secret_string.map(Secret::from);
        let secret = secret.ok_or_else(|| Error::from(unreadable("is binary; store it as text")))?;
        self.environment.login(Some(&secret))
    }
}

impl Renewal for SecretLogin {
    fn renew(&self) -> Pin<Box<dyn Future<Output = Result<Login, Error>> + Send + '_>> {
        Box::pin(self.read())
    }
}
