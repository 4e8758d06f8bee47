//! Creates the clients of all services, once at start.

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use cmslite_core::error::{Deployment, Error, Fault, Retryable};
use tokio::time::timeout;

use crate::environment::{CopyAccess, Environment, S3Settings};
use crate::redshift::statement::Authorization;
use crate::redshift::{LoginSource, Redshift};
use crate::s3::{S3, is_unanswered};
use crate::secret::Secret;
use crate::sns::Topic;
use crate::time_limits::CREDENTIALS;
use crate::waits::Waits;

/// The clients of all services.
pub struct Clients {
    /// The client of S3.
    pub s3: S3,
    /// The connection to Redshift.
    pub redshift: Redshift,
    /// The bucket's region.
    pub region: String,
    /// The topic for messages about bad archives, if there is one.
    pub topic: Option<Topic>,
    copy: CopyAccess,
    credentials: Option<SharedCredentialsProvider>,
    waits: Waits,
}

impl Clients {
    /// Creates the clients that the environment describes. It connects only to Secrets Manager, if that has
    /// the password. Waits are entered into `waits`.
    ///
    /// # Errors
    ///
    /// Deployment faults of the environment and of the secret.
    pub async fn new(environment: &Environment, waits: &Waits) -> Result<Self, Error> {
        let (aws, region) = aws(waits).await?;
        Ok(Self {
            s3: S3::of(&aws, &environment.s3, waits),
            redshift: Redshift::new(LoginSource::new(&aws, environment, waits), waits).await?,
            region,
            topic: environment.bad_archive_topic.as_deref().map(|arn| Topic::new(&aws, arn, waits)),
            copy: environment.copy.clone(),
            credentials: aws.credentials_provider(),
            waits: waits.clone(),
        })
    }

    /// Returns the authorization with which COPY reads S3.
    ///
    /// # Errors
    ///
    /// [`Deployment::CopyAuthorization`] if there are no credentials for it;
    /// [`Retryable::CredentialsUnavailable`].
    pub async fn copy_authorization(&self) -> Result<Authorization, Error> {
        match &self.copy {
            CopyAccess::DefaultRole => Ok(Authorization::DefaultRole),
            CopyAccess::Role(arn) => Ok(Authorization::Role(arn.clone())),
            CopyAccess::OwnKeys => {
                let missing = || {
                    Fault::new(
                        Deployment::CopyAuthorization,
                        "there are no AWS credentials for COPY; set COPY_IAM_ROLE to use a role of the cluster",
                    )
                };
                let provider = self.credentials.as_ref().ok_or_else(missing)?;
                let asked = timeout(CREDENTIALS, provider.provide_credentials());
                let asked = self.waits.during("AWS credentials for COPY".to_owned(), asked).await;
                let late = || {
                    let message = "the provider of the AWS credentials for COPY did not answer";
                    Fault::new(Retryable::CredentialsUnavailable, message)
                };
                let keys = asked.map_err(|error| late().caused_by(error))?;
                let keys = keys.map_err(|error| {
                    if is_unanswered(&error) {
                        Error::from(late().caused_by(error))
                    } else {
                        missing().caused_by(error).into()
                    }
                })?;
                Ok(Authorization::Keys {
                    access_key_id: Secret::new(keys.access_key_id()),
                    secret_access_key: Secret::new(keys.secret_access_key()),
                    session_token: keys.session_token().map(Secret::new),
                })
            }
        }
    }
}

/// Creates only the client of S3, for work that needs no access to Redshift.
///
/// # Errors
///
/// [`Deployment::Configuration`] without a region.
pub async fn s3_only(settings: &S3Settings, waits: &Waits) -> Result<S3, Error> {
    Ok(S3::of(&aws(waits).await?.0, settings, waits))
}

/// Reads the `AWS_*` variables and files, and returns the region too.
async fn aws(waits: &Waits) -> Result<(SdkConfig, String), Error> {
    let load = aws_config::load_defaults(BehaviorVersion::latest());
    let aws = waits.during("the AWS configuration".to_owned(), load).await;
    if let Some(profile) = missing_profile().await
        && !has_credentials(&aws).await
    {
        let message = format!(
            "AWS_PROFILE names {profile}, which is in neither ~/.aws/config nor ~/.aws/credentials, and there are no other credentials"
        );
        return Err(Error::deployment(Deployment::Configuration, message));
    }
    let region = aws.region().map(ToString::to_string);
    let region = region.ok_or_else(|| {
        Error::deployment(Deployment::Configuration, "no AWS region: set AWS_REGION to the bucket's")
    })?;
    Ok((aws, region))
}

/// Returns the requested profile if it does not exist. The SDK continues without it, and finally reports only
/// that there are no credentials.
async fn missing_profile() -> Option<String> {
    let (files, environment, profile_files) = Default::default();
    let profiles = aws_config::profile::load(&files, &environment, &profile_files, None).await.ok()?;
    let name = profiles.selected_profile();
    (name != "default" && profiles.get_profile(name).is_none()).then(|| name.to_owned())
}

async fn has_credentials(aws: &SdkConfig) -> bool {
    match aws.credentials_provider() {
        None => false,
        Some(provider) => provider.provide_credentials().await.is_ok(),
    }
}
