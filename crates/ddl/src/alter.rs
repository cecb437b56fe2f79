//! ALTER TABLE: each action becomes the jobs that carry it out, in order.
//!
//! The actions of one statement are planned against the table as the earlier ones leave it, but run one job after the
//! other: a failure in the middle leaves the earlier ones done (TiDB's multi-schema change is atomic; ours is not yet).

mod check;

use tidewater_catalog::{
    CheckInfo, CiName, ColumnChange, ColumnInfo, ColumnPosition, DbInfo, ForeignKeyInfo, IndexInfo, JobKind,
    TableInfo, TableRename,
};
use tidewater_codec::{DbId, IndexId};
use tidewater_parser::ast::{
    self, AlterAction, ColumnDef, IndexDef, IndexKind, TableConstraint, TableOption,
};
use tidewater_types::{Datum, ErrorCode, SqlMode, TypeFlags};

use crate::define::{DefineContext, add_index, build_column, foreign_key_info, resolve_charset, set_default};
use crate::error::{DdlError, cant_drop, reject};

/// Most of ALTER TABLE works on one table; RENAME needs the target's database.
pub struct AlterContext<'a> {
    /// For definitions.
    pub define: DefineContext<'a>,
    /// Finds the id of a database.
    pub database_id: &'a dyn Fn(&str) -> Option<DbId>,
}

/// A step of an ALTER TABLE.
#[derive(Debug)]
pub enum AlterStep {
    /// A job.
    Job(JobKind),
    /// To look whether stored rows keep a constraint.
    VerifyCheck {
        /// The constraint.
        check: CheckInfo,
        /// What takes it back if they do not.
        undo: JobKind,
    },
    /// Nothing to do, but a note: `IF EXISTS` or `IF NOT EXISTS` was written.
    Note {
        /// MySQL's number.
        code: ErrorCode,
        /// The text.
        message: String,
    },
}

/// The steps of the statement.
pub fn plan_alter(
    ctx: &AlterContext<'_>,
    database: &DbInfo,
    table: &TableInfo,
    actions: &[AlterAction],
) -> Result<Vec<AlterStep>, DdlError> {
    let mut planner = Planner { ctx, database, table: table.clone(), steps: Vec::new() };
    for action in actions {
        planner.action(action)?;
    }
    Ok(planner.steps)
}

struct Planner<'a> {
    ctx: &'a AlterContext<'a>,
    database: &'a DbInfo,
    /// The table as the steps so far leave it; ids are provisional.
    table: TableInfo,
    steps: Vec<AlterStep>,
}

