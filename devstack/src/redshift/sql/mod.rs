//! SQL as far as the front must understand it: where statements end, which words are Redshift's alone and
//! which are none of its.

mod ddl;
pub(super) mod lex;

use std::ops::Range;

use super::Isolation;
use super::wire::Report;

use self::lex::{Kind as TokenKind, Token, tokens};

/// A piece of a statement and what takes its place.
type Edit = (Range<usize>, String);

/// A part of a text, edited; edits outside it are left out.
fn apply(text: &str, part: Range<usize>, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|(range, _)| range.start);
    let mut edited = String::new();
    let mut at = part.start;
    for (range, by) in edits {
        if range.start >= at && range.end <= part.end {
            edited.push_str(&text[at..range.start]);
            edited.push_str(&by);
            at = range.end;
        }
    }
    edited.push_str(&text[at..part.end]);
    edited
}

fn unsupported(message: impl Into<String>) -> Report {
    Report::error("0A000", message)
}

/// Splits a query into its statements, without the comments around them.
pub(super) fn split(sql: &str) -> Vec<String> {
    let tokens = tokens(sql);
    tokens
        .split(|token| token.is_symbol(';'))
        .filter_map(|statement| Some(sql[statement.first()?.start..statement.last()?.range().end].to_owned()))
        .collect()
}

/// What a statement is to the front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// COPY, which the front carries out.
    Copy,
    /// TRUNCATE, which commits.
    Truncate,
    /// Anything else.
    Other,
}

/// What a statement is to the front.
pub(super) fn kind(sql: &str) -> Kind {
    match tokens(sql).first() {
        Some(first) if first.is("COPY") => Kind::Copy,
        Some(first) if first.is("TRUNCATE") => Kind::Truncate,
        _ => Kind::Other,
    }
}

/// Whether values are to be bound.
pub(super) fn has_parameters(sql: &str) -> bool {
    tokens(sql).iter().any(|token| token.kind == TokenKind::Parameter)
}

/// Session values that some functions answer with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values {
    pub(super) last_copy_id: i64,
    pub(super) last_copy_count: u64,
    pub(super) isolation: Isolation,
}

