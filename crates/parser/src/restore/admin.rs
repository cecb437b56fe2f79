//! SET, SHOW, EXPLAIN, transactions, prepared statements and the administrative rest.

use std::fmt::{self, Display, Formatter, Write};

use super::expr::write_rows;
use super::{List, Quoted, write_if, write_list, write_name, write_some};
use crate::ast::{
    Admin, AnalyzeTable, AnalyzeWhat, Begin, Completion, DescribeTable, Execute, Explain, ExplainTarget,
    Flush, FlushTarget, IsolationLevel, Kill, LockTables, MaintainTable, MaintainVerb, Prepare,
    PrepareSource, SetItem, SetTransaction, SetValue, Show, ShowFilter, ShowKind, SplitBy, SplitTable,
    TableLock, TableLockKind, VariableScope,
};

fn write_variable(f: &mut Formatter<'_>, name: &str) -> fmt::Result {
    f.write_char('@')?;
    write_name(f, name)
}

impl Display for SetItem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::System { scope, name, value } => {
                f.write_str("@@")?;
                if let Some(scope) = scope {
                    write!(f, "{}.", scope.sql())?;
                }
                for (index, part) in name.split('.').enumerate() {
                    write_if(f, index > 0, ".")?;
                    write_name(f, part)?;
                }
                match value {
                    SetValue::Default => f.write_str(" = DEFAULT"),
                    SetValue::Expr(value) => write!(f, " = {value}"),
                }
            }
            Self::User { name, value } => {
                write_variable(f, name)?;
                write!(f, " = {value}")
            }
            Self::Names { charset, collation } => {
                match charset {
                    Some(charset) => write!(f, "NAMES {}", Quoted(charset))?,
                    None => f.write_str("NAMES DEFAULT")?,
                }
                write_some(f, " COLLATE ", collation.as_deref().map(Quoted).as_ref())
            }
            Self::Charset(Some(charset)) => write!(f, "CHARACTER SET {}", Quoted(charset)),
            Self::Charset(None) => f.write_str("CHARACTER SET DEFAULT"),
        }
    }
}

impl Display for SetTransaction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("SET ")?;
        if let Some(scope) = self.scope {
            write!(f, "{} ", scope.sql())?;
        }
        f.write_str("TRANSACTION ")?;
        if let Some(isolation) = self.isolation {
            f.write_str("ISOLATION LEVEL ")?;
            f.write_str(match isolation {
                IsolationLevel::ReadUncommitted => "READ UNCOMMITTED",
                IsolationLevel::ReadCommitted => "READ COMMITTED",
                IsolationLevel::RepeatableRead => "REPEATABLE READ",
                IsolationLevel::Serializable => "SERIALIZABLE",
            })?;
        }
        write_if(f, self.isolation.is_some() && self.read_only.is_some(), ", ")?;
        f.write_str(match self.read_only {
            Some(true) => "READ ONLY",
            Some(false) => "READ WRITE",
            None => "",
        })
    }
}

impl Display for Begin {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut separator = " ";
        f.write_str("START TRANSACTION")?;
        let mut word = |f: &mut Formatter<'_>, text: &str| {
            f.write_str(separator)?;
            separator = ", ";
            f.write_str(text)
        };
        match self.pessimistic {
            Some(true) => word(f, "PESSIMISTIC")?,
            Some(false) => word(f, "OPTIMISTIC")?,
            None => {}
        }
        if self.consistent_snapshot {
            word(f, "WITH CONSISTENT SNAPSHOT")?;
        }
        if self.causal_consistency {
            word(f, "WITH CAUSAL CONSISTENCY ONLY")?;
        }
        match self.read_only {
            Some(true) => word(f, "READ ONLY")?,
            Some(false) => word(f, "READ WRITE")?,
            None => {}
        }
        write_some(f, " AS OF TIMESTAMP ", self.as_of.as_ref())
    }
}

