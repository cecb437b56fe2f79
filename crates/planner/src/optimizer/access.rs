//! The cheapest way to read a table.
//!
//! For each path: what its ranges hold, whether the index alone has all columns (a covering index), which order its rows
//! come in. Whole unique keys are point reads and win at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidewater_expr::{ColumnRef, Expr};

use super::paths::Path;
use super::reader::{Node, OpenReader, ReaderKind, Task, scan_columns};
use super::{Optimizer, Order, base, bind_all, cost, handle_positions};
use crate::PlanError;
use crate::expr_tools::covered_by;
use crate::logical::{DataSource, handle_scan_columns};
use crate::physical::*;
use crate::ranges::Ranges;

/// More keys than this are read by a scan of ranges.
const BATCH_POINTS_MAX: usize = 2000;

impl Optimizer<'_> {
    /// The cheapest task that reads the table in this order.
    pub(crate) fn best_access(&mut self, source: &DataSource, order: &Order) -> Result<Task, PlanError> {
        if source.table.info.is_virtual() {
            let task = self.virtual_scan(source)?;
            return self.enforce(task, order);
        }
        let paths = self.paths(source);
        if paths.iter().any(|path| matches!(&path.ranges, Ranges::Static(ranges) if ranges.is_empty())) {
            let schema = source.columns.iter().map(|(_, column)| column.clone()).collect();
            let dual = TableDual { base: base(0.0, schema), count: 0 };
            return Ok(Task::root(PhysicalPlan::TableDual(dual), 0.0));
        }
        let rows = crate::estimate::source_selectivity(source, &source.conditions, &self.estimator)
            * source.stats.row_count;
        let point = paths
            .iter()
            .filter(|path| path.points.as_ref().is_some_and(|points| points.len() <= BATCH_POINTS_MAX))
            .min_by_key(|path| (path.points.as_ref().map_or(0, Vec::len), path.index.is_some()));
        if let Some(path) = point
            && let Some(points) = &path.points
        {
            let ordered = points.len() == 1 || order.is_none() || gives_order(path, order, source);
            let task = self.point_read(
                source,
                path,
                points.clone(),
                (!order.is_none() && ordered).then_some(order.desc),
            )?;
            return if ordered { Ok(task) } else { self.enforce(task, order) };
        }
        let mut best: Option<Task> = None;
        for path in &paths {
            let ordered = !order.is_none() && gives_order(path, order, source);
            let mut task = self.read_path(source, path, rows, ordered.then_some(order))?;
            if !order.is_none() && !ordered {
                task.cost = task.cost_at_root();
                task = self.enforce(task, order)?;
            }
            let cheaper = best.as_ref().is_none_or(|best| task.cost_at_root() < best.cost_at_root());
            if cheaper {
                best = Some(task);
            }
        }
        best.ok_or_else(|| super::internal("a table without access paths"))
    }

    fn virtual_scan(&mut self, source: &DataSource) -> Result<Task, PlanError> {
        let (columns, schema) = scan_columns(&source.columns);
        let hints = bind_all(source.conditions.clone(), &schema);
        let rows = source.stats.row_count;
        let node = VirtualTableScan { base: base(rows, schema), table: source.table.clone(), columns, hints };
        let task = Task::root(PhysicalPlan::VirtualTableScan(node), rows);
        let share = self.estimator.conjunction_selectivity(&source.conditions);
        self.select(task, &source.conditions, rows * share)
    }

    fn point_read(
        &mut self,
        source: &DataSource,
        path: &Path,
        mut points: Vec<Vec<Expr>>,
        desc: Option<bool>,
    ) -> Result<Task, PlanError> {
        let (columns, schema) = scan_columns(&source.columns);
        let access = match &path.index {
            Some(index) => PointAccess::Index(index.clone()),
            None if source.table.info.is_common_handle => {
                let index = source.table.info.primary_index().cloned();
                PointAccess::CommonHandle(
                    index.ok_or_else(|| super::internal("a clustered table without key"))?,
                )
            }
            None => PointAccess::Handle,
        };
        let count = points.len() as f64;
        let cost = cost::fetch(count, source_width(source)) + cost::REQUEST;
        let base = base(count, schema);
        let table = source.table.clone();
        let plan = match points.pop() {
            Some(key) if points.is_empty() => {
                PhysicalPlan::PointGet(PointGet { base, table, access, key, columns, lock: source.lock })
            }
            last => {
                points.extend(last);
                PhysicalPlan::BatchPointGet(BatchPointGet {
                    base,
                    table,
                    access,
                    keys: points,
                    columns,
                    lock: source.lock,
                    keep_order: desc.is_some(),
                    desc: desc.unwrap_or(false),
                })
            }
        };
        self.select(Task::root(plan, cost), &path.filters, count)
    }

    /// A scan of the path, filtered by what its ranges do not say.
    fn read_path(
        &mut self,
        source: &DataSource,
        path: &Path,
        rows: f64,
        order: Option<&Order>,
    ) -> Result<Task, PlanError> {
        let table_width = source_width(source);
        // A reader whose rows are asked for in order by a limit is read only as far as needed.
        let wanted = order.and_then(|order| order.rows_wanted);
        let part = wanted.map_or(1.0, |wanted| (wanted / rows.max(1.0)).min(1.0));
        let scanned = (path.rows * part).max(rows.min(path.rows) * part);
        let desc = order.is_some_and(|order| order.desc);
        let mut columns = source.columns.clone();
        if source.dirty || columns.is_empty() {
            self.add_handle(source, &mut columns);
        }
        let (mut reader, mut cost) = match &path.index {
            None => {
                let reader = table_reader(source, path, &columns, order.is_some(), desc);
                (reader, cost::scan(scanned, table_width) + cost::seek(path.range_count) + cost::REQUEST)
            }
            Some(index) => {
                let needed: BTreeSet<u64> = columns.iter().map(|(_, column)| column.unique_id).collect();
                let index_columns = index_columns(source, path);
                let given: BTreeSet<u64> = index_columns.iter().map(|(_, column)| column.unique_id).collect();
                let width = 12.0 + 10.0 * index.columns.len() as f64;
                let scan_cost = cost::scan(scanned, width) + cost::seek(path.range_count) + cost::REQUEST;
                if needed.is_subset(&given) {
                    let reader = index_reader(source, path, &columns, order.is_some(), desc);
                    (reader, scan_cost)
                } else {
                    let (reader, found) = self.lookup_reader(
                        source,
                        path,
                        &columns,
                        index_columns,
                        rows,
                        order.is_some(),
                        desc,
                    )?;
                    let fetched = (found * part).max(0.0);
                    let fetch = cost::network(fetched, 16.0) + cost::fetch(fetched, table_width);
                    (reader, scan_cost + fetch + cost::REQUEST)
                }
            }
        };
        if order.is_some() {
            // In order, regions are read one after the other.
            cost += scanned * 0.2;
        }
        // Conditions an index lookup checks on the index side are not in `cop`; all others follow.
        let mut filters = path.filters.clone();
        if let ReaderKind::LookUp { index_cop, .. } = &reader.kind
            && !index_cop.is_empty()
        {
            let ids: BTreeSet<u64> =
                index_columns_full(source, path).iter().map(|(_, column)| column.unique_id).collect();
            filters.retain(|filter| !(covered_by(filter, &ids) && self.can_push(filter)));
        }
        if let Some(wanted) = wanted {
            reader.rows = reader.rows.min(wanted.max(1.0) * (path.rows / rows.max(1.0)).max(1.0));
        }
        let task = Task { node: Node::Reader(Box::new(reader)), cost };
        let rows = wanted.map_or(rows, |_| rows);
        let task = self.select(task, &filters, rows)?;
        if source.dirty { self.union_scan(source, path, task, order) } else { Ok(task) }
    }

    /// The columns of the handle, if they are not among `columns`.
    fn add_handle(&self, source: &DataSource, columns: &mut Vec<(ScanColumn, ColumnRef)>) {
        for (scan, column) in source.handle_columns() {
            if !columns.iter().any(|(own, _)| *own == scan) {
                columns.push((scan, column));
            }
        }
    }

    /// A lookup, and how many entries are left to be looked up after the index side's filters.
    #[expect(clippy::too_many_arguments, reason = "all of them describe one reader")]
    pub(crate) fn lookup_reader(
        &mut self,
        source: &DataSource,
        path: &Path,
        columns: &[(ScanColumn, ColumnRef)],
        index_columns: Vec<(ScanColumn, ColumnRef)>,
        rows: f64,
        keep_order: bool,
        desc: bool,
    ) -> Result<(OpenReader, f64), PlanError> {
        let full: BTreeSet<u64> =
            index_columns_full(source, path).iter().map(|(_, column)| column.unique_id).collect();
        let early: Vec<Expr> = path
            .filters
            .iter()
            .filter(|filter| covered_by(filter, &full) && self.can_push(filter))
            .cloned()
            .collect();
        // Only the columns filters and the handle need come from the index.
        let mut used: BTreeSet<u64> =
            source.handle_columns().iter().map(|(_, column)| column.unique_id).collect();
        early.iter().for_each(|filter| crate::expr_tools::collect_columns(filter, &mut used));
        let index_columns: Vec<_> =
            index_columns.into_iter().filter(|(_, column)| used.contains(&column.unique_id)).collect();
        let (scan_cols, index_schema) = scan_columns(&index_columns);
        let ids: Vec<u64> = source.handle_columns().iter().map(|(_, column)| column.unique_id).collect();
        let handle = handle_positions(&source.table, &ids, &index_schema)
            .ok_or_else(|| super::internal("an index without handle"))?;
        let index_scan = IndexScan {
            base: base(path.rows, index_schema.clone()),
            index: path.index.clone().ok_or_else(|| super::internal("a lookup without index"))?,
            columns: scan_cols,
            ranges: path.ranges.clone(),
            is_full: path.is_full,
            keep_order,
            desc,
        };
        let mut found = path.rows;
        let mut index_cop = Vec::new();
        if !early.is_empty() {
            let share = crate::estimate::source_selectivity(source, &early, &self.estimator);
            found = (path.rows * share).max(rows.min(path.rows));
            let conditions = bind_all(early, &index_schema);
            index_cop.push(CopNode { base: base(found, index_schema), op: CopOp::Selection(conditions) });
        }
        let (scan_cols, schema) = scan_columns(columns);
        let table_scan = TableScan {
            base: base(found, schema.clone()),
            columns: scan_cols,
            ranges: Ranges::none(),
            is_full: false,
            keep_order: false,
            desc: false,
        };
        let reader = OpenReader {
            table: source.table.clone(),
            kind: ReaderKind::LookUp { index_scan, index_cop, handle, table_scan },
            cop: Vec::new(),
            schema,
            rows: found,
            width: source_width(source),
            is_aggregated: false,
            keep_order,
        };
        Ok((reader, found))
    }

    /// Merges the transaction's own writes.
    fn union_scan(
        &mut self,
        source: &DataSource,
        path: &Path,
        task: Task,
        order: Option<&Order>,
    ) -> Result<Task, PlanError> {
        let cost = task.cost_at_root() + task.rows() * 0.2;
        let rows = task.rows();
        // What the store does not check is checked above the merge, for its rows and the buffered ones alike.
        let (child, above) = match task.close() {
            PhysicalPlan::Selection(selection) => {
                (Arc::unwrap_or_clone(selection.child), selection.conditions)
            }
            other => (other, Vec::new()),
        };
        let schema = child.schema().to_vec();
        let columns: Arc<[ScanColumn]> = schema
            .iter()
            .filter_map(|column| {
                source
                    .all_columns
                    .iter()
                    .find(|(_, own)| own.unique_id == column.unique_id)
                    .map(|(scan, _)| scan.clone())
            })
            .collect();
        let ids: Vec<u64> = source.handle_columns().iter().map(|(_, column)| column.unique_id).collect();
        let handle = handle_positions(&source.table, &ids, &schema)
            .ok_or_else(|| super::internal("a reader without handle"))?;
        let order_positions = order.map_or_else(Vec::new, |order| {
            // The order wanted, then the rest of the key, which makes it total.
            let key = path.key.iter().map(|(_, column)| column.unique_id);
            let mut all: Vec<u64> = order.columns.clone();
            all.extend(key.chain(ids.iter().copied()).filter(|id| !order.columns.contains(id)));
            all.iter().filter_map(|id| schema.iter().position(|column| column.unique_id == *id)).collect()
        });
        let conditions = bind_all(source.conditions.clone(), &schema);
        let node = UnionScan {
            base: base(rows, schema.clone()),
            child: Arc::new(child),
            table: source.table.clone(),
            columns,
            handle,
            conditions,
            order: order_positions,
            desc: order.is_some_and(|order| order.desc),
        };
        let plan = PhysicalPlan::UnionScan(node);
        if above.is_empty() {
            return Ok(Task::root(plan, cost));
        }
        let selection = Selection { base: base(rows, schema), child: Arc::new(plan), conditions: above };
        Ok(Task::root(PhysicalPlan::Selection(selection), cost))
    }
}

