//! Defines what can go wrong, sorted by who must act.
//!
//! The class of a failure is decided where it happens (`s3` and `redshift` in the program; `config`,
//! `archive` and `transform` here). Above those modules, no code reads an error's text.

// The remedy for each failure.
mod remedy;

use std::error::Error as StdError;
use std::fmt;

use crate::problem::Problems;
use crate::text::one_line;

/// A failure, sorted by who must act.
#[derive(Debug)]
pub enum Error {
    /// The archive is wrong: the uploader must correct it. Only this failure settles an archive as bad.
    BadInput(Problems),
    /// A temporary failure: the archive stays unsettled, and a later try continues.
    Retryable(Fault<Retryable>),
    /// The operator must act: a login, a permission, a table or the configuration is wrong. The archive stays
    /// unsettled.
    Deployment(Fault<Deployment>),
}

/// A failure that a later try may not meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retryable {
    /// S3 throttled the request, answered 5xx, or could not be reached.
    S3Unavailable,
    /// Secrets Manager throttled the request, answered 5xx, or did not answer.
    SecretUnavailable,
    /// Redshift's API, which issues IAM logins, throttled the request, answered 5xx, or did not answer.
    LoginUnavailable,
    /// The provider of the AWS credentials did not answer.
    CredentialsUnavailable,
    /// The connection to Redshift was refused or lost.
    ConnectionLost,
    /// Redshift reported `1023`, or a conflict with a concurrent transaction.
    Serialization,
    /// A statement reached `statement_timeout`, or was cancelled on request.
    StatementTimeout,
    /// The cluster is read-only, as it is while it is resized.
    ClusterUnavailable,
    /// COPY did not load as many rows as were staged.
    CountsDiffer,
    /// The source object is no longer the revision that was listed.
    SourceChanged,
    /// The received bytes of an archive differ from those in S3, or differ from try to try.
    DamagedDownload,
    /// Too little of the function's time is left to begin the next step.
    DeadlineNear,
    /// The program was asked to stop.
    Interrupted,
    /// An earlier archive of the queue was bad, so the run did not reach the wanted one.
    StoppedAtBadArchive,
    /// An unknown failure. It is treated as temporary, because only input may make an archive bad.
    Unknown,
}

/// A failure that lasts until the deployment is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deployment {
    /// A configuration file or an environment variable is invalid.
    Configuration,
    /// S3 refused access, or the credentials are missing, unknown or expired.
    S3Access,
    /// The bucket does not exist, or is in another region.
    NoSuchBucket,
    /// The bucket does not list its keys in order, so that archives cannot be matched with their markers.
    UnorderedListing,
    /// S3 does not return an object because of its storage class or its encryption key.
    ObjectUnreadable,
    /// Redshift refused the user or the password.
    LoginRefused,
    /// Redshift asked for an authentication method that this program does not support.
    AuthenticationUnsupported,
    /// The server's certificate is not trusted, has expired, or names another host.
    TlsNotTrusted,
    /// The server offers no TLS, or none that this program supports: a version before TLS 1.2, or no common
    /// cipher.
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
    /// Redshift's API issues no IAM login, or does not return the cluster's address: the permission or the
    /// cluster is missing.
    LoginNotGiven,
    /// The event has none of the accepted forms.
    UnknownEvent,
    /// The archive to be loaded alone does not exist, or loading it would break the order.
    ReloadRefused,
}

/// The area in which the operator must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// The login to Redshift, its secret, and the connection's TLS.
    Login,
    /// Redshift's tables, permissions and disk space.
    Tables,
    /// S3, for the function or for COPY.
    Storage,
    /// The configuration, the environment, or an event.
    Configuration,
}

impl Deployment {
    /// Returns the area in which the failure must be corrected.
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

/// What happened, where, and the underlying cause.
#[derive(Debug)]
pub struct Fault<K> {
    /// The kind of failure.
    pub kind: K,
    /// The action that failed, and the remedy if there is one.
    pub message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl<K> Fault<K> {
    /// Creates a fault without an underlying cause. The message is shown as by [`one_line`].
    pub fn new(kind: K, message: impl Into<String>) -> Self {
        Self { kind, message: one_line(&message.into()).into_owned(), source: None }
    }

    /// Creates a fault whose message has several lines, each of which is shown as by [`one_line`].
    pub fn of_lines(kind: K, message: &str) -> Self {
        let lines: Vec<_> = message.lines().map(one_line).collect();
        Self { kind, message: lines.join("\n"), source: None }
    }

    /// Adds the error that caused the fault.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl Error {
    /// Creates a retryable fault without an underlying cause.
    pub fn retryable(kind: Retryable, message: impl Into<String>) -> Self {
        Self::Retryable(Fault::new(kind, message))
    }

    /// Creates a deployment fault without an underlying cause.
    pub fn deployment(kind: Deployment, message: impl Into<String>) -> Self {
        Self::Deployment(Fault::new(kind, message))
    }

    /// Returns a stable name for alarms and for Lambda's `errorType`.
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
                // The name that users see stays the same.
                Deployment::ReloadRefused => "Deployment.NotAgain",
            },
        }
    }

    /// Returns this error and every underlying cause on one line.
    pub fn chain(&self) -> String {
        parts(self.said(), self).join(": ")
    }

    /// Returns what each underlying cause adds to this error, the deepest last, each on one line.
    pub fn causes(&self) -> Vec<String> {
        parts(self.said(), self).split_off(1)
    }

    /// Returns the error's message without its causes: on one line, unless it is a fault of several lines.
    fn said(&self) -> String {
        match self {
            Self::BadInput(_) => one_line(&self.to_string()).into_owned(),
            Self::Retryable(_) | Self::Deployment(_) => self.to_string(),
        }
    }
}

/// Returns an error and its causes on one line, joined by `: `, without repetitions.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    parts(one_line(&error.to_string()).into_owned(), error).join(": ")
}

/// Returns an error's message, and what each underlying cause adds, each on one line.
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
