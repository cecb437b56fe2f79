//! INSERT, REPLACE, UPDATE, DELETE.
//!
//! The rows to change are an ordinary query over the tables; what is bound here besides is which of its columns make the
//! written tables' rows, and the expressions of new values. Expressions over *a row of the table* (generated columns,
//! ON DUPLICATE KEY UPDATE) get their positions right here: a column's index is its offset in the table.

use std::rc::Rc;
use std::sync::Arc;

use tidewater_catalog::{ColumnInfo, DefaultValue, TableInfo};
use tidewater_expr::{ColumnRef, Expr, hex_as_number};
use tidewater_parser::{ParserOptions, ast, parse_one};
use tidewater_types::{ConvertContext, Datum, ErrorCode, EvalType, FieldType, TypeCode};

use super::from::From;
use super::scope::column_text;
use super::{Binder, Bound, Env, Scope, ScopeColumn};
use crate::logical::Logical;
use crate::physical::{Assignment, SortItem, TableSource, WriteTable};
use crate::{PlanError, TableAccess};

/// A bound statement that writes.
pub(crate) struct BoundDml {
    pub(crate) kind: DmlKind,
    pub(crate) ignore: bool,
}

/// What it does.
pub(crate) enum DmlKind {
    Insert {
        table: WriteTable,
        columns: Vec<usize>,
        source: BoundSource,
        replace: bool,
        on_duplicate: Vec<Assignment>,
    },
    Update {
        plan: Logical,
        targets: Vec<WriteTarget>,
    },
    Delete {
        plan: Logical,
        targets: Vec<WriteTarget>,
    },
}

/// Where inserted rows come from.
pub(crate) enum BoundSource {
    Values(Vec<Vec<Option<Expr>>>),
    Query(Bound),
}

/// A written table and the columns of the query that are its row.
pub(crate) struct WriteTarget {
    pub(crate) table: WriteTable,
    /// By offset.
    pub(crate) columns: Vec<Option<u64>>,
    pub(crate) handle: Vec<u64>,
    /// Column offsets and values; over the query's columns.
    pub(crate) assignments: Vec<Assignment>,
    pub(crate) may_be_absent: bool,
}

/// A stored table of the FROM clause of a statement that writes.
#[derive(Clone)]
pub(super) struct SourceNote {
    pub(super) table: TableSource,
    pub(super) columns: Vec<Option<u64>>,
    pub(super) handle: Vec<u64>,
}

