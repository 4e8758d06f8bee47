//! Where the login comes from: the environment, or a secret that completes it and may change while the
//! program runs.

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::Builder;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use cmslite_core::error::{Deployment, Error, Fault, Retryable};

use crate::environment::{Environment, FetchedSecret, Login, PasswordOrigin};
use crate::secret::Secret;
use crate::time_limits::{CONNECT, SECRET, SECRET_ATTEMPT};
use crate::waits::Waits;

/// Where the login comes from.
pub struct LoginSource {
    environment: Environment,
    secret: Option<StoredSecret>,
}

/// A secret of Secrets Manager.
struct StoredSecret {
    client: Client,
    id: String,
    waits: Waits,
}

impl LoginSource {
    /// The login of `environment`, completed by the secret that it names, if it names one. What is waited
    /// for is entered into `waits`.
    pub fn new(config: &SdkConfig, environment: &Environment, waits: &Waits) -> Self {
        let limits = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(SECRET_ATTEMPT)
            .operation_timeout(SECRET)
            .build();
        let secret = environment.password_secret_id.as_ref().map(|id| StoredSecret {
            client: Client::from_conf(Builder::from(config).timeout_config(limits).build()),
            id: id.clone(),
            waits: waits.clone(),
        });
        Self { environment: environment.clone(), secret }
    }

    /// Whether the login may be another one when it is read again.
    pub fn can_change(&self) -> bool {
        self.secret.is_some()
    }

    /// The login as it is now.
    ///
    /// # Errors
    ///
    /// [`Deployment::SecretUnreadable`], [`Retryable::SecretUnavailable`], and those of [`Environment::login`].
    pub async fn read(&self) -> Result<Login, Error> {
        match &self.secret {
            None => self.environment.login(None),
            Some(secret) => self.environment.login(Some(&secret.read().await?)),
        }
    }
}

impl StoredSecret {
    async fn read(&self) -> Result<FetchedSecret, Error> {
        let id = &self.id;
        let unreadable = |why: &str| {
            Fault::new(Deployment::SecretUnreadable, format!("the secret {id} (PGPASS_SECRET_ID) {why}"))
        };
        let asked = self.client.get_secret_value().secret_id(id).send();
        let asked = self.waits.during(format!("Secrets Manager: GetSecretValue of {id}"), asked).await;
        let answer = asked.map_err(|error| {
            if passes(&error) {
                let message = format!("Secrets Manager did not give the secret {id} (PGPASS_SECRET_ID)");
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

/// Whether Secrets Manager may answer otherwise later: it was not reached or did not answer, throttled, or failed
/// itself ("`ThrottlingException`", 400, and "`InternalServiceError`", 500: AWS Secrets Manager API Reference, common
/// errors and `GetSecretValue`).
fn passes(error: &SdkError<GetSecretValueError>) -> bool {
    match error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
        SdkError::ServiceError(refused) => {
            let status = refused.raw().status();
            status.is_server_error()
                || status.as_u16() == 429
                || refused.err().code() == Some("ThrottlingException")
        }
        _ => false,
    }
}