impl Display for Completion {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self.chain {
            Some(true) => " AND CHAIN",
            Some(false) => " AND NO CHAIN",
            None => "",
        })?;
        f.write_str(match self.release {
            Some(true) => " RELEASE",
            Some(false) => " NO RELEASE",
            None => "",
        })
    }
}

impl Display for Show {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "SHOW {}", self.kind)?;
        match &self.filter {
            Some(ShowFilter::Like(pattern)) => write!(f, " LIKE {}", Quoted(pattern)),
            Some(ShowFilter::Where(condition)) => write!(f, " WHERE {condition}"),
            None => Ok(()),
        }
    }
}

fn scoped(scope: &Option<VariableScope>) -> String {
    scope.map(|scope| format!("{} ", scope.sql())).unwrap_or_default()
}

impl Display for ShowKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Databases => f.write_str("DATABASES"),
            Self::Tables { full, schema } => {
                write_if(f, *full, "FULL ")?;
                f.write_str("TABLES")?;
                write_some(f, " FROM ", schema.as_ref())
            }
            Self::OpenTables { schema } => {
                f.write_str("OPEN TABLES")?;
                write_some(f, " FROM ", schema.as_ref())
            }
            Self::TableStatus { schema } => {
                f.write_str("TABLE STATUS")?;
                write_some(f, " FROM ", schema.as_ref())
            }
            Self::Columns { full, extended, table } => {
                write_if(f, *extended, "EXTENDED ")?;
                write_if(f, *full, "FULL ")?;
                write!(f, "COLUMNS FROM {table}")
            }
            Self::Indexes { extended, table } => {
                write_if(f, *extended, "EXTENDED ")?;
                write!(f, "INDEX FROM {table}")
            }
            Self::CreateTable(name) => write!(f, "CREATE TABLE {name}"),
            Self::CreateView(name) => write!(f, "CREATE VIEW {name}"),
            Self::CreateDatabase { if_not_exists, name } => {
                write!(f, "CREATE DATABASE {}{name}", if *if_not_exists { "IF NOT EXISTS " } else { "" })
            }
            Self::CreateUser(user) => write!(f, "CREATE USER {user}"),
            Self::CreateProcedure(name) => write!(f, "CREATE PROCEDURE {name}"),
            Self::CreateFunction(name) => write!(f, "CREATE FUNCTION {name}"),
            Self::CreateTrigger(name) => write!(f, "CREATE TRIGGER {name}"),
            Self::CreateEvent(name) => write!(f, "CREATE EVENT {name}"),
            Self::CreateSequence(name) => write!(f, "CREATE SEQUENCE {name}"),
            Self::CreatePlacementPolicy(name) => write!(f, "CREATE PLACEMENT POLICY {name}"),
            Self::Variables { scope } => write!(f, "{}VARIABLES", scoped(scope)),
            Self::Status { scope } => write!(f, "{}STATUS", scoped(scope)),
            Self::Bindings { scope } => write!(f, "{}BINDINGS", scoped(scope)),
            Self::Warnings { limit } => {
                f.write_str("WARNINGS")?;
                write_some(f, " ", limit.as_ref())
            }
            Self::Errors { limit } => {
                f.write_str("ERRORS")?;
                write_some(f, " ", limit.as_ref())
            }
            Self::WarningCount => f.write_str("COUNT(*) WARNINGS"),
            Self::ErrorCount => f.write_str("COUNT(*) ERRORS"),
            Self::Engines => f.write_str("ENGINES"),
            Self::Engine { name, what } => write!(f, "ENGINE {} {what}", Quoted(name)),
            Self::Charset => f.write_str("CHARACTER SET"),
            Self::Collation => f.write_str("COLLATION"),
            Self::ProcessList { full } => {
                write_if(f, *full, "FULL ")?;
                f.write_str("PROCESSLIST")
            }
            Self::Grants { user, using } => {
                f.write_str("GRANTS")?;
                write_some(f, " FOR ", user.as_ref())?;
                if using.is_empty() {
                    return Ok(());
                }
                write!(f, " USING {}", List(using))
            }
            Self::Privileges => f.write_str("PRIVILEGES"),
            Self::Plugins => f.write_str("PLUGINS"),
            Self::Triggers { schema } => {
                f.write_str("TRIGGERS")?;
                write_some(f, " FROM ", schema.as_ref())
            }
            Self::Events { schema } => {
                f.write_str("EVENTS")?;
                write_some(f, " FROM ", schema.as_ref())
            }
            Self::ProcedureStatus => f.write_str("PROCEDURE STATUS"),
            Self::FunctionStatus => f.write_str("FUNCTION STATUS"),
            Self::Profiles => f.write_str("PROFILES"),
            Self::Profile => f.write_str("PROFILE"),
            Self::MasterStatus => f.write_str("MASTER STATUS"),
            Self::BinaryLogs => f.write_str("BINARY LOGS"),
            Self::ReplicaStatus => f.write_str("REPLICA STATUS"),
            Self::Builtins => f.write_str("BUILTINS"),
            Self::TableRegions { table, partitions, index } => {
                write!(f, "TABLE {table}")?;
                if !partitions.is_empty() {
                    write!(f, " PARTITION ({})", List(partitions))?;
                }
                write_some(f, " INDEX ", index.as_ref())?;
                f.write_str(" REGIONS")
            }
            Self::Stats(name) if name == "analyze_status" => f.write_str("ANALYZE STATUS"),
            Self::Stats(name) if matches!(name.as_str(), "pump" | "drainer") => write!(f, "{name} STATUS"),
            Self::Stats(name) => f.write_str(&name.to_uppercase()),
            Self::Config => f.write_str("CONFIG"),
            Self::Placement => f.write_str("PLACEMENT"),
        }
    }
}

