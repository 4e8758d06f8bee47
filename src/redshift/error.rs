//! What Redshift's refusals of statements mean, by who must act.

use std::time::Duration;

use cmslite_core::error::{Deployment, Error, Fault, Retryable};
use tokio_postgres::error::DbError;

use super::statement::Statement;

/// Why a statement was not carried out.
#[derive(Debug)]
pub enum StatementError {
    /// COPY met rows that the table does not take: the load-error tables know which.
    RowsRefused(Fault<Retryable>),
    /// A relation does not exist.
    MissingRelation(Fault<Deployment>),
    /// Anything else.
    Other(Error),
}

impl From<StatementError> for Error {
    fn from(error: StatementError) -> Self {
        match error {
            StatementError::RowsRefused(fault) => fault.into(),
            StatementError::MissingRelation(fault) => fault.into(),
            StatementError::Other(error) => error,
        }
    }
}

/// Why an answer is waited for no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// The run's time is up.
    TimeIsUp,
    /// The statement's own limit, at which Redshift should have stopped it, is over.
    After(Duration),
}

pub(super) fn unanswered(statement: &Statement<'_>, limit: Limit) -> StatementError {
    let name = name(statement);
    let (kind, message) = match limit {
        Limit::TimeIsUp => {
            (Retryable::DeadlineNear, format!("Redshift did not answer {name} before the time was up"))
        }
        Limit::After(limit) => (
            Retryable::StatementTimeout,
            format!("Redshift did not answer {name}, nor stop it after {} seconds", limit.as_secs()),
        ),
    };
    StatementError::Other(Error::retryable(kind, message))
}

/// A statement that is not sent, since an earlier one was not answered.
pub(super) fn gone(statement: &Statement<'_>) -> StatementError {
    let message =
        format!("{} was not sent: Redshift has not answered the statement before it", name(statement));
    StatementError::Other(Error::retryable(Retryable::ConnectionLost, message))
}

/// What a text means that comes under SQLSTATE XX000, Redshift's class for bad rows, conflicts and missing
/// tables alike.
enum Meaning {
    Rows,
    Conflict,
    NoTable,
    CopyAuthorization,
    S3Unavailable,
}

/// Texts of XX000 and what they mean; the first that is contained decides.
const INTERNAL_ERRORS: &[(&str, Meaning)] = &[
    // tutorial-loading-run-copy.md
    ("Check 'stl_load_errors'", Meaning::Rows),
    // The view that AWS names in its place for serverless (SYS_LOAD_ERROR_DETAIL.md); its wording in an error
    // is not documented.
    ("sys_load_error_detail", Meaning::Rows),
    // c_serial_isolation.md; on the wire the message is "1023" alone (aws-sdk-pandas#665)
    ("Serializable isolation violation", Meaning::Conflict),
    // amazon-redshift-jdbc-driver#147
    ("conflict with concurrent transaction", Meaning::Conflict),
    // estuary/connectors#918
    ("Cannot COPY into nonexistent table", Meaning::NoTable),
    // s3serviceexception-error.md
    ("AccessDenied", Meaning::CopyAuthorization),
    ("Access Denied", Meaning::CopyAuthorization),
    ("InvalidAccessKeyId", Meaning::CopyAuthorization),
    ("SignatureDoesNotMatch", Meaning::CopyAuthorization),
    ("ExpiredToken", Meaning::CopyAuthorization),
    ("InvalidToken", Meaning::CopyAuthorization),
    ("Status 403", Meaning::CopyAuthorization),
    ("ot authorized to", Meaning::CopyAuthorization),
    ("IAM role", Meaning::CopyAuthorization),
    ("IAM_ROLE", Meaning::CopyAuthorization),
    ("S3ServiceException", Meaning::S3Unavailable),
];

pub(super) fn classify(error: tokio_postgres::Error, statement: &Statement<'_>) -> StatementError {
    let Some(refused) = error.as_db_error() else {
        let fault =
            Fault::new(Retryable::ConnectionLost, "the connection to Redshift was lost").caused_by(error);
        return StatementError::Other(fault.into());
    };
    classify_refused(refused.code().code(), &full_text(refused), statement)
}

/// Everything that Redshift says of an error, which may be in the detail only.
fn full_text(refused: &DbError) -> String {
    match refused.detail() {
        Some(detail) => {
            format!("{}: {}", refused.message(), detail.split_whitespace().collect::<Vec<_>>().join(" "))
        }
        None => refused.message().to_owned(),
    }
}

