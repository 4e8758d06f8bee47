//! Defines what can go wrong, sorted by who must act.
//!
//! The class of a failure is decided where it happens (`s3` and `redshift` in the program; `config`,
//! `archive` and `transform` here); above those modules nobody reads an error's text.

// What to do about each.
mod remedy;

use std::error::Error as StdError;
use std::fmt;

use crate::problem::Problems;
use crate::text::one_line;

/// A failure, by who must act upon it.
#[derive(Debug)]
pub enum Error {
    /// The archive is at fault: whoever uploads must correct it. The only kind that settles an archive as bad.
    BadInput(Problems),
    /// Something that passes: the archive stays unsettled and a later try goes on from there.
    Retryable(Fault<Retryable>),
    /// Whoever operates must act: a login, a right, a table, the configuration. The archive stays unsettled.
    Deployment(Fault<Deployment>),
}

/// A failure that a later try may not meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retryable {
    /// S3 throttled, answered 5xx, or could not be reached.
    S3Unavailable,
    /// Secrets Manager throttled, answered 5xx, or did not answer.
    SecretUnavailable,
    /// Redshift's API, which gives out logins by IAM, throttled, answered 5xx, or did not answer.
    LoginUnavailable,
    /// Whoever gives AWS credentials did not answer.
    CredentialsUnavailable,
    /// The connection to Redshift was refused or lost.
    ConnectionLost,
    /// Redshift's `1023`, or a conflict with a concurrent transaction.
    Serialization,
    /// `statement_timeout`, or a statement cancelled on request.
    StatementTimeout,
    /// The cluster reads only, as it does while it is resized.
    ClusterUnavailable,
    /// COPY loaded another number of rows than were staged.
    CountsDiffer,
    /// The source object is no longer the revision that was listed.
    SourceChanged,
    /// What came of an archive is not what S3 holds, or came differently each time.
    DamagedDownload,
    /// Too little of the function's time is left to begin the next step.
    DeadlineNear,
    /// Somebody asked the program to stop.
    Interrupted,
    /// An earlier archive of the queue was bad, so the wanted one was not reached.
    StoppedAtBadArchive,
    /// Nothing known: treated as something that passes, because only input may make an archive bad.
    Unknown,
}

/// A failure that lasts until somebody changes the deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deployment {
    /// A configuration file or an environment variable is invalid.
    Configuration,
    /// S3 refused access, or the credentials are missing, unknown or expired.
    S3Access,
    /// The bucket does not exist, or is in another region.
    NoSuchBucket,
    /// The bucket lists its keys in no order, so that no archive can be told from its markers.
    UnorderedListing,
    /// S3 does not give an object out as it is stored: its storage class, or the key that it is encrypted with.
    ObjectUnreadable,
    /// Redshift refused user or password.
    LoginRefused,
    /// Redshift asked for an authentication that this program cannot answer.
    AuthenticationUnsupported,
    /// The server's certificate is not trusted, has expired, or names another host.
    TlsNotTrusted,
    /// The server offers no TLS, or none that this program speaks: a protocol before TLS 1.2, no cipher in common.
    TlsUnsupported,
    /// A database, schema, table or column is missing or has another shape.
    SchemaMismatch,
    /// The Redshift user lacks a privilege.
    Privilege,
    /// COPY's role or keys were refused, or could not read S3.
    CopyAuthorization,
    /// The cluster has no disk space left.
    StorageFull,
    /// The secret with the password cannot be read.
    SecretUnreadable,
    /// Redshift's API gives no login by IAM, or does not say where the cluster is: no right to it, no such cluster.
    LoginNotGiven,
    /// The event is none of the accepted forms.
    UnknownEvent,
    /// The archive that was to be loaded alone is not there, or loading it would break the order.
    ReloadRefused,
}

/// Where somebody who operates must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// The login to Redshift, its secret, and the connection's TLS.
    Login,
    /// Redshift's tables, rights and space.
    Tables,
    /// S3, for the function or for COPY.
    Storage,
    /// The configuration, the environment, or an event.
    Configuration,
}

impl Deployment {
    /// Where it must be corrected.
    pub fn area(self) -> Area {
        match self {
            Self::LoginRefused
            | Self::AuthenticationUnsupported
            | Self::TlsNotTrusted
            | Self::TlsUnsupported
            | Self::SecretUnreadable
            | Self::LoginNotGiven => Area::Login,
            Self::SchemaMismatch | Self::Privilege | Self::StorageFull => Area::Tables,
            Self::S3Access
            | Self::NoSuchBucket
            | Self::UnorderedListing
            | Self::ObjectUnreadable
            | Self::CopyAuthorization => Area::Storage,
            Self::Configuration | Self::UnknownEvent | Self::ReloadRefused => Area::Configuration,
        }
    }
}

