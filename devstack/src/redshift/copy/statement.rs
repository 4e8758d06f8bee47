//! `COPY ... FROM 's3://...'`, parsed. An option that is not carried out is refused, never ignored.

use super::super::wire::Report;

/// A COPY from S3.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Copy {
    /// The table as written, quotes included.
    pub(in super::super) table: String,
    /// The columns listed, unquoted; empty for all.
    pub(in super::super) columns: Vec<String>,
    pub(in super::super) bucket: String,
    /// A prefix of keys, or the manifest's key.
    pub(in super::super) key: String,
    pub(in super::super) authorization: Authorization,
    pub(in super::super) options: Options,
}

/// How S3 is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Authorization {
    DefaultRole,
    Role(String),
    Keys { id: String, secret: String, token: Option<String> },
}

/// The options that are carried out, with the defaults of `copy-parameters-data-format.md` and `-data-conversion.md`.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Options {
    pub(in super::super) manifest: bool,
    pub(in super::super) csv: bool,
    pub(in super::super) quote: u8,
    pub(in super::super) delimiter: Option<u8>,
    pub(in super::super) escape: bool,
    pub(in super::super) remove_quotes: bool,
    pub(in super::super) null_as: String,
    pub(in super::super) ignore_header: u64,
    pub(in super::super) max_error: u64,
    pub(in super::super) gzip: bool,
    pub(in super::super) empty_as_null: bool,
    pub(in super::super) blanks_as_null: bool,
    pub(in super::super) truncate_columns: bool,
    pub(in super::super) fill_record: bool,
    pub(in super::super) ignore_blank_lines: bool,
    pub(in super::super) accept_invalid_chars: Option<char>,
    pub(in super::super) time_format_auto: bool,
    pub(in super::super) region: Option<String>,
}

impl Default for Options {
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
            gzip: false,
            empty_as_null: false,
            blanks_as_null: false,
            truncate_columns: false,
            fill_record: false,
            ignore_blank_lines: false,
            accept_invalid_chars: None,
            time_format_auto: false,
            region: None,
        }
    }
}

impl Options {
    /// "The default delimiter is a pipe character (|) … for CSV a comma".
    pub(in super::super) fn delimiter(&self) -> u8 {
        self.delimiter.unwrap_or(if self.csv { b',' } else { b'|' })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Literal(String),
    Symbol(char),
}

fn syntax(near: &str) -> Report {
    Report::error("42601", format!("syntax error at or near \"{near}\""))
}

/// Parses a COPY; none if it is not from S3.
///
/// # Errors
///
/// SQLSTATE 42601 for what is no COPY, 0A000 for an option that is not carried out.
pub(in super::super) fn parse(sql: &str) -> Result<Option<Copy>, Report> {
    let tokens = tokens(sql)?;
    let Some(from) = tokens.iter().position(|token| is_word(token, "FROM")) else { return Ok(None) };
    let Some(Token::Literal(source)) = tokens.get(from + 1) else { return Ok(None) };
    let Some(path) = source.strip_prefix("s3://") else {
        return Err(Report::error("0A000", format!("COPY from {source:?} is not carried out here; use s3://")));
    };
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let mut parser = Parser { tokens: &tokens[..from], at: 1 };
    let (table, columns) = parser.target()?;
    let mut parser = Parser { tokens: &tokens, at: from + 2 };
    let (authorization, options) = parser.options()?;
    let authorization = authorization.ok_or_else(|| Report::error("42601", "COPY needs IAM_ROLE, ACCESS_KEY_ID or CREDENTIALS"))?;
    if options.csv && (options.escape || options.remove_quotes) {
        return Err(Report::error("42601", "CSV is not compatible with ESCAPE, REMOVEQUOTES or FIXEDWIDTH"));
    }
    Ok(Some(Copy { table, columns, bucket: bucket.to_owned(), key: key.to_owned(), authorization, options }))
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(text) if text.eq_ignore_ascii_case(word))
}

