//! Finds the ends and kinds of statements, and what a log may show of them.

use super::edit::apply;
use super::lexer::{TokenKind, tokens};

/// Splits a query into its statements, without the comments around them.
pub(crate) fn split(sql: &str) -> Vec<String> {
    let tokens = tokens(sql);
    tokens
        .split(|token| token.is_symbol(';'))
        .filter_map(|statement| Some(sql[statement.first()?.start..statement.last()?.range().end].to_owned()))
        .collect()
}

/// The kind of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StatementKind {
    /// COPY, which the stand-in carries out.
    Copy,
    /// TRUNCATE, which commits.
    Truncate,
    /// Anything else.
    Other,
}

/// Returns the kind of a statement.
pub(crate) fn kind(sql: &str) -> StatementKind {
    match tokens(sql).first() {
        Some(first) if first.is("COPY") => StatementKind::Copy,
        Some(first) if first.is("TRUNCATE") => StatementKind::Truncate,
        _ => StatementKind::Other,
    }
}

/// Checks whether a statement has parameters.
pub(crate) fn has_parameters(sql: &str) -> bool {
    tokens(sql).iter().any(|token| token.kind == TokenKind::Parameter)
}

/// Returns a statement for the log, without credentials and passwords.
pub(crate) fn redact(sql: &str) -> String {
    const BEFORE: [&str; 6] =
        ["ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "TOKEN", "CREDENTIALS", "PASSWORD"];
    let tokens = tokens(sql);
    let mut edits = Vec::new();
    for (at, token) in tokens.iter().enumerate().filter(|(_, token)| token.kind == TokenKind::Literal) {
        let before = tokens[..at].iter().rev().find(|token| !token.is("AS"));
        if before.is_some_and(|before| before.is_any(&BEFORE)) {
            edits.push((token.range(), "'***'".to_owned()));
        }
    }
    apply(sql, 0..sql.len(), edits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_semicolons_that_are_code() {
        assert_eq!(
            split("/* a */ BEGIN; SELECT ';', \";\", $a$;$a$ -- ;\n, 'a\\';b'; /* ; */ COMMIT;; -- end"),
            ["BEGIN", "SELECT ';', \";\", $a$;$a$ -- ;\n, 'a\\';b'", "COMMIT"]
        );
    }

    #[test]
    fn a_log_shows_no_keys() {
        let sql = "COPY t FROM 's3://b/k' ACCESS_KEY_ID'AKIA' SECRET_ACCESS_KEY 'a''b\\'c' SESSION_TOKEN AS /* x */ 'tok' CSV";
        assert_eq!(
            redact(sql),
            "COPY t FROM 's3://b/k' ACCESS_KEY_ID'***' SECRET_ACCESS_KEY '***' SESSION_TOKEN AS /* x */ '***' CSV"
        );
        assert_eq!(redact("CREATE USER u PASSWORD 'hush'"), "CREATE USER u PASSWORD '***'");
    }
}
