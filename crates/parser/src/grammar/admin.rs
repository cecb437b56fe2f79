//! ANALYZE, FLUSH, LOCK TABLES, CHECK TABLE and its relatives, ADMIN, SPLIT TABLE.

use crate::ast::{
    Admin, AnalyzeTable, AnalyzeWhat, Flush, FlushTarget, LockTables, MaintainTable, MaintainVerb, SplitBy,
    SplitTable, Statement, TableLock, TableLockKind,
};
use crate::cursor::{Cursor, Result};
use crate::lexer::Kind;

impl Cursor<'_> {
    /// Behind ANALYZE.
    pub fn analyze(&mut self) -> Result<Statement> {
        if self.is_one_of(&["SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE"]) {
            // MariaDB's spelling of EXPLAIN ANALYZE.
            return self.unsupported("ANALYZE statement; use EXPLAIN ANALYZE");
        }
        self.eat_one_of(&["NO_WRITE_TO_BINLOG", "LOCAL"]);
        if self.eat_word("INCREMENTAL") {
            return self.unsupported("ANALYZE INCREMENTAL");
        }
        if self.eat_one_of(&["TABLE", "TABLES"]).is_none() {
            return self.fail();
        }
        let tables = self.comma_separated(Self::object_name)?;
        let mut partitions = Vec::new();
        if self.eat_word("PARTITION") {
            partitions = self.idents()?;
        }
        let what = if self.eat_words(&["UPDATE", "HISTOGRAM", "ON"]) {
            AnalyzeWhat::UpdateHistogram(self.idents()?)
        } else if self.eat_words(&["DROP", "HISTOGRAM", "ON"]) {
            AnalyzeWhat::DropHistogram(self.idents()?)
        } else if self.eat_word("INDEX") {
            let bare = self.at_end() || self.is_word("WITH");
            AnalyzeWhat::Indexes(if bare { Vec::new() } else { self.comma_separated(Self::index_name)? })
        } else if self.eat_word("COLUMNS") {
            AnalyzeWhat::Columns(self.idents()?)
        } else if self.eat_words(&["ALL", "COLUMNS"]) {
            AnalyzeWhat::AllColumns
        } else if self.eat_words(&["PREDICATE", "COLUMNS"]) {
            AnalyzeWhat::PredicateColumns
        } else {
            AnalyzeWhat::Table
        };
        let mut options = Vec::new();
        if self.eat_word("WITH") {
            options = self.comma_separated(|cursor| {
                if !matches!(cursor.kind(), Kind::Integer | Kind::Decimal | Kind::Float) {
                    return cursor.fail();
                }
                let value = cursor.word_of(cursor.peek()).to_owned();
                cursor.advance();
                let Some(name) = cursor.eat_one_of(&["BUCKETS", "TOPN", "SAMPLES", "SAMPLERATE", "CMSKETCH"])
                else {
                    return cursor.fail();
                };
                if name != "CMSKETCH" {
                    return Ok((name.to_owned(), value));
                }
                match cursor.eat_one_of(&["DEPTH", "WIDTH"]) {
                    Some(side) => Ok((format!("CMSKETCH {side}"), value)),
                    None => cursor.fail(),
                }
            })?;
        }
        Ok(Statement::Analyze(AnalyzeTable { tables, partitions, what, options }))
    }

    /// Behind FLUSH.
    pub fn flush(&mut self) -> Result<Statement> {
        self.eat_one_of(&["NO_WRITE_TO_BINLOG", "LOCAL"]);
        let what = self.comma_separated(|cursor| {
            if cursor.eat_one_of(&["TABLES", "TABLE"]).is_some() {
                let mut tables = Vec::new();
                if cursor.is_ident() && !cursor.is_word("EXPORT") {
                    tables = cursor.comma_separated(Self::object_name)?;
                }
                let read_lock = cursor.eat_words(&["WITH", "READ", "LOCK"]);
                if !read_lock {
                    cursor.eat_words(&["FOR", "EXPORT"]);
                }
                return Ok(FlushTarget::Tables { tables, read_lock });
            }
            const TWO_WORDS: &[&str] = &[
                "BINARY",
                "ENGINE",
                "ERROR",
                "GENERAL",
                "RELAY",
                "SLOW",
                "CLIENT_ERRORS_SUMMARY",
                "STATS_DELTA",
            ];
            const WORDS: &[&str] = &[
                "PRIVILEGES",
                "STATUS",
                "HOSTS",
                "LOGS",
                "USER_RESOURCES",
                "OPTIMIZER_COSTS",
                "DES_KEY_FILE",
                "QUERY",
                "TIDB",
            ];
            if let Some(word) = cursor.eat_one_of(TWO_WORDS) {
                cursor.eat_one_of(&["LOGS", "LOG"]);
                return Ok(FlushTarget::Other(if word.contains('_') {
                    word.to_owned()
                } else {
                    format!("{word} LOGS")
                }));
            }
            match cursor.eat_one_of(WORDS) {
                Some("QUERY") => {
                    cursor.expect_word("CACHE")?;
                    Ok(FlushTarget::Other("QUERY CACHE".to_owned()))
                }
                Some("TIDB") => {
                    cursor.expect_word("PLUGINS")?;
                    cursor.idents()?;
                    Ok(FlushTarget::Other("TIDB PLUGINS".to_owned()))
                }
                Some(word) => Ok(FlushTarget::Other(word.to_owned())),
                None => cursor.fail(),
            }
        })?;
        Ok(Statement::Flush(Flush { what }))
    }

    /// Behind LOCK.
    pub fn lock_tables(&mut self) -> Result<Statement> {
        if self.eat_words(&["INSTANCE", "FOR", "BACKUP"]) {
            return self.unsupported("LOCK INSTANCE FOR BACKUP");
        }
        if self.eat_one_of(&["TABLES", "TABLE"]).is_none() {
            return self.fail();
        }
        let tables = self.comma_separated(|cursor| {
            let table = cursor.object_name()?;
            let explicit = cursor.eat_word("AS");
            let alias = if explicit || (cursor.is_ident() && !cursor.is_word("READ")) {
                Some(cursor.ident()?)
            } else {
                None
            };
            let kind = if cursor.eat_words(&["READ", "LOCAL"]) {
                TableLockKind::ReadLocal
            } else if cursor.eat_word("READ") {
                TableLockKind::Read
            } else if cursor.eat_words(&["LOW_PRIORITY", "WRITE"]) {
                TableLockKind::LowPriorityWrite
            } else if cursor.eat_word("WRITE") {
                cursor.eat_word("LOCAL");
                TableLockKind::Write
            } else {
                return cursor.fail();
            };
            Ok(TableLock { table, alias, kind })
        })?;
        Ok(Statement::LockTables(LockTables { tables }))
    }

    /// Behind CHECK, CHECKSUM, OPTIMIZE, REPAIR.
    pub fn maintain_table(&mut self, verb: &str) -> Result<Statement> {
        let verb = match verb {
            "CHECK" => MaintainVerb::Check,
            "CHECKSUM" => MaintainVerb::Checksum,
            "OPTIMIZE" => MaintainVerb::Optimize,
            _ => MaintainVerb::Repair,
        };
        self.eat_one_of(&["NO_WRITE_TO_BINLOG", "LOCAL"]);
        if self.eat_one_of(&["TABLE", "TABLES"]).is_none() {
            return self.fail();
        }
        let tables = self.comma_separated(Self::object_name)?;
        let mut options = Vec::new();
        loop {
            if self.eat_words(&["FOR", "UPGRADE"]) {
                options.push("FOR UPGRADE".to_owned());
            } else if let Some(option) =
                self.eat_one_of(&["QUICK", "FAST", "MEDIUM", "EXTENDED", "CHANGED", "USE_FRM"])
            {
                options.push(option.to_owned());
            } else {
                return Ok(Statement::MaintainTable(MaintainTable { verb, tables, options }));
            }
        }
    }

    fn numbers(&mut self) -> Result<Vec<u64>> {
        self.comma_separated(Self::unsigned)
    }

    /// Behind ADMIN.
    pub fn admin(&mut self) -> Result<Statement> {
        Ok(Statement::Admin(if self.eat_words(&["SHOW", "DDL", "JOBS"]) {
            let count = if self.is(Kind::Integer) { Some(self.unsigned()?) } else { None };
            let condition = if self.eat_word("WHERE") { Some(self.expr()?) } else { None };
            Admin::ShowDdlJobs { count, condition }
        } else if self.eat_words(&["SHOW", "DDL", "JOB", "QUERIES"]) {
            if self.is_word("LIMIT") {
                return self.unsupported("ADMIN SHOW DDL JOB QUERIES LIMIT");
            }
            Admin::ShowDdlJobQueries(self.numbers()?)
        } else if self.eat_words(&["SHOW", "DDL"]) {
            Admin::ShowDdl
        } else if self.eat_words(&["CANCEL", "DDL", "JOBS"]) {
            Admin::CancelDdlJobs(self.numbers()?)
        } else if self.eat_words(&["PAUSE", "DDL", "JOBS"]) {
            Admin::PauseDdlJobs(self.numbers()?)
        } else if self.eat_words(&["RESUME", "DDL", "JOBS"]) {
            Admin::ResumeDdlJobs(self.numbers()?)
        } else if self.eat_words(&["CHECK", "TABLE"]) {
            Admin::CheckTable(self.comma_separated(Self::object_name)?)
        } else if self.eat_words(&["CHECK", "INDEX"]) {
            Admin::CheckIndex { table: self.object_name()?, index: self.index_name()? }
        } else if self.eat_words(&["CHECKSUM", "TABLE"]) {
            Admin::ChecksumTable(self.comma_separated(Self::object_name)?)
        } else if self.eat_words(&["RECOVER", "INDEX"]) {
            Admin::RecoverIndex { table: self.object_name()?, index: self.index_name()? }
        } else if self.eat_words(&["CLEANUP", "INDEX"]) {
            Admin::CleanupIndex { table: self.object_name()?, index: self.index_name()? }
        } else if self.eat_word("SHOW") {
            let table = self.object_name()?;
            self.expect_word("NEXT_ROW_ID")?;
            Admin::ShowNextRowId(table)
        } else if self.is_one_of(&["RELOAD", "FLUSH", "EVOLVE", "CAPTURE", "PLUGINS"]) {
            let mut words = Vec::new();
            while self.is(Kind::Word) {
                words.push(self.word().to_lowercase());
                self.advance();
            }
            Admin::Other(words.join(" "))
        } else {
            return self.fail();
        }))
    }

    /// Behind SPLIT.
    pub fn split_table(&mut self) -> Result<Statement> {
        self.eat_words(&["REGION", "FOR"]);
        if self.eat_words(&["PARTITION", "TABLE"]) {
            // Splits every partition: the same for us.
        } else {
            self.expect_word("TABLE")?;
        }
        let table = self.object_name()?;
        let partitions = self.optional_partitions()?;
        let index = if self.eat_word("INDEX") { Some(self.index_name()?) } else { None };
        let by = if self.eat_word("BETWEEN") {
            let lower = self.parenthesised0(Self::expr)?;
            self.expect_word("AND")?;
            let upper = self.parenthesised0(Self::expr)?;
            self.expect_word("REGIONS")?;
            SplitBy::Between { lower, upper, regions: self.unsigned()? }
        } else {
            self.expect_word("BY")?;
            SplitBy::Values(self.comma_separated(|cursor| cursor.parenthesised0(Self::expr))?)
        };
        Ok(Statement::SplitTable(SplitTable { table, partitions, index, by }))
    }
}
