//! Schema changes as jobs.

use serde::{Deserialize, Serialize};
use tidewater_codec::{ColumnId, DbId, IndexId, TableId};

use crate::{CiName, ColumnInfo, DbInfo, IndexInfo, SchemaState, TableInfo};

/// One schema change on its way through the queue: written by the node that got the statement, carried out by the
/// owner, kept in the history afterwards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its id; jobs run in the order of ids.
    pub id: i64,
    /// The database it changes.
    pub schema_id: DbId,
    /// The table it changes, 0 when none.
    pub table_id: TableId,
    /// Name of that database when the job was made.
    pub schema_name: String,
    /// Name of that table when the job was made.
    pub table_name: String,
    /// What to do.
    pub kind: JobKind,
    /// How far the job is.
    pub state: JobState,
    /// How far the schema object is.
    pub schema_state: SchemaState,
    /// Why it failed.
    pub error: Option<JobError>,
    /// How often a step failed and was tried again.
    pub error_count: u32,
    /// Rows backfilled so far.
    pub row_count: u64,
    /// The snapshot backfill reads from, 0 before it starts.
    pub snapshot_ver: u64,
    /// Where backfill continues after a restart: the key after the last one done.
    #[serde(default)]
    pub backfill_position: Option<Vec<u8>>,
    /// The last row is backfilled: the object may become public.
    #[serde(default)]
    pub backfill_done: bool,
    /// When the job was made (timestamp of the cluster's clock).
    pub start_ts: u64,
    /// When it ended, 0 before.
    pub finish_ts: u64,
    /// The schema version of its last step.
    pub schema_version: i64,
    /// The statement.
    pub query: String,
}

/// Why a job failed: what the statement's session reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// MySQL's error number.
    pub code: u16,
    /// The message.
    pub message: String,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for its turn.
    Queueing,
    /// Being carried out.
    Running,
    /// Being taken back after a failure or a cancellation.
    Rollingback,
    /// Taken back.
    RollbackDone,
    /// The schema has its final form; clean-up may go on.
    Done,
    /// All over, known to every node.
    Synced,
    /// Stopped before anything changed.
    Cancelled,
    /// Somebody asked to stop it.
    Cancelling,
}

impl JobState {
    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        match self {
            JobState::RollbackDone | JobState::Synced | JobState::Cancelled => true,
            JobState::Queueing
            | JobState::Running
            | JobState::Rollingback
            | JobState::Done
            | JobState::Cancelling => false,
        }
    }

    /// The words `ADMIN SHOW DDL JOBS` prints.
    pub fn name(self) -> &'static str {
        match self {
            JobState::Queueing => "queueing",
            JobState::Running => "running",
            JobState::Rollingback => "rollingback",
            JobState::RollbackDone => "rollback done",
            JobState::Done => "done",
            JobState::Synced => "synced",
            JobState::Cancelled => "cancelled",
            JobState::Cancelling => "cancelling",
        }
    }
}

/// Where a column goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnPosition {
    /// Behind all others; for a modified column: where it is.
    #[default]
    Unchanged,
    /// Before all others.
    First,
    /// Behind this column.
    After(CiName),
}

/// One RENAME TABLE a TO b.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableRename {
    /// The table.
    pub table_id: TableId,
    /// Where it is.
    pub old_schema_id: DbId,
    /// Where it goes.
    pub new_schema_id: DbId,
    /// What it was called.
    pub old_name: CiName,
    /// What it will be called.
    pub new_name: CiName,
}

