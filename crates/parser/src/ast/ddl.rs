//! Statements that change the schema.

use super::{DataType, Expr, Ident, ObjectName, Query, SourceText};

/// CREATE DATABASE.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateDatabase {
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// The database.
    pub name: Ident,
    /// Its options.
    pub options: Vec<DatabaseOption>,
}

/// ALTER DATABASE.
#[derive(Clone, Debug, PartialEq)]
pub struct AlterDatabase {
    /// The database; `None` is the current one.
    pub name: Option<Ident>,
    /// What changes; not empty.
    pub options: Vec<DatabaseOption>,
}

/// DROP DATABASE.
#[derive(Clone, Debug, PartialEq)]
pub struct DropDatabase {
    /// IF EXISTS.
    pub if_exists: bool,
    /// The database.
    pub name: Ident,
}

/// An option of a database.
#[derive(Clone, Debug, PartialEq)]
pub enum DatabaseOption {
    /// \[DEFAULT] CHARACTER SET, in lower case.
    Charset(String),
    /// \[DEFAULT] COLLATE, in lower case.
    Collate(String),
    /// \[DEFAULT] ENCRYPTION.
    Encryption(String),
    /// PLACEMENT POLICY.
    PlacementPolicy(String),
    /// READ ONLY.
    ReadOnly(String),
}

/// CREATE TABLE.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTable {
    /// TEMPORARY.
    pub temporary: bool,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// The table.
    pub name: ObjectName,
    /// LIKE another table; everything below is then empty.
    pub like: Option<ObjectName>,
    /// The columns, in order.
    pub columns: Vec<ColumnDef>,
    /// Keys, foreign keys, checks that stand on their own (those written at a column stay there).
    pub constraints: Vec<TableConstraint>,
    /// ENGINE, AUTO_INCREMENT ..
    pub options: Vec<TableOption>,
    /// PARTITION BY.
    pub partition: Option<PartitionBy>,
    /// AS SELECT.
    pub query: Option<Box<Query>>,
    /// IGNORE or REPLACE before AS.
    pub on_duplicate: super::LoadConflict,
}

/// A column of CREATE or ALTER TABLE.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnDef {
    /// Its name.
    pub name: Ident,
    /// Its type, collation included.
    pub data_type: DataType,
    /// Its attributes, in order.
    pub options: Vec<ColumnOption>,
}

/// An attribute of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnOption {
    /// NULL.
    Null,
    /// NOT NULL.
    NotNull,
    /// DEFAULT: a literal, `now(n)` as a function call, or an expression that stood in parentheses.
    Default {
        /// The value.
        value: Expr,
        /// It was `DEFAULT (expr)`.
        parenthesised: bool,
    },
    /// ON UPDATE CURRENT_TIMESTAMP: a call of `now`.
    OnUpdate(Expr),
    /// AUTO_INCREMENT.
    AutoIncrement,
    /// AUTO_RANDOM[(shard bits[, range bits])].
    AutoRandom {
        /// The shard bits.
        shard_bits: Option<u32>,
        /// The range.
        range_bits: Option<u32>,
    },
    /// \[PRIMARY] KEY.
    PrimaryKey {
        /// CLUSTERED (true), NONCLUSTERED (false), or not said.
        clustered: Option<bool>,
    },
    /// UNIQUE \[KEY].
    UniqueKey,
    /// COMMENT.
    Comment(String),
    /// \[GENERATED ALWAYS] AS (expr) \[VIRTUAL | STORED].
    Generated {
        /// The expression.
        expr: Expr,
        /// Its text, as written between the parentheses.
        text: SourceText,
        /// STORED.
        stored: bool,
    },
    /// \[CONSTRAINT \[name]] CHECK (expr) [\[NOT] ENFORCED].
    Check(CheckConstraint),
    /// REFERENCES (MySQL accepts and, at a column, ignores it).
    References(ForeignKeyReference),
    /// COLUMN_FORMAT FIXED | DYNAMIC | DEFAULT.
    ColumnFormat(String),
    /// STORAGE DISK | MEMORY | DEFAULT.
    Storage(String),
    /// VISIBLE (true) or INVISIBLE.
    Visible(bool),
}

/// A key, foreign key or check of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum TableConstraint {
    /// PRIMARY KEY, UNIQUE, KEY, FULLTEXT, SPATIAL.
    Index(IndexDef),
    /// FOREIGN KEY.
    ForeignKey(ForeignKey),
    /// CHECK.
    Check(CheckConstraint),
}

/// An index.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexDef {
    /// Which kind.
    pub kind: IndexKind,
    /// Its name, or the constraint's name when only that was given.
    pub name: Option<Ident>,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// Its parts, not empty.
    pub parts: Vec<IndexPart>,
    /// Its options.
    pub options: IndexOptions,
}

