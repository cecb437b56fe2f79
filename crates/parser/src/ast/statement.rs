//! The statements.

use super::*;

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// SELECT, VALUES, TABLE, WITH .. and set operations.
    Query(Box<Query>),
    /// INSERT and REPLACE.
    Insert(Box<Insert>),
    /// UPDATE.
    Update(Box<Update>),
    /// DELETE.
    Delete(Box<Delete>),
    /// LOAD DATA.
    LoadData(Box<LoadData>),
    /// CALL.
    Call(Call),
    /// DO.
    Do(Vec<Expr>),

    /// CREATE DATABASE.
    CreateDatabase(CreateDatabase),
    /// ALTER DATABASE.
    AlterDatabase(AlterDatabase),
    /// DROP DATABASE.
    DropDatabase(DropDatabase),
    /// CREATE TABLE.
    CreateTable(Box<CreateTable>),
    /// ALTER TABLE.
    AlterTable(AlterTable),
    /// DROP TABLE.
    DropTable(DropTable),
    /// TRUNCATE \[TABLE].
    TruncateTable(ObjectName),
    /// RENAME TABLE.
    RenameTable(RenameTable),
    /// CREATE INDEX.
    CreateIndex(Box<CreateIndex>),
    /// DROP INDEX.
    DropIndex(DropIndex),
    /// CREATE VIEW, ALTER VIEW.
    CreateView(Box<CreateView>),
    /// DROP VIEW.
    DropView(DropView),

    /// CREATE USER.
    CreateUser(CreateUser),
    /// ALTER USER.
    AlterUser(AlterUser),
    /// DROP USER, DROP ROLE.
    DropUser(DropUser),
    /// RENAME USER.
    RenameUser(RenameUser),
    /// CREATE ROLE.
    CreateRole(CreateRole),
    /// GRANT privileges.
    Grant(Box<Grant>),
    /// GRANT roles.
    GrantRole(GrantRole),
    /// REVOKE privileges.
    Revoke(Box<Revoke>),
    /// REVOKE roles.
    RevokeRole(RevokeRole),
    /// SET ROLE.
    SetRole(RoleSelection),
    /// SET DEFAULT ROLE.
    SetDefaultRole(SetDefaultRole),
    /// SET PASSWORD.
    SetPassword(SetPassword),

    /// SET variables, NAMES, CHARACTER SET.
    Set(Vec<SetItem>),
    /// SET TRANSACTION.
    SetTransaction(SetTransaction),
    /// SHOW.
    Show(Box<Show>),
    /// USE.
    Use(Ident),
    /// EXPLAIN of a statement.
    Explain(Explain),
    /// DESC of a table.
    DescribeTable(DescribeTable),
    /// HELP 'topic'.
    Help(String),

    /// BEGIN, START TRANSACTION.
    Begin(Begin),
    /// COMMIT.
    Commit(Completion),
    /// ROLLBACK.
    Rollback(Completion),
    /// SAVEPOINT name.
    Savepoint(Ident),
    /// ROLLBACK TO \[SAVEPOINT] name.
    RollbackToSavepoint(Ident),
    /// RELEASE SAVEPOINT name.
    ReleaseSavepoint(Ident),
    /// LOCK TABLES.
    LockTables(LockTables),
    /// UNLOCK TABLES.
    UnlockTables,

    /// PREPARE.
    Prepare(Prepare),
    /// EXECUTE.
    Execute(Execute),
    /// DEALLOCATE | DROP PREPARE.
    Deallocate(Ident),

    /// KILL.
    Kill(Kill),
    /// ANALYZE TABLE.
    Analyze(AnalyzeTable),
    /// FLUSH.
    Flush(Flush),
    /// CHECK, CHECKSUM, OPTIMIZE, REPAIR TABLE.
    MaintainTable(MaintainTable),
    /// ADMIN.
    Admin(Admin),
    /// SPLIT TABLE.
    SplitTable(SplitTable),
    /// SHUTDOWN.
    Shutdown,
    /// A text of comments only.
    Empty,
}

impl Statement {
    /// SELECT and what else returns rows without changing anything through the planner.
    pub fn is_query(&self) -> bool {
        matches!(self, Self::Query(_))
    }

    /// Statements the planner makes a plan for.
    pub fn is_plannable(&self) -> bool {
        matches!(self, Self::Query(_) | Self::Insert(_) | Self::Update(_) | Self::Delete(_))
    }

    /// Statements that commit the current transaction before they run.
    pub fn commits_implicitly(&self) -> bool {
        match self {
            Self::CreateTable(create) => !create.temporary,
            Self::DropTable(drop) => !drop.temporary,
            Self::CreateDatabase(_)
            | Self::AlterDatabase(_)
            | Self::DropDatabase(_)
            | Self::AlterTable(_)
            | Self::TruncateTable(_)
            | Self::RenameTable(_)
            | Self::CreateIndex(_)
            | Self::DropIndex(_)
            | Self::CreateView(_)
            | Self::DropView(_)
            | Self::CreateUser(_)
            | Self::AlterUser(_)
            | Self::DropUser(_)
            | Self::RenameUser(_)
            | Self::CreateRole(_)
            | Self::Grant(_)
            | Self::GrantRole(_)
            | Self::Revoke(_)
            | Self::RevokeRole(_)
            | Self::SetDefaultRole(_)
            | Self::SetPassword(_)
            | Self::Begin(_)
            | Self::LockTables(_)
            | Self::Analyze(_)
            | Self::Flush(_)
            | Self::MaintainTable(_) => true,
            Self::Query(_)
            | Self::Insert(_)
            | Self::Update(_)
            | Self::Delete(_)
            | Self::LoadData(_)
            | Self::Call(_)
            | Self::Do(_)
            | Self::SetRole(_)
            | Self::Set(_)
            | Self::SetTransaction(_)
            | Self::Show(_)
            | Self::Use(_)
            | Self::Explain(_)
            | Self::DescribeTable(_)
            | Self::Help(_)
            | Self::Commit(_)
            | Self::Rollback(_)
            | Self::Savepoint(_)
            | Self::RollbackToSavepoint(_)
            | Self::ReleaseSavepoint(_)
            | Self::UnlockTables
            | Self::Prepare(_)
            | Self::Execute(_)
            | Self::Deallocate(_)
            | Self::Kill(_)
            | Self::Admin(_)
            | Self::SplitTable(_)
            | Self::Shutdown
            | Self::Empty => false,
        }
    }
}
