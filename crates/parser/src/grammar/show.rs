//! SHOW.

use crate::ast::{Ident, Limit, ObjectName, Show, ShowFilter, ShowKind, Statement};
use crate::cursor::{Cursor, Result};
use crate::lexer::Kind;
use crate::lower::variable_scope;

impl Cursor<'_> {
    /// Behind SHOW.
    pub fn show(&mut self) -> Result<Statement> {
        let kind = self.show_kind()?;
        let filter = if self.eat_word("LIKE") {
            Some(ShowFilter::Like(self.string()?))
        } else if self.eat_word("WHERE") {
            Some(ShowFilter::Where(self.expr()?))
        } else {
            None
        };
        Ok(Statement::Show(Box::new(Show { kind, filter })))
    }

    /// `FROM schema` or `IN schema`, if it stands here.
    fn source_schema(&mut self) -> Result<Option<Ident>> {
        if self.eat_one_of(&["FROM", "IN"]).is_some() { self.ident().map(Some) } else { Ok(None) }
    }

    /// `FROM table [FROM schema]`.
    fn source_table(&mut self) -> Result<ObjectName> {
        if self.eat_one_of(&["FROM", "IN"]).is_none() {
            return self.fail();
        }
        let mut table = self.object_name()?;
        if let Some(schema) = self.source_schema()? {
            table.schema = Some(schema);
        }
        Ok(table)
    }

    fn optional_limit(&mut self) -> Result<Option<Limit>> {
        if !self.eat_word("LIMIT") {
            return Ok(None);
        }
        let first = self.expr()?;
        if self.eat(Kind::Comma) {
            return Ok(Some(Limit { count: self.expr()?, offset: Some(first) }));
        }
        let offset = if self.eat_word("OFFSET") { Some(self.expr()?) } else { None };
        Ok(Some(Limit { count: first, offset }))
    }

    fn show_kind(&mut self) -> Result<ShowKind> {
        let extended = self.eat_word("EXTENDED");
        let full = self.eat_word("FULL");
        let scope = match variable_scope(self.word()) {
            Some(scope) => {
                self.advance();
                Some(scope)
            }
            None => None,
        };
        let start = self.position;
        let word = self.word().to_ascii_uppercase();
        self.advance();
        Ok(match word.as_str() {
            "DATABASES" | "SCHEMAS" => ShowKind::Databases,
            "TABLES" => ShowKind::Tables { full, schema: self.source_schema()? },
            "OPEN" => {
                self.expect_word("TABLES")?;
                ShowKind::OpenTables { schema: self.source_schema()? }
            }
            "TABLE" if self.eat_word("STATUS") => ShowKind::TableStatus { schema: self.source_schema()? },
            "TABLE" => {
                let table = self.object_name()?;
                let partitions = self.optional_partitions()?;
                if self.is_word("NEXT_ROW_ID") {
                    return self.unsupported("SHOW TABLE .. NEXT_ROW_ID; use ADMIN SHOW .. NEXT_ROW_ID");
                }
                let index = if self.eat_word("INDEX") { Some(self.index_name()?) } else { None };
                self.expect_word("REGIONS")?;
                ShowKind::TableRegions { table, partitions, index }
            }
            "COLUMNS" | "FIELDS" => ShowKind::Columns { full, extended, table: self.source_table()? },
            "INDEX" | "INDEXES" | "KEYS" => ShowKind::Indexes { extended, table: self.source_table()? },
            "CREATE" => self.show_create()?,
            "VARIABLES" => ShowKind::Variables { scope },
            "STATUS" => ShowKind::Status { scope },
            "BINDINGS" => ShowKind::Bindings { scope },
            "WARNINGS" => ShowKind::Warnings { limit: self.optional_limit()? },
            "ERRORS" => ShowKind::Errors { limit: self.optional_limit()? },
            "COUNT" => {
                self.expect(Kind::LeftParen)?;
                self.expect(Kind::Star)?;
                self.expect(Kind::RightParen)?;
                match self.eat_one_of(&["WARNINGS", "ERRORS"]) {
                    Some("WARNINGS") => ShowKind::WarningCount,
                    Some(_) => ShowKind::ErrorCount,
                    None => return self.fail(),
                }
            }
            "ENGINES" => ShowKind::Engines,
            "STORAGE" => {
                self.expect_word("ENGINES")?;
                ShowKind::Engines
            }
            "ENGINE" => {
                let name = self.ident_or_text()?;
                let Some(what) = self.eat_one_of(&["STATUS", "MUTEX", "LOGS"]) else { return self.fail() };
                ShowKind::Engine { name, what: what.to_owned() }
            }
            "CHARACTER" | "CHAR" => {
                self.expect_word("SET")?;
                ShowKind::Charset
            }
            "CHARSET" => ShowKind::Charset,
            "COLLATION" => ShowKind::Collation,
            "PROCESSLIST" => ShowKind::ProcessList { full },
            "GRANTS" => {
                let user = if self.eat_word("FOR") { Some(self.user_ref()?) } else { None };
                let using =
                    if self.eat_word("USING") { self.comma_separated(Self::user_name)? } else { Vec::new() };
                ShowKind::Grants { user, using }
            }
            "PRIVILEGES" => ShowKind::Privileges,
            "PLUGINS" => ShowKind::Plugins,
            "TRIGGERS" => ShowKind::Triggers { schema: self.source_schema()? },
            "EVENTS" => ShowKind::Events { schema: self.source_schema()? },
            "PROCEDURE" => {
                self.expect_word("STATUS")?;
                ShowKind::ProcedureStatus
            }
            "FUNCTION" => {
                self.expect_word("STATUS")?;
                ShowKind::FunctionStatus
            }
            "PACKAGE" => {
                // MariaDB's dump asks for Oracle-style packages; there are none, as there are no procedures.
                self.eat_word("BODY");
                self.expect_word("STATUS")?;
                ShowKind::ProcedureStatus
            }
            "PROFILES" => ShowKind::Profiles,
            "PROFILE" => {
                while !self.at_end() {
                    self.advance();
                }
                ShowKind::Profile
            }
            "MASTER" => match self.eat_one_of(&["STATUS", "LOGS"]) {
                Some("STATUS") => ShowKind::MasterStatus,
                Some(_) => ShowKind::BinaryLogs,
                None => return self.fail(),
            },
            "BINARY" if self.eat_words(&["LOG", "STATUS"]) => ShowKind::MasterStatus,
            "BINARY" => {
                self.expect_word("LOGS")?;
                ShowKind::BinaryLogs
            }
            "BINLOG" => {
                self.expect_word("STATUS")?;
                ShowKind::MasterStatus
            }
            "SLAVE" | "REPLICA" => {
                self.expect_word("STATUS")?;
                ShowKind::ReplicaStatus
            }
            "ALL" => {
                if self.eat_one_of(&["SLAVES", "REPLICAS"]).is_none() {
                    return self.fail();
                }
                self.expect_word("STATUS")?;
                ShowKind::ReplicaStatus
            }
            "BUILTINS" => ShowKind::Builtins,
            "CONFIG" => ShowKind::Config,
            "PLACEMENT" => {
                self.eat_word("LABELS");
                ShowKind::Placement
            }
            "ANALYZE" => {
                self.expect_word("STATUS")?;
                ShowKind::Stats("analyze_status".to_owned())
            }
            _ if word.starts_with("STATS_")
                || matches!(
                    word.as_str(),
                    "HISTOGRAMS_IN_FLIGHT" | "COLUMN_STATS_USAGE" | "PUMP" | "DRAINER"
                ) =>
            {
                if matches!(word.as_str(), "PUMP" | "DRAINER") {
                    self.expect_word("STATUS")?;
                }
                ShowKind::Stats(word.to_lowercase())
            }
            _ => return Err(self.error_at(start)),
        })
    }

    fn show_create(&mut self) -> Result<ShowKind> {
        let start = self.position;
        let word = self.word().to_ascii_uppercase();
        self.advance();
        Ok(match word.as_str() {
            "TABLE" => ShowKind::CreateTable(self.object_name()?),
            "VIEW" => ShowKind::CreateView(self.object_name()?),
            "DATABASE" | "SCHEMA" => {
                let if_not_exists = self.eat_words(&["IF", "NOT", "EXISTS"]);
                ShowKind::CreateDatabase { if_not_exists, name: self.ident()? }
            }
            "USER" => ShowKind::CreateUser(self.user_ref()?),
            "PROCEDURE" => ShowKind::CreateProcedure(self.object_name()?),
            "FUNCTION" => ShowKind::CreateFunction(self.object_name()?),
            "TRIGGER" => ShowKind::CreateTrigger(self.object_name()?),
            "EVENT" => ShowKind::CreateEvent(self.object_name()?),
            "SEQUENCE" => ShowKind::CreateSequence(self.object_name()?),
            "PLACEMENT" => {
                self.expect_word("POLICY")?;
                ShowKind::CreatePlacementPolicy(self.ident()?)
            }
            _ => return Err(self.error_at(start)),
        })
    }
}
