//! How long ANALYZE takes per row, and an estimate per range.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tidewater_chunk::ChunkBuilder;
use tidewater_codec::ColumnId;
use tidewater_stats::{BuildOptions, KeyRange, StatsBuilder};
use tidewater_types::{Datum, FieldType};

fn estimates(criterion: &mut Criterion) {
    let types = [FieldType::int()];
    let mut chunk = ChunkBuilder::new(&types, 1024);
    for value in 0..1024 {
        chunk.push_row(&[Datum::Int(value * 7919 % 1000)]);
    }
    let chunk = chunk.finish();
    let build = || {
        let columns = vec![(ColumnId(1), FieldType::int())];
        let mut builder =
            StatsBuilder::new(columns, vec![], BuildOptions::default(), SmallRng::seed_from_u64(1));
        for _ in 0..16 {
            builder.push(&chunk).expect("integers have key forms");
        }
        builder.finish()
    };
    let mut group = criterion.benchmark_group("analyze");
    group.throughput(Throughput::Elements(16 * 1024));
    group.bench_function("rows", |bencher| bencher.iter(build));
    group.finish();
    let stats = build();
    let range = KeyRange {
        low: vec![Datum::Int(10)],
        low_inclusive: true,
        high: vec![Datum::Int(500)],
        high_inclusive: false,
    };
    criterion.bench_function("estimate_range", |bencher| {
        bencher.iter(|| stats.column_rows(ColumnId(1), std::slice::from_ref(&range), &types[0], false));
    });
}

criterion_group!(benches, estimates);
criterion_main!(benches);