impl Display for Explain {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("EXPLAIN ")?;
        write_if(f, self.analyze, "ANALYZE ")?;
        if let Some(format) = &self.format {
            write!(f, "FORMAT = {} ", Quoted(format))?;
        }
        match &self.target {
            ExplainTarget::Statement(statement) => statement.fmt(f),
            ExplainTarget::Connection(id) => write!(f, "FOR CONNECTION {id}"),
        }
    }
}

impl Display for DescribeTable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "DESC {}", self.table)?;
        write_some(f, " ", self.column.as_deref().map(Quoted).as_ref())
    }
}

impl Display for Prepare {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "PREPARE {} FROM ", self.name)?;
        match &self.source {
            PrepareSource::Text(text) => Quoted(text).fmt(f),
            PrepareSource::Variable(name) => write_variable(f, name),
        }
    }
}

impl Display for Execute {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "EXECUTE {}", self.name)?;
        if self.using.is_empty() {
            return Ok(());
        }
        f.write_str(" USING ")?;
        write_list(f, &self.using, |f, name| write_variable(f, name))
    }
}

impl Display for Kill {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("KILL ")?;
        write_if(f, self.tidb, "TIDB ")?;
        write_if(f, self.query, "QUERY ")?;
        self.id.fmt(f)
    }
}

impl Display for AnalyzeTable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { tables, partitions, what, options } = self;
        write!(f, "ANALYZE TABLE {}", List(tables))?;
        if !partitions.is_empty() {
            write!(f, " PARTITION {}", List(partitions))?;
        }
        match what {
            AnalyzeWhat::Table => {}
            AnalyzeWhat::Indexes(names) if names.is_empty() => f.write_str(" INDEX")?,
            AnalyzeWhat::Indexes(names) => write!(f, " INDEX {}", List(names))?,
            AnalyzeWhat::Columns(names) => write!(f, " COLUMNS {}", List(names))?,
            AnalyzeWhat::AllColumns => f.write_str(" ALL COLUMNS")?,
            AnalyzeWhat::PredicateColumns => f.write_str(" PREDICATE COLUMNS")?,
            AnalyzeWhat::UpdateHistogram(names) => write!(f, " UPDATE HISTOGRAM ON {}", List(names))?,
            AnalyzeWhat::DropHistogram(names) => write!(f, " DROP HISTOGRAM ON {}", List(names))?,
        }
        if options.is_empty() {
            return Ok(());
        }
        f.write_str(" WITH ")?;
        write_list(f, options, |f, (name, value)| write!(f, "{value} {name}"))
    }
}