fn classify_refused(code: &str, text: &str, statement: &Statement<'_>) -> StatementError {
    let message = format!("Redshift refused {}: {text} (SQLSTATE {code})", name(statement));
    let retryable = |kind| StatementError::Other(Error::retryable(kind, message.clone()));
    let deployment = |kind| StatementError::Other(Error::deployment(kind, message.clone()));
    match code {
        "XX000" => {
            let conflict = text == "1023" || text.starts_with("1023:");
            let meaning =
                INTERNAL_ERRORS.iter().find(|(known, _)| text.contains(known)).map(|(_, meaning)| meaning);
            match meaning {
                _ if conflict => retryable(Retryable::Serialization),
                Some(Meaning::Rows) => StatementError::RowsRefused(Fault::new(Retryable::Unknown, message)),
                Some(Meaning::Conflict) => retryable(Retryable::Serialization),
                Some(Meaning::NoTable) => {
                    StatementError::MissingRelation(Fault::new(Deployment::SchemaMismatch, message))
                }
                Some(Meaning::CopyAuthorization) => deployment(Deployment::CopyAuthorization),
                Some(Meaning::S3Unavailable) => retryable(Retryable::S3Unavailable),
                None => retryable(Retryable::Unknown),
            }
        }
        "40001" | "40P01" => retryable(Retryable::Serialization),
        "57014" => retryable(Retryable::StatementTimeout),
        "42P01" => StatementError::MissingRelation(Fault::new(Deployment::SchemaMismatch, message)),
        "3F000" | "42703" | "42804" | "3D000" => deployment(Deployment::SchemaMismatch),
        "42501" => deployment(Deployment::Privilege),
        _ if code.starts_with("28") => deployment(Deployment::LoginRefused),
        _ if code.starts_with("08") || matches!(code, "57P01" | "57P02" | "57P03") => {
            retryable(Retryable::ConnectionLost)
        }
        _ => retryable(Retryable::Unknown),
    }
}

/// A statement's beginning, enough to know it by, without secrets.
pub(super) fn name(statement: &Statement<'_>) -> String {
    let text = statement.to_string();
    let cut = text.find(" (").or_else(|| text.char_indices().nth(60).map(|(at, _)| at)).unwrap_or(text.len());
    text[..cut].to_owned()
}

#[cfg(test)]
mod tests {
    use cmslite_core::config::TableName;

    use super::*;

    fn class(code: &str, text: &str) -> String {
        let table = TableName { schema: "s".to_owned(), table: "t".to_owned() };
        match classify_refused(code, text, &Statement::DeleteAll(&table)) {
            StatementError::RowsRefused(_) => "rows".to_owned(),
            StatementError::MissingRelation(_) => "no relation".to_owned(),
            StatementError::Other(error) => error.error_type().to_owned(),
        }
    }

    #[test]
    fn one_sqlstate_is_told_apart_by_its_text() {
        for (text, expected) in [
            ("1023", "Retryable.Serialization"),
            (
                "1023: Serializable isolation violation on table - 1, transactions forming the cycle are: 1, 2",
                "Retryable.Serialization",
            ),
            ("could not complete because of conflict with concurrent transaction", "Retryable.Serialization"),
            (
                "Load into table 'user_group' failed.  Check 'stl_load_errors' system table for details.",
                "rows",
            ),
            ("Cannot COPY into nonexistent table user_group", "no relation"),
            (
                "S3ServiceException:Access Denied,Status 403,Error AccessDenied,Rid x",
                "Deployment.CopyAuthorization",
            ),
            (
                "S3ServiceException:Please reduce your request rate,Status 503,Error SlowDown",
                "Retryable.S3Unavailable",
            ),
            ("something never seen", "Retryable.Unknown"),
        ] {
            assert_eq!(class("XX000", text), expected, "{text}");
        }
    }

    #[test]
    fn sqlstates_that_say_enough_decide_alone() {
        for (code, expected) in [
            ("57014", "Retryable.StatementTimeout"),
            ("40001", "Retryable.Serialization"),
            ("42P01", "no relation"),
            ("42703", "Deployment.SchemaMismatch"),
            ("42501", "Deployment.Privilege"),
            ("08006", "Retryable.ConnectionLost"),
            ("57P01", "Retryable.ConnectionLost"),
            ("53200", "Retryable.Unknown"),
        ] {
            assert_eq!(class(code, "x"), expected, "{code}");
        }
    }
}
