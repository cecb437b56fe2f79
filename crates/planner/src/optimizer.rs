//! From a logical plan to a physical one: for each operator the cheapest way found, bottom up.
//!
//! [`Optimizer::best`] answers "the cheapest plan of this subtree whose rows come in this order". The order is the one
//! required property; an operator either passes the demand to its child, or finds another way, or a sort enforces it.
//! Answers are [`Task`]s: finished operators of the SQL node, or a reader that is still *open*, to whose pipeline on the
//! store selections, aggregations, top-Ns and limits can be added.
//!
//! Positions of columns are settled as operators are made: an operator's expressions are bound to its child's schema.

mod access;
mod aggregation;
mod cost;
mod index_join;
mod join;
mod limit;
mod paths;
mod reader;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidewater_expr::{AggregateCall, ColumnRef, EvalContext, Expr, pushdown};

use crate::PlanError;
use crate::estimate::Estimator;
use crate::expr_tools::visit;
use crate::logical::Logical;
use crate::physical::*;
use crate::{PlannerVars, PushdownTarget};

use reader::{Node, Task};

/// A wanted order: columns, all ascending or all descending.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Order {
    pub(crate) columns: Vec<u64>,
    pub(crate) desc: bool,
    /// Only about so many rows will be taken.
    pub(crate) rows_wanted: Option<f64>,
}

impl Order {
    pub(crate) fn none() -> Self {
        Order::default()
    }

    pub(crate) fn is_none(&self) -> bool {
        self.columns.is_empty()
    }

    /// The order of sort items, if an index could have it.
    pub(crate) fn of(by: &[SortItem]) -> Option<Order> {
        let desc = by.first()?.desc;
        let columns = by
            .iter()
            .map(|item| match &item.expr {
                Expr::Column(column) if item.desc == desc => Some(column.unique_id),
                _ => None,
            })
            .collect::<Option<Vec<u64>>>()?;
        Some(Order { columns, desc, rows_wanted: None })
    }
}

/// Searches.
pub(crate) struct Optimizer<'a> {
    pub(crate) eval: &'a EvalContext,
    pub(crate) vars: &'a PlannerVars,
    pub(crate) estimator: Estimator<'a>,
    pub(crate) next_id: u64,
}

impl<'a> Optimizer<'a> {
    pub(crate) fn new(plan: &Logical, eval: &'a EvalContext, vars: &'a PlannerVars, next_id: u64) -> Self {
        let mut estimator = Estimator::new(eval);
        estimator.note_columns(plan);
        Optimizer { eval, vars, estimator, next_id }
    }

    /// Whether the stores may evaluate it.
    pub(crate) fn can_push(&self, expr: &Expr) -> bool {
        is_pushable(expr)
            && match self.vars.pushdown {
                PushdownTarget::Tidewater => true,
                PushdownTarget::Tikv => pushdown::is_public(expr),
            }
    }

    /// Whether the stores may evaluate the aggregate's partial part.
    pub(crate) fn can_push_aggregate(&self, call: &AggregateCall) -> bool {
        call.can_split()
            && call.inputs().all(is_pushable)
            && match self.vars.pushdown {
                PushdownTarget::Tidewater => true,
                PushdownTarget::Tikv => pushdown::is_public_aggregate(call),
            }
    }

    /// The plan for `logical`, with the columns of its schema.
    pub(crate) fn optimize(&mut self, logical: &Logical) -> Result<Arc<PhysicalPlan>, PlanError> {
        Ok(Arc::new(self.best(logical, &Order::none())?.close()))
    }

