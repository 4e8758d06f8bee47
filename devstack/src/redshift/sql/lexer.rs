//! Splits a query into tokens, such as words, names, literals and symbols. White space and comments are left
//! out.

use std::ops::Range;

/// The kind of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A keyword or a name without quotes.
    Word,
    /// A name in double quotes.
    Name,
    /// A text in single quotes or between dollar tags.
    Literal,
    /// A parameter, such as `$1`.
    Parameter,
    /// A number.
    Number,
    /// Any other character.
    Symbol,
}

/// A token and its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: TokenKind,
    /// The token as it is written, with quotes.
    pub(crate) text: &'a str,
    pub(crate) start: usize,
}

impl Token<'_> {
    /// Checks whether the token is this word, in upper or lower case.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Checks whether the token is one of these words.
    pub(crate) fn is_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(word))
    }

    /// Checks whether the token is this symbol.
    pub(crate) fn is_symbol(&self, symbol: char) -> bool {
        self.kind == TokenKind::Symbol && self.text.starts_with(symbol)
    }

    /// Checks whether the token can be a name.
    pub(crate) fn is_name(&self) -> bool {
        matches!(self.kind, TokenKind::Word | TokenKind::Name)
    }

    /// Returns the token's range.
    pub(crate) fn range(&self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }

    /// Returns the token's value: a name folded or unquoted, a literal without escapes.
    pub(crate) fn value(&self) -> String {
        match self.kind {
            TokenKind::Word => self.text.to_lowercase(),
            TokenKind::Name => inner(self.text, '"').replace("\"\"", "\""),
            TokenKind::Literal if self.text.starts_with('\'') => unescaped(inner(self.text, '\'')),
            TokenKind::Literal => {
                let tag = self.text[1..].find('$').map_or(0, |end| end + 2);
                self.text.get(tag..self.text.len().saturating_sub(tag)).unwrap_or_default().to_owned()
            }
            TokenKind::Parameter | TokenKind::Number | TokenKind::Symbol => self.text.to_owned(),
        }
    }
}

fn inner(text: &str, quote: char) -> &str {
    let text = text.strip_prefix(quote).unwrap_or(text);
    text.strip_suffix(quote).unwrap_or(text)
}

/// Returns a literal's text. A doubled quote is one quote, and a backslash is an escape (`r_CREATE_USER.md`)
/// as in PostgreSQL 8.0: followed by `b`, `f`, `n`, `r`, `t`, three octal digits, or the next character
/// unchanged.
fn unescaped(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                chars.next();
                value.push('\'');
            }
            '\\' => match chars.next() {
                Some('b') => value.push('\u{8}'),
                Some('f') => value.push('\u{c}'),
                Some('n') => value.push('\n'),
                Some('r') => value.push('\r'),
                Some('t') => value.push('\t'),
                Some(digit @ '0'..='7') => {
                    let mut code = digit.to_digit(8).unwrap_or(0);
                    for _ in 0..2 {
                        let Some(next) = chars.peek().and_then(|next| next.to_digit(8)) else { break };
                        code = code * 8 + next;
                        chars.next();
                    }
                    value.extend(char::from_u32(code));
                }
                other => value.extend(other),
            },
            other => value.push(other),
        }
    }
    value
}

/// Splits a query into tokens. An unclosed token extends to the end.
pub(crate) fn tokens(sql: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = sql[at..].chars().next() {
        let rest = &sql[at..];
        let (kind, length) = match first {
            _ if first.is_whitespace() => (None, first.len_utf8()),
            '-' if rest.starts_with("--") => (None, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => (None, comment_length(rest)),
            '\'' => (Some(TokenKind::Literal), quoted_length(rest, '\'', true)),
            '"' => (Some(TokenKind::Name), quoted_length(rest, '"', false)),
            '$' => match dollar_length(rest) {
                Some(length) => (Some(TokenKind::Literal), length),
                None => match rest[1..].bytes().take_while(u8::is_ascii_digit).count() {
                    0 => (Some(TokenKind::Symbol), 1),
                    digits => (Some(TokenKind::Parameter), digits + 1),
                },
            },
            '0'..='9' => (
                Some(TokenKind::Number),
                rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(rest.len()),
            ),
            _ if is_word(first) => (
                Some(TokenKind::Word),
                rest.find(|c: char| !is_word(c) && !c.is_ascii_digit() && c != '$').unwrap_or(rest.len()),
            ),
            _ => (Some(TokenKind::Symbol), first.len_utf8()),
        };
        if let Some(kind) = kind {
            tokens.push(Token { kind, text: &rest[..length], start: at });
        }
        at += length;
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn comment_length(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

fn quoted_length(text: &str, quote: char, backslash: bool) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if backslash && c == '\\' {
            chars.next();
        } else if c == quote {
            if chars.peek().is_some_and(|(_, next)| *next == quote) {
                chars.next();
            } else {
                return at + 1;
            }
        }
    }
    text.len()
}

fn dollar_length(text: &str) -> Option<usize> {
    let tag = &text[..text[1..].find('$')? + 2];
    let name = &tag[1..tag.len() - 1];
    if name.starts_with(|c: char| c.is_ascii_digit())
        || !name.chars().all(|c| is_word(c) || c.is_ascii_digit())
    {
        return None;
    }
    Some(text[tag.len()..].find(tag).map_or(text.len(), |end| tag.len() + end + tag.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(sql: &str) -> Vec<(TokenKind, &str)> {
        tokens(sql).into_iter().map(|token| (token.kind, token.text)).collect()
    }

    #[test]
    fn quotes_and_comments_are_seen_through() {
        assert_eq!(
            kinds("a$1 'it''s \\' ;'/* /* ' */ ; */\"b\"\"\" $$;'$$ $x$ $$ $x$ $2 -- ;'\n<> 1e5 é"),
            [
                (TokenKind::Word, "a$1"),
                (TokenKind::Literal, "'it''s \\' ;'"),
                (TokenKind::Name, "\"b\"\"\""),
                (TokenKind::Literal, "$$;'$$"),
                (TokenKind::Literal, "$x$ $$ $x$"),
                (TokenKind::Parameter, "$2"),
                (TokenKind::Symbol, "<"),
                (TokenKind::Symbol, ">"),
                (TokenKind::Number, "1e5"),
                (TokenKind::Word, "é"),
            ]
        );
        for open in ["'", "'a\\", "\"", "$$", "$", "/*", "--", "$a$ '", "''''", "é'"] {
            assert!(tokens(open).len() <= 2, "{open}");
        }
    }

    #[test]
    fn values_are_what_the_text_means() {
        for (name, text, value) in [
            ("literal with escapes", "'a''b\\'c\\\\d'", "a'b'c\\d"),
            ("literal with octal and other escapes", "'\\t\\n\\041\\N\\0'", "\t\n!N\0"),
            ("word", "Name", "name"),
            ("quoted name", "\"A \"\"b\"\"\"", "A \"b\""),
            ("dollar quotes with a tag", "$x$a\\$x$", "a\\"),
            ("empty dollar quotes", "$$", ""),
        ] {
            assert_eq!(tokens(text)[0].value(), value, "{name}: {text}");
        }
    }
}
