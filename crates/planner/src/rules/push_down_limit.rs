//! LIMIT and ORDER BY .. LIMIT move towards the tables: sort and limit become one top-N; both pass projections, and a copy
//! goes into each side whose rows all come out: union operands, the preserved side of an outer join.

use std::collections::BTreeMap;

use tidewater_expr::Expr;

use super::{RuleContext, empty};
use crate::PlanError;
use crate::expr_tools::{covered_by, is_constant, same, substitute};
use crate::logical::Logical;
use crate::physical::{JoinKind, SortItem};

pub(crate) fn apply(plan: Logical, _: &mut RuleContext<'_>) -> Result<Logical, PlanError> {
    Ok(push(plan))
}

fn push(plan: Logical) -> Logical {
    let mut plan = match plan {
        Logical::Limit { count: 0, .. } | Logical::TopN { count: 0, .. } => return empty(&plan),
        Logical::Limit { child, offset, count } => match *child {
            Logical::Sort { child, by } => push_top_n(*child, by, offset, count),
            Logical::Limit { child, offset: inner_offset, count: inner_count } => {
                // The inner window is cut first.
                let left = inner_count.saturating_sub(offset);
                Logical::Limit { child, offset: inner_offset.saturating_add(offset), count: count.min(left) }
            }
            other => push_limit(other, offset, count),
        },
        Logical::TopN { child, by, offset, count } => push_top_n(*child, by, offset, count),
        other => other,
    };
    for child in plan.children_mut() {
        let inner = push(child.take());
        *child = inner;
    }
    plan
}

fn push_limit(plan: Logical, offset: u64, count: u64) -> Logical {
    let wanted = offset.saturating_add(count);
    match plan {
        Logical::Projection { child, exprs, schema } => {
            Logical::Projection { child: Box::new(push_limit(*child, offset, count)), exprs, schema }
        }
        Logical::Union { children, schema } => {
            let children = children.into_iter().map(|child| push_limit(child, 0, wanted)).collect();
            Logical::Limit { child: Box::new(Logical::Union { children, schema }), offset, count }
        }
        Logical::Join(mut join) if join.kind == JoinKind::LeftOuter => {
            // Every left row comes out at least once.
            join.left = push_limit(join.left, 0, wanted);
            Logical::Limit { child: Box::new(Logical::Join(join)), offset, count }
        }
        Logical::Limit { child, offset: inner_offset, count: inner_count }
            if inner_offset == 0 && offset == 0 =>
        {
            Logical::Limit { child, offset: 0, count: count.min(inner_count) }
        }
        other => Logical::Limit { child: Box::new(other), offset, count },
    }
}

fn push_top_n(plan: Logical, mut by: Vec<SortItem>, offset: u64, count: u64) -> Logical {
    by.retain(|item| !is_constant(&item.expr));
    if by.is_empty() {
        return push_limit(plan, offset, count);
    }
    let wanted = offset.saturating_add(count);
    match plan {
        Logical::Projection { child, exprs, schema } if exprs.iter().all(Expr::is_deterministic) => {
            let shown: BTreeMap<u64, Expr> =
                schema.iter().map(|column| column.unique_id).zip(exprs.iter().cloned()).collect();
            by.iter_mut().for_each(|item| substitute(&mut item.expr, &shown));
            Logical::Projection { child: Box::new(push_top_n(*child, by, offset, count)), exprs, schema }
        }
        Logical::Union { children, schema } => {
            let children = children
                .into_iter()
                .map(|child| {
                    let own: BTreeMap<u64, Expr> = schema
                        .iter()
                        .map(|column| column.unique_id)
                        .zip(child.schema().into_iter().map(Expr::Column))
                        .collect();
                    let mut by = by.clone();
                    by.iter_mut().for_each(|item| substitute(&mut item.expr, &own));
                    push_top_n(child, by, 0, wanted)
                })
                .collect();
            Logical::TopN { child: Box::new(Logical::Union { children, schema }), by, offset, count }
        }
        Logical::Join(mut join)
            if join.kind == JoinKind::LeftOuter && {
                let left = join.left.column_ids();
                by.iter().all(|item| covered_by(&item.expr, &left))
            } =>
        {
            join.left = push_top_n(join.left, by.clone(), 0, wanted);
            Logical::TopN { child: Box::new(Logical::Join(join)), by, offset, count }
        }
        Logical::Sort { child, .. } => push_top_n(*child, by, offset, count),
        Logical::TopN { child, by: inner, offset: 0, count: inner_count }
            if offset == 0
                && inner.len() == by.len()
                && inner.iter().zip(&by).all(|(a, b)| a.desc == b.desc && same(&a.expr, &b.expr)) =>
        {
            Logical::TopN { child, by, offset, count: count.min(inner_count) }
        }
        other => Logical::TopN { child: Box::new(other), by, offset, count },
    }
}