/// Average bytes of a row of the table.
pub(crate) fn source_width(source: &DataSource) -> f64 {
    let known: f64 = source.stats.columns.values().map(|column| column.avg_size).sum();
    if known > 0.0 {
        return known;
    }
    let guess = |column: &ColumnRef| {
        let field_type = &column.field_type;
        if field_type.is_string() { f64::from(field_type.length.clamp(8, 128)) / 2.0 } else { 8.0 }
    };
    source.all_columns.iter().map(|(_, column)| guess(column)).sum::<f64>().max(16.0)
}

/// Whether the path's rows come in this order.
pub(crate) fn gives_order(path: &Path, order: &Order, source: &DataSource) -> bool {
    let mut wanted = order.columns.iter().peekable();
    let mut key: Vec<u64> = Vec::new();
    for (_, column) in &path.key {
        if column.length >= 0 {
            // Behind a prefix nothing is in order.
            break;
        }
        key.push(column.unique_id);
    }
    if key.len() == path.key.len()
        && let Some(index) = &path.index
        && index.columns.len() == path.key.len()
    {
        key.extend(source.handle_columns().iter().map(|(_, column)| column.unique_id));
    }
    for (position, id) in key.iter().enumerate() {
        match wanted.peek() {
            None => return true,
            Some(next) if *next == id => {
                wanted.next();
            }
            Some(_) if position < path.fixed_columns => {}
            Some(_) => return false,
        }
    }
    wanted.peek().is_none()
}