    /// The cheapest plan in this order.
    pub(crate) fn best(&mut self, plan: &Logical, order: &Order) -> Result<Task, PlanError> {
        match plan {
            Logical::DataSource(source) => self.best_access(source, order),
            Logical::Selection { child, conditions } => {
                let task = self.best(child, order)?;
                let rows = self.estimator.rows(plan);
                self.select(task, conditions, rows)
            }
            Logical::Projection { child, exprs, schema } => self.project(child, exprs, schema, order),
            Logical::Limit { child, offset, count } => self.limit(child, *offset, *count, order),
            Logical::TopN { child, by, offset, count } => {
                let task = self.top_n(child, by, *offset, *count)?;
                self.enforce(task, order)
            }
            Logical::Sort { child, by } => {
                let task = self.sort(child, by)?;
                if order.is_none()
                    || Order::of(by)
                        .is_some_and(|own| own.columns.starts_with(&order.columns) && own.desc == order.desc)
                {
                    Ok(task)
                } else {
                    self.enforce(task, order)
                }
            }
            Logical::Lock { child, targets, wait, shared } => {
                self.lock(child, targets, *wait, *shared, order)
            }
            Logical::Aggregation(agg) => {
                let task = self.aggregate(plan, agg)?;
                self.enforce(task, order)
            }
            Logical::Join(join) => {
                let task = if join.apply { self.apply(plan, join)? } else { self.join(plan, join)? };
                self.enforce(task, order)
            }
            Logical::Union { children, schema } => {
                let task = self.union(children, schema)?;
                self.enforce(task, order)
            }
            Logical::Dual { rows, schema } => {
                let base = base(*rows as f64, schema.clone());
                Ok(Task::root(PhysicalPlan::TableDual(TableDual { base, count: *rows }), 0.0))
            }
            Logical::MaxOneRow { child } => {
                let task = self.best(child, &Order::none())?;
                let cost = task.cost;
                let child = Arc::new(task.close());
                let schema = child.schema().to_vec();
                Ok(Task::root(PhysicalPlan::MaxOneRow(MaxOneRow { base: base(1.0, schema), child }), cost))
            }
        }
    }

    /// Sorts if an order is wanted.
    fn enforce(&mut self, task: Task, order: &Order) -> Result<Task, PlanError> {
        if order.is_none() {
            return Ok(task);
        }
        let schema = task.schema();
        let mut by = Vec::new();
        for id in &order.columns {
            let column = schema.iter().find(|column| column.unique_id == *id);
            let column = column.ok_or_else(|| internal("an order by a column that is not there"))?;
            by.push(SortItem { expr: Expr::Column(column.clone()), desc: order.desc });
        }
        Ok(self.sort_task(task, by))
    }

    fn sort(&mut self, child: &Logical, by: &[SortItem]) -> Result<Task, PlanError> {
        let unordered = self.best(child, &Order::none())?;
        let unordered = self.sort_task(unordered, by.to_vec());
        if let Some(order) = Order::of(by)
            && can_order(child, &order)
        {
            let ordered = self.best(child, &order)?;
            if ordered.cost < unordered.cost {
                return Ok(ordered);
            }
        }
        Ok(unordered)
    }

    fn sort_task(&mut self, task: Task, by: Vec<SortItem>) -> Task {
        let rows = task.rows();
        let cost = task.cost + cost::sort(rows);
        let child = Arc::new(task.close());
        let by = bind_items(by, child.schema());
        let schema = child.schema().to_vec();
        Task::root(PhysicalPlan::Sort(Sort { base: base(rows, schema), child, by }), cost)
    }

    /// Filters, on the store where possible.
    pub(crate) fn select(
        &mut self,
        mut task: Task,
        conditions: &[Expr],
        rows: f64,
    ) -> Result<Task, PlanError> {
        if conditions.is_empty() {
            return Ok(task);
        }
        let before = task.rows();
        let cost = task.cost + cost::filter(before, conditions.len());
        let (mut pushed, mut kept) = (Vec::new(), Vec::new());
        for condition in conditions {
            let on_store = matches!(&task.node, Node::Reader(reader) if reader.takes_filters())
                && self.vars.cop_push_down
                && self.can_push(condition);
            if on_store { pushed.push(condition.clone()) } else { kept.push(condition.clone()) }
        }
        if let (false, Node::Reader(reader)) = (pushed.is_empty(), &mut task.node) {
            reader.push_selection(pushed, if kept.is_empty() { rows } else { before.min(rows * 2.0) });
        }
        task.cost = cost;
        if kept.is_empty() {
            return Ok(task);
        }
        let child = Arc::new(task.close());
        let conditions = bind_all(kept, child.schema());
        let schema = child.schema().to_vec();
        let node =
            PhysicalPlan::Selection(Selection { base: base(rows.min(before), schema), child, conditions });
        Ok(Task::root(node, cost))
    }

