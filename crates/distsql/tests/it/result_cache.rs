//! Kept answers: the same as fresh ones, whatever is written meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidewater_codec::StartTs;
use tidewater_distsql::{CopReader, ReadContext, ResultCache};
use tidewater_expr::Expr;
use tidewater_planner::{CopNode, CopOp, Ranges, TableReader, TableScan};
use tidewater_txn::Isolation;
use tidewater_types::Datum;
use tokio::time::Duration;

use crate::cluster::{Row, TestCluster, base, call, column, row_of, run, scan_columns};

/// Rows whose score is not negative: all of them.
fn plan(cluster: &TestCluster) -> TableReader {
    let (schema, columns) = scan_columns(cluster, &[0, 2]);
    let condition = call("ge", vec![column(&schema, 1), Expr::int(0)]);
    TableReader {
        base: base(3, schema.clone()),
        table: cluster.source(),
        scan: TableScan {
            base: base(1, schema.clone()),
            columns,
            ranges: Ranges::full(),
            is_full: true,
            keep_order: true,
            desc: false,
        },
        cop: vec![CopNode { base: base(2, schema), op: CopOp::Selection(vec![condition]) }],
    }
}

async fn read(ctx: &ReadContext, plan: &TableReader) -> Vec<Row> {
    run(Box::new(CopReader::table(ctx, plan, None).expect("a valid plan"))).await
}

fn with_cache(ctx: ReadContext, cache: &Arc<ResultCache>) -> ReadContext {
    ReadContext { result_cache: Some(Arc::clone(cache)), ..ctx }
}

/// Moves `amount` from one row's score to another's; gives up when another transaction is faster.
async fn transfer(cluster: &TestCluster, from: i64, to: i64, amount: i64) -> bool {
    let mut txn = cluster.begin().await;
    let ctx = cluster.context_of(&txn);
    let rows = read(&ctx, &plan(cluster)).await;
    for (id, change) in [(from, -amount), (to, amount)] {
        let old = rows[id as usize][1].as_i64().expect("a score");
        let row = vec![Datum::Int(id), row_of(id)[1].clone(), Datum::Int(old + change)];
        let mut layout = cluster.layout();
        txn.put(crate::cluster::row_key(id), layout.row_value(&row).expect("encodes")).expect("fits");
    }
    txn.commit().await.is_ok()
}

#[tokio::test]
async fn an_answer_holds_until_its_region_is_written() {
    let cluster = TestCluster::start(60, 20).await;
    let cache = Arc::new(ResultCache::keeping_from(Duration::ZERO));
    let plan = plan(&cluster);
    let before = cluster.context().await;
    // The first request of each region has versions begin, a little later.
    let first = read(&with_cache(cluster.context().await, &cache), &plan).await;
    let (mut per_read, mut seen) = (0, 0);
    for _ in 0..20 {
        assert_eq!(read(&with_cache(cluster.context().await, &cache), &plan).await, first);
        (per_read, seen) = (cache.hits() - seen, cache.hits());
        // Versions begin in tasks of their own.
        tokio::task::yield_now().await;
    }
    assert!(per_read >= 3, "{per_read}");
    // Row 0 and row 1 are in one region.
    assert!(transfer(&cluster, 1, 0, 5).await);
    let after = read(&with_cache(cluster.context().await, &cache), &plan).await;
    assert_eq!((after[0][1].clone(), after[1][1].clone()), (Datum::Int(5), Datum::Int(5)));
    assert_eq!(cache.hits() - seen, per_read - 1);
    // Who reads the past is not given the present.
    assert_eq!(read(&with_cache(before, &cache), &plan).await, first);
}

#[tokio::test]
async fn other_isolations_and_the_latest_are_never_kept() {
    let cluster = TestCluster::start(30, 100).await;
    let cache = Arc::new(ResultCache::keeping_from(Duration::ZERO));
    let plan = plan(&cluster);
    for _ in 0..20 {
        let ctx = cluster.context().await;
        let snapshot = ctx.snapshot.clone().with_isolation(Isolation::ReadCommitted);
        read(&with_cache(ReadContext { snapshot, ..ctx }, &cache), &plan).await;
    }
    for _ in 0..20 {
        let snapshot = cluster.client.snapshot(tidewater_txn::Snapshot::LATEST);
        let ctx = cluster.context_with(cluster.client.clone(), snapshot);
        read(&with_cache(ctx, &cache), &plan).await;
    }
    assert_eq!(cache.hits(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn kept_answers_are_those_of_the_snapshot() {
    const ROWS: i64 = 40;
    const WRITERS: i64 = 3;
    let cluster = Arc::new(TestCluster::start(ROWS, 10).await);
    let cache = Arc::new(ResultCache::keeping_from(Duration::ZERO));
    let writing = Arc::new(AtomicUsize::new(WRITERS as usize));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (cluster, writing) = (Arc::clone(&cluster), Arc::clone(&writing));
            tokio::spawn(async move {
                for round in 0..25 {
                    let from = 1 + (writer * 13 + round * 7) % (ROWS - 1);
                    let to = (from + 11) % ROWS;
                    transfer(&cluster, from, to, 1).await;
                    if round % 5 == 0 {
                        // A lull: answers live long enough to be given again.
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
                writing.fetch_sub(1, Ordering::SeqCst);
            })
        })
        .collect();
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (cluster, cache, writing) = (Arc::clone(&cluster), Arc::clone(&cache), Arc::clone(&writing));
            tokio::spawn(async move {
                let plan = plan(&cluster);
                let total: i64 = (0..ROWS).map(|id| id * 10).sum();
                let mut quiet_rounds = 0;
                while quiet_rounds < 5 {
                    quiet_rounds += usize::from(writing.load(Ordering::SeqCst) == 0);
                    let ts = cluster.client.current_timestamp().await.expect("a timestamp");
                    let fresh = |isolated| cluster.context_with(cluster.client.clone(), isolated);
                    let kept = fresh(cluster.client.snapshot(StartTs(ts)));
                    let kept = read(&with_cache(kept, &cache), &plan).await;
                    let own = read(&fresh(cluster.client.snapshot(StartTs(ts))), &plan).await;
                    assert_eq!(kept, own);
                    let sum: i64 = kept.iter().map(|row| row[1].as_i64().expect("a score")).sum();
                    assert_eq!(sum, total);
                    // Nothing in this process ever waits: a writer woken by this task would not get its turn.
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for task in writers.into_iter().chain(readers) {
        task.await.expect("ends well");
    }
    assert!(cache.hits() > 0);
}
