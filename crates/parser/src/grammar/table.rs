//! CREATE TABLE, CREATE INDEX and their parts, DROP TABLE, DROP INDEX.

use crate::ast::{
    CreateIndex, CreateTable, DropIndex, DropTable, ForeignKey, Ident, IndexDef, IndexKind, IndexOptions,
    IndexPart, IndexPartKey, LoadConflict, OnlineOptions, PartitionBy, PartitionDef, PartitionMethod,
    PartitionValues, Statement, TableConstraint, TableOption,
};
use crate::cursor::{Cursor, Result};
use crate::lexer::Kind;

/// Options whose value is a number and which nobody here gives a meaning to.
const NUMBER_OPTIONS: &[&str] = &[
    "MAX_ROWS",
    "MIN_ROWS",
    "AVG_ROW_LENGTH",
    "CHECKSUM",
    "TABLE_CHECKSUM",
    "DELAY_KEY_WRITE",
    "PAGE_CHECKSUM",
    "TRANSACTIONAL",
    "STATS_BUCKETS",
    "STATS_TOPN",
    "STATS_SAMPLE_RATE",
    "AUTOEXTEND_SIZE",
    "SECONDARY_ENGINE",
    "ENCRYPTION",
    "CONNECTION",
    "PASSWORD",
    "COMPRESSION",
    "PACK_KEYS",
    "STATS_PERSISTENT",
    "STATS_AUTO_RECALC",
    "STATS_SAMPLE_PAGES",
    "STATS_COL_CHOICE",
    "STATS_COL_LIST",
    "INSERT_METHOD",
    "ENGINE_ATTRIBUTE",
    "SECONDARY_ENGINE_ATTRIBUTE",
    "TTL_ENABLE",
    "TTL_JOB_INTERVAL",
    "TABLESPACE",
    "NODEGROUP",
    "AFFINITY",
    "PAGE_COMPRESSED",
    "PAGE_COMPRESSION_LEVEL",
    "ENCRYPTED",
    "SEQUENCE",
];

