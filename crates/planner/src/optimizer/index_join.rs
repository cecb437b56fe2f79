//! Index joins: for each batch of outer rows, only the inner rows with their keys.
//!
//! Worth it when the outer side is small beside the inner table. The inner side must be a table with an index (or handle)
//! whose leading columns the join's equalities, and equalities with constants, fix.

use std::sync::Arc;

use tidewater_expr::{Expr, build_cast};
use tidewater_types::FieldType;

use super::access::{index_columns, index_reader, source_width, table_reader};
use super::join::{bind_keys, both_schemas, output_schema, split_conditions};
use super::paths::Path;
use super::reader::{Node, Task};
use super::{Optimizer, Order, base, bind_all, cost};
use crate::PlanError;
use crate::expr_tools::as_call;
use crate::logical::{DataSource, Join, Logical};
use crate::physical::*;
use crate::ranges::{RangeColumn, Ranges};

impl Optimizer<'_> {
    /// The cheapest index join, if there is one.
    pub(crate) fn index_join(&mut self, plan: &Logical, join: &Join) -> Result<Option<Task>, PlanError> {
        if !join.null_aware.is_empty() || join.kind.has_mark() || join.apply {
            return Ok(None);
        }
        let mut best: Option<Task> = None;
        let outer_left = !matches!(join.kind, JoinKind::RightOuter);
        let outer_right = matches!(join.kind, JoinKind::Inner | JoinKind::RightOuter);
        for (possible, outer_is_left) in [(outer_left, true), (outer_right, false)] {
            let inner = if outer_is_left { &join.right } else { &join.left };
            let Logical::DataSource(source) = inner else { continue };
            if !possible || source.dirty || source.table.info.is_virtual() {
                continue;
            }
            if let Some(task) = self.index_join_into(plan, join, source, outer_is_left)?
                && best.as_ref().is_none_or(|best| task.cost < best.cost)
            {
                best = Some(task);
            }
        }
        Ok(best)
    }

    fn index_join_into(
        &mut self,
        plan: &Logical,
        join: &Join,
        source: &DataSource,
        outer_is_left: bool,
    ) -> Result<Option<Task>, PlanError> {
        let conditions = split_conditions(join);
        let pairs: Vec<(&Expr, &Expr)> = conditions
            .keys
            .iter()
            .filter(|key| !key.null_safe)
            .map(|key| if outer_is_left { (&key.left, &key.right) } else { (&key.right, &key.left) })
            .collect();
        if pairs.is_empty() {
            return Ok(None);
        }
        let mut chosen: Option<(Path, Vec<Expr>, f64)> = None;
        for path in self.paths(source) {
            let Some((lookup, joined)) = lookup_keys(&path, &pairs, source) else {
                continue;
            };
            let rows = self.rows_per_lookup(source, &path, lookup.len());
            let _ = joined;
            if chosen.as_ref().is_none_or(|(_, _, best)| rows < *best) {
                chosen = Some((path, lookup, rows));
            }
        }
        let Some((mut path, lookup, rows_per_key)) = chosen else {
            return Ok(None);
        };
        let outer = self.best(if outer_is_left { &join.left } else { &join.right }, &Order::none())?;
        let outer_rows = outer.rows().max(1.0);
        let matched = outer_rows * rows_per_key;
        path.ranges = Ranges::Lookup { columns: lookup.len() };
        path.is_full = false;
        path.rows = matched;
        // The ranges now say nothing of the conditions that had restricted them.
        path.filters = source.conditions.clone();
        let inner = self.inner_reader(source, &path)?;
        let rows = self.estimator.rows(plan);
        let total = outer.cost_at_root()
            + outer_rows * 2.0
            + inner.cost_at_root()
            + cost::hash_join(matched, outer_rows, rows);
        let (outer, inner) = (Arc::new(outer.close()), Arc::new(inner.close()));
        let (left, right) = if outer_is_left { (&outer, &inner) } else { (&inner, &outer) };
        let both = both_schemas(left, right);
        let node = IndexJoin {
            base: base(rows, output_schema(join, left, right)),
            outer_is_left,
            kind: join.kind,
            lookup_keys: bind_all(lookup, outer.schema()),
            keys: bind_keys(conditions.keys, left.schema(), right.schema()),
            other_conditions: bind_all(conditions.others, &both),
            outer,
            inner,
        };
        Ok(Some(Task::root(PhysicalPlan::IndexJoin(node), total)))
    }

    /// The reader of the inner side, with ranges to be filled in.
    fn inner_reader(&mut self, source: &DataSource, path: &Path) -> Result<Task, PlanError> {
        let mut columns = source.columns.clone();
        if columns.is_empty() {
            columns.extend(source.handle_columns());
        }
        let width = source_width(source);
        let seeks = cost::seek(path.rows);
        let (reader, total) = match &path.index {
            None => (table_reader(source, path, &columns, false, false), cost::fetch(path.rows, width)),
            Some(_) => {
                let given = index_columns(source, path);
                let covers = columns.iter().all(|(scan, _)| given.iter().any(|(own, _)| own == scan));
                if covers {
                    (index_reader(source, path, &columns, false, false), seeks + cost::scan(path.rows, 32.0))
                } else {
                    let (reader, _) =
                        self.lookup_reader(source, path, &columns, given, path.rows, false, false)?;
                    (reader, seeks + cost::scan(path.rows, 32.0) + cost::fetch(path.rows, width))
                }
            }
        };
        // Filters on the index side are already part of a lookup.
        let mut filters = path.filters.clone();
        if let super::reader::ReaderKind::LookUp { index_cop, .. } = &reader.kind
            && !index_cop.is_empty()
        {
            let ids = path
                .key
                .iter()
                .filter(|(_, column)| column.length < 0)
                .map(|(_, column)| column.unique_id)
                .collect();
            filters.retain(|filter| !(crate::expr_tools::covered_by(filter, &ids) && self.can_push(filter)));
        }
        let share = crate::estimate::source_selectivity(source, &source.conditions, &self.estimator);
        let task = Task { node: Node::Reader(Box::new(reader)), cost: total + cost::REQUEST };
        self.select(task, &filters, path.rows * share)
    }

    fn rows_per_lookup(&self, source: &DataSource, path: &Path, columns: usize) -> f64 {
        let width = path.index.as_ref().map_or(path.key.len(), |index| index.columns.len());
        if path.unique && columns == width {
            return 1.0;
        }
        let rows = source.stats.row_count.max(1.0);
        if let Some(index) = &path.index
            && let Some(stats) = source.stats.indices.get(&index.id)
            && let Some(ndv) = stats.prefix_ndv.get(columns - 1)
        {
            return (rows / ndv.max(1.0)).max(1.0);
        }
        let ndv: f64 = path.key[..columns]
            .iter()
            .filter_map(|(_, column)| self.estimator.column_ndv(column.unique_id))
            .fold(1.0, f64::max);
        (rows / ndv).max(1.0)
    }
}

