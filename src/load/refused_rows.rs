//! The rows that Redshift refused, as problems of the archive.

use cmslite_core::error::{Deployment, Error, Retryable};
use cmslite_core::problem::{Problem, Problems, Reason};
use cmslite_core::text::printable;

use crate::redshift::session::Session;
use crate::redshift::statement::Statement;
use crate::redshift::{RefusedRow, RefusedRows};
use crate::stage::StagedTable;

/// The rows that Redshift refused, in the words of the archive; the fault itself when Redshift does not tell
/// them, since then nobody knows that the input is at fault.
pub(super) async fn problems_of(session: &Session, staged: &StagedTable<'_>, fault: Error) -> Error {
    let rows = match session.refused_rows(&staged.file).await {
        Err(error) => return error,
        Ok(RefusedRows::Rows(rows)) => rows,
        Ok(RefusedRows::Unknown { is_readable }) => {
            let query = Statement::LoadErrorsOfAnySession { file: &staged.file };
            let message = format!(
                "{fault}; which rows, {}, so that nobody knows what is wrong with {}: as a superuser, run {query}",
                if is_readable {
                    "neither sys_load_error_detail nor stl_load_errors says"
                } else {
                    "the user may not read in sys_load_error_detail or stl_load_errors"
                },
                staged.member
            );
            return if is_readable {
                Error::retryable(Retryable::Unknown, message)
            } else {
                Error::deployment(Deployment::Privilege, message)
            };
        }
    };
    let mut problems = Problems::default();
    for row in rows {
        problems.push(problem(staged, row));
    }
    problems.into()
}

fn problem(staged: &StagedTable<'_>, row: RefusedRow) -> Problem {
    let mut message = row.message;
    if let Some(kind) = row.column_type {
        let length = row.column_length.map(|length| format!("({length})")).unwrap_or_default();
        message = format!("{message}; the column is {kind}{length}");
        if let (true, Some(value)) = (message.contains("length"), &row.value) {
            message = format!("{message}, the value has {} bytes", value.len());
        }
    }
    let mut problem = Problem::member(
        &staged.member,
        Reason::Refused { code: row.code, message: printable(message.as_bytes()) },
    );
    problem.line = row.line.and_then(|line| staged.lines.source_line(line));
    problem.column = row.column;
    match row.value {
        Some(value) => problem.with_text(value.as_bytes()),
        None => problem,
    }
}
