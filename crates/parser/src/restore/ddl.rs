//! Databases, tables, indexes, views.

use std::fmt::{self, Display, Formatter, Write};

use super::{CharsetName, List, Quoted, write_if, write_list, write_some};
use crate::ast::{
    AlterAction, AlterDatabase, AlterTable, CheckConstraint, ColumnDef, ColumnOption, ColumnPosition,
    CreateDatabase, CreateIndex, CreateTable, CreateView, DatabaseOption, DropDatabase, DropIndex, DropTable,
    DropView, Expr, ForeignKeyReference, IndexDef, IndexKind, IndexOptions, IndexPart, IndexPartKey,
    LoadConflict, OnlineOptions, PartitionBy, PartitionDef, PartitionMethod, PartitionValues,
    ReferenceAction, RenameTable, TableConstraint, TableOption,
};

fn if_exists(condition: bool) -> &'static str {
    if condition { "IF EXISTS " } else { "" }
}

fn if_not_exists(condition: bool) -> &'static str {
    if condition { "IF NOT EXISTS " } else { "" }
}

impl Display for DatabaseOption {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Charset(charset) => write!(f, "CHARACTER SET = {}", CharsetName(charset)),
            Self::Collate(collation) => write!(f, "COLLATE = {}", CharsetName(collation)),
            Self::Encryption(value) => write!(f, "ENCRYPTION = {}", Quoted(value)),
            Self::PlacementPolicy(policy) => write!(f, "PLACEMENT POLICY = {}", Quoted(policy)),
            Self::ReadOnly(value) => write!(f, "READ ONLY = {value}"),
        }
    }
}

fn write_options<T: Display>(f: &mut Formatter<'_>, options: &[T]) -> fmt::Result {
    options.iter().try_for_each(|option| write!(f, " {option}"))
}

impl Display for CreateDatabase {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "CREATE DATABASE {}{}", if_not_exists(self.if_not_exists), self.name)?;
        write_options(f, &self.options)
    }
}

impl Display for AlterDatabase {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("ALTER DATABASE")?;
        write_some(f, " ", self.name.as_ref())?;
        write_options(f, &self.options)
    }
}

impl Display for DropDatabase {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "DROP DATABASE {}{}", if_exists(self.if_exists), self.name)
    }
}

impl Display for CreateTable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            temporary,
            if_not_exists: quiet,
            name,
            like,
            columns,
            constraints,
            options,
            partition,
            query,
            on_duplicate,
        } = self;
        let temporary = if *temporary { "TEMPORARY " } else { "" };
        write!(f, "CREATE {temporary}TABLE {}{name}", if_not_exists(*quiet))?;
        if let Some(like) = like {
            return write!(f, " LIKE {like}");
        }
        if !columns.is_empty() {
            write!(f, " ({}", List(columns))?;
            for constraint in constraints {
                write!(f, ", {constraint}")?;
            }
            f.write_char(')')?;
        } else if !constraints.is_empty() {
            write!(f, " ({})", List(constraints))?;
        }
        write_options(f, options)?;
        write_some(f, " ", partition.as_ref())?;
        f.write_str(match on_duplicate {
            LoadConflict::Error => "",
            LoadConflict::Ignore => " IGNORE",
            LoadConflict::Replace => " REPLACE",
        })?;
        write_some(f, " AS ", query.as_ref())
    }
}

impl Display for ColumnDef {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.data_type)?;
        write_options(f, &self.options)
    }
}

fn write_default(f: &mut Formatter<'_>, value: &Expr, parenthesised: bool) -> fmt::Result {
    if parenthesised { write!(f, "DEFAULT ({value})") } else { write!(f, "DEFAULT {value}") }
}

fn clustered(clustered: Option<bool>) -> &'static str {
    match clustered {
        Some(true) => " CLUSTERED",
        Some(false) => " NONCLUSTERED",
        None => "",
    }
}

