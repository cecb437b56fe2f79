//! How long is one point select, in this process? Parsed each time, and prepared with its plan kept.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use tidewater_session::{Parameter, Session, StatementResult};
use tidewater_types::Datum;

#[path = "../tests/session/harness.rs"]
#[expect(dead_code, reason = "the tests use the rest of it")]
mod harness;

const ROWS: i64 = 10_000;

async fn session() -> Session {
    let database = harness::open(harness::Regions::One).await;
    let mut session = harness::root(&Arc::clone(&database));
    session.query("CREATE TABLE t (id INT PRIMARY KEY, c CHAR(120))").await.expect("a table");
    for start in (0..ROWS).step_by(1000) {
        let values: Vec<String> = (start..start + 1000).map(|id| format!("({id}, 'row {id}')")).collect();
        session.query(&format!("INSERT INTO t VALUES {}", values.join(","))).await.expect("rows");
    }
    session
}

async fn drain(result: StatementResult) -> usize {
    let StatementResult::Rows(mut rows) = result else { return 0 };
    let mut count = 0;
    while let Some(chunk) = rows.next().await.expect("a chunk") {
        count += chunk.num_rows();
    }
    count
}

fn point_get(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut session = runtime.block_on(session());
    let mut id = 0;
    criterion.bench_function("point_get_text", |bencher| {
        bencher.iter(|| {
            id = (id + 7919) % ROWS;
            runtime.block_on(async {
                let result =
                    session.execute(&format!("SELECT c FROM t WHERE id = {id}")).await.expect("a row");
                black_box(drain(result).await)
            })
        });
    });
    let prepared = runtime.block_on(session.prepare("SELECT c FROM t WHERE id = ?")).expect("prepared").id;
    criterion.bench_function("point_get_prepared", |bencher| {
        bencher.iter(|| {
            id = (id + 7919) % ROWS;
            runtime.block_on(async {
                let result = session
                    .execute_prepared(prepared, vec![Parameter::from(Datum::Int(id))])
                    .await
                    .expect("a row");
                black_box(drain(result).await)
            })
        });
    });
}

criterion_group!(benches, point_get);
criterion_main!(benches);
