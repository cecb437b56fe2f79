//! FROM: tables, views, derived tables, common table expressions, joins.

use std::rc::Rc;
use std::sync::Arc;

use tidewater_catalog::{ROW_ID_NAME, SchemaState, TableInfo};
use tidewater_expr::{ColumnRef, Expr};
use tidewater_parser::{ParserOptions, ast, parse_one};
use tidewater_types::FieldType;

use super::dml::source_note;
use super::{Binder, CommonTable, Env, Scope, ScopeColumn};
use crate::logical::{AccessHints, DataSource, Join, Logical};
use crate::physical::{JoinKind, ScanColumn, TableSource};
use crate::{PlanError, TableAccess};

/// A bound FROM clause.
pub(super) struct From {
    pub(super) plan: Logical,
    pub(super) scope: Scope,
}

impl Binder<'_> {
    /// The whole clause: its members are joined without conditions.
    pub(super) fn bind_from(&mut self, from: &[ast::TableRef]) -> Result<From, PlanError> {
        let mut all: Option<From> = None;
        for table in from {
            let next = self.bind_table_ref(table)?;
            all = Some(match all {
                None => next,
                Some(left) => self.join(left, next, JoinKind::Inner, Vec::new(), false)?,
            });
        }
        Ok(all
            .unwrap_or(From { plan: Logical::Dual { rows: 1, schema: Vec::new() }, scope: Scope::default() }))
    }

    fn bind_table_ref(&mut self, table: &ast::TableRef) -> Result<From, PlanError> {
        match table {
            ast::TableRef::Table(factor) => self.bind_table_factor(factor),
            ast::TableRef::Derived(derived) => {
                if derived.lateral {
                    return Err(PlanError::Unsupported("LATERAL".to_owned()));
                }
                // A derived table does not see the tables beside it, but does see outer query blocks.
                let bound = self.deeper(|binder| binder.bind_query(&derived.query))?;
                name_derived(bound.plan, bound.columns, &derived.alias, &derived.columns)
            }
            ast::TableRef::Join(join) => self.bind_join(join),
        }
    }

    fn bind_table_factor(&mut self, factor: &ast::TableFactor) -> Result<From, PlanError> {
        if factor.as_of.is_some() {
            return Err(PlanError::Unsupported("AS OF TIMESTAMP".to_owned()));
        }
        if factor.name.schema.is_none()
            && let Some(position) =
                self.common_tables.iter().rposition(|common| factor.name.name.eq_ignore_case(&common.name))
        {
            return self.bind_common_table(position, factor.alias.as_ref().unwrap_or(&factor.name.name));
        }
        let database = self.database_of(&factor.name)?;
        let database_info = self
            .cx
            .info_schema
            .database(&database)
            .ok_or_else(|| PlanError::UnknownDatabase(database.clone()))?;
        let database: Arc<str> = database_info.name.as_str().into();
        let Some(info) = self.cx.info_schema.table(&database, &factor.name.name) else {
            return Err(PlanError::NoSuchTable {
                database: database.to_string(),
                table: factor.name.name.0.clone(),
            });
        };
        let info = Arc::clone(info);
        self.note_table(&database, info.name.as_str(), TableAccess::Select);
        if info.is_view() {
            return self.bind_view(&database, &info, factor);
        }
        let alias: Arc<str> = factor.alias.as_ref().map_or(info.name.as_str(), |alias| alias.as_str()).into();
        let hints = access_hints(&info, &factor.index_hints)?;
        self.data_source(TableSource { database, alias, info }, hints)
    }

    /// The database a table's name is looked up in.
    pub(super) fn database_of(&self, name: &ast::ObjectName) -> Result<String, PlanError> {
        match (&name.schema, self.cx.current_db) {
            (Some(schema), _) => Ok(schema.0.clone()),
            (None, Some(current)) if !current.is_empty() => Ok(current.to_owned()),
            (None, _) => Err(PlanError::NoDatabaseSelected),
        }
    }

    /// A table with fresh column ids. Virtual generated columns are computed above the scan.
    pub(super) fn data_source(&mut self, table: TableSource, hints: AccessHints) -> Result<From, PlanError> {
        let info = Arc::clone(&table.info);
        let mut columns = Vec::new();
        let mut computed = Vec::new();
        let mut scope = Scope::default();
        for column in &info.columns {
            let public = column.state == SchemaState::Public && !column.hidden;
            let is_written = self.writing && column.state.is_writable();
            if !public && !is_written {
                continue;
            }
            let name = format!("{}.{}.{}", table.database, info.name, column.name).to_lowercase();
            let column_ref = self.new_column(name, column.field_type.clone());
            if column.is_virtual_generated() {
                computed.push((column, column_ref.clone()));
            } else {
                columns.push((ScanColumn::Column(column.offset), column_ref.clone()));
            }
            if public {
                let name: Arc<str> = column.name.as_str().into();
                scope.columns.push(scope_column(&table, column_ref, name, false));
            }
        }
        if !info.is_clustered() && !info.is_virtual() {
            let name = format!("{}.{}.{ROW_ID_NAME}", table.database, info.name).to_lowercase();
            let column = self.new_column(name, FieldType::int().not_null());
            columns.push((ScanColumn::RowId, column.clone()));
            scope.columns.push(scope_column(&table, column, ROW_ID_NAME.into(), true));
        }
        if self.writing && !info.is_virtual() {
            let computed: Vec<_> =
                computed.iter().map(|(column, column_ref)| (column.offset, column_ref.unique_id)).collect();
            self.sources.push(source_note(&table, &columns, &computed));
        }
        let source = DataSource {
            all_columns: columns.clone().into(),
            columns,
            conditions: Vec::new(),
            hints,
            dirty: !info.is_virtual() && (self.cx.dirty_tables)(info.id),
            stats: if info.is_virtual() {
                Arc::new(tidewater_stats::TableStats::pseudo())
            } else {
                self.cx.stats.table_stats(info.id)
            },
            lock: None,
            table,
        };
        let mut schema: Vec<_> = source.columns.iter().map(|(_, column)| column.clone()).collect();
        let mut plan = Logical::DataSource(Box::new(source));
        if !computed.is_empty() {
            let shared = Rc::new(scope.clone());
            let mut exprs: Vec<Expr> = schema.iter().cloned().map(Expr::Column).collect();
            for (column, column_ref) in computed {
                let mut expr = self.bind_text(&shared, &column.generated_expr)?;
                // A generated column may be computed from one before it.
                let before: std::collections::BTreeMap<u64, Expr> = schema
                    .iter()
                    .zip(&exprs)
                    .map(|(column, expr)| (column.unique_id, expr.clone()))
                    .collect();
                crate::expr_tools::substitute(&mut expr, &before);
                exprs.push(tidewater_expr::build_cast(expr, column.field_type.clone()));
                schema.push(column_ref);
            }
            plan = Logical::Projection { child: Box::new(plan), exprs, schema };
        }
        Ok(From { plan, scope })
    }

    /// A view is the query it stands for. It is bound without the surroundings of the reference.
    fn bind_view(
        &mut self,
        database: &Arc<str>,
        info: &Arc<TableInfo>,
        factor: &ast::TableFactor,
    ) -> Result<From, PlanError> {
        let view = info.view.as_ref().expect("the caller checked");
        let invalid =
            || PlanError::InvalidView { database: database.to_string(), view: info.name.to_string() };
        let parsed = parse_one(&view.select, &ParserOptions::default()).map_err(|_| invalid())?;
        let ast::Statement::Query(query) = parsed.statement else {
            return Err(invalid());
        };
        let outer = std::mem::take(&mut self.outer);
        let common_tables = std::mem::take(&mut self.common_tables);
        let bound = self.deeper(|binder| binder.bind_query(&query));
        self.outer = outer;
        self.common_tables = common_tables;
        let bound = match bound {
            Err(
                PlanError::UnknownColumn { .. }
                | PlanError::NoSuchTable { .. }
                | PlanError::UnknownDatabase(_),
            ) => return Err(invalid()),
            other => other?,
        };
        let names: Vec<ast::Ident> = view.columns.iter().map(|name| name.as_str().into()).collect();
        if names.len() != bound.columns.len() {
            return Err(invalid());
        }
        let alias = factor.alias.clone().unwrap_or_else(|| info.name.as_str().into());
        let mut from = name_derived(bound.plan, bound.columns, &alias, &names)?;
        for column in &mut from.scope.columns {
            column.db = Arc::clone(database);
            column.org_table = info.name.as_str().into();
        }
        Ok(from)
    }

    fn bind_common_table(&mut self, position: usize, alias: &ast::Ident) -> Result<From, PlanError> {
        let common = self.common_tables[position].clone();
        if common.recursive && mentions_table(&common.definition.query, &common.name) {
            return Err(PlanError::Unsupported("recursive common table expressions".to_owned()));
        }
        // It sees the tables before it only; those in sight of the reference come back afterwards.
        let in_sight = self.common_tables.clone();
        self.common_tables.truncate(common.visible);
        let bound = self.deeper(|binder| binder.bind_query(&common.definition.query));
        self.common_tables = in_sight;
        let bound = bound?;
        name_derived(bound.plan, bound.columns, alias, &common.definition.columns)
    }

    /// Puts the tables of a WITH clause in sight. The caller removes them again.
    pub(super) fn push_common_tables(&mut self, with: &ast::With) -> Result<(), PlanError> {
        for table in &with.tables {
            let visible = self.common_tables.len();
            self.common_tables.push(CommonTable {
                name: table.name.0.clone(),
                definition: Rc::new(table.clone()),
                recursive: with.recursive,
                visible,
            });
        }
        Ok(())
    }

    /// How many common tables are in sight.
    pub(super) fn common_table_count(&self) -> usize {
        self.common_tables.len()
    }

    /// Takes those beyond the first `count` out of sight.
    pub(super) fn truncate_common_tables(&mut self, count: usize) {
        self.common_tables.truncate(count);
    }

    fn bind_join(&mut self, join: &ast::Join) -> Result<From, PlanError> {
        let left = self.bind_table_ref(&join.left)?;
        let right = self.bind_table_ref(&join.right)?;
        let kind = match join.kind {
            ast::JoinKind::Inner | ast::JoinKind::Straight => JoinKind::Inner,
            ast::JoinKind::Left => JoinKind::LeftOuter,
            ast::JoinKind::Right => JoinKind::RightOuter,
        };
        let straight = join.kind == ast::JoinKind::Straight;
        let mut common: Vec<ast::Ident> = Vec::new();
        match &join.constraint {
            Some(ast::JoinConstraint::Using(names)) => common.extend(names.iter().cloned()),
            _ if join.natural => {
                let (first, second) =
                    if kind == JoinKind::RightOuter { (&right, &left) } else { (&left, &right) };
                for column in first.scope.star() {
                    let name = ast::Ident::new(&*column.name);
                    if second.scope.star().any(|other| name.eq_ignore_case(&other.name)) {
                        common.push(name);
                    }
                }
            }
            _ => {}
        }
        if !common.is_empty() {
            return self.join_using(left, right, kind, &common, straight);
        }
        let joined = self.join(left, right, kind, Vec::new(), straight)?;
        let Some(ast::JoinConstraint::On(condition)) = &join.constraint else {
            return Ok(joined);
        };
        self.join_on(joined, condition)
    }

    /// Binds ON over the joined scope and puts the conditions into the join.
    fn join_on(&mut self, joined: From, condition: &ast::Expr) -> Result<From, PlanError> {
        let mut scope = joined.scope;
        // In ON the inner side's columns are those of a match, not yet NULL-padded; treating them as nullable is safe.
        let mut env = Env { scope: Rc::new(std::mem::take(&mut scope)), ..Env::empty("on clause") };
        let bound = self.bind_expr(&mut env, condition)?;
        let mut conditions = Vec::new();
        crate::expr_tools::split_and(bound, &mut conditions);
        let subqueries = env.plan;
        scope = Rc::unwrap_or_clone(env.scope);
        let Logical::Join(mut join) = joined.plan else {
            return Err(PlanError::Unsupported("ON without a join".to_owned()));
        };
        if !matches!(subqueries, Logical::Dual { .. }) {
            // A subquery in ON joined itself to a row of nothing. For an inner join ON is WHERE: bind it there.
            if join.kind != JoinKind::Inner {
                return Err(PlanError::Unsupported("subqueries in ON of an outer join".to_owned()));
            }
            let mut env = Env { scope: Rc::new(scope), plan: Logical::Join(join), ..Env::empty("on clause") };
            self.bind_filter(&mut env, condition)?;
            return Ok(From { plan: env.plan, scope: Rc::unwrap_or_clone(env.scope) });
        }
        join.conditions.extend(conditions);
        Ok(From { plan: Logical::Join(join), scope })
    }

    fn join_using(
        &mut self,
        mut left: From,
        mut right: From,
        kind: JoinKind,
        names: &[ast::Ident],
        straight: bool,
    ) -> Result<From, PlanError> {
        let mut conditions = Vec::new();
        let mut shared = Vec::new();
        for name in names {
            let wanted = ast::ColumnName { schema: None, table: None, name: name.clone() };
            let unknown = || PlanError::UnknownColumn { column: name.0.clone(), clause: "from clause" };
            let l = left.scope.resolve(&wanted, "from clause")?.ok_or_else(unknown)?.column.clone();
            let r = right.scope.resolve(&wanted, "from clause")?.ok_or_else(unknown)?.column.clone();
            conditions.push(self.call("eq", vec![Expr::Column(l.clone()), Expr::Column(r.clone())])?);
            shared.push((l.unique_id, r.unique_id));
        }
        // The common columns come first, from the side that is never NULL-padded, then that side's others: `a RIGHT JOIN b`
        // is `b LEFT JOIN a`.
        let from_right = kind == JoinKind::RightOuter;
        for column in &mut left.scope.columns {
            let is_shared = shared.iter().any(|(l, _)| *l == column.column.unique_id);
            column.coalesced |= is_shared && from_right;
        }
        for column in &mut right.scope.columns {
            let is_shared = shared.iter().any(|(_, r)| *r == column.column.unique_id);
            column.coalesced |= is_shared && !from_right;
        }
        let padded: Vec<u64> = left.scope.columns.iter().map(|column| column.column.unique_id).collect();
        let mut joined = self.join(left, right, kind, conditions, straight)?;
        let order = |column: &ScopeColumn| {
            let id = column.column.unique_id;
            let is_shared = shared.iter().any(|(l, r)| if from_right { *r == id } else { *l == id });
            (!is_shared, from_right && padded.contains(&id))
        };
        joined.scope.columns.sort_by_key(order);
        Ok(joined)
    }

    fn join(
        &mut self,
        mut left: From,
        mut right: From,
        kind: JoinKind,
        conditions: Vec<Expr>,
        straight: bool,
    ) -> Result<From, PlanError> {
        check_unique_tables(&left.scope, &right.scope)?;
        match kind {
            JoinKind::LeftOuter => right.scope.make_nullable(),
            JoinKind::RightOuter => left.scope.make_nullable(),
            _ => {}
        }
        left.scope.columns.append(&mut right.scope.columns);
        let plan = Logical::Join(Box::new(Join {
            kind,
            left: left.plan,
            right: right.plan,
            conditions,
            null_aware: Vec::new(),
            mark: None,
            apply: false,
            straight,
        }));
        Ok(From { plan, scope: left.scope })
    }
}

