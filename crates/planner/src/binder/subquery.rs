//! Subqueries in expressions: joins above the plan so far.
//!
//! | written | as a condition of WHERE | as a value |
//! | --- | --- | --- |
//! | `EXISTS (q)` | semi join | mark join |
//! | `x IN (q)`, `x = ANY (q)` | semi join on `x = column` | mark join |
//! | `x NOT IN (q)`, `x <> ALL (q)` | anti semi join, NULL-aware | mark join, negated |
//! | `(q)` | left join with at most one row | the same |
//! | `x < ANY (q)`, `x > ALL (q)` .. | comparison with MIN or MAX, with a look at counts and NULLs | the same |
//!
//! Whether the right side refers to the left one's columns is seen after binding; if so, the join is an apply, and a rule
//! tries to make a plain join of it.

use std::collections::BTreeSet;
use std::rc::Rc;

use tidewater_expr::{AggregateCall, AggregateFunction, ColumnRef, Expr};
use tidewater_parser::ast;
use tidewater_types::{Datum, FieldType, TypeFlags};

use super::expr::negated_subquery;
use super::{Binder, Bound, Env};
use crate::PlanError;
use crate::expr_tools::{correlated_ids, split_and};
use crate::logical::{Aggregation, Join, Logical};
use crate::physical::JoinKind;