impl Display for ColumnOption {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::NotNull => f.write_str("NOT NULL"),
            Self::Default { value, parenthesised } => write_default(f, value, *parenthesised),
            Self::OnUpdate(value) => write!(f, "ON UPDATE {value}"),
            Self::AutoIncrement => f.write_str("AUTO_INCREMENT"),
            Self::AutoRandom { shard_bits, range_bits } => {
                f.write_str("AUTO_RANDOM")?;
                match (shard_bits, range_bits) {
                    (Some(shard), Some(range)) => write!(f, "({shard}, {range})"),
                    (Some(shard), None) => write!(f, "({shard})"),
                    (None, _) => Ok(()),
                }
            }
            Self::PrimaryKey { clustered: layout } => write!(f, "PRIMARY KEY{}", clustered(*layout)),
            Self::UniqueKey => f.write_str("UNIQUE KEY"),
            Self::Comment(text) => write!(f, "COMMENT {}", Quoted(text)),
            Self::Generated { expr, text: _, stored } => {
                write!(f, "GENERATED ALWAYS AS ({expr}) {}", if *stored { "STORED" } else { "VIRTUAL" })
            }
            Self::Check(check) => check.fmt(f),
            Self::References(reference) => reference.fmt(f),
            Self::ColumnFormat(format) => write!(f, "COLUMN_FORMAT {format}"),
            Self::Storage(storage) => write!(f, "STORAGE {storage}"),
            Self::Visible(visible) => f.write_str(if *visible { "VISIBLE" } else { "INVISIBLE" }),
        }
    }
}

impl Display for CheckConstraint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "CONSTRAINT {name} ")?;
        }
        write!(f, "CHECK ({})", self.expr)?;
        write_if(f, !self.enforced, " NOT ENFORCED")
    }
}

impl Display for ForeignKeyReference {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "REFERENCES {}", self.table)?;
        if !self.columns.is_empty() {
            write!(f, " ({})", List(&self.columns))?;
        }
        write_some(f, " MATCH ", self.matching.as_ref())?;
        write_some(f, " ON DELETE ", self.on_delete.as_ref())?;
        write_some(f, " ON UPDATE ", self.on_update.as_ref())
    }
}

impl Display for ReferenceAction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Restrict => "RESTRICT",
            Self::Cascade => "CASCADE",
            Self::SetNull => "SET NULL",
            Self::NoAction => "NO ACTION",
            Self::SetDefault => "SET DEFAULT",
        })
    }
}

impl Display for TableConstraint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => index.fmt(f),
            Self::ForeignKey(key) => {
                if let Some(name) = &key.name {
                    write!(f, "CONSTRAINT {name} ")?;
                }
                write!(
                    f,
                    "FOREIGN KEY {}({}) {}",
                    if_not_exists(key.if_not_exists),
                    List(&key.columns),
                    key.references
                )
            }
            Self::Check(check) => check.fmt(f),
        }
    }
}

impl IndexKind {
    /// The words before KEY (or INDEX).
    fn sql(self) -> &'static str {
        match self {
            Self::Primary => "PRIMARY ",
            Self::Unique => "UNIQUE ",
            Self::Plain => "",
            Self::FullText => "FULLTEXT ",
            Self::Spatial => "SPATIAL ",
        }
    }
}

impl Display for IndexDef {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { kind, name, if_not_exists: quiet, parts, options } = self;
        write!(f, "{}KEY", kind.sql())?;
        write_if(f, *quiet, " IF NOT EXISTS")?;
        write_some(f, " ", name.as_ref())?;
        write!(f, " ({}){options}", List(parts))
    }
}

impl Display for IndexPart {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.key {
            IndexPartKey::Column { name, length: Some(length) } => write!(f, "{name}({length})")?,
            IndexPartKey::Column { name, length: None } => name.fmt(f)?,
            IndexPartKey::Expr(expr) => write!(f, "({expr})")?,
        }
        write_if(f, self.descending, " DESC")
    }
}

impl Display for IndexOptions {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { using, comment, key_block_size, parser, visible, clustered: layout, global } = self;
        write_some(f, " USING ", using.as_deref().map(str::to_uppercase).as_ref())?;
        write_some(f, " COMMENT ", comment.as_deref().map(Quoted).as_ref())?;
        write_some(f, " KEY_BLOCK_SIZE = ", key_block_size.as_ref())?;
        write_some(f, " WITH PARSER ", parser.as_ref())?;
        f.write_str(match visible {
            Some(true) => " VISIBLE",
            Some(false) => " INVISIBLE",
            None => "",
        })?;
        f.write_str(match global {
            Some(true) => " GLOBAL",
            Some(false) => " LOCAL",
            None => "",
        })?;
        f.write_str(clustered(*layout))
    }
}

