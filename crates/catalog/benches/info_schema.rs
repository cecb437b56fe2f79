//! How long one changed table takes to become visible, beside many others.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use tidewater_catalog::{DbInfo, InfoSchemaBuilder, TableInfo};
use tidewater_codec::{DbId, TableId};
use tidewater_types::FieldType;

fn info_schema(criterion: &mut Criterion) {
    let mut builder = InfoSchemaBuilder::new();
    builder.put_database(DbInfo::new(DbId(1), "big"));
    for number in 0..10_000 {
        let mut table = TableInfo::new(TableId(number), format!("t{number}"));
        table.add_column("a", FieldType::int());
        builder.put_table(DbId(1), table);
    }
    let schema = builder.build(1);
    criterion.bench_function("change_one_of_10000_tables", |bencher| {
        bencher.iter_batched(
            || TableInfo::new(TableId(77), "t77"),
            |table| {
                let mut builder = InfoSchemaBuilder::from_schema(&schema);
                builder.put_table(DbId(1), table);
                builder.build(2)
            },
            BatchSize::SmallInput,
        );
    });
    criterion.bench_function("find_table_by_name", |bencher| {
        bencher.iter(|| std::hint::black_box(schema.table("big", "t5000")));
    });
}

criterion_group!(benches, info_schema);
criterion_main!(benches);
