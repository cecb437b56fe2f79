use std::sync::Arc;

use prost::Message;
use tidewater_distsql::{AnswerEncoding, CopReader, CopStats, DagBuilder, ReadContext, StoreProtocol};
use tidewater_executor::HashAggregate;
use tidewater_expr::{AggregateCall, AggregateFunction, Expr};
use tidewater_planner::{CopNode, CopOp, KeyRange, PushdownTarget, Ranges, SortItem, TableReader, TableScan};
use tidewater_txn::{TxnClient, TxnConfig};
use tidewater_types::Datum;

use crate::cluster::{Row, TestCluster, base, call, column, name_of, row_key, row_of, run, scan_columns};

fn reader(
    cluster: &TestCluster,
    ranges: Ranges,
    keep_order: bool,
    desc: bool,
    cop: Vec<CopOp>,
) -> TableReader {
    let (schema, columns) = scan_columns(cluster, &[0, 1, 2]);
    let scan = TableScan { base: base(1, schema.clone()), columns, ranges, is_full: false, keep_order, desc };
    let cop = cop.into_iter().map(|op| CopNode { base: base(2, schema.clone()), op }).collect();
    TableReader { base: base(3, schema), table: cluster.source(), scan, cop }
}

async fn read(ctx: &ReadContext, plan: &TableReader) -> Vec<Row> {
    run(Box::new(CopReader::table(ctx, plan, None).expect("a valid plan"))).await
}

fn rows(ids: impl IntoIterator<Item = i64>) -> Vec<Row> {
    ids.into_iter().map(row_of).collect()
}

#[tokio::test]
async fn a_full_scan_joins_many_regions() {
    let cluster = TestCluster::start(200, 13).await;
    let ctx = cluster.context().await;
    let full = |keep_order, desc| reader(&cluster, Ranges::full(), keep_order, desc, vec![]);
    assert_eq!(read(&ctx, &full(true, false)).await, rows(0..200));
    assert_eq!(read(&ctx, &full(true, true)).await, rows((0..200).rev()));
    // Nobody asked for an order, but the first pages of regions come in theirs.
    assert_eq!(read(&ctx, &full(false, false)).await, rows(0..200));
}

