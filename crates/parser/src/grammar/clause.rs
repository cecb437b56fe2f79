//! Clauses that several statements share.

use tidewater_types::IntervalUnit;

use crate::ast::{
    FieldsFormat, Hint, LinesFormat, LockStrength, LockWait, Locking, OrderItem, SelectInto, With,
};
use crate::cursor::{Cursor, Result};
use crate::hint;
use crate::lexer::Kind;

/// A unit of INTERVAL and its relatives.
pub(crate) fn time_unit(word: &str) -> Option<IntervalUnit> {
    let word = word.to_ascii_uppercase();
    IntervalUnit::from_name(word.strip_prefix("SQL_TSI_").unwrap_or(&word))
}

impl Cursor<'_> {
    /// The optimizer hints after a verb, if there are any.
    pub fn hints(&mut self) -> Vec<Hint> {
        let lexeme = self.peek();
        if self.eat(Kind::Hint) { hint::parse(self.source(lexeme)) } else { Vec::new() }
    }

    /// `WITH [RECURSIVE] name [(columns)] AS (query), ..`.
    pub fn common_tables(&mut self) -> Result<With> {
        self.expect_word("WITH")?;
        let recursive = self.eat_word("RECURSIVE");
        let tables = self.comma_separated(|cursor| {
            let name = cursor.ident()?;
            let columns =
                if cursor.is(Kind::LeftParen) { cursor.parenthesised(Self::ident)? } else { Vec::new() };
            cursor.expect_word("AS")?;
            cursor.expect(Kind::LeftParen)?;
            let query = cursor.query()?;
            cursor.expect(Kind::RightParen)?;
            Ok(crate::ast::CommonTable { name, columns, query })
        })?;
        Ok(With { recursive, tables })
    }

    /// `ORDER BY ..`, if it stands here.
    pub fn order_by(&mut self) -> Result<Vec<OrderItem>> {
        if !self.eat_words(&["ORDER", "BY"]) {
            return Ok(Vec::new());
        }
        self.comma_separated(|cursor| {
            let expr = cursor.expr()?;
            let descending = cursor.eat_one_of(&["ASC", "DESC"]) == Some("DESC");
            Ok(OrderItem { expr, descending })
        })
    }

    /// `FOR UPDATE ..`, `FOR SHARE ..`, `LOCK IN SHARE MODE`.
    pub fn locking(&mut self) -> Result<Locking> {
        if self.eat_words(&["LOCK", "IN", "SHARE", "MODE"]) {
            return Ok(Locking { strength: LockStrength::Share, tables: Vec::new(), wait: LockWait::Wait });
        }
        self.expect_word("FOR")?;
        let strength = match self.eat_one_of(&["UPDATE", "SHARE"]) {
            Some("UPDATE") => LockStrength::Update,
            Some(_) => LockStrength::Share,
            None => return self.fail(),
        };
        let tables = if self.eat_word("OF") { self.comma_separated(Self::object_name)? } else { Vec::new() };
        let wait = if self.eat_word("NOWAIT") {
            LockWait::NoWait
        } else if self.eat_words(&["SKIP", "LOCKED"]) {
            LockWait::SkipLocked
        } else if self.is_word("WAIT") && self.kind_at(1) == Kind::Integer {
            self.advance();
            LockWait::Seconds(self.unsigned()?)
        } else {
            LockWait::Wait
        };
        Ok(Locking { strength, tables, wait })
    }

    /// `INTO OUTFILE ..`, `INTO DUMPFILE ..`, `INTO @a, @b`.
    pub fn select_into(&mut self) -> Result<SelectInto> {
        self.expect_word("INTO")?;
        if self.eat_word("OUTFILE") {
            let path = self.string()?;
            let charset = self.optional_charset()?;
            let fields = self.fields_format()?;
            let lines = self.lines_format()?;
            return Ok(SelectInto::Outfile { path, charset, fields, lines });
        }
        if self.eat_word("DUMPFILE") {
            return Ok(SelectInto::Dumpfile(self.string()?));
        }
        Ok(SelectInto::Variables(self.comma_separated(Self::user_variable)?))
    }

    /// `CHARACTER SET x` or `CHARSET x`, if it stands here, in lower case.
    pub fn optional_charset(&mut self) -> Result<Option<String>> {
        if !self.eat_words(&["CHARACTER", "SET"])
            && !self.eat_words(&["CHAR", "SET"])
            && !self.eat_word("CHARSET")
        {
            return Ok(None);
        }
        self.eat(Kind::Eq);
        Ok(Some(self.ident_or_text()?.to_lowercase()))
    }

    /// `FIELDS ..` or `COLUMNS ..`, if it stands here.
    pub fn fields_format(&mut self) -> Result<FieldsFormat> {
        let mut format = FieldsFormat::default();
        if self.eat_one_of(&["FIELDS", "COLUMNS"]).is_none() {
            return Ok(format);
        }
        loop {
            if self.eat_words(&["TERMINATED", "BY"]) {
                format.terminated = Some(self.string_like()?);
            } else if self.eat_words(&["OPTIONALLY", "ENCLOSED", "BY"]) {
                format.optionally = true;
                format.enclosed = Some(self.string_like()?);
            } else if self.eat_words(&["ENCLOSED", "BY"]) {
                format.enclosed = Some(self.string_like()?);
            } else if self.eat_words(&["ESCAPED", "BY"]) {
                format.escaped = Some(self.string_like()?);
            } else if format == FieldsFormat::default() {
                return self.fail();
            } else {
                return Ok(format);
            }
        }
    }

    /// `LINES ..`, if it stands here.
    pub fn lines_format(&mut self) -> Result<LinesFormat> {
        let mut format = LinesFormat::default();
        if !self.eat_word("LINES") {
            return Ok(format);
        }
        loop {
            if self.eat_words(&["STARTING", "BY"]) {
                format.starting = Some(self.string_like()?);
            } else if self.eat_words(&["TERMINATED", "BY"]) {
                format.terminated = Some(self.string_like()?);
            } else if format == LinesFormat::default() {
                return self.fail();
            } else {
                return Ok(format);
            }
        }
    }
}
