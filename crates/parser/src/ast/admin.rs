//! SET, SHOW, EXPLAIN, transactions, prepared statements and the administrative rest.

use super::{Expr, Ident, Limit, ObjectName, Statement, UserName, UserRef, VariableScope};

/// One assignment of SET.
#[derive(Clone, Debug, PartialEq)]
pub enum SetItem {
    /// A system variable.
    System {
        /// Its scope as written; `None` means session.
        scope: Option<VariableScope>,
        /// Its name in lower case.
        name: String,
        /// Its value.
        value: SetValue,
    },
    /// `@name = value`, `@name := value`.
    User {
        /// The variable, without the sign.
        name: String,
        /// Its value.
        value: Expr,
    },
    /// SET NAMES.
    Names {
        /// The character set in lower case; `None` is DEFAULT.
        charset: Option<String>,
        /// COLLATE, in lower case.
        collation: Option<String>,
    },
    /// SET CHARACTER SET.
    Charset(Option<String>),
}

/// The right side of a system variable's assignment.
#[derive(Clone, Debug, PartialEq)]
pub enum SetValue {
    /// DEFAULT.
    Default,
    /// An expression. Bare words (`ON`, `utf8mb4`, `binary`) are string literals here, as MySQL treats them.
    Expr(Expr),
}

/// SET TRANSACTION.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetTransaction {
    /// GLOBAL, SESSION, or only the next transaction.
    pub scope: Option<VariableScope>,
    /// ISOLATION LEVEL.
    pub isolation: Option<IsolationLevel>,
    /// READ ONLY (true) or READ WRITE.
    pub read_only: Option<bool>,
}

/// The isolation levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants are MySQL's words")]
pub enum IsolationLevel {
    ReadUncommitted,
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

/// BEGIN and START TRANSACTION.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Begin {
    /// BEGIN PESSIMISTIC (true) or OPTIMISTIC.
    pub pessimistic: Option<bool>,
    /// READ ONLY (true) or READ WRITE.
    pub read_only: Option<bool>,
    /// WITH CONSISTENT SNAPSHOT.
    pub consistent_snapshot: bool,
    /// WITH CAUSAL CONSISTENCY ONLY.
    pub causal_consistency: bool,
    /// READ ONLY AS OF TIMESTAMP.
    pub as_of: Option<Expr>,
}

/// AND \[NO] CHAIN and \[NO] RELEASE; `None` leaves it to `completion_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Completion {
    /// AND CHAIN (true) or AND NO CHAIN.
    pub chain: Option<bool>,
    /// RELEASE (true) or NO RELEASE.
    pub release: Option<bool>,
}

/// SHOW.
#[derive(Clone, Debug, PartialEq)]
pub struct Show {
    /// What is shown.
    pub kind: ShowKind,
    /// LIKE or WHERE.
    pub filter: Option<ShowFilter>,
}

/// LIKE or WHERE of a SHOW.
#[derive(Clone, Debug, PartialEq)]
pub enum ShowFilter {
    /// LIKE 'pattern'.
    Like(String),
    /// WHERE condition on the result's columns.
    Where(Expr),
}

