//! Parses `COPY ... FROM 's3://...'`. An option that is not supported is refused, never ignored.

use crate::redshift::sql::lexer::{Token, TokenKind, tokens};
use crate::redshift::wire::Report;

/// A COPY from S3.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CopyStatement {
    /// The table as written, with quotes.
    pub(crate) table: String,
    /// The columns listed, unquoted; empty for all.
    pub(crate) columns: Vec<String>,
    pub(crate) bucket: String,
    /// A prefix of keys, or the manifest's key.
    pub(crate) key: String,
    pub(crate) authorization: Authorization,
    pub(crate) options: CopyOptions,
}

/// The authorization for S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Authorization {
    DefaultRole,
    Role(String),
    Keys { id: String, secret: String, token: Option<String> },
}

/// The compression of files (`copy-parameters-file-compression.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    Zstd,
}

/// The supported options, with the defaults of `copy-parameters-data-format.md` and `-data-conversion.md`.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of COPY")]
pub(crate) struct CopyOptions {
    pub(crate) manifest: bool,
    pub(crate) csv: bool,
    pub(crate) quote: u8,
    pub(crate) delimiter: Option<u8>,
    pub(crate) escape: bool,
    pub(crate) remove_quotes: bool,
    pub(crate) null_as: String,
    pub(crate) ignore_header: u64,
    pub(crate) max_error: u64,
    pub(crate) compression: Option<Compression>,
    pub(crate) empty_as_null: bool,
    pub(crate) blanks_as_null: bool,
    pub(crate) truncate_columns: bool,
    pub(crate) fill_record: bool,
    pub(crate) ignore_blank_lines: bool,
    pub(crate) accept_invalid_chars: Option<char>,
    pub(crate) time_format_auto: bool,
    pub(crate) explicit_ids: bool,
    pub(crate) no_load: bool,
    pub(crate) region: Option<String>,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self {
            manifest: false,
            csv: false,
            quote: b'"',
            delimiter: None,
            escape: false,
            remove_quotes: false,
            null_as: "\\N".to_owned(),
            ignore_header: 0,
            max_error: 0,
            compression: None,
            empty_as_null: false,
            blanks_as_null: false,
            truncate_columns: false,
            fill_record: false,
            ignore_blank_lines: false,
            accept_invalid_chars: None,
            time_format_auto: false,
            explicit_ids: false,
            no_load: false,
            region: None,
        }
    }
}

impl CopyOptions {
    /// Returns the delimiter: "The default delimiter is a pipe character (|) … for CSV a comma".
    pub(crate) fn delimiter(&self) -> u8 {
        self.delimiter.unwrap_or(if self.csv { b',' } else { b'|' })
    }
}

fn syntax(near: &str) -> Report {
    Report::error("42601", format!("syntax error at or near \"{near}\""))
}

/// Parses a COPY; `None` if no literal follows FROM, as in a COPY from or to the client.
///
/// # Errors
///
/// SQLSTATE 42601 for a text that is not a valid COPY, 0A000 for a source or an option that is not supported.
pub(crate) fn parse(sql: &str) -> Result<Option<CopyStatement>, Report> {
    let tokens = tokens(sql);
    let unclosed = |token: &Token<'_>| match token.kind {
        TokenKind::Literal => {
            token.text.starts_with('\'') && (token.text.len() < 2 || !token.text.ends_with('\''))
        }
        TokenKind::Name => token.text.len() < 2 || !token.text.ends_with('"'),
        _ => false,
    };
    if tokens.last().is_some_and(unclosed) {
        return Err(Report::error("42601", "unterminated quoted string"));
    }
    let Some(from) = tokens.iter().position(|token| token.is("FROM")) else { return Ok(None) };
    let Some(source) =
        tokens.get(from + 1).filter(|token| token.kind == TokenKind::Literal).map(Token::value)
    else {
        return Ok(None);
    };
    let Some(path) = source.strip_prefix("s3://") else {
        return Err(Report::error(
            "0A000",
            format!("COPY from {source:?} is not carried out here; use s3://"),
        ));
    };
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let mut parser = Parser { tokens: &tokens[..from], at: 1 };
    let (table, columns) = parser.target()?;
    if let Some(token) = parser.next() {
        return Err(syntax(token.text));
    }
    let mut parser = Parser { tokens: &tokens, at: from + 2 };
    let (authorization, options) = parser.options()?;
    if options.csv && (options.escape || options.remove_quotes) {
        return Err(Report::error("42601", "CSV is not compatible with ESCAPE, REMOVEQUOTES or FIXEDWIDTH"));
    }
    // "null_string … can't be '\n'" (copy-parameters-data-conversion.md); MAXERROR's limit is from
    // copy-parameters-data-load.md.
    if options.null_as.contains('\n') {
        return Err(Report::error("42601", "COPY NULL representation cannot use a line end"));
    }
    if options.max_error > 100_000 {
        return Err(Report::error("42601", "MAXERROR is at most 100000"));
    }
    Ok(Some(CopyStatement {
        table,
        columns,
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        authorization,
        options,
    }))
}

struct Parser<'t, 's> {
    tokens: &'t [Token<'s>],
    at: usize,
}

