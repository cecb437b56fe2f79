//! SET in all its meanings.

use crate::ast::{
    Expr, IsolationLevel, Literal, SetDefaultRole, SetItem, SetPassword, SetTransaction, SetValue, Statement,
    StringLiteral, VariableScope,
};
use crate::cursor::{Cursor, Result};
use crate::lexer::Kind;
use crate::lower::{system_variable, variable_scope};

impl Cursor<'_> {
    /// Behind SET.
    pub fn set(&mut self) -> Result<Statement> {
        if self.is_word("PASSWORD")
            && (self.kind_at(1) == Kind::Eq || self.is_word_at(1, "FOR") || self.is_word_at(1, "TO"))
        {
            self.advance();
            return self.set_password();
        }
        if self.is_word("ROLE") && !matches!(self.kind_at(1), Kind::Eq | Kind::Assign) {
            self.advance();
            return Ok(Statement::SetRole(self.role_selection(true)?));
        }
        if self.eat_words(&["DEFAULT", "ROLE"]) {
            let roles = self.role_selection(false)?;
            self.expect_word("TO")?;
            return Ok(Statement::SetDefaultRole(SetDefaultRole { roles, users: self.user_refs()? }));
        }
        if let Some(what) = self.is_words(&["RESOURCE", "GROUP"]).then_some("SET RESOURCE GROUP") {
            return self.unsupported(what);
        }
        // SET [GLOBAL | SESSION] TRANSACTION characteristics.
        let scope = variable_scope(self.word());
        let ahead = usize::from(scope.is_some());
        if self.is_word_at(ahead, "TRANSACTION")
            && (self.is_word_at(ahead + 1, "ISOLATION") || self.is_word_at(ahead + 1, "READ"))
        {
            self.position += ahead + 1;
            return self.set_transaction(scope);
        }
        // SET STATEMENT a = b FOR statement is MariaDB's.
        let mut items = Vec::new();
        let mut scope = None;
        loop {
            items.push(self.set_item(&mut scope)?);
            if !self.eat(Kind::Comma) {
                return Ok(Statement::Set(items));
            }
        }
    }

    /// One assignment. A scope word holds for its own assignment and, as MySQL has it, for the following ones without a scope.
    fn set_item(&mut self, sticky: &mut Option<VariableScope>) -> Result<SetItem> {
        if self.is_word("NAMES") && !matches!(self.kind_at(1), Kind::Eq | Kind::Assign) {
            self.advance();
            if self.eat_word("DEFAULT") {
                return Ok(SetItem::Names { charset: None, collation: None });
            }
            let charset = Some(self.ident_or_text()?.to_lowercase());
            let collation = if self.eat_word("COLLATE") {
                Some(self.ident_or_text()?.to_lowercase()).filter(|collation| collation != "default")
            } else {
                None
            };
            return Ok(SetItem::Names { charset, collation });
        }
        let charset = self.is_words(&["CHARACTER", "SET"])
            || self.is_words(&["CHAR", "SET"])
            || (self.is_word("CHARSET") && !matches!(self.kind_at(1), Kind::Eq | Kind::Assign));
        if charset {
            self.position += if self.is_word("CHARSET") { 1 } else { 2 };
            if self.eat_word("DEFAULT") {
                return Ok(SetItem::Charset(None));
            }
            return Ok(SetItem::Charset(Some(self.ident_or_text()?.to_lowercase())));
        }
        match self.kind() {
            Kind::UserVariable => {
                let name = self.user_variable()?;
                self.assign_sign()?;
                Ok(SetItem::User { name, value: self.expr()? })
            }
            Kind::SystemVariable => {
                let variable = system_variable(self.word_of(self.peek()));
                self.advance();
                self.assign_sign()?;
                Ok(SetItem::System { scope: variable.scope, name: variable.name, value: self.set_value()? })
            }
            _ => {
                if let Some(scope) = variable_scope(self.word())
                    && !matches!(self.kind_at(1), Kind::Eq | Kind::Assign | Kind::Period)
                {
                    self.advance();
                    *sticky = Some(scope);
                }
                let mut name = self.ident_after_period()?.lower();
                let mut scope = *sticky;
                if self.eat(Kind::Period) {
                    let rest = self.ident_after_period()?.lower();
                    match variable_scope(&name) {
                        Some(written) => {
                            scope = Some(written);
                            name = rest;
                        }
                        None => name = format!("{name}.{rest}"),
                    }
                }
                self.assign_sign()?;
                Ok(SetItem::System { scope, name, value: self.set_value()? })
            }
        }
    }

    fn assign_sign(&mut self) -> Result<()> {
        if self.eat(Kind::Eq) || self.eat(Kind::Assign) { Ok(()) } else { self.fail() }
    }

    /// DEFAULT, a bare word taken as a string, or an expression.
    fn set_value(&mut self) -> Result<SetValue> {
        let alone = matches!(self.kind_at(1), Kind::Comma | Kind::End | Kind::Semicolon);
        if alone && self.is(Kind::Word) {
            let word = self.word();
            if word.eq_ignore_ascii_case("DEFAULT") {
                self.advance();
                return Ok(SetValue::Default);
            }
            if !["NULL", "TRUE", "FALSE", "CURRENT_USER"].iter().any(|known| word.eq_ignore_ascii_case(known))
            {
                self.advance();
                return Ok(SetValue::Expr(Expr::Literal(Literal::String(StringLiteral::new(word)))));
            }
        }
        Ok(SetValue::Expr(self.expr()?))
    }

    fn set_transaction(&mut self, scope: Option<VariableScope>) -> Result<Statement> {
        let mut transaction = SetTransaction { scope, isolation: None, read_only: None };
        loop {
            if self.eat_words(&["ISOLATION", "LEVEL"]) {
                transaction.isolation = Some(if self.eat_words(&["READ", "UNCOMMITTED"]) {
                    IsolationLevel::ReadUncommitted
                } else if self.eat_words(&["READ", "COMMITTED"]) {
                    IsolationLevel::ReadCommitted
                } else if self.eat_words(&["REPEATABLE", "READ"]) {
                    IsolationLevel::RepeatableRead
                } else if self.eat_word("SERIALIZABLE") {
                    IsolationLevel::Serializable
                } else {
                    return self.fail();
                });
            } else if self.eat_words(&["READ", "ONLY"]) {
                transaction.read_only = Some(true);
                if self.is_words(&["AS", "OF"]) {
                    return self.unsupported("SET TRANSACTION READ ONLY AS OF");
                }
            } else if self.eat_words(&["READ", "WRITE"]) {
                transaction.read_only = Some(false);
            } else {
                return self.fail();
            }
            if !self.eat(Kind::Comma) {
                return Ok(Statement::SetTransaction(transaction));
            }
        }
    }

    fn set_password(&mut self) -> Result<Statement> {
        let user = if self.eat_word("FOR") { Some(self.user_ref()?) } else { None };
        let mut password = None;
        if !self.eat_words(&["TO", "RANDOM"]) {
            self.assign_sign()?;
            // PASSWORD('text') is the old way to say it.
            password = Some(if self.is_word("PASSWORD") && self.kind_at(1) == Kind::LeftParen {
                self.position += 2;
                let text = self.string()?;
                self.expect(Kind::RightParen)?;
                text
            } else {
                self.string()?
            });
        }
        let replace = if self.eat_word("REPLACE") { Some(self.string()?) } else { None };
        self.eat_words(&["RETAIN", "CURRENT", "PASSWORD"]);
        Ok(Statement::SetPassword(SetPassword { user, password, replace }))
    }
}
