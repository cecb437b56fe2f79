//! The reader our own grammar is written on: a position in the lexemes of one statement.

use tidewater_types::SqlMode;

use crate::ast::{ColumnName, Ident, ObjectName};
use crate::error::ParseError;
use crate::lexer::{Kind, Lexeme};
use crate::literal;
use crate::words;

pub(crate) type Result<T> = std::result::Result<T, ParseError>;

/// A position in the lexemes of one statement. The grammar's methods are in `grammar` and its children.
pub(crate) struct Cursor<'a> {
    pub text: &'a [u8],
    /// Ends with [`Kind::End`]; a semicolon may stand before that.
    pub lexemes: &'a [Lexeme],
    pub position: usize,
    pub sql_mode: SqlMode,
    /// Statements within statements (EXPLAIN EXPLAIN ..).
    pub depth: usize,
}

impl<'a> Cursor<'a> {
    pub fn at(&self, position: usize) -> Cursor<'a> {
        Cursor { position, ..*self }
    }

    pub fn lexeme(&self, index: usize) -> Lexeme {
        self.lexemes[index.min(self.lexemes.len() - 1)]
    }

    pub fn peek(&self) -> Lexeme {
        self.lexeme(self.position)
    }

    pub fn kind(&self) -> Kind {
        self.peek().kind
    }

    pub fn kind_at(&self, ahead: usize) -> Kind {
        self.lexeme(self.position + ahead).kind
    }

    pub fn source(&self, lexeme: Lexeme) -> &'a [u8] {
        &self.text[lexeme.start as usize..lexeme.end as usize]
    }

    /// The text of a lexeme known to be UTF-8 (words, names, numbers).
    pub fn word_of(&self, lexeme: Lexeme) -> &'a str {
        std::str::from_utf8(self.source(lexeme)).unwrap_or_default()
    }

    /// The word at the position; empty when there is none.
    pub fn word(&self) -> &'a str {
        self.word_at(0)
    }

    pub fn word_at(&self, ahead: usize) -> &'a str {
        let lexeme = self.lexeme(self.position + ahead);
        if lexeme.kind == Kind::Word { self.word_of(lexeme) } else { "" }
    }

    pub fn advance(&mut self) {
        if self.position + 1 < self.lexemes.len() {
            self.position += 1;
        }
    }

    /// The error of finding the lexeme at the position.
    pub fn error(&self) -> ParseError {
        self.error_at(self.position)
    }

    pub fn error_at(&self, index: usize) -> ParseError {
        ParseError::at(self.text, self.lexeme(index).start as usize)
    }

    pub fn fail<T>(&self) -> Result<T> {
        Err(self.error())
    }

    pub fn unsupported<T>(&self, what: impl Into<String>) -> Result<T> {
        Err(ParseError::Unsupported { what: what.into() })
    }

    pub fn is(&self, kind: Kind) -> bool {
        self.kind() == kind
    }

    pub fn eat(&mut self, kind: Kind) -> bool {
        let found = self.is(kind);
        if found {
            self.advance();
        }
        found
    }

    pub fn expect(&mut self, kind: Kind) -> Result<()> {
        if self.eat(kind) { Ok(()) } else { self.fail() }
    }

    pub fn is_word(&self, word: &str) -> bool {
        self.word().eq_ignore_ascii_case(word)
    }

    pub fn is_word_at(&self, ahead: usize, word: &str) -> bool {
        self.word_at(ahead).eq_ignore_ascii_case(word)
    }

    pub fn is_words(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(ahead, word)| self.is_word_at(ahead, word))
    }

    pub fn is_one_of(&self, words: &[&str]) -> bool {
        let found = self.word();
        !found.is_empty() && words.iter().any(|word| found.eq_ignore_ascii_case(word))
    }

    pub fn eat_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.advance();
        }
        found
    }

    /// All of the words, or none of them.
    pub fn eat_words(&mut self, words: &[&str]) -> bool {
        let found = self.is_words(words);
        if found {
            self.position += words.len();
        }
        found
    }

    /// The first of the words that stands here, in the spelling of the list.
    pub fn eat_one_of(&mut self, words: &[&'static str]) -> Option<&'static str> {
        let found = self.word();
        let word = words.iter().find(|word| found.eq_ignore_ascii_case(word))?;
        self.advance();
        Some(word)
    }

    pub fn expect_word(&mut self, word: &str) -> Result<()> {
        if self.eat_word(word) { Ok(()) } else { self.fail() }
    }

    pub fn expect_words(&mut self, words: &[&str]) -> Result<()> {
        words.iter().try_for_each(|word| self.expect_word(word))
    }

    pub fn at_end(&self) -> bool {
        matches!(self.kind(), Kind::End | Kind::Semicolon)
    }

    /// One or more, separated by commas.
    pub fn comma_separated<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.eat(Kind::Comma) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// `( item, .. )`, at least one.
    pub fn parenthesised<T>(&mut self, item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.expect(Kind::LeftParen)?;
        let items = self.comma_separated(item)?;
        self.expect(Kind::RightParen)?;
        Ok(items)
    }

    /// `( [item, ..] )`.
    pub fn parenthesised0<T>(&mut self, item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        if self.is(Kind::LeftParen) && self.kind_at(1) == Kind::RightParen {
            self.position += 2;
            return Ok(Vec::new());
        }
        self.parenthesised(item)
    }

    /// Whether an identifier stands here.
    pub fn is_ident(&self) -> bool {
        match self.kind() {
            Kind::QuotedName => true,
            Kind::Word => !words::is_reserved(self.word()),
            _ => false,
        }
    }

    pub fn ident(&mut self) -> Result<Ident> {
        if !self.is_ident() {
            return self.fail();
        }
        Ok(self.any_word())
    }

    /// An identifier where reserved words are fine (after a period), the caller having checked that one stands here.
    fn any_word(&mut self) -> Ident {
        let lexeme = self.peek();
        let source = self.word_of(lexeme);
        self.advance();
        Ident(if lexeme.kind == Kind::QuotedName { literal::decode_name(source) } else { source.to_owned() })
    }

    /// A name after a period.
    pub fn ident_after_period(&mut self) -> Result<Ident> {
        match self.kind() {
            Kind::Word | Kind::QuotedName => Ok(self.any_word()),
            _ => self.fail(),
        }
    }

    pub fn idents(&mut self) -> Result<Vec<Ident>> {
        self.comma_separated(Self::ident)
    }

    /// A word that may be a keyword, an identifier, or a string: names of engines, character sets ..
    pub fn ident_or_text(&mut self) -> Result<String> {
        match self.kind() {
            Kind::String => self.string(),
            Kind::Word | Kind::QuotedName => Ok(self.any_word().0),
            _ => self.fail(),
        }
    }

    pub fn object_name(&mut self) -> Result<ObjectName> {
        let first = self.ident()?;
        if self.eat(Kind::Period) {
            return Ok(ObjectName { schema: Some(first), name: self.ident_after_period()? });
        }
        Ok(ObjectName { schema: None, name: first })
    }

    pub fn column_name(&mut self) -> Result<ColumnName> {
        let mut column = ColumnName::bare(self.ident()?);
        for _ in 0..2 {
            if self.eat(Kind::Period) {
                column.schema = column.table.take();
                column.table = Some(column.name);
                column.name = self.ident_after_period()?;
            }
        }
        Ok(column)
    }

    /// A string, neighbours joined.
    pub fn string(&mut self) -> Result<String> {
        if !self.is(Kind::String) {
            return self.fail();
        }
        let mut bytes = Vec::new();
        while self.is(Kind::String) {
            literal::decode_string(self.source(self.peek()), self.sql_mode, &mut bytes);
            self.advance();
        }
        Ok(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        })
    }

    /// A string, or a hexadecimal or bit constant taken as one.
    pub fn string_like(&mut self) -> Result<String> {
        use crate::ast::Literal;
        match literal::simple(self.peek(), self.text, self.sql_mode) {
            Some(Literal::Hex(bytes) | Literal::Bit(bytes)) => {
                self.advance();
                Ok(bytes.value.iter().map(|&byte| byte as char).collect())
            }
            _ => self.string(),
        }
    }

    pub fn unsigned(&mut self) -> Result<u64> {
        if !self.is(Kind::Integer) {
            return self.fail();
        }
        let Ok(value) = self.word_of(self.peek()).parse() else { return self.fail() };
        self.advance();
        Ok(value)
    }

    pub fn unsigned32(&mut self) -> Result<u32> {
        match u32::try_from(self.unsigned()?) {
            Ok(value) => Ok(value),
            Err(_) => Err(self.error_at(self.position - 1)),
        }
    }

    /// `@name` without the sign.
    pub fn user_variable(&mut self) -> Result<String> {
        if !self.is(Kind::UserVariable) {
            return self.fail();
        }
        let name = literal::decode_user_variable(self.source(self.peek()), self.sql_mode);
        self.advance();
        Ok(name)
    }

    /// The text from the start of one lexeme to the end of another.
    pub fn text_between(&self, first: usize, last: usize) -> String {
        let range = self.lexeme(first).start as usize
            ..(self.lexeme(last).end as usize).max(self.lexeme(first).start as usize);
        String::from_utf8_lossy(&self.text[range]).into_owned()
    }

    /// The index of the parenthesis that closes the one at `open`, or of the end.
    pub fn closing(&self, open: usize) -> usize {
        let mut depth = 0usize;
        for (index, lexeme) in self.lexemes.iter().enumerate().skip(open) {
            match lexeme.kind {
                Kind::LeftParen => depth += 1,
                Kind::RightParen if depth <= 1 => return index,
                Kind::RightParen => depth -= 1,
                _ => {}
            }
        }
        self.lexemes.len() - 1
    }

    /// Where an expression or query that starts here must have ended: at a parenthesis closed beyond those it opens, the
    /// statement's end, or (when asked for) a comma.
    pub fn extent(&self, stop_at_comma: bool) -> usize {
        let mut depth = 0usize;
        for (index, lexeme) in self.lexemes.iter().enumerate().skip(self.position) {
            match lexeme.kind {
                Kind::LeftParen => depth += 1,
                Kind::RightParen if depth == 0 => return index,
                Kind::RightParen => depth -= 1,
                Kind::Comma if depth == 0 && stop_at_comma => return index,
                Kind::Semicolon | Kind::End => return index,
                _ => {}
            }
        }
        self.lexemes.len() - 1
    }
}
