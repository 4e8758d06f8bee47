//! Controls the running stand-in, for the stack and its tests.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_postgres::error::SqlState;

use super::error::Error;
use super::faults::Fault;
use super::options::Options;
use super::session;
use super::state::State;
use super::statement_log::Statement;
use crate::certificates::{self, Identity};

/// A running stand-in. Dropping it ends every session.
pub struct Redshift {
    port: u16,
    ca_pem: String,
    state: Arc<State>,
    server: JoinHandle<()>,
}

impl Redshift {
    /// Starts a stand-in.
    ///
    /// # Errors
    ///
    /// [`Error`] has the reason.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
        let port = listener.local_addr()?.port();
        let identity = certificates::identity(&options.host_names, options.certificate);
        let Identity { ca_pem, acceptor } = identity.map_err(|error| Error::Tls(error.to_string()))?;
        let state = Arc::new(State::new(options, acceptor));
        let superuser = state.superuser("postgres").await?;
        for (user, _) in state.options.users.iter().filter(|(user, _)| user != "postgres") {
            let name = user.replace('"', "\"\"");
            if let Err(error) = superuser.batch_execute(&format!("CREATE ROLE \"{name}\" LOGIN")).await {
                // Another stand-in of the same PostgreSQL has created it, or is creating it at this moment.
                if ![Some(&SqlState::DUPLICATE_OBJECT), Some(&SqlState::UNIQUE_VIOLATION)]
                    .contains(&error.code())
                {
                    return Err(error.into());
                }
            }
        }
        let server = tokio::spawn(serve(listener, Arc::clone(&state)));
        Ok(Self { port, ca_pem, state, server })
    }

    /// Returns the port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the certificate authority to trust.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Changes a user's password, as ALTER USER would.
    pub fn set_password(&self, user: &str, password: &str) {
        self.state.set_password(user, password, None);
    }

    /// Returns the issuer of temporary passwords for this stand-in.
    pub fn issuer(&self) -> Issuer {
        Issuer(Arc::clone(&self.state))
    }

    /// Returns every login so far for which a password was sent: the user, and whether it was accepted.
    pub fn logins(&self) -> Vec<(String, bool)> {
        self.state.logins()
    }

    /// Returns every statement so far, in order.
    pub fn statements(&self) -> Vec<Statement> {
        self.state.log.all()
    }

    /// Forgets the statements so far.
    pub fn clear_statements(&self) {
        self.state.log.clear();
    }

    /// Adds a fault, which affects statements, connections or handshakes from now on.
    pub fn inject(&self, fault: Fault) {
        self.state.faults.add(fault);
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.state.faults.clear();
    }
}

/// An issuer of temporary passwords.
#[derive(Clone)]
pub struct Issuer(Arc<State>);

impl Issuer {
    /// Lets a user log in with only this password, until it expires: "After this timestamp, a log in with the
    /// temporary password fails" (Amazon Redshift API Reference, GetClusterCredentialsWithIAM). The user is
    /// `IAM:u` or `IAMA:u`, whose sessions belong to `u`, or `IAMR:role`.
    pub fn give(&self, user: &str, password: &str, until: SystemTime) {
        self.0.set_password(user, password, Some(until));
    }
}

impl Drop for Redshift {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    // Sessions end with the stand-in, not after it.
    let mut sessions = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while sessions.try_join_next().is_some() {}
        let _ = stream.set_nodelay(true);
        let state = Arc::clone(&state);
        sessions.spawn(async move {
            if let Err(error) = Box::pin(session::serve(stream, state)).await {
                tracing::debug!(%error, "a session ended");
            }
        });
    }
}
