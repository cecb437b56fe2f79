use tidewater_distsql::{PointReader, ReadContext};
use tidewater_expr::Expr;
use tidewater_planner::{BatchPointGet, PointAccess, PointGet};
use tidewater_types::{Datum, FieldType};

use crate::cluster::{Row, TestCluster, base, row_of, run, scan_columns};

fn literal(value: Datum) -> Expr {
    Expr::literal(value, FieldType::int())
}

fn get(cluster: &TestCluster, access: PointAccess, key: Datum) -> PointGet {
    let (schema, columns) = scan_columns(cluster, &[0, 1, 2]);
    PointGet {
        base: base(1, schema),
        table: cluster.source(),
        access,
        key: vec![literal(key)],
        columns,
        lock: None,
    }
}

async fn read(ctx: &ReadContext, plan: &PointGet) -> Vec<Row> {
    run(Box::new(PointReader::get(ctx, plan))).await
}

#[tokio::test]
async fn a_point_read_finds_one_row_or_none() {
    let cluster = TestCluster::start(50, 7).await;
    let ctx = cluster.context().await;
    let unique = || PointAccess::Index(cluster.table.indices[1].clone());
    for (access, key, expected) in [
        (PointAccess::Handle, Datum::Int(17), vec![row_of(17)]),
        (PointAccess::Handle, Datum::Int(-1), vec![]),
        (PointAccess::Handle, Datum::Null, vec![]),
        (unique(), Datum::Int(330), vec![row_of(33)]),
        (unique(), Datum::Int(331), vec![]),
        (unique(), Datum::Null, vec![]),
    ] {
        assert_eq!(read(&ctx, &get(&cluster, access, key)).await, expected);
    }
}

#[tokio::test]
async fn a_point_read_sees_its_transaction_s_writes() {
    let cluster = TestCluster::start(10, 100).await;
    let mut txn = cluster.begin().await;
    cluster.delete(&mut txn, &row_of(4));
    cluster.put(&mut txn, &row_of(77));
    let ctx = cluster.context_of(&txn);
    let unique = || PointAccess::Index(cluster.table.indices[1].clone());
    assert_eq!(read(&ctx, &get(&cluster, PointAccess::Handle, Datum::Int(4))).await, Vec::<Row>::new());
    assert_eq!(read(&ctx, &get(&cluster, unique(), Datum::Int(40))).await, Vec::<Row>::new());
    assert_eq!(read(&ctx, &get(&cluster, PointAccess::Handle, Datum::Int(77))).await, [row_of(77)]);
    assert_eq!(read(&ctx, &get(&cluster, unique(), Datum::Int(770))).await, [row_of(77)]);
    assert_eq!(read(&ctx, &get(&cluster, unique(), Datum::Int(50))).await, [row_of(5)]);
}

#[tokio::test]
async fn a_batch_gives_each_row_once_in_the_order_asked_for() {
    let cluster = TestCluster::start(50, 7).await;
    let ctx = cluster.context().await;
    let (schema, columns) = scan_columns(&cluster, &[0, 1, 2]);
    let ids = [31, 2, 99, 17, 2];
    for (access, factor) in
        [(PointAccess::Handle, 1), (PointAccess::Index(cluster.table.indices[1].clone()), 10)]
    {
        let plan = |keep_order, desc| BatchPointGet {
            base: base(1, schema.clone()),
            table: cluster.source(),
            access: access.clone(),
            keys: ids.iter().map(|id| vec![literal(Datum::Int(id * factor))]).collect(),
            columns: columns.clone(),
            lock: None,
            keep_order,
            desc,
        };
        let read = async |plan: BatchPointGet| run(Box::new(PointReader::batch(&ctx, &plan))).await;
        assert_eq!(read(plan(false, false)).await, [31, 2, 17].map(row_of));
        assert_eq!(read(plan(true, false)).await, [2, 17, 31].map(row_of));
        assert_eq!(read(plan(true, true)).await, [31, 17, 2].map(row_of));
    }
}
