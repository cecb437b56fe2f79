//! From a text to its statements.

use std::ops::Range;

use tidewater_types::SqlMode;

use crate::ast::Statement;
use crate::cursor::{Cursor, Result};
use crate::error::ParseError;
use crate::lexer::{Kind, Lexeme, Lexer};

/// What a session's variables change about the grammar.
#[derive(Clone, Debug, Default)]
pub struct ParserOptions {
    /// ANSI_QUOTES, NO_BACKSLASH_ESCAPES, PIPES_AS_CONCAT, HIGH_NOT_PRECEDENCE, REAL_AS_FLOAT and IGNORE_SPACE matter here.
    pub sql_mode: SqlMode,
}

/// A statement and where it stood.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedStatement {
    /// The statement.
    pub statement: Statement,
    /// Its bytes in the text, without the semicolon, the blanks and the comments around it.
    pub text: Range<usize>,
    /// How many `?` it has.
    pub parameters: usize,
}

/// Parses all statements of a text. Comments and semicolons alone give none.
pub fn parse(sql: &str, options: &ParserOptions) -> Result<Vec<ParsedStatement>> {
    let mut statements = StatementIter::new(sql);
    let mut parsed = Vec::new();
    while let Some(statement) = statements.next_statement(options) {
        parsed.push(statement?);
    }
    Ok(parsed)
}

/// Parses a text of exactly one statement; a semicolon may follow it.
pub fn parse_one(sql: &str, options: &ParserOptions) -> Result<ParsedStatement> {
    let mut statements = StatementIter::new(sql);
    let Some(first) = statements.next_statement(options) else { return Err(ParseError::Empty) };
    let first = first?;
    match statements.next_statement(options) {
        None => Ok(first),
        Some(Err(error)) => Err(error),
        Some(Ok(second)) => Err(ParseError::at(sql.as_bytes(), second.text.start)),
    }
}

/// The statements of a text, one after the other, so that each can be parsed under the `sql_mode` its predecessors left.
///
/// ```
/// use tidewater_parser::{ParserOptions, StatementIter};
///
/// let mut statements = StatementIter::new("set sql_mode = 'ansi_quotes'; select \"a\" from t");
/// let first = statements.next_statement(&ParserOptions::default()).unwrap()?;
/// let ansi = ParserOptions { sql_mode: "ANSI_QUOTES".parse().unwrap() };
/// let second = statements.next_statement(&ansi).unwrap()?;
/// # Ok::<(), tidewater_parser::ParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct StatementIter<'a> {
    text: &'a [u8],
    position: usize,
    lexemes: Vec<Lexeme>,
    failed: bool,
}

impl<'a> StatementIter<'a> {
    /// The statements of a text.
    pub fn new(sql: &'a str) -> Self {
        Self::from_bytes(sql.as_bytes())
    }

    /// The statements of a text that may hold anything between its quotes.
    pub fn from_bytes(sql: &'a [u8]) -> Self {
        Self { text: sql, position: 0, lexemes: Vec::new(), failed: false }
    }

    /// The byte behind what was parsed so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// The next statement; `None` at the end and after an error.
    pub fn next_statement(&mut self, options: &ParserOptions) -> Option<Result<ParsedStatement>> {
        while !self.failed {
            match self.parse_next(options) {
                Ok(Some(parsed)) if parsed.statement == Statement::Empty => {}
                Ok(Some(parsed)) => return Some(Ok(parsed)),
                Ok(None) => return None,
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }

    fn parse_next(&mut self, options: &ParserOptions) -> Result<Option<ParsedStatement>> {
        if u32::try_from(self.text.len()).is_err() {
            return Err(ParseError::Unsupported { what: "statements of 4 GiB and more".to_owned() });
        }
        self.lexemes.clear();
        let mut lexer = Lexer::new(self.text, self.position, options.sql_mode);
        lexer.statement(&mut self.lexemes)?;
        self.position = lexer.position();
        let mut cursor = Cursor {
            text: self.text,
            lexemes: &self.lexemes,
            position: 0,
            sql_mode: options.sql_mode,
            depth: 0,
        };
        if cursor.is(Kind::End) {
            return Ok(None);
        }
        let start = cursor.peek().start as usize;
        let statement = cursor.whole_statement()?;
        let parameters = self.lexemes.iter().filter(|lexeme| lexeme.kind == Kind::Parameter).count();
        let last = self.lexemes.iter().rfind(|lexeme| !matches!(lexeme.kind, Kind::End | Kind::Semicolon));
        let end = last.map_or(start, |lexeme| lexeme.end as usize);
        Ok(Some(ParsedStatement { statement, text: start..end, parameters }))
    }
}
