//! Joins: by hash, by index, by repeated evaluation.

use std::sync::Arc;

use tidewater_expr::{ColumnRef, Expr};
use tidewater_types::Collation;

use super::reader::Task;
use super::{Optimizer, Order, base, bind, bind_all, cost};
use crate::PlanError;
use crate::expr_tools::call;
use crate::logical::{Join, Logical, make_nullable};
use crate::physical::*;

/// What a join's conditions come to: keys over each side, and the rest.
pub(crate) struct JoinConditions {
    pub(crate) keys: Vec<JoinKey>,
    pub(crate) others: Vec<Expr>,
}

impl Optimizer<'_> {
    pub(crate) fn join(&mut self, plan: &Logical, join: &Join) -> Result<Task, PlanError> {
        let hash = self.hash_join(plan, join)?;
        match self.index_join(plan, join)? {
            Some(index) if index.cost < hash.cost => Ok(index),
            _ => Ok(hash),
        }
    }

    fn hash_join(&mut self, plan: &Logical, join: &Join) -> Result<Task, PlanError> {
        let left = self.best(&join.left, &Order::none())?;
        let right = self.best(&join.right, &Order::none())?;
        let rows = self.estimator.rows(plan);
        let (left_rows, right_rows) = (left.rows(), right.rows());
        let build = if join.kind.is_semi()
            || left_rows * left.schema().len() as f64 >= right_rows * right.schema().len() as f64
        {
            BuildSide::Right
        } else {
            BuildSide::Left
        };
        let (build_rows, probe_rows) =
            if build == BuildSide::Right { (right_rows, left_rows) } else { (left_rows, right_rows) };
        let conditions = split_conditions(join);
        let pairs = if conditions.keys.is_empty() && join.null_aware.is_empty() {
            build_rows * probe_rows * 0.3
        } else {
            0.0
        };
        let total = left.cost_at_root()
            + right.cost_at_root()
            + cost::hash_join(build_rows, probe_rows, rows)
            + pairs;
        let (left, right) = (Arc::new(left.close()), Arc::new(right.close()));
        let both = both_schemas(&left, &right);
        let node = HashJoin {
            base: base(rows, output_schema(join, &left, &right)),
            kind: join.kind,
            build,
            keys: bind_keys(conditions.keys, left.schema(), right.schema()),
            null_aware_keys: self.null_aware_keys(join, &left, &right)?,
            other_conditions: bind_all(conditions.others, &both),
            left,
            right,
        };
        Ok(Task::root(PhysicalPlan::HashJoin(node), total))
    }

    pub(crate) fn apply(&mut self, plan: &Logical, join: &Join) -> Result<Task, PlanError> {
        let outer = self.best(&join.left, &Order::none())?;
        let inner = self.best(&join.right, &Order::none())?;
        let rows = self.estimator.rows(plan);
        let total = outer.cost_at_root() + outer.rows().max(1.0) * (inner.cost_at_root() + 10.0);
        let (outer, inner) = (Arc::new(outer.close()), Arc::new(inner.close()));
        let both = both_schemas(&outer, &inner);
        let node = Apply {
            base: base(rows, output_schema(join, &outer, &inner)),
            kind: join.kind,
            correlated: self.correlated_columns(&join.right, outer.schema()),
            null_aware_keys: self.null_aware_keys(join, &outer, &inner)?,
            conditions: bind_all(join.conditions.clone(), &both),
            outer,
            inner,
        };
        Ok(Task::root(PhysicalPlan::Apply(node), total))
    }

    fn null_aware_keys(
        &self,
        join: &Join,
        left: &PhysicalPlan,
        right: &PhysicalPlan,
    ) -> Result<Vec<JoinKey>, PlanError> {
        let mut keys = Vec::new();
        for (l, r) in &join.null_aware {
            // The comparison decides the collation.
            let collation = match call("eq", vec![l.clone(), r.clone()], self.eval)? {
                Expr::Function(call) => call.collation,
                _ => Collation::Binary,
            };
            keys.push(JoinKey {
                left: bind(l.clone(), left.schema()),
                right: bind(r.clone(), right.schema()),
                collation,
                null_safe: false,
            });
        }
        Ok(keys)
    }
}

/// Keys (not bound to positions yet) and other conditions.
pub(crate) fn split_conditions(join: &Join) -> JoinConditions {
    let equalities = join.equalities();
    let mut others = Vec::new();
    let mut keys = Vec::new();
    for (position, condition) in join.conditions.iter().enumerate() {
        let found = equalities.iter().find(|(_, _, _, at)| *at == position);
        match (found, condition) {
            (Some((left, right, null_safe, _)), Expr::Function(call)) => keys.push(JoinKey {
                left: left.clone(),
                right: right.clone(),
                collation: call.collation,
                null_safe: *null_safe,
            }),
            _ => others.push(condition.clone()),
        }
    }
    JoinConditions { keys, others }
}

pub(crate) fn bind_keys(keys: Vec<JoinKey>, left: &[ColumnRef], right: &[ColumnRef]) -> Vec<JoinKey> {
    keys.into_iter()
        .map(|key| JoinKey { left: bind(key.left, left), right: bind(key.right, right), ..key })
        .collect()
}

pub(crate) fn both_schemas(left: &PhysicalPlan, right: &PhysicalPlan) -> Vec<ColumnRef> {
    left.schema().iter().chain(right.schema().iter()).cloned().collect()
}

/// The columns of a join's output; those an outer join may pad are nullable.
pub(crate) fn output_schema(join: &Join, left: &PhysicalPlan, right: &PhysicalPlan) -> Vec<ColumnRef> {
    let mut schema = left.schema().to_vec();
    if join.kind == JoinKind::RightOuter {
        make_nullable(&mut schema);
    }
    if join.kind.has_mark() {
        schema.extend(join.mark.clone());
    } else if !join.kind.is_semi() {
        let mut columns = right.schema().to_vec();
        if join.kind == JoinKind::LeftOuter {
            make_nullable(&mut columns);
        }
        schema.extend(columns);
    }
    schema
}
