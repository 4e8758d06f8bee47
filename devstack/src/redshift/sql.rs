//! SQL as far as the front must understand it: where statements end, what is quoted, which words are Redshift's alone
//! and which are none of its.

use std::sync::LazyLock;

use regex::Regex;

use super::wire::Report;

/// Splits a query into its statements, at semicolons that are neither quoted nor in a comment.
pub(super) fn split(sql: &str) -> Vec<String> {
    let mut statements = Vec::new();
    let mut current = String::new();
    for piece in pieces(sql) {
        match piece {
            Piece::Code(code) => {
                let mut parts = code.split(';');
                current.push_str(parts.next().unwrap_or_default());
                for part in parts {
                    statements.push(std::mem::take(&mut current));
                    current.push_str(part);
                }
            }
            Piece::Quoted(text) => current.push_str(text),
            Piece::Comment => current.push(' '),
        }
    }
    statements.push(current);
    statements.into_iter().map(|statement| statement.trim().to_owned()).filter(|statement| !statement.is_empty()).collect()
}

enum Piece<'a> {
    Code(&'a str),
    Quoted(&'a str),
    Comment,
}

/// A query as code, quoted texts (their quotes included) and comments.
fn pieces(sql: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = sql;
    while !rest.is_empty() {
        let quoted = match rest.as_bytes() {
            [b'\'', ..] => Some(quoted_end(rest, '\'', true)),
            [b'"', ..] => Some(quoted_end(rest, '"', false)),
            [b'$', ..] => dollar_end(rest),
            _ => None,
        };
        if let Some(end) = quoted {
            pieces.push(Piece::Quoted(&rest[..end]));
            rest = &rest[end..];
        } else if rest.starts_with("--") {
            let end = rest.find('\n').unwrap_or(rest.len());
            pieces.push(Piece::Comment);
            rest = &rest[end..];
        } else if rest.starts_with("/*") {
            let end = rest.find("*/").map_or(rest.len(), |end| end + 2);
            pieces.push(Piece::Comment);
            rest = &rest[end..];
        } else {
            let after = rest.chars().next().map_or(1, char::len_utf8);
            let end = rest[after..].find(['\'', '"', '$', '-', '/']).map_or(rest.len(), |end| end + after);
            pieces.push(Piece::Code(&rest[..end]));
            rest = &rest[end..];
        }
    }
    pieces
}

/// Where a quoted text ends. In a literal a backslash takes the next character with it (`r_CREATE_USER.md`).
fn quoted_end(text: &str, quote: char, backslash: bool) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if backslash && c == '\\' {
            chars.next();
        } else if c == quote {
            if chars.peek().is_some_and(|(_, next)| *next == quote) {
                chars.next();
            } else {
                return at + c.len_utf8();
            }
        }
    }
    text.len()
}

fn dollar_end(text: &str) -> Option<usize> {
    let tag_end = text[1..].find('$')? + 2;
    let tag = &text[..tag_end];
    if !tag[1..tag_end - 1].chars().all(|c| c.is_alphanumeric() || c == '_') || tag[1..].starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    text[tag_end..].find(tag).map(|end| tag_end + end + tag_end)
}

/// A statement with its quoted texts set aside, so that words can be looked for.
struct Masked {
    code: String,
    quoted: Vec<String>,
}

impl Masked {
    fn of(sql: &str) -> Self {
        let mut masked = Self { code: String::new(), quoted: Vec::new() };
        for piece in pieces(sql) {
            match piece {
                Piece::Code(code) => masked.code.push_str(code),
                Piece::Comment => masked.code.push(' '),
                Piece::Quoted(text) => {
                    masked.code.push_str(&format!("\u{1}{}\u{1}", masked.quoted.len()));
                    masked.quoted.push(text.to_owned());
                }
            }
        }
        masked
    }

    fn replace(&mut self, regex: &Regex, by: &str) {
        self.code = regex.replace_all(&self.code, by).into_owned();
    }

    fn restore(self) -> String {
        let mut sql = self.code;
        for (n, text) in self.quoted.iter().enumerate() {
            sql = sql.replace(&format!("\u{1}{n}\u{1}"), text);
        }
        sql
    }
}

macro_rules! regex {
    ($text:literal) => {{
        // The expressions are constants; one that does not compile would fail every test.
        static REGEX: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(concat!("(?is)", $text)).ok());
        &*REGEX
    }};
}

