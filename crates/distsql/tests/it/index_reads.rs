use std::sync::Arc;

use tidewater_distsql::{CopReader, IndexLookUpReader, ReadContext};
use tidewater_expr::Expr;
use tidewater_planner::{
    CopNode, CopOp, HandlePositions, IndexLookUp, IndexReader, IndexScan, KeyRange, Ranges, TableScan,
};
use tidewater_types::Datum;

use crate::cluster::{Row, TestCluster, base, call, column, name_of, row_of, run, scan_columns, sorted};

fn index_scan(
    cluster: &TestCluster,
    index: usize,
    offsets: &[usize],
    ranges: Ranges,
    keep_order: bool,
    desc: bool,
) -> IndexScan {
    let (schema, columns) = scan_columns(cluster, offsets);
    IndexScan {
        base: base(1, schema),
        index: cluster.table.indices[index].clone(),
        columns,
        ranges,
        is_full: false,
        keep_order,
        desc,
    }
}

/// Ids in the order of the index on name: NULL first, case and trailing spaces aside, then by id.
fn by_name(rows: i64) -> Vec<i64> {
    let mut ids: Vec<i64> = (0..rows).collect();
    ids.sort_by_key(|id| (if id % 7 == 6 { -1 } else { id % 7 }, *id));
    ids
}

#[tokio::test]
async fn an_index_reader_gives_index_order_and_original_strings() {
    let cluster = TestCluster::start(100, 1000).await;
    let ctx = cluster.context().await;
    for desc in [false, true] {
        let scan = index_scan(&cluster, 0, &[0, 1], Ranges::full(), true, desc);
        let plan = IndexReader {
            base: base(2, scan.base.schema.clone()),
            table: cluster.source(),
            scan,
            cop: vec![],
        };
        let given = run(Box::new(CopReader::index(&ctx, &plan, None).unwrap())).await;
        let mut expected: Vec<Row> =
            by_name(100).iter().map(|id| vec![Datum::Int(*id), name_of(*id)]).collect();
        if desc {
            expected.reverse();
        }
        assert_eq!(given, expected);
    }
}

#[tokio::test]
async fn a_range_of_an_index_follows_its_collation() {
    let cluster = TestCluster::start(100, 1000).await;
    let ctx = cluster.context().await;
    let ranges = Ranges::Static(Arc::from([KeyRange::point(vec![Datum::Bytes(b"NAME3".to_vec())])]));
    let scan = index_scan(&cluster, 0, &[0], ranges, true, false);
    let plan =
        IndexReader { base: base(2, scan.base.schema.clone()), table: cluster.source(), scan, cop: vec![] };
    let given = run(Box::new(CopReader::index(&ctx, &plan, None).unwrap())).await;
    let expected: Vec<Row> = (0..100).filter(|id| id % 7 == 3).map(|id| vec![Datum::Int(id)]).collect();
    assert_eq!(given, expected);
}

fn look_up(
    cluster: &TestCluster,
    ranges: Ranges,
    keep_order: bool,
    desc: bool,
    table_cop: Vec<CopOp>,
) -> IndexLookUp {
    let (schema, columns) = scan_columns(cluster, &[0, 1, 2]);
    IndexLookUp {
        base: base(9, schema.clone()),
        table: cluster.source(),
        index_scan: index_scan(cluster, 0, &[0], ranges, keep_order, desc),
        index_cop: vec![],
        handle: HandlePositions::Int(0),
        table_scan: TableScan {
            base: base(3, schema.clone()),
            columns,
            ranges: Ranges::none(),
            is_full: false,
            keep_order: false,
            desc: false,
        },
        table_cop: table_cop.into_iter().map(|op| CopNode { base: base(4, schema.clone()), op }).collect(),
        keep_order,
        limit: None,
    }
}

async fn read(ctx: &ReadContext, plan: &IndexLookUp) -> Vec<Row> {
    run(Box::new(IndexLookUpReader::new(ctx, plan, None).expect("a valid plan"))).await
}

#[tokio::test]
async fn a_look_up_reads_rows_by_handle_and_keeps_the_order_when_asked() {
    let cluster = TestCluster::start(300, 11).await;
    // Small batches, so that several are under way.
    let mut ctx = cluster.context().await;
    ctx.lookup_batch_rows = 16;
    let order: Vec<Row> = by_name(300).into_iter().map(row_of).collect();
    assert_eq!(read(&ctx, &look_up(&cluster, Ranges::full(), true, false, vec![])).await, order);
    let reversed: Vec<Row> = order.iter().rev().cloned().collect();
    assert_eq!(read(&ctx, &look_up(&cluster, Ranges::full(), true, true, vec![])).await, reversed);
    let any = read(&ctx, &look_up(&cluster, Ranges::full(), false, false, vec![])).await;
    assert_eq!(sorted(any), sorted(order.clone()));

    let (schema, _) = scan_columns(&cluster, &[0, 1, 2]);
    let condition = call("lt", vec![column(&schema, 2), Expr::int(1000)]);
    let filtered = look_up(&cluster, Ranges::full(), true, false, vec![CopOp::Selection(vec![condition])]);
    let expected: Vec<Row> = by_name(300).into_iter().filter(|id| *id < 100).map(row_of).collect();
    assert_eq!(read(&ctx, &filtered).await, expected);
}

#[tokio::test]
async fn a_limit_stops_the_index_side() {
    let cluster = TestCluster::start(300, 50).await;
    let ctx = cluster.context().await;
    let plan = IndexLookUp { limit: Some((5, 10)), ..look_up(&cluster, Ranges::full(), true, false, vec![]) };
    let expected: Vec<Row> = by_name(300).into_iter().skip(5).take(10).map(row_of).collect();
    assert_eq!(read(&ctx, &plan).await, expected);
}
