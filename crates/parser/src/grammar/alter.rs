//! ALTER TABLE.

use crate::ast::{AlterAction, AlterTable, ColumnPosition, Ident, OnlineOptions, Statement};
use crate::cursor::{Cursor, Result};
use crate::lexer::Kind;

impl Cursor<'_> {
    /// Behind ALTER TABLE.
    pub fn alter_table(&mut self) -> Result<Statement> {
        let table = self.object_name()?;
        let mut actions = Vec::new();
        if !self.at_end() {
            loop {
                // PARTITION BY and REMOVE PARTITIONING follow the other actions without a comma.
                let action = self.alter_action()?;
                actions.push(action);
                let partitioning =
                    self.is_words(&["PARTITION", "BY"]) || self.is_words(&["REMOVE", "PARTITIONING"]);
                if !partitioning && !self.eat(Kind::Comma) {
                    break;
                }
            }
        }
        Ok(Statement::AlterTable(AlterTable { table, actions }))
    }

    fn alter_action(&mut self) -> Result<AlterAction> {
        let start = self.position;
        let verb = self.word().to_ascii_uppercase();
        match verb.as_str() {
            "ADD" => {
                self.advance();
                self.alter_add()
            }
            "DROP" => {
                self.advance();
                self.alter_drop()
            }
            "MODIFY" => {
                self.advance();
                self.eat_word("COLUMN");
                let if_exists = self.eat_words(&["IF", "EXISTS"]);
                let column = Box::new(self.column_def()?);
                Ok(AlterAction::ModifyColumn { if_exists, column, position: self.column_position()? })
            }
            "CHANGE" => {
                self.advance();
                self.eat_word("COLUMN");
                let if_exists = self.eat_words(&["IF", "EXISTS"]);
                let old_name = self.ident()?;
                let column = Box::new(self.column_def()?);
                Ok(AlterAction::ChangeColumn {
                    if_exists,
                    old_name,
                    column,
                    position: self.column_position()?,
                })
            }
            "ALTER" => {
                self.advance();
                self.alter_alter()
            }
            "RENAME" => {
                self.advance();
                if self.eat_word("COLUMN") {
                    let from = self.ident()?;
                    self.expect_word("TO")?;
                    return Ok(AlterAction::RenameColumn { from, to: self.ident()? });
                }
                if self.eat_one_of(&["INDEX", "KEY"]).is_some() {
                    let from = self.ident()?;
                    self.expect_word("TO")?;
                    return Ok(AlterAction::RenameIndex { from, to: self.ident()? });
                }
                if self.eat_one_of(&["TO", "AS"]).is_none() {
                    self.eat(Kind::Eq);
                }
                Ok(AlterAction::RenameTable(self.object_name()?))
            }
            "ORDER" => {
                let items = self.order_by()?;
                if items.is_empty() { self.fail() } else { Ok(AlterAction::OrderBy(items)) }
            }
            "CONVERT" => {
                self.advance();
                self.expect_word("TO")?;
                let charset = self.optional_charset()?;
                let Some(charset) = charset else { return self.fail() };
                let collation =
                    if self.eat_word("COLLATE") { Some(self.ident_or_text()?.to_lowercase()) } else { None };
                let charset = Some(charset).filter(|charset| charset != "default");
                Ok(AlterAction::ConvertCharset { charset, collation })
            }
            "ENABLE" | "DISABLE" => {
                self.advance();
                self.expect_word("KEYS")?;
                Ok(AlterAction::Keys(verb == "ENABLE"))
            }
            "ALGORITHM" | "LOCK" => {
                let online = self.online_options()?;
                if online == OnlineOptions::default() { self.fail() } else { Ok(AlterAction::Online(online)) }
            }
            "WITH" | "WITHOUT" => {
                self.advance();
                self.expect_word("VALIDATION")?;
                Ok(AlterAction::Validation(verb == "WITH"))
            }
            "FORCE" if self.kind_at(1) != Kind::Word => {
                self.advance();
                Ok(AlterAction::Force)
            }
            "DISCARD" | "IMPORT" => {
                self.advance();
                if self.eat_word("PARTITION") {
                    let names = self.partition_names()?;
                    self.expect_word("TABLESPACE")?;
                    return Ok(AlterAction::MaintainPartitions { verb, names });
                }
                self.expect_word("TABLESPACE")?;
                Ok(AlterAction::Tablespace(verb == "IMPORT"))
            }
            "SET" => {
                self.advance();
                self.expect_words(&["TIFLASH", "REPLICA"])?;
                let count = self.unsigned()?;
                if self.eat_words(&["LOCATION", "LABELS"]) {
                    self.comma_separated(Self::string)?;
                }
                Ok(AlterAction::TiFlashReplica(count))
            }
            "CACHE" | "NOCACHE" => {
                self.advance();
                Ok(AlterAction::Cache(verb == "CACHE"))
            }
            "PARTITION" if self.is_word_at(1, "BY") => {
                Ok(AlterAction::PartitionBy(Box::new(self.partition_by()?)))
            }
            "REMOVE" => {
                self.advance();
                if self.eat_word("TTL") {
                    return self.unsupported("REMOVE TTL");
                }
                self.expect_word("PARTITIONING")?;
                Ok(AlterAction::RemovePartitioning)
            }
            "TRUNCATE" => {
                self.advance();
                self.expect_word("PARTITION")?;
                Ok(AlterAction::TruncatePartitions(self.partition_names()?))
            }
            "COALESCE" => {
                self.advance();
                self.expect_word("PARTITION")?;
                Ok(AlterAction::CoalescePartitions(self.unsigned()?))
            }
            "REORGANIZE" => {
                self.advance();
                self.expect_word("PARTITION")?;
                if self.at_end() {
                    return Ok(AlterAction::ReorganizePartitions { names: Vec::new(), into: Vec::new() });
                }
                let names = self.idents()?;
                self.expect_word("INTO")?;
                Ok(AlterAction::ReorganizePartitions {
                    names,
                    into: self.parenthesised(Self::partition_def)?,
                })
            }
            "EXCHANGE" => {
                self.advance();
                self.expect_word("PARTITION")?;
                let name = self.ident()?;
                self.expect_words(&["WITH", "TABLE"])?;
                let table = self.object_name()?;
                let validate = !self.eat_words(&["WITHOUT", "VALIDATION"]);
                if validate {
                    self.eat_words(&["WITH", "VALIDATION"]);
                }
                Ok(AlterAction::ExchangePartition { name, table, validate })
            }
            "ANALYZE" | "CHECK" | "OPTIMIZE" | "REBUILD" | "REPAIR" => {
                self.advance();
                self.expect_word("PARTITION")?;
                Ok(AlterAction::MaintainPartitions { verb, names: self.partition_names()? })
            }
            _ => {
                let options = self.table_options()?;
                if options.is_empty() { Err(self.error_at(start)) } else { Ok(AlterAction::Options(options)) }
            }
        }
    }

    /// Names, or ALL, which gives none.
    fn partition_names(&mut self) -> Result<Vec<Ident>> {
        if self.eat_word("ALL") { Ok(Vec::new()) } else { self.idents() }
    }

    fn column_position(&mut self) -> Result<Option<ColumnPosition>> {
        if self.eat_word("FIRST") {
            return Ok(Some(ColumnPosition::First));
        }
        if self.eat_word("AFTER") {
            return Ok(Some(ColumnPosition::After(self.ident()?)));
        }
        Ok(None)
    }

    fn alter_add(&mut self) -> Result<AlterAction> {
        if self.is_word("PARTITION") && !self.is_word_at(1, "BY") {
            self.advance();
            self.eat_words(&["IF", "NOT", "EXISTS"]);
            if self.eat_word("PARTITIONS") {
                return Ok(AlterAction::AddPartitionCount(self.unsigned()?));
            }
            return Ok(AlterAction::AddPartitions(self.parenthesised(Self::partition_def)?));
        }
        if let Some(constraint) = self.optional_constraint()? {
            return Ok(AlterAction::AddConstraint(constraint));
        }
        self.eat_word("COLUMN");
        if self.eat(Kind::LeftParen) {
            let (mut columns, mut constraints) = (Vec::new(), Vec::new());
            self.table_elements(&mut columns, &mut constraints)?;
            self.expect(Kind::RightParen)?;
            return Ok(AlterAction::AddColumns { columns, constraints });
        }
        let if_not_exists = self.eat_words(&["IF", "NOT", "EXISTS"]);
        let column = Box::new(self.column_def()?);
        Ok(AlterAction::AddColumn { if_not_exists, column, position: self.column_position()? })
    }

    fn alter_drop(&mut self) -> Result<AlterAction> {
        if self.eat_words(&["PRIMARY", "KEY"]) {
            return Ok(AlterAction::DropPrimaryKey);
        }
        if self.eat_words(&["FOREIGN", "KEY"]) {
            let if_exists = self.eat_words(&["IF", "EXISTS"]);
            return Ok(AlterAction::DropForeignKey { if_exists, name: self.ident()? });
        }
        if self.eat_one_of(&["INDEX", "KEY"]).is_some() {
            let if_exists = self.eat_words(&["IF", "EXISTS"]);
            return Ok(AlterAction::DropIndex { if_exists, name: self.index_name()? });
        }
        if self.eat_word("CHECK") {
            return Ok(AlterAction::DropCheck(self.ident()?));
        }
        if self.eat_word("CONSTRAINT") {
            self.eat_words(&["IF", "EXISTS"]);
            return Ok(AlterAction::DropConstraint(self.ident()?));
        }
        if self.eat_word("PARTITION") {
            let if_exists = self.eat_words(&["IF", "EXISTS"]);
            return Ok(AlterAction::DropPartitions { if_exists, names: self.idents()? });
        }
        self.eat_word("COLUMN");
        let if_exists = self.eat_words(&["IF", "EXISTS"]);
        let name = self.ident()?;
        self.eat_one_of(&["RESTRICT", "CASCADE"]);
        Ok(AlterAction::DropColumn { if_exists, name })
    }

    fn alter_alter(&mut self) -> Result<AlterAction> {
        if self.eat_word("INDEX") {
            let name = self.ident()?;
            return match self.eat_one_of(&["VISIBLE", "INVISIBLE"]) {
                Some(word) => Ok(AlterAction::AlterIndex { name, visible: word == "VISIBLE" }),
                None => self.fail(),
            };
        }
        if self.eat_one_of(&["CHECK", "CONSTRAINT"]).is_some() {
            let name = self.ident()?;
            let not = self.eat_word("NOT");
            self.expect_word("ENFORCED")?;
            return Ok(AlterAction::AlterCheck { name, enforced: !not });
        }
        self.eat_word("COLUMN");
        let column = self.ident()?;
        if self.eat_words(&["DROP", "DEFAULT"]) {
            return Ok(AlterAction::DropDefault(column));
        }
        self.expect_words(&["SET", "DEFAULT"])?;
        let (value, parenthesised) = self.default_value()?;
        Ok(AlterAction::SetDefault { column, value, parenthesised })
    }
}