/// What a statement is to the front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// `COPY ... FROM 's3://...'`, or any other COPY.
    Copy,
    /// BEGIN or START TRANSACTION.
    Begin,
    /// TRUNCATE, which commits.
    Truncate,
    /// Anything else.
    Other,
}

/// What a statement is to the front.
pub(super) fn kind(sql: &str) -> Kind {
    let words: Vec<String> = sql.split_whitespace().take(2).map(str::to_ascii_uppercase).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["COPY", ..] => Kind::Copy,
        ["BEGIN", ..] | ["START", "TRANSACTION"] => Kind::Begin,
        ["TRUNCATE", ..] => Kind::Truncate,
        _ => Kind::Other,
    }
}

/// What Redshift does not know, and what its documentation says of it.
fn refusals() -> [(&'static Option<Regex>, &'static str, &'static str); 9] {
    [
        (regex!(r"\bON\s+CONFLICT\b"), "42601", "syntax error at or near \"ON\": ON CONFLICT is not supported; use MERGE"),
        (regex!(r"\bpg_(?:try_)?advisory_\w+\s*\("), "42883", "advisory lock functions are not supported"),
        (regex!(r"^\s*CREATE\s+(?:UNIQUE\s+)?INDEX\b"), "0A000", "CREATE INDEX is not supported"),
        (regex!(r"^\s*CREATE\s+SEQUENCE\b"), "0A000", "CREATE SEQUENCE is not supported"),
        (regex!(r"^\s*LOCK\b.*\bNOWAIT\b"), "42601", "syntax error at or near \"NOWAIT\""),
        (regex!(r"^\s*(?:CREATE|ALTER)\s.*\bTABLE\b.*\b(?:BIG|SMALL)?SERIAL\b"), "0A000", "SERIAL is not supported; use IDENTITY"),
        (regex!(r"^\s*(?:CREATE|ALTER)\s.*\bTABLE\b.*\b(?:UUID|JSONB?|BYTEA)\b"), "0A000", "column type UUID, JSON or BYTEA is not supported"),
        (regex!(r"^\s*(?:CREATE|ALTER)\s.*\bTABLE\b.*\w\s*\[\s*\d*\s*\]"), "0A000", "array column types are not supported"),
        (regex!(r"^\s*(?:CREATE|ALTER)\s.*\bTABLE\b.*\bCHECK\s*\("), "0A000", "CHECK constraints are not supported"),
    ]
}

/// Session values that some functions answer with.
pub(super) struct Values {
    pub(super) last_copy_id: i64,
    pub(super) last_copy_count: u64,
}

/// A statement in PostgreSQL's words.
///
/// # Errors
///
/// What Redshift refuses (`c_unsupported-postgresql-features.md`, `-datatypes.md`; `r_LOCK.md` has no NOWAIT).
pub(super) fn translate(sql: &str, values: &Values) -> Result<String, Report> {
    let mut masked = Masked::of(sql);
    for (regex, code, message) in refusals() {
        if regex.as_ref().is_some_and(|regex| regex.is_match(&masked.code)) {
            return Err(Report::error(code, message));
        }
    }
    let mut replace = |regex: &Option<Regex>, by: &str| {
        if let Some(regex) = regex {
            masked.replace(regex, by);
        }
    };
    replace(regex!(r"\bpg_last_copy_count\s*\(\s*\)"), &format!("({}::bigint)", values.last_copy_count));
    replace(regex!(r"\bpg_last_copy_id\s*\(\s*\)"), &format!("({}::integer)", values.last_copy_id));
    replace(regex!(r"\bversion\s*\(\s*\)"), &format!("('{VERSION}'::text)"));
    if regex!(r"^\s*(?:CREATE|ALTER)\s.*\bTABLE\b").as_ref().is_some_and(|regex| regex.is_match(&masked.code)) {
        let mut replace = |regex: &Option<Regex>, by: &str| {
            if let Some(regex) = regex {
                masked.replace(regex, by);
            }
        };
        replace(regex!(r"\bENCODE\s+\w+"), "");
        replace(regex!(r"\bDISTSTYLE\s+\w+"), "");
        replace(regex!(r"\b(?:COMPOUND\s+|INTERLEAVED\s+)?SORTKEY\s*\([^)]*\)"), "");
        replace(regex!(r"\bDISTKEY\s*\([^)]*\)"), "");
        replace(regex!(r"\b(?:SORTKEY|DISTKEY)\b"), "");
        replace(regex!(r"\bSORTKEY\s+AUTO\b"), "");
        replace(regex!(r"\bBACKUP\s+(?:YES|NO)\b"), "");
        replace(
            regex!(r"\bGENERATED\s+BY\s+DEFAULT\s+AS\s+IDENTITY\s*\(\s*(-?\d+)\s*,\s*(-?\d+)\s*\)"),
            "GENERATED BY DEFAULT AS IDENTITY\u{2}($1,$2)",
        );
        replace(regex!(r"\bIDENTITY\s*\(\s*(-?\d+)\s*,\s*(-?\d+)\s*\)"), "GENERATED ALWAYS AS IDENTITY (START WITH $1 INCREMENT BY $2)");
        replace(regex!("IDENTITY\u{2}\\((-?\\d+),(-?\\d+)\\)"), "IDENTITY (START WITH $1 INCREMENT BY $2)");
        replace(regex!(r"\b(VARCHAR|CHARACTER\s+VARYING)\s*\(\s*MAX\s*\)"), "VARCHAR(65535)");
        replace(regex!(r"\bTEXT\b"), "VARCHAR(256)");
        // Declared, and not enforced (r_CREATE_TABLE_NEW.md).
        replace(regex!(r",\s*(?:PRIMARY\s+KEY|UNIQUE)\s*\([^)]*\)"), "");
        replace(regex!(r"\b(?:PRIMARY\s+KEY|UNIQUE)\b"), "");
    }
    Ok(masked.restore())
}

/// `version()`'s form (`r_VERSION.md`).
pub(super) const VERSION: &str =
    "PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2 20041017 (Red Hat 3.4.2-6.fc3), Redshift 1.0.devstack";

/// A statement for the log, without COPY's credentials.
pub(super) fn redact(sql: &str) -> String {
    static SECRETS: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(?is)\b(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|CREDENTIALS)(\s+AS)?\s+'(?:[^'\\]|''|\\.)*'").ok());
    match &*SECRETS {
        Some(regex) => regex.replace_all(sql, "$1 '***'").into_owned(),
        None => "(not shown)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(sql: &str) -> String {
        translate(sql, &Values { last_copy_id: -1, last_copy_count: 7 }).unwrap()
    }

    #[test]
    fn statements_end_at_semicolons_that_are_code() {
        assert_eq!(
            split("BEGIN; SELECT ';', \";\", $a$;$a$ -- ;\n, 'a\\';b'; /* ; */ COMMIT;"),
            ["BEGIN", "SELECT ';', \";\", $a$;$a$  \n, 'a\\';b'", "COMMIT"]
        );
    }

    #[test]
    fn redshifts_words_go_and_quoted_ones_stay() {
        assert_eq!(
            translated(
                "CREATE TABLE t (a VARCHAR(MAX) ENCODE ZSTD NOT NULL DISTKEY, b TEXT DEFAULT 'ENCODE x', \"text\" INT) DISTSTYLE KEY SORTKEY (a)"
            )
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" "),
            "CREATE TABLE t (a VARCHAR(65535) NOT NULL , b VARCHAR(256) DEFAULT 'ENCODE x', \"text\" INT)"
        );
        assert!(translated("CREATE TABLE t (a BIGINT IDENTITY(1, 2))").contains("GENERATED ALWAYS AS IDENTITY (START WITH 1 INCREMENT BY 2)"));
        assert_eq!(translated("SELECT pg_last_copy_count(), 'pg_last_copy_count()'"), "SELECT (7::bigint), 'pg_last_copy_count()'");
    }

    #[test]
    fn a_log_shows_no_keys() {
        let sql = "COPY t FROM 's3://b/k' ACCESS_KEY_ID 'AKIA' SECRET_ACCESS_KEY 'a''b\\'c' SESSION_TOKEN 'tok' CSV";
        assert_eq!(redact(sql), "COPY t FROM 's3://b/k' ACCESS_KEY_ID '***' SECRET_ACCESS_KEY '***' SESSION_TOKEN '***' CSV");
    }
}
