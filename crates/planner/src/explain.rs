//! EXPLAIN: a plan as rows of five columns, as TiDB prints them.

use std::fmt::Write;

use tidewater_expr::{AggregateCall, AggregateMode, Expr, datum_text};
use tidewater_stats::KeyRange;
use tidewater_types::Datum;

use crate::physical::*;
use crate::ranges::Ranges;

/// One row of EXPLAIN.
#[derive(Clone, Debug, PartialEq)]
pub struct ExplainRow {
    /// The operator with its number, drawn as a tree.
    pub id: String,
    /// The operator's number, to find its run-time statistics.
    pub plan_id: u32,
    /// Expected rows.
    pub est_rows: f64,
    /// `root` or `cop[tikv]`.
    pub task: &'static str,
    /// Table, index, partition.
    pub access_object: String,
    /// The rest.
    pub operator_info: String,
}

/// A plan as EXPLAIN shows it.
pub fn explain(plan: &PhysicalPlan) -> Vec<ExplainRow> {
    let mut rows = Vec::new();
    draw(&node(plan, ""), String::new(), Place::Root, &mut rows);
    rows
}

/// What is drawn for a node.
struct Drawn {
    name: String,
    plan_id: u32,
    rows: f64,
    task: &'static str,
    object: String,
    info: String,
    children: Vec<Drawn>,
}

enum Place {
    Root,
    Middle,
    Last,
}

fn draw(node: &Drawn, indent: String, place: Place, rows: &mut Vec<ExplainRow>) {
    let (branch, below) = match place {
        Place::Root => ("", ""),
        Place::Middle => ("├─", "│ "),
        Place::Last => ("└─", "  "),
    };
    rows.push(ExplainRow {
        id: format!("{indent}{branch}{}", node.name),
        plan_id: node.plan_id,
        est_rows: node.rows,
        task: node.task,
        access_object: node.object.clone(),
        operator_info: node.info.clone(),
    });
    let indent = format!("{indent}{below}");
    for (position, child) in node.children.iter().enumerate() {
        let place = if position + 1 == node.children.len() { Place::Last } else { Place::Middle };
        draw(child, indent.clone(), place, rows);
    }
}

const ROOT: &str = "root";
const STORE: &str = "cop[tikv]";

fn drawn(name: &str, base: &PlanBase, role: &str) -> Drawn {
    Drawn {
        name: format!("{name}_{}{role}", base.id),
        plan_id: base.id,
        rows: base.rows,
        task: ROOT,
        object: String::new(),
        info: String::new(),
        children: Vec::new(),
    }
}

