//! The way of a statement through the planner.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidewater_expr::{ColumnRef, Expr};
use tidewater_parser::ast;

use crate::binder::{Binder, Bound, BoundDml, BoundSource, DmlKind, WriteTarget};
use crate::logical::Logical;
use crate::optimizer::{Optimizer, base, bind_all, handle_positions, internal};
use crate::physical::*;
use crate::rules::{RuleContext, rewrite};
use crate::{Plan, PlanContext, PlanError};

/// Plans a query, an INSERT or REPLACE, an UPDATE or a DELETE.
pub fn plan(statement: &ast::Statement, cx: &PlanContext<'_>) -> Result<Plan, PlanError> {
    let mut binder = Binder::new(cx);
    match statement {
        ast::Statement::Query(query) => {
            let bound = binder.bind_query(query)?;
            let mut bound = bound;
            if cx.vars.select_limit != u64::MAX && query.limit.is_none() {
                bound.plan =
                    Logical::Limit { child: Box::new(bound.plan), offset: 0, count: cx.vars.select_limit };
            }
            let output = bound.columns.iter().map(|column| column.output()).collect();
            let root = plan_query(&mut binder, bound)?;
            Ok(finish(binder, root, output))
        }
        ast::Statement::Insert(insert) => {
            let bound = binder.bind_insert(insert)?;
            plan_dml(binder, bound)
        }
        ast::Statement::Update(update) => {
            let bound = binder.bind_update(update)?;
            plan_dml(binder, bound)
        }
        ast::Statement::Delete(delete) => {
            let bound = binder.bind_delete(delete)?;
            plan_dml(binder, bound)
        }
        _ => Err(PlanError::Unsupported("planning this statement".to_owned())),
    }
}

fn finish(binder: Binder<'_>, mut root: Arc<PhysicalPlan>, output: Vec<crate::OutputColumn>) -> Plan {
    number(&mut root, &mut 0);
    Plan { root, output, cacheable: binder.cacheable, tables: binder.tables }
}

/// The plan of a query, with exactly its output columns in order.
fn plan_query(binder: &mut Binder<'_>, bound: Bound) -> Result<Arc<PhysicalPlan>, PlanError> {
    let wanted: Vec<ColumnRef> = bound.columns.iter().map(|column| column.column.clone()).collect();
    let required = wanted.iter().map(|column| column.unique_id).collect();
    let root = search(binder, bound.plan, required)?;
    Ok(trim(root, &wanted))
}

/// Rules, then search.
fn search(
    binder: &mut Binder<'_>,
    plan: Logical,
    required: BTreeSet<u64>,
) -> Result<Arc<PhysicalPlan>, PlanError> {
    let cx = binder.cx;
    let mut rules = RuleContext { eval: cx.eval, vars: &cx.vars, next_id: binder.next_column_id(), required };
    let plan = rewrite(plan, &mut rules)?;
    let mut optimizer = Optimizer::new(&plan, cx.eval, &cx.vars, rules.next_id);
    let root = optimizer.optimize(&plan)?;
    binder.set_next_column_id(optimizer.next_id);
    Ok(root)
}

/// Narrows to these columns, if there are others or another order.
fn trim(root: Arc<PhysicalPlan>, wanted: &[ColumnRef]) -> Arc<PhysicalPlan> {
    let given = root.schema();
    let is_exact = given.len() == wanted.len()
        && given.iter().zip(wanted).all(|(given, wanted)| given.unique_id == wanted.unique_id);
    if is_exact {
        return root;
    }
    let exprs = bind_all(wanted.iter().cloned().map(Expr::Column).collect(), given);
    let node = Projection { base: base(root.rows(), wanted.to_vec()), exprs, child: root };
    Arc::new(PhysicalPlan::Projection(node))
}

fn plan_dml(mut binder: Binder<'_>, bound: BoundDml) -> Result<Plan, PlanError> {
    let ignore = bound.ignore;
    let empty = || base(0.0, Vec::new());
    let root = match bound.kind {
        DmlKind::Insert { table, columns, source, replace, on_duplicate } => {
            let source = match source {
                BoundSource::Values(rows) => InsertSource::Values(rows),
                BoundSource::Query(query) => InsertSource::Query(plan_query(&mut binder, query)?),
            };
            PhysicalPlan::Insert(Box::new(Insert {
                base: empty(),
                table,
                columns,
                source,
                replace,
                ignore,
                on_duplicate,
            }))
        }
        DmlKind::Update { plan, targets } => {
            let child = plan_written(&mut binder, plan, &targets)?;
            let mut bound = Vec::new();
            for target in targets {
                let row = row_positions(&target, child.schema())?;
                let assignments = target
                    .assignments
                    .into_iter()
                    .map(|assignment| Assignment {
                        value: assignment.value.map(|value| crate::optimizer::bind(value, child.schema())),
                        ..assignment
                    })
                    .collect();
                let may_be_absent = target.may_be_absent;
                bound.push(UpdateTarget { table: target.table, row, assignments, may_be_absent });
            }
            PhysicalPlan::Update(Box::new(Update { base: empty(), child, targets: bound, ignore }))
        }
        DmlKind::Delete { plan, targets } => {
            let child = plan_written(&mut binder, plan, &targets)?;
            let mut bound = Vec::new();
            for target in targets {
                let row = row_positions(&target, child.schema())?;
                let may_be_absent = target.may_be_absent;
                bound.push(DeleteTarget { table: target.table, row, may_be_absent });
            }
            PhysicalPlan::Delete(Box::new(Delete { base: empty(), child, targets: bound, ignore }))
        }
    };
    Ok(finish(binder, Arc::new(root), Vec::new()))
}