impl<'s> Parser<'_, 's> {
    fn next(&mut self) -> Option<Token<'s>> {
        let token = self.tokens.get(self.at).copied();
        self.at += 1;
        token
    }

    fn peek(&self) -> Option<&Token<'s>> {
        self.tokens.get(self.at)
    }

    fn name(&mut self) -> Result<String, Report> {
        match self.next() {
            Some(token) if token.is_name() => Ok(token.value()),
            token => Err(syntax(token.map_or("end of input", |token| token.text))),
        }
    }

    fn symbol(&mut self, symbol: char) -> bool {
        let found = self.peek().is_some_and(|token| token.is_symbol(symbol));
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.is(word));
        self.at += usize::from(found);
        found
    }

    fn is_at_literal(&self) -> bool {
        self.peek().is_some_and(|token| token.kind == TokenKind::Literal)
    }

    fn target(&mut self) -> Result<(String, Vec<String>), Report> {
        let quote = |name: String| format!("\"{}\"", name.replace('"', "\"\""));
        let mut table = quote(self.name()?);
        while self.symbol('.') {
            table = format!("{table}.{}", quote(self.name()?));
        }
        let mut columns = Vec::new();
        if self.symbol('(') {
            loop {
                columns.push(self.name()?);
                if self.symbol(')') {
                    break;
                }
                if !self.symbol(',') {
                    return Err(syntax("("));
                }
            }
        }
        Ok((table, columns))
    }

    fn literal(&mut self, option: &str) -> Result<String, Report> {
        self.word("AS");
        match self.next() {
            Some(token) if token.kind == TokenKind::Literal => Ok(token.value()),
            _ => Err(syntax(option)),
        }
    }

    fn literal_or_word(&mut self, option: &str) -> Result<String, Report> {
        self.word("AS");
        self.next()
            .filter(|token| matches!(token.kind, TokenKind::Literal | TokenKind::Word))
            .map(|token| token.value())
            .ok_or_else(|| syntax(option))
    }

    fn number(&mut self, option: &str) -> Result<u64, Report> {
        self.word("AS");
        self.next().and_then(|token| token.text.parse().ok()).ok_or_else(|| syntax(option))
    }

    fn one_byte(&mut self, option: &str) -> Result<u8, Report> {
        let text = self.literal(option)?;
        match text.as_bytes() {
            [byte] if byte.is_ascii() => Ok(*byte),
            _ => Err(Report::error("42601", format!("COPY {option} must be a single ASCII character"))),
        }
    }

    fn options(&mut self) -> Result<(Authorization, CopyOptions), Report> {
        let mut authorizations = Vec::new();
        let mut quote_given = false;
        let mut keys: (Option<String>, Option<String>, Option<String>) = (None, None, None);
        let mut options = CopyOptions::default();
        while let Some(token) = self.next() {
            if token.kind != TokenKind::Word {
                return Err(syntax(token.text));
            }
            let word = token.text.to_ascii_uppercase();
            match word.as_str() {
                "WITH" | "AS" | "FORMAT" => {}
                "IAM_ROLE" => {
                    authorizations.push(if self.word("default") {
                        Authorization::DefaultRole
                    } else {
                        Authorization::Role(self.literal(&word)?)
                    });
                }
                "ACCESS_KEY_ID" => keys.0 = Some(self.literal(&word)?),
                "SECRET_ACCESS_KEY" => keys.1 = Some(self.literal(&word)?),
                "SESSION_TOKEN" | "TOKEN" => keys.2 = Some(self.literal(&word)?),
                "CREDENTIALS" => authorizations.push(credentials(&self.literal(&word)?)?),
                "MANIFEST" => options.manifest = true,
                "CSV" => options.csv = true,
                "QUOTE" => {
                    options.quote = self.one_byte(&word)?;
                    quote_given = true;
                }
                "DELIMITER" => options.delimiter = Some(self.one_byte(&word)?),
                "ESCAPE" => options.escape = true,
                "REMOVEQUOTES" => options.remove_quotes = true,
                "NULL" => options.null_as = self.literal(&word)?,
                "IGNOREHEADER" => options.ignore_header = self.number(&word)?,
                "MAXERROR" => options.max_error = self.number(&word)?,
                "GZIP" => options.compression = Some(Compression::Gzip),
                "ZSTD" => options.compression = Some(Compression::Zstd),
                "NOLOAD" => options.no_load = true,
                "EXPLICIT_IDS" => options.explicit_ids = true,
                "EMPTYASNULL" => options.empty_as_null = true,
                "BLANKSASNULL" => options.blanks_as_null = true,
                "TRUNCATECOLUMNS" => options.truncate_columns = true,
                "FILLRECORD" => options.fill_record = true,
                "IGNOREBLANKLINES" => options.ignore_blank_lines = true,
                "ACCEPTINVCHARS" => {
                    let given = self.word("AS") || self.is_at_literal();
                    let replacement = if given { self.one_byte(&word)? } else { b'?' };
                    options.accept_invalid_chars = Some(char::from(replacement));
                }
                "TIMEFORMAT" => match self.literal(&word)?.as_str() {
                    "auto" => options.time_format_auto = true,
                    "YYYY-MM-DD HH:MI:SS" => {}
                    other => return Err(not_carried_out(&format!("TIMEFORMAT '{other}'"))),
                },
                "DATEFORMAT" => match self.literal(&word)?.as_str() {
                    "auto" | "YYYY-MM-DD" => {}
                    other => return Err(not_carried_out(&format!("DATEFORMAT '{other}'"))),
                },
                "ENCODING" => match self.literal_or_word(&word)?.to_ascii_uppercase().as_str() {
                    "UTF8" => {}
                    other => return Err(not_carried_out(&format!("ENCODING {other}"))),
                },
                "REGION" => options.region = Some(self.literal(&word)?),
                // Neither changes the contents of the table.
                "COMPUPDATE" | "STATUPDATE" => {
                    for value in ["ON", "OFF", "TRUE", "FALSE", "PRESET"] {
                        self.word(value);
                    }
                }
                _ => return Err(not_carried_out(&word)),
            }
        }
        match keys {
            (Some(id), Some(secret), token) => authorizations.push(Authorization::Keys { id, secret, token }),
            (None, None, None) => {}
            _ => return Err(Report::error("42601", "ACCESS_KEY_ID and SECRET_ACCESS_KEY go together")),
        }
        if quote_given && !options.csv {
            return Err(Report::error("42601", "QUOTE is for CSV only"));
        }
        // "mutually exclusive" (copy-parameters-authorization.md)
        match (authorizations.pop(), authorizations.is_empty()) {
            (Some(authorization), true) => Ok((authorization, options)),
            (Some(_), false) => {
                Err(Report::error("42601", "conflicting credentials: give a role, keys or CREDENTIALS"))
            }
            (None, _) => Err(Report::error("42601", "COPY needs IAM_ROLE, ACCESS_KEY_ID or CREDENTIALS")),
        }
    }
}