fn node(plan: &PhysicalPlan, role: &str) -> Drawn {
    let mut out = drawn(plan.name(), plan.base(), role);
    match plan {
        PhysicalPlan::PointGet(get) => {
            out.object = point_object(&get.table, &get.access);
            out.info = match (&get.access, get.key.as_slice()) {
                (PointAccess::Handle, [key]) => format!("handle:{}", text(key)),
                _ => String::new(),
            };
            add_lock(&mut out.info, get.lock);
        }
        PhysicalPlan::BatchPointGet(get) => {
            out.object = point_object(&get.table, &get.access);
            let keys: Vec<String> = get.keys.iter().map(|key| list(key)).collect();
            if matches!(get.access, PointAccess::Handle) {
                out.info = format!("handle:[{}], ", keys.join(" "));
            }
            let _ = write!(out.info, "keep order:{}, desc:{}", get.keep_order, get.desc);
            add_lock(&mut out.info, get.lock);
        }
        PhysicalPlan::TableReader(reader) => {
            let inner = table_pipeline(&reader.table, &reader.scan, &reader.cop, "");
            out.info = format!("data:{}", inner.name);
            out.children.push(inner);
        }
        PhysicalPlan::IndexReader(reader) => {
            let inner = index_pipeline(&reader.table, &reader.scan, &reader.cop, "");
            out.info = format!("index:{}", inner.name);
            out.children.push(inner);
        }
        PhysicalPlan::IndexLookUp(reader) => {
            if let Some((offset, count)) = reader.limit {
                out.info = format!("limit embedded(offset:{offset}, count:{count})");
            }
            out.children.push(index_pipeline(
                &reader.table,
                &reader.index_scan,
                &reader.index_cop,
                "(Build)",
            ));
            let mut rows = pipeline(row_id_scan(&reader.table, &reader.table_scan), &reader.table_cop);
            rows.name.push_str("(Probe)");
            out.children.push(rows);
        }
        PhysicalPlan::UnionScan(scan) => {
            out.info = list(&scan.conditions);
            out.children.push(node(&scan.child, ""));
        }
        PhysicalPlan::VirtualTableScan(scan) => out.object = table_object(&scan.table),
        PhysicalPlan::Selection(selection) => {
            out.info = list(&selection.conditions);
            out.children.push(node(&selection.child, ""));
        }
        PhysicalPlan::Projection(projection) => {
            out.info = list_as(&projection.exprs, &projection.base.schema);
            out.children.push(node(&projection.child, ""));
        }
        PhysicalPlan::HashAgg(agg) | PhysicalPlan::StreamAgg(agg) => {
            out.info = aggregation(&agg.aggregates, &agg.group_by, &agg.base.schema);
            out.children.push(node(&agg.child, ""));
        }
        PhysicalPlan::Sort(sort) => {
            out.info = order(&sort.by);
            out.children.push(node(&sort.child, ""));
        }
        PhysicalPlan::TopN(top) => {
            out.info = format!("{}, offset:{}, count:{}", order(&top.by), top.offset, top.count);
            out.children.push(node(&top.child, ""));
        }
        PhysicalPlan::Limit(limit) => {
            out.info = format!("offset:{}, count:{}", limit.offset, limit.count);
            out.children.push(node(&limit.child, ""));
        }
        PhysicalPlan::HashJoin(join) => {
            out.info = join_info(join.kind, &join.keys, &join.null_aware_keys, &join.other_conditions);
            let (left, right) = match join.build {
                BuildSide::Left => ("(Build)", "(Probe)"),
                BuildSide::Right => ("(Probe)", "(Build)"),
            };
            out.children.push(node(&join.left, left));
            out.children.push(node(&join.right, right));
            // The build side is drawn first, as it runs first.
            if join.build == BuildSide::Right {
                out.children.reverse();
            }
        }
        PhysicalPlan::IndexJoin(join) => {
            let mut info = join.kind.name().to_owned();
            let _ = write!(info, ", inner:{}_{}", join.inner.name(), join.inner.base().id);
            let _ = write!(info, ", outer key:{}", list(&join.lookup_keys));
            keys(&mut info, &join.keys, "equal cond");
            conditions(&mut info, &join.other_conditions);
            out.info = info;
            out.children.push(node(&join.outer, "(Build)"));
            out.children.push(node(&join.inner, "(Probe)"));
        }
        PhysicalPlan::Apply(apply) => {
            let mut info = if apply.conditions.is_empty() && apply.null_aware_keys.is_empty() {
                format!("CARTESIAN {}", apply.kind.name())
            } else {
                apply.kind.name().to_owned()
            };
            keys(&mut info, &apply.null_aware_keys, "equal");
            conditions(&mut info, &apply.conditions);
            out.info = info;
            out.children.push(node(&apply.outer, "(Build)"));
            out.children.push(node(&apply.inner, "(Probe)"));
        }
        PhysicalPlan::UnionAll(union) => {
            out.children.extend(union.children.iter().map(|child| node(child, "")));
        }
        PhysicalPlan::TableDual(dual) => out.info = format!("rows:{}", dual.count),
        PhysicalPlan::MaxOneRow(one) => out.children.push(node(&one.child, "")),
        PhysicalPlan::SelectLock(lock) => {
            out.info = if lock.shared { "for share" } else { "for update" }.to_owned();
            match lock.wait {
                LockWait::Default => {}
                LockWait::NoWait => out.info.push_str(" nowait"),
                LockWait::SkipLocked => out.info.push_str(" skip locked"),
                LockWait::Seconds(seconds) => {
                    let _ = write!(out.info, " wait {seconds}");
                }
            }
            out.children.push(node(&lock.child, ""));
        }
        PhysicalPlan::Insert(insert) => {
            out.info = "N/A".to_owned();
            if let InsertSource::Query(child) = &insert.source {
                out.children.push(node(child, ""));
            }
        }
        PhysicalPlan::Update(update) => {
            out.info = "N/A".to_owned();
            out.children.push(node(&update.child, ""));
        }
        PhysicalPlan::Delete(delete) => {
            out.info = "N/A".to_owned();
            out.children.push(node(&delete.child, ""));
        }
    }
    out
}