fn scope_column(table: &TableSource, column: ColumnRef, name: Arc<str>, hidden: bool) -> ScopeColumn {
    ScopeColumn {
        column,
        name: Arc::clone(&name),
        table: Arc::clone(&table.alias),
        db: Arc::clone(&table.database),
        org_name: name,
        org_table: table.info.name.as_str().into(),
        coalesced: false,
        hidden,
    }
}

/// The same name twice in one FROM clause would make every qualified name ambiguous.
fn check_unique_tables(left: &Scope, right: &Scope) -> Result<(), PlanError> {
    let mut last: Option<(&str, &str)> = None;
    for column in &right.columns {
        let table = (&*column.db, &*column.table);
        if last == Some(table) || column.table.is_empty() {
            continue;
        }
        last = Some(table);
        let twice = left.columns.iter().any(|other| {
            other.table.eq_ignore_ascii_case(&column.table) && other.db.eq_ignore_ascii_case(&column.db)
        });
        if twice {
            return Err(PlanError::NotUniqueTable(column.table.to_string()));
        }
    }
    Ok(())
}

/// The columns of a query under a table's name.
fn name_derived(
    plan: Logical,
    columns: Vec<ScopeColumn>,
    alias: &ast::Ident,
    names: &[ast::Ident],
) -> Result<From, PlanError> {
    if !names.is_empty() && names.len() != columns.len() {
        return Err(PlanError::ColumnNameCount);
    }
    let mut scope = Scope::default();
    for (position, mut column) in columns.into_iter().enumerate() {
        if let Some(name) = names.get(position) {
            column.name = name.as_str().into();
        }
        let twice = scope
            .columns
            .iter()
            .any(|other: &ScopeColumn| other.name.to_lowercase() == column.name.to_lowercase());
        if twice {
            return Err(PlanError::DuplicateColumn(column.name.to_string()));
        }
        column.table = alias.as_str().into();
        column.db = Arc::from("");
        column.org_table = alias.as_str().into();
        if column.org_name.is_empty() {
            column.org_name = Arc::clone(&column.name);
        }
        column.coalesced = false;
        column.hidden = false;
        scope.columns.push(column);
    }
    Ok(From { plan, scope })
}

