//! One SELECT, clause by clause.

use std::rc::Rc;
use std::sync::Arc;

use tidewater_expr::{AggregateCall, AggregateFunction, ColumnRef, Expr};
use tidewater_parser::ast;
use tidewater_types::SqlMode;

use super::aggregate::find_aggregates;
use super::from::From;
use super::grouping::Grouping;
use super::query::position_of;
use super::{Binder, Bound, BoundAggregate, Env, Scope, ScopeColumn};
use crate::PlanError;
use crate::expr_tools::{column_ids, same};
use crate::logical::{Aggregation, Logical};
use crate::physical::SortItem;

/// Longest name of a result column in bytes.
const COLUMN_NAME_BYTES_MAX: usize = 256;

/// A member of the select list, `*` expanded.
struct Item<'s> {
    expr: ItemExpr<'s>,
    name: Arc<str>,
    has_alias: bool,
}

enum ItemExpr<'s> {
    /// From `*`.
    Column(ScopeColumn),
    Ast(&'s ast::Expr),
}

impl Binder<'_> {
    /// A SELECT with the ORDER BY and the locks that stand behind it; LIMIT is the caller's.
    pub(super) fn bind_select(
        &mut self,
        select: &ast::Select,
        order_by: &[ast::OrderItem],
        locks: &[ast::Locking],
    ) -> Result<Bound, PlanError> {
        if select.rollup {
            return Err(PlanError::Unsupported("WITH ROLLUP".to_owned()));
        }
        let From { plan, scope } = self.bind_from(&select.from)?;
        let mut plan = plan;
        if select.modifiers.straight_join {
            keep_join_order(&mut plan);
        }
        let mut env = Env { scope: Rc::new(scope), plan, ..Env::empty("where clause") };
        if let Some(condition) = &select.selection {
            self.bind_filter(&mut env, condition)?;
        }
        env.plan = {
            let plan = env.plan.take();
            self.bind_locks(plan, locks)?
        };
        let items = self.expand_items(select, &env.scope)?;

        // Grouping.
        let mut found = Vec::new();
        for item in &items {
            if let ItemExpr::Ast(expr) = item.expr {
                find_aggregates(expr, &mut found);
            }
        }
        if let Some(having) = &select.having {
            find_aggregates(having, &mut found);
        }
        for item in order_by {
            find_aggregates(&item.expr, &mut found);
        }
        let grouped = !found.is_empty() || !select.group_by.is_empty();
        let mut aggregates: Vec<BoundAggregate> = Vec::new();
        let mut grouping = None;
        if grouped {
            let (uses, keys) = self.bind_grouping(&mut env, select, &items, found)?;
            aggregates = uses;
            grouping = Some(Grouping::new(keys, &env.plan, self.cx.eval.sql_mode));
        }
        let env_aggregates = grouped.then_some(aggregates.as_slice());

        // The select list.
        let mut env =
            Env { scope: env.scope, plan: env.plan, aggregates: env_aggregates, ..Env::empty("field list") };
        let mut exprs = Vec::with_capacity(items.len());
        let mut columns = Vec::with_capacity(items.len());
        for item in &items {
            let (expr, mut column) = match &item.expr {
                ItemExpr::Column(column) => (Expr::Column(column.column.clone()), column.clone()),
                ItemExpr::Ast(ast) => {
                    let expr = self.bind_expr(&mut env, ast)?;
                    let column = self.output_column(&env.scope, ast, &expr);
                    (expr, column)
                }
            };
            column.name = Arc::clone(&item.name);
            exprs.push(expr);
            columns.push(column);
        }
        if let Some(grouping) = &grouping {
            for (position, expr) in exprs.iter_mut().enumerate() {
                grouping.check(expr, position + 1, "SELECT list")?;
                *expr = grouping.show_keys(expr.clone());
            }
        }
        let aliases: Vec<(Arc<str>, Expr)> = items
            .iter()
            .zip(&exprs)
            .filter(|(item, _)| item.has_alias)
            .map(|(item, expr)| (Arc::clone(&item.name), expr.clone()))
            .collect();

        // HAVING: like WHERE, but the select list is in sight, and hides columns unless they are grouped by.
        let is_grouped = |name: &Arc<str>| {
            let name = ast::ColumnName::bare(&**name);
            let found = env.scope.resolve(&name, "having clause").ok().flatten();
            found.is_some_and(|column| {
                grouping.as_ref().is_some_and(|grouping| grouping.has_key(&column.column))
            })
        };
        let having_aliases: Vec<_> = aliases.iter().filter(|(name, _)| !is_grouped(name)).cloned().collect();
        let scope = Rc::clone(&env.scope);
        let mut env = Env {
            scope: having_scope(&scope, &exprs, grouping.as_ref()).into(),
            scope_of_subqueries: Some(Rc::clone(&scope)),
            aliases: &having_aliases,
            alias_first: true,
            clause: "having clause",
            ..env
        };
        if let Some(having) = &select.having {
            self.bind_filter(&mut env, having)?;
        }

        // ORDER BY, before the select list narrows the columns.
        let mut env = Env {
            scope,
            scope_of_subqueries: None,
            aliases: &aliases,
            clause: "order clause",
            alias_first: true,
            ..env
        };
        let mut by = Vec::new();
        for (position, item) in order_by.iter().enumerate() {
            let expr = match position_of(&item.expr) {
                Some(at) => usize::try_from(at)
                    .ok()
                    .and_then(|at| exprs.get(at.checked_sub(1)?))
                    .cloned()
                    .ok_or_else(|| PlanError::UnknownColumn {
                        column: at.to_string(),
                        clause: "order clause",
                    })?,
                None => self.bind_expr(&mut env, &item.expr)?,
            };
            let expr = match &grouping {
                Some(grouping) => {
                    grouping.check(&expr, position + 1, "ORDER BY")?;
                    grouping.show_keys(expr)
                }
                None => expr,
            };
            by.push((expr, item.descending));
        }
        let plan = env.plan;
        self.project(plan, exprs, columns, by, select.distinct)
    }

    /// The select list as a projection, then DISTINCT, then ORDER BY; order expressions that are not in the list become
    /// further columns.
    fn project(
        &mut self,
        plan: Logical,
        mut exprs: Vec<Expr>,
        mut columns: Vec<ScopeColumn>,
        order: Vec<(Expr, bool)>,
        distinct: bool,
    ) -> Result<Bound, PlanError> {
        let (plan, order) = sorted_first(plan, &exprs, order, distinct);
        let visible = exprs.len();
        let mut schema: Vec<ColumnRef> = Vec::new();
        for (expr, column) in exprs.iter().zip(&mut columns) {
            // A column keeps its id, so that keys and orders stay known above; twice the same column needs a second id.
            let own = match expr {
                Expr::Column(source) if !schema.iter().any(|other| other.unique_id == source.unique_id) => {
                    source.clone()
                }
                Expr::Column(source) => self.new_column(Arc::clone(&source.name), source.field_type.clone()),
                other => self.computed_column(other.field_type()),
            };
            column.column = own.clone();
            schema.push(own);
        }
        let mut by = Vec::new();
        for (position, (expr, desc)) in order.into_iter().enumerate() {
            if matches!(expr, Expr::Literal { .. }) {
                continue;
            }
            let at = match exprs.iter().position(|other| same(other, &expr)) {
                Some(at) => at,
                None if distinct => {
                    let column = match column_ids(&expr).first() {
                        Some(_) => expr.to_string(),
                        None => continue,
                    };
                    if self.cx.eval.sql_mode.contains(SqlMode::ONLY_FULL_GROUP_BY) {
                        return Err(PlanError::OrderNotSelected { position: position + 1, column });
                    }
                    schema.push(self.computed_column(expr.field_type()));
                    exprs.push(expr);
                    exprs.len() - 1
                }
                None => {
                    schema.push(match &expr {
                        Expr::Column(source)
                            if !schema.iter().any(|other| other.unique_id == source.unique_id) =>
                        {
                            source.clone()
                        }
                        other => self.computed_column(other.field_type()),
                    });
                    exprs.push(expr);
                    exprs.len() - 1
                }
            };
            by.push(SortItem { expr: Expr::Column(schema[at].clone()), desc });
        }
        let mut plan = Logical::Projection { child: Box::new(plan), exprs, schema: schema.clone() };
        if distinct {
            let mut aggregates = Vec::new();
            for column in &schema[visible..] {
                let args = vec![Expr::Column(column.clone())];
                let call = AggregateCall::new(AggregateFunction::FirstRow, args, false, self.cx.eval)?;
                aggregates.push((call, column.clone()));
            }
            let group_by = schema[..visible]
                .iter()
                .map(|column| (Expr::Column(column.clone()), column.clone()))
                .collect();
            plan = Logical::Aggregation(Box::new(Aggregation { child: plan, group_by, aggregates }));
        }
        if !by.is_empty() {
            plan = Logical::Sort { child: Box::new(plan), by };
        }
        Ok(Bound { plan, columns })
    }

    fn expand_items<'s>(
        &mut self,
        select: &'s ast::Select,
        scope: &Scope,
    ) -> Result<Vec<Item<'s>>, PlanError> {
        let mut items = Vec::new();
        let from_star = |column: &ScopeColumn| Item {
            expr: ItemExpr::Column(column.clone()),
            name: Arc::clone(&column.name),
            has_alias: false,
        };
        for item in &select.items {
            match item {
                ast::SelectItem::Wildcard => {
                    if select.from.is_empty() {
                        return Err(PlanError::NoTablesUsed);
                    }
                    items.extend(scope.star().map(from_star));
                }
                ast::SelectItem::QualifiedWildcard(name) => {
                    let columns = scope.of_table(name);
                    if columns.is_empty() {
                        return Err(PlanError::UnknownTable(name.name.0.clone()));
                    }
                    items.extend(columns.into_iter().map(from_star));
                }
                ast::SelectItem::Expr { expr, alias, .. } => items.push(Item {
                    expr: ItemExpr::Ast(expr),
                    name: column_name(&item.name().unwrap_or_default()).into(),
                    has_alias: alias.is_some(),
                }),
            }
        }
        Ok(items)
    }

    /// How clients see an expression: a column keeps its origin.
    fn output_column(&self, scope: &Scope, ast: &ast::Expr, expr: &Expr) -> ScopeColumn {
        if let (ast::Expr::Column(_), Expr::Column(column)) = (ast, expr)
            && let Some(found) = scope.columns.iter().find(|other| other.column.unique_id == column.unique_id)
        {
            return ScopeColumn { hidden: false, coalesced: false, ..found.clone() };
        }
        let placeholder =
            ColumnRef { unique_id: 0, index: 0, field_type: expr.field_type(), name: Arc::from("") };
        ScopeColumn::computed(placeholder, "")
    }

    /// Binds GROUP BY and the aggregates, and groups `env.plan`. All columns stay, as first-row aggregates.
    fn bind_grouping(
        &mut self,
        env: &mut Env<'_>,
        select: &ast::Select,
        items: &[Item<'_>],
        found: Vec<&ast::AggregateCall>,
    ) -> Result<(Vec<BoundAggregate>, Vec<Expr>), PlanError> {
        env.clause = "group statement";
        let mut keys: Vec<Expr> = Vec::new();
        for key in &select.group_by {
            let key = self.bind_group_key(env, key, items)?;
            if !keys.iter().any(|other| same(other, &key)) {
                keys.push(key);
            }
        }
        env.clause = "field list";
        let (uses, calls) = self.bind_aggregates(env, found)?;
        let mut aggregates: Vec<(AggregateCall, ColumnRef)> =
            calls.into_iter().zip(&uses).map(|(call, bound)| (call, bound.column.clone())).collect();
        let mut group_by = Vec::new();
        for key in &keys {
            let column = match key {
                Expr::Column(column) => column.clone(),
                other => self.computed_column(other.field_type()),
            };
            group_by.push((key.clone(), column));
        }
        let grouped: Vec<u64> = group_by.iter().map(|(_, column)| column.unique_id).collect();
        for column in env.plan.schema() {
            if grouped.contains(&column.unique_id) {
                continue;
            }
            let args = vec![Expr::Column(column.clone())];
            let call = AggregateCall::new(AggregateFunction::FirstRow, args, false, self.cx.eval)?;
            aggregates.push((call, column));
        }
        env.plan.replace_with(|child| {
            Logical::Aggregation(Box::new(Aggregation { child, group_by, aggregates }))
        });
        Ok((uses, keys))
    }

    /// A key of GROUP BY: a position in the select list, a column, an alias, or any other expression.
    fn bind_group_key(
        &mut self,
        env: &mut Env<'_>,
        key: &ast::Expr,
        items: &[Item<'_>],
    ) -> Result<Expr, PlanError> {
        if let Some(position) = position_of(key) {
            let item = usize::try_from(position).ok().and_then(|at| items.get(at.checked_sub(1)?));
            let item = item.ok_or_else(|| PlanError::UnknownColumn {
                column: position.to_string(),
                clause: "group statement",
            })?;
            return self.bind_group_item(env, item);
        }
        if let ast::Expr::Column(name) = key
            && name.table.is_none()
            && env.scope.resolve(name, env.clause)?.is_none()
            && let Some(item) =
                items.iter().find(|item| item.has_alias && name.name.eq_ignore_case(&item.name))
        {
            return self.bind_group_item(env, item);
        }
        let aliases = self.group_aliases(env, key, items)?;
        let mut inner = Env {
            scope: Rc::clone(&env.scope),
            plan: env.plan.take(),
            aliases: &aliases,
            ..Env::empty(env.clause)
        };
        let bound = self.bind_expr(&mut inner, key);
        env.plan = inner.plan;
        bound
    }

    fn bind_group_item(&mut self, env: &mut Env<'_>, item: &Item<'_>) -> Result<Expr, PlanError> {
        match &item.expr {
            ItemExpr::Column(column) => Ok(Expr::Column(column.column.clone())),
            ItemExpr::Ast(expr) => self.bind_expr(env, expr).map_err(|error| match error {
                PlanError::InvalidGroupFunction => PlanError::WrongGroupField(item.name.to_string()),
                other => other,
            }),
        }
    }

    /// The aliases a group key inside an expression may use.
    fn group_aliases(
        &mut self,
        env: &mut Env<'_>,
        key: &ast::Expr,
        items: &[Item<'_>],
    ) -> Result<Vec<(Arc<str>, Expr)>, PlanError> {
        let mut names = Vec::new();
        find_names(key, &mut names);
        let mut aliases = Vec::new();
        for item in items.iter().filter(|item| item.has_alias) {
            let used = names.iter().any(|name| {
                name.table.is_none()
                    && name.name.eq_ignore_case(&item.name)
                    && matches!(env.scope.resolve(name, env.clause), Ok(None))
            });
            if used {
                aliases.push((Arc::clone(&item.name), self.bind_group_item(env, item)?));
            }
        }
        Ok(aliases)
    }
}

/// A name of a result column, cut as MySQL cuts it: an expression over a value of many megabytes is named by its text.
fn column_name(name: &str) -> &str {
    let mut ends = (0..=COLUMN_NAME_BYTES_MAX.min(name.len())).rev();
    &name[..ends.find(|end| name.is_char_boundary(*end)).unwrap_or(0)]
}

/// The columns HAVING may name outside of aggregates: those that are selected or have one value per group. Any other
/// name is unknown there, or means a column of a block around.
fn having_scope(scope: &Scope, selected: &[Expr], grouping: Option<&Grouping>) -> Scope {
    scope.only(|column| {
        selected.iter().any(|expr| matches!(expr, Expr::Column(own) if own.unique_id == column.unique_id))
            || grouping.is_some_and(|grouping| grouping.determines(column))
    })
}

fn find_names<'e>(expr: &'e ast::Expr, names: &mut Vec<&'e ast::ColumnName>) {
    if let ast::Expr::Column(name) = expr {
        names.push(name);
    }
    for child in expr.children() {
        find_names(child, names);
    }
}

/// SELECT STRAIGHT_JOIN.
fn keep_join_order(plan: &mut Logical) {
    if let Logical::Join(join) = plan {
        join.straight = true;
    }
    for child in plan.children_mut() {
        keep_join_order(child);
    }
}

/// A select list that sets user variables is evaluated in the order of the result: `@n := @n + 1` numbers its rows. So
/// the rows are sorted before. Gives what is left to sort by.
fn sorted_first(
    plan: Logical,
    exprs: &[Expr],
    order: Vec<(Expr, bool)>,
    distinct: bool,
) -> (Logical, Vec<(Expr, bool)>) {
    let sets = exprs.iter().any(Expr::sets_variable);
    if !sets || distinct || order.is_empty() || order.iter().any(|(expr, _)| expr.sets_variable()) {
        return (plan, order);
    }
    let by = order.into_iter().map(|(expr, desc)| SortItem { expr, desc }).collect();
    (Logical::Sort { child: Box::new(plan), by }, Vec::new())
}
