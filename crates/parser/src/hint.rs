//! Optimizer hints: the text between `/*+` and `*/`.
//!
//! A hint nobody can read is dropped, as MySQL does (with a warning there): hints never fail a statement.

use tidewater_types::SqlMode;

use crate::ast::{Hint, HintArg, Ident};
use crate::cursor::{Cursor, Result};
use crate::lexer::{Kind, Lexer};

/// The hints of a comment, delimiters included.
pub(crate) fn parse(comment: &[u8]) -> Vec<Hint> {
    let text = comment.strip_prefix(b"/*+").unwrap_or(comment);
    let text = text.strip_suffix(b"*/").unwrap_or(text);
    // READ_FROM_STORAGE(tikv[t1, t2]) has brackets, which mean nothing that blanks would not say as well.
    let text: Vec<u8> =
        text.iter().map(|&byte| if matches!(byte, b'[' | b']') { b' ' } else { byte }).collect();
    let text = text.as_slice();
    let mut lexemes = Vec::new();
    if Lexer::new(text, 0, SqlMode::empty()).statement(&mut lexemes).is_err() {
        return Vec::new();
    }
    let mut cursor = Cursor { text, lexemes: &lexemes, position: 0, sql_mode: SqlMode::empty(), depth: 0 };
    let mut hints = Vec::new();
    while !cursor.at_end() {
        let start = cursor.position;
        match cursor.hint() {
            Ok(hint) => hints.push(hint),
            Err(_) => {
                // On to the next word after this hint's parentheses.
                cursor.position = start;
                cursor.advance();
                if cursor.is(Kind::LeftParen) {
                    cursor.position = cursor.closing(cursor.position);
                    cursor.advance();
                }
            }
        }
        cursor.eat(Kind::Comma);
    }
    hints
}

impl Cursor<'_> {
    fn hint(&mut self) -> Result<Hint> {
        let name = self.word().to_lowercase();
        if name.is_empty() {
            return self.fail();
        }
        self.advance();
        let mut hint = Hint { name, query_block: None, args: Vec::new() };
        if !self.eat(Kind::LeftParen) {
            return Ok(hint);
        }
        if self.is(Kind::UserVariable) {
            hint.query_block = Some(self.user_variable()?);
            self.eat(Kind::Comma);
        }
        while !self.eat(Kind::RightParen) {
            if self.at_end() {
                return self.fail();
            }
            let arg = self.hint_arg()?;
            hint.args.push(arg);
            self.eat(Kind::Comma);
        }
        Ok(hint)
    }

    fn hint_arg(&mut self) -> Result<HintArg> {
        match self.kind() {
            Kind::Integer => {
                let value = self.unsigned()?;
                let unit = self.eat_one_of(&["MB", "GB"]).map(str::to_owned);
                Ok(HintArg::Number { value, unit })
            }
            Kind::String => self.string().map(HintArg::Text),
            Kind::Word | Kind::QuotedName => {
                let mut name = self.ident_after_period()?;
                if self.eat(Kind::Eq) {
                    let value = match self.kind() {
                        Kind::String => self.string()?,
                        Kind::Comma | Kind::RightParen | Kind::End => return self.fail(),
                        _ => {
                            let minus = if self.eat(Kind::Minus) { "-" } else { "" };
                            let text = self.word_of(self.peek());
                            self.advance();
                            format!("{minus}{text}")
                        }
                    };
                    return Ok(HintArg::Assignment { name: name.0, value });
                }
                let mut schema = None;
                if self.eat(Kind::Period) {
                    schema = Some(std::mem::replace(&mut name, self.ident_after_period()?));
                }
                let query_block =
                    if self.is(Kind::UserVariable) { Some(self.user_variable()?) } else { None };
                Ok(HintArg::Table { schema, name: Ident(name.0), query_block })
            }
            _ => self.fail(),
        }
    }
}
