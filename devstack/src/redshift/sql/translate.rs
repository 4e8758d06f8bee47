//! Translates statements for PostgreSQL.

use super::ddl;
use super::edit::{Edit, apply};
use super::lexer::{Token, tokens};
use super::refusals::refusal;
use super::statements::split;
use crate::redshift::options::Isolation;
use crate::redshift::wire::Report;

/// The session values that some functions return.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionValues {
    pub(crate) last_copy_id: i64,
    pub(crate) last_copy_count: u64,
    pub(crate) isolation: Isolation,
}

/// Translates a statement for PostgreSQL. The functions that return session values get them as arguments:
/// `system_tables::prepare` creates such functions.
///
/// # Errors
///
/// The statement is one that Redshift refuses (`c_unsupported-postgresql-features.md`, `-datatypes.md`,
/// `-functions.md`; `r_LOCK.md` has no NOWAIT).
pub(crate) fn translate(sql: &str, values: &SessionValues) -> Result<String, Report> {
    let tokens = tokens(sql);
    let Some(first) = tokens.first() else { return Ok(sql.to_owned()) };
    if let Some(report) = refusal(first, &tokens) {
        return Err(report);
    }
    let sql = apply(sql, 0..sql.len(), session_functions(&tokens, values));
    let tokens = super::lexer::tokens(&sql);
    let Some(first) = tokens.first() else { return Ok(sql) };
    let edits = if first.is("CREATE") {
        ddl::create_table(&sql, &tokens)?
    } else if first.is("ALTER") {
        ddl::alter_table(&sql, &tokens)?
    } else if first.is_any(&["BEGIN", "START", "SET"]) {
        return Ok(transaction(&sql, first, &tokens, values.isolation));
    } else if first.is("VACUUM") {
        return Ok(vacuum(&tokens));
    } else if first.is("ANALYZE") {
        let columns =
            tokens.windows(2).find(|pair| pair[0].is_any(&["PREDICATE", "ALL"]) && pair[1].is("COLUMNS"));
        columns.map(|pair| (pair[0].start..pair[1].range().end, String::new())).into_iter().collect()
    } else {
        return Ok(sql);
    };
    Ok(apply(&sql, 0..sql.len(), edits))
}

/// The replacement of SYSDATE: "the current date and time in the current session time zone", as of the
/// transaction's start (`r_SYSDATE.md`).
const SYSDATE: &str = "LOCALTIMESTAMP";

/// The result of `version()` (`r_VERSION.md`).
const VERSION: &str = "PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2 20041017 (Red Hat 3.4.2-6.fc3), Redshift 1.0.devstack";

fn session_functions(tokens: &[Token<'_>], values: &SessionValues) -> Vec<Edit> {
    let mut edits = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let symbol = |offset: usize, symbol: char| {
            tokens.get(at + offset).is_some_and(|token| token.is_symbol(symbol))
        };
        if token.is("SYSDATE") && !symbol(1, '(') && !symbol(1, '.') {
            let before = at.checked_sub(1).map(|before| tokens[before]);
            if !before.is_some_and(|before| before.is_symbol('.') || before.is("AS")) {
                edits.push((token.range(), SYSDATE.to_owned()));
            }
        }
        if symbol(1, '(') && symbol(2, ')') {
            let argument = if token.is("pg_last_copy_count") {
                format!("{}::bigint", values.last_copy_count)
            } else if token.is("pg_last_copy_id") {
                format!("{}::integer", values.last_copy_id)
            } else if token.is("version") {
                format!("'{VERSION}'::text")
            } else {
                continue;
            };
            edits.push((tokens[at + 1].range().end..tokens[at + 2].start, argument));
        }
    }
    edits
}

/// Translates BEGIN: "BEGIN's levels all map to the same" (`r_BEGIN.md`).
fn transaction(sql: &str, first: &Token<'_>, tokens: &[Token<'_>], isolation: Isolation) -> String {
    let level = match isolation {
        Isolation::Serializable => "SERIALIZABLE",
        Isolation::Snapshot => "REPEATABLE READ",
    };
    if first.is("BEGIN") || first.is("START") && tokens.get(1).is_some_and(|token| token.is("TRANSACTION")) {
        let read = tokens.windows(2).find(|pair| pair[0].is("READ") && pair[1].is_any(&["ONLY", "WRITE"]));
        let read = read.map(|pair| format!(", READ {}", pair[1].text)).unwrap_or_default();
        return format!("BEGIN ISOLATION LEVEL {level}{read}");
    }
    let named = tokens.windows(3).find(|words| words[0].is("ISOLATION") && words[1].is("LEVEL"));
    match named {
        Some(words) => {
            let two = words[2].is_any(&["READ", "REPEATABLE"]);
            let last = tokens.iter().find(|token| two && token.start > words[2].start).unwrap_or(&words[2]);
            apply(sql, 0..sql.len(), vec![(words[2].start..last.range().end, level.to_owned())])
        }
        None => sql.to_owned(),
    }
}

