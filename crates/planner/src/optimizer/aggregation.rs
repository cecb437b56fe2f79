//! Grouping: partly on the store, where the reader is still open.

use std::sync::Arc;

use tidewater_expr::{AggregateCall, AggregateMode, ColumnRef, Expr, SortItem as ArgumentOrder};

use super::reader::{Node, Task};
use super::{Optimizer, Order, base, bind, bind_all, cost};
use crate::PlanError;
use crate::logical::{Aggregation as LogicalAggregation, Logical};
use crate::physical::*;

impl Optimizer<'_> {
    pub(crate) fn aggregate(&mut self, plan: &Logical, agg: &LogicalAggregation) -> Result<Task, PlanError> {
        let task = self.best(&agg.child, &Order::none())?;
        let groups = self.estimator.rows(plan);
        let schema = plan.schema();
        let pushes = self.vars.cop_push_down
            && matches!(&task.node, Node::Reader(reader) if reader.takes_filters())
            && agg.group_by.iter().all(|(expr, _)| self.can_push(expr))
            && agg.aggregates.iter().all(|(call, _)| self.can_push_aggregate(call));
        if pushes {
            return self.split(task, agg, groups, schema);
        }
        let rows = task.rows();
        let total = task.cost_at_root() + cost::hash_aggregate(rows, groups, agg.aggregates.len());
        let child = Arc::new(task.close());
        let aggregates = agg.aggregates.iter().map(|(call, _)| bind_call(call, child.schema())).collect();
        let group_by = bind_all(agg.group_by.iter().map(|(expr, _)| expr.clone()).collect(), child.schema());
        Ok(finish(child, aggregates, group_by, groups, schema, total))
    }

    /// The store gives partial results per region and group; the SQL node brings them together.
    fn split(
        &mut self,
        mut task: Task,
        agg: &LogicalAggregation,
        groups: f64,
        schema: Vec<ColumnRef>,
    ) -> Result<Task, PlanError> {
        let rows = task.rows();
        let mut partial_schema = Vec::new();
        let (mut partials, mut finals) = (Vec::new(), Vec::new());
        let Node::Reader(reader) = &mut task.node else {
            return Err(super::internal("a split aggregation above a closed reader"));
        };
        for (call, _) in &agg.aggregates {
            let partial = AggregateCall { mode: AggregateMode::Partial, ..bind_call(call, &reader.schema) };
            let mut args = Vec::new();
            for field_type in call.partial_types() {
                let index = partial_schema.len();
                let column = ColumnRef { index, ..self.new_column(field_type) };
                args.push(Expr::Column(column.clone()));
                partial_schema.push(column);
            }
            finals.push(AggregateCall { mode: AggregateMode::Final, args, ..call.clone() });
            partials.push(partial);
        }
        let mut keys = Vec::new();
        for (_, column) in &agg.group_by {
            keys.push(Expr::Column(ColumnRef { index: partial_schema.len(), ..column.clone() }));
            partial_schema.push(column.clone());
        }
        let group_by = bind_all(agg.group_by.iter().map(|(expr, _)| expr.clone()).collect(), &reader.schema);
        reader.push_aggregation(partials, group_by, groups, partial_schema);
        reader.width = 16.0 * (schema.len().max(1)) as f64;
        task.cost += cost::hash_aggregate(rows, groups, agg.aggregates.len()) * 0.5;
        let total = task.cost_at_root() + cost::hash_aggregate(groups, groups, agg.aggregates.len());
        let child = Arc::new(task.close());
        Ok(finish(child, finals, keys, groups, schema, total))
    }
}

/// One group without keys needs no table.
fn finish(
    child: Arc<PhysicalPlan>,
    aggregates: Vec<AggregateCall>,
    group_by: Vec<Expr>,
    groups: f64,
    schema: Vec<ColumnRef>,
    total: f64,
) -> Task {
    let streams = group_by.is_empty();
    let node = Aggregation { base: base(groups, schema), child, aggregates, group_by };
    let plan = if streams { PhysicalPlan::StreamAgg(node) } else { PhysicalPlan::HashAgg(node) };
    Task::root(plan, total)
}

fn bind_call(call: &AggregateCall, schema: &[ColumnRef]) -> AggregateCall {
    AggregateCall {
        args: bind_all(call.args.clone(), schema),
        order_by: call
            .order_by
            .iter()
            .map(|item| ArgumentOrder { expr: bind(item.expr.clone(), schema), descending: item.descending })
            .collect(),
        ..call.clone()
    }
}
