//! Databases and views.

use crate::ast::{AlterDatabase, CreateDatabase, CreateView, DatabaseOption, Statement};
use crate::cursor::{Cursor, Result};
use crate::lexer::Kind;

impl Cursor<'_> {
    /// Behind CREATE DATABASE.
    pub fn create_database(&mut self) -> Result<Statement> {
        let if_not_exists = self.eat_words(&["IF", "NOT", "EXISTS"]);
        let name = self.ident()?;
        Ok(Statement::CreateDatabase(CreateDatabase {
            if_not_exists,
            name,
            options: self.database_options()?,
        }))
    }

    /// Behind ALTER DATABASE.
    pub fn alter_database(&mut self) -> Result<Statement> {
        let is_option = self.is_one_of(&["CHARACTER", "CHARSET", "COLLATE", "DEFAULT", "ENCRYPTION", "READ"])
            || self.is_words(&["CHAR", "SET"])
            || self.is_words(&["PLACEMENT", "POLICY"]);
        let name = if is_option && !self.at_name_then_option() { None } else { Some(self.ident()?) };
        let options = self.database_options()?;
        if options.is_empty() {
            return self.fail();
        }
        Ok(Statement::AlterDatabase(AlterDatabase { name, options }))
    }

    /// A database may be called `charset` or `encryption`.
    fn at_name_then_option(&self) -> bool {
        self.is_ident()
            && self.kind_at(1) == Kind::Word
            && self.at(self.position + 1).is_one_of(&["CHARACTER", "CHARSET", "COLLATE", "DEFAULT"])
    }

    fn database_options(&mut self) -> Result<Vec<DatabaseOption>> {
        let mut options = Vec::new();
        loop {
            let default = self.eat_word("DEFAULT");
            if let Some(charset) = self.optional_charset()? {
                options.push(DatabaseOption::Charset(charset));
            } else if self.eat_word("COLLATE") {
                self.eat(Kind::Eq);
                options.push(DatabaseOption::Collate(self.ident_or_text()?.to_lowercase()));
            } else if self.eat_word("ENCRYPTION") {
                self.eat(Kind::Eq);
                options.push(DatabaseOption::Encryption(self.string()?));
            } else if self.eat_words(&["PLACEMENT", "POLICY"]) {
                self.eat(Kind::Eq);
                options.push(DatabaseOption::PlacementPolicy(self.ident_or_text()?));
            } else if self.eat_words(&["READ", "ONLY"]) {
                self.eat(Kind::Eq);
                let value = match self.kind() {
                    Kind::Integer => self.unsigned()?.to_string(),
                    _ => self.ident_or_text()?.to_uppercase(),
                };
                options.push(DatabaseOption::ReadOnly(value));
            } else if default {
                return self.fail();
            } else {
                return Ok(options);
            }
        }
    }

    /// Behind CREATE \[OR REPLACE] or ALTER.
    pub fn create_view(&mut self, or_replace: bool, alter: bool) -> Result<Statement> {
        let mut algorithm = None;
        if self.eat_word("ALGORITHM") {
            self.expect(Kind::Eq)?;
            algorithm = match self.eat_one_of(&["UNDEFINED", "MERGE", "TEMPTABLE"]) {
                Some(algorithm) => Some(algorithm.to_owned()),
                None => return self.fail(),
            };
        }
        let mut definer = None;
        if self.eat_word("DEFINER") {
            self.expect(Kind::Eq)?;
            definer = match self.user_ref()? {
                crate::ast::UserRef::Named(name) => Some(name),
                crate::ast::UserRef::Current => None,
            };
        }
        let mut invoker = false;
        if self.eat_words(&["SQL", "SECURITY"]) {
            match self.eat_one_of(&["DEFINER", "INVOKER"]) {
                Some(security) => invoker = security == "INVOKER",
                None => return self.fail(),
            }
        }
        if let Some(what) = self.eat_one_of(&["PROCEDURE", "FUNCTION", "TRIGGER", "EVENT"]) {
            return self.unsupported(format!("CREATE {what}"));
        }
        self.expect_word("VIEW")?;
        let name = self.object_name()?;
        let columns = if self.is(Kind::LeftParen) { self.parenthesised(Self::ident)? } else { Vec::new() };
        self.expect_word("AS")?;
        let query = Box::new(self.query()?);
        let mut check_option = None;
        if self.eat_word("WITH") {
            let kind = self.eat_one_of(&["CASCADED", "LOCAL"]).unwrap_or("CASCADED");
            self.expect_words(&["CHECK", "OPTION"])?;
            check_option = Some(kind.to_owned());
        }
        Ok(Statement::CreateView(Box::new(CreateView {
            or_replace,
            alter,
            algorithm,
            definer,
            invoker,
            name,
            columns,
            query,
            check_option,
        })))
    }
}
