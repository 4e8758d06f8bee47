//! Reads one statement: whether it creates or changes a configured table, and with which columns.

use super::error::DdlError;
use super::token::{Kind, Token};
use crate::config::TableName;
use crate::limits::{ColumnLimit, ColumnType};

/// A statement, as far as it matters.
pub(super) enum Statement<'n> {
    /// The statement creates a configured table.
    Create(&'n TableName, Definition),
    /// The statement says nothing about a configured table's columns.
    Other,
}

/// A table as its statement declares it.
pub(super) struct Definition {
    /// The line of the table's name.
    pub(super) line: u64,
    pub(super) columns: Vec<Column>,
}

/// A column as its statement declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) limit: ColumnLimit,
}

/// The words that begin a declaration other than a column.
const CONSTRAINTS: [&str; 4] = ["PRIMARY", "UNIQUE", "FOREIGN", "CONSTRAINT"];

/// The words that begin a column's attribute (Amazon Redshift Database Developer Guide, CREATE TABLE).
const ATTRIBUTES: [&str; 12] = [
    "NOT",
    "NULL",
    "DEFAULT",
    "ENCODE",
    "DISTKEY",
    "SORTKEY",
    "UNIQUE",
    "PRIMARY",
    "REFERENCES",
    "COLLATE",
    "IDENTITY",
    "GENERATED",
];

/// Reads a statement; `configured` finds a table of the configuration by its schema, if there is one, and its
/// name.
pub(super) fn statement<'n>(
    tokens: &[Token<'_>],
    configured: impl Fn(Option<&str>, &str) -> Option<&'n TableName>,
) -> Result<Statement<'n>, DdlError> {
    let mut parser = Parser { tokens, at: 0 };
    let is_new = parser.accept("CREATE");
    if is_new {
        parser.accept("LOCAL");
        if parser.accept("TEMP") || parser.accept("TEMPORARY") {
            return Ok(Statement::Other);
        }
    } else if !parser.accept("ALTER") {
        return Ok(Statement::Other);
    }
    if !parser.accept("TABLE") {
        return Ok(Statement::Other);
    }
    if parser.accept("IF") {
        parser.accept("NOT");
        parser.accept("EXISTS");
    }
    let line = parser.line();
    let Some(path) = parser.path() else { return Ok(Statement::Other) };
    let mut path = path.iter().rev().map(String::as_str);
    let Some(name) = path.next() else { return Ok(Statement::Other) };
    let Some(table) = configured(path.next(), name) else { return Ok(Statement::Other) };
    if is_new {
        return Ok(Statement::Create(table, Definition { line, columns: parser.columns(table)? }));
    }
    if ["OWNER", "APPEND"].iter().any(|word| parser.accept(word)) {
        return Ok(Statement::Other);
    }
    Err(DdlError::at(
        line,
        format!(
            "an ALTER TABLE of {table} is not understood; write a CREATE TABLE that describes the table as it is now"
        ),
    ))
}