    fn project(
        &mut self,
        child: &Logical,
        exprs: &[Expr],
        schema: &[ColumnRef],
        order: &Order,
    ) -> Result<Task, PlanError> {
        let mut below = order.clone();
        let mut passes = true;
        for id in &mut below.columns {
            let shown = exprs.iter().zip(schema).find(|(_, column)| column.unique_id == *id);
            match shown {
                Some((Expr::Column(source), _)) => *id = source.unique_id,
                _ => passes = false,
            }
        }
        let below = if passes { below } else { Order::none() };
        let task = self.best(child, &below)?;
        let task = self.project_task(task, exprs.to_vec(), schema.to_vec());
        if passes { Ok(task) } else { self.enforce(task, order) }
    }

    /// Computes columns above a task.
    pub(crate) fn project_task(&mut self, task: Task, exprs: Vec<Expr>, schema: Vec<ColumnRef>) -> Task {
        let rows = task.rows();
        let cost = task.cost + cost::project(rows, exprs.len());
        let child = Arc::new(task.close());
        let exprs = bind_all(exprs, child.schema());
        Task::root(PhysicalPlan::Projection(Projection { base: base(rows, schema), child, exprs }), cost)
    }

    fn union(&mut self, children: &[Logical], schema: &[ColumnRef]) -> Result<Task, PlanError> {
        let (mut plans, mut cost, mut rows) = (Vec::new(), 0.0, 0.0);
        for child in children {
            let wanted = child.schema();
            let mut task = self.best(child, &Order::none())?;
            // Children are read by position; a reader may give further columns.
            let given: Vec<u64> = task.schema().iter().map(|column| column.unique_id).collect();
            if given != wanted.iter().map(|column| column.unique_id).collect::<Vec<_>>() {
                let exprs = wanted.iter().cloned().map(Expr::Column).collect();
                task = self.project_task(task, exprs, wanted);
            }
            cost += task.cost;
            rows += task.rows();
            plans.push(Arc::new(task.close()));
        }
        let node = UnionAll { base: base(rows, schema.to_vec()), children: plans };
        Ok(Task::root(PhysicalPlan::UnionAll(node), cost))
    }

    fn lock(
        &mut self,
        child: &Logical,
        targets: &[crate::logical::LockTarget],
        wait: LockWait,
        shared: bool,
        order: &Order,
    ) -> Result<Task, PlanError> {
        let mut task = self.best(child, order)?;
        let cost = task.cost;
        // A point read locks on its own, in one round trip.
        if let (Node::Root(plan), [_]) = (&mut task.node, targets) {
            match &mut **plan {
                PhysicalPlan::PointGet(get) => {
                    get.lock = Some(wait);
                    return Ok(task);
                }
                PhysicalPlan::BatchPointGet(get) => {
                    get.lock = Some(wait);
                    return Ok(task);
                }
                _ => {}
            }
        }
        let rows = task.rows();
        let child = Arc::new(task.close());
        let schema = child.schema();
        let mut bound = Vec::new();
        for target in targets {
            let ids: Vec<u64> = target.handle.iter().map(|column| column.unique_id).collect();
            let handle = handle_positions(&target.table, &ids, schema)
                .ok_or_else(|| internal("a locking read without handles"))?;
            bound.push(LockTarget { table: target.table.clone(), handle });
        }
        let schema = schema.to_vec();
        let node = SelectLock { base: base(rows, schema), child, targets: bound, wait, shared };
        Ok(Task::root(PhysicalPlan::SelectLock(node), cost + cost::network(rows, 16.0)))
    }

