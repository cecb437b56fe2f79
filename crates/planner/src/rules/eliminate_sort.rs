//! An order that a join, a union or a grouping takes in does not come out again: no need to make it.

use super::RuleContext;
use crate::PlanError;
use crate::logical::Logical;

pub(crate) fn apply(mut plan: Logical, _: &mut RuleContext<'_>) -> Result<Logical, PlanError> {
    visit(&mut plan);
    Ok(plan)
}

fn visit(plan: &mut Logical) {
    match plan {
        Logical::Join(_) | Logical::Union { .. } | Logical::Aggregation(_) | Logical::Sort { .. } => {
            plan.children_mut().into_iter().for_each(strip);
        }
        _ => {}
    }
    plan.children_mut().into_iter().for_each(visit);
}

fn strip(plan: &mut Logical) {
    match plan {
        Logical::Sort { child, .. } => {
            let child = child.take();
            *plan = child;
            strip(plan);
        }
        Logical::Projection { child, .. } | Logical::Selection { child, .. } => strip(child),
        _ => {}
    }
}
