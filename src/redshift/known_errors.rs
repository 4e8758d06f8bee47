//! Lists the known errors of Redshift: the meaning of each, its source, and its remedy.
//!
//! Pages without an address are from the Amazon Redshift Database Developer Guide; the others are public
//! threads on GitHub.

use cmslite_core::error::{Deployment, Retryable};

/// The meaning of an error, by who must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// COPY met rows that the table does not accept.
    Rows,
    /// A relation does not exist.
    NoRelation,
    /// The error is temporary.
    Temporary(Retryable),
    /// The error lasts until someone acts.
    Lasting(Deployment),
}

use Meaning::{Lasting, NoRelation, Rows, Temporary};

/// The meaning of an error, and its remedy, which is empty for bad rows and temporary errors.
pub(super) type Known = (Meaning, &'static str);

/// The beginning of an SQLSTATE, a part of the text, their meaning, and the remedy. An empty text matches any
/// text. A text of digits matches Redshift's own error number: the whole text, or all of it before the first
/// colon. The case of letters does not matter. The first matching row decides.
type Row = (&'static str, &'static str, Meaning, &'static str);

const MAKE_TABLE: &str = "create the table as ddl/tables.sql does (the ledger as ddl/ledger.sql does), or correct \"dbtable\", \"schema\" \
                          or \"ledger\" in the configuration";
const PLAIN_TABLE: &str =
    "name a plain table in \"dbtable\": COPY does not work on a view or an external table";
const ROLE: &str = "attach the role of COPY_IAM_ROLE to the cluster or workgroup, and let Redshift assume it";
const READ_STAGED: &str = "let the role of COPY (COPY_IAM_ROLE, else the program's own) s3:GetObject below batch/ and s3:ListBucket, and \
                           kms:Decrypt if a KMS key of your own encrypts the bucket";
const KEYS: &str =
    "give COPY a role with COPY_IAM_ROLE, or give the program valid keys: the AWS_* variables or its role";
const REGION: &str = "set AWS_REGION to the region of the bucket, which COPY gets as REGION";
const DISK: &str = "free disk space on the cluster (VACUUM, or drop unused tables) or resize it";

/// XX000 is Redshift's class for bad rows, conflicts and missing tables alike; the text distinguishes them.
const ROWS: &[Row] = &[
    // tutorial-loading-run-copy.md
    ("XX000", "Check 'stl_load_errors'", Rows, ""),
    // "Check 'sys_load_error_detail' system table for details." on serverless (several public threads)
    ("XX000", "sys_load_error_detail", Rows, ""),
    // c_serial_isolation.md; on the wire the message is "1023" alone (aws/aws-sdk-pandas#665)
    ("XX000", "1023", Temporary(Retryable::Serialization), ""),
    ("XX000", "Serializable isolation violation", Temporary(Retryable::Serialization), ""),
    // c_serial_isolation.md: "ERROR:1018 DETAIL: Relation does not exist", for a table created or dropped by
    // a concurrent transaction; a new transaction sees the current state
    ("XX000", "1018", Temporary(Retryable::Serialization), ""),
    // aws/amazon-redshift-jdbc-driver#147
    ("XX000", "conflict with concurrent transaction", Temporary(Retryable::Serialization), ""),
    ("40001", "", Temporary(Retryable::Serialization), ""),
    ("40P01", "", Temporary(Retryable::Serialization), ""),
    // r_statement_timeout.md; also with a double l (metabase/metabase#36770)
    ("57014", "", Temporary(Retryable::StatementTimeout), ""),
    ("XX000", "canceled on user's request", Temporary(Retryable::StatementTimeout), ""),
    ("XX000", "cancelled on user's request", Temporary(Retryable::StatementTimeout), ""),
    // The cluster's workload management ended a query: error 1020, "system requested abort"
    // (PostHog/posthog#64160)
    ("XX000", "system requested abort", Temporary(Retryable::StatementTimeout), ""),
    ("XX000", "cancelled by WLM", Temporary(Retryable::StatementTimeout), ""),
    // error 1016 (databricks/spark-redshift#348); 53100 is PostgreSQL's
    ("XX000", "Disk Full", Lasting(Deployment::StorageFull), DISK),
    ("53100", "", Lasting(Deployment::StorageFull), DISK),
    // estuary/connectors#918
    ("XX000", "Cannot COPY into nonexistent table", NoRelation, MAKE_TABLE),
    ("42P01", "", NoRelation, MAKE_TABLE),
    // copy-parameters-authorization.md; 3scale/apisonator#196 has the form of the text
    ("XX000", "not authorized to", Lasting(Deployment::CopyAuthorization), ROLE),
    ("XX000", "IAM role", Lasting(Deployment::CopyAuthorization), ROLE),
    ("XX000", "IAM_ROLE", Lasting(Deployment::CopyAuthorization), ROLE),
    // The manifest was just written: if COPY does not find it, COPY may not read it (PostHog/posthog#61603)
    (
        "XX000",
        "COPY with MANIFEST parameter requires full path",
        Lasting(Deployment::CopyAuthorization),
        READ_STAGED,
    ),
    ("XX000", "Access Denied", Lasting(Deployment::CopyAuthorization), READ_STAGED),
    // "the cluster is read-only" during a resize (Management Guide, managing-cluster-operations); 25006 is
    // PostgreSQL's
    ("25006", "", Temporary(Retryable::ClusterUnavailable), ""),
    // PostgreSQL's codes of a server that stops or starts: a cluster that is paused, restarted or in
    // maintenance refuses connections
    ("57P", "", Temporary(Retryable::ConnectionLost), ""),
    ("08", "", Temporary(Retryable::ConnectionLost), ""),
    // apache/airflow#30341
    (
        "42601",
        "NOT NULL column without DEFAULT must be included in column list",
        Lasting(Deployment::SchemaMismatch),
        "let the column take NULL, give it a default, or load it with \"columns\" or \"derived\" in the configuration",
    ),
    // PostgreSQL's codes: wrong object type, feature not supported
    ("42809", "", Lasting(Deployment::SchemaMismatch), PLAIN_TABLE),
    ("0A000", "", Lasting(Deployment::SchemaMismatch), PLAIN_TABLE),
    // PostgreSQL's codes: a schema, column, type or database that is missing or different
    ("3F000", "", Lasting(Deployment::SchemaMismatch), MAKE_TABLE),
    (
        "42703",
        "",
        Lasting(Deployment::SchemaMismatch),
        "add the column to the table, or correct \"columns\" or \"derived\" in the configuration",
    ),
    ("42804", "", Lasting(Deployment::SchemaMismatch), MAKE_TABLE),
    ("3D000", "", Lasting(Deployment::SchemaMismatch), "set PGDATABASE to the database of the tables"),
    ("42501", "", Lasting(Deployment::Privilege), "grant the user what ddl/grants.sql grants"),
    // A user is locked after five refused passwords (Management Guide, behavior-changes)
    (
        "28",
        "",
        Lasting(Deployment::LoginRefused),
        "check the user and the password; a superuser unlocks a locked user with ALTER USER ... PASSWORD",
    ),
];

/// KMS errors that are temporary: KMS is busy, has an internal error, or cannot reach what it depends on (AWS
/// KMS API Reference, `Decrypt` and "Common errors").
const KMS_PASSES: [&str; 4] =
    ["KMS.Throttling", "KMS.DependencyTimeout", "KMS.KeyUnavailable", "KMS.KMSInternal"];

/// S3's errors in COPY's messages, by the beginning of their code
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>); `s3serviceexception-error.md` has
/// the form of the text.
const S3_ERRORS: &[(&str, Deployment, &str)] = &[
    ("AccessDenied", Deployment::CopyAuthorization, READ_STAGED),
    (
        "KMS.",
        Deployment::CopyAuthorization,
        "enable the KMS key that encrypts the bucket, and let the role of COPY kms:Decrypt with it",
    ),
    ("InvalidAccessKeyId", Deployment::CopyAuthorization, KEYS),
    ("SignatureDoesNotMatch", Deployment::CopyAuthorization, KEYS),
    ("ExpiredToken", Deployment::CopyAuthorization, KEYS),
    ("InvalidToken", Deployment::CopyAuthorization, KEYS),
    ("PermanentRedirect", Deployment::Configuration, REGION),
    ("AuthorizationHeaderMalformed", Deployment::Configuration, REGION),
    ("NoSuchBucket", Deployment::NoSuchBucket, "correct \"bucket\" in the configuration, or AWS_REGION"),
];

/// Returns the meaning of an error; `None` if it is not known.
pub(super) fn known(code: &str, text: &str) -> Option<Known> {
    if let Some(exception) = S3Exception::find(text) {
        return Some(exception.meaning());
    }
    let lower = text.to_lowercase();
    let fits = |row: &&Row| code.starts_with(row.0) && says(&lower, row.1);
    ROWS.iter().find(fits).map(|(_, _, meaning, remedy)| (*meaning, *remedy))
}

/// Checks whether a text in lower case matches the text of a row, as [`Row`] describes.
fn says(lower: &str, sign: &str) -> bool {
    if !sign.is_empty() && sign.bytes().all(|byte| byte.is_ascii_digit()) {
        return lower.strip_prefix(sign).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'));
    }
    lower.contains(&sign.to_lowercase())
}

/// An S3 error in the text of a Redshift error: `S3ServiceException:Access Denied,Status 403,Error
/// AccessDenied,Rid ...`.
pub(super) struct S3Exception<'t> {
    message: &'t str,
    status: Option<u16>,
    code: &'t str,
}