impl Binder<'_> {
    /// Binds a condition and filters `env.plan` by it. Conjuncts that are subquery predicates become semi joins.
    pub(super) fn bind_filter(&mut self, env: &mut Env<'_>, condition: &ast::Expr) -> Result<(), PlanError> {
        let mut conjuncts = Vec::new();
        split_ast_and(condition, &mut conjuncts);
        let mut conditions = Vec::new();
        let mut predicates = Vec::new();
        let rewritten: Vec<Option<ast::Expr>> =
            conjuncts.iter().map(|conjunct| as_membership(conjunct)).collect();
        for (conjunct, rewritten) in conjuncts.into_iter().zip(&rewritten) {
            let conjunct = rewritten.as_ref().unwrap_or(conjunct);
            if is_subquery_predicate(conjunct) {
                predicates.push(conjunct);
                continue;
            }
            let bound = self.bind_expr(env, conjunct)?;
            split_and(bound, &mut conditions);
        }
        env.plan.replace_with(|plan| plan.filtered(conditions));
        for predicate in predicates {
            self.bind_predicate(env, predicate)?;
        }
        Ok(())
    }

    fn bind_predicate(&mut self, env: &mut Env<'_>, predicate: &ast::Expr) -> Result<(), PlanError> {
        match predicate {
            ast::Expr::Exists(query) => self.semi_exists(env, query, JoinKind::Semi),
            ast::Expr::Unary { op: ast::UnaryOp::Not, expr } => match &**expr {
                ast::Expr::Exists(query) => self.semi_exists(env, query, JoinKind::AntiSemi),
                other => match negated_subquery(other) {
                    Some(negated) => self.bind_predicate(env, &negated),
                    None => Err(PlanError::Unsupported("this predicate".to_owned())),
                },
            },
            ast::Expr::InSubquery { expr, query, negated } => {
                let kind = if *negated { JoinKind::AntiSemi } else { JoinKind::Semi };
                self.semi_in(env, expr, query, kind)?;
                Ok(())
            }
            _ => Err(PlanError::Unsupported("this predicate".to_owned())),
        }
    }

    fn semi_exists(
        &mut self,
        env: &mut Env<'_>,
        query: &ast::Query,
        kind: JoinKind,
    ) -> Result<(), PlanError> {
        let inner = self.bind_inner(env, query)?;
        self.attach(env, inner.plan, kind, Vec::new(), Vec::new());
        Ok(())
    }

    /// `EXISTS` as a value.
    pub(super) fn bind_exists(&mut self, env: &mut Env<'_>, query: &ast::Query) -> Result<Expr, PlanError> {
        let inner = self.bind_inner(env, query)?;
        let mark = self.attach(env, inner.plan, JoinKind::LeftOuterSemi, Vec::new(), Vec::new());
        mark.map(Expr::Column).ok_or(PlanError::OperandColumns(1))
    }

    /// `IN (query)` as a value.
    pub(super) fn bind_in_subquery(
        &mut self,
        env: &mut Env<'_>,
        expr: &ast::Expr,
        query: &ast::Query,
        negated: bool,
    ) -> Result<Expr, PlanError> {
        let kind = if negated { JoinKind::AntiLeftOuterSemi } else { JoinKind::LeftOuterSemi };
        let mark = self.semi_in(env, expr, query, kind)?;
        mark.map(Expr::Column).ok_or(PlanError::OperandColumns(1))
    }

    fn semi_in(
        &mut self,
        env: &mut Env<'_>,
        expr: &ast::Expr,
        query: &ast::Query,
        kind: JoinKind,
    ) -> Result<Option<ColumnRef>, PlanError> {
        let left = self.bind_row(env, expr)?;
        let inner = self.bind_inner(env, query)?;
        if inner.columns.len() != left.len() {
            return Err(PlanError::OperandColumns(left.len()));
        }
        let (mut conditions, mut null_aware) = (Vec::new(), Vec::new());
        for (left, column) in left.into_iter().zip(&inner.columns) {
            let right = Expr::Column(column.column.clone());
            // The cast MySQL's comparison makes belongs to both sides of the key.
            let equal = self.call("eq", vec![left, right])?;
            let Expr::Function(call) = &equal else {
                return Err(PlanError::OperandColumns(1));
            };
            let (l, r) = (call.args[0].clone(), call.args[1].clone());
            let never_null = l.field_type().is_not_null() && r.field_type().is_not_null();
            // For a semi join "unknown" is as good as "no".
            if kind == JoinKind::Semi || never_null {
                conditions.push(equal);
            } else {
                null_aware.push((l, r));
            }
        }
        Ok(self.attach(env, inner.plan, kind, conditions, null_aware))
    }

    /// The columns of a scalar (or row) subquery.
    pub(super) fn bind_scalar_subquery(
        &mut self,
        env: &mut Env<'_>,
        query: &ast::Query,
    ) -> Result<Vec<Expr>, PlanError> {
        let inner = self.bind_inner(env, query)?;
        let columns: Vec<ColumnRef> = inner
            .columns
            .iter()
            .map(|column| {
                let mut column = column.column.clone();
                column.field_type.flags.remove(TypeFlags::NOT_NULL);
                column
            })
            .collect();
        // A query of one row without tables is only an expression.
        let at_most_one = inner.plan.unique_keys().iter().any(BTreeSet::is_empty);
        let is_one_group = matches!(&inner.plan, Logical::Projection { child, .. }
            if matches!(&**child, Logical::Aggregation(agg) if agg.group_by.is_empty()));
        let plan = if at_most_one || is_one_group {
            inner.plan
        } else {
            Logical::MaxOneRow { child: Box::new(inner.plan) }
        };
        self.attach(env, plan, JoinKind::LeftOuter, Vec::new(), Vec::new());
        Ok(columns.into_iter().map(Expr::Column).collect())
    }

    /// `x op ANY (query)` and `x op ALL (query)`.
    pub(super) fn bind_quantified(
        &mut self,
        env: &mut Env<'_>,
        left: &ast::Expr,
        op: ast::BinaryOp,
        quantifier: ast::Quantifier,
        query: &ast::Query,
    ) -> Result<Expr, PlanError> {
        use ast::{BinaryOp as Op, Quantifier as Q};
        match (op, quantifier) {
            (Op::Eq, Q::Any) => return self.bind_in_subquery(env, left, query, false),
            (Op::Ne, Q::All) => return self.bind_in_subquery(env, left, query, true),
            _ => {}
        }
        let left = self.bind_expr(env, left)?;
        let inner = self.bind_inner(env, query)?;
        let [column] = inner.columns.as_slice() else {
            return Err(PlanError::OperandColumns(1));
        };
        let value = Expr::Column(column.column.clone());
        let is_null = self.call("isnull", vec![value.clone()])?;
        let mut aggregates = Vec::new();
        for (function, arg) in [
            (AggregateFunction::Min, value.clone()),
            (AggregateFunction::Max, value),
            (AggregateFunction::Count, Expr::int(1)),
            (AggregateFunction::Sum, is_null),
        ] {
            let call = AggregateCall::new(function, vec![arg], false, self.cx.eval)?;
            let column = self.computed_column(call.field_type.clone());
            aggregates.push((call, column));
        }
        let [least, greatest, count, nulls] =
            [0, 1, 2, 3].map(|position: usize| Expr::Column(aggregates[position].1.clone()));
        let plan = Logical::Aggregation(Box::new(Aggregation {
            child: inner.plan,
            group_by: Vec::new(),
            aggregates,
        }));
        self.attach(env, plan, JoinKind::LeftOuter, Vec::new(), Vec::new());
        let name = super::expr::operator_name(op);
        let all = quantifier == Q::All;
        let against =
            |binder: &Self, name: &str, bound: &Expr| binder.call(name, vec![left.clone(), bound.clone()]);
        // What holds for the values that are not NULL.
        let holds = match (op, all) {
            (Op::Lt | Op::Le, true) | (Op::Gt | Op::Ge, false) => against(self, name, &least)?,
            (Op::Gt | Op::Ge, true) | (Op::Lt | Op::Le, false) => against(self, name, &greatest)?,
            (Op::Eq, true) => {
                let both = vec![against(self, "eq", &least)?, against(self, "eq", &greatest)?];
                self.call("and", both)?
            }
            (Op::Ne, false) => {
                let either = vec![against(self, "ne", &least)?, against(self, "ne", &greatest)?];
                self.call("or", either)?
            }
            _ => return Err(PlanError::Unsupported("<=> with ANY or ALL".to_owned())),
        };
        // A NULL among the values leaves ALL unknown unless it is false already, and ANY unless it is true already.
        let null = Expr::Literal { value: Datum::Null, field_type: FieldType::int() };
        let with_nulls = self.call(if all { "and" } else { "or" }, vec![holds.clone(), null])?;
        let has_nulls = self.call("gt", vec![nulls, Expr::int(0)])?;
        let some = self.call("if", vec![has_nulls, with_nulls, holds])?;
        let is_empty = self.call("eq", vec![count, Expr::int(0)])?;
        self.call("if", vec![is_empty, Expr::int(i64::from(all)), some])
    }

    /// Binds a query that sees the columns of `env`.
    fn bind_inner(&mut self, env: &Env<'_>, query: &ast::Query) -> Result<Bound, PlanError> {
        self.outer.push(Rc::clone(env.scope_of_subqueries.as_ref().unwrap_or(&env.scope)));
        let inner = self.deeper(|binder| binder.bind_query(query));
        self.outer.pop();
        inner
    }

    /// Joins a subquery's plan to the plan so far; gives the mark column, if the kind has one.
    fn attach(
        &mut self,
        env: &mut Env<'_>,
        inner: Logical,
        kind: JoinKind,
        conditions: Vec<Expr>,
        null_aware: Vec<(Expr, Expr)>,
    ) -> Option<ColumnRef> {
        let may_be_unknown = !null_aware.is_empty();
        let mark = kind.has_mark().then(|| {
            let field_type = if may_be_unknown { FieldType::int() } else { FieldType::int().not_null() };
            self.computed_column(field_type)
        });
        let outer_columns = env.plan.column_ids();
        let apply = refers_to(&inner, &outer_columns);
        env.plan.replace_with(|left| {
            Logical::Join(Box::new(Join {
                kind,
                left,
                right: inner,
                conditions,
                null_aware,
                mark: mark.clone(),
                apply,
                straight: false,
            }))
        });
        mark
    }
}