    /// The outer columns an inner plan reads.
    pub(crate) fn correlated_columns(&self, inner: &Logical, outer: &Schema) -> Vec<CorrelatedColumn> {
        let mut slots: BTreeMap<usize, u64> = BTreeMap::new();
        inner.for_each(&mut |node| {
            for expr in node.exprs() {
                visit(expr, &mut |expr| {
                    if let Expr::Correlated { unique_id, slot, .. } = expr {
                        slots.insert(*slot, *unique_id);
                    }
                });
            }
        });
        slots
            .into_iter()
            .filter_map(|(slot, id)| {
                let index = outer.iter().position(|column| column.unique_id == id)?;
                Some(CorrelatedColumn { slot, column: ColumnRef { index, ..outer[index].clone() } })
            })
            .collect()
    }

    pub(crate) fn new_column(&mut self, field_type: tidewater_types::FieldType) -> ColumnRef {
        let unique_id = self.next_id;
        self.next_id += 1;
        ColumnRef { unique_id, index: 0, field_type, name: format!("Column#{unique_id}").into() }
    }
}

/// Whether asking a subtree for an order can be cheaper than sorting: some table below might have it.
pub(crate) fn can_order(plan: &Logical, order: &Order) -> bool {
    match plan {
        Logical::DataSource(source) => {
            let ids: BTreeSet<u64> = source.all_columns.iter().map(|(_, column)| column.unique_id).collect();
            order.columns.iter().all(|id| ids.contains(id))
        }
        Logical::Selection { child, .. } | Logical::Limit { child, .. } | Logical::Lock { child, .. } => {
            can_order(child, order)
        }
        Logical::Projection { child, exprs, schema } => {
            let mut below = order.clone();
            for id in &mut below.columns {
                match exprs.iter().zip(schema).find(|(_, column)| column.unique_id == *id) {
                    Some((Expr::Column(source), _)) => *id = source.unique_id,
                    _ => return false,
                }
            }
            can_order(child, &below)
        }
        _ => false,
    }
}

/// Whether a store of ours may evaluate it. Parameters and outer columns are constants by the time a request is made.
fn is_pushable(expr: &Expr) -> bool {
    match expr {
        Expr::Literal { .. } | Expr::Column(_) | Expr::Parameter { .. } | Expr::Correlated { .. } => true,
        Expr::Function(call) => call.function.is_pushable() && call.args.iter().all(is_pushable),
    }
}

/// Where a table's handle stands among columns.
pub(crate) fn handle_positions(
    table: &TableSource,
    ids: &[u64],
    schema: &[ColumnRef],
) -> Option<HandlePositions> {
    let positions = ids
        .iter()
        .map(|id| schema.iter().position(|column| column.unique_id == *id))
        .collect::<Option<Vec<usize>>>()?;
    if table.info.is_common_handle {
        return Some(HandlePositions::Common(positions));
    }
    positions.first().copied().map(HandlePositions::Int)
}

/// What every node has; its number comes when the plan is finished.
pub(crate) fn base(rows: f64, schema: Vec<ColumnRef>) -> PlanBase {
    PlanBase { id: 0, rows, schema: schema.into() }
}

/// Gives columns their positions.
pub(crate) fn bind(expr: Expr, schema: &[ColumnRef]) -> Expr {
    expr.map_columns(&mut |column| {
        let index = schema.iter().position(|other| other.unique_id == column.unique_id);
        debug_assert!(index.is_some(), "column {} ({}) is not in {schema:?}", column.unique_id, column.name);
        Expr::Column(ColumnRef { index: index.unwrap_or(usize::MAX), ..column })
    })
}

pub(crate) fn bind_all(exprs: Vec<Expr>, schema: &[ColumnRef]) -> Vec<Expr> {
    exprs.into_iter().map(|expr| bind(expr, schema)).collect()
}

pub(crate) fn bind_items(by: Vec<SortItem>, schema: &[ColumnRef]) -> Vec<SortItem> {
    by.into_iter().map(|item| SortItem { expr: bind(item.expr, schema), desc: item.desc }).collect()
}

/// A broken invariant of the planner, reported instead of crashing the session.
pub(crate) fn internal(what: &str) -> PlanError {
    PlanError::Unsupported(format!("{what} (planner)"))
}