/// The kinds of index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants are MySQL's words")]
pub enum IndexKind {
    Primary,
    Unique,
    /// KEY, INDEX.
    Plain,
    FullText,
    Spatial,
}

/// A key part.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexPart {
    /// A column with an optional prefix length, or an expression.
    pub key: IndexPartKey,
    /// DESC.
    pub descending: bool,
}

/// What a key part is.
#[derive(Clone, Debug, PartialEq)]
pub enum IndexPartKey {
    /// `column[(length)]`.
    Column {
        /// The column.
        name: Ident,
        /// The prefix's length in characters or bytes.
        length: Option<u32>,
    },
    /// `(expr)`.
    Expr(Expr),
}

/// Options of an index; everything `None` when not given.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct IndexOptions {
    /// USING BTREE | HASH | RTREE, in lower case.
    pub using: Option<String>,
    /// COMMENT.
    pub comment: Option<String>,
    /// KEY_BLOCK_SIZE.
    pub key_block_size: Option<u64>,
    /// WITH PARSER.
    pub parser: Option<Ident>,
    /// VISIBLE (true) or INVISIBLE.
    pub visible: Option<bool>,
    /// CLUSTERED (true) or NONCLUSTERED (primary keys only).
    pub clustered: Option<bool>,
    /// GLOBAL (true) or LOCAL.
    pub global: Option<bool>,
}

/// FOREIGN KEY.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignKey {
    /// The constraint's (or index's) name.
    pub name: Option<Ident>,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// The columns of this table.
    pub columns: Vec<IndexPart>,
    /// What they refer to.
    pub references: ForeignKeyReference,
}

/// REFERENCES.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignKeyReference {
    /// The other table.
    pub table: ObjectName,
    /// Its columns.
    pub columns: Vec<IndexPart>,
    /// MATCH FULL | PARTIAL | SIMPLE (parsed, means nothing).
    pub matching: Option<String>,
    /// ON DELETE.
    pub on_delete: Option<ReferenceAction>,
    /// ON UPDATE.
    pub on_update: Option<ReferenceAction>,
}

/// What happens to referring rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants are MySQL's words")]
pub enum ReferenceAction {
    Restrict,
    Cascade,
    SetNull,
    NoAction,
    SetDefault,
}

/// CHECK.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckConstraint {
    /// Its name.
    pub name: Option<Ident>,
    /// The condition.
    pub expr: Expr,
    /// NOT ENFORCED gives false.
    pub enforced: bool,
}

/// An option of a table. Those without a meaning here are kept as [`TableOption::Other`].
#[derive(Clone, Debug, PartialEq)]
pub enum TableOption {
    /// ENGINE.
    Engine(String),
    /// \[DEFAULT] CHARACTER SET, in lower case.
    Charset(String),
    /// \[DEFAULT] COLLATE, in lower case.
    Collate(String),
    /// AUTO_INCREMENT.
    AutoIncrement(u64),
    /// AUTO_ID_CACHE.
    AutoIdCache(u64),
    /// AUTO_RANDOM_BASE.
    AutoRandomBase(u64),
    /// SHARD_ROW_ID_BITS.
    ShardRowIdBits(u64),
    /// PRE_SPLIT_REGIONS.
    PreSplitRegions(u64),
    /// COMMENT.
    Comment(String),
    /// ROW_FORMAT, in upper case.
    RowFormat(String),
    /// KEY_BLOCK_SIZE.
    KeyBlockSize(u64),
    /// PLACEMENT POLICY.
    PlacementPolicy(String),
    /// Anything else that MySQL or TiDB knows: the name in lower case and the value's text.
    Other {
        /// `max_rows`, `stats_persistent`, `ttl` ..
        name: String,
        /// Its value.
        value: String,
    },
}

/// PARTITION BY.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionBy {
    /// How rows are assigned.
    pub method: PartitionMethod,
    /// PARTITIONS n.
    pub count: Option<u64>,
    /// SUBPARTITION BY.
    pub subpartition: Option<(PartitionMethod, Option<u64>)>,
    /// The partitions' definitions.
    pub partitions: Vec<PartitionDef>,
}

/// How rows are assigned to partitions.
#[derive(Clone, Debug, PartialEq)]
pub enum PartitionMethod {
    /// \[LINEAR] HASH (expr).
    Hash {
        /// LINEAR.
        linear: bool,
        /// The expression.
        expr: Expr,
    },
    /// \[LINEAR] KEY \[ALGORITHM = n] (columns).
    Key {
        /// LINEAR.
        linear: bool,
        /// ALGORITHM.
        algorithm: Option<u64>,
        /// The columns; empty means the primary key.
        columns: Vec<Ident>,
    },
    /// RANGE (expr).
    Range(Expr),
    /// RANGE COLUMNS (columns).
    RangeColumns(Vec<Ident>),
    /// LIST (expr).
    List(Expr),
    /// LIST COLUMNS (columns).
    ListColumns(Vec<Ident>),
}

