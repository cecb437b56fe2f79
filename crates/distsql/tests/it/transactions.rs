use std::sync::Arc;

use proptest::prelude::*;
use tidewater_distsql::{CopReader, UnionScanReader};
use tidewater_expr::Expr;
use tidewater_planner::{
    CopNode, CopOp, HandlePositions, PhysicalPlan, Ranges, TableReader, TableScan, UnionScan,
};

use crate::cluster::{Row, TestCluster, base, call, column, row_of, run, scan_columns, sorted};

fn union_scan(
    cluster: &TestCluster,
    conditions: Vec<Expr>,
    keep_order: bool,
    desc: bool,
) -> (TableReader, UnionScan) {
    let (schema, columns) = scan_columns(cluster, &[0, 1, 2]);
    let scan = TableScan {
        base: base(1, schema.clone()),
        columns: columns.clone(),
        ranges: Ranges::full(),
        is_full: true,
        keep_order,
        desc,
    };
    let cop = match conditions.is_empty() {
        true => vec![],
        false => vec![CopNode { base: base(2, schema.clone()), op: CopOp::Selection(conditions.clone()) }],
    };
    let reader = TableReader { base: base(3, schema.clone()), table: cluster.source(), scan, cop };
    let union = UnionScan {
        base: base(4, schema),
        child: Arc::new(PhysicalPlan::TableReader(reader.clone())),
        table: cluster.source(),
        columns,
        handle: HandlePositions::Int(0),
        conditions,
        order: if keep_order { vec![0] } else { vec![] },
        desc,
    };
    (reader, union)
}

/// Ids whose rows are put (again) or deleted by the transaction.
async fn check(rows: i64, puts: &[i64], deletes: &[i64]) {
    let cluster = TestCluster::start(rows, 6).await;
    let mut txn = cluster.begin().await;
    for id in deletes {
        cluster.delete(&mut txn, &row_of(*id));
    }
    for id in puts {
        // Another score, so that stale rows show.
        let mut row = row_of(*id);
        row[2] = tidewater_types::Datum::Int(id * 10 + 1);
        txn.put(
            cluster.layout().row_key(&tidewater_codec::Handle::Int(*id)),
            cluster.layout().row_value(&row).unwrap(),
        )
        .unwrap();
    }
    let mut expected: std::collections::BTreeMap<i64, Row> = (0..rows).map(|id| (id, row_of(id))).collect();
    for id in deletes {
        expected.remove(id);
    }
    for id in puts {
        let mut row = row_of(*id);
        row[2] = tidewater_types::Datum::Int(id * 10 + 1);
        expected.insert(*id, row);
    }
    let ctx = cluster.context_of(&txn);
    let (schema, _) = scan_columns(&cluster, &[0, 1, 2]);
    let condition = call("gt", vec![column(&schema, 2), Expr::int(45)]);
    let kept = |row: &&Row| matches!(row[2], tidewater_types::Datum::Int(score) if score > 45);
    for (keep_order, desc) in [(false, false), (true, false), (true, true)] {
        let (reader, union) = union_scan(&cluster, vec![condition.clone()], keep_order, desc);
        let child = CopReader::table(&ctx, &reader, None).unwrap();
        let given = run(Box::new(UnionScanReader::new(&ctx, &union, Box::new(child)))).await;
        let mut rows: Vec<Row> = expected.values().filter(kept).cloned().collect();
        if desc {
            rows.reverse();
        }
        match keep_order {
            true => assert_eq!(given, rows),
            false => assert_eq!(sorted(given), sorted(rows)),
        }
    }
    txn.rollback().await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn a_transaction_reads_its_own_writes(
        rows in 0..30_i64,
        puts in proptest::collection::btree_set(0..40_i64, 0..12),
        deletes in proptest::collection::btree_set(0..40_i64, 0..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let puts: Vec<i64> = puts.into_iter().collect();
        let deletes: Vec<i64> = deletes.into_iter().filter(|id| *id < rows && !puts.contains(id)).collect();
        runtime.block_on(check(rows, &puts, &deletes));
    }
}
