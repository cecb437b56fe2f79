//! Rewriting of logical plans: THE ordered list of rules.
//!
//! Each rule keeps the result of the plan and may only make it cheaper to find. Rules that are worth running again after
//! others stand in the list twice.

mod decorrelate;
mod eliminate_aggregation;
mod eliminate_max_min;
mod eliminate_projection;
mod eliminate_sort;
mod outer_to_anti;
mod outer_to_inner;
mod prune_columns;
mod push_down_filter;
mod push_down_limit;
mod reorder_joins;
mod semi_to_inner;
mod simplify;

use std::collections::BTreeSet;
use std::sync::Arc;

use tidewater_expr::{ColumnRef, EvalContext};
use tidewater_types::FieldType;

use crate::logical::Logical;
use crate::{PlanError, PlannerVars};

/// What rules work with.
pub(crate) struct RuleContext<'a> {
    pub(crate) eval: &'a EvalContext,
    pub(crate) vars: &'a PlannerVars,
    pub(crate) next_id: u64,
    /// The columns the statement needs of the plan.
    pub(crate) required: BTreeSet<u64>,
}

/// A rule: its name (for golden tests) and what it does.
pub(crate) type Rule = (&'static str, fn(Logical, &mut RuleContext<'_>) -> Result<Logical, PlanError>);

/// In the order they run.
pub(crate) const RULES: &[Rule] = &[
    ("simplify", simplify::apply),
    ("prune_columns", prune_columns::apply),
    ("decorrelate", decorrelate::apply),
    ("eliminate_aggregation", eliminate_aggregation::apply),
    ("push_down_filter", push_down_filter::apply),
    ("outer_to_anti", outer_to_anti::apply),
    ("eliminate_max_min", eliminate_max_min::apply),
    ("prune_columns", prune_columns::apply),
    ("semi_to_inner", semi_to_inner::apply),
    ("reorder_joins", reorder_joins::apply),
    ("push_down_filter", push_down_filter::apply),
    ("eliminate_sort", eliminate_sort::apply),
    ("push_down_limit", push_down_limit::apply),
    ("prune_columns", prune_columns::apply),
    ("eliminate_projection", eliminate_projection::apply),
];

/// Runs all rules.
pub(crate) fn rewrite(mut plan: Logical, cx: &mut RuleContext<'_>) -> Result<Logical, PlanError> {
    for (_, rule) in RULES {
        plan = rule(plan, cx)?;
    }
    Ok(plan)
}

impl RuleContext<'_> {
    /// A column nobody has yet.
    pub(crate) fn new_column(&mut self, field_type: FieldType) -> ColumnRef {
        let unique_id = self.next_id;
        self.next_id += 1;
        let name: Arc<str> = format!("Column#{unique_id}").into();
        ColumnRef { unique_id, index: 0, field_type, name }
    }
}

/// No rows, with the columns of `plan`.
pub(crate) fn empty(plan: &Logical) -> Logical {
    Logical::Dual { rows: 0, schema: plan.schema() }
}