#[tokio::test]
async fn ranges_and_conditions_go_to_the_store() {
    let cluster = TestCluster::start(200, 17).await;
    let ctx = cluster.context().await;
    let int = Datum::Int;
    let ranges = Ranges::Static(Arc::from([
        KeyRange { low: vec![int(3)], low_inclusive: false, high: vec![int(20)], high_inclusive: true },
        KeyRange::point(vec![int(50)]),
        KeyRange { low: vec![int(190)], low_inclusive: true, high: vec![], high_inclusive: true },
    ]));
    let (schema, _) = scan_columns(&cluster, &[0, 1, 2]);
    let even = call("eq", vec![call("mod", vec![column(&schema, 0), Expr::int(2)]), Expr::int(0)]);
    let expected = rows((4..=20).chain([50]).chain(190..200).filter(|id| id % 2 == 0));
    let plan = reader(&cluster, ranges.clone(), true, false, vec![CopOp::Selection(vec![even.clone()])]);
    assert_eq!(read(&ctx, &plan).await, expected);
    let plan = reader(&cluster, ranges, true, true, vec![CopOp::Selection(vec![even])]);
    assert_eq!(read(&ctx, &plan).await, expected.into_iter().rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn nothing_matches_no_ranges() {
    let cluster = TestCluster::start(10, 3).await;
    let ctx = cluster.context().await;
    assert_eq!(read(&ctx, &reader(&cluster, Ranges::none(), true, false, vec![])).await, Vec::<Row>::new());
}

#[tokio::test]
async fn a_limit_per_region_is_a_hint_and_top_n_is_merged_above() {
    let cluster = TestCluster::start(100, 10).await;
    let ctx = cluster.context().await;
    let limited = reader(&cluster, Ranges::full(), true, false, vec![CopOp::Limit(3)]);
    let given = read(&ctx, &limited).await;
    assert_eq!(given[..3], rows(0..3));
    assert!(given.len() < 100);
    let (schema, _) = scan_columns(&cluster, &[0, 1, 2]);
    let by = vec![SortItem { expr: column(&schema, 2), desc: true }];
    let top = reader(&cluster, Ranges::full(), false, false, vec![CopOp::TopN { by, limit: 2 }]);
    let given = read(&ctx, &top).await;
    // Two of each region.
    assert_eq!(given.len(), 20);
    assert!(given.contains(&row_of(99)) && given.contains(&row_of(98)));
}

#[tokio::test]
async fn an_aggregation_is_split_between_store_and_node() {
    let cluster = TestCluster::start(140, 9).await;
    let ctx = cluster.context().await;
    let (schema, columns) = scan_columns(&cluster, &[0, 1, 2]);
    let count =
        AggregateCall::new(AggregateFunction::Count, vec![Expr::int(1)], false, &ctx.exec.eval).unwrap();
    let max =
        AggregateCall::new(AggregateFunction::Max, vec![column(&schema, 2)], false, &ctx.exec.eval).unwrap();
    let ((count_part, count_final), (max_part, max_final)) = (count.split(0), max.split(1));
    let name = column(&schema, 1);
    let partial_schema: Vec<_> =
        [count_part.partial_types(), max_part.partial_types(), vec![name.field_type()]]
            .concat()
            .into_iter()
            .enumerate()
            .map(|(index, field_type)| tidewater_expr::ColumnRef {
                unique_id: 50,
                index,
                field_type,
                name: "p".into(),
            })
            .collect();
    let partial_schema: tidewater_planner::Schema = partial_schema.into();
    let op =
        CopOp::Aggregation { aggregates: vec![count_part, max_part], group_by: vec![name], streamed: false };
    let plan = TableReader {
        base: base(3, partial_schema.clone()),
        table: cluster.source(),
        scan: TableScan {
            base: base(1, schema),
            columns,
            ranges: Ranges::full(),
            is_full: true,
            keep_order: false,
            desc: false,
        },
        cop: vec![CopNode { base: base(2, partial_schema.clone()), op }],
    };
    let reader = CopReader::table(&ctx, &plan, None).unwrap();
    let group_by = vec![column(&partial_schema, 2)];
    let merged =
        HashAggregate::new(&ctx.exec, Box::new(reader), group_by, vec![count_final, max_final]).unwrap();
    let mut groups: Vec<(i64, i64, bool)> = run(Box::new(merged))
        .await
        .into_iter()
        .map(|row| match row.as_slice() {
            [Datum::Int(count), Datum::Int(max), name] => (*max, *count, *name == Datum::Null),
            other => panic!("{other:?}"),
        })
        .collect();
    groups.sort_unstable();
    // 140 rows in seven groups (the case of the names does not count), the last of which has no name.
    let expected: Vec<(i64, i64, bool)> =
        (133..140).map(|id| (id * 10, 20, name_of(id) == Datum::Null)).collect();
    assert_eq!(groups, expected);
}

#[tokio::test]
async fn large_regions_are_read_page_by_page() {
    let cluster = TestCluster::start(20_000, 1_000_000).await;
    let mut ctx = cluster.context().await;
    ctx.exec.max_chunk_rows = 1024;
    let stats = CopStats::default();
    ctx.cop_stats = Some(stats.clone());
    let plan = reader(&cluster, Ranges::full(), true, false, vec![]);
    let given = read(&ctx, &plan).await;
    assert_eq!(given.len(), 20_000);
    assert_eq!((given[0].clone(), given[19_999].clone()), (row_of(0), row_of(19_999)));
    let scan = stats.step(1).expect("the scan reported");
    assert_eq!(scan.rows, 20_000);
    assert!(scan.tasks > 1, "{scan:?}");
}

#[tokio::test]
async fn a_region_that_was_split_meanwhile_is_cut_anew() {
    let cluster = TestCluster::start(60, 1000).await;
    let ctx = cluster.context().await;
    // This client learns the regions, then another one has them split.
    let plan = reader(&cluster, Ranges::full(), true, true, vec![]);
    assert_eq!(read(&ctx, &plan).await.len(), 60);
    let other = TxnClient::new(cluster.pd.clone(), cluster.connector.clone(), TxnConfig::default());
    other.split_regions((0..60).step_by(7).map(row_key)).await.unwrap();
    assert_eq!(read(&ctx, &plan).await, rows((0..60).rev()));
}

#[tokio::test]
async fn a_reader_sees_its_snapshot_only() {
    let cluster = TestCluster::start(20, 5).await;
    let ctx = cluster.context().await;
    let mut txn = cluster.begin().await;
    cluster.put(&mut txn, &row_of(500));
    cluster.delete(&mut txn, &row_of(3));
    txn.commit().await.unwrap();
    let plan = reader(&cluster, Ranges::full(), true, false, vec![]);
    assert_eq!(read(&ctx, &plan).await, rows(0..20));
    let later = cluster.context().await;
    assert_eq!(read(&later, &plan).await, rows((0..20).filter(|id| *id != 3).chain([500])));
}

/// Whether a request holds anything that the public protocol does not have.
fn own_fields(dag: &tidewater_proto::tipb::DagRequest) -> bool {
    fn named(expr: &tidewater_proto::tipb::Expr) -> bool {
        !expr.func_name.is_empty()
            || expr.func_collation != 0
            || !expr.separator.is_empty()
            || expr.children.iter().any(named)
    }
    let exprs = dag.executors.iter().flat_map(|executor| {
        let selection = executor.selection.iter().flat_map(|selection| &selection.conditions);
        let projection = executor.projection.iter().flat_map(|projection| &projection.exprs);
        let aggregation = executor.aggregation.iter();
        let aggregation =
            aggregation.flat_map(|aggregation| aggregation.agg_func.iter().chain(&aggregation.group_by));
        selection.chain(projection).chain(aggregation)
    });
    dag.arrow_ipc || dag.now_micros != 0 || dag.own_dialect || exprs.into_iter().any(named)
}

#[tokio::test]
async fn nothing_of_our_own_goes_to_any_tikv() {
    let cluster = TestCluster::start(10, 5).await;
    let mut ctx = cluster.context().await;
    ctx.exec.eval.now_micros = 7;
    ctx.exec.eval.time_zone = tidewater_types::TimeZone::parse("+02:00").expect("an offset");
    let (schema, _) = scan_columns(&cluster, &[0, 1, 2]);
    let condition = call("like", vec![column(&schema, 1), Expr::string("name%")]);
    let plan = reader(&cluster, Ranges::full(), false, false, vec![CopOp::Selection(vec![condition])]);
    let fragment = |ctx: &ReadContext| {
        let builder = DagBuilder::table_scan(ctx, &cluster.table, &plan.scan).expect("a scan");
        let fragment = builder.steps(&plan.cop).expect("public steps").encode();
        tidewater_proto::tipb::DagRequest::decode(fragment.data).expect("a request")
    };
    assert!(own_fields(&fragment(&ctx)));
    for answers in [AnswerEncoding::Arrow, AnswerEncoding::Chunk, AnswerEncoding::Datums] {
        ctx.protocol = StoreProtocol { target: PushdownTarget::Tikv, answers };
        let dag = fragment(&ctx);
        assert!(!own_fields(&dag), "{dag:?}");
        assert_eq!(dag.output_offsets, [0, 1, 2]);
        assert_eq!((dag.time_zone_name.as_str(), dag.time_zone_offset), ("", 7200));
        // STRICT_TRANS_TABLES, a bit higher than MySQL's.
        assert_eq!(dag.sql_mode >> 21 & 3, 2);
        let expected = rows((0..10).filter(|id| id % 7 != 6));
        assert_eq!(read(&ctx, &plan).await, expected);
    }
    let regexp = call("regexp", vec![column(&schema, 1), Expr::string("name")]);
    let plan = reader(&cluster, Ranges::full(), false, false, vec![CopOp::Selection(vec![regexp])]);
    assert!(CopReader::table(&ctx, &plan, None).is_err());
}