/// One partition.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionDef {
    /// Its name.
    pub name: Ident,
    /// Which values it holds.
    pub values: PartitionValues,
    /// COMMENT, ENGINE ..
    pub options: Vec<TableOption>,
    /// Its subpartitions' names and options.
    pub subpartitions: Vec<(Ident, Vec<TableOption>)>,
}

/// Which values a partition holds.
#[derive(Clone, Debug, PartialEq)]
pub enum PartitionValues {
    /// Not said (HASH, KEY).
    None,
    /// VALUES LESS THAN (list); `None` is MAXVALUE.
    LessThan(Vec<Option<Expr>>),
    /// VALUES IN (list); a member may be a row, or DEFAULT.
    In(Vec<Expr>),
    /// TiDB's `DEFAULT` partition of LIST.
    Default,
}

/// CREATE INDEX.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateIndex {
    /// The index, its name always given.
    pub index: IndexDef,
    /// The table.
    pub table: ObjectName,
    /// ALGORITHM and LOCK.
    pub online: OnlineOptions,
}

/// DROP INDEX.
#[derive(Clone, Debug, PartialEq)]
pub struct DropIndex {
    /// IF EXISTS.
    pub if_exists: bool,
    /// The index.
    pub name: Ident,
    /// The table.
    pub table: ObjectName,
    /// ALGORITHM and LOCK.
    pub online: OnlineOptions,
}

/// ALGORITHM = .. and LOCK = .. of online schema changes, in upper case.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OnlineOptions {
    /// DEFAULT, INPLACE, COPY, INSTANT.
    pub algorithm: Option<String>,
    /// DEFAULT, NONE, SHARED, EXCLUSIVE.
    pub lock: Option<String>,
}

/// ALTER TABLE.
#[derive(Clone, Debug, PartialEq)]
pub struct AlterTable {
    /// The table.
    pub table: ObjectName,
    /// What changes, in order.
    pub actions: Vec<AlterAction>,
}

/// Where a column goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnPosition {
    /// FIRST.
    First,
    /// AFTER a column.
    After(Ident),
}