/// What happened, where, and the cause beneath.
#[derive(Debug)]
pub struct Fault<K> {
    /// What kind of failure it is.
    pub kind: K,
    /// What was being done, and the remedy where there is one.
    pub message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl<K> Fault<K> {
    /// A fault without a deeper cause. What its message quotes of others is shown as [`one_line`] shows it.
    pub fn new(kind: K, message: impl Into<String>) -> Self {
        Self { kind, message: one_line(&message.into()).into_owned(), source: None }
    }

    /// A fault whose message has several lines, each of which is shown as [`one_line`] shows it.
    pub fn of_lines(kind: K, message: &str) -> Self {
        let lines: Vec<_> = message.lines().map(one_line).collect();
        Self { kind, message: lines.join("\n"), source: None }
    }

    /// The same fault with the error that caused it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl Error {
    /// A retryable fault without a deeper cause.
    pub fn retryable(kind: Retryable, message: impl Into<String>) -> Self {
        Self::Retryable(Fault::new(kind, message))
    }

    /// A deployment fault without a deeper cause.
    pub fn deployment(kind: Deployment, message: impl Into<String>) -> Self {
        Self::Deployment(Fault::new(kind, message))
    }

    /// A stable name for alarms and for Lambda's `errorType`.
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::BadInput(_) => "BadInput",
            Self::Retryable(fault) => match fault.kind {
                Retryable::S3Unavailable => "Retryable.S3Unavailable",
                Retryable::SecretUnavailable => "Retryable.SecretUnavailable",
                Retryable::LoginUnavailable => "Retryable.LoginUnavailable",
                Retryable::CredentialsUnavailable => "Retryable.CredentialsUnavailable",
                Retryable::ConnectionLost => "Retryable.ConnectionLost",
                Retryable::Serialization => "Retryable.Serialization",
                Retryable::StatementTimeout => "Retryable.StatementTimeout",
                Retryable::ClusterUnavailable => "Retryable.ClusterUnavailable",
                Retryable::CountsDiffer => "Retryable.CountsDiffer",
                Retryable::SourceChanged => "Retryable.SourceChanged",
                Retryable::DamagedDownload => "Retryable.DamagedDownload",
                Retryable::DeadlineNear => "Retryable.DeadlineNear",
                Retryable::Interrupted => "Retryable.Interrupted",
                Retryable::StoppedAtBadArchive => "Retryable.StoppedAtBadArchive",
                Retryable::Unknown => "Retryable.Unknown",
            },
            Self::Deployment(fault) => match fault.kind {
                Deployment::Configuration => "Deployment.Configuration",
                Deployment::S3Access => "Deployment.S3Access",
                Deployment::NoSuchBucket => "Deployment.NoSuchBucket",
                Deployment::UnorderedListing => "Deployment.UnorderedListing",
                Deployment::ObjectUnreadable => "Deployment.ObjectUnreadable",
                Deployment::LoginRefused => "Deployment.LoginRefused",
                Deployment::AuthenticationUnsupported => "Deployment.AuthenticationUnsupported",
                Deployment::TlsNotTrusted => "Deployment.TlsNotTrusted",
                Deployment::TlsUnsupported => "Deployment.TlsUnsupported",
                Deployment::SchemaMismatch => "Deployment.SchemaMismatch",
                Deployment::Privilege => "Deployment.Privilege",
                Deployment::CopyAuthorization => "Deployment.CopyAuthorization",
                Deployment::StorageFull => "Deployment.StorageFull",
                Deployment::SecretUnreadable => "Deployment.SecretUnreadable",
                Deployment::LoginNotGiven => "Deployment.LoginNotGiven",
                Deployment::UnknownEvent => "Deployment.UnknownEvent",
                // The name that users see stays.
                Deployment::ReloadRefused => "Deployment.NotAgain",
            },
        }
    }

    /// The whole story on one line: this error and every cause beneath it.
    pub fn chain(&self) -> String {
        parts(self.said(), self).join(": ")
    }

    /// What each cause beneath this error adds to it, the deepest last, each on one line.
    pub fn causes(&self) -> Vec<String> {
        parts(self.said(), self).split_off(1)
    }

    /// What it says without its causes: on one line, unless it is a fault that has several.
    fn said(&self) -> String {
        match self {
            Self::BadInput(_) => one_line(&self.to_string()).into_owned(),
            Self::Retryable(_) | Self::Deployment(_) => self.to_string(),
        }
    }
}

/// An error and its causes, joined by `: `, each said once, on one line.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    parts(one_line(&error.to_string()).into_owned(), error).join(": ")
}

/// What is said of an error, and what each cause beneath it adds, each on one line.
fn parts(said: String, error: &(dyn StdError + 'static)) -> Vec<String> {
    let mut parts = vec![said];
    let mut next = error.source();
    while let Some(cause) = next {
        let part = one_line(&cause.to_string()).into_owned();
        if !part.is_empty() && !parts.iter().any(|said| said.contains(&part)) {
            parts.push(part);
        }
        next = cause.source();
    }
    parts
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadInput(problems) => problems.fmt(f),
            Self::Retryable(fault) => f.write_str(&fault.message),
            Self::Deployment(fault) => f.write_str(&fault.message),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source = match self {
            Self::BadInput(_) => &None,
            Self::Retryable(fault) => &fault.source,
            Self::Deployment(fault) => &fault.source,
        };
        source.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}

impl From<Problems> for Error {
    fn from(problems: Problems) -> Self {
        Self::BadInput(problems)
    }
}

impl From<Fault<Retryable>> for Error {
    fn from(fault: Fault<Retryable>) -> Self {
        Self::Retryable(fault)
    }
}

impl From<Fault<Deployment>> for Error {
    fn from(fault: Fault<Deployment>) -> Self {
        Self::Deployment(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_names_every_cause_once() {
        let inner = std::io::Error::other("connection reset");
        let error =
            Error::from(Fault::new(Retryable::ConnectionLost, "cannot reach Redshift").caused_by(inner));
        assert_eq!(error.chain(), "cannot reach Redshift: connection reset");
        assert_eq!(error.error_type(), "Retryable.ConnectionLost");
    }

    #[test]
    fn an_error_is_said_on_one_line_whatever_it_quotes() {
        let inner = std::io::Error::other("reset\nERROR:forged");
        let error = Fault::new(Retryable::ConnectionLost, "cannot read \u{202e}\r").caused_by(inner);
        assert_eq!(Error::from(error).chain(), "cannot read \\u{202e}\\r: reset\\nERROR:forged");
    }
}
