//! Talks to Redshift: TLS, login, simple queries, and the meaning of errors.
//!
//! Only the simple query protocol is used: COPY takes no bind parameters, and drivers and Redshift disagree
//! about prepared statements.

// The latest loads, with their rows by table.
mod recent_loads;

// Statements one after the other.
pub mod session;

// The choice of a host's address.
mod addresses;

// The meaning of failures.
mod connect_error;
mod error;
mod known_errors;

// All statements that are sent.
pub mod statement;

// The ledger's columns, and its decisions.
pub mod ledger;

// The requirements for a table.
mod relation;

// Rows of answers, as values.
mod rows;

// The sources of the login.
mod login;

// Redshift's own login, within TLS.
mod login_stream;

use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use cmslite_core::error::{Deployment, Error, Fault, Retryable, chain};
use native_tls::{Certificate, Protocol, TlsConnector};
use postgres_native_tls::MakeTlsConnector;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, Config, config::SslMode};
use tracing::{Instrument as _, debug, info};

use self::addresses::CONNECT_WITHIN;
use self::connect_error::classify_connect;
use self::login_stream::LoginTls;
use self::session::{ANSWER_RESERVE, Session};
use crate::cancellation::Cancellation;
use crate::environment::{Login, Tls};
use crate::secret::Secret;
use crate::task::Task;
use crate::waits::Waits;

pub use self::error::StatementError;
pub use self::login::LoginSource;
pub use self::recent_loads::RecentLoad;
pub use self::relation::{Obstacle, RelationKind, obstacles};
pub use self::rows::{Column, LedgerRow, RefusedRow, RefusedRows, timestamp};

/// The keepalive of an idle connection: the time until the first probe, the interval, and the number of
/// unanswered probes that end it. COPY may take longer to answer than a firewall remembers a silent
/// connection.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);

/// The time before its expiry at which an IAM password is replaced: longer than a login may take
/// ([`CONNECT_WITHIN`]), and enough for clocks that differ.
const RENEW_BEFORE: TimeDelta = TimeDelta::seconds(60);

/// A cluster, with everything that is needed to open sessions.
pub struct Redshift {
    source: LoginSource,
    /// The login and its refusals. They are locked while a session is opened, so that the next session knows
    /// about a refusal.
    known: Mutex<Known>,
    tls: MakeTlsConnector,
    waits: Waits,
}

/// The login as it was last read, and the refused passwords.
struct Known {
    /// The login; `None` until it is needed.
    login: Option<Login>,
    /// The refused users and passwords. They are not sent again, since five refusals in a row lock the user
    /// (Management Guide, behavior changes).
    refused: Vec<(String, Secret)>,
    /// The message of the last refusal.
    refusal: String,
}

impl Known {
    fn was_refused(&self, login: &Login) -> bool {
        self.refused.iter().any(|(user, password)| *user == login.user && *password == login.password)
    }

    /// Records a refusal; passes other answers on.
    fn learn(&mut self, login: &Login, connected: &Result<Session, Error>) {
        if let Err(Error::Deployment(fault)) = connected
            && fault.kind == Deployment::LoginRefused
        {
            self.refused.push((login.user.clone(), login.password.clone()));
            self.refusal.clone_from(&fault.message);
        }
    }
}

impl Redshift {
    /// Reads the login and prepares connections. It connects only to Secrets Manager, if the password is
    /// stored there. An IAM login is requested with the first session. Waits are entered into `waits`.
    ///
    /// # Errors
    ///
    /// Those of [`LoginSource::read`]; [`Deployment::Configuration`] when the root certificates cannot be
    /// read.
    pub async fn new(source: LoginSource, waits: &Waits) -> Result<Self, Error> {
        let login = if source.is_read_at_start() { Some(source.read().await?) } else { None };
        let (tls, root_certificates) = source.trust();
        Ok(Self {
            tls: MakeTlsConnector::new(tls_connector(tls, root_certificates)?),
            source,
            known: Mutex::new(Known { login, refused: Vec::new(), refusal: String::new() }),
            waits: waits.clone(),
        })
    }