/// The rows a statement changes, with all columns it needs of them.
fn plan_written(
    binder: &mut Binder<'_>,
    plan: Logical,
    targets: &[WriteTarget],
) -> Result<Arc<PhysicalPlan>, PlanError> {
    let mut required = BTreeSet::new();
    for target in targets {
        required.extend(target.columns.iter().flatten().copied());
        required.extend(target.handle.iter().copied());
        for assignment in &target.assignments {
            if let Some(value) = &assignment.value {
                crate::expr_tools::collect_columns(value, &mut required);
            }
        }
    }
    search(binder, plan, required)
}

fn row_positions(target: &WriteTarget, schema: &[ColumnRef]) -> Result<RowPositions, PlanError> {
    let position = |id: u64| schema.iter().position(|column| column.unique_id == id);
    Ok(RowPositions {
        columns: target.columns.iter().map(|id| id.and_then(position)).collect(),
        handle: handle_positions(&target.table.source, &target.handle, schema)
            .ok_or_else(|| internal("a written table without handle"))?,
    })
}

/// Numbers the nodes, leaves first.
fn number(plan: &mut Arc<PhysicalPlan>, next: &mut u32) {
    let mut give = |base: &mut PlanBase| {
        *next += 1;
        base.id = *next;
    };
    match Arc::make_mut(plan) {
        PhysicalPlan::PointGet(node) => give(&mut node.base),
        PhysicalPlan::BatchPointGet(node) => give(&mut node.base),
        PhysicalPlan::VirtualTableScan(node) => give(&mut node.base),
        PhysicalPlan::TableDual(node) => give(&mut node.base),
        PhysicalPlan::TableReader(node) => {
            give(&mut node.scan.base);
            node.cop.iter_mut().for_each(|step| give(&mut step.base));
            give(&mut node.base);
        }
        PhysicalPlan::IndexReader(node) => {
            give(&mut node.scan.base);
            node.cop.iter_mut().for_each(|step| give(&mut step.base));
            give(&mut node.base);
        }
        PhysicalPlan::IndexLookUp(node) => {
            give(&mut node.index_scan.base);
            node.index_cop.iter_mut().for_each(|step| give(&mut step.base));
            give(&mut node.table_scan.base);
            node.table_cop.iter_mut().for_each(|step| give(&mut step.base));
            give(&mut node.base);
        }
        PhysicalPlan::UnionScan(node) => inner(&mut node.child, &mut node.base, next),
        PhysicalPlan::Selection(node) => inner(&mut node.child, &mut node.base, next),
        PhysicalPlan::Projection(node) => inner(&mut node.child, &mut node.base, next),
        PhysicalPlan::HashAgg(node) | PhysicalPlan::StreamAgg(node) => {
            inner(&mut node.child, &mut node.base, next)
        }
        PhysicalPlan::Sort(node) => inner(&mut node.child, &mut node.base, next),
        PhysicalPlan::TopN(node) => inner(&mut node.child, &mut node.base, next),
        PhysicalPlan::Limit(node) => inner(&mut node.child, &mut node.base, next),
        PhysicalPlan::MaxOneRow(node) => inner(&mut node.child, &mut node.base, next),
        PhysicalPlan::SelectLock(node) => inner(&mut node.child, &mut node.base, next),
        PhysicalPlan::HashJoin(node) => {
            number(&mut node.left, next);
            inner(&mut node.right, &mut node.base, next);
        }
        PhysicalPlan::IndexJoin(node) => {
            number(&mut node.outer, next);
            inner(&mut node.inner, &mut node.base, next);
        }
        PhysicalPlan::Apply(node) => {
            number(&mut node.outer, next);
            inner(&mut node.inner, &mut node.base, next);
        }
        PhysicalPlan::UnionAll(node) => {
            node.children.iter_mut().for_each(|child| number(child, next));
            *next += 1;
            node.base.id = *next;
        }
        PhysicalPlan::Insert(node) => match &mut node.source {
            InsertSource::Query(child) => inner(child, &mut node.base, next),
            InsertSource::Values(_) => give(&mut node.base),
        },
        PhysicalPlan::Update(node) => inner(&mut node.child, &mut node.base, next),
        PhysicalPlan::Delete(node) => inner(&mut node.child, &mut node.base, next),
    }
}

fn inner(child: &mut Arc<PhysicalPlan>, base: &mut PlanBase, next: &mut u32) {
    number(child, next);
    *next += 1;
    base.id = *next;
}
