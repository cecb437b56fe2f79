//! The short cut: statements that read or change one row, found by all columns of a unique key.
//!
//! Hot path: such statements are most of an OLTP load, and their plans are seen by looking at the syntax tree. Recognised
//! are `SELECT list FROM t WHERE key = constant [AND ..] [FOR UPDATE]`, and `UPDATE` and `DELETE` of one table with the same
//! WHERE, where the list and the new values have no subqueries and no aggregates. Everything else takes the long way, which
//! finds the same plans; only slower.

use tidewater_parser::ast;

use crate::physical::PhysicalPlan;
use crate::{Plan, PlanContext, PlanError};

/// Plans a statement that reads, locks, updates or deletes at most one row, found by all columns of a unique key;
/// `None` for all others. With [`PlannerVars::keep_parameters`](crate::PlannerVars::keep_parameters) the plan is the same
/// for all parameter values.
pub fn point_plan(statement: &ast::Statement, cx: &PlanContext<'_>) -> Result<Option<Plan>, PlanError> {
    let candidate = match statement {
        ast::Statement::Query(query) => is_point_query(query, cx),
        ast::Statement::Update(update) => {
            update.with.is_none()
                && update.order_by.is_empty()
                && update.limit.is_none()
                && update.assignments.iter().all(|assignment| is_simple(&assignment.value))
                && is_point(&update.tables, update.selection.as_ref(), cx)
        }
        ast::Statement::Delete(delete) => {
            delete.with.is_none()
                && delete.targets.is_empty()
                && delete.order_by.is_empty()
                && delete.limit.is_none()
                && is_point(&delete.from, delete.selection.as_ref(), cx)
        }
        _ => false,
    };
    if !candidate {
        return Ok(None);
    }
    let plan = crate::plan(statement, cx)?;
    Ok(ends_in_point(&plan.root).then_some(plan))
}

fn ends_in_point(plan: &PhysicalPlan) -> bool {
    match plan {
        PhysicalPlan::PointGet(_) => true,
        other => {
            let children = other.children();
            !children.is_empty() && children.iter().all(|child| ends_in_point(child))
        }
    }
}

fn is_point_query(query: &ast::Query, cx: &PlanContext<'_>) -> bool {
    let Some(select) = query.as_select() else {
        return false;
    };
    query.with.is_none()
        && query.order_by.is_empty()
        && query.limit.is_none()
        && query.into.is_none()
        && select.group_by.is_empty()
        && select.having.is_none()
        && !select.distinct
        && select.items.iter().all(|item| match item {
            ast::SelectItem::Wildcard | ast::SelectItem::QualifiedWildcard(_) => true,
            ast::SelectItem::Expr { expr, .. } => is_simple(expr),
        })
        && is_point(&select.from, select.selection.as_ref(), cx)
}

/// Whether the conditions fix all columns of a unique key of the one table.
fn is_point(from: &[ast::TableRef], selection: Option<&ast::Expr>, cx: &PlanContext<'_>) -> bool {
    let ([ast::TableRef::Table(factor)], Some(condition)) = (from, selection) else {
        return false;
    };
    let database = factor.name.schema.as_ref().map(|schema| schema.as_str()).or(cx.current_db);
    let info = database.and_then(|database| cx.info_schema.table(database, &factor.name.name));
    let Some(info) = info.filter(|info| !info.is_view() && !info.is_virtual()) else {
        return false;
    };
    let mut fixed: Vec<&str> = Vec::new();
    if !collect_fixed(condition, &mut fixed) {
        return false;
    }
    let has = |name: &tidewater_catalog::CiName| fixed.iter().any(|own| name.matches(own));
    info.handle_column().is_some_and(|column| has(&column.name))
        || info.public_indices().any(|index| index.unique && index.columns.iter().all(|part| has(&part.name)))
}

/// Adds the columns that are equal to constants; false if there is anything but simple conditions.
fn collect_fixed<'e>(expr: &'e ast::Expr, fixed: &mut Vec<&'e str>) -> bool {
    match expr {
        ast::Expr::Binary { left, op: ast::BinaryOp::And, right } => {
            collect_fixed(left, fixed) && collect_fixed(right, fixed)
        }
        ast::Expr::Binary { left, op: ast::BinaryOp::Eq, right } => {
            match (&**left, &**right) {
                (ast::Expr::Column(column), value) | (value, ast::Expr::Column(column))
                    if is_constant(value) =>
                {
                    fixed.push(&column.name);
                }
                _ => {}
            }
            is_simple(left) && is_simple(right)
        }
        other => is_simple(other),
    }
}

fn is_constant(expr: &ast::Expr) -> bool {
    match expr {
        ast::Expr::Literal(_) | ast::Expr::Parameter(_) => true,
        ast::Expr::Unary { op: ast::UnaryOp::Minus | ast::UnaryOp::Plus, expr } => is_constant(expr),
        _ => false,
    }
}

/// No subqueries, aggregates or windows inside.
fn is_simple(expr: &ast::Expr) -> bool {
    let own = !matches!(
        expr,
        ast::Expr::Subquery(_)
            | ast::Expr::Exists(_)
            | ast::Expr::InSubquery { .. }
            | ast::Expr::Quantified { .. }
            | ast::Expr::Aggregate(_)
            | ast::Expr::Window(_)
    );
    own && expr.children().into_iter().all(is_simple)
}
