//! Reads the login from its source: variables, a secret that completes them, or IAM. A secret and an IAM
//! login may change while the program runs.

// A secret of Secrets Manager.
mod secret;

// Redshift's API.
mod iam;

// The meaning of refusals.
mod answer;

use aws_config::SdkConfig;
use cmslite_core::error::Error;

use self::iam::LoginByIam;
use self::secret::StoredSecret;
use crate::environment::{Environment, Login, Tls};
use crate::waits::Waits;

/// The source of the login.
pub struct LoginSource {
    environment: Environment,
    origin: Origin,
}

enum Origin {
    Variables,
    Secret(StoredSecret),
    Iam(LoginByIam),
}

impl LoginSource {
    /// Creates the source of the login in `environment`. If `environment` names a secret or asks for an IAM
    /// login, the source completes the login from there. Waits are entered into `waits`.
    pub fn new(config: &SdkConfig, environment: &Environment, waits: &Waits) -> Self {
        let origin = match (&environment.iam_login, &environment.password_secret_id) {
            (Some(login), _) => Origin::Iam(LoginByIam::new(config, login, waits)),
            (None, Some(id)) => Origin::Secret(StoredSecret::new(config, id, waits)),
            (None, None) => Origin::Variables,
        };
        Self { environment: environment.clone(), origin }
    }

    /// Checks whether the login may be different when it is read again.
    pub fn can_change(&self) -> bool {
        match self.origin {
            Origin::Variables => false,
            Origin::Secret(_) | Origin::Iam(_) => true,
        }
    }

    /// Checks whether the login is read at the program's start, so that mistakes in it are reported there. An
    /// IAM login expires soon, and is requested when it is needed.
    pub fn is_read_at_start(&self) -> bool {
        match self.origin {
            Origin::Variables | Origin::Secret(_) => true,
            Origin::Iam(_) => false,
        }
    }

    /// Returns how the server must prove its identity, and the certificates to trust instead of the system's.
    pub fn trust(&self) -> (Tls, Option<&std::path::Path>) {
        self.environment.trust()
    }

    /// Returns the current login.
    ///
    /// # Errors
    ///
    /// [`SecretUnreadable`](cmslite_core::error::Deployment::SecretUnreadable) and
    /// [`SecretUnavailable`](cmslite_core::error::Retryable::SecretUnavailable);
    /// [`LoginNotGiven`](cmslite_core::error::Deployment::LoginNotGiven) and
    /// [`LoginUnavailable`](cmslite_core::error::Retryable::LoginUnavailable); those of
    /// [`Environment::login`].
    pub async fn read(&self) -> Result<Login, Error> {
        match &self.origin {
            Origin::Variables => self.environment.login(None),
            Origin::Secret(secret) => self.environment.login(Some(&secret.read().await?)),
            Origin::Iam(iam) => self.environment.login_by_iam(iam.read().await?),
        }
    }
}