/// The columns an index gives: its own whole ones, and the handle's.
pub(crate) fn index_columns(source: &DataSource, path: &Path) -> Vec<(ScanColumn, ColumnRef)> {
    let mut columns = index_columns_full(source, path);
    for scan in handle_scan_columns(&source.table) {
        if let Some(column) = source.column(&scan)
            && !columns.iter().any(|(own, _)| *own == scan)
        {
            columns.push((scan, column.clone()));
        }
    }
    columns
}

/// The columns whose whole values an index keeps.
fn index_columns_full(source: &DataSource, path: &Path) -> Vec<(ScanColumn, ColumnRef)> {
    let mut columns = Vec::new();
    for (scan, range_column) in &path.key {
        if range_column.length < 0
            && let Some(column) = source.column(scan)
        {
            columns.push((scan.clone(), column.clone()));
        }
    }
    columns
}

pub(crate) fn table_reader(
    source: &DataSource,
    path: &Path,
    columns: &[(ScanColumn, ColumnRef)],
    keep_order: bool,
    desc: bool,
) -> OpenReader {
    let (scan_cols, schema) = scan_columns(columns);
    let scan = TableScan {
        base: base(path.rows, schema.clone()),
        columns: scan_cols,
        ranges: path.ranges.clone(),
        is_full: path.is_full,
        keep_order,
        desc,
    };
    OpenReader {
        table: source.table.clone(),
        kind: ReaderKind::Table(scan),
        cop: Vec::new(),
        schema,
        rows: path.rows,
        width: source_width(source),
        is_aggregated: false,
        keep_order,
    }
}

pub(crate) fn index_reader(
    source: &DataSource,
    path: &Path,
    columns: &[(ScanColumn, ColumnRef)],
    keep_order: bool,
    desc: bool,
) -> OpenReader {
    let (scan_cols, schema) = scan_columns(columns);
    let scan = IndexScan {
        base: base(path.rows, schema.clone()),
        index: path.index.clone().expect("an index reader's path has an index"),
        columns: scan_cols,
        ranges: path.ranges.clone(),
        is_full: path.is_full,
        keep_order,
        desc,
    };
    OpenReader {
        table: source.table.clone(),
        kind: ReaderKind::Index(scan),
        cop: Vec::new(),
        schema,
        rows: path.rows,
        width: 12.0 + 10.0 * path.key.len() as f64,
        is_aggregated: false,
        keep_order,
    }
}