impl Binder<'_> {
    /// INSERT and REPLACE.
    pub(crate) fn bind_insert(&mut self, insert: &ast::Insert) -> Result<BoundDml, PlanError> {
        let source = self.written_table(&insert.table)?;
        let info = Arc::clone(&source.info);
        let (database, name) = (Arc::clone(&source.database), info.name.clone());
        self.note_table(&database, name.as_str(), TableAccess::Insert);
        if insert.replace {
            self.note_table(&database, name.as_str(), TableAccess::Delete);
        }
        if !insert.on_duplicate.is_empty() {
            self.note_table(&database, name.as_str(), TableAccess::Update);
        }
        let columns = self.insert_columns(insert, &info)?;
        let (source_rows, mut columns) = match &insert.source {
            ast::InsertSource::Values(rows) => (self.insert_rows(&source, &columns, rows, insert)?, columns),
            ast::InsertSource::Query(query) => {
                let bound = self.bind_query(query)?;
                if bound.columns.len() != columns.len() {
                    return Err(PlanError::ValueCount { row: 1 });
                }
                (BoundSource::Query(bound), columns)
            }
        };
        if matches!(&source_rows, BoundSource::Values(rows) if rows.iter().all(Vec::is_empty)) {
            columns.clear();
        }
        let selected = match &source_rows {
            BoundSource::Query(bound) => bound.columns.as_slice(),
            BoundSource::Values(_) => &[],
        };
        let on_duplicate = self.on_duplicate(&source, insert, selected)?;
        let table = self.write_table(source)?;
        Ok(BoundDml {
            kind: DmlKind::Insert {
                table,
                columns,
                source: source_rows,
                replace: insert.replace,
                on_duplicate,
            },
            ignore: insert.ignore,
        })
    }

    /// UPDATE.
    pub(crate) fn bind_update(&mut self, update: &ast::Update) -> Result<BoundDml, PlanError> {
        let in_sight = self.common_table_count();
        if let Some(with) = &update.with {
            self.push_common_tables(with)?;
        }
        let (mut env, notes) = self.bind_written_from(&update.tables)?;
        if let Some(condition) = &update.selection {
            self.bind_filter(&mut env, condition)?;
        }
        env.clause = "field list";
        let mut targets: Vec<WriteTarget> = Vec::new();
        for assignment in &update.assignments {
            let found = env.scope.resolve(&assignment.column, env.clause)?.cloned().ok_or_else(|| {
                PlanError::UnknownColumn { column: column_text(&assignment.column), clause: "field list" }
            })?;
            let id = found.column.unique_id;
            let note = notes.iter().find(|note| note.columns.contains(&Some(id))).ok_or_else(|| {
                PlanError::NotUpdatable {
                    table: found.table.to_string(),
                    statement: "UPDATE",
                    statement_able: "updatable",
                }
            })?;
            let offset = note.columns.iter().position(|column| *column == Some(id)).expect("just found");
            let info = Arc::clone(&note.table.info);
            let column = &info.columns[offset];
            if column.is_generated() && !matches!(assignment.value, ast::Expr::Default(None)) {
                return Err(generated(&info, column));
            }
            let value = match &assignment.value {
                ast::Expr::Default(None) if column.is_generated() => continue,
                ast::Expr::Default(None) => None,
                value => Some(stored(self.bind_expr(&mut env, value)?, column)),
            };
            let position = match targets.iter().position(|target| target.columns == note.columns) {
                Some(position) => position,
                None => {
                    let note = note.clone();
                    targets.push(self.write_target(&note, &env.plan)?);
                    targets.len() - 1
                }
            };
            targets[position].assignments.push(Assignment { column: offset, value });
        }
        for target in &targets {
            let source = target.table.source.clone();
            self.note_table(&source.database, source.info.name.as_str(), TableAccess::Update);
        }
        let plan = self.order_and_limit(env, &update.order_by, update.limit.as_ref())?;
        self.truncate_common_tables(in_sight);
        Ok(BoundDml { kind: DmlKind::Update { plan, targets }, ignore: update.ignore })
    }

    /// DELETE.
    pub(crate) fn bind_delete(&mut self, delete: &ast::Delete) -> Result<BoundDml, PlanError> {
        let in_sight = self.common_table_count();
        if let Some(with) = &delete.with {
            self.push_common_tables(with)?;
        }
        let (mut env, notes) = self.bind_written_from(&delete.from)?;
        let mut wanted: Vec<SourceNote> = Vec::new();
        if delete.targets.is_empty() {
            wanted.extend(notes.iter().take(1).cloned());
        }
        for name in &delete.targets {
            let note = notes.iter().find(|note| {
                let database =
                    name.schema.as_ref().is_none_or(|schema| schema.eq_ignore_case(&note.table.database));
                database && name.name.eq_ignore_case(&note.table.alias)
            });
            let note = note.ok_or_else(|| PlanError::UnknownTableIn {
                table: name.name.0.clone(),
                place: "MULTI DELETE",
            })?;
            wanted.push(note.clone());
        }
        if wanted.is_empty() {
            let table = env.scope.columns.first().map_or(String::new(), |column| column.table.to_string());
            return Err(PlanError::NotUpdatable { table, statement: "DELETE", statement_able: "updatable" });
        }
        if let Some(condition) = &delete.selection {
            self.bind_filter(&mut env, condition)?;
        }
        let mut targets = Vec::new();
        for note in &wanted {
            let mut target = self.write_target(note, &env.plan)?;
            // Only the columns of keys are needed to remove a row's entries.
            let info = &note.table.info;
            for (offset, column) in target.columns.iter_mut().enumerate() {
                let in_index =
                    info.indices.iter().any(|index| index.columns.iter().any(|part| part.offset == offset));
                if !in_index {
                    *column = None;
                }
            }
            self.note_table(&note.table.database, info.name.as_str(), TableAccess::Delete);
            targets.push(target);
        }
        let plan = self.order_and_limit(env, &delete.order_by, delete.limit.as_ref())?;
        self.truncate_common_tables(in_sight);
        Ok(BoundDml { kind: DmlKind::Delete { plan, targets }, ignore: delete.ignore })
    }

    fn bind_written_from(
        &mut self,
        tables: &[ast::TableRef],
    ) -> Result<(Env<'static>, Vec<SourceNote>), PlanError> {
        self.writing = true;
        let before = self.sources.len();
        let from = self.bind_from(tables);
        self.writing = false;
        let From { plan, scope } = from?;
        let notes = self.sources.split_off(before);
        Ok((Env { scope: Rc::new(scope), plan, ..Env::empty("where clause") }, notes))
    }

    fn order_and_limit(
        &mut self,
        mut env: Env<'_>,
        order_by: &[ast::OrderItem],
        limit: Option<&ast::Expr>,
    ) -> Result<Logical, PlanError> {
        env.clause = "order clause";
        let mut by = Vec::new();
        for item in order_by {
            let expr = self.bind_expr(&mut env, &item.expr)?;
            by.push(SortItem { expr, desc: item.descending });
        }
        let mut plan = env.plan;
        if !by.is_empty() {
            plan = Logical::Sort { child: Box::new(plan), by };
        }
        if let Some(limit) = limit {
            let count = self.limit_number(limit)?;
            plan = Logical::Limit { child: Box::new(plan), offset: 0, count };
        }
        Ok(plan)
    }

    fn write_target(&mut self, note: &SourceNote, plan: &Logical) -> Result<WriteTarget, PlanError> {
        let may_be_absent = is_padded(plan, note.handle.first().copied().unwrap_or_default());
        Ok(WriteTarget {
            table: self.write_table(note.table.clone())?,
            columns: note.columns.clone(),
            handle: note.handle.clone(),
            assignments: Vec::new(),
            may_be_absent,
        })
    }

    /// The table an INSERT names.
    fn written_table(&mut self, name: &ast::ObjectName) -> Result<TableSource, PlanError> {
        let database = self.database_of(name)?;
        let info = self.cx.info_schema.database(&database);
        let database: Arc<str> =
            info.ok_or_else(|| PlanError::UnknownDatabase(database.clone()))?.name.as_str().into();
        let info = self.cx.info_schema.table(&database, &name.name).cloned();
        let info = info.ok_or_else(|| PlanError::NoSuchTable {
            database: database.to_string(),
            table: name.name.0.clone(),
        })?;
        if info.is_view() || info.is_virtual() {
            return Err(PlanError::NotUpdatable {
                table: info.name.to_string(),
                statement: "INSERT",
                statement_able: "insertable-into",
            });
        }
        Ok(TableSource { database, alias: info.name.as_str().into(), info })
    }

    /// The offsets of the columns an INSERT gives values for.
    fn insert_columns(&mut self, insert: &ast::Insert, info: &TableInfo) -> Result<Vec<usize>, PlanError> {
        let Some(names) = &insert.columns else {
            let has_generated_values = matches!(insert.source, ast::InsertSource::Query(_));
            let all = info.public_columns();
            return Ok(all
                .filter(|column| !(has_generated_values && column.is_generated()))
                .map(|column| column.offset)
                .collect());
        };
        let mut columns = Vec::new();
        for name in names {
            let column = info.public_column(&name.name).ok_or_else(|| PlanError::UnknownColumn {
                column: column_text(name),
                clause: "field list",
            })?;
            if columns.contains(&column.offset) {
                return Err(PlanError::ColumnTwice(name.name.0.clone()));
            }
            columns.push(column.offset);
        }
        Ok(columns)
    }

    fn insert_rows(
        &mut self,
        source: &TableSource,
        columns: &[usize],
        rows: &[Vec<ast::Expr>],
        insert: &ast::Insert,
    ) -> Result<BoundSource, PlanError> {
        let info = Arc::clone(&source.info);
        let scope = Rc::new(self.row_scope(source, 0));
        let mut env = Env { scope, ..Env::empty("field list") };
        let mut bound = Vec::with_capacity(rows.len());
        for (number, row) in rows.iter().enumerate() {
            let all_defaults = row.is_empty() && insert.columns.as_ref().is_none_or(Vec::is_empty);
            if row.len() != columns.len() && !all_defaults {
                return Err(PlanError::ValueCount { row: number + 1 });
            }
            let mut values = Vec::with_capacity(row.len());
            for (value, offset) in row.iter().zip(columns) {
                let column = &info.columns[*offset];
                if column.is_generated() && !matches!(value, ast::Expr::Default(None)) {
                    self.refuse_generated_value(&info, column)?;
                    values.push(None);
                    continue;
                }
                values.push(match value {
                    ast::Expr::Default(None) => None,
                    ast::Expr::Literal(literal) => Some(stored(self.bind_literal(literal)?, column)),
                    value => Some(self.bind_expr(&mut env, value)?.fold(self.cx.eval)),
                });
            }
            bound.push(values);
        }
        if matches!(env.plan, Logical::Dual { .. }) {
            return Ok(BoundSource::Values(bound));
        }
        self.rows_with_subqueries(&info, columns, rows)
    }

    /// Rows whose values are subqueries are a query: each row a projection of one row.
    fn rows_with_subqueries(
        &mut self,
        info: &TableInfo,
        columns: &[usize],
        rows: &[Vec<ast::Expr>],
    ) -> Result<BoundSource, PlanError> {
        let mut operands = Vec::new();
        for row in rows {
            let mut env = Env::empty("field list");
            let (mut exprs, mut outputs) = (Vec::new(), Vec::new());
            for (value, offset) in row.iter().zip(columns) {
                let expr = match value {
                    ast::Expr::Default(None) => self.default_value(info, &info.columns[*offset])?,
                    ast::Expr::Default(Some(name)) => self.named_default(info, name)?,
                    value => self.bind_expr(&mut env, value)?,
                };
                outputs.push(ScopeColumn::computed(self.computed_column(expr.field_type()), ""));
                exprs.push(expr);
            }
            let schema = outputs.iter().map(|column| column.column.clone()).collect();
            let plan = Logical::Projection { child: Box::new(env.plan), exprs, schema };
            operands.push(Bound { plan, columns: outputs });
        }
        Ok(BoundSource::Query(self.union_all(operands)?))
    }

    /// `DEFAULT(column)` where no row of the table is in sight.
    fn named_default(&mut self, info: &TableInfo, name: &ast::ColumnName) -> Result<Expr, PlanError> {
        let column = info
            .public_column(&name.name)
            .ok_or_else(|| PlanError::UnknownColumn { column: column_text(name), clause: "field list" })?;
        self.default_value(info, column)
    }

    fn on_duplicate(
        &mut self,
        source: &TableSource,
        insert: &ast::Insert,
        selected: &[ScopeColumn],
    ) -> Result<Vec<Assignment>, PlanError> {
        if insert.on_duplicate.is_empty() {
            return Ok(Vec::new());
        }
        let info = Arc::clone(&source.info);
        let old = self.row_scope(source, 0);
        let mut new = self.row_scope(source, info.columns.len());
        let mut scope = old;
        let (alias, names) = match &insert.row_alias {
            Some(alias) => (Some(alias.name.as_str()), alias.columns.as_slice()),
            None => (None, [].as_slice()),
        };
        if let Some(alias) = alias {
            let targets = self.insert_columns(insert, &info)?;
            for column in &mut new.columns {
                column.table = alias.into();
                column.db = Arc::from("");
                let offset = column.column.index - info.columns.len();
                if let Some(name) = targets
                    .iter()
                    .position(|target| *target == offset)
                    .and_then(|position| names.get(position))
                {
                    column.name = name.as_str().into();
                }
            }
            scope.columns.extend(new.columns.iter().cloned());
        }
        // The query's columns that come from tables are in sight, too, behind the old row and the new one.
        for (position, column) in selected.iter().enumerate().filter(|(_, column)| !column.table.is_empty()) {
            let mut column = column.clone();
            column.column.unique_id = self.new_column("", column.column.field_type.clone()).unique_id;
            column.column.index = 2 * info.columns.len() + position;
            scope.columns.push(column);
        }
        let mut env = Env { scope: Rc::new(scope), new_row: Some(&new), ..Env::empty("field list") };
        let mut assignments = Vec::new();
        for assignment in &insert.on_duplicate {
            let column = info.public_column(&assignment.column.name).ok_or_else(|| {
                PlanError::UnknownColumn { column: column_text(&assignment.column), clause: "field list" }
            })?;
            if column.is_generated() {
                return Err(generated(&info, column));
            }
            let value = match &assignment.value {
                ast::Expr::Default(None) => None,
                value => Some(stored(self.bind_expr(&mut env, value)?.fold(self.cx.eval), column)),
            };
            assignments.push(Assignment { column: column.offset, value });
        }
        if !matches!(env.plan, Logical::Dual { .. }) {
            return Err(PlanError::Unsupported("subqueries in ON DUPLICATE KEY UPDATE".to_owned()));
        }
        Ok(assignments)
    }

    /// The columns of a row of the table; a column's index is `base` plus its offset.
    pub(super) fn row_scope(&mut self, source: &TableSource, base: usize) -> Scope {
        let info = Arc::clone(&source.info);
        let columns = info
            .columns
            .iter()
            .filter(|column| column.state.is_public())
            .map(|column| {
                let name = format!("{}.{}.{}", source.database, info.name, column.name).to_lowercase();
                let mut column_ref = self.new_column(name, column.field_type.clone());
                column_ref.index = base + column.offset;
                ScopeColumn {
                    column: column_ref,
                    name: column.name.as_str().into(),
                    table: Arc::clone(&source.alias),
                    db: Arc::clone(&source.database),
                    org_name: column.name.as_str().into(),
                    org_table: info.name.as_str().into(),
                    coalesced: false,
                    hidden: false,
                }
            })
            .collect();
        Scope { columns }
    }

    /// A value for a generated column is an error, or in a lax SQL mode passed over with a warning, as MariaDB does:
    /// `mariadb-dump` writes such values and sets such a mode.
    fn refuse_generated_value(&self, info: &TableInfo, column: &ColumnInfo) -> Result<(), PlanError> {
        let error = generated(info, column);
        if self.cx.eval.sql_mode.is_strict() {
            return Err(error);
        }
        self.cx.eval.warn(ErrorCode::NonDefaultValueForGeneratedColumn.number(), error.to_string());
        Ok(())
    }

    fn write_table(&mut self, source: TableSource) -> Result<WriteTable, PlanError> {
        let info = Arc::clone(&source.info);
        let (mut generated, mut default_exprs) = (Vec::new(), Vec::new());
        if info.columns.iter().any(|column| column.is_generated() || column.default_is_expr) {
            let scope = Rc::new(self.row_scope(&source, 0));
            for column in info.columns.iter().filter(|column| column.state.is_writable()) {
                if column.is_generated() {
                    let expr = self.bind_text(&scope, &column.generated_expr)?;
                    generated.push(Assignment { column: column.offset, value: Some(expr) });
                } else if let DefaultValue::Expression(text) = column.default() {
                    let expr = self.bind_text(&scope, text)?;
                    default_exprs.push(Assignment { column: column.offset, value: Some(expr) });
                }
            }
        }
        let mut checks = Vec::new();
        let enforced: Vec<_> = info.checks.iter().filter(|check| check.is_enforced()).collect();
        if !enforced.is_empty() {
            let scope = Rc::new(self.row_scope(&source, 0));
            for check in enforced {
                checks.push((check.name.as_str().into(), self.bind_text(&scope, &check.expr)?));
            }
        }
        Ok(WriteTable { source, generated, default_exprs, checks })
    }

    /// An expression that the catalog keeps as text.
    pub(super) fn bind_text(&mut self, scope: &Rc<Scope>, text: &str) -> Result<Expr, PlanError> {
        let damaged = || PlanError::Unsupported(format!("the stored expression {text}"));
        let parsed =
            parse_one(&format!("SELECT {text}"), &ParserOptions::default()).map_err(|_| damaged())?;
        let ast::Statement::Query(query) = &parsed.statement else {
            return Err(damaged());
        };
        let Some(ast::SelectItem::Expr { expr, .. }) =
            query.as_select().and_then(|select| select.items.first())
        else {
            return Err(damaged());
        };
        let mut env = Env { scope: Rc::clone(scope), ..Env::empty("field list") };
        self.bind_expr(&mut env, expr)
    }

    /// A column's default as an expression.
    pub(super) fn default_value(
        &mut self,
        table: &TableInfo,
        column: &ColumnInfo,
    ) -> Result<Expr, PlanError> {
        let field_type = column.field_type.clone();
        let null = |field_type: FieldType| Expr::Literal { value: Datum::Null, field_type };
        match column.default() {
            DefaultValue::Missing => Err(PlanError::NoDefault(column.name.to_string())),
            DefaultValue::Null | DefaultValue::AutoIncrement => Ok(null(field_type)),
            DefaultValue::CurrentTimestamp => {
                self.cacheable = false;
                let digits = Expr::int(i64::from(field_type.fsp()));
                self.call("now", vec![digits])
            }
            DefaultValue::Literal(text) => {
                let context = ConvertContext {
                    sql_mode: self.cx.eval.sql_mode,
                    strict: false,
                    time_zone: self.cx.eval.time_zone.clone(),
                    now_micros: self.cx.eval.now_micros,
                    warnings: Default::default(),
                    column: column.name.as_str().into(),
                    row: 1,
                };
                let value = column.literal_datum(text.to_vec(), &context).unwrap_or(Datum::Null);
                Ok(Expr::Literal { value, field_type })
            }
            DefaultValue::Expression(text) => {
                let source = TableSource {
                    database: Arc::from(""),
                    alias: table.name.as_str().into(),
                    info: Arc::new(table.clone()),
                };
                let scope = Rc::new(self.row_scope(&source, 0));
                self.bind_text(&scope, text)
            }
        }
    }
}

