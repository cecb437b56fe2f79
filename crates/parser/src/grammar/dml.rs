//! INSERT, REPLACE, UPDATE, DELETE, LOAD DATA.
//!
//! The rows of an INSERT are the parser's hot path: constants go from the lexemes straight into the tree, and only a value that is
//! an expression takes the way through `sqlparser`. No step looks further than the value it reads, so a statement of many megabytes
//! takes linear time.

use crate::ast::{
    Assignment, Delete, Expr, Ident, Insert, InsertSource, LoadConflict, LoadData, LoadTarget, ObjectName,
    Priority, RowAlias, Statement, Update, With,
};
use crate::cursor::{Cursor, Result};
use crate::lexer::Kind;
use crate::lower::is_row_count;

impl Cursor<'_> {
    /// Behind INSERT or REPLACE.
    pub fn insert(&mut self, replace: bool) -> Result<Statement> {
        let hints = self.hints();
        let priority = match self.eat_one_of(&["LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED"]) {
            Some("LOW_PRIORITY") => Some(Priority::Low),
            Some("HIGH_PRIORITY") if replace => return Err(self.error_at(self.position - 1)),
            Some("HIGH_PRIORITY") => Some(Priority::High),
            Some(_) => Some(Priority::Delayed),
            None => None,
        };
        let ignore = !replace && self.eat_word("IGNORE");
        self.eat_word("INTO");
        let table = self.object_name()?;
        let partitions = self.optional_partitions()?;
        let mut insert = Insert {
            hints,
            replace,
            priority,
            ignore,
            table,
            partitions,
            columns: None,
            source: InsertSource::Values(Vec::new()),
            row_alias: None,
            on_duplicate: Vec::new(),
        };
        if self.eat_word("SET") {
            let assignments = self.comma_separated(Self::assignment)?;
            let (columns, row) =
                assignments.into_iter().map(|assignment| (assignment.column, assignment.value)).unzip();
            insert.columns = Some(columns);
            insert.source = InsertSource::Values(vec![row]);
        } else {
            // `(` opens the column list, or a query in parentheses.
            if self.is(Kind::LeftParen) && !self.opens_query() {
                insert.columns = Some(self.parenthesised0(Self::column_name)?);
            }
            let rows = self.is_one_of(&["VALUES", "VALUE"]) && !self.is_word_at(1, "ROW");
            insert.source = if rows {
                self.advance();
                InsertSource::Values(self.rows()?)
            } else if self.is(Kind::LeftParen) || self.is_one_of(&["SELECT", "WITH", "TABLE", "VALUES"]) {
                InsertSource::Query(Box::new(self.query()?))
            } else {
                return self.fail();
            };
        }
        if !replace && self.eat_word("AS") {
            let name = self.ident()?;
            let columns =
                if self.is(Kind::LeftParen) { self.parenthesised(Self::ident)? } else { Vec::new() };
            insert.row_alias = Some(RowAlias { name, columns });
        }
        if !replace && self.eat_words(&["ON", "DUPLICATE", "KEY", "UPDATE"]) {
            insert.on_duplicate = self.comma_separated(Self::assignment)?;
        }
        Ok(Statement::Insert(Box::new(insert)))
    }

    /// Whether the parenthesis here opens a query.
    pub fn opens_query(&self) -> bool {
        let mut ahead = 1;
        while self.kind_at(ahead) == Kind::LeftParen {
            ahead += 1;
        }
        self.at(self.position + ahead).is_one_of(&["SELECT", "WITH", "TABLE", "VALUES"])
    }

    fn rows(&mut self) -> Result<Vec<Vec<Expr>>> {
        let mut rows: Vec<Vec<Expr>> = Vec::new();
        loop {
            self.expect(Kind::LeftParen)?;
            let mut row = Vec::with_capacity(rows.last().map_or(4, Vec::len));
            if !self.eat(Kind::RightParen) {
                loop {
                    row.push(self.expr()?);
                    if !self.eat(Kind::Comma) {
                        break;
                    }
                }
                self.expect(Kind::RightParen)?;
            }
            rows.push(row);
            if !self.eat(Kind::Comma) {
                return Ok(rows);
            }
        }
    }

    pub fn assignment(&mut self) -> Result<Assignment> {
        let column = self.column_name()?;
        if !self.eat(Kind::Eq) && !self.eat(Kind::Assign) {
            return self.fail();
        }
        Ok(Assignment { column, value: self.expr()? })
    }

    /// `PARTITION (names)`, if it stands here.
    pub fn optional_partitions(&mut self) -> Result<Vec<Ident>> {
        if self.eat_word("PARTITION") { self.parenthesised(Self::ident) } else { Ok(Vec::new()) }
    }

    fn optional_where(&mut self) -> Result<Option<Expr>> {
        if self.eat_word("WHERE") { self.expr().map(Some) } else { Ok(None) }
    }

    fn optional_count(&mut self) -> Result<Option<Expr>> {
        if !self.eat_word("LIMIT") {
            return Ok(None);
        }
        let start = self.position;
        let count = self.expr()?;
        if is_row_count(&count) { Ok(Some(count)) } else { Err(self.error_at(start)) }
    }

    /// Behind UPDATE.
    pub fn update(&mut self, with: Option<With>) -> Result<Statement> {
        let hints = self.hints();
        let low_priority = self.eat_word("LOW_PRIORITY");
        let ignore = self.eat_word("IGNORE");
        let tables = self.table_references()?;
        self.expect_word("SET")?;
        let assignments = self.comma_separated(Self::assignment)?;
        let selection = self.optional_where()?;
        let order_by = self.order_by()?;
        let limit = self.optional_count()?;
        Ok(Statement::Update(Box::new(Update {
            with,
            hints,
            low_priority,
            ignore,
            tables,
            assignments,
            selection,
            order_by,
            limit,
        })))
    }

    /// Behind DELETE.
    pub fn delete(&mut self, with: Option<With>) -> Result<Statement> {
        let hints = self.hints();
        let low_priority = self.eat_word("LOW_PRIORITY");
        let quick = self.eat_word("QUICK");
        let ignore = self.eat_word("IGNORE");
        let mut delete = Delete {
            with,
            hints,
            low_priority,
            quick,
            ignore,
            targets: Vec::new(),
            from: Vec::new(),
            selection: None,
            order_by: Vec::new(),
            limit: None,
        };
        if !self.eat_word("FROM") {
            // DELETE a, b FROM tables.
            delete.targets = self.comma_separated(Self::delete_target)?;
            self.expect_word("FROM")?;
            delete.from = self.table_references()?;
            delete.selection = self.optional_where()?;
            return Ok(Statement::Delete(Box::new(delete)));
        }
        if self.has_using() {
            delete.targets = self.comma_separated(Self::delete_target)?;
            self.expect_word("USING")?;
            delete.from = self.table_references()?;
            delete.selection = self.optional_where()?;
            return Ok(Statement::Delete(Box::new(delete)));
        }
        let start = self.position;
        delete.from = self.table_references()?;
        if !matches!(delete.from.as_slice(), [crate::ast::TableRef::Table(_)]) {
            return Err(self.error_at(start + 1));
        }
        delete.selection = self.optional_where()?;
        delete.order_by = self.order_by()?;
        delete.limit = self.optional_count()?;
        Ok(Statement::Delete(Box::new(delete)))
    }

    /// Whether a target list followed by USING stands here.
    fn has_using(&self) -> bool {
        let mut cursor = self.at(self.position);
        cursor.comma_separated(Self::delete_target).is_ok() && cursor.is_word("USING")
    }

    /// `table`, `table.*`, `schema.table.*`.
    fn delete_target(&mut self) -> Result<ObjectName> {
        let mut name = ObjectName::bare(self.ident()?);
        while self.eat(Kind::Period) {
            if self.eat(Kind::Star) {
                return Ok(name);
            }
            if name.schema.is_some() {
                return self.fail();
            }
            name.schema = Some(name.name);
            name.name = self.ident_after_period()?;
        }
        Ok(name)
    }

    /// Behind LOAD.
    pub fn load_data(&mut self) -> Result<Statement> {
        if !self.eat_word("DATA") {
            return match self.eat_one_of(&["XML", "STATS", "INDEX"]) {
                Some(what) => self.unsupported(format!("LOAD {what}")),
                None => self.fail(),
            };
        }
        let low_priority = self.eat_one_of(&["LOW_PRIORITY", "CONCURRENT"]) == Some("LOW_PRIORITY");
        let local = self.eat_word("LOCAL");
        self.expect_word("INFILE")?;
        let path = self.string()?;
        let on_duplicate = match self.eat_one_of(&["REPLACE", "IGNORE"]) {
            Some("REPLACE") => LoadConflict::Replace,
            Some(_) => LoadConflict::Ignore,
            None => LoadConflict::Error,
        };
        self.expect_words(&["INTO", "TABLE"])?;
        let table = self.object_name()?;
        let partitions = self.optional_partitions()?;
        let charset = self.optional_charset()?;
        let fields = self.fields_format()?;
        let lines = self.lines_format()?;
        let skip_lines = if self.eat_word("IGNORE") {
            let count = self.unsigned()?;
            if self.eat_one_of(&["LINES", "ROWS"]).is_none() {
                return self.fail();
            }
            count
        } else {
            0
        };
        let columns = if self.is(Kind::LeftParen) {
            self.parenthesised0(|cursor| {
                if cursor.is(Kind::UserVariable) {
                    return Ok(LoadTarget::Variable(cursor.user_variable()?));
                }
                Ok(LoadTarget::Column(cursor.column_name()?))
            })?
        } else {
            Vec::new()
        };
        let assignments =
            if self.eat_word("SET") { self.comma_separated(Self::assignment)? } else { Vec::new() };
        Ok(Statement::LoadData(Box::new(LoadData {
            low_priority,
            local,
            path,
            on_duplicate,
            table,
            partitions,
            charset,
            fields,
            lines,
            skip_lines,
            columns,
            assignments,
        })))
    }
}
