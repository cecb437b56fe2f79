//! Our own grammar: everything but expressions and queries.
//!
//! One method per clause on [`Cursor`], grouped by statement class in the children. [`Cursor::statement`] dispatches on the first
//! words. Methods are called with the position at the first lexeme of what they read, or behind the words that led to them.

mod account;
mod admin;
mod alter;
mod clause;
mod column;
mod dml;
mod schema;
mod set;
mod show;
mod table;

pub(crate) use clause::time_unit;

use crate::ast::{Call, Completion, Execute, ExplainTarget, Kill, Prepare, PrepareSource, Statement};
use crate::cursor::{Cursor, Result};
use crate::error::ParseError;
use crate::lexer::Kind;

/// What MySQL and TiDB create and drop, and we do not.
const FOREIGN_OBJECTS: &[&str] = &[
    "PROCEDURE",
    "FUNCTION",
    "TRIGGER",
    "EVENT",
    "SEQUENCE",
    "TABLESPACE",
    "SERVER",
    "PLACEMENT",
    "RESOURCE",
    "BINDING",
];

/// EXPLAIN of EXPLAIN of .. ends here.
const STATEMENT_DEPTH_MAX: usize = 8;

impl Cursor<'_> {
    /// A whole statement, up to (not including) its semicolon.
    pub fn whole_statement(&mut self) -> Result<Statement> {
        if self.at_end() {
            return Ok(Statement::Empty);
        }
        let statement = self.statement()?;
        if self.is_one_of(&["GROUP", "ORDER"]) && !self.is_word_at(1, "BY") {
            // A query stops before these words when they lead nowhere; what is wrong is what follows them.
            self.advance();
            return self.fail();
        }
        if !self.at_end() {
            return self.fail();
        }
        Ok(statement)
    }

    fn statement(&mut self) -> Result<Statement> {
        if self.is(Kind::LeftParen) {
            return Ok(Statement::Query(Box::new(self.query()?)));
        }
        let verb = self.word().to_ascii_uppercase();
        let start = self.position;
        match verb.as_str() {
            "SELECT" | "VALUES" | "TABLE" => return Ok(Statement::Query(Box::new(self.query()?))),
            "WITH" => return self.with_statement(),
            _ => self.advance(),
        }
        match verb.as_str() {
            "INSERT" => self.insert(false),
            "REPLACE" => self.insert(true),
            "UPDATE" => self.update(None),
            "DELETE" => self.delete(None),
            "LOAD" => self.load_data(),
            "CALL" => {
                let name = self.object_name()?;
                let args =
                    if self.is(Kind::LeftParen) { self.parenthesised0(Self::expr)? } else { Vec::new() };
                Ok(Statement::Call(Call { name, args }))
            }
            "DO" => Ok(Statement::Do(self.comma_separated(Self::expr)?)),
            "SET" => self.set(),
            "SHOW" => self.show(),
            "USE" => Ok(Statement::Use(self.ident()?)),
            "EXPLAIN" | "DESCRIBE" | "DESC" => self.explain(),
            "HELP" => Ok(Statement::Help(self.ident_or_text()?)),
            "BEGIN" => self.begin(),
            "START" => self.start_transaction(),
            "COMMIT" => {
                self.eat_word("WORK");
                Ok(Statement::Commit(self.completion()?))
            }
            "ROLLBACK" => {
                self.eat_word("WORK");
                if self.eat_word("TO") {
                    self.eat_word("SAVEPOINT");
                    return Ok(Statement::RollbackToSavepoint(self.ident()?));
                }
                Ok(Statement::Rollback(self.completion()?))
            }
            "SAVEPOINT" => Ok(Statement::Savepoint(self.ident()?)),
            "RELEASE" => {
                self.expect_word("SAVEPOINT")?;
                Ok(Statement::ReleaseSavepoint(self.ident()?))
            }
            "PREPARE" => {
                let name = self.ident()?;
                self.expect_word("FROM")?;
                let source = match self.kind() {
                    Kind::UserVariable => PrepareSource::Variable(self.user_variable()?),
                    _ => PrepareSource::Text(self.string()?),
                };
                Ok(Statement::Prepare(Prepare { name, source }))
            }
            "EXECUTE" => {
                let name = self.ident()?;
                let using = if self.eat_word("USING") {
                    self.comma_separated(Self::user_variable)?
                } else {
                    Vec::new()
                };
                Ok(Statement::Execute(Execute { name, using }))
            }
            "DEALLOCATE" => {
                self.expect_word("PREPARE")?;
                Ok(Statement::Deallocate(self.ident()?))
            }
            "KILL" => {
                let tidb = self.eat_word("TIDB");
                let query = self.eat_word("QUERY");
                if !query {
                    self.eat_word("CONNECTION");
                }
                Ok(Statement::Kill(Kill { query, tidb, id: self.expr()? }))
            }
            "CREATE" => self.create(),
            "ALTER" => self.alter(),
            "DROP" => self.drop(),
            "TRUNCATE" => {
                self.eat_word("TABLE");
                Ok(Statement::TruncateTable(self.object_name()?))
            }
            "RENAME" => self.rename(),
            "GRANT" => self.grant(),
            "REVOKE" => self.revoke(),
            "ANALYZE" => self.analyze(),
            "FLUSH" => self.flush(),
            "LOCK" => self.lock_tables(),
            "UNLOCK" => {
                if self.eat_one_of(&["TABLES", "TABLE", "INSTANCE"]).is_none() {
                    return self.fail();
                }
                Ok(Statement::UnlockTables)
            }
            "CHECK" | "CHECKSUM" | "OPTIMIZE" | "REPAIR" => self.maintain_table(&verb),
            "ADMIN" => self.admin(),
            "SPLIT" => self.split_table(),
            "SHUTDOWN" => Ok(Statement::Shutdown),
            _ => Err(self.error_at(start)),
        }
    }

    fn with_statement(&mut self) -> Result<Statement> {
        // The verb after the common tables decides; they are parenthesised, so it is the first such word outside.
        let mut depth = 0usize;
        for (index, lexeme) in self.lexemes.iter().enumerate().skip(self.position) {
            match lexeme.kind {
                Kind::LeftParen => depth += 1,
                Kind::RightParen => depth = depth.saturating_sub(1),
                Kind::Word if depth == 0 => {
                    let verb = self.at(index);
                    if verb.is_one_of(&["UPDATE", "DELETE"]) {
                        let with = self.common_tables()?;
                        if self.position != index {
                            return self.fail();
                        }
                        self.advance();
                        return if verb.is_word("UPDATE") {
                            self.update(Some(with))
                        } else {
                            self.delete(Some(with))
                        };
                    }
                    if verb.is_one_of(&["SELECT", "VALUES", "TABLE"]) {
                        break;
                    }
                }
                _ => {}
            }
        }
        Ok(Statement::Query(Box::new(self.query()?)))
    }

    fn explain(&mut self) -> Result<Statement> {
        let mut explain = crate::ast::Explain {
            analyze: self.eat_word("ANALYZE"),
            format: None,
            target: ExplainTarget::Connection(0),
        };
        if self.is_word("FORMAT") && self.kind_at(1) == Kind::Eq {
            self.position += 2;
            explain.format = Some(self.ident_or_text()?.to_lowercase());
            // EXPLAIN FORMAT = x ANALYZE is not MySQL's, but people write it.
            explain.analyze |= self.eat_word("ANALYZE");
        } else if self.eat_one_of(&["EXTENDED", "PARTITIONS"]).is_some() {
            // What they asked for is always shown.
        }
        if self.eat_words(&["FOR", "CONNECTION"]) {
            explain.target = ExplainTarget::Connection(self.unsigned()?);
            return Ok(Statement::Explain(explain));
        }
        let explainable = self.is(Kind::LeftParen)
            || self.is_one_of(&[
                "SELECT", "INSERT", "REPLACE", "UPDATE", "DELETE", "WITH", "TABLE", "VALUES", "ALTER",
                "EXPLAIN", "LOAD", "SET", "DO",
            ]);
        if explainable || explain.analyze || explain.format.is_some() {
            if self.depth >= STATEMENT_DEPTH_MAX {
                return Err(ParseError::TooDeep);
            }
            self.depth += 1;
            explain.target = ExplainTarget::Statement(Box::new(self.statement()?));
            self.depth -= 1;
            return Ok(Statement::Explain(explain));
        }
        let table = self.object_name()?;
        let column = match self.kind() {
            Kind::End | Kind::Semicolon => None,
            _ => Some(self.ident_or_text()?),
        };
        Ok(Statement::DescribeTable(crate::ast::DescribeTable { table, column }))
    }

    fn completion(&mut self) -> Result<Completion> {
        let mut completion = Completion::default();
        if self.eat_word("AND") {
            let no = self.eat_word("NO");
            self.expect_word("CHAIN")?;
            completion.chain = Some(!no);
        }
        if self.eat_words(&["NO", "RELEASE"]) {
            completion.release = Some(false);
        } else if self.eat_word("RELEASE") {
            completion.release = Some(true);
        }
        if completion == (Completion { chain: Some(true), release: Some(true) }) {
            return Err(self.error_at(self.position - 1));
        }
        Ok(completion)
    }

    fn begin(&mut self) -> Result<Statement> {
        let mut begin = crate::ast::Begin::default();
        if !self.eat_word("WORK") {
            begin.pessimistic =
                self.eat_one_of(&["PESSIMISTIC", "OPTIMISTIC"]).map(|mode| mode == "PESSIMISTIC");
        }
        Ok(Statement::Begin(begin))
    }

    fn start_transaction(&mut self) -> Result<Statement> {
        self.expect_word("TRANSACTION")?;
        let mut begin = crate::ast::Begin::default();
        if self.at_end() {
            return Ok(Statement::Begin(begin));
        }
        loop {
            if self.eat_words(&["WITH", "CONSISTENT", "SNAPSHOT"]) {
                begin.consistent_snapshot = true;
            } else if self.eat_words(&["WITH", "CAUSAL", "CONSISTENCY", "ONLY"]) {
                begin.causal_consistency = true;
            } else if self.eat_words(&["READ", "WRITE"]) {
                if begin.read_only == Some(true) {
                    return Err(self.error_at(self.position - 2));
                }
                begin.read_only = Some(false);
            } else if self.eat_words(&["READ", "ONLY"]) {
                if begin.read_only == Some(false) {
                    return Err(self.error_at(self.position - 2));
                }
                begin.read_only = Some(true);
                if self.eat_words(&["AS", "OF", "TIMESTAMP"]) {
                    begin.as_of = Some(self.expr()?);
                }
            } else if let Some(mode) = self.eat_one_of(&["PESSIMISTIC", "OPTIMISTIC"]) {
                begin.pessimistic = Some(mode == "PESSIMISTIC");
            } else {
                return self.fail();
            }
            if !self.eat(Kind::Comma) {
                return Ok(Statement::Begin(begin));
            }
        }
    }

    fn create(&mut self) -> Result<Statement> {
        let or_replace = self.eat_words(&["OR", "REPLACE"]);
        let is_view =
            self.is_one_of(&["VIEW", "ALGORITHM", "DEFINER"]) || self.is_words(&["SQL", "SECURITY"]);
        if is_view {
            return self.create_view(or_replace, false);
        }
        if or_replace {
            return self.fail();
        }
        if self.eat_word("TEMPORARY") {
            self.expect_word("TABLE")?;
            return self.create_table(true);
        }
        if self.eat_words(&["GLOBAL", "TEMPORARY"]) {
            return self.unsupported("CREATE GLOBAL TEMPORARY TABLE");
        }
        if self.eat_word("TABLE") {
            return self.create_table(false);
        }
        if self.eat_one_of(&["DATABASE", "SCHEMA"]).is_some() {
            return self.create_database();
        }
        if self.is_one_of(&["INDEX", "UNIQUE", "FULLTEXT", "SPATIAL"]) {
            return self.create_index();
        }
        if self.eat_word("USER") {
            return self.create_user();
        }
        if self.eat_word("ROLE") {
            return self.create_role();
        }
        match self.eat_one_of(FOREIGN_OBJECTS) {
            Some(what) => self.unsupported(format!("CREATE {what}")),
            None => self.fail(),
        }
    }

    fn drop(&mut self) -> Result<Statement> {
        let temporary = self.eat_word("TEMPORARY");
        if self.eat_one_of(&["TABLE", "TABLES"]).is_some() {
            return self.drop_table(temporary);
        }
        if temporary {
            return self.fail();
        }
        if self.eat_one_of(&["DATABASE", "SCHEMA"]).is_some() {
            let if_exists = self.eat_words(&["IF", "EXISTS"]);
            return Ok(Statement::DropDatabase(crate::ast::DropDatabase { if_exists, name: self.ident()? }));
        }
        if self.eat_word("INDEX") {
            return self.drop_index();
        }
        if self.eat_word("VIEW") {
            let if_exists = self.eat_words(&["IF", "EXISTS"]);
            let views = self.comma_separated(Self::object_name)?;
            self.eat_one_of(&["RESTRICT", "CASCADE"]);
            return Ok(Statement::DropView(crate::ast::DropView { if_exists, views }));
        }
        if self.eat_word("PREPARE") {
            return Ok(Statement::Deallocate(self.ident()?));
        }
        if let Some(kind) = self.eat_one_of(&["USER", "ROLE"]) {
            let if_exists = self.eat_words(&["IF", "EXISTS"]);
            let users = self.comma_separated(Self::user_ref)?;
            return Ok(Statement::DropUser(crate::ast::DropUser { role: kind == "ROLE", if_exists, users }));
        }
        match self.eat_one_of(FOREIGN_OBJECTS) {
            Some(what) => self.unsupported(format!("DROP {what}")),
            None => self.fail(),
        }
    }

    fn alter(&mut self) -> Result<Statement> {
        if self.eat_one_of(&["DATABASE", "SCHEMA"]).is_some() {
            return self.alter_database();
        }
        if self.eat_word("USER") {
            return self.alter_user();
        }
        let is_view =
            self.is_one_of(&["VIEW", "ALGORITHM", "DEFINER"]) || self.is_words(&["SQL", "SECURITY"]);
        if is_view {
            return self.create_view(false, true);
        }
        self.eat_one_of(&["ONLINE", "IGNORE"]);
        if self.eat_word("TABLE") {
            return self.alter_table();
        }
        const OTHERS: &[&str] =
            &["PROCEDURE", "FUNCTION", "EVENT", "SEQUENCE", "INSTANCE", "PLACEMENT", "RESOURCE"];
        match self.eat_one_of(OTHERS) {
            Some(what) => self.unsupported(format!("ALTER {what}")),
            None => self.fail(),
        }
    }

    fn rename(&mut self) -> Result<Statement> {
        if self.eat_one_of(&["TABLE", "TABLES"]).is_some() {
            let renames = self.comma_separated(|cursor| {
                let from = cursor.object_name()?;
                cursor.expect_word("TO")?;
                Ok((from, cursor.object_name()?))
            })?;
            return Ok(Statement::RenameTable(crate::ast::RenameTable { renames }));
        }
        self.expect_word("USER")?;
        let renames = self.comma_separated(|cursor| {
            let from = cursor.user_name()?;
            cursor.expect_word("TO")?;
            Ok((from, cursor.user_name()?))
        })?;
        Ok(Statement::RenameUser(crate::ast::RenameUser { renames }))
    }
}