impl Planner<'_> {
    fn job(&mut self, kind: JobKind) {
        self.steps.push(AlterStep::Job(kind));
    }

    fn action(&mut self, action: &AlterAction) -> Result<(), DdlError> {
        match action {
            AlterAction::AddColumn { if_not_exists, column, position } => {
                self.add_column(column, position.as_ref(), *if_not_exists)
            }
            AlterAction::AddColumns { columns, constraints } => {
                for column in columns {
                    self.add_column(column, None, false)?;
                }
                constraints.iter().try_for_each(|constraint| self.add_constraint(constraint))
            }
            AlterAction::AddConstraint(constraint) => self.add_constraint(constraint),
            AlterAction::DropColumn { if_exists, name } => self.drop_column(name, *if_exists),
            AlterAction::DropIndex { if_exists, name } => self.drop_index(name, *if_exists),
            AlterAction::DropPrimaryKey => self.drop_index("PRIMARY", false),
            AlterAction::DropForeignKey { if_exists, name } => self.drop_foreign_key(name, *if_exists),
            AlterAction::DropConstraint(name) => {
                if self.table.foreign_keys.iter().any(|key| key.name.matches(name)) {
                    self.drop_foreign_key(name, false)
                } else if self.table.checks.iter().any(|check| check.name.matches(name)) {
                    self.drop_check(name)
                } else {
                    self.drop_index(name, false)
                }
            }
            AlterAction::ModifyColumn { if_exists, column, position } => {
                self.modify_column(&column.name, column, position.as_ref(), *if_exists)
            }
            AlterAction::ChangeColumn { if_exists, old_name, column, position } => {
                self.modify_column(old_name, column, position.as_ref(), *if_exists)
            }
            AlterAction::SetDefault { column, value, parenthesised } => {
                let mut changed = self.column(column)?.clone();
                set_default(&self.ctx.define, &mut changed, value, *parenthesised)?;
                self.replace_column(column, changed)
            }
            AlterAction::DropDefault(column) => {
                let mut changed = self.column(column)?.clone();
                changed.default_value = None;
                changed.default_bytes = None;
                changed.default_is_expr = false;
                changed.field_type.flags.set(TypeFlags::NO_DEFAULT_VALUE, changed.field_type.is_not_null());
                self.replace_column(column, changed)
            }
            AlterAction::RenameColumn { from, to } => {
                let mut changed = self.column(from)?.clone();
                self.release_checks(&changed.name, false)?;
                changed.name = CiName::new(to.as_str());
                self.replace_column(from, changed)
            }
            AlterAction::AlterCheck { name, enforced } => self.alter_check(name, *enforced),
            AlterAction::DropCheck(name) => self.drop_check(name),
            AlterAction::RenameIndex { from, to } => self.rename_index(from, to),
            AlterAction::AlterIndex { name, visible } => {
                if self.table.index(name).is_none() {
                    return Err(no_such_key(name, &self.table));
                }
                self.job(JobKind::AlterIndexVisibility {
                    name: CiName::new(name.as_str()),
                    invisible: !visible,
                });
                Ok(())
            }
            AlterAction::RenameTable(target) => self.rename_table(target),
            AlterAction::ConvertCharset { charset, collation } => {
                let collation = resolve_charset(
                    charset.as_deref(),
                    collation.as_deref(),
                    self.database.default_collation(),
                )?;
                self.job(JobKind::AlterTableCharset {
                    charset: collation.charset().name().to_owned(),
                    collation: collation.name().to_owned(),
                    convert_columns: true,
                });
                Ok(())
            }
            AlterAction::Options(options) => self.options(options),
            // Accepted and meaningless here.
            AlterAction::OrderBy(_)
            | AlterAction::Keys(_)
            | AlterAction::Online(_)
            | AlterAction::Validation(_)
            | AlterAction::Force
            | AlterAction::Cache(_)
            | AlterAction::TiFlashReplica(_) => Ok(()),
            AlterAction::Tablespace(_)
            | AlterAction::PartitionBy(_)
            | AlterAction::RemovePartitioning
            | AlterAction::AddPartitions(_)
            | AlterAction::AddPartitionCount(_)
            | AlterAction::DropPartitions { .. }
            | AlterAction::TruncatePartitions(_)
            | AlterAction::CoalescePartitions(_)
            | AlterAction::ReorganizePartitions { .. }
            | AlterAction::ExchangePartition { .. }
            | AlterAction::MaintainPartitions { .. } => Err(reject(
                ErrorCode::PartitionMgmtOnNonpartitioned,
                "Partition management on a not partitioned table is not possible",
            )),
        }
    }

    fn column(&self, name: &str) -> Result<&ColumnInfo, DdlError> {
        self.table.public_column(name).ok_or_else(|| unknown_column(name, &self.table))
    }

    fn add_column(
        &mut self,
        definition: &ColumnDef,
        position: Option<&ast::ColumnPosition>,
        if_not_exists: bool,
    ) -> Result<(), DdlError> {
        if self.table.column(&definition.name).is_some() {
            let message = format!("Duplicate column name '{}'", definition.name.as_str());
            if if_not_exists {
                self.steps.push(AlterStep::Note { code: ErrorCode::DupFieldname, message });
                return Ok(());
            }
            return Err(reject(ErrorCode::DupFieldname, message));
        }
        let (mut column, parts) = build_column(&self.ctx.define, definition, self.table.default_collation())?;
        if column.is_auto_increment() {
            return Err(reject(
                ErrorCode::NotSupportedYet,
                "This version of Tidewater doesn't yet support 'adding an AUTO_INCREMENT column'",
            ));
        }
        if column.is_generated() && column.generated_stored {
            return Err(reject(
                ErrorCode::NotSupportedYet,
                "This version of Tidewater doesn't yet support 'adding a stored generated column'",
            ));
        }
        set_origin_default(&self.ctx.define, &mut column);
        let position = self.position(position)?;
        let name = column.name.clone();
        self.place_column(column.clone(), &position);
        self.job(JobKind::AddColumn { column: Box::new(column), position });
        let key = |kind: IndexKind| IndexDef {
            kind,
            name: None,
            if_not_exists: false,
            parts: vec![ast::IndexPart {
                key: ast::IndexPartKey::Column { name: name.as_str().into(), length: None },
                descending: false,
            }],
            options: ast::IndexOptions::default(),
        };
        if parts.primary.is_some() {
            self.add_index_definition(&key(IndexKind::Primary))?;
        }
        if parts.unique {
            self.add_index_definition(&key(IndexKind::Unique))?;
        }
        parts.checks.iter().try_for_each(|check| self.add_check(check, Some(name.as_str())))
    }

    /// Keeps the working copy in step with the jobs planned so far.
    fn place_column(&mut self, mut column: ColumnInfo, position: &ColumnPosition) {
        self.table.max_column_id += 1;
        column.id = tidewater_codec::ColumnId(self.table.max_column_id);
        let at = position_offset(&self.table, position).unwrap_or(self.table.columns.len());
        self.table.columns.insert(at, column);
        self.table.renumber();
    }

    fn position(&self, position: Option<&ast::ColumnPosition>) -> Result<ColumnPosition, DdlError> {
        Ok(match position {
            None => ColumnPosition::Unchanged,
            Some(ast::ColumnPosition::First) => ColumnPosition::First,
            Some(ast::ColumnPosition::After(name)) => ColumnPosition::After(self.column(name)?.name.clone()),
        })
    }

    fn add_constraint(&mut self, constraint: &TableConstraint) -> Result<(), DdlError> {
        match constraint {
            TableConstraint::Index(definition) => self.add_index_definition(definition),
            TableConstraint::ForeignKey(key) => {
                let info: ForeignKeyInfo = foreign_key_info(&self.ctx.define, &mut self.table, key)?;
                self.table.foreign_keys.push(info.clone());
                self.job(JobKind::AddForeignKey { foreign_key: info });
                Ok(())
            }
            TableConstraint::Check(check) => self.add_check(check, None),
        }
    }

    fn add_index_definition(&mut self, definition: &IndexDef) -> Result<(), DdlError> {
        if let Some(name) = &definition.name
            && definition.if_not_exists
            && self.table.index(name).is_some()
        {
            let message = format!("Duplicate key name '{}'", name.as_str());
            self.steps.push(AlterStep::Note { code: ErrorCode::DupKeyname, message });
            return Ok(());
        }
        if definition.kind == IndexKind::Primary
            && let Some(column) = first_nullable(&self.table, definition)
        {
            // MySQL turns the columns NOT NULL; rows with NULL make it fail.
            let mut changed = self.column(&column)?.clone();
            changed.field_type.flags |= TypeFlags::NOT_NULL;
            self.replace_column(&column, changed)?;
            return self.add_index_definition(definition);
        }
        let mut index: IndexInfo = add_index(&mut self.table, definition)?.clone();
        index.id = IndexId(0);
        self.job(JobKind::AddIndex { index: Box::new(index) });
        Ok(())
    }

    fn drop_column(&mut self, name: &str, if_exists: bool) -> Result<(), DdlError> {
        let Some(column) = self.table.public_column(name) else {
            return self.missing(name, if_exists);
        };
        if self.table.public_columns().count() == 1 {
            return Err(reject(
                ErrorCode::CantRemoveAllFields,
                "You can't delete all columns with ALTER TABLE; use DROP TABLE instead",
            ));
        }
        let column = column.name.clone();
        let in_handle = self.table.primary_key_columns().iter().any(|key| key.name == column);
        if in_handle && self.table.is_clustered() {
            return Err(reject(
                ErrorCode::NotSupportedYet,
                "This version of Tidewater doesn't yet support 'dropping a column of the clustered primary key'",
            ));
        }
        let depends = |other: &&ColumnInfo| {
            other.dependencies.as_ref().is_some_and(|columns| columns.contains_key(column.lower()))
        };
        if let Some(generated) = self.table.public_columns().find(depends) {
            return Err(reject(
                ErrorCode::DependentByGeneratedColumn,
                format!("Column '{column}' has a generated column dependency ('{}').", generated.name),
            ));
        }
        // Indexes lose the column; those on nothing else go with it.
        let indices: Vec<CiName> = self
            .table
            .public_indices()
            .filter(|index| index.columns.iter().any(|part| part.name == column))
            .map(|index| index.name.clone())
            .collect();
        for index in indices {
            let single = self.table.index(index.lower()).is_some_and(|index| index.columns.len() == 1);
            if !single {
                return Err(reject(
                    ErrorCode::UnsupportedDdlOperation,
                    format!(
                        "can't drop column {column} with composite index covered or Primary Key covered now"
                    ),
                ));
            }
            self.drop_index(index.as_str(), false)?;
        }
        self.release_checks(&column, true)?;
        self.table.columns.retain(|other| other.name != column);
        self.table.renumber();
        self.job(JobKind::DropColumn { name: column });
        Ok(())
    }

    fn drop_index(&mut self, name: &str, if_exists: bool) -> Result<(), DdlError> {
        if name.eq_ignore_ascii_case("primary") && self.table.is_clustered() {
            return Err(reject(
                ErrorCode::UnsupportedDdlOperation,
                "Unsupported drop primary key when the table is using clustered index",
            ));
        }
        let Some(index) = self.table.index(name) else { return self.missing(name, if_exists) };
        let name = index.name.clone();
        self.table.indices.retain(|other| other.name != name);
        self.job(JobKind::DropIndex { name, index_id: None });
        Ok(())
    }

    fn drop_foreign_key(&mut self, name: &str, if_exists: bool) -> Result<(), DdlError> {
        let Some(key) = self.table.foreign_keys.iter().find(|key| key.name.matches(name)) else {
            return self.missing(name, if_exists);
        };
        let name = key.name.clone();
        self.table.foreign_keys.retain(|other| other.name != name);
        self.job(JobKind::DropForeignKey { name });
        Ok(())
    }

    fn missing(&mut self, name: &str, if_exists: bool) -> Result<(), DdlError> {
        let error = cant_drop(name);
        if if_exists {
            let (code, message) = (ErrorCode::CantDropFieldOrKey, error.message);
            self.steps.push(AlterStep::Note { code, message });
            return Ok(());
        }
        Err(DdlError::Rejected(error))
    }

    fn modify_column(
        &mut self,
        old_name: &str,
        definition: &ColumnDef,
        position: Option<&ast::ColumnPosition>,
        if_exists: bool,
    ) -> Result<(), DdlError> {
        if self.table.public_column(old_name).is_none() {
            let error = unknown_column(old_name, &self.table);
            if if_exists {
                self.steps
                    .push(AlterStep::Note { code: ErrorCode::BadFieldError, message: error.to_string() });
                return Ok(());
            }
            return Err(error);
        }
        let old = self.column(old_name)?.clone();
        let renamed = !old.name.matches(&definition.name);
        if renamed && self.table.column(&definition.name).is_some() {
            return Err(reject(
                ErrorCode::DupFieldname,
                format!("Duplicate column name '{}'", definition.name.as_str()),
            ));
        }
        if renamed {
            self.release_checks(&old.name, false)?;
        }
        let (mut column, parts) = build_column(&self.ctx.define, definition, self.table.default_collation())?;
        column.id = old.id;
        column.origin_default.clone_from(&old.origin_default);
        column.origin_default_bytes.clone_from(&old.origin_default_bytes);
        if old.is_generated() != column.is_generated() || old.generated_stored != column.generated_stored {
            return Err(reject(
                ErrorCode::UnsupportedActionOnGeneratedColumn,
                "'Changing the STORED status' is not supported for generated columns.",
            ));
        }
        let in_handle =
            self.table.is_clustered() && self.table.primary_key_columns().iter().any(|key| key.id == old.id);
        if in_handle {
            column.field_type.flags |= TypeFlags::NOT_NULL | TypeFlags::PRI_KEY;
            if crate::reorg::needs_reorganization(&old.field_type, &column.field_type) {
                return Err(reject(
                    ErrorCode::UnsupportedDdlOperation,
                    "Unsupported modify column: this column has primary key flag",
                ));
            }
        }
        let position = self.position(position)?;
        let change = Some(Box::new(self.column_change()));
        self.job(JobKind::ModifyColumn {
            old_name: old.name.clone(),
            column: Box::new(ColumnInfo { change, ..column.clone() }),
            position: position.clone(),
            changing_column: None,
        });
        if let Some(slot) = self.table.columns.iter_mut().find(|other| other.id == old.id) {
            let offset = slot.offset;
            *slot = column.clone();
            slot.offset = offset;
        }
        for part in self.table.indices.iter_mut().flat_map(|index| &mut index.columns) {
            if part.name == old.name {
                part.name = column.name.clone();
            }
        }
        if parts.primary.is_some()
            && !self.table.primary_key_columns().iter().any(|key| key.name == column.name)
        {
            self.add_index_definition(&column_key(IndexKind::Primary, column.name.as_str()))?;
        }
        if parts.unique {
            self.add_index_definition(&column_key(IndexKind::Unique, column.name.as_str()))?;
        }
        parts.checks.iter().try_for_each(|check| self.add_check(check, Some(column.name.as_str())))
    }

    /// The rules by which a change of type converts. Values that do not fit always fail it; zero dates are such values
    /// in strict mode only, as for INSERT.
    fn column_change(&self) -> ColumnChange {
        let convert = &self.ctx.define.convert;
        let mut sql_mode = convert.sql_mode;
        if !convert.strict {
            sql_mode.remove(SqlMode::NO_ZERO_DATE | SqlMode::NO_ZERO_IN_DATE);
        }
        let time_zone = convert.time_zone.name().to_owned();
        ColumnChange { sql_mode, time_zone, now_micros: convert.now_micros }
    }

    /// A column whose description changes and whose stored values stay.
    fn replace_column(&mut self, old_name: &str, column: ColumnInfo) -> Result<(), DdlError> {
        let old = self.column(old_name)?.name.clone();
        if old != column.name && self.table.column(column.name.lower()).is_some() {
            return Err(reject(ErrorCode::DupFieldname, format!("Duplicate column name '{}'", column.name)));
        }
        if let Some(slot) = self.table.columns.iter_mut().find(|other| other.name == old) {
            *slot = column.clone();
        }
        for part in self.table.indices.iter_mut().flat_map(|index| &mut index.columns) {
            if part.name == old {
                part.name = column.name.clone();
            }
        }
        self.job(JobKind::ModifyColumn {
            old_name: old,
            column: Box::new(column),
            position: ColumnPosition::Unchanged,
            changing_column: None,
        });
        Ok(())
    }

    fn rename_index(&mut self, from: &str, to: &str) -> Result<(), DdlError> {
        if self.table.index(from).is_none() {
            return Err(no_such_key(from, &self.table));
        }
        if !from.eq_ignore_ascii_case(to) && self.table.index(to).is_some() {
            return Err(reject(ErrorCode::DupKeyname, format!("Duplicate key name '{to}'")));
        }
        if let Some(index) = self.table.indices.iter_mut().find(|index| index.name.matches(from)) {
            index.name = CiName::new(to);
        }
        self.job(JobKind::RenameIndex { from: CiName::new(from), to: CiName::new(to) });
        Ok(())
    }

    fn rename_table(&mut self, target: &ast::ObjectName) -> Result<(), DdlError> {
        let new_schema_id = match &target.schema {
            None => self.database.id,
            Some(schema) => (self.ctx.database_id)(schema).ok_or_else(|| {
                reject(ErrorCode::BadDbError, format!("Unknown database '{}'", schema.as_str()))
            })?,
        };
        let rename = TableRename {
            table_id: self.table.id,
            old_schema_id: self.database.id,
            new_schema_id,
            old_name: self.table.name.clone(),
            new_name: CiName::new(target.name.as_str()),
        };
        self.job(JobKind::RenameTables { renames: vec![rename] });
        Ok(())
    }

    fn options(&mut self, options: &[TableOption]) -> Result<(), DdlError> {
        let mut charset = None;
        let mut collation = None;
        for option in options {
            match option {
                TableOption::Comment(comment) => {
                    self.job(JobKind::AlterTableComment { comment: comment.clone() });
                }
                TableOption::AutoIncrement(next) => self.job(JobKind::RebaseAutoIncrement { next: *next }),
                TableOption::Charset(name) => charset = Some(name.as_str()),
                TableOption::Collate(name) => collation = Some(name.as_str()),
                TableOption::Engine(_)
                | TableOption::AutoIdCache(_)
                | TableOption::AutoRandomBase(_)
                | TableOption::ShardRowIdBits(_)
                | TableOption::PreSplitRegions(_)
                | TableOption::RowFormat(_)
                | TableOption::KeyBlockSize(_)
                | TableOption::PlacementPolicy(_)
                | TableOption::Other { .. } => {}
            }
        }
        if charset.is_some() || collation.is_some() {
            let collation = resolve_charset(charset, collation, self.table.default_collation())?;
            self.job(JobKind::AlterTableCharset {
                charset: collation.charset().name().to_owned(),
                collation: collation.name().to_owned(),
                convert_columns: false,
            });
        }
        Ok(())
    }
}