/// What SHOW shows.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the variants are MySQL's words")]
pub enum ShowKind {
    Databases,
    Tables {
        full: bool,
        schema: Option<Ident>,
    },
    OpenTables {
        schema: Option<Ident>,
    },
    TableStatus {
        schema: Option<Ident>,
    },
    /// COLUMNS, FIELDS.
    Columns {
        full: bool,
        extended: bool,
        table: ObjectName,
    },
    /// INDEX, INDEXES, KEYS.
    Indexes {
        extended: bool,
        table: ObjectName,
    },
    CreateTable(ObjectName),
    CreateView(ObjectName),
    CreateDatabase {
        if_not_exists: bool,
        name: Ident,
    },
    CreateUser(UserRef),
    CreateProcedure(ObjectName),
    CreateFunction(ObjectName),
    CreateTrigger(ObjectName),
    CreateEvent(ObjectName),
    CreateSequence(ObjectName),
    CreatePlacementPolicy(Ident),
    /// SHOW \[GLOBAL | SESSION] VARIABLES.
    Variables {
        scope: Option<VariableScope>,
    },
    /// SHOW \[GLOBAL | SESSION] STATUS.
    Status {
        scope: Option<VariableScope>,
    },
    Warnings {
        limit: Option<Limit>,
    },
    Errors {
        limit: Option<Limit>,
    },
    /// SHOW COUNT(*) WARNINGS.
    WarningCount,
    /// SHOW COUNT(*) ERRORS.
    ErrorCount,
    /// SHOW \[STORAGE] ENGINES.
    Engines,
    /// SHOW ENGINE name STATUS | MUTEX | LOGS.
    Engine {
        name: String,
        what: String,
    },
    /// SHOW CHARACTER SET.
    Charset,
    Collation,
    ProcessList {
        full: bool,
    },
    Grants {
        user: Option<UserRef>,
        using: Vec<UserName>,
    },
    Privileges,
    Plugins,
    Triggers {
        schema: Option<Ident>,
    },
    Events {
        schema: Option<Ident>,
    },
    ProcedureStatus,
    FunctionStatus,
    Profiles,
    Profile,
    /// SHOW MASTER STATUS, SHOW BINARY LOG STATUS.
    MasterStatus,
    /// SHOW BINARY LOGS, SHOW MASTER LOGS.
    BinaryLogs,
    /// SHOW SLAVE STATUS, SHOW REPLICA STATUS.
    ReplicaStatus,
    /// SHOW BUILTINS.
    Builtins,
    /// SHOW TABLE t REGIONS, SHOW TABLE t INDEX i REGIONS.
    TableRegions {
        table: ObjectName,
        partitions: Vec<Ident>,
        index: Option<Ident>,
    },
    /// SHOW STATS_META, STATS_HISTOGRAMS, STATS_TOPN, STATS_BUCKETS, STATS_HEALTHY, ANALYZE STATUS ..: the words in lower case
    /// joined with `_`.
    Stats(String),
    /// SHOW CONFIG.
    Config,
    /// SHOW PLACEMENT \[LABELS].
    Placement,
    /// SHOW \[GLOBAL | SESSION] BINDINGS.
    Bindings {
        scope: Option<VariableScope>,
    },
}

/// EXPLAIN, DESCRIBE or DESC of a statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Explain {
    /// ANALYZE.
    pub analyze: bool,
    /// FORMAT, in lower case.
    pub format: Option<String>,
    /// What is explained.
    pub target: ExplainTarget,
}

/// What EXPLAIN explains.
#[derive(Clone, Debug, PartialEq)]
pub enum ExplainTarget {
    /// A statement.
    Statement(Box<Statement>),
    /// EXPLAIN FOR CONNECTION id.
    Connection(u64),
}

/// DESC table \[column | 'pattern'].
#[derive(Clone, Debug, PartialEq)]
pub struct DescribeTable {
    /// The table.
    pub table: ObjectName,
    /// The column, or a LIKE pattern.
    pub column: Option<String>,
}

/// PREPARE name FROM ..
#[derive(Clone, Debug, PartialEq)]
pub struct Prepare {
    /// The statement's name.
    pub name: Ident,
    /// Its text.
    pub source: PrepareSource,
}

/// Where the text of a prepared statement comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum PrepareSource {
    /// A string.
    Text(String),
    /// A user variable, without the sign.
    Variable(String),
}

/// EXECUTE name USING ..
#[derive(Clone, Debug, PartialEq)]
pub struct Execute {
    /// The statement's name.
    pub name: Ident,
    /// USING: user variables, without the sign.
    pub using: Vec<String>,
}

/// KILL.
#[derive(Clone, Debug, PartialEq)]
pub struct Kill {
    /// KILL QUERY: only the running statement.
    pub query: bool,
    /// TiDB's KILL TIDB.
    pub tidb: bool,
    /// Which connection.
    pub id: Expr,
}

/// ANALYZE TABLE.
#[derive(Clone, Debug, PartialEq)]
pub struct AnalyzeTable {
    /// The tables.
    pub tables: Vec<ObjectName>,
    /// PARTITION.
    pub partitions: Vec<Ident>,
    /// Which part of them.
    pub what: AnalyzeWhat,
    /// WITH n BUCKETS | TOPN | SAMPLES | CMSKETCH DEPTH | CMSKETCH WIDTH, and `SAMPLERATE`; names in upper case, values as text.
    pub options: Vec<(String, String)>,
}

/// Which part of a table is analyzed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnalyzeWhat {
    /// Everything.
    Table,
    /// INDEX \[names]; empty means all indexes.
    Indexes(Vec<Ident>),
    /// COLUMNS names.
    Columns(Vec<Ident>),
    /// ALL COLUMNS.
    AllColumns,
    /// PREDICATE COLUMNS.
    PredicateColumns,
    /// UPDATE HISTOGRAM ON columns \[WITH n BUCKETS].
    UpdateHistogram(Vec<Ident>),
    /// DROP HISTOGRAM ON columns.
    DropHistogram(Vec<Ident>),
}