impl Display for TableOption {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(engine) => write!(f, "ENGINE = {}", Quoted(engine)),
            Self::Charset(charset) => write!(f, "CHARACTER SET = {}", CharsetName(charset)),
            Self::Collate(collation) => write!(f, "COLLATE = {}", CharsetName(collation)),
            Self::AutoIncrement(value) => write!(f, "AUTO_INCREMENT = {value}"),
            Self::AutoIdCache(value) => write!(f, "AUTO_ID_CACHE = {value}"),
            Self::AutoRandomBase(value) => write!(f, "AUTO_RANDOM_BASE = {value}"),
            Self::ShardRowIdBits(value) => write!(f, "SHARD_ROW_ID_BITS = {value}"),
            Self::PreSplitRegions(value) => write!(f, "PRE_SPLIT_REGIONS = {value}"),
            Self::Comment(text) => write!(f, "COMMENT = {}", Quoted(text)),
            Self::RowFormat(format) => write!(f, "ROW_FORMAT = {format}"),
            Self::KeyBlockSize(value) => write!(f, "KEY_BLOCK_SIZE = {value}"),
            Self::PlacementPolicy(policy) => write!(f, "PLACEMENT POLICY = {}", Quoted(policy)),
            Self::Other { name, value } => match name.as_str() {
                "ttl" => write!(f, "TTL = {value}"),
                "union" => write!(f, "UNION = ({value})"),
                "storage" => write!(f, "STORAGE {value}"),
                _ => write!(f, "{} = {}", name.to_uppercase(), Quoted(value)),
            },
        }
    }
}

impl Display for PartitionMethod {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hash { linear, expr } => {
                write_if(f, *linear, "LINEAR ")?;
                write!(f, "HASH ({expr})")
            }
            Self::Key { linear, algorithm, columns } => {
                write_if(f, *linear, "LINEAR ")?;
                f.write_str("KEY")?;
                write_some(f, " ALGORITHM = ", algorithm.as_ref())?;
                write!(f, " ({})", List(columns))
            }
            Self::Range(expr) => write!(f, "RANGE ({expr})"),
            Self::RangeColumns(columns) => write!(f, "RANGE COLUMNS ({})", List(columns)),
            Self::List(expr) => write!(f, "LIST ({expr})"),
            Self::ListColumns(columns) => write!(f, "LIST COLUMNS ({})", List(columns)),
        }
    }
}

impl Display for PartitionBy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "PARTITION BY {}", self.method)?;
        write_some(f, " PARTITIONS ", self.count.as_ref())?;
        if let Some((method, count)) = &self.subpartition {
            write!(f, " SUBPARTITION BY {method}")?;
            write_some(f, " SUBPARTITIONS ", count.as_ref())?;
        }
        if self.partitions.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", List(&self.partitions))
    }
}

impl Display for PartitionDef {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "PARTITION {}", self.name)?;
        match &self.values {
            PartitionValues::None => {}
            PartitionValues::LessThan(values) => {
                f.write_str(" VALUES LESS THAN (")?;
                write_list(f, values, |f, value| match value {
                    Some(value) => value.fmt(f),
                    None => f.write_str("MAXVALUE"),
                })?;
                f.write_char(')')?;
            }
            PartitionValues::In(values) => write!(f, " VALUES IN ({})", List(values))?,
            PartitionValues::Default => f.write_str(" DEFAULT")?,
        }
        write_options(f, &self.options)?;
        if self.subpartitions.is_empty() {
            return Ok(());
        }
        f.write_str(" (")?;
        write_list(f, &self.subpartitions, |f, (name, options)| {
            write!(f, "SUBPARTITION {name}")?;
            write_options(f, options)
        })?;
        f.write_char(')')
    }
}

