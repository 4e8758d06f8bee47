//! Refuses what Redshift refuses (`c_unsupported-postgresql-features.md`, `-datatypes.md`, `-functions.md`;
//! `r_LOCK.md` has no NOWAIT).

use super::lexer::Token;
use crate::redshift::wire::Report;

pub(super) fn unsupported(message: impl Into<String>) -> Report {
    Report::error("0A000", message)
}

/// Returns why a statement is refused, if it is.
pub(super) fn refusal(first: &Token<'_>, tokens: &[Token<'_>]) -> Option<Report> {
    let follows = |at: usize, test: &dyn Fn(&Token<'_>) -> bool| tokens.get(at).is_some_and(test);
    if first.is("INSERT") {
        let conflict = (0..tokens.len()).any(|at| {
            tokens[at].is("ON")
                && follows(at + 1, &|token| token.is("CONFLICT"))
                && follows(at + 2, &|token| token.is_any(&["DO", "ON"]) || token.is_symbol('('))
        });
        if conflict {
            return Some(Report::error(
                "42601",
                "syntax error at or near \"CONFLICT\": ON CONFLICT is not supported",
            ));
        }
    }
    if first.is("CREATE") {
        for word in ["INDEX", "SEQUENCE", "TYPE"] {
            if follows(1, &|token| token.is(word))
                || follows(1, &|token| token.is("UNIQUE")) && follows(2, &|token| token.is(word))
            {
                return Some(unsupported(format!("CREATE {word} is not supported")));
            }
        }
    }
    if first.is("LOCK") && tokens.iter().any(|token| token.is("NOWAIT")) {
        return Some(Report::error("42601", "syntax error at or near \"NOWAIT\""));
    }
    let advisory = |at: &usize| {
        let name = tokens[*at].text.to_ascii_lowercase();
        (name.starts_with("pg_advisory_") || name.starts_with("pg_try_advisory_"))
            && follows(at + 1, &|token| token.is_symbol('('))
    };
    let found = (0..tokens.len()).find(advisory)?;
    Some(Report::error("42883", format!("function {}() does not exist", tokens[found].text)))
}
