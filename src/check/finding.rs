//! Defines what a check finds, and what to do about it.

use std::fmt;

use cmslite_core::error::{Deployment, Error, Retryable};
use serde::Serialize;

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Version of this form.
    pub version: u32,
    /// The dataset.
    pub dataset: String,
    /// What was found, in the order in which it was looked for.
    pub findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub subject: String,
    /// How it was found.
    pub outcome: Outcome,
    /// What was found.
    pub text: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// How something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it must be.
    Good,
    /// Worth knowing, and no obstacle.
    Note,
    /// A load would fail.
    Bad,
}

impl Finding {
    pub(super) fn good(subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self { subject: subject.into(), outcome: Outcome::Good, text: text.into(), remedy: None }
    }

    pub(super) fn note(subject: impl Into<String>, text: impl Into<String>, remedy: &str) -> Self {
        Self {
            subject: subject.into(),
            outcome: Outcome::Note,
            text: text.into(),
            remedy: Some(remedy.to_owned()),
        }
    }

    pub(super) fn bad(
        subject: impl Into<String>,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            subject: subject.into(),
            outcome: Outcome::Bad,
            text: text.into(),
            remedy: Some(remedy.into()),
        }
    }

    /// What an attempt came to.
    pub(super) fn of(subject: &str, good: &str, result: Result<(), Error>) -> Self {
        match result {
            Ok(()) => Self::good(subject, good),
            Err(error) => Self::bad(subject, error.chain(), remedy(&error)),
        }
    }
}

impl Check {
    /// Whether a load would fail.
    pub fn has_failed(&self) -> bool {
        self.findings.iter().any(|finding| finding.outcome == Outcome::Bad)
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Check: {}", self.dataset)?;
        for Finding { subject, outcome, text, remedy } in &self.findings {
            let mark = match outcome {
                Outcome::Good => "ok  ",
                Outcome::Note => "note",
                Outcome::Bad => "BAD ",
            };
            writeln!(f, "  {mark}  {subject}: {text}")?;
            if let Some(remedy) = remedy {
                writeln!(f, "        -> {remedy}")?;
            }
        }
        let bad = self.findings.iter().filter(|finding| finding.outcome == Outcome::Bad).count();
        match bad {
            0 => writeln!(f, "  An archive can be loaded. Nothing was."),
            1 => writeln!(f, "  1 obstacle. Nothing was loaded."),
            bad => writeln!(f, "  {bad} obstacles. Nothing was loaded."),
        }
    }
}

/// What to do about a failure.
pub(super) fn remedy(error: &Error) -> &'static str {
    match error {
        Error::BadInput(_) => "mend the archive",
        Error::Retryable(fault) => match fault.kind {
            Retryable::ConnectionLost => {
                "look at PGHOST and PGPORT, whether the cluster runs, and whether its security group lets this machine or the function's subnets in"
            }
            Retryable::Serialization | Retryable::StatementTimeout | Retryable::DeadlineNear => {
                "something else works on the tables or the ledger: try again when it has ended"
            }
            Retryable::ClusterUnavailable => "try again when the cluster's resize has ended",
            Retryable::SecretUnavailable => {
                "try again; a function in a subnet needs a way to Secrets Manager: an endpoint or a NAT gateway"
            }
            Retryable::LoginUnavailable => {
                "try again; a function in a subnet needs a way to Redshift's API: an endpoint (redshift, redshift-serverless) or a NAT gateway"
            }
            Retryable::S3Unavailable
            | Retryable::CredentialsUnavailable
            | Retryable::CountsDiffer
            | Retryable::SourceChanged
            | Retryable::DamagedDownload
            | Retryable::StoppedAtBadArchive
            | Retryable::Interrupted
            | Retryable::Unknown => "try again; if it lasts, the message says where",
        },
        Error::Deployment(fault) => match fault.kind {
            Deployment::S3Access => {
                "give the program's role s3:ListBucket on the bucket, s3:GetObject on archives and markers, s3:PutObject below batch/, good/ and bad/, and \
                 s3:DeleteObject on markers, as template.yaml does; or look at the AWS_* variables"
            }
            Deployment::NoSuchBucket => "look at \"bucket\" in the configuration, and at AWS_REGION",
            Deployment::UnorderedListing => {
                "use a general purpose bucket of S3: directory buckets list their keys in no order"
            }
            Deployment::ObjectUnreadable => {
                "upload the archive so that the program's role can read it: no archive storage class, and encrypted by SSE-S3 or a KMS key that it may use"
            }
            Deployment::LoginRefused => {
                "look at PGUSER and the password (pgpass, PGPASSWORD or PGPASS_SECRET_ID)"
            }
            Deployment::AuthenticationUnsupported => {
                "let the user log in by a password; with PGSSLMODE=disable, store it as an MD5 digest"
            }
            Deployment::TlsNotTrusted => {
                "use the host name of the certificate, and PGSSLROOTCERT if its issuer is not one that the system trusts"
            }
            Deployment::TlsUnsupported => "let the server, or what stands before it, speak TLS 1.2 or newer",
            Deployment::SchemaMismatch => "make the table as ddl/ does, or mend the configuration",
            Deployment::Privilege => "grant the user what ddl/grants.sql grants",
            Deployment::CopyAuthorization => {
                "attach the role of COPY_IAM_ROLE to the cluster and let it s3:GetObject below batch/; without COPY_IAM_ROLE, the program's own role needs that"
            }
            Deployment::StorageFull => "free disk space on the cluster, or resize it",
            Deployment::SecretUnreadable => {
                "let the program's role secretsmanager:GetSecretValue on PGPASS_SECRET_ID"
            }
            Deployment::LoginNotGiven => {
                "look at REDSHIFT_CLUSTER or REDSHIFT_WORKGROUP and at AWS_REGION, and let the program's role what template.yaml lets it"
            }
            Deployment::Configuration | Deployment::UnknownEvent | Deployment::ReloadRefused => {
                "mend the configuration"
            }
        },
    }
}