struct Parser<'t> {
    tokens: &'t [Token<'t>],
    at: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<&'t Token<'t>> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<&'t Token<'t>> {
        let token = self.peek()?;
        self.at += 1;
        Some(token)
    }

    /// Returns the line of the next word, or of the last.
    fn line(&self) -> u64 {
        self.peek().or(self.tokens.last()).map_or(1, |token| token.line)
    }

    fn accept(&mut self, word: &str) -> bool {
        let is_it = self.peek().is_some_and(|token| token.is_word(word));
        self.at += usize::from(is_it);
        is_it
    }

    fn accept_symbol(&mut self, symbol: char) -> bool {
        let is_it = self.peek().is_some_and(|token| token.is_symbol(symbol));
        self.at += usize::from(is_it);
        is_it
    }

    fn name(&mut self) -> Option<String> {
        let name = match &self.peek()?.kind {
            Kind::Word(word) => (*word).to_owned(),
            Kind::Quoted(name) => name.clone(),
            Kind::Text | Kind::Symbol(_) => return None,
        };
        self.at += 1;
        Some(name)
    }

    /// Reads a name with its qualifiers, such as a schema.
    fn path(&mut self) -> Option<Vec<String>> {
        let mut path = vec![self.name()?];
        while self.accept_symbol('.') {
            path.push(self.name()?);
        }
        Some(path)
    }

    /// Returns an error at the next word, which it names.
    fn unexpected(&self, expected: &str) -> DdlError {
        match self.peek() {
            Some(token) => {
                DdlError::at(token.line, format!("{} is not understood: expected {expected}", token.text()))
            }
            None => DdlError::at(self.line(), format!("the statement ends here: expected {expected}")),
        }
    }

    fn columns(&mut self, table: &TableName) -> Result<Vec<Column>, DdlError> {
        if !self.accept_symbol('(') {
            return Err(self.unexpected(&format!("( and the columns of {table}")));
        }
        let mut columns = Vec::new();
        loop {
            let is_constraint =
                self.peek().is_some_and(|token| CONSTRAINTS.iter().any(|word| token.is_word(word)));
            if is_constraint {
                self.skip_to_end_of_item();
            } else {
                columns.push(self.column(table)?);
            }
            if self.accept_symbol(')') {
                return Ok(columns);
            }
            if !self.accept_symbol(',') {
                return Err(self.unexpected("a comma or )"));
            }
        }
    }

    fn column(&mut self, table: &TableName) -> Result<Column, DdlError> {
        if self.peek().is_some_and(|token| token.is_word("LIKE")) {
            return Err(self.unexpected(&format!("the columns of {table}, written out")));
        }
        let Some(name) = self.name() else { return Err(self.unexpected(&format!("a column of {table}"))) };
        let (column_type, max_bytes) = self.column_type(&name)?;
        let not_null = self.attributes(&name)?;
        Ok(Column { name, limit: ColumnLimit { column_type, max_bytes, not_null } })
    }

    /// Reads a column's type, and returns it with the maximum number of bytes of a VARCHAR.
    fn column_type(&mut self, column: &str) -> Result<(ColumnType, Option<u64>), DdlError> {
        let expected = format!("the type of column {column}");
        let word = match self.peek().map(|token| &token.kind) {
            Some(Kind::Word(word)) => word.to_ascii_lowercase(),
            _ => return Err(self.unexpected(&expected)),
        };
        let named = |name: &str| (ColumnType::of(name, None), None);
        let found = match word.as_str() {
            "bool" | "boolean" => named("boolean"),
            "smallint" | "int2" => named("smallint"),
            "int" | "integer" | "int4" => named("integer"),
            "bigint" | "int8" => named("bigint"),
            "real" | "float4" => named("real"),
            "float" | "float8" | "double" => named("double precision"),
            "date" => named("date"),
            "timestamp" => named("timestamp without time zone"),
            "timestamptz" => named("timestamp with time zone"),
            "time" => named("time without time zone"),
            "timetz" => named("time with time zone"),
            "decimal" | "numeric" => {
                self.at += 1;
                return Ok((self.decimal()?, None));
            }
            // Trailing blanks in a CHAR do not count.
            "nchar" | "bpchar" => named("character"),
            "char" | "character" => {
                self.at += 1;
                if self.accept("VARYING") {
                    return Ok((ColumnType::Text, Some(self.length()?)));
                }
                self.arguments()?;
                return Ok(named("character"));
            }
            "varchar" | "nvarchar" | "text" => {
                self.at += 1;
                return Ok((ColumnType::Text, Some(self.length()?)));
            }
            "super" | "geometry" | "geography" | "hllsketch" | "varbyte" | "varbinary" | "binary" => {
                named("super")
            }
            _ => return Err(self.unexpected(&expected)),
        };
        self.at += 1;
        self.accept("PRECISION");
        self.accept("VARYING");
        self.arguments()?;
        if self.accept("WITH") || self.accept("WITHOUT") {
            let is_whole = self.accept("TIME") && self.accept("ZONE");
            if !is_whole {
                return Err(self.unexpected("TIME ZONE"));
            }
        }
        Ok(found)
    }

    /// Reads numbers, or MAX, in parentheses, if there are any.
    fn arguments(&mut self) -> Result<Vec<&'t str>, DdlError> {
        let mut arguments = Vec::new();
        if !self.accept_symbol('(') {
            return Ok(arguments);
        }
        loop {
            match self.peek().map(|token| &token.kind) {
                Some(Kind::Word(word)) => arguments.push(*word),
                _ => return Err(self.unexpected("a number")),
            }
            self.at += 1;
            if self.accept_symbol(')') {
                return Ok(arguments);
            }
            if !self.accept_symbol(',') {
                return Err(self.unexpected("a comma or )"));
            }
        }
    }

    /// Reads the number of bytes of a VARCHAR: "default 256, MAX 65535 bytes" (Amazon Redshift Database
    /// Developer Guide, Character types).
    fn length(&mut self) -> Result<u64, DdlError> {
        let line = self.line();
        match self.arguments()?.as_slice() {
            [] => Ok(256),
            [max] if max.eq_ignore_ascii_case("MAX") => Ok(65_535),
            [length] if length.parse::<u64>().is_ok() => Ok(length.parse().unwrap_or_default()),
            other => Err(DdlError::at(line, format!("({}) is not a length", other.join(", ")))),
        }
    }

    /// Reads precision and scale: "The default precision, if not specified, is 18", the default scale 0
    /// (Amazon Redshift Database Developer Guide, Numeric types).
    fn decimal(&mut self) -> Result<ColumnType, DdlError> {
        let line = self.line();
        let arguments = self.arguments()?;
        let digits: Option<Vec<u32>> = arguments.iter().map(|digits| digits.parse().ok()).collect();
        let digits = match digits.as_deref() {
            Some([]) => Some((18, 0)),
            Some([precision]) => Some((*precision, 0)),
            Some([precision, scale]) if scale <= precision => Some((*precision, *scale)),
            _ => None,
        };
        match digits {
            Some(_) => Ok(ColumnType::Numeric { digits }),
            None => {
                Err(DdlError::at(line, format!("({}) is not a precision and scale", arguments.join(", "))))
            }
        }
    }

    /// Reads the attributes after a column's type, and returns whether the column is NOT NULL.
    fn attributes(&mut self, column: &str) -> Result<bool, DdlError> {
        let mut not_null = false;
        loop {
            let Some(token) = self.peek() else { return Err(self.unexpected("a comma or )")) };
            if token.is_symbol(',') || token.is_symbol(')') {
                return Ok(not_null);
            }
            let Some(word) = ATTRIBUTES.iter().find(|word| token.is_word(word)) else {
                return Err(self.unexpected(&format!("an attribute of column {column}, a comma or )")));
            };
            self.at += 1;
            match *word {
                "NOT" if self.accept("NULL") => not_null = true,
                "NOT" => return Err(self.unexpected("NULL")),
                // The default value may begin with a word that begins an attribute elsewhere.
                "DEFAULT" => {
                    self.skip_one();
                    self.skip_until(|token| ATTRIBUTES.iter().any(|word| token.is_word(word)));
                }
                "ENCODE" | "COLLATE" => self.skip_one(),
                "PRIMARY" if !self.accept("KEY") => return Err(self.unexpected("KEY")),
                "REFERENCES" | "IDENTITY" | "GENERATED" => {
                    self.skip_until(|token| {
                        ATTRIBUTES
                            .iter()
                            .any(|word| *word != "IDENTITY" && *word != "DEFAULT" && token.is_word(word))
                    });
                }
                _ => {}
            }
        }
    }

    /// Skips a word, or everything in parentheses.
    fn skip_one(&mut self) {
        let mut depth = 0_usize;
        while let Some(token) = self.next() {
            if token.is_symbol('(') {
                depth += 1;
            } else if token.is_symbol(')') {
                depth = depth.saturating_sub(1);
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// Skips words up to one for which `ends` is true, or up to the end of the item.
    fn skip_until(&mut self, ends: impl Fn(&Token<'_>) -> bool) {
        while let Some(token) = self.peek() {
            if token.is_symbol(',') || token.is_symbol(')') || ends(token) {
                return;
            }
            self.skip_one();
        }
    }

    fn skip_to_end_of_item(&mut self) {
        self.skip_until(|_| false);
    }
}
