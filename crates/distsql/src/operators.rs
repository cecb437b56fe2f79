//! From a physical plan to running operators: everything that gives rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tidewater_executor::{
    ApplySpec, BoxedOperator, Correlation, ExecContext, ExecError, HashAggregate, HashJoin, HashJoinSpec, IndexJoin,
    IndexJoinSpec, KeyNulls, Limit, MaxOneRow, NestedLoopApply, Projection, RuntimeStats, Selection, Sort, SortKey,
    SortOrder, StreamAggregate, TopN, UnionAll, Values, instrument,
};
use tidewater_planner::{self as planner, PhysicalPlan};
use tidewater_types::Datum;

use crate::build::{build_lookup_reader, build_reader};
use crate::context::ReadContext;
use crate::error::ReadError;
use crate::union_scan::UnionScanReader;

/// Nodes whose operators belong to the session.
pub trait SessionNodes: Send + Sync {
    /// Rows of an information table.
    fn virtual_scan(
        &self,
        ctx: &ReadContext,
        node: &planner::VirtualTableScan,
    ) -> Result<BoxedOperator, ExecError>;

    /// Locks the rows that pass.
    fn select_lock(
        &self,
        ctx: &ReadContext,
        node: &planner::SelectLock,
        child: BoxedOperator,
    ) -> Result<BoxedOperator, ExecError>;
}

/// What each operator of a plan did, by the plan node's id (EXPLAIN ANALYZE).
#[derive(Clone, Debug, Default)]
pub struct OperatorStats(Arc<Mutex<BTreeMap<u32, Arc<RuntimeStats>>>>);

impl OperatorStats {
    /// The statistics of a node; runs of the same node (below an apply) share them.
    pub fn node(&self, plan_id: u32) -> Arc<RuntimeStats> {
        Arc::clone(self.0.lock().entry(plan_id).or_default())
    }

    /// The statistics of a node, if it was built.
    pub fn get(&self, plan_id: u32) -> Option<Arc<RuntimeStats>> {
        self.0.lock().get(&plan_id).cloned()
    }
}

/// Builds operators; cheap to clone.
#[derive(Clone)]
pub struct OperatorBuilder {
    session: Arc<dyn SessionNodes>,
    stats: Option<OperatorStats>,
}

impl OperatorBuilder {
    /// A builder that asks `session` for its nodes.
    pub fn new(session: Arc<dyn SessionNodes>) -> OperatorBuilder {
        OperatorBuilder { session, stats: None }
    }

    /// Counts what every operator does.
    #[must_use]
    pub fn with_stats(mut self, stats: OperatorStats) -> OperatorBuilder {
        self.stats = Some(stats);
        self
    }

    /// The operators of a query plan, not opened.
    pub fn build(&self, ctx: &ReadContext, plan: &PhysicalPlan) -> Result<BoxedOperator, ExecError> {
        self.build_node(ctx, plan, None)
    }

    /// `lookup`: the plan is the inner side of an index join and reads these keys only.
    fn build_node(
        &self,
        ctx: &ReadContext,
        plan: &PhysicalPlan,
        lookup: Option<&[Vec<Datum>]>,
    ) -> Result<BoxedOperator, ExecError> {
        let leaf = match lookup {
            None => build_reader(ctx, plan)?,
            Some(keys) => build_lookup_reader(ctx, plan, keys)?,
        };
        let operator = match leaf {
            Some(leaf) => leaf,
            None => self.build_inner_node(ctx, plan, lookup)?,
        };
        Ok(match &self.stats {
            None => operator,
            Some(stats) => instrument(operator, stats.node(plan.base().id)),
        })
    }

    fn build_inner_node(
        &self,
        ctx: &ReadContext,
        plan: &PhysicalPlan,
        lookup: Option<&[Vec<Datum>]>,
    ) -> Result<BoxedOperator, ExecError> {
        let exec = &ctx.exec;
        let child = |plan: &PhysicalPlan| self.build_node(ctx, plan, lookup);
        Ok(match plan {
            PhysicalPlan::Selection(node) => {
                Box::new(Selection::new(exec, child(&node.child)?, node.conditions.clone()))
            }
            PhysicalPlan::Projection(node) => Box::new(Projection::new(exec, child(&node.child)?, node.exprs.clone())),
            PhysicalPlan::UnionScan(node) => Box::new(UnionScanReader::new(ctx, node, child(&node.child)?)),
            _ if lookup.is_some() => return Err(ReadError::not_readable(plan).into()),
            PhysicalPlan::HashAgg(node) => Box::new(HashAggregate::new(
                exec,
                child(&node.child)?,
                node.group_by.clone(),
                node.aggregates.clone(),
            )?),
            PhysicalPlan::StreamAgg(node) => Box::new(StreamAggregate::new(
                exec,
                child(&node.child)?,
                node.group_by.clone(),
                node.aggregates.clone(),
            )?),
            PhysicalPlan::Sort(node) => Box::new(Sort::new(exec, child(&node.child)?, sort_keys(&node.by))),
            PhysicalPlan::TopN(node) => {
                Box::new(TopN::new(exec, child(&node.child)?, sort_keys(&node.by), node.offset, node.count))
            }
            PhysicalPlan::Limit(node) => Box::new(Limit::new(exec, child(&node.child)?, node.offset, node.count)),
            PhysicalPlan::HashJoin(node) => {
                let (left, right) = (child(&node.left)?, child(&node.right)?);
                Box::new(HashJoin::new(exec, left, right, hash_join_spec(node))?)
            }
            PhysicalPlan::IndexJoin(node) => self.index_join(ctx, node)?,
            PhysicalPlan::Apply(node) => self.apply(ctx, node)?,
            PhysicalPlan::UnionAll(node) => {
                let children = node.children.iter().map(|node| child(node)).collect::<Result<_, _>>()?;
                Box::new(UnionAll::new(exec, node.base.field_types(), children))
            }
            PhysicalPlan::TableDual(node) => table_dual(exec, node),
            PhysicalPlan::MaxOneRow(node) => Box::new(MaxOneRow::new(exec, child(&node.child)?)),
            PhysicalPlan::VirtualTableScan(node) => self.session.virtual_scan(ctx, node)?,
            PhysicalPlan::SelectLock(node) => self.session.select_lock(ctx, node, child(&node.child)?)?,
            PhysicalPlan::PointGet(_)
            | PhysicalPlan::BatchPointGet(_)
            | PhysicalPlan::TableReader(_)
            | PhysicalPlan::IndexReader(_)
            | PhysicalPlan::IndexLookUp(_)
            | PhysicalPlan::Insert(_)
            | PhysicalPlan::Update(_)
            | PhysicalPlan::Delete(_) => return Err(ReadError::not_readable(plan).into()),
        })
    }