/// One action of ALTER TABLE.
#[derive(Clone, Debug, PartialEq)]
pub enum AlterAction {
    /// ADD \[COLUMN] one column.
    AddColumn {
        /// IF NOT EXISTS.
        if_not_exists: bool,
        /// The column.
        column: Box<ColumnDef>,
        /// FIRST or AFTER; last when not given.
        position: Option<ColumnPosition>,
    },
    /// ADD \[COLUMN] (columns and constraints).
    AddColumns {
        /// The columns.
        columns: Vec<ColumnDef>,
        /// The constraints among them.
        constraints: Vec<TableConstraint>,
    },
    /// ADD INDEX, KEY, PRIMARY KEY, UNIQUE, FOREIGN KEY, CHECK.
    AddConstraint(TableConstraint),
    /// DROP \[COLUMN].
    DropColumn {
        /// IF EXISTS.
        if_exists: bool,
        /// The column.
        name: Ident,
    },
    /// DROP INDEX | KEY.
    DropIndex {
        /// IF EXISTS.
        if_exists: bool,
        /// The index.
        name: Ident,
    },
    /// DROP PRIMARY KEY.
    DropPrimaryKey,
    /// DROP FOREIGN KEY.
    DropForeignKey {
        /// IF EXISTS.
        if_exists: bool,
        /// The constraint.
        name: Ident,
    },
    /// DROP CHECK.
    DropCheck(Ident),
    /// DROP CONSTRAINT.
    DropConstraint(Ident),
    /// MODIFY \[COLUMN].
    ModifyColumn {
        /// IF EXISTS.
        if_exists: bool,
        /// The column as it shall be.
        column: Box<ColumnDef>,
        /// FIRST or AFTER.
        position: Option<ColumnPosition>,
    },
    /// CHANGE \[COLUMN].
    ChangeColumn {
        /// IF EXISTS.
        if_exists: bool,
        /// Its present name.
        old_name: Ident,
        /// The column as it shall be.
        column: Box<ColumnDef>,
        /// FIRST or AFTER.
        position: Option<ColumnPosition>,
    },
    /// ALTER \[COLUMN] .. SET DEFAULT.
    SetDefault {
        /// The column.
        column: Ident,
        /// The value.
        value: Expr,
        /// It was `SET DEFAULT (expr)`.
        parenthesised: bool,
    },
    /// ALTER \[COLUMN] .. DROP DEFAULT.
    DropDefault(Ident),
    /// ALTER INDEX .. VISIBLE | INVISIBLE.
    AlterIndex {
        /// The index.
        name: Ident,
        /// VISIBLE.
        visible: bool,
    },
    /// ALTER CHECK | CONSTRAINT .. \[NOT] ENFORCED.
    AlterCheck {
        /// The constraint.
        name: Ident,
        /// ENFORCED.
        enforced: bool,
    },
    /// RENAME COLUMN.
    RenameColumn {
        /// The old name.
        from: Ident,
        /// The new name.
        to: Ident,
    },
    /// RENAME INDEX | KEY.
    RenameIndex {
        /// The old name.
        from: Ident,
        /// The new name.
        to: Ident,
    },
    /// RENAME \[TO | AS].
    RenameTable(ObjectName),
    /// ORDER BY (accepted, means nothing for clustered tables).
    OrderBy(Vec<super::OrderItem>),
    /// CONVERT TO CHARACTER SET.
    ConvertCharset {
        /// The character set in lower case; `None` is DEFAULT.
        charset: Option<String>,
        /// COLLATE, in lower case.
        collation: Option<String>,
    },
    /// Table options.
    Options(Vec<TableOption>),
    /// ENABLE KEYS (true) or DISABLE KEYS.
    Keys(bool),
    /// ALGORITHM and LOCK.
    Online(OnlineOptions),
    /// WITH (true) or WITHOUT VALIDATION.
    Validation(bool),
    /// FORCE.
    Force,
    /// DISCARD (false) or IMPORT (true) TABLESPACE.
    Tablespace(bool),
    /// SET TIFLASH REPLICA n.
    TiFlashReplica(u64),
    /// CACHE (true) or NOCACHE.
    Cache(bool),
    /// PARTITION BY.
    PartitionBy(Box<PartitionBy>),
    /// REMOVE PARTITIONING.
    RemovePartitioning,
    /// ADD PARTITION (definitions).
    AddPartitions(Vec<PartitionDef>),
    /// ADD PARTITION PARTITIONS n.
    AddPartitionCount(u64),
    /// DROP PARTITION names.
    DropPartitions {
        /// IF EXISTS.
        if_exists: bool,
        /// The partitions.
        names: Vec<Ident>,
    },
    /// TRUNCATE PARTITION names; empty means ALL.
    TruncatePartitions(Vec<Ident>),
    /// COALESCE PARTITION n.
    CoalescePartitions(u64),
    /// REORGANIZE PARTITION names INTO (definitions).
    ReorganizePartitions {
        /// The partitions; empty means all (of a HASH table).
        names: Vec<Ident>,
        /// What they become.
        into: Vec<PartitionDef>,
    },
    /// EXCHANGE PARTITION name WITH TABLE table.
    ExchangePartition {
        /// The partition.
        name: Ident,
        /// The table.
        table: ObjectName,
        /// WITHOUT VALIDATION gives false.
        validate: bool,
    },
    /// ANALYZE | CHECK | OPTIMIZE | REBUILD | REPAIR PARTITION names; empty names mean ALL.
    MaintainPartitions {
        /// The verb in upper case.
        verb: String,
        /// The partitions.
        names: Vec<Ident>,
    },
}

/// DROP TABLE.
#[derive(Clone, Debug, PartialEq)]
pub struct DropTable {
    /// TEMPORARY.
    pub temporary: bool,
    /// IF EXISTS.
    pub if_exists: bool,
    /// The tables.
    pub tables: Vec<ObjectName>,
}

/// RENAME TABLE.
#[derive(Clone, Debug, PartialEq)]
pub struct RenameTable {
    /// Old and new names, in order.
    pub renames: Vec<(ObjectName, ObjectName)>,
}

/// CREATE VIEW, ALTER VIEW.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateView {
    /// OR REPLACE.
    pub or_replace: bool,
    /// ALTER VIEW instead of CREATE VIEW.
    pub alter: bool,
    /// ALGORITHM, in upper case.
    pub algorithm: Option<String>,
    /// DEFINER; `None` is CURRENT_USER.
    pub definer: Option<super::UserName>,
    /// SQL SECURITY INVOKER (DEFINER is the default).
    pub invoker: bool,
    /// The view.
    pub name: ObjectName,
    /// Names for its columns; empty when not given.
    pub columns: Vec<Ident>,
    /// What it shows.
    pub query: Box<Query>,
    /// WITH \[CASCADED | LOCAL] CHECK OPTION, in upper case.
    pub check_option: Option<String>,
}

/// DROP VIEW.
#[derive(Clone, Debug, PartialEq)]
pub struct DropView {
    /// IF EXISTS.
    pub if_exists: bool,
    /// The views.
    pub views: Vec<ObjectName>,
}
