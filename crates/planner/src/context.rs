//! What a statement is planned with.

use tidewater_catalog::InfoSchema;
use tidewater_codec::TableId;
use tidewater_expr::EvalContext;
use tidewater_expr::pushdown::Dialect;
use tidewater_stats::StatsProvider;
use tidewater_types::{Datum, FieldType};

/// All that planning depends on: equal contexts and statements give equal plans.
pub struct PlanContext<'a> {
    /// What exists.
    pub info_schema: &'a InfoSchema,
    /// How much of it there is.
    pub stats: &'a dyn StatsProvider,
    /// The current database.
    pub current_db: Option<&'a str>,
    /// For folding constants; its `params` are the values of `?`.
    pub eval: &'a EvalContext,
    /// The types of `?`, in order.
    pub param_types: &'a [FieldType],
    /// Settings.
    pub vars: PlannerVars,
    /// Whether the current transaction has written to a table (its reads then need a UnionScan).
    pub dirty_tables: &'a dyn Fn(TableId) -> bool,
    /// The value of a system variable, by scope and lower-case name.
    pub system_variable: &'a SystemVariables<'a>,
}

/// Looks a system variable up by scope and lower-case name.
pub type SystemVariables<'a> = dyn Fn(Option<VariableScope>, &str) -> Option<(Datum, FieldType)> + 'a;

pub use tidewater_parser::ast::VariableScope;

/// What the stores are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PushdownTarget {
    /// Ours: they evaluate all that we do.
    #[default]
    Tidewater,
    /// Any TiKV: they evaluate what has a public signature.
    Tikv,
}

impl PushdownTarget {
    /// How expressions are written for them.
    pub fn dialect(self) -> Dialect {
        match self {
            PushdownTarget::Tidewater => Dialect::Tidewater,
            PushdownTarget::Tikv => Dialect::Public,
        }
    }
}

/// Settings of the planner.
#[derive(Clone, Debug)]
pub struct PlannerVars {
    /// Keep `?` as parameters instead of planning with their values, so that the plan may be used again. Where a value
    /// decides more than a range (LIMIT ?, a select list), the plan says that it is not cacheable.
    pub keep_parameters: bool,
    /// Nobody else writes: locking reads need no locks (autocommit, or an optimistic transaction).
    pub ignore_locks: bool,
    /// `tidb_opt_agg_push_down` and its kin: whether the store takes part.
    pub cop_push_down: bool,
    /// What the stores are: it decides what they can evaluate.
    pub pushdown: PushdownTarget,
    /// How many joined tables are ordered exhaustively; more are ordered greedily.
    pub join_reorder_threshold: usize,
    /// Rows that SELECT gives at most (`sql_select_limit`).
    pub select_limit: u64,
}

impl Default for PlannerVars {
    fn default() -> Self {
        PlannerVars {
            keep_parameters: false,
            ignore_locks: false,
            cop_push_down: true,
            pushdown: PushdownTarget::default(),
            join_reorder_threshold: 8,
            select_limit: u64::MAX,
        }
    }
}