impl Display for CreateIndex {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let IndexDef { kind, name, if_not_exists: quiet, parts, options } = &self.index;
        write!(f, "CREATE {}INDEX {}", kind.sql(), if_not_exists(*quiet))?;
        write_some(f, "", name.as_ref())?;
        write!(f, " ON {} ({}){options}{}", self.table, List(parts), self.online)
    }
}

impl Display for DropIndex {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "DROP INDEX {}{} ON {}{}", if_exists(self.if_exists), self.name, self.table, self.online)
    }
}

impl Display for OnlineOptions {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_some(f, " ALGORITHM = ", self.algorithm.as_ref())?;
        write_some(f, " LOCK = ", self.lock.as_ref())
    }
}

impl Display for AlterTable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "ALTER TABLE {}", self.table)?;
        for (index, action) in self.actions.iter().enumerate() {
            let bare = matches!(action, AlterAction::PartitionBy(_) | AlterAction::RemovePartitioning);
            f.write_str(if index == 0 || bare { " " } else { ", " })?;
            action.fmt(f)?;
        }
        Ok(())
    }
}

impl Display for ColumnPosition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("FIRST"),
            Self::After(column) => write!(f, "AFTER {column}"),
        }
    }
}

impl Display for AlterAction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddColumn { if_not_exists: quiet, column, position } => {
                write!(f, "ADD COLUMN {}{column}", if_not_exists(*quiet))?;
                write_some(f, " ", position.as_ref())
            }
            Self::AddColumns { columns, constraints } => {
                write!(f, "ADD COLUMN ({}", List(columns))?;
                for (index, constraint) in constraints.iter().enumerate() {
                    write_if(f, index > 0 || !columns.is_empty(), ", ")?;
                    constraint.fmt(f)?;
                }
                f.write_char(')')
            }
            Self::AddConstraint(constraint) => write!(f, "ADD {constraint}"),
            Self::DropColumn { if_exists: quiet, name } => {
                write!(f, "DROP COLUMN {}{name}", if_exists(*quiet))
            }
            Self::DropIndex { if_exists: quiet, name } => write!(f, "DROP INDEX {}{name}", if_exists(*quiet)),
            Self::DropPrimaryKey => f.write_str("DROP PRIMARY KEY"),
            Self::DropForeignKey { if_exists: quiet, name } => {
                write!(f, "DROP FOREIGN KEY {}{name}", if_exists(*quiet))
            }
            Self::DropCheck(name) => write!(f, "DROP CHECK {name}"),
            Self::DropConstraint(name) => write!(f, "DROP CONSTRAINT {name}"),
            Self::ModifyColumn { if_exists: quiet, column, position } => {
                write!(f, "MODIFY COLUMN {}{column}", if_exists(*quiet))?;
                write_some(f, " ", position.as_ref())
            }
            Self::ChangeColumn { if_exists: quiet, old_name, column, position } => {
                write!(f, "CHANGE COLUMN {}{old_name} {column}", if_exists(*quiet))?;
                write_some(f, " ", position.as_ref())
            }
            Self::SetDefault { column, value, parenthesised } => {
                write!(f, "ALTER COLUMN {column} SET ")?;
                write_default(f, value, *parenthesised)
            }
            Self::DropDefault(column) => write!(f, "ALTER COLUMN {column} DROP DEFAULT"),
            Self::AlterIndex { name, visible } => {
                write!(f, "ALTER INDEX {name} {}", if *visible { "VISIBLE" } else { "INVISIBLE" })
            }
            Self::AlterCheck { name, enforced } => {
                write!(f, "ALTER CHECK {name} {}ENFORCED", if *enforced { "" } else { "NOT " })
            }
            Self::RenameColumn { from, to } => write!(f, "RENAME COLUMN {from} TO {to}"),
            Self::RenameIndex { from, to } => write!(f, "RENAME INDEX {from} TO {to}"),
            Self::RenameTable(name) => write!(f, "RENAME TO {name}"),
            Self::OrderBy(items) => write!(f, "ORDER BY {}", List(items)),
            Self::ConvertCharset { charset, collation } => {
                write!(
                    f,
                    "CONVERT TO CHARACTER SET {}",
                    CharsetName(charset.as_deref().unwrap_or("DEFAULT"))
                )?;
                write_some(f, " COLLATE ", collation.as_deref().map(CharsetName).as_ref())
            }
            Self::Options(options) => write_list(f, options, |f, option| option.fmt(f)),
            Self::Keys(enable) => f.write_str(if *enable { "ENABLE KEYS" } else { "DISABLE KEYS" }),
            Self::Online(online) => f.write_str(online.to_string().trim_start()),
            Self::Validation(with) => {
                f.write_str(if *with { "WITH VALIDATION" } else { "WITHOUT VALIDATION" })
            }
            Self::Force => f.write_str("FORCE"),
            Self::Tablespace(import) => {
                f.write_str(if *import { "IMPORT TABLESPACE" } else { "DISCARD TABLESPACE" })
            }
            Self::TiFlashReplica(count) => write!(f, "SET TIFLASH REPLICA {count}"),
            Self::Cache(cache) => f.write_str(if *cache { "CACHE" } else { "NOCACHE" }),
            Self::PartitionBy(partition) => partition.fmt(f),
            Self::RemovePartitioning => f.write_str("REMOVE PARTITIONING"),
            Self::AddPartitions(partitions) => write!(f, "ADD PARTITION ({})", List(partitions)),
            Self::AddPartitionCount(count) => write!(f, "ADD PARTITION PARTITIONS {count}"),
            Self::DropPartitions { if_exists: quiet, names } => {
                write!(f, "DROP PARTITION {}{}", if_exists(*quiet), List(names))
            }
            Self::TruncatePartitions(names) if names.is_empty() => f.write_str("TRUNCATE PARTITION ALL"),
            Self::TruncatePartitions(names) => write!(f, "TRUNCATE PARTITION {}", List(names)),
            Self::CoalescePartitions(count) => write!(f, "COALESCE PARTITION {count}"),
            Self::ReorganizePartitions { names, into } if names.is_empty() && into.is_empty() => {
                f.write_str("REORGANIZE PARTITION")
            }
            Self::ReorganizePartitions { names, into } => {
                write!(f, "REORGANIZE PARTITION {} INTO ({})", List(names), List(into))
            }
            Self::ExchangePartition { name, table, validate } => {
                write!(f, "EXCHANGE PARTITION {name} WITH TABLE {table}")?;
                write_if(f, !validate, " WITHOUT VALIDATION")
            }
            Self::MaintainPartitions { verb, names } => {
                let tail = if matches!(verb.as_str(), "DISCARD" | "IMPORT") { " TABLESPACE" } else { "" };
                if names.is_empty() {
                    return write!(f, "{verb} PARTITION ALL{tail}");
                }
                write!(f, "{verb} PARTITION {}{tail}", List(names))
            }
        }
    }
}