fn column_key(kind: IndexKind, name: &str) -> IndexDef {
    IndexDef {
        kind,
        name: None,
        if_not_exists: false,
        parts: vec![ast::IndexPart {
            key: ast::IndexPartKey::Column { name: name.into(), length: None },
            descending: false,
        }],
        options: ast::IndexOptions::default(),
    }
}

fn first_nullable(table: &TableInfo, definition: &IndexDef) -> Option<String> {
    definition.parts.iter().find_map(|part| match &part.key {
        ast::IndexPartKey::Column { name, .. } => table
            .public_column(name)
            .filter(|column| !column.field_type.is_not_null())
            .map(|column| column.name.to_string()),
        ast::IndexPartKey::Expr(_) => None,
    })
}

/// What rows written before the column came hold: its DEFAULT, or for NOT NULL the type's implicit one.
fn set_origin_default(ctx: &DefineContext<'_>, column: &mut ColumnInfo) {
    use tidewater_catalog::DefaultValue;
    match column.default() {
        DefaultValue::Literal(_) => {
            column.origin_default.clone_from(&column.default_value);
            column.origin_default_bytes.clone_from(&column.default_bytes);
        }
        DefaultValue::CurrentTimestamp => {
            let now =
                ctx.convert.time_zone.local_time(ctx.convert.now_micros).truncate(column.field_type.fsp());
            column.origin_default = Some(now.format(column.field_type.fsp()));
        }
        DefaultValue::Missing => {
            let zero = tidewater_table::implicit_default(&column.field_type);
            match zero {
                Datum::Bytes(_) if column.field_type.is_binary_string() => {
                    column.origin_default_bytes = Some(Vec::new());
                }
                zero => {
                    column.origin_default = Some(tidewater_table::datum_text(&zero, &column.field_type));
                }
            }
        }
        DefaultValue::Null | DefaultValue::Expression(_) | DefaultValue::AutoIncrement => {}
    }
}

/// Where a column at this position comes to stand.
pub(crate) fn position_offset(table: &TableInfo, position: &ColumnPosition) -> Option<usize> {
    match position {
        ColumnPosition::Unchanged => None,
        ColumnPosition::First => Some(0),
        ColumnPosition::After(name) => table.column(name.lower()).map(|column| column.offset + 1),
    }
}

fn unknown_column(name: &str, table: &TableInfo) -> DdlError {
    reject(ErrorCode::BadFieldError, format!("Unknown column '{name}' in '{}'", table.name))
}

fn no_such_key(name: &str, table: &TableInfo) -> DdlError {
    reject(ErrorCode::KeyDoesNotExist, format!("Key '{name}' doesn't exist in table '{}'", table.name))
}