fn not_carried_out(option: &str) -> Report {
    Report::error("0A000", format!("COPY option {option} is not carried out by this stand-in"))
}

/// Parses `aws_access_key_id=..;aws_secret_access_key=..[;token=..]` or `aws_iam_role=..`; case-sensitive
/// (`copy-parameters-authorization.md`).
fn credentials(text: &str) -> Result<Authorization, Report> {
    let value = |name: &str| {
        text.split(';').find_map(|part| part.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
    };
    match (value("aws_iam_role"), value("aws_access_key_id"), value("aws_secret_access_key")) {
        (Some(role), None, None) => Ok(Authorization::Role(role)),
        (None, Some(id), Some(secret)) => Ok(Authorization::Keys { id, secret, token: value("token") }),
        _ => Err(Report::error(
            "42601",
            "Invalid credentials. Must be of the format: credentials 'aws_iam_role=...' or 'aws_access_key_id=...;aws_secret_access_key=...[;token=...]'",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaders_copy_is_understood() {
        let copy = parse(
            "COPY \"s\".\"t\" (\"id\", Name) FROM 's3://b/p/o''k\\\\.manifest' ACCESS_KEY_ID 'a' SECRET_ACCESS_KEY 'b' SESSION_TOKEN 'c' \
             MANIFEST FORMAT AS CSV IGNOREHEADER 1 NULL AS '%x%' MAXERROR 0 COMPUPDATE OFF ZSTD REGION AS 'ca-central-1'",
        )
        .unwrap()
        .unwrap();
        assert_eq!(
            (copy.table.as_str(), copy.columns.as_slice()),
            ("\"s\".\"t\"", ["id".to_owned(), "name".to_owned()].as_slice())
        );
        assert_eq!((copy.bucket.as_str(), copy.key.as_str()), ("b", "p/o'k\\.manifest"));
        assert!(
            copy.options.manifest
                && copy.options.csv
                && copy.options.ignore_header == 1
                && copy.options.null_as == "%x%"
                && copy.options.compression == Some(Compression::Zstd)
        );
        assert_eq!(
            copy.authorization,
            Authorization::Keys { id: "a".to_owned(), secret: "b".to_owned(), token: Some("c".to_owned()) }
        );
    }

    #[test]
    fn the_scripts_copy_is_understood() {
        let copy = parse("copy s.t FROM 's3://b/k' CREDENTIALS 'aws_access_key_id=a;aws_secret_access_key=b' IGNOREHEADER AS 1 MAXERROR AS 0 DELIMITER '|' NULL AS '-' ESCAPE")
            .unwrap()
            .unwrap();
        assert!(copy.options.escape && copy.options.delimiter() == b'|' && copy.options.null_as == "-");
    }

    #[test]
    fn an_option_that_is_not_carried_out_is_refused() {
        let error = parse("COPY t FROM 's3://b/k' IAM_ROLE default PARQUET").unwrap_err();
        assert_eq!((error.code.as_str(), error.message.contains("PARQUET")), ("0A000", true));
        assert_eq!(parse("COPY t FROM 's3://b/k' CSV").unwrap_err().code, "42601");
        assert!(parse("COPY t FROM STDIN").unwrap().is_none());
    }
}
