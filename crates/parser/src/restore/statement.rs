//! Statements.

use std::fmt::{self, Display, Formatter};

use super::{List, Quoted};
use crate::ast::{Call, Statement};

impl Display for Statement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query(query) => query.fmt(f),
            Self::Insert(insert) => insert.fmt(f),
            Self::Update(update) => update.fmt(f),
            Self::Delete(delete) => delete.fmt(f),
            Self::LoadData(load) => load.fmt(f),
            Self::Call(call) => call.fmt(f),
            Self::Do(exprs) => write!(f, "DO {}", List(exprs)),
            Self::CreateDatabase(create) => create.fmt(f),
            Self::AlterDatabase(alter) => alter.fmt(f),
            Self::DropDatabase(drop) => drop.fmt(f),
            Self::CreateTable(create) => create.fmt(f),
            Self::AlterTable(alter) => alter.fmt(f),
            Self::DropTable(drop) => drop.fmt(f),
            Self::TruncateTable(table) => write!(f, "TRUNCATE TABLE {table}"),
            Self::RenameTable(rename) => rename.fmt(f),
            Self::CreateIndex(create) => create.fmt(f),
            Self::DropIndex(drop) => drop.fmt(f),
            Self::CreateView(create) => create.fmt(f),
            Self::DropView(drop) => drop.fmt(f),
            Self::CreateUser(create) => create.fmt(f),
            Self::AlterUser(alter) => alter.fmt(f),
            Self::DropUser(drop) => drop.fmt(f),
            Self::RenameUser(rename) => rename.fmt(f),
            Self::CreateRole(create) => create.fmt(f),
            Self::Grant(grant) => grant.fmt(f),
            Self::GrantRole(grant) => grant.fmt(f),
            Self::Revoke(revoke) => revoke.fmt(f),
            Self::RevokeRole(revoke) => revoke.fmt(f),
            Self::SetRole(roles) => write!(f, "SET ROLE {roles}"),
            Self::SetDefaultRole(set) => set.fmt(f),
            Self::SetPassword(set) => set.fmt(f),
            Self::Set(items) => write!(f, "SET {}", List(items)),
            Self::SetTransaction(set) => set.fmt(f),
            Self::Show(show) => show.fmt(f),
            Self::Use(schema) => write!(f, "USE {schema}"),
            Self::Explain(explain) => explain.fmt(f),
            Self::DescribeTable(describe) => describe.fmt(f),
            Self::Help(topic) => write!(f, "HELP {}", Quoted(topic)),
            Self::Begin(begin) => begin.fmt(f),
            Self::Commit(completion) => write!(f, "COMMIT{completion}"),
            Self::Rollback(completion) => write!(f, "ROLLBACK{completion}"),
            Self::Savepoint(name) => write!(f, "SAVEPOINT {name}"),
            Self::RollbackToSavepoint(name) => write!(f, "ROLLBACK TO SAVEPOINT {name}"),
            Self::ReleaseSavepoint(name) => write!(f, "RELEASE SAVEPOINT {name}"),
            Self::LockTables(lock) => lock.fmt(f),
            Self::UnlockTables => f.write_str("UNLOCK TABLES"),
            Self::Prepare(prepare) => prepare.fmt(f),
            Self::Execute(execute) => execute.fmt(f),
            Self::Deallocate(name) => write!(f, "DEALLOCATE PREPARE {name}"),
            Self::Kill(kill) => kill.fmt(f),
            Self::Analyze(analyze) => analyze.fmt(f),
            Self::Flush(flush) => flush.fmt(f),
            Self::MaintainTable(maintain) => maintain.fmt(f),
            Self::Admin(admin) => admin.fmt(f),
            Self::SplitTable(split) => split.fmt(f),
            Self::Shutdown => f.write_str("SHUTDOWN"),
            Self::Empty => Ok(()),
        }
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "CALL {}({})", self.name, List(&self.args))
    }
}
