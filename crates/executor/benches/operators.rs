//! How fast do joins, groups and sorts go through a million rows?

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures::executor::block_on;
use tidewater_chunk::{Chunk, ChunkBuilder};
use tidewater_executor::{
    BoxedOperator, BuildSide, ExecContext, HashAggregate, HashJoin, HashJoinSpec, JoinKey, JoinKind, Sort,
    SortKey, TopN, Values,
};
use tidewater_expr::{AggregateCall, AggregateFunction, Expr};
use tidewater_types::{Datum, FieldType};

const ROWS: i64 = 200_000;
const CHUNK_ROWS: i64 = 1024;

fn schema() -> Vec<FieldType> {
    vec![FieldType::int(), FieldType::int(), FieldType::varchar(32)]
}

/// (pseudo-random key below `keys`, row number, text of the key).
fn chunks(rows: i64, keys: i64) -> Vec<Chunk> {
    (0..rows)
        .step_by(CHUNK_ROWS as usize)
        .map(|start| {
            let mut builder = ChunkBuilder::new(&schema(), CHUNK_ROWS as usize);
            for row in start..(start + CHUNK_ROWS).min(rows) {
                let key = (row.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64) as u64 >> 20) as i64 % keys;
                let text = Datum::Bytes(format!("customer number {key:08}").into_bytes());
                builder.push_row(&[Datum::Int(key), Datum::Int(row), text]);
            }
            builder.finish()
        })
        .collect()
}

fn input(ctx: &ExecContext, chunks: &[Chunk]) -> BoxedOperator {
    Box::new(Values::new(ctx, schema(), chunks.to_vec()))
}

fn column(index: usize) -> Expr {
    Expr::column(index, schema()[index].clone(), "c")
}

fn drain(mut operator: BoxedOperator) -> usize {
    block_on(async {
        let mut rows = 0;
        operator.open().await.expect("opens");
        while let Some(chunk) = operator.next().await.expect("runs") {
            rows += black_box(chunk).num_rows();
        }
        rows
    })
}

fn hash_join(c: &mut Criterion) {
    let ctx = ExecContext::default();
    let mut group = c.benchmark_group("hash_join");
    group.throughput(Throughput::Elements(ROWS as u64)).sample_size(10);
    for (name, key) in [("int_key", 0), ("string_key", 2)] {
        let (probe, build) = (chunks(ROWS, 20_000), chunks(20_000, 20_000));
        group.bench_function(name, |b| {
            let make = || {
                let spec = HashJoinSpec {
                    kind: JoinKind::Inner,
                    build: BuildSide::Right,
                    keys: vec![JoinKey::equal(column(key), column(key))],
                    null_aware_keys: vec![],
                    other_conditions: vec![],
                };
                let join = HashJoin::new(&ctx, input(&ctx, &probe), input(&ctx, &build), spec);
                Box::new(join.expect("a valid plan")) as BoxedOperator
            };
            b.iter_batched(make, drain, BatchSize::LargeInput);
        });
    }
    group.finish();
}

fn hash_aggregate(c: &mut Criterion) {
    let ctx = ExecContext::default();
    let mut group = c.benchmark_group("hash_aggregate");
    group.throughput(Throughput::Elements(ROWS as u64)).sample_size(10);
    for (name, keys, groups) in [
        ("no_key", vec![], 1),
        ("int_key_100_groups", vec![0], 100),
        ("int_key_50000_groups", vec![0], 50_000),
        ("string_key_1000_groups", vec![2], 1_000),
        ("int_and_string_key_1000_groups", vec![0, 2], 1_000),
    ] {
        let rows = chunks(ROWS, groups);
        group.bench_function(name, |b| {
            let make = || {
                let calls =
                    [(AggregateFunction::Count, 0), (AggregateFunction::Max, 1)].map(|(function, arg)| {
                        AggregateCall::new(function, vec![column(arg)], false, &ctx.eval).expect("typed")
                    });
                let keys = keys.iter().map(|key| column(*key)).collect();
                let aggregate = HashAggregate::new(&ctx, input(&ctx, &rows), keys, calls.to_vec());
                Box::new(aggregate.expect("a valid plan")) as BoxedOperator
            };
            b.iter_batched(make, drain, BatchSize::LargeInput);
        });
    }
    group.finish();
}

fn sort_and_top_n(c: &mut Criterion) {
    let ctx = ExecContext::default();
    let rows = chunks(ROWS, ROWS);
    let mut group = c.benchmark_group("order_by");
    group.throughput(Throughput::Elements(ROWS as u64)).sample_size(10);
    for (name, key) in [("int", 0), ("string", 2)] {
        group.bench_function(format!("sort_{name}"), |b| {
            let make = || {
                let keys = vec![SortKey::ascending(column(key))];
                Box::new(Sort::new(&ctx, input(&ctx, &rows), keys)) as BoxedOperator
            };
            b.iter_batched(make, drain, BatchSize::LargeInput);
        });
        group.bench_function(format!("top_10_{name}"), |b| {
            let make = || {
                let keys = vec![SortKey::descending(column(key))];
                Box::new(TopN::new(&ctx, input(&ctx, &rows), keys, 0, 10)) as BoxedOperator
            };
            b.iter_batched(make, drain, BatchSize::LargeInput);
        });
    }
    group.finish();
}

criterion_group!(benches, hash_join, hash_aggregate, sort_and_top_n);
criterion_main!(benches);
