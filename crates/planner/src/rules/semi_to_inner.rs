//! A semi join whose right side has at most one match for each left row is an inner join, and may be reordered.
//!
//! `o_orderkey IN (SELECT l_orderkey .. GROUP BY l_orderkey)`: the groups are few, and joining them first makes everything
//! after cheap.

use std::collections::BTreeSet;

use tidewater_expr::Expr;

use super::RuleContext;
use crate::PlanError;
use crate::logical::{Join, Logical};
use crate::physical::JoinKind;

pub(crate) fn apply(mut plan: Logical, _: &mut RuleContext<'_>) -> Result<Logical, PlanError> {
    convert(&mut plan);
    Ok(plan)
}

fn convert(plan: &mut Logical) {
    plan.children_mut().into_iter().for_each(convert);
    if let Logical::Join(join) = plan
        && join.kind == JoinKind::Semi
        && !join.apply
        && join.null_aware.is_empty()
        && has_one_match(join)
    {
        join.kind = JoinKind::Inner;
    }
}

fn has_one_match(join: &Join) -> bool {
    let joined: BTreeSet<u64> = join
        .equalities()
        .iter()
        .filter_map(|(_, right, null_safe, _)| match right {
            Expr::Column(column) if !null_safe => Some(column.unique_id),
            _ => None,
        })
        .collect();
    !joined.is_empty() && join.right.unique_keys().iter().any(|key| key.is_subset(&joined))
}