/// A value on its way into a column: a hexadecimal literal is a number to columns of numbers.
fn stored(value: Expr, column: &ColumnInfo) -> Expr {
    let field_type = &column.field_type;
    let is_number = !matches!(field_type.code, TypeCode::Enum | TypeCode::Set | TypeCode::Bit)
        && matches!(field_type.eval_type(), EvalType::Int | EvalType::Real | EvalType::Decimal);
    if is_number { hex_as_number(value) } else { value }
}

fn generated(info: &TableInfo, column: &ColumnInfo) -> PlanError {
    PlanError::GeneratedColumnValue { column: column.name.to_string(), table: info.name.to_string() }
}

/// Whether a column may be NULL because an outer join padded its row.
fn is_padded(plan: &Logical, id: u64) -> bool {
    use crate::physical::JoinKind;
    if let Logical::Join(join) = plan {
        let right = join.right.column_ids().contains(&id);
        let (side, padded) = if right {
            (&join.right, join.kind == JoinKind::LeftOuter)
        } else {
            (&join.left, join.kind == JoinKind::RightOuter)
        };
        return padded || is_padded(side, id);
    }
    plan.children().first().is_some_and(|child| is_padded(child, id))
}

/// The column ids of a stored table, by offset.
pub(super) fn source_note(
    table: &TableSource,
    columns: &[(crate::physical::ScanColumn, ColumnRef)],
    computed: &[(usize, u64)],
) -> SourceNote {
    use crate::physical::ScanColumn;
    let mut by_offset = vec![None; table.info.columns.len()];
    for (scan, column) in columns {
        if let ScanColumn::Column(offset) = scan {
            by_offset[*offset] = Some(column.unique_id);
        }
    }
    for (offset, id) in computed {
        by_offset[*offset] = Some(*id);
    }
    let handle = crate::logical::handle_scan_columns(table)
        .iter()
        .filter_map(|wanted| {
            columns.iter().find(|(scan, _)| scan == wanted).map(|(_, column)| column.unique_id)
        })
        .collect();
    SourceNote { table: table.clone(), columns: by_offset, handle }
}