impl Cursor<'_> {
    /// Behind CREATE \[TEMPORARY] TABLE.
    pub fn create_table(&mut self, temporary: bool) -> Result<Statement> {
        let if_not_exists = self.eat_words(&["IF", "NOT", "EXISTS"]);
        let mut table = CreateTable {
            temporary,
            if_not_exists,
            name: self.object_name()?,
            like: None,
            columns: Vec::new(),
            constraints: Vec::new(),
            options: Vec::new(),
            partition: None,
            query: None,
            on_duplicate: LoadConflict::Error,
        };
        if self.eat_word("LIKE") {
            table.like = Some(self.object_name()?);
            return Ok(Statement::CreateTable(Box::new(table)));
        }
        if self.is(Kind::LeftParen) && self.is_word_at(1, "LIKE") {
            self.position += 2;
            table.like = Some(self.object_name()?);
            self.expect(Kind::RightParen)?;
            return Ok(Statement::CreateTable(Box::new(table)));
        }
        if self.is(Kind::LeftParen) && !self.opens_query() {
            self.advance();
            self.table_elements(&mut table.columns, &mut table.constraints)?;
            self.expect(Kind::RightParen)?;
        }
        table.options = self.table_options()?;
        if self.is_words(&["PARTITION", "BY"]) {
            table.partition = Some(self.partition_by()?);
        }
        match self.eat_one_of(&["IGNORE", "REPLACE"]) {
            Some("IGNORE") => table.on_duplicate = LoadConflict::Ignore,
            Some(_) => table.on_duplicate = LoadConflict::Replace,
            None => {}
        }
        let explicit = self.eat_word("AS");
        let has_query = self.is_one_of(&["SELECT", "WITH", "TABLE", "VALUES"]) || self.is(Kind::LeftParen);
        if has_query {
            table.query = Some(Box::new(self.query()?));
        } else if explicit {
            return self.fail();
        }
        if table.columns.is_empty() && table.query.is_none() {
            return self.fail();
        }
        Ok(Statement::CreateTable(Box::new(table)))
    }

    /// The comma-separated columns and constraints between the parentheses.
    pub fn table_elements(
        &mut self,
        columns: &mut Vec<crate::ast::ColumnDef>,
        constraints: &mut Vec<TableConstraint>,
    ) -> Result<()> {
        loop {
            match self.optional_constraint()? {
                Some(constraint) => constraints.push(constraint),
                None => columns.push(self.column_def()?),
            }
            if !self.eat(Kind::Comma) {
                return Ok(());
            }
        }
    }

    /// A key, foreign key or check, if one stands here.
    pub fn optional_constraint(&mut self) -> Result<Option<TableConstraint>> {
        let mut name = None;
        let constraint = self.eat_word("CONSTRAINT");
        if constraint && !self.is_one_of(&["PRIMARY", "UNIQUE", "FOREIGN", "CHECK"]) {
            name = Some(self.ident()?);
        }
        if self.eat_words(&["PRIMARY", "KEY"]) {
            return self.index_tail(IndexKind::Primary, name).map(Some);
        }
        if self.eat_word("UNIQUE") {
            self.eat_one_of(&["KEY", "INDEX"]);
            return self.index_tail(IndexKind::Unique, name).map(Some);
        }
        if self.eat_words(&["FOREIGN", "KEY"]) {
            let if_not_exists = self.eat_words(&["IF", "NOT", "EXISTS"]);
            if !self.is(Kind::LeftParen) {
                let index_name = self.ident()?;
                name = name.or(Some(index_name));
            }
            let columns = self.parenthesised(Self::index_part)?;
            let references = self.references()?;
            return Ok(Some(TableConstraint::ForeignKey(ForeignKey {
                name,
                if_not_exists,
                columns,
                references,
            })));
        }
        if self.is_word("CHECK") {
            return Ok(Some(TableConstraint::Check(self.check(name)?)));
        }
        if constraint {
            return self.fail();
        }
        if self.eat_one_of(&["KEY", "INDEX"]).is_some() {
            return self.index_tail(IndexKind::Plain, None).map(Some);
        }
        if let Some(kind) = self.eat_one_of(&["FULLTEXT", "SPATIAL"]) {
            self.eat_one_of(&["KEY", "INDEX"]);
            let kind = if kind == "FULLTEXT" { IndexKind::FullText } else { IndexKind::Spatial };
            return self.index_tail(kind, None).map(Some);
        }
        Ok(None)
    }

    /// `[name] [USING ..] (parts) options`.
    fn index_tail(&mut self, kind: IndexKind, constraint_name: Option<Ident>) -> Result<TableConstraint> {
        let if_not_exists = self.eat_words(&["IF", "NOT", "EXISTS"]);
        let mut name = constraint_name;
        if self.is_ident()
            && !self.is_word("USING")
            && !(self.is_word("TYPE") && self.is_one_of_at(1, &["BTREE", "HASH", "RTREE"]))
        {
            name = Some(self.ident()?);
        }
        let mut options = IndexOptions::default();
        self.index_type(&mut options)?;
        let parts = self.parenthesised(Self::index_part)?;
        self.index_options(&mut options)?;
        let name = if kind == IndexKind::Primary { None } else { name };
        Ok(TableConstraint::Index(IndexDef { kind, name, if_not_exists, parts, options }))
    }

    fn is_one_of_at(&self, ahead: usize, words: &[&str]) -> bool {
        self.at(self.position + ahead).is_one_of(words)
    }

    fn index_type(&mut self, options: &mut IndexOptions) -> Result<bool> {
        if self.eat_one_of(&["USING", "TYPE"]).is_none() {
            return Ok(false);
        }
        match self.eat_one_of(&["btree", "hash", "rtree", "hypo", "hnsw", "inverted"]) {
            Some(using) => options.using = Some(using.to_owned()),
            None => return self.fail(),
        }
        Ok(true)
    }

    /// `column [(length)] [ASC | DESC]` or `(expr) [ASC | DESC]`.
    pub fn index_part(&mut self) -> Result<IndexPart> {
        let key = if self.eat(Kind::LeftParen) {
            let expr = self.expr()?;
            self.expect(Kind::RightParen)?;
            IndexPartKey::Expr(expr)
        } else {
            let name = self.ident()?;
            let mut length = None;
            if self.eat(Kind::LeftParen) {
                length = Some(self.unsigned32()?);
                self.expect(Kind::RightParen)?;
            }
            IndexPartKey::Column { name, length }
        };
        let descending = self.eat_one_of(&["ASC", "DESC"]) == Some("DESC");
        Ok(IndexPart { key, descending })
    }

    fn index_options(&mut self, options: &mut IndexOptions) -> Result<()> {
        loop {
            if self.index_type(options)? {
                continue;
            }
            if self.eat_word("COMMENT") {
                options.comment = Some(self.string()?);
            } else if self.eat_word("KEY_BLOCK_SIZE") {
                self.eat(Kind::Eq);
                options.key_block_size = Some(self.unsigned()?);
            } else if self.eat_words(&["WITH", "PARSER"]) {
                options.parser = Some(self.ident()?);
            } else if let Some(word) = self.eat_one_of(&["VISIBLE", "INVISIBLE"]) {
                options.visible = Some(word == "VISIBLE");
            } else if let Some(word) = self.eat_one_of(&["GLOBAL", "LOCAL"]) {
                options.global = Some(word == "GLOBAL");
            } else if let Some(clustered) = self.clustered() {
                options.clustered = Some(clustered);
            } else {
                return Ok(());
            }
        }
    }

    /// Table options, separated by blanks or commas; none is fine.
    pub fn table_options(&mut self) -> Result<Vec<TableOption>> {
        let mut options = Vec::new();
        while let Some(option) = self.optional_table_option()? {
            options.push(option);
            if self.is(Kind::Comma) {
                // In ALTER TABLE the comma may lead to the next action.
                let position = self.position;
                self.advance();
                match self.optional_table_option()? {
                    Some(option) => {
                        options.push(option);
                        self.eat_comma_before_option();
                    }
                    None => {
                        self.position = position;
                        break;
                    }
                }
            }
        }
        Ok(options)
    }

    fn eat_comma_before_option(&mut self) {
        if self.is(Kind::Comma)
            && self.at(self.position + 1).optional_table_option().is_ok_and(|option| option.is_some())
        {
            self.advance();
        }
    }

    pub fn optional_table_option(&mut self) -> Result<Option<TableOption>> {
        let start = self.position;
        self.eat_word("DEFAULT");
        if let Some(charset) = self.optional_charset()? {
            return Ok(Some(TableOption::Charset(charset)));
        }
        if self.eat_word("COLLATE") {
            self.eat(Kind::Eq);
            return Ok(Some(TableOption::Collate(self.ident_or_text()?.to_lowercase())));
        }
        let placement = self.eat_words(&["PLACEMENT", "POLICY"]);
        if placement {
            self.eat(Kind::Eq);
            self.eat_word("SET");
            return Ok(Some(TableOption::PlacementPolicy(self.ident_or_text()?)));
        }
        self.position = start;
        let number = |cursor: &mut Self| {
            cursor.eat(Kind::Eq);
            cursor.unsigned()
        };
        Ok(Some(if self.eat_one_of(&["ENGINE", "TYPE"]).is_some() {
            self.eat(Kind::Eq);
            TableOption::Engine(self.ident_or_text()?)
        } else if self.eat_words(&["FORCE", "AUTO_INCREMENT"]) || self.eat_word("AUTO_INCREMENT") {
            TableOption::AutoIncrement(number(self)?)
        } else if self.eat_word("AUTO_ID_CACHE") {
            TableOption::AutoIdCache(number(self)?)
        } else if self.eat_words(&["FORCE", "AUTO_RANDOM_BASE"]) || self.eat_word("AUTO_RANDOM_BASE") {
            TableOption::AutoRandomBase(number(self)?)
        } else if self.eat_word("SHARD_ROW_ID_BITS") {
            TableOption::ShardRowIdBits(number(self)?)
        } else if self.eat_word("PRE_SPLIT_REGIONS") {
            TableOption::PreSplitRegions(number(self)?)
        } else if self.eat_word("KEY_BLOCK_SIZE") {
            TableOption::KeyBlockSize(number(self)?)
        } else if self.eat_word("COMMENT") {
            self.eat(Kind::Eq);
            TableOption::Comment(self.string()?)
        } else if self.eat_word("ROW_FORMAT") {
            self.eat(Kind::Eq);
            TableOption::RowFormat(self.ident_or_text()?.to_uppercase())
        } else if self.is_words(&["DATA", "DIRECTORY"]) || self.is_words(&["INDEX", "DIRECTORY"]) {
            let name = format!("{} directory", self.word().to_lowercase());
            self.position += 2;
            self.eat(Kind::Eq);
            TableOption::Other { name, value: self.string()? }
        } else if self.eat_word("STORAGE") {
            TableOption::Other { name: "storage".to_owned(), value: self.ident_or_text()? }
        } else if self.eat_word("UNION") {
            self.eat(Kind::Eq);
            let tables = self.parenthesised0(Self::object_name)?;
            let value = tables.iter().map(|table| table.name.0.as_str()).collect::<Vec<_>>().join(",");
            TableOption::Other { name: "union".to_owned(), value }
        } else if self.eat_word("TTL") {
            self.eat(Kind::Eq);
            let first = self.position;
            self.expr()?;
            TableOption::Other { name: "ttl".to_owned(), value: self.text_between(first, self.position - 1) }
        } else if self.is_one_of(NUMBER_OPTIONS) {
            let name = self.word().to_lowercase();
            self.advance();
            self.eat(Kind::Eq);
            let value = match self.kind() {
                Kind::Integer | Kind::Decimal => {
                    let text = self.word_of(self.peek()).to_owned();
                    self.advance();
                    text
                }
                _ => self.ident_or_text()?,
            };
            TableOption::Other { name, value }
        } else {
            return Ok(None);
        }))
    }

    /// `PARTITION BY ..`.
    pub fn partition_by(&mut self) -> Result<PartitionBy> {
        self.expect_words(&["PARTITION", "BY"])?;
        let method = self.partition_method()?;
        let count = if self.eat_word("PARTITIONS") { Some(self.unsigned()?) } else { None };
        let mut subpartition = None;
        if self.eat_words(&["SUBPARTITION", "BY"]) {
            let method = self.partition_method()?;
            let count = if self.eat_word("SUBPARTITIONS") { Some(self.unsigned()?) } else { None };
            subpartition = Some((method, count));
        }
        let partitions =
            if self.is(Kind::LeftParen) { self.parenthesised(Self::partition_def)? } else { Vec::new() };
        if self.eat_words(&["UPDATE", "INDEXES"]) {
            self.position = self.closing(self.position);
            self.expect(Kind::RightParen)?;
        }
        Ok(PartitionBy { method, count, subpartition, partitions })
    }

    fn partition_method(&mut self) -> Result<PartitionMethod> {
        let linear = self.eat_word("LINEAR");
        if self.eat_word("HASH") {
            return Ok(PartitionMethod::Hash { linear, expr: self.parenthesised_expr()? });
        }
        if self.eat_word("KEY") {
            let mut algorithm = None;
            if self.eat_word("ALGORITHM") {
                self.eat(Kind::Eq);
                algorithm = Some(self.unsigned()?);
            }
            let columns = self.parenthesised0(Self::ident)?;
            return Ok(PartitionMethod::Key { linear, algorithm, columns });
        }
        if linear {
            return self.fail();
        }
        match self.eat_one_of(&["RANGE", "LIST"]) {
            Some(kind) => {
                let columns =
                    if self.eat_word("COLUMNS") { Some(self.parenthesised(Self::ident)?) } else { None };
                Ok(match (kind, columns) {
                    ("RANGE", Some(columns)) => PartitionMethod::RangeColumns(columns),
                    ("RANGE", None) => PartitionMethod::Range(self.parenthesised_expr()?),
                    (_, Some(columns)) => PartitionMethod::ListColumns(columns),
                    (_, None) => PartitionMethod::List(self.parenthesised_expr()?),
                })
            }
            None => self.fail(),
        }
    }

    fn parenthesised_expr(&mut self) -> Result<crate::ast::Expr> {
        self.expect(Kind::LeftParen)?;
        let expr = self.expr()?;
        self.expect(Kind::RightParen)?;
        Ok(expr)
    }

    /// `PARTITION name [VALUES ..] options [(subpartitions)]`.
    pub fn partition_def(&mut self) -> Result<PartitionDef> {
        self.expect_word("PARTITION")?;
        let name = self.ident()?;
        let values = if self.eat_words(&["VALUES", "LESS", "THAN"]) {
            if self.eat_word("MAXVALUE") {
                PartitionValues::LessThan(vec![None])
            } else {
                PartitionValues::LessThan(self.parenthesised(|cursor| {
                    if cursor.eat_word("MAXVALUE") { Ok(None) } else { cursor.expr().map(Some) }
                })?)
            }
        } else if self.eat_words(&["VALUES", "IN"]) {
            PartitionValues::In(self.parenthesised(Self::expr)?)
        } else if self.eat_word("DEFAULT") {
            PartitionValues::Default
        } else {
            PartitionValues::None
        };
        let options = self.table_options()?;
        let mut subpartitions = Vec::new();
        if self.is(Kind::LeftParen) {
            subpartitions = self.parenthesised(|cursor| {
                cursor.expect_word("SUBPARTITION")?;
                Ok((cursor.ident()?, cursor.table_options()?))
            })?;
        }
        Ok(PartitionDef { name, values, options, subpartitions })
    }

    /// Behind CREATE.
    pub fn create_index(&mut self) -> Result<Statement> {
        let kind = match self.eat_one_of(&["UNIQUE", "FULLTEXT", "SPATIAL"]) {
            Some("UNIQUE") => IndexKind::Unique,
            Some("FULLTEXT") => IndexKind::FullText,
            Some(_) => IndexKind::Spatial,
            None => IndexKind::Plain,
        };
        self.expect_word("INDEX")?;
        let if_not_exists = self.eat_words(&["IF", "NOT", "EXISTS"]);
        let name = Some(self.ident()?);
        let mut options = IndexOptions::default();
        self.index_type(&mut options)?;
        self.expect_word("ON")?;
        let table = self.object_name()?;
        let parts = self.parenthesised(Self::index_part)?;
        self.index_options(&mut options)?;
        let online = self.online_options()?;
        let index = IndexDef { kind, name, if_not_exists, parts, options };
        Ok(Statement::CreateIndex(Box::new(CreateIndex { index, table, online })))
    }

    /// `ALGORITHM = ..`, `LOCK = ..`, in any order.
    pub fn online_options(&mut self) -> Result<OnlineOptions> {
        let mut online = OnlineOptions::default();
        loop {
            if self.eat_word("ALGORITHM") {
                self.eat(Kind::Eq);
                online.algorithm = Some(self.ident_or_text()?.to_uppercase());
            } else if self.is_word("LOCK") && (self.kind_at(1) == Kind::Eq || self.kind_at(1) == Kind::Word) {
                self.advance();
                self.eat(Kind::Eq);
                online.lock = Some(self.ident_or_text()?.to_uppercase());
            } else {
                return Ok(online);
            }
        }
    }

    /// Behind DROP INDEX.
    pub fn drop_index(&mut self) -> Result<Statement> {
        let if_exists = self.eat_words(&["IF", "EXISTS"]);
        let name = self.index_name()?;
        self.expect_word("ON")?;
        let table = self.object_name()?;
        let online = self.online_options()?;
        Ok(Statement::DropIndex(DropIndex { if_exists, name, table, online }))
    }

    /// An index's name; PRIMARY needs no quotes.
    pub fn index_name(&mut self) -> Result<Ident> {
        if self.is_word("PRIMARY") { self.ident_after_period() } else { self.ident() }
    }

    /// Behind DROP \[TEMPORARY] TABLE.
    pub fn drop_table(&mut self, temporary: bool) -> Result<Statement> {
        let if_exists = self.eat_words(&["IF", "EXISTS"]);
        let tables = self.comma_separated(Self::object_name)?;
        self.eat_one_of(&["RESTRICT", "CASCADE"]);
        Ok(Statement::DropTable(DropTable { temporary, if_exists, tables }))
    }
}