/// What a job does. Ids inside are assigned before the job is queued, so that carrying it out is deterministic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// CREATE DATABASE.
    CreateDatabase {
        /// The database.
        database: DbInfo,
    },
    /// DROP DATABASE.
    DropDatabase,
    /// ALTER DATABASE.
    AlterDatabase {
        /// New default character set.
        charset: String,
        /// New default collation.
        collation: String,
    },
    /// CREATE TABLE.
    CreateTable {
        /// The table.
        table: Box<TableInfo>,
    },
    /// CREATE VIEW.
    CreateView {
        /// The view.
        view: Box<TableInfo>,
        /// The view or table it replaces (CREATE OR REPLACE).
        replaces: Option<TableId>,
    },
    /// DROP TABLE.
    DropTable,
    /// DROP VIEW.
    DropView,
    /// TRUNCATE TABLE.
    TruncateTable {
        /// The id the emptied table gets.
        new_id: TableId,
    },
    /// RENAME TABLE, all pairs of the statement at once.
    RenameTables {
        /// The pairs in order.
        renames: Vec<TableRename>,
    },
    /// ALTER TABLE ADD COLUMN.
    AddColumn {
        /// The column; its id is assigned by the owner from `max_col_id`.
        column: Box<ColumnInfo>,
        /// Where it goes.
        position: ColumnPosition,
    },
    /// ALTER TABLE DROP COLUMN.
    DropColumn {
        /// Its name.
        name: CiName,
    },
    /// ALTER TABLE MODIFY/CHANGE/ALTER/RENAME COLUMN.
    ModifyColumn {
        /// The column as it is called before.
        old_name: CiName,
        /// The column as it shall be (name, type, default, comment).
        column: Box<ColumnInfo>,
        /// Where it goes.
        position: ColumnPosition,
        /// While values are rewritten: the id of the column that takes their new form.
        changing_column: Option<ColumnId>,
    },
    /// CREATE INDEX, ALTER TABLE ADD INDEX / ADD PRIMARY KEY.
    AddIndex {
        /// The index; its id is assigned by the owner from `max_idx_id`.
        index: Box<IndexInfo>,
    },
    /// DROP INDEX, DROP PRIMARY KEY.
    DropIndex {
        /// Its name.
        name: CiName,
        /// Its id, known once the job runs.
        index_id: Option<IndexId>,
    },
    /// ALTER TABLE RENAME INDEX.
    RenameIndex {
        /// The old name.
        from: CiName,
        /// The new name.
        to: CiName,
    },
    /// ALTER TABLE ALTER INDEX VISIBLE/INVISIBLE.
    AlterIndexVisibility {
        /// Its name.
        name: CiName,
        /// Whether the planner must ignore it.
        invisible: bool,
    },
    /// ALTER TABLE ... COMMENT = .
    AlterTableComment {
        /// The comment.
        comment: String,
    },
    /// ALTER TABLE [CONVERT TO] CHARACTER SET.
    AlterTableCharset {
        /// New default character set.
        charset: String,
        /// New default collation.
        collation: String,
        /// Whether the columns change too (CONVERT TO).
        convert_columns: bool,
    },
    /// ALTER TABLE ... AUTO_INCREMENT = n.
    RebaseAutoIncrement {
        /// The next value.
        next: u64,
    },
    /// ALTER TABLE ADD FOREIGN KEY (kept, not enforced).
    AddForeignKey {
        /// The clause.
        foreign_key: crate::ForeignKeyInfo,
    },
    /// ALTER TABLE DROP FOREIGN KEY.
    DropForeignKey {
        /// Its name.
        name: CiName,
    },
    /// ALTER TABLE ADD CHECK, ALTER CHECK.
    PutCheck {
        /// The constraint, which takes the place of one of its name.
        check: crate::CheckInfo,
    },
    /// ALTER TABLE DROP CHECK.
    DropCheck {
        /// Its name.
        name: CiName,
    },
    /// Several changes of one ALTER TABLE, which become visible together or are taken back together.
    MultiSchemaChange {
        /// The changes in order.
        changes: Vec<SubJob>,
    },
}

/// One change of a [`JobKind::MultiSchemaChange`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubJob {
    /// What to do.
    pub kind: JobKind,
    /// How far it is.
    pub state: JobState,
    /// How far its schema object is.
    pub schema_state: SchemaState,
}

impl JobKind {
    /// The words `ADMIN SHOW DDL JOBS` prints.
    pub fn name(&self) -> &'static str {
        match self {
            JobKind::CreateDatabase { .. } => "create schema",
            JobKind::DropDatabase => "drop schema",
            JobKind::AlterDatabase { .. } => "modify schema charset and collate",
            JobKind::CreateTable { .. } => "create table",
            JobKind::CreateView { .. } => "create view",
            JobKind::DropTable => "drop table",
            JobKind::DropView => "drop view",
            JobKind::TruncateTable { .. } => "truncate table",
            JobKind::RenameTables { renames } if renames.len() > 1 => "rename tables",
            JobKind::RenameTables { .. } => "rename table",
            JobKind::AddColumn { .. } => "add column",
            JobKind::DropColumn { .. } => "drop column",
            JobKind::ModifyColumn { .. } => "modify column",
            JobKind::AddIndex { index } if index.primary => "add primary key",
            JobKind::AddIndex { .. } => "add index",
            JobKind::DropIndex { name, .. } if name.matches("primary") => "drop primary key",
            JobKind::DropIndex { .. } => "drop index",
            JobKind::RenameIndex { .. } => "rename index",
            JobKind::AlterIndexVisibility { .. } => "alter index visibility",
            JobKind::AlterTableComment { .. } => "modify table comment",
            JobKind::AlterTableCharset { .. } => "modify table charset and collate",
            JobKind::RebaseAutoIncrement { .. } => "rebase auto_increment ID",
            JobKind::AddForeignKey { .. } => "add foreign key",
            JobKind::DropForeignKey { .. } => "drop foreign key",
            JobKind::PutCheck { .. } => "add check constraint",
            JobKind::DropCheck { .. } => "drop check constraint",
            JobKind::MultiSchemaChange { .. } => "alter table multi-schema change",
        }
    }
}

impl Job {
    /// A job that waits for its turn. The owner of the queue sets `id` and `start_ts`.
    pub fn new(kind: JobKind, schema: &DbInfo, table: Option<&TableInfo>, query: impl Into<String>) -> Self {
        Job {
            id: 0,
            schema_id: schema.id,
            table_id: table.map_or(TableId(0), |table| table.id),
            schema_name: schema.name.to_string(),
            table_name: table.map_or_else(String::new, |table| table.name.to_string()),
            kind,
            state: JobState::Queueing,
            schema_state: SchemaState::None,
            error: None,
            error_count: 0,
            row_count: 0,
            snapshot_ver: 0,
            backfill_position: None,
            backfill_done: false,
            start_ts: 0,
            finish_ts: 0,
            schema_version: 0,
            query: query.into(),
        }
    }
}