fn tokens(sql: &str) -> Result<Vec<Token>, Report> {
    let mut tokens = Vec::new();
    let mut chars = sql.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            _ if c.is_whitespace() => {}
            '\'' => {
                let mut text = String::new();
                loop {
                    match chars.next() {
                        None => return Err(Report::error("42601", "unterminated quoted string")),
                        Some('\\') => text.extend(chars.next().map(|next| if next == 't' { '\t' } else { next })),
                        Some('\'') if chars.peek() == Some(&'\'') => text.extend(chars.next()),
                        Some('\'') => break,
                        Some(other) => text.push(other),
                    }
                }
                tokens.push(Token::Literal(text));
            }
            '"' => {
                let mut text = String::new();
                loop {
                    match chars.next() {
                        None => return Err(Report::error("42601", "unterminated quoted identifier")),
                        Some('"') if chars.peek() == Some(&'"') => text.extend(chars.next()),
                        Some('"') => break,
                        Some(other) => text.push(other),
                    }
                }
                tokens.push(Token::Quoted(text));
            }
            _ if c.is_alphanumeric() || c == '_' || c == '#' => {
                let mut text = String::from(c);
                while let Some(next) = chars.peek().filter(|next| next.is_alphanumeric() || matches!(next, '_' | '$' | '#')) {
                    text.push(*next);
                    chars.next();
                }
                tokens.push(Token::Word(text));
            }
            _ => tokens.push(Token::Symbol(c)),
        }
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<&Token> {
        let token = self.tokens.get(self.at);
        self.at += 1;
        token
    }

    fn name(&mut self) -> Result<String, Report> {
        match self.next() {
            Some(Token::Word(word)) => Ok(word.to_ascii_lowercase()),
            Some(Token::Quoted(name)) => Ok(name.clone()),
            _ => Err(syntax("COPY")),
        }
    }

    fn symbol(&mut self, symbol: char) -> bool {
        let found = self.tokens.get(self.at) == Some(&Token::Symbol(symbol));
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.tokens.get(self.at).is_some_and(|token| is_word(token, word));
        self.at += usize::from(found);
        found
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
            Some(Token::Literal(text)) => Ok(text.clone()),
            _ => Err(syntax(option)),
        }
    }

    fn number(&mut self, option: &str) -> Result<u64, Report> {
        self.word("AS");
        match self.next() {
            Some(Token::Word(text)) => text.parse().map_err(|_| syntax(option)),
            _ => Err(syntax(option)),
        }
    }

    fn one_byte(&mut self, option: &str) -> Result<u8, Report> {
        let text = self.literal(option)?;
        match text.as_bytes() {
            [byte] => Ok(*byte),
            _ => Err(Report::error("42601", format!("COPY {option} must be a single ASCII character"))),
        }
    }

    fn options(&mut self) -> Result<(Option<Authorization>, Options), Report> {
        let mut authorization = None;
        let mut keys: (Option<String>, Option<String>, Option<String>) = (None, None, None);
        let mut options = Options::default();
        while let Some(token) = self.next() {
            let Token::Word(word) = token else { return Err(syntax("COPY")) };
            let word = word.to_ascii_uppercase();
            match word.as_str() {
                "WITH" | "AS" | "FORMAT" => {}
                "IAM_ROLE" => {
                    authorization = Some(if self.word("default") { Authorization::DefaultRole } else { Authorization::Role(self.literal(&word)?) });
                }
                "ACCESS_KEY_ID" => keys.0 = Some(self.literal(&word)?),
                "SECRET_ACCESS_KEY" => keys.1 = Some(self.literal(&word)?),
                "SESSION_TOKEN" | "TOKEN" => keys.2 = Some(self.literal(&word)?),
                "CREDENTIALS" => authorization = Some(credentials(&self.literal(&word)?)?),
                "MANIFEST" => options.manifest = true,
                "CSV" => options.csv = true,
                "QUOTE" => options.quote = self.one_byte(&word)?,
                "DELIMITER" => options.delimiter = Some(self.one_byte(&word)?),
                "ESCAPE" => options.escape = true,
                "REMOVEQUOTES" => options.remove_quotes = true,
                "NULL" => options.null_as = self.literal(&word)?,
                "IGNOREHEADER" => options.ignore_header = self.number(&word)?,
                "MAXERROR" => options.max_error = self.number(&word)?,
                "GZIP" => options.gzip = true,
                "EMPTYASNULL" => options.empty_as_null = true,
                "BLANKSASNULL" => options.blanks_as_null = true,
                "TRUNCATECOLUMNS" => options.truncate_columns = true,
                "FILLRECORD" => options.fill_record = true,
                "IGNOREBLANKLINES" => options.ignore_blank_lines = true,
                "ACCEPTINVCHARS" => {
                    let replacement = match self.tokens.get(self.at) {
                        Some(Token::Literal(_)) => self.literal(&word)?,
                        _ if self.word("AS") => self.literal(&word)?,
                        _ => "?".to_owned(),
                    };
                    options.accept_invalid_chars = replacement.chars().next();
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
                "ENCODING" => match self.literal(&word)?.to_ascii_uppercase().as_str() {
                    "UTF8" => {}
                    other => return Err(not_carried_out(&format!("ENCODING {other}"))),
                },
                "REGION" => options.region = Some(self.literal(&word)?),
                // Neither changes what is in the table.
                "COMPUPDATE" | "STATUPDATE" => {
                    for value in ["ON", "OFF", "TRUE", "FALSE", "PRESET"] {
                        self.word(value);
                    }
                }
                _ => return Err(not_carried_out(&word)),
            }
        }
        if let (Some(id), Some(secret), token) = keys {
            authorization = Some(Authorization::Keys { id, secret, token });
        }
        Ok((authorization, options))
    }
}

fn not_carried_out(option: &str) -> Report {
    Report::error("0A000", format!("COPY option {option} is not carried out by this stand-in"))
}

/// `aws_access_key_id=..;aws_secret_access_key=..[;token=..]` or `aws_iam_role=..`; case-sensitive
/// (`copy-parameters-authorization.md`).
fn credentials(text: &str) -> Result<Authorization, Report> {
    let value = |name: &str| text.split(';').find_map(|part| part.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned);
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
             MANIFEST FORMAT AS CSV IGNOREHEADER 1 NULL AS '%x%' MAXERROR 0 COMPUPDATE OFF REGION AS 'ca-central-1'",
        )
        .unwrap()
        .unwrap();
        assert_eq!((copy.table.as_str(), copy.columns.as_slice()), ("\"s\".\"t\"", ["id".to_owned(), "name".to_owned()].as_slice()));
        assert_eq!((copy.bucket.as_str(), copy.key.as_str()), ("b", "p/o'k\\.manifest"));
        assert!(copy.options.manifest && copy.options.csv && copy.options.ignore_header == 1 && copy.options.null_as == "%x%");
        assert_eq!(copy.authorization, Authorization::Keys { id: "a".to_owned(), secret: "b".to_owned(), token: Some("c".to_owned()) });
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
