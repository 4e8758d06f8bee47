//! Says what to do about a failure.

use super::{Deployment, Error, Retryable};

impl Error {
    /// Returns the remedy, for those who must act.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::BadInput(_) => "correct the archive, and upload it again",
            Self::Retryable(fault) => match fault.kind {
                Retryable::ConnectionLost => {
                    "check PGHOST and PGPORT, that the cluster is running, and that its security group admits this machine or the function's subnets"
                }
                Retryable::Serialization | Retryable::StatementTimeout => {
                    "another program is working on the tables or the ledger: try again when it has finished"
                }
                Retryable::ClusterUnavailable => "try again when the cluster's resize has ended",
                Retryable::SecretUnavailable => {
                    "try again; a function in a subnet needs a route to Secrets Manager: an endpoint or a NAT gateway"
                }
                Retryable::LoginUnavailable => {
                    "try again; a function in a subnet needs a route to Redshift's API: an endpoint (redshift, redshift-serverless) or a NAT gateway"
                }
                Retryable::S3Unavailable
                | Retryable::CredentialsUnavailable
                | Retryable::CountsDiffer
                | Retryable::SourceChanged
                | Retryable::DamagedDownload
                | Retryable::Unknown => "try again; if it fails again, check what the message names",
                Retryable::DeadlineNear => {
                    "give it more time; if it waited for a lock, try again when the session that holds it has ended"
                }
                Retryable::Interrupted => "run it again: nothing is half done",
                Retryable::StoppedAtBadArchive => {
                    "run it again: the bad archive is settled, so the run does not stop there again"
                }
            },
            Self::Deployment(fault) => match fault.kind {
                Deployment::S3Access => {
                    "give the program's role s3:ListBucket on the bucket, s3:GetObject and s3:GetObjectTagging on archives and markers, s3:PutObject below batch/, \
                     good/, bad/, lease/ and status/, s3:PutObjectTagging and s3:DeleteObject below the first four, as LoaderRole in template.yaml does; or \
                     check the AWS_* variables"
                }
                Deployment::NoSuchBucket => "check \"bucket\" in the configuration, and AWS_REGION",
                Deployment::UnorderedListing => {
                    "use a general purpose bucket of S3: directory buckets do not list their keys in order"
                }
                Deployment::ObjectUnreadable => {
                    "upload the archive so that the program's role can read it: not in an archive storage class, and encrypted with SSE-S3 \
                     or a KMS key that the role may use"
                }
                Deployment::LoginRefused => {
                    "check PGUSER and the password (pgpass, PGPASSWORD or PGPASS_SECRET_ID)"
                }
                Deployment::AuthenticationUnsupported => {
                    "let the user log in with a password; with PGSSLMODE=disable, store it as an MD5 digest"
                }
                Deployment::TlsNotTrusted => {
                    "use the host name of the certificate, and set PGSSLROOTCERT if the system does not trust its issuer"
                }
                Deployment::TlsUnsupported => {
                    "let the server, or the proxy in front of it, use TLS 1.2 or newer"
                }
                Deployment::SchemaMismatch => "create the table as ddl/ does, or correct the configuration",
                Deployment::Privilege => "grant the user what ddl/grants.sql grants",
                Deployment::CopyAuthorization => {
                    "attach the role of COPY_IAM_ROLE to the cluster and allow it s3:GetObject below batch/; without COPY_IAM_ROLE, the program's own role needs that"
                }
                Deployment::StorageFull => "free disk space on the cluster, or resize it",
                Deployment::SecretUnreadable => {
                    "allow the program's role secretsmanager:GetSecretValue on PGPASS_SECRET_ID, and kms:Decrypt on its key; correct its \
                     contents if the message names them"
                }
                Deployment::LoginNotGiven => {
                    "check REDSHIFT_CLUSTER or REDSHIFT_WORKGROUP, and AWS_REGION, and give the program's role the permissions that \
                     template.yaml gives it"
                }
                Deployment::Configuration => {
                    "correct the configuration file or the environment variable that the message names"
                }
                Deployment::UnknownEvent => "send an event in a form that docs/reference/events.md lists",
                Deployment::ReloadRefused => "choose another archive: `status` lists them with their states",
            },
        }
    }
}
