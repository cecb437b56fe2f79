//! Whole queries: WITH, the body, and the clauses behind it.

use std::sync::Arc;

use tidewater_expr::Expr;
use tidewater_parser::ast;
use tidewater_types::Datum;

use super::{Binder, Env, Scope, ScopeColumn};
use crate::logical::{LockTarget, Logical, handle_scan_columns};
use crate::physical::{LockWait, SortItem};
use crate::{PlanError, TableAccess};

/// A bound query.
pub(crate) struct Bound {
    /// The plan; its schema may have more columns than asked for.
    pub(crate) plan: Logical,
    /// The columns of the result, in order.
    pub(crate) columns: Vec<ScopeColumn>,
}

impl Binder<'_> {
    /// A query, in the scopes in sight.
    pub(crate) fn bind_query(&mut self, query: &ast::Query) -> Result<Bound, PlanError> {
        if query.into.is_some() && self.depth > 0 {
            return Err(PlanError::WrongUsage("INTO", "subquery"));
        }
        let in_sight = self.common_table_count();
        if let Some(with) = &query.with {
            self.push_common_tables(with)?;
        }
        let bound = self.bind_query_inside(query);
        self.truncate_common_tables(in_sight);
        bound
    }

    fn bind_query_inside(&mut self, query: &ast::Query) -> Result<Bound, PlanError> {
        let mut bound = match &query.body {
            ast::QueryBody::Select(select) => {
                let bound = self.bind_select(select, &query.order_by, &query.locks)?;
                return self.bind_limit(bound, query.limit.as_ref());
            }
            body => self.bind_body(body)?,
        };
        if !query.order_by.is_empty() {
            bound = self.sort_output(bound, &query.order_by)?;
        }
        self.bind_limit(bound, query.limit.as_ref())
    }

    /// A body without clauses behind it.
    pub(super) fn bind_body(&mut self, body: &ast::QueryBody) -> Result<Bound, PlanError> {
        match body {
            ast::QueryBody::Select(select) => self.bind_select(select, &[], &[]),
            ast::QueryBody::Query(query) => self.deeper(|binder| binder.bind_query(query)),
            ast::QueryBody::SetOperation(set) => self.bind_set_operation(set),
            ast::QueryBody::Values(rows) => self.bind_values_rows(rows),
            ast::QueryBody::Table(name) => {
                let select = ast::Select {
                    items: vec![ast::SelectItem::Wildcard],
                    from: vec![ast::TableRef::Table(Box::new(ast::TableFactor::new(name.clone())))],
                    ..ast::Select::default()
                };
                self.bind_select(&select, &[], &[])
            }
        }
    }

    /// VALUES ROW(..), ROW(..): columns are called column_0, column_1, ..
    fn bind_values_rows(&mut self, rows: &[Vec<ast::Expr>]) -> Result<Bound, PlanError> {
        let mut operands = Vec::new();
        for (number, row) in rows.iter().enumerate() {
            if row.len() != rows[0].len() {
                return Err(PlanError::ValueCount { row: number + 1 });
            }
            let mut env = Env::empty("field list");
            let mut exprs = Vec::new();
            for value in row {
                exprs.push(self.bind_expr(&mut env, value)?);
            }
            let columns: Vec<ScopeColumn> = exprs
                .iter()
                .enumerate()
                .map(|(position, expr)| {
                    ScopeColumn::computed(
                        self.computed_column(expr.field_type()),
                        format!("column_{position}"),
                    )
                })
                .collect();
            let schema = columns.iter().map(|column| column.column.clone()).collect();
            operands.push(Bound {
                plan: Logical::Projection { child: Box::new(env.plan), exprs, schema },
                columns,
            });
        }
        self.union_all(operands)
    }

    /// ORDER BY over a set operation sees the output's names only.
    fn sort_output(&mut self, bound: Bound, order_by: &[ast::OrderItem]) -> Result<Bound, PlanError> {
        let mut env = Env::empty("order clause");
        env.scope = Scope { columns: bound.columns.clone() }.into();
        env.plan = bound.plan;
        let mut by = Vec::new();
        for item in order_by {
            let expr = match position_of(&item.expr) {
                Some(position) => output_at(&bound.columns, position, "order clause")?,
                None => self.bind_expr(&mut env, &item.expr)?,
            };
            by.push(SortItem { expr, desc: item.descending });
        }
        Ok(Bound { plan: Logical::Sort { child: Box::new(env.plan), by }, columns: bound.columns })
    }

    pub(super) fn bind_limit(
        &mut self,
        bound: Bound,
        limit: Option<&ast::Limit>,
    ) -> Result<Bound, PlanError> {
        let Some(limit) = limit else {
            return Ok(bound);
        };
        let count = self.limit_number(&limit.count)?;
        let offset = limit.offset.as_ref().map_or(Ok(0), |offset| self.limit_number(offset))?;
        let plan = match bound.plan {
            // Locks are taken on the rows that come out only.
            Logical::Lock { child, targets, wait, shared } => Logical::Lock {
                child: Box::new(Logical::Limit { child, offset, count }),
                targets,
                wait,
                shared,
            },
            plan => Logical::Limit { child: Box::new(plan), offset, count },
        };
        Ok(Bound { plan, columns: bound.columns })
    }

    /// A number of LIMIT: a literal or a parameter.
    pub(super) fn limit_number(&mut self, expr: &ast::Expr) -> Result<u64, PlanError> {
        let bad = || PlanError::UndeclaredParameter("LIMIT".to_owned());
        match expr {
            ast::Expr::Literal(ast::Literal::Int(value)) => u64::try_from(*value).map_err(|_| bad()),
            ast::Expr::Literal(ast::Literal::UInt(value)) => Ok(*value),
            ast::Expr::Parameter(index) => {
                self.cacheable = false;
                match self.cx.eval.params.get(*index) {
                    Some(Datum::Int(value)) => u64::try_from(*value).map_err(|_| bad()),
                    Some(Datum::UInt(value)) => Ok(*value),
                    Some(Datum::Bytes(text)) => {
                        String::from_utf8_lossy(text).trim().parse().map_err(|_| bad())
                    }
                    // Only the result's columns are asked for: PREPARE.
                    None => Ok(u64::MAX),
                    Some(_) => Err(bad()),
                }
            }
            _ => Err(bad()),
        }
    }

    /// FOR UPDATE and FOR SHARE of a block.
    pub(super) fn bind_locks(&mut self, plan: Logical, locks: &[ast::Locking]) -> Result<Logical, PlanError> {
        let Some(lock) = locks.first() else {
            return Ok(plan);
        };
        let shared = lock.strength == ast::LockStrength::Share;
        if self.cx.vars.ignore_locks || shared {
            return Ok(plan);
        }
        let wait = match lock.wait {
            ast::LockWait::Wait => LockWait::Default,
            ast::LockWait::NoWait => LockWait::NoWait,
            ast::LockWait::SkipLocked => LockWait::SkipLocked,
            ast::LockWait::Seconds(seconds) => LockWait::Seconds(seconds),
        };
        let mut targets = Vec::new();
        collect_lock_targets(&plan, &lock.tables, &mut targets);
        for name in &lock.tables {
            if !targets.iter().any(|target: &LockTarget| name.name.eq_ignore_case(&target.table.alias)) {
                return Err(PlanError::UnknownTableIn {
                    table: name.name.0.clone(),
                    place: "locking clause",
                });
            }
        }
        for target in &targets {
            let (database, table) = (Arc::clone(&target.table.database), Arc::clone(&target.table.info));
            self.note_table(&database, table.name.as_str(), TableAccess::Update);
        }
        if targets.is_empty() {
            return Ok(plan);
        }
        Ok(Logical::Lock { child: Box::new(plan), targets, wait, shared })
    }
}