impl Display for DropTable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let temporary = if self.temporary { "TEMPORARY " } else { "" };
        write!(f, "DROP {temporary}TABLE {}{}", if_exists(self.if_exists), List(&self.tables))
    }
}

impl Display for RenameTable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("RENAME TABLE ")?;
        write_list(f, &self.renames, |f, (from, to)| write!(f, "{from} TO {to}"))
    }
}

impl Display for CreateView {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { or_replace, alter, algorithm, definer, invoker, name, columns, query, check_option } =
            self;
        f.write_str(if *alter { "ALTER " } else { "CREATE " })?;
        write_if(f, *or_replace, "OR REPLACE ")?;
        if let Some(algorithm) = algorithm {
            write!(f, "ALGORITHM = {algorithm} ")?;
        }
        if let Some(definer) = definer {
            write!(f, "DEFINER = {definer} ")?;
        }
        write_if(f, *invoker, "SQL SECURITY INVOKER ")?;
        write!(f, "VIEW {name}")?;
        if !columns.is_empty() {
            write!(f, " ({})", List(columns))?;
        }
        write!(f, " AS {query}")?;
        match check_option {
            Some(kind) => write!(f, " WITH {kind} CHECK OPTION"),
            None => Ok(()),
        }
    }
}

impl Display for DropView {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "DROP VIEW {}{}", if_exists(self.if_exists), List(&self.views))
    }
}