/// Translates VACUUM (`r_VACUUM_command.md`): FULL, SORT ONLY, DELETE ONLY, REINDEX, RECLUSTER before the
/// table, TO n PERCENT and BOOST after it.
fn vacuum(tokens: &[Token<'_>]) -> String {
    let mut words = tokens[1..]
        .iter()
        .skip_while(|token| token.is_any(&["FULL", "SORT", "DELETE", "REINDEX", "RECLUSTER", "ONLY"]));
    let mut table = String::new();
    for token in words.by_ref().take_while(|token| !token.is_any(&["TO", "BOOST"])) {
        table.push_str(token.text);
    }
    format!("VACUUM {table}")
}

/// Translates Redshift's DDL for PostgreSQL, for a database that is set up without the stand-in.
///
/// # Errors
///
/// Redshift refuses one of the statements.
pub fn postgresql_ddl(ddl: &str) -> Result<String, String> {
    let values = SessionValues { last_copy_id: -1, last_copy_count: 0, isolation: Isolation::Snapshot };
    let statements = split(ddl)
        .into_iter()
        .map(|statement| translate(&statement, &values).map_err(|report| report.message));
    Ok(statements.collect::<Result<Vec<_>, _>>()?.join(";\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(sql: &str) -> String {
        translate(
            sql,
            &SessionValues { last_copy_id: -1, last_copy_count: 7, isolation: Isolation::Serializable },
        )
        .unwrap()
    }

    fn compact(sql: &str) -> String {
        translated(sql).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn redshifts_words_go_and_quoted_ones_stay() {
        for (name, redshift, postgres) in [
            (
                "column attributes",
                "CREATE TABLE t (a VARCHAR(MAX) ENCODE ZSTD NOT NULL DISTKEY, b TEXT DEFAULT 'ENCODE x', \"text\" INT) DISTSTYLE KEY SORTKEY (a)",
                "CREATE TABLE t (a VARCHAR(65535) NOT NULL , b VARCHAR(256) DEFAULT 'ENCODE x', \"text\" INT)",
            ),
            (
                "identity with seed and step",
                "CREATE TABLE t (a BIGINT IDENTITY(1, -2))",
                "CREATE TABLE t (a BIGINT GENERATED ALWAYS AS IDENTITY (START WITH 1 INCREMENT BY -2))",
            ),
            (
                "temporary table",
                "create temp table if not exists s.t (a int generated by default as identity(1,1) primary key, unique (a, b)) backup no",
                "create temp table if not exists s.t (a int generated by default as IDENTITY (START WITH 1 INCREMENT BY 1) )",
            ),
            (
                "character types",
                "CREATE TABLE t (a character varying, b character varying(9), c char(max), d bpchar, text text)",
                "CREATE TABLE t (a VARCHAR(256), b VARCHAR(9), c CHAR(4096), d CHAR(256), text VARCHAR(256))",
            ),
            (
                "references",
                "CREATE TABLE t (a INT REFERENCES s.u (x) NOT NULL, b DECIMAL(8,2) REFERENCES u)",
                "CREATE TABLE t (a INT NOT NULL, b DECIMAL(8,2) )",
            ),
            (
                "table as a query",
                "CREATE TABLE t (a, b) INTERLEAVED SORTKEY (a) AS SELECT 1 AS sortkey, 2",
                "CREATE TABLE t (a, b) AS SELECT 1 AS sortkey, 2",
            ),
            (
                "SYSDATE",
                "CREATE TABLE t (a TIMESTAMP DEFAULT SYSDATE)",
                "CREATE TABLE t (a TIMESTAMP DEFAULT LOCALTIMESTAMP)",
            ),
            (
                "identity alone",
                "CREATE TABLE t (a INT IDENTITY NOT NULL)",
                "CREATE TABLE t (a INT GENERATED ALWAYS AS IDENTITY NOT NULL)",
            ),
            (
                "column added",
                "ALTER TABLE t ADD COLUMN x TEXT ENCODE raw",
                "ALTER TABLE t ADD COLUMN x VARCHAR(256)",
            ),
            (
                "key added",
                "ALTER TABLE t ADD CONSTRAINT k PRIMARY KEY (a)",
                "ALTER TABLE t RESET (fillfactor)",
            ),
            (
                "session function",
                "SELECT pg_last_copy_count(), 'version()'",
                "SELECT pg_last_copy_count(7::bigint), 'version()'",
            ),
            (
                "START TRANSACTION",
                "START TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY",
                "BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY",
            ),
            (
                "SET TRANSACTION",
                "SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
                "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            ),
            ("VACUUM with words", "VACUUM SORT ONLY s.t TO 75 PERCENT", "VACUUM s.t"),
            ("VACUUM alone", "VACUUM", "VACUUM"),
            ("ANALYZE", "ANALYZE t PREDICATE COLUMNS", "ANALYZE t"),
        ] {
            assert_eq!(compact(redshift), postgres, "{name}: {redshift}");
        }
    }

    #[test]
    fn half_a_statement_is_not_a_panic() {
        let whole = "CREATE TABLE IF NOT EXISTS a.t (a INT IDENTITY(1,1) REFERENCES u(x), b CHARACTER VARYING(MAX) ENCODE x, CHECK (a), CONSTRAINT k UNIQUE (a)) DISTKEY(a) SORTKEY (a)";
        let values = SessionValues { last_copy_id: -1, last_copy_count: 0, isolation: Isolation::Snapshot };
        for end in 0..=whole.len() {
            let _ = translate(&whole[..end], &values);
            let _ = translate(&format!("ALTER TABLE t ADD {}", &whole[..end]), &values);
            let _ = translate(&format!("ALTER TABLE t ADD {}", &whole[end..]), &values);
            let _ = translate(&format!("CREATE TABLE t {}", &whole[end..]), &values);
        }
    }
}
