//! LIMIT and top-N.

use std::sync::Arc;

use super::reader::{Node, Task};
use super::{Optimizer, Order, base, bind_items, can_order, cost};
use crate::PlanError;
use crate::logical::Logical;
use crate::physical::*;

impl Optimizer<'_> {
    pub(crate) fn limit(
        &mut self,
        child: &Logical,
        offset: u64,
        count: u64,
        order: &Order,
    ) -> Result<Task, PlanError> {
        if !order.is_none() {
            // Which rows the limit takes must not depend on the order wanted above it.
            let task = self.limit(child, offset, count, &Order::none())?;
            return self.enforce(task, order);
        }
        let wanted = offset.saturating_add(count);
        let task = self.best(child, order)?;
        Ok(self.limit_task(task, offset, count, wanted))
    }

    fn limit_task(&mut self, mut task: Task, offset: u64, count: u64, wanted: u64) -> Task {
        let before = task.rows().max(1.0);
        if let Node::Reader(reader) = &mut task.node
            && self.vars.cop_push_down
            && !reader.is_aggregated
        {
            reader.push_limit(wanted);
        }
        // Readers stop early.
        let part = (wanted as f64 / before).min(1.0);
        let cost = cost::REQUEST + (task.cost - cost::REQUEST).max(0.0) * part;
        let rows = (task.rows() - offset as f64).clamp(0.0, count as f64);
        let child = Arc::new(task.close());
        let schema = child.schema().to_vec();
        Task::root(PhysicalPlan::Limit(Limit { base: base(rows, schema), child, offset, count }), cost)
    }

    /// The first rows of an order: by an index that has the order, or by looking at all rows.
    pub(crate) fn top_n(
        &mut self,
        child: &Logical,
        by: &[SortItem],
        offset: u64,
        count: u64,
    ) -> Result<Task, PlanError> {
        let wanted = offset.saturating_add(count);
        let mut ordered = None;
        if let Some(order) = Order::of(by)
            && can_order(child, &order)
        {
            let order = Order { rows_wanted: Some(wanted as f64), ..order };
            let task = self.best(child, &order)?;
            if !has_sort(&task) {
                let cost = task.cost_at_root();
                let mut task = self.limit_task(task, offset, count, wanted);
                // The reader's cost already counts only what is wanted.
                task.cost = cost;
                ordered = Some(task);
            }
        }
        let mut task = self.best(child, &Order::none())?;
        let all = task.rows();
        let mut total = task.cost + cost::top_n(all, wanted as f64);
        if let Node::Reader(reader) = &mut task.node
            && self.vars.cop_push_down
            && !reader.is_aggregated
            && by.iter().all(|item| self.can_push(&item.expr))
        {
            reader.push_top_n(by.to_vec(), wanted);
            total += cost::network(reader.rows, reader.width);
        } else {
            total = task.cost_at_root() + cost::top_n(all, wanted as f64);
        }
        if let Some(ordered) = ordered
            && ordered.cost <= total
        {
            return Ok(ordered);
        }
        let rows = (task.rows() - offset as f64).clamp(0.0, count as f64);
        let child = Arc::new(task.close());
        let by = bind_items(by.to_vec(), child.schema());
        let schema = child.schema().to_vec();
        let node = TopN { base: base(rows, schema), child, by, offset, count };
        Ok(Task::root(PhysicalPlan::TopN(node), total))
    }
}

/// Whether an order was enforced at the top (below what passes it).
fn has_sort(task: &Task) -> bool {
    fn sorted(plan: &PhysicalPlan) -> bool {
        match plan {
            PhysicalPlan::Sort(_) => true,
            PhysicalPlan::Selection(node) => sorted(&node.child),
            PhysicalPlan::Projection(node) => sorted(&node.child),
            PhysicalPlan::SelectLock(node) => sorted(&node.child),
            PhysicalPlan::Limit(node) => sorted(&node.child),
            _ => false,
        }
    }
    matches!(&task.node, Node::Root(plan) if sorted(plan))
}