/// Values for the leading columns of a path's key, over the outer columns, and how many are joined (not constant).
fn lookup_keys(path: &Path, pairs: &[(&Expr, &Expr)], source: &DataSource) -> Option<(Vec<Expr>, usize)> {
    let mut lookup = Vec::new();
    let mut joined = 0;
    for (_, column) in &path.key {
        if column.length >= 0 {
            break;
        }
        let pair = pairs.iter().find(|(outer, inner)| {
            matches!(inner, Expr::Column(own) if own.unique_id == column.unique_id)
                && is_same_kind(&outer.field_type(), &column.field_type)
        });
        if let Some((outer, _)) = pair {
            lookup.push(as_key((*outer).clone(), &column.field_type));
            joined += 1;
        } else if let Some(value) = constant_of(column, source) {
            lookup.push(as_key(value, &column.field_type));
        } else {
            break;
        }
    }
    // Trailing constants are better left to the filter if no joined column follows; they do no harm either.
    (joined > 0).then_some((lookup, joined))
}

/// A value of the same kind as the key column. Narrower types need no cast: what does not fit finds nothing, while a
/// cast would cut it to something that might.
fn as_key(value: Expr, to: &FieldType) -> Expr {
    if to.is_integer() && value.field_type().is_unsigned() != to.is_unsigned() {
        let wide = if to.is_unsigned() { FieldType::uint() } else { FieldType::int() };
        return build_cast(value, wide);
    }
    value
}

/// The constant a condition makes a column equal to.
fn constant_of(column: &RangeColumn, source: &DataSource) -> Option<Expr> {
    source.conditions.iter().find_map(|condition| {
        let ("eq", [left, right]) = as_call(condition)? else {
            return None;
        };
        [(left, right), (right, left)].into_iter().find_map(|(one, other)| {
            let is_own = matches!(one, Expr::Column(own) if own.unique_id == column.unique_id);
            (is_own && other.is_constant() && is_same_kind(&other.field_type(), &column.field_type))
                .then(|| other.clone())
        })
    })
}

/// Whether values of one type, cast to the other, are equal exactly when the values are.
fn is_same_kind(from: &FieldType, to: &FieldType) -> bool {
    if from.is_string() || to.is_string() {
        return from.is_string() && to.is_string() && from.collation == to.collation;
    }
    if from.is_integer() && to.is_integer() {
        return true;
    }
    from.code == to.code && from.decimals == to.decimals && from.elements == to.elements
}
