//! Splits SQL into names, quoted names, texts, numbers and symbols, without comments.

use super::error::DdlError;

/// A token and its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token<'a> {
    /// The line on which the token begins, counted from 1.
    pub(super) line: u64,
    pub(super) kind: Kind<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// A keyword, a name without quotes, or a number.
    Word(&'a str),
    /// A quoted name, without the quotes.
    Quoted(String),
    /// Any text in apostrophes or in dollar quotes.
    Text,
    Symbol(char),
}

impl Token<'_> {
    pub(super) fn is_symbol(&self, symbol: char) -> bool {
        self.kind == Kind::Symbol(symbol)
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self.kind, Kind::Word(it) if it.eq_ignore_ascii_case(word))
    }

    /// Returns the token's name in error messages.
    pub(super) fn text(&self) -> String {
        match &self.kind {
            Kind::Word(word) => (*word).to_owned(),
            Kind::Quoted(name) => format!("\"{name}\""),
            Kind::Text => "a text".to_owned(),
            Kind::Symbol(symbol) => symbol.to_string(),
        }
    }
}

/// Returns the tokens of `text`.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, DdlError> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let unended = |what: &str| DdlError::at(line, format!("{what} begins here and does not end"));
        let (length, kind) = match first {
            _ if first.is_whitespace() => (first.len_utf8(), None),
            '-' if rest.starts_with("--") => (rest.find('\n').unwrap_or(rest.len()), None),
            '/' if rest.starts_with("/*") => {
                (comment_length(rest).ok_or_else(|| unended("a comment"))?, None)
            }
            '"' => {
                let length = quoted_length(rest, '"', false).ok_or_else(|| unended("a quoted name"))?;
                let name = rest.get(1..length - 1).unwrap_or_default().replace("\"\"", "\"");
                (length, Some(Kind::Quoted(name)))
            }
            '\'' => {
                let length = quoted_length(rest, '\'', true).ok_or_else(|| unended("a text"))?;
                (length, Some(Kind::Text))
            }
            _ if is_of_word(first) && first != '$' => {
                let length = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
                (length, Some(Kind::Word(rest.get(..length).unwrap_or_default())))
            }
            '$' if dollar_mark(rest).is_some() => {
                let mark = dollar_mark(rest).unwrap_or_default();
                let body = rest.get(mark.len()..).unwrap_or_default();
                let end = body.find(mark).ok_or_else(|| unended("a text in dollar quotes"))?;
                (2 * mark.len() + end, Some(Kind::Text))
            }
            symbol => (symbol.len_utf8(), Some(Kind::Symbol(symbol))),
        };
        if let Some(kind) = kind {
            tokens.push(Token { line, kind });
        }
        let (passed, left) = rest.split_at_checked(length).unwrap_or((rest, ""));
        line += passed.bytes().filter(|byte| *byte == b'\n').count() as u64;
        rest = left;
    }
    Ok(tokens)
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '#')
}

/// Returns the length of a comment, with the comments inside it.
fn comment_length(text: &str) -> Option<usize> {
    let mut depth = 0;
    let mut at = 0;
    loop {
        let rest = text.get(at..)?;
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
        } else {
            at += rest.chars().next()?.len_utf8();
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Returns the length of a quoted text, with its quotes. Doubled quotes are part of it. With `has_escapes`,
/// so is a character after a backslash ("`'\\'` is one backslash", Amazon Redshift Database Developer Guide,
/// CREATE USER).
fn quoted_length(text: &str, quote: char, has_escapes: bool) -> Option<usize> {
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        if letter == '\\' && has_escapes {
            letters.next();
        } else if letter == quote && letters.next_if(|(_, next)| *next == quote).is_none() {
            return Some(at + letter.len_utf8());
        }
    }
    None
}

/// Returns `$$` or `$word$`, which begins a dollar-quoted text.
fn dollar_mark(text: &str) -> Option<&str> {
    let end = text.get(1..)?.find('$')? + 2;
    let mark = text.get(..end)?;
    mark.trim_matches('$').chars().all(|c| c.is_alphanumeric() || c == '_').then_some(mark)
}
