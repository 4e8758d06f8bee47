//! Classifies a failure to connect or to log in, by who must act.

use std::error::Error as StdError;

use cmslite_core::error::{Deployment, Error, Fault, Retryable, chain};

use super::login_stream::UNKNOWN_DIGEST;
use crate::environment::{PasswordOrigin, Warehouse};

/// Returns the error for a failure to open a session. `place` is the server and database that were to be
/// reached, as `host:port/database`.
pub(super) fn classify_connect(
    error: tokio_postgres::Error,
    place: &str,
    user: &str,
    origin: &PasswordOrigin,
) -> Error {
    if let Some(refused) = error.as_db_error() {
        let code = refused.code().code();
        let message = refused.message();
        // It is not documented which SQLSTATE Redshift uses for a refused password. PostgreSQL uses 28P01
        // with this text.
        let is_refused =
            matches!(code, "28000" | "28P01") || message.contains("password authentication failed");
        return match code {
            _ if is_refused => Error::deployment(
                Deployment::LoginRefused,
                format!(
                    "Redshift at {place} refused the login of user {user} with the password of {origin}: {message}; {}",
                    remedy(user, origin)
                ),
            ),
            "3D000" => {
                Error::deployment(Deployment::SchemaMismatch, format!("Redshift at {place}: {message}"))
            }
            "42501" => Error::deployment(Deployment::Privilege, format!("Redshift at {place}: {message}")),
            _ => Error::retryable(
                Retryable::ConnectionLost,
                format!("Redshift at {place} refused the connection: {message} (SQLSTATE {code})"),
            ),
        };
    }
    let story = chain(&error);
    // Within TLS, `LoginStream` answers tag 13, so that it does not reach the driver. The driver's error for
    // it can be recognised only by its text.
    if story.contains("unknown authentication tag `13`") {
        let message = format!(
            "Redshift at {place} asks for SHA-256 authentication (tag 13), which this program supports only within TLS: remove PGSSLMODE=disable"
        );
        return Error::deployment(Deployment::AuthenticationUnsupported, message);
    }
    let unknown = ["unknown authentication tag", "unsupported authentication", UNKNOWN_DIGEST];
    if unknown.iter().any(|text| story.contains(text)) {
        return Fault::new(
            Deployment::AuthenticationUnsupported,
            format!(
                "Redshift at {place} asks for an authentication method that this program does not support"
            ),
        )
        .caused_by(error)
        .into();
    }
    if story.contains("server does not support TLS") {
        let message = format!(
            "Redshift at {place} offers no TLS; PGSSLMODE=disable is allowed only for a loopback host"
        );
        return Error::deployment(Deployment::TlsUnsupported, message);
    }
    match tls_refusal(&error, &story) {
        Some(TlsRefusal::Certificate) => {
            let message = format!(
                "the certificate of Redshift at {place} is not trusted; see PGSSLROOTCERT, and use the host name in the certificate"
            );
            return Fault::new(Deployment::TlsNotTrusted, message).caused_by(error).into();
        }
        Some(TlsRefusal::Protocol) => {
            let message = format!(
                "Redshift at {place} offers no TLS version that this program accepts (1.2 or newer); look for a proxy or a load balancer in between"
            );
            return Fault::new(Deployment::TlsUnsupported, message).caused_by(error).into();
        }
        None => {}
    }
    Fault::new(Retryable::ConnectionLost, format!("cannot connect to Redshift at {place}"))
        .caused_by(error)
        .into()
}

/// Returns the remedy for a refused login. A user that IAM names must exist in the database: "if a database
/// user matching the value for DbUser doesn't exist and Autocreate is False, then the command succeeds but
/// the connection attempt will fail" (Amazon Redshift API Reference, `GetClusterCredentials`). It is not
/// documented whether a user that represents an IAM identity is created at its first login.
fn remedy(user: &str, origin: &PasswordOrigin) -> String {
    match origin {
        PasswordOrigin::Variable(_) | PasswordOrigin::Secret { .. } => format!(
            "check the user and the password; if both are right, the user may be locked, as after five refused passwords in a row: a superuser \
             unlocks it with ALTER USER {user} LOGIN PASSWORD '...'"
        ),
        PasswordOrigin::Iam { warehouse, .. } => {
            let name = match warehouse {
                Warehouse::Cluster { user: Some(user), .. } => user,
                Warehouse::Cluster { user: None, .. } | Warehouse::Workgroup { .. } => user,
            };
            format!(
                "the user must exist in the database, and IAM does not create it: as a superuser, run CREATE USER \"{name}\" PASSWORD \
                 DISABLE, and grant it what ddl/grants.sql grants; also check the machine's clock"
            )
        }
    }
}

/// A failure of TLS that is not caused by the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TlsRefusal {
    /// The server's certificate was refused.
    Certificate,
    /// The version of the protocol, or the cipher, was refused.
    Protocol,
}

/// The messages of OpenSSL that mean a refusal (`crypto/err/openssl.txt`, `ssl/ssl_err.c` of OpenSSL 3). An
/// alert comes from the server: RFC 8446, section 6.2, defines `protocol_version`, and `handshake_failure`
/// and `insufficient_security` where no parameters are acceptable to both. Everything else, such as an end of
/// the stream, is a network failure.
const TLS_REFUSALS: [(&str, TlsRefusal); 7] = [
    ("certificate verify failed", TlsRefusal::Certificate),
    ("unsupported protocol", TlsRefusal::Protocol),
    ("alert protocol version", TlsRefusal::Protocol),
    ("no protocols available", TlsRefusal::Protocol),
    ("alert handshake failure", TlsRefusal::Protocol),
    ("alert insufficient security", TlsRefusal::Protocol),
    ("no ciphers available", TlsRefusal::Protocol),
];

fn tls_refusal(error: &(dyn StdError + 'static), story: &str) -> Option<TlsRefusal> {
    let mut next = Some(error);
    while let Some(error) = next.filter(|error| !error.is::<native_tls::Error>()) {
        next = error.source();
    }
    next?;
    TLS_REFUSALS.iter().find(|(text, _)| story.contains(text)).map(|(_, refusal)| *refusal)
}