fn add_lock(info: &mut String, lock: Option<LockWait>) {
    if lock.is_some() {
        if !info.is_empty() {
            info.push_str(", ");
        }
        info.push_str("lock");
    }
}

fn table_pipeline(table: &TableSource, scan: &TableScan, cop: &[CopNode], role: &str) -> Drawn {
    let name = if scan.is_full { "TableFullScan" } else { "TableRangeScan" };
    let mut out = drawn(name, &scan.base, "");
    out.task = STORE;
    out.object = table_object(table);
    if !scan.is_full {
        out.info = format!("range:{}, ", ranges(&scan.ranges));
    }
    keep_order(&mut out.info, scan.keep_order, scan.desc);
    let mut out = pipeline(out, cop);
    out.name.push_str(role);
    out
}

fn row_id_scan(table: &TableSource, scan: &TableScan) -> Drawn {
    let mut out = drawn("TableRowIDScan", &scan.base, "");
    out.task = STORE;
    out.object = table_object(table);
    keep_order(&mut out.info, false, false);
    out
}

fn index_pipeline(table: &TableSource, scan: &IndexScan, cop: &[CopNode], role: &str) -> Drawn {
    let name = if scan.is_full { "IndexFullScan" } else { "IndexRangeScan" };
    let mut out = drawn(name, &scan.base, "");
    out.task = STORE;
    out.object = format!("{}, index:{}", table_object(table), index_text(table, &scan.index));
    if !scan.is_full {
        out.info = format!("range:{}, ", ranges(&scan.ranges));
    }
    keep_order(&mut out.info, scan.keep_order, scan.desc);
    let mut out = pipeline(out, cop);
    out.name.push_str(role);
    out
}

fn keep_order(info: &mut String, keep: bool, desc: bool) {
    let _ = write!(info, "keep order:{keep}");
    if desc {
        info.push_str(", desc");
    }
}

/// The steps of a pipeline, the last one on top.
fn pipeline(scan: Drawn, cop: &[CopNode]) -> Drawn {
    let mut top = scan;
    for step in cop {
        let (name, info) = match &step.op {
            CopOp::Selection(conditions) => ("Selection", list(conditions)),
            CopOp::Projection(exprs) => ("Projection", list_as(exprs, &step.base.schema)),
            CopOp::Aggregation { aggregates, group_by, streamed } => (
                if *streamed { "StreamAgg" } else { "HashAgg" },
                aggregation(aggregates, group_by, &step.base.schema),
            ),
            CopOp::TopN { by, limit } => ("TopN", format!("{}, offset:0, count:{limit}", order(by))),
            CopOp::Limit(limit) => ("Limit", format!("offset:0, count:{limit}")),
        };
        let mut next = drawn(name, &step.base, "");
        next.task = STORE;
        next.info = info;
        next.children.push(top);
        top = next;
    }
    top
}

fn table_object(table: &TableSource) -> String {
    format!("table:{}", table.alias)
}

fn point_object(table: &TableSource, access: &PointAccess) -> String {
    match access {
        PointAccess::Handle => table_object(table),
        PointAccess::CommonHandle(index) => {
            format!("{}, clustered index:{}", table_object(table), index_text(table, index))
        }
        PointAccess::Index(index) => format!("{}, index:{}", table_object(table), index_text(table, index)),
    }
}

fn index_text(_table: &TableSource, index: &tidewater_catalog::IndexInfo) -> String {
    let columns: Vec<&str> = index.columns.iter().map(|part| part.name.as_str()).collect();
    format!("{}({})", index.name, columns.join(", "))
}

