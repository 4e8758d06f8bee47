//! Classifies Redshift's refusals of statements, by who must act.

use std::time::Duration;

use cmslite_core::error::{Deployment, Error, Fault, Retryable};
use cmslite_core::problem::Quoting;
use tokio_postgres::error::DbError;

use super::known_errors::{Meaning, S3Exception, known};
use super::statement::Statement;

/// The reason why a statement was not carried out.
#[derive(Debug)]
pub enum StatementError {
    /// COPY met rows that the table does not accept. The load-error tables name them.
    RowsRefused(Fault<Retryable>),
    /// A relation does not exist.
    MissingRelation(Fault<Deployment>),
    /// Any other error.
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

/// The reason why the program stops waiting for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// The run's time is used up.
    TimeIsUp,
    /// The statement's own limit, at which Redshift should have stopped it, is exceeded.
    After(Duration),
}

pub(super) fn unanswered(statement: &Statement<'_>, limit: Limit) -> StatementError {
    let name = name(statement);
    let (kind, message) = match limit {
        Limit::TimeIsUp => {
            (Retryable::DeadlineNear, format!("Redshift did not answer {name} before the time was used up"))
        }
        Limit::After(limit) => (
            Retryable::StatementTimeout,
            format!("Redshift neither answered {name} nor stopped it after {} seconds", limit.as_secs()),
        ),
    };
    StatementError::Other(Error::retryable(kind, message))
}

/// Returns the error of a statement that is not sent, since an earlier one was not answered.
pub(super) fn gone(statement: &Statement<'_>) -> StatementError {
    let message =
        format!("{} was not sent: Redshift has not answered the previous statement", name(statement));
    StatementError::Other(Error::retryable(Retryable::ConnectionLost, message))
}

pub(super) fn classify(error: tokio_postgres::Error, statement: &Statement<'_>) -> StatementError {
    let Some(refused) = error.as_db_error() else {
        let fault =
            Fault::new(Retryable::ConnectionLost, "the connection to Redshift was lost").caused_by(error);
        return StatementError::Other(fault.into());
    };
    let code = refused.code().code();
    let text = full_text(refused);
    let shown = match statement.quoting() {
        Quoting::Shown => &text,
        Quoting::Withheld => without_cells(code, refused.message(), &text),
    };
    classify_refused(code, &text, shown, statement)
}

/// Returns everything that Redshift says about an error; some of it may be in the detail only.
fn full_text(refused: &DbError) -> String {
    match refused.detail() {
        Some(detail) => {
            format!("{}: {}", refused.message(), detail.split_whitespace().collect::<Vec<_>>().join(" "))
        }
        None => refused.message().to_owned(),
    }
}

/// Returns the part of an error that may be shown if cells may not be shown. The known texts are about
/// tables, permissions and S3; they are in the message or, like those of S3, in the detail. Any other text
/// may quote what COPY has read.
fn without_cells<'t>(code: &str, message: &'t str, text: &'t str) -> &'t str {
    match (known(code, message), S3Exception::find(text)) {
        (_, Some(_)) => text,
        (Some(_), None) => message,
        (None, None) => "its message may quote a row and is left out (\"quote_cells\")",
    }
}

/// Classifies a refusal by its SQLSTATE and text. `shown` is the part of the text that may be shown.
fn classify_refused(code: &str, text: &str, shown: &str, statement: &Statement<'_>) -> StatementError {
    let message = format!("Redshift refused {}: {shown} (SQLSTATE {code})", name(statement));
    // Only input may make an archive bad, so an unknown error counts as temporary.
    let (meaning, remedy) = known(code, text).unwrap_or((Meaning::Temporary(Retryable::Unknown), ""));
    let message = if remedy.is_empty() { message } else { format!("{message}; {remedy}") };
    match meaning {
        Meaning::Rows => StatementError::RowsRefused(Fault::new(Retryable::Unknown, message)),
        Meaning::NoRelation => {
            StatementError::MissingRelation(Fault::new(Deployment::SchemaMismatch, message))
        }
        Meaning::Temporary(kind) => StatementError::Other(Error::retryable(kind, message)),
        Meaning::Lasting(kind) => StatementError::Other(Error::deployment(kind, message)),
    }
}

/// Returns a statement's beginning, enough to recognise it, without secrets.
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
        match classify_refused(code, text, text, &Statement::DeleteAll(&table)) {
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
            ("53100", "Deployment.StorageFull"),
            ("42809", "Deployment.SchemaMismatch"),
            ("53200", "Retryable.Unknown"),
        ] {
            assert_eq!(class(code, "x"), expected, "{code}");
        }
    }
}