    /// Opens a session for a run with the limits of `cancellation`. A refused password is not sent again as
    /// long as the process lives. If a secret or IAM supplies the password, it is read again, and a changed
    /// password is tried once: a password may be rotated while a function lives. An IAM password is kept
    /// until shortly before it expires.
    ///
    /// # Errors
    ///
    /// Deployment faults for a refused login, an unsupported authentication method, an untrusted certificate,
    /// a server without TLS or a missing database; else [`Retryable::ConnectionLost`]; those of
    /// [`LoginSource::read`] when the login is read again.
    pub async fn connect(&self, cancellation: &Cancellation) -> Result<Session, Error> {
        let mut known = self.known.lock().await;
        let kept = known.login.clone().filter(|login| !login.ends_within(RENEW_BEFORE, Utc::now()));
        let is_new = kept.is_none();
        let login = match kept {
            Some(login) => login,
            None => known.login.insert(self.source.read().await?).clone(),
        };
        if !known.was_refused(&login) {
            let connected = self.connect_as(&login, cancellation).await;
            known.learn(&login, &connected);
            // A login that was requested just now is not requested again.
            if is_new || !known.was_refused(&login) || !self.source.can_change() {
                return connected;
            }
        }
        if self.source.can_change() && !is_new {
            let login = known.login.insert(self.source.read().await?).clone();
            if !known.was_refused(&login) {
                info!("the login was refused, and has changed in the meantime");
                let connected = self.connect_as(&login, cancellation).await;
                known.learn(&login, &connected);
                return connected;
            }
        }
        let message = format!(
            "{}; this process does not send the same password again: if you changed Redshift and not the password, start a new process",
            known.refusal
        );
        Err(Error::deployment(Deployment::LoginRefused, message))
    }

    async fn connect_as(&self, login: &Login, cancellation: &Cancellation) -> Result<Session, Error> {
        let place = place(login);
        let left = cancellation.time_left().map(|left| left.saturating_sub(ANSWER_RESERVE));
        let within = left.map_or(CONNECT_WITHIN, |left| left.min(CONNECT_WITHIN));
        let tls = LoginTls::new(self.tls.clone(), login.password.clone());
        let config = config(login);
        let connecting = timeout(within, async {
            let addresses = addresses::look_up(&login.host, login.port).await?;
            io::Result::Ok(addresses::connect(&config, &addresses, &tls).await)
        });
        let waited = format!("Redshift: a connection to {place}");
        let Ok(connected) = self.waits.during(waited, connecting).await else {
            let message = format!(
                "cannot connect to Redshift at {place}: no answer within {} seconds",
                within.as_secs()
            );
            return Err(Error::retryable(Retryable::ConnectionLost, message));
        };
        let unreachable = || {
            let message = format!("cannot connect to Redshift at {place}");
            Fault::new(Retryable::ConnectionLost, message)
        };
        let connected = connected.map_err(|error| unreachable().caused_by(error))?.ok_or_else(unreachable)?;
        let (client, mut connection) = connected
            .map_err(|error| classify_connect(error, &place, &login.user, &login.password_origin))?;
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

    /// Describes where a session would connect to, as which user, and how the server proves its identity.
    pub async fn describe(&self) -> String {
        let known = self.known.lock().await;
        let Some(login) = &known.login else { return "not requested yet".to_owned() };
        let proof = match login.tls {
            Tls::VerifyFull => "TLS, certificate and host name verified",
            Tls::VerifyCa => "TLS, certificate verified",
            Tls::Disable => "without TLS",
        };
        let origin = &login.password_origin;
        format!("{} as {}, with the password of {origin}, {proof}", place(login), login.user)
    }
}

fn place(login: &Login) -> String {
    format!("{}:{}/{}", login.host, login.port, login.database)
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

fn tls_connector(server: Tls, root_certificates: Option<&Path>) -> Result<TlsConnector, Error> {
    let mut tls = TlsConnector::builder();
    // Redshift accepts nothing older (Management Guide, behavior changes).
    tls.min_protocol_version(Some(Protocol::Tlsv12));
    if server == Tls::VerifyCa {
        tls.danger_accept_invalid_hostnames(true);
    }
    if let Some(path) = root_certificates {
        let unreadable = |error: &dyn std::fmt::Display| {
            Error::deployment(
                Deployment::Configuration,
                format!("PGSSLROOTCERT: {} has no readable PEM certificates: {error}", path.display()),
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