fn ranges(ranges: &Ranges) -> String {
    match ranges {
        Ranges::Static(ranges) => {
            let all: Vec<String> = ranges.iter().take(64).map(range).collect();
            all.join(", ")
        }
        Ranges::Dynamic(dynamic) => format!("decided by [{}]", list(&dynamic.conditions)),
        Ranges::Lookup { .. } => "decided by the outer rows".to_owned(),
    }
}

fn range(range: &KeyRange) -> String {
    let side = |values: &[Datum], unbounded: &str| -> String {
        if values.is_empty() {
            return unbounded.to_owned();
        }
        values.iter().map(value).collect::<Vec<_>>().join(" ")
    };
    let low = if range.low_inclusive && !range.low.is_empty() { '[' } else { '(' };
    let high = if range.high_inclusive && !range.high.is_empty() { ']' } else { ')' };
    let open = if range.low.is_empty() { '[' } else { low };
    format!("{open}{},{}{high}", side(&range.low, "NULL"), side(&range.high, "+inf"))
}

fn value(value: &Datum) -> String {
    match value {
        Datum::Bytes(bytes) => format!("\"{}\"", String::from_utf8_lossy(bytes)),
        other => datum_text(other, &crate::binder::type_of_datum(other)),
    }
}

fn text(expr: &Expr) -> String {
    expr.to_string()
}

fn list(exprs: &[Expr]) -> String {
    exprs.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// Expressions with the columns they become.
fn list_as(exprs: &[Expr], schema: &[tidewater_expr::ColumnRef]) -> String {
    let all: Vec<String> = exprs
        .iter()
        .zip(schema)
        .map(|(expr, column)| match expr {
            Expr::Column(source) if source.name == column.name => text(expr),
            other => format!("{}->{}", text(other), column.name),
        })
        .collect();
    all.join(", ")
}

fn order(by: &[SortItem]) -> String {
    let all: Vec<String> = by
        .iter()
        .map(|item| format!("{}{}", text(&item.expr), if item.desc { ":desc" } else { "" }))
        .collect();
    all.join(", ")
}

fn aggregation(
    aggregates: &[AggregateCall],
    group_by: &[Expr],
    schema: &[tidewater_expr::ColumnRef],
) -> String {
    let mut parts = Vec::new();
    if !group_by.is_empty() {
        parts.push(format!("group by:{}", list(group_by)));
    }
    let mut position = 0;
    let mut functions = Vec::new();
    for call in aggregates {
        let distinct = if call.distinct { "distinct " } else { "" };
        let shown = schema.get(position).map_or("", |column| &column.name);
        functions.push(format!("{}({distinct}{})->{shown}", call.function.name(), list(&call.args)));
        position += if call.mode == AggregateMode::Partial { call.partial_types().len() } else { 1 };
    }
    if !functions.is_empty() {
        parts.push(format!("funcs:{}", functions.join(", funcs:")));
    }
    parts.join(", ")
}

fn join_info(kind: JoinKind, equal: &[JoinKey], null_aware: &[JoinKey], others: &[Expr]) -> String {
    let mut info = String::new();
    if equal.is_empty() && null_aware.is_empty() {
        info.push_str("CARTESIAN ");
    } else if !null_aware.is_empty() {
        info.push_str("Null-aware ");
    }
    info.push_str(kind.name());
    keys(&mut info, equal, "equal");
    keys(&mut info, null_aware, "equal");
    conditions(&mut info, others);
    info
}

fn keys(info: &mut String, keys: &[JoinKey], word: &str) {
    if keys.is_empty() {
        return;
    }
    let all: Vec<String> = keys
        .iter()
        .map(|key| {
            let name = if key.null_safe { "nulleq" } else { "eq" };
            format!("{name}({}, {})", text(&key.left), text(&key.right))
        })
        .collect();
    let _ = write!(info, ", {word}:[{}]", all.join(" "));
}

fn conditions(info: &mut String, others: &[Expr]) {
    if !others.is_empty() {
        let _ = write!(info, ", other cond:{}", list(others));
    }
}