    fn index_join(&self, ctx: &ReadContext, node: &planner::IndexJoin) -> Result<BoxedOperator, ExecError> {
        let outer = self.build(ctx, &node.outer)?;
        let (builder, ctx_for_inner, inner) = (self.clone(), ctx.clone(), Arc::clone(&node.inner));
        let factory = Box::new(move |exec: &ExecContext, keys: Vec<Vec<Datum>>| {
            builder.build_node(&ctx_for_inner.with_exec(exec.clone()), &inner, Some(&keys))
        });
        let build = if node.outer_is_left { planner::BuildSide::Right } else { planner::BuildSide::Left };
        let spec = IndexJoinSpec {
            inner_schema: node.inner.field_types(),
            lookup_keys: node.lookup_keys.clone(),
            join: HashJoinSpec {
                kind: join_kind(node.kind),
                build: build_side(build),
                keys: node.keys.iter().map(join_key).collect(),
                null_aware_keys: Vec::new(),
                other_conditions: node.other_conditions.clone(),
            },
        };
        Ok(Box::new(IndexJoin::new(&ctx.exec, outer, factory, spec)))
    }

    fn apply(&self, ctx: &ReadContext, node: &planner::Apply) -> Result<BoxedOperator, ExecError> {
        let outer = self.build(ctx, &node.outer)?;
        let (builder, ctx_for_inner, inner) = (self.clone(), ctx.clone(), Arc::clone(&node.inner));
        let factory = Box::new(move |exec: &ExecContext| {
            builder.build(&ctx_for_inner.with_exec(exec.clone()), &inner)
        });
        let spec = ApplySpec {
            kind: join_kind(node.kind),
            inner_schema: node.inner.field_types(),
            correlated: node
                .correlated
                .iter()
                .map(|column| Correlation { slot: column.slot, column: column.column.index })
                .collect(),
            null_aware_keys: node.null_aware_keys.iter().map(join_key).collect(),
            conditions: node.conditions.clone(),
        };
        Ok(Box::new(NestedLoopApply::new(&ctx.exec, outer, factory, spec)?))
    }
}

fn table_dual(exec: &ExecContext, node: &planner::TableDual) -> BoxedOperator {
    let schema = node.base.field_types();
    let count = usize::try_from(node.count).unwrap_or(usize::MAX);
    if schema.is_empty() {
        return Box::new(Values::dual(exec, count));
    }
    let row = vec![Datum::Null; schema.len()];
    Box::new(Values::from_rows(exec, schema, vec![row; count]))
}

fn hash_join_spec(node: &planner::HashJoin) -> HashJoinSpec {
    HashJoinSpec {
        kind: join_kind(node.kind),
        build: build_side(node.build),
        keys: node.keys.iter().map(join_key).collect(),
        null_aware_keys: node.null_aware_keys.iter().map(join_key).collect(),
        other_conditions: node.other_conditions.clone(),
    }
}

fn join_key(key: &planner::JoinKey) -> tidewater_executor::JoinKey {
    tidewater_executor::JoinKey {
        left: key.left.clone(),
        right: key.right.clone(),
        collation: key.collation,
        nulls: if key.null_safe { KeyNulls::Equal } else { KeyNulls::Reject },
    }
}

fn join_kind(kind: planner::JoinKind) -> tidewater_executor::JoinKind {
    match kind {
        planner::JoinKind::Inner => tidewater_executor::JoinKind::Inner,
        planner::JoinKind::LeftOuter => tidewater_executor::JoinKind::LeftOuter,
        planner::JoinKind::RightOuter => tidewater_executor::JoinKind::RightOuter,
        planner::JoinKind::Semi => tidewater_executor::JoinKind::Semi,
        planner::JoinKind::AntiSemi => tidewater_executor::JoinKind::AntiSemi,
        planner::JoinKind::LeftOuterSemi => tidewater_executor::JoinKind::LeftOuterSemi,
        planner::JoinKind::AntiLeftOuterSemi => tidewater_executor::JoinKind::AntiLeftOuterSemi,
    }
}

fn build_side(side: planner::BuildSide) -> tidewater_executor::BuildSide {
    match side {
        planner::BuildSide::Left => tidewater_executor::BuildSide::Left,
        planner::BuildSide::Right => tidewater_executor::BuildSide::Right,
    }
}

/// ORDER BY items as the executor takes them.
pub fn sort_keys(items: &[planner::SortItem]) -> Vec<SortKey> {
    let order = |desc| if desc { SortOrder::Descending } else { SortOrder::Ascending };
    items.iter().map(|item| SortKey { expr: item.expr.clone(), order: order(item.desc) }).collect()
}