/// FLUSH.
#[derive(Clone, Debug, PartialEq)]
pub struct Flush {
    /// What is flushed.
    pub what: Vec<FlushTarget>,
}

/// What FLUSH flushes.
#[derive(Clone, Debug, PartialEq)]
pub enum FlushTarget {
    /// TABLES \[names] \[WITH READ LOCK | FOR EXPORT].
    Tables {
        /// Which; empty means all.
        tables: Vec<ObjectName>,
        /// WITH READ LOCK.
        read_lock: bool,
    },
    /// PRIVILEGES, STATUS, HOSTS, LOGS, BINARY LOGS .., in upper case.
    Other(String),
}

/// LOCK TABLES.
#[derive(Clone, Debug, PartialEq)]
pub struct LockTables {
    /// The tables.
    pub tables: Vec<TableLock>,
}

/// One table of LOCK TABLES.
#[derive(Clone, Debug, PartialEq)]
pub struct TableLock {
    /// The table.
    pub table: ObjectName,
    /// Its alias.
    pub alias: Option<Ident>,
    /// READ or WRITE.
    pub kind: TableLockKind,
}

/// The kinds of table lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants are MySQL's words")]
pub enum TableLockKind {
    Read,
    ReadLocal,
    Write,
    /// LOW_PRIORITY WRITE.
    LowPriorityWrite,
}

/// CHECK, CHECKSUM, OPTIMIZE, REPAIR TABLE.
#[derive(Clone, Debug, PartialEq)]
pub struct MaintainTable {
    /// What is done.
    pub verb: MaintainVerb,
    /// The tables.
    pub tables: Vec<ObjectName>,
    /// The options' words in upper case (QUICK, EXTENDED, FOR UPGRADE ..).
    pub options: Vec<String>,
}

/// What is done to the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants are MySQL's words")]
pub enum MaintainVerb {
    Check,
    Checksum,
    Optimize,
    Repair,
}

/// TiDB's ADMIN.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the variants are TiDB's words")]
pub enum Admin {
    /// ADMIN SHOW DDL.
    ShowDdl,
    /// ADMIN SHOW DDL JOBS \[n] \[WHERE ..].
    ShowDdlJobs { count: Option<u64>, condition: Option<Expr> },
    /// ADMIN SHOW DDL JOB QUERIES ids.
    ShowDdlJobQueries(Vec<u64>),
    /// ADMIN CANCEL DDL JOBS ids.
    CancelDdlJobs(Vec<u64>),
    /// ADMIN PAUSE DDL JOBS ids.
    PauseDdlJobs(Vec<u64>),
    /// ADMIN RESUME DDL JOBS ids.
    ResumeDdlJobs(Vec<u64>),
    /// ADMIN CHECK TABLE.
    CheckTable(Vec<ObjectName>),
    /// ADMIN CHECK INDEX table index.
    CheckIndex { table: ObjectName, index: Ident },
    /// ADMIN CHECKSUM TABLE.
    ChecksumTable(Vec<ObjectName>),
    /// ADMIN RECOVER INDEX table index.
    RecoverIndex { table: ObjectName, index: Ident },
    /// ADMIN CLEANUP INDEX table index.
    CleanupIndex { table: ObjectName, index: Ident },
    /// ADMIN SHOW table NEXT_ROW_ID.
    ShowNextRowId(ObjectName),
    /// ADMIN RELOAD / FLUSH / EVOLVE .., the words in lower case.
    Other(String),
}

/// SPLIT TABLE.
#[derive(Clone, Debug, PartialEq)]
pub struct SplitTable {
    /// The table.
    pub table: ObjectName,
    /// PARTITION.
    pub partitions: Vec<Ident>,
    /// INDEX.
    pub index: Option<Ident>,
    /// Where.
    pub by: SplitBy,
}

/// Where SPLIT TABLE splits.
#[derive(Clone, Debug, PartialEq)]
pub enum SplitBy {
    /// BETWEEN (lower) AND (upper) REGIONS n.
    Between {
        /// The lower bound.
        lower: Vec<Expr>,
        /// The upper bound.
        upper: Vec<Expr>,
        /// Into how many regions.
        regions: u64,
    },
    /// BY (values), (values) ..
    Values(Vec<Vec<Expr>>),
}
