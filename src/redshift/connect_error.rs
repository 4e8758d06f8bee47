//! What a failure to connect or to log in means, by who must act.

use std::error::Error as StdError;
use std::io;

use cmslite_core::error::{Deployment, Error, Fault, Retryable, chain};

use crate::environment::Tls;

/// What a failure to open a session means. `place` is where it was to lead, as `host:port/database`.
pub(super) fn classify_connect(error: tokio_postgres::Error, place: &str, user: &str, tls: Tls) -> Error {
    if let Some(refused) = error.as_db_error() {
        let code = refused.code().code();
        let message = refused.message();
        return match code {
            "28000" | "28P01" => Error::deployment(
                Deployment::LoginRefused,
                format!(
                    "Redshift at {place} refused the login of user {user}: {message}; look at user and password, and \
                     whether the user is locked, as after five refused passwords: a superuser unlocks it by ALTER USER {user} PASSWORD 'md5...'"
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
    // The driver knows no other name for it than its text.
    if story.contains("unknown authentication tag `13`") {
        let message = format!(
            "Redshift at {place} asks for SHA-256 authentication (tag 13), which this program cannot answer; store an MD5 password for \
             the user: ALTER USER {user} PASSWORD 'md5...' (or a plain one while password_encryption is md5)"
        );
        return Error::deployment(Deployment::AuthenticationUnsupported, message);
    }
    if story.contains("unknown authentication tag") || story.contains("unsupported authentication") {
        return Fault::new(
            Deployment::AuthenticationUnsupported,
            format!("Redshift at {place} asks for an authentication that this program cannot answer"),
        )
        .caused_by(error)
        .into();
    }
    if story.contains("server does not support TLS") {
        let message = format!(
            "Redshift at {place} offers no TLS; PGSSLMODE=disable is possible towards a loopback host only"
        );
        return Error::deployment(Deployment::TlsNotTrusted, message);
    }
    if tls != Tls::Disable && is_tls_refusal(&error) {
        let message = format!(
            "the certificate of Redshift at {place} is not trusted; see PGSSLROOTCERT, and use the host name that it is made out for"
        );
        return Fault::new(Deployment::TlsNotTrusted, message).caused_by(error).into();
    }
    Fault::new(Retryable::ConnectionLost, format!("cannot connect to Redshift at {place}"))
        .caused_by(error)
        .into()
}

/// Whether TLS failed for what the server is, rather than for the network beneath.
fn is_tls_refusal(error: &(dyn StdError + 'static)) -> bool {
    let mut tls = false;
    let mut next = Some(error);
    while let Some(error) = next {
        tls |= error.is::<native_tls::Error>();
        if error.is::<io::Error>() {
            return false;
        }
        next = error.source();
    }
    tls
}