/// A statement in PostgreSQL's words. The functions that answer with session values get them as argument:
/// `errors::prepare` makes such functions.
///
/// # Errors
///
/// What Redshift refuses (`c_unsupported-postgresql-features.md`, `-datatypes.md`, `-functions.md`;
/// `r_LOCK.md` has no NOWAIT).
pub(super) fn translate(sql: &str, values: &Values) -> Result<String, Report> {
    let tokens = tokens(sql);
    let Some(first) = tokens.first() else { return Ok(sql.to_owned()) };
    if let Some(report) = refusal(first, &tokens) {
        return Err(report);
    }
    let sql = apply(sql, 0..sql.len(), session_functions(&tokens, values));
    let tokens = self::lex::tokens(&sql);
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

/// "the current date and time in the current session time zone", as of the transaction's start
/// (`r_SYSDATE.md`).
const SYSDATE: &str = "LOCALTIMESTAMP";

/// `version()`'s form (`r_VERSION.md`).
const VERSION: &str = "PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2 20041017 (Red Hat 3.4.2-6.fc3), Redshift 1.0.devstack";

fn session_functions(tokens: &[Token<'_>], values: &Values) -> Vec<Edit> {
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

fn refusal(first: &Token<'_>, tokens: &[Token<'_>]) -> Option<Report> {
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

/// "BEGIN's levels all map to the same" (`r_BEGIN.md`).
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

/// `r_VACUUM_command.md`: FULL, SORT ONLY, DELETE ONLY, REINDEX, RECLUSTER before the table, TO n PERCENT and
/// BOOST after it.
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

/// A statement for the log, without credentials and passwords.
pub(super) fn redact(sql: &str) -> String {
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

    fn translated(sql: &str) -> String {
        translate(sql, &Values { last_copy_id: -1, last_copy_count: 7, isolation: Isolation::Serializable })
            .unwrap()
    }

    fn compact(sql: &str) -> String {
        translated(sql).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn statements_end_at_semicolons_that_are_code() {
        assert_eq!(
            split("/* a */ BEGIN; SELECT ';', \";\", $a$;$a$ -- ;\n, 'a\\';b'; /* ; */ COMMIT;; -- end"),
            ["BEGIN", "SELECT ';', \";\", $a$;$a$ -- ;\n, 'a\\';b'", "COMMIT"]
        );
    }

    #[test]
    fn redshifts_words_go_and_quoted_ones_stay() {
        for (redshift, postgres) in [
            (
                "CREATE TABLE t (a VARCHAR(MAX) ENCODE ZSTD NOT NULL DISTKEY, b TEXT DEFAULT 'ENCODE x', \"text\" INT) DISTSTYLE KEY SORTKEY (a)",
                "CREATE TABLE t (a VARCHAR(65535) NOT NULL , b VARCHAR(256) DEFAULT 'ENCODE x', \"text\" INT)",
            ),
            (
                "CREATE TABLE t (a BIGINT IDENTITY(1, -2))",
                "CREATE TABLE t (a BIGINT GENERATED ALWAYS AS IDENTITY (START WITH 1 INCREMENT BY -2))",
            ),
            (
                "create temp table if not exists s.t (a int generated by default as identity(1,1) primary key, unique (a, b)) backup no",
                "create temp table if not exists s.t (a int generated by default as IDENTITY (START WITH 1 INCREMENT BY 1) )",
            ),
            (
                "CREATE TABLE t (a character varying, b character varying(9), c char(max), d bpchar, text text)",
                "CREATE TABLE t (a VARCHAR(256), b VARCHAR(9), c CHAR(4096), d CHAR(256), text VARCHAR(256))",
            ),
            (
                "CREATE TABLE t (a INT REFERENCES s.u (x) NOT NULL, b DECIMAL(8,2) REFERENCES u)",
                "CREATE TABLE t (a INT NOT NULL, b DECIMAL(8,2) )",
            ),
            (
                "CREATE TABLE t (a, b) INTERLEAVED SORTKEY (a) AS SELECT 1 AS sortkey, 2",
                "CREATE TABLE t (a, b) AS SELECT 1 AS sortkey, 2",
            ),
            (
                "CREATE TABLE t (a TIMESTAMP DEFAULT SYSDATE)",
                "CREATE TABLE t (a TIMESTAMP DEFAULT LOCALTIMESTAMP)",
            ),
            (
                "CREATE TABLE t (a INT IDENTITY NOT NULL)",
                "CREATE TABLE t (a INT GENERATED ALWAYS AS IDENTITY NOT NULL)",
            ),
            ("ALTER TABLE t ADD COLUMN x TEXT ENCODE raw", "ALTER TABLE t ADD COLUMN x VARCHAR(256)"),
            ("ALTER TABLE t ADD CONSTRAINT k PRIMARY KEY (a)", "ALTER TABLE t RESET (fillfactor)"),
            ("SELECT pg_last_copy_count(), 'version()'", "SELECT pg_last_copy_count(7::bigint), 'version()'"),
            (
                "START TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY",
                "BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY",
            ),
            (
                "SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
                "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            ),
            ("VACUUM SORT ONLY s.t TO 75 PERCENT", "VACUUM s.t"),
            ("VACUUM", "VACUUM"),
            ("ANALYZE t PREDICATE COLUMNS", "ANALYZE t"),
        ] {
            assert_eq!(compact(redshift), postgres, "{redshift}");
        }
    }

    #[test]
    fn half_a_statement_is_not_a_panic() {
        let whole = "CREATE TABLE IF NOT EXISTS a.t (a INT IDENTITY(1,1) REFERENCES u(x), b CHARACTER VARYING(MAX) ENCODE x, CHECK (a), CONSTRAINT k UNIQUE (a)) DISTKEY(a) SORTKEY (a)";
        let values = Values { last_copy_id: -1, last_copy_count: 0, isolation: Isolation::Snapshot };
        for end in 0..=whole.len() {
            let _ = translate(&whole[..end], &values);
            let _ = translate(&format!("ALTER TABLE t ADD {}", &whole[..end]), &values);
            let _ = translate(&format!("ALTER TABLE t ADD {}", &whole[end..]), &values);
            let _ = translate(&format!("CREATE TABLE t {}", &whole[end..]), &values);
        }
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