fn access_hints(info: &TableInfo, hints: &[ast::IndexHint]) -> Result<AccessHints, PlanError> {
    let mut access = AccessHints::default();
    for hint in hints {
        let mut names = Vec::new();
        for name in &hint.indexes {
            let is_handle = name.eq_ignore_case("primary") && info.pk_is_handle;
            if !is_handle && !info.public_indices().any(|index| index.name.matches(name)) {
                return Err(PlanError::NoSuchKey { key: name.0.clone(), table: info.name.to_string() });
            }
            names.push(name.lower());
        }
        match hint.kind {
            ast::IndexHintKind::Use => access.only.get_or_insert_default().extend(names),
            ast::IndexHintKind::Force => {
                access.only.get_or_insert_default().extend(names);
                access.force = true;
            }
            ast::IndexHintKind::Ignore => access.ignore.extend(names),
        }
    }
    Ok(access)
}

/// Whether a query's FROM clauses name a table.
fn mentions_table(query: &ast::Query, name: &str) -> bool {
    fn in_ref(table: &ast::TableRef, name: &str) -> bool {
        match table {
            ast::TableRef::Table(factor) => {
                factor.name.schema.is_none() && factor.name.name.eq_ignore_case(name)
            }
            ast::TableRef::Derived(derived) => mentions_table(&derived.query, name),
            ast::TableRef::Join(join) => in_ref(&join.left, name) || in_ref(&join.right, name),
        }
    }
    fn in_body(body: &ast::QueryBody, name: &str) -> bool {
        match body {
            ast::QueryBody::Select(select) => select.from.iter().any(|table| in_ref(table, name)),
            ast::QueryBody::SetOperation(set) => {
                in_body(&set.first, name) || set.rest.iter().any(|operand| in_body(&operand.body, name))
            }
            ast::QueryBody::Query(query) => mentions_table(query, name),
            ast::QueryBody::Table(table) => table.schema.is_none() && table.name.eq_ignore_case(name),
            ast::QueryBody::Values(_) => false,
        }
    }
    in_body(&query.body, name)
}