impl<'t> S3Exception<'t> {
    pub(super) fn find(text: &'t str) -> Option<Self> {
        let (_, rest) = text.split_once("S3ServiceException:")?;
        let (message, status) = rest.split_once(",Status ").unwrap_or((rest, ""));
        let (status, code) = status.split_once(",Error ").unwrap_or((status, ""));
        let end = code.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(code.len());
        Some(Self { message, status: status.trim().parse().ok(), code: &code[..end] })
    }

    fn meaning(&self) -> Known {
        let passes = (Temporary(Retryable::S3Unavailable), "");
        if self.status.is_some_and(|status| status >= 500 || status == 429) {
            return passes;
        }
        if KMS_PASSES.iter().any(|code| self.code.starts_with(code)) {
            return passes;
        }
        if let Some((_, kind, remedy)) = S3_ERRORS.iter().find(|(code, ..)| self.code.starts_with(code)) {
            return (Lasting(*kind), remedy);
        }
        if self.message.contains("must be addressed using the specified endpoint") {
            return (Lasting(Deployment::Configuration), REGION);
        }
        match self.status {
            Some(403) => (Lasting(Deployment::CopyAuthorization), READ_STAGED),
            _ if self.message.contains("Access Denied") => {
                (Lasting(Deployment::CopyAuthorization), READ_STAGED)
            }
            _ => passes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(code: &str, text: &str) -> Option<Meaning> {
        known(code, text).map(|(meaning, _)| meaning)
    }

    #[test]
    fn s3_is_judged_by_its_code_and_status_and_not_by_what_a_message_quotes() {
        for (text, expected) in [
            ("S3ServiceException:Access Denied,Status 403,Error AccessDenied,Rid x", "CopyAuthorization"),
            ("S3ServiceException:x,Status 400,Error KMS.DisabledException,Rid x", "CopyAuthorization"),
            ("S3ServiceException:x,Status 503,Error KMS.DisabledException,Rid x", "S3Unavailable"),
            ("S3ServiceException:x,Status 400,Error KMS.ThrottlingException,Rid x", "S3Unavailable"),
            (
                "S3ServiceException:AccessDenied at AccessDenied.csv,Status 503,Error SlowDown",
                "S3Unavailable",
            ),
            ("S3ServiceException:IAM role,Status 500,Error InternalError,Rid x", "S3Unavailable"),
            ("S3ServiceException:x,Status 301,Error PermanentRedirect,Rid x", "Configuration"),
            ("S3ServiceException:something new,Status 403,Error SomethingNew", "CopyAuthorization"),
            (
                "S3ServiceException:The specified key does not exist.,Status 404,Error NoSuchKey",
                "S3Unavailable",
            ),
            ("S3ServiceException:cut off", "S3Unavailable"),
        ] {
            let found = format!("{:?}", meaning("XX000", text));
            assert!(found.contains(expected), "{text}: {found}");
        }
    }

    #[test]
    fn a_number_is_the_whole_message_and_no_part_of_one() {
        assert_eq!(meaning("XX000", "1018"), Some(Temporary(Retryable::Serialization)));
        assert_eq!(
            meaning("XX000", "1023: Serializable isolation"),
            Some(Temporary(Retryable::Serialization))
        );
        assert_eq!(meaning("XX000", "10230"), None);
        assert_eq!(meaning("XX000", "query 1018"), None);
    }

    #[test]
    fn what_lasts_says_what_to_do() {
        let lasting = ROWS.iter().filter(|row| matches!(row.2, Lasting(_) | NoRelation));
        assert!(lasting.into_iter().all(|row| !row.3.is_empty()));
        assert!(S3_ERRORS.iter().all(|row| !row.2.is_empty()));
    }
}