/// The stored tables a block reads itself (not through grouped or derived tables).
fn collect_lock_targets(plan: &Logical, only: &[ast::ObjectName], targets: &mut Vec<LockTarget>) {
    match plan {
        Logical::DataSource(source) if !source.table.info.is_virtual() => {
            let wanted =
                only.is_empty() || only.iter().any(|name| name.name.eq_ignore_case(&source.table.alias));
            let handle = handle_scan_columns(&source.table)
                .iter()
                .filter_map(|column| source.column(column).cloned())
                .collect();
            if wanted {
                targets.push(LockTarget { table: source.table.clone(), handle });
            }
        }
        Logical::Selection { child, .. } | Logical::Sort { child, .. } | Logical::Limit { child, .. } => {
            collect_lock_targets(child, only, targets);
        }
        Logical::Join(join) => {
            collect_lock_targets(&join.left, only, targets);
            if !join.kind.is_semi() && !join.apply {
                collect_lock_targets(&join.right, only, targets);
            }
        }
        _ => {}
    }
}

/// `ORDER BY 2`: the position an integer literal means.
pub(super) fn position_of(expr: &ast::Expr) -> Option<i64> {
    match expr {
        ast::Expr::Literal(ast::Literal::Int(position)) => Some(*position),
        _ => None,
    }
}

/// The output column at a position counted from 1.
pub(super) fn output_at(
    columns: &[ScopeColumn],
    position: i64,
    clause: &'static str,
) -> Result<Expr, PlanError> {
    usize::try_from(position)
        .ok()
        .and_then(|position| columns.get(position.checked_sub(1)?))
        .map(|column| Expr::Column(column.column.clone()))
        .ok_or_else(|| PlanError::UnknownColumn { column: position.to_string(), clause })
}

impl Env<'_> {
    /// Nothing in sight, over one row without columns.
    pub(crate) fn empty(clause: &'static str) -> Self {
        Env {
            scope: Scope::default().into(),
            scope_of_subqueries: None,
            plan: Logical::Dual { rows: 1, schema: Vec::new() },
            clause,
            aggregates: None,
            aliases: &[],
            alias_first: false,
            new_row: None,
        }
    }
}