impl Display for Flush {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("FLUSH ")?;
        write_list(f, &self.what, |f, target| match target {
            FlushTarget::Tables { tables, read_lock } => {
                f.write_str("TABLES")?;
                if !tables.is_empty() {
                    write!(f, " {}", List(tables))?;
                }
                write_if(f, *read_lock, " WITH READ LOCK")
            }
            FlushTarget::Other(words) if words == "TIDB PLUGINS" => f.write_str("TIDB PLUGINS `all`"),
            FlushTarget::Other(words) => f.write_str(words),
        })
    }
}

impl Display for TableLock {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.table.fmt(f)?;
        write_some(f, " AS ", self.alias.as_ref())?;
        f.write_str(match self.kind {
            TableLockKind::Read => " READ",
            TableLockKind::ReadLocal => " READ LOCAL",
            TableLockKind::Write => " WRITE",
            TableLockKind::LowPriorityWrite => " LOW_PRIORITY WRITE",
        })
    }
}

impl Display for LockTables {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "LOCK TABLES {}", List(&self.tables))
    }
}

impl Display for MaintainTable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let verb = match self.verb {
            MaintainVerb::Check => "CHECK",
            MaintainVerb::Checksum => "CHECKSUM",
            MaintainVerb::Optimize => "OPTIMIZE",
            MaintainVerb::Repair => "REPAIR",
        };
        write!(f, "{verb} TABLE {}", List(&self.tables))?;
        self.options.iter().try_for_each(|option| write!(f, " {option}"))
    }
}

impl Display for Admin {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("ADMIN ")?;
        match self {
            Self::ShowDdl => f.write_str("SHOW DDL"),
            Self::ShowDdlJobs { count, condition } => {
                f.write_str("SHOW DDL JOBS")?;
                write_some(f, " ", count.as_ref())?;
                write_some(f, " WHERE ", condition.as_ref())
            }
            Self::ShowDdlJobQueries(ids) => write!(f, "SHOW DDL JOB QUERIES {}", List(ids)),
            Self::CancelDdlJobs(ids) => write!(f, "CANCEL DDL JOBS {}", List(ids)),
            Self::PauseDdlJobs(ids) => write!(f, "PAUSE DDL JOBS {}", List(ids)),
            Self::ResumeDdlJobs(ids) => write!(f, "RESUME DDL JOBS {}", List(ids)),
            Self::CheckTable(tables) => write!(f, "CHECK TABLE {}", List(tables)),
            Self::CheckIndex { table, index } => write!(f, "CHECK INDEX {table} {index}"),
            Self::ChecksumTable(tables) => write!(f, "CHECKSUM TABLE {}", List(tables)),
            Self::RecoverIndex { table, index } => write!(f, "RECOVER INDEX {table} {index}"),
            Self::CleanupIndex { table, index } => write!(f, "CLEANUP INDEX {table} {index}"),
            Self::ShowNextRowId(table) => write!(f, "SHOW {table} NEXT_ROW_ID"),
            Self::Other(words) => f.write_str(&words.to_uppercase()),
        }
    }
}

impl Display for SplitTable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "SPLIT TABLE {}", self.table)?;
        if !self.partitions.is_empty() {
            write!(f, " PARTITION ({})", List(&self.partitions))?;
        }
        write_some(f, " INDEX ", self.index.as_ref())?;
        match &self.by {
            SplitBy::Between { lower, upper, regions } => {
                write!(f, " BETWEEN ({}) AND ({}) REGIONS {regions}", List(lower), List(upper))
            }
            SplitBy::Values(rows) => {
                f.write_str(" BY ")?;
                write_rows(f, "", rows)
            }
        }
    }
}