/// Whether a plan reads outer columns that are among `columns`.
pub(crate) fn refers_to(plan: &Logical, columns: &BTreeSet<u64>) -> bool {
    let mut refers = false;
    plan.for_each(&mut |node| {
        for expr in node.exprs() {
            refers |= correlated_ids(expr).iter().any(|id| columns.contains(id));
        }
    });
    refers
}

fn split_ast_and<'e>(expr: &'e ast::Expr, out: &mut Vec<&'e ast::Expr>) {
    match expr {
        ast::Expr::Binary { left, op: ast::BinaryOp::And, right } => {
            split_ast_and(left, out);
            split_ast_and(right, out);
        }
        other => out.push(other),
    }
}

/// `= ANY` is IN, `<> ALL` is NOT IN.
fn as_membership(expr: &ast::Expr) -> Option<ast::Expr> {
    let ast::Expr::Quantified { left, op, quantifier, query } = expr else {
        return None;
    };
    let negated = match (op, quantifier) {
        (ast::BinaryOp::Eq, ast::Quantifier::Any) => false,
        (ast::BinaryOp::Ne, ast::Quantifier::All) => true,
        _ => return None,
    };
    Some(ast::Expr::InSubquery { expr: left.clone(), query: query.clone(), negated })
}

fn is_subquery_predicate(expr: &ast::Expr) -> bool {
    match expr {
        ast::Expr::Exists(_) | ast::Expr::InSubquery { .. } => true,
        ast::Expr::Unary { op: ast::UnaryOp::Not, expr } => {
            matches!(&**expr, ast::Expr::Exists(_) | ast::Expr::InSubquery { .. })
        }
        _ => false,
    }
}
