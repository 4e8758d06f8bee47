//! The wire to Redshift: TLS, login, simple queries, and what its refusals mean.
//!
//! Only the simple query protocol is used: COPY takes no bind parameters, and prepared statements are where
//! drivers and Redshift disagree.

// Statements one after the other.
pub mod session;

// What failures mean.
mod connect_error;
mod error;
mod known_errors;

// Every statement that is sent.
pub mod statement;

// The ledger's columns, and what it decides.
pub mod ledger;

// What a table must be for a load.
mod relation;

// Rows of answers, as values.
mod rows;

// Where the login comes from.
mod login;

use std::future::poll_fn;
use std::time::Duration;

use cmslite_core::error::{Deployment, Error, Fault, Retryable, chain};
use native_tls::{Certificate, TlsConnector};
use postgres_native_tls::MakeTlsConnector;
use tokio::sync::RwLock;
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, Config, config::SslMode};
use tracing::{Instrument as _, debug, info};

use self::connect_error::classify_connect;
use self::session::{ANSWER_RESERVE, Session};
use crate::cancellation::Cancellation;
use crate::environment::{Login, Tls};
use crate::task::Task;
use crate::waits::Waits;

pub use self::error::StatementError;
pub use self::login::LoginSource;
pub use self::relation::{Obstacle, RelationKind, obstacles};
pub use self::rows::{Column, LedgerRow, RefusedRow, RefusedRows};

/// How long name look-up, connection, TLS and login may take together.
const CONNECT_WITHIN: Duration = Duration::from_secs(20);

/// When an idle connection is asked whether it still stands, how often, and how many unanswered questions end
/// it: an answer to COPY may take longer than a firewall remembers a connection that says nothing.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);

/// A cluster, ready to be connected to.
pub struct Redshift {
    login: LoginSource,
    config: RwLock<Config>,
    tls: MakeTlsConnector,
    place: String,
    user: String,
    tls_mode: Tls,
    waits: Waits,
}

impl Redshift {
    /// Reads the login and prepares connections; connects to nothing but Secrets Manager, where it keeps the
    /// password. What is waited for is entered into `waits`.
    ///
    /// # Errors
    ///
    /// Those of [`LoginSource::read`]; [`Deployment::Configuration`] when the root certificates cannot be
    /// read.
    pub async fn new(source: LoginSource, waits: &Waits) -> Result<Self, Error> {
        let login = source.read().await?;
        Ok(Self {
            login: source,
            config: RwLock::new(config(&login)),
            tls: MakeTlsConnector::new(tls_connector(&login)?),
            place: format!("{}:{}/{}", login.host, login.port, login.database),
            user: login.user,
            tls_mode: login.tls,
            waits: waits.clone(),
        })
    }

    /// Opens a session for a run with the limits of `cancellation`. A refused login that may have changed
    /// is asked for again, once: a password is rotated while a function lives.
    ///
    /// # Errors
    ///
    /// Deployment faults for a refused login, an authentication that cannot be answered, a certificate that
    /// is not trusted or a missing database; else [`Retryable::ConnectionLost`].
    pub async fn connect(&self, cancellation: &Cancellation) -> Result<Session, Error> {
        let known = self.config.read().await.clone();
        let refused = match self.connect_as(&known, cancellation).await {
            Err(Error::Deployment(fault))
                if fault.kind == Deployment::LoginRefused && self.login.can_change() =>
            {
                fault
            }
            connected => return connected,
        };
        let renewed = config(&self.login.read().await?);
        if renewed.get_password() == known.get_password() {
            return Err(refused.into());
        }
        info!("the login was refused, and has changed meanwhile");
        let session = self.connect_as(&renewed, cancellation).await?;
        *self.config.write().await = renewed;
        Ok(session)
    }

    async fn connect_as(&self, config: &Config, cancellation: &Cancellation) -> Result<Session, Error> {
        let left = cancellation.time_left().map(|left| left.saturating_sub(ANSWER_RESERVE));
        let within = left.map_or(CONNECT_WITHIN, |left| left.min(CONNECT_WITHIN));
        let connecting = timeout(within, config.connect(self.tls.clone()));
        let waited = format!("Redshift: a connection to {}", self.place);
        let Ok(connected) = self.waits.during(waited, connecting).await else {
            let message = format!(
                "cannot connect to Redshift at {}: no answer within {} seconds",
                self.place,
                within.as_secs()
            );
            return Err(Error::retryable(Retryable::ConnectionLost, message));
        };
        let (client, mut connection) =
            connected.map_err(|error| classify_connect(error, &self.place, &self.user, self.tls_mode))?;
        let connection = async move {
            while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
                match message {
                    Ok(AsyncMessage::Notice(notice)) => {
                        debug!(severity = notice.severity(), "Redshift: {}", notice.message());
                    }
                    Ok(_) => {}
                    Err(error) => {
                        debug!(error = %chain(&error), "the connection to Redshift ended");
                        break;
                    }
                }
            }
        };
        let connection = Task::spawn(connection.in_current_span());
        Ok(Session::new(client, connection, cancellation, &self.waits))
    }

    /// Where a session would lead, as whom, and how the server proves itself.
    pub fn describe(&self) -> String {
        let proof = match self.tls_mode {
            Tls::VerifyFull => "TLS, certificate and host name verified",
            Tls::VerifyCa => "TLS, certificate verified",
            Tls::Disable => "without TLS",
        };
        format!("{} as {}, {proof}", self.place, self.user)
    }
}
fn config(login: &Login) -> Config {
    let mut config = Config::new();
    config
        .host(&login.host)
        .port(login.port)
        .dbname(&login.database)
        .user(&login.user)
        .password(login.password.expose())
        .application_name(env!("CARGO_PKG_NAME"))
        .connect_timeout(CONNECT_WITHIN)
        .keepalives_idle(KEEPALIVE.0)
        .keepalives_interval(KEEPALIVE.1)
        .keepalives_retries(KEEPALIVE.2)
        .ssl_mode(if login.tls == Tls::Disable { SslMode::Disable } else { SslMode::Require });
    config
}

fn tls_connector(login: &Login) -> Result<TlsConnector, Error> {
    let mut tls = TlsConnector::builder();
    if login.tls == Tls::VerifyCa {
        tls.danger_accept_invalid_hostnames(true);
    }
    if let Some(path) = &login.root_certificates {
        let unreadable = |error: &dyn std::fmt::Display| {
            Error::deployment(
                Deployment::Configuration,
                format!("PGSSLROOTCERT: {} holds no readable PEM certificates: {error}", path.display()),
            )
        };
        let pem = std::fs::read(path).map_err(|error| unreadable(&error))?;
        let certificates = Certificate::stack_from_pem(&pem).map_err(|error| unreadable(&error))?;
        if certificates.is_empty() {
            return Err(unreadable(&"it is empty"));
        }
        tls.disable_built_in_roots(true);
        for certificate in certificates {
            tls.add_root_certificate(certificate);
        }
    }
    let tls = tls.build();
    tls.map_err(|error| Fault::new(Deployment::Configuration, "TLS cannot be set up").caused_by(error).into())
}
