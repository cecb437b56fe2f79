//! How fast do rows of a chunk become packets?

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidewater_chunk::ChunkBuilder;
use tidewater_server::{RowFormat, encode_chunk};
use tidewater_session::ResultField;
use tidewater_types::{Datum, FieldType};

const ROWS: u64 = 1024;

fn encode_rows(c: &mut Criterion) {
    let types = [FieldType::int(), FieldType::varchar(20), FieldType::decimal(15, 2), FieldType::double()];
    let mut builder = ChunkBuilder::new(&types, ROWS as usize);
    for row in 0..ROWS as i64 {
        let text = format!("name of row {row}").into_bytes();
        let price = tidewater_types::Decimal::from_i128(i128::from(row) * 7, 2);
        builder.push_row(&[
            Datum::Int(row),
            Datum::Bytes(text),
            Datum::Decimal(price),
            Datum::Double(row as f64 / 3.0),
        ]);
    }
    let chunk = builder.finish();
    let fields: Vec<_> = types.into_iter().map(|field_type| ResultField::computed("c", field_type)).collect();
    let mut group = c.benchmark_group("encode_rows");
    group.throughput(Throughput::Elements(ROWS));
    for (name, format) in [("text", RowFormat::Text), ("binary", RowFormat::Binary)] {
        let mut out = Vec::new();
        group.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                encode_chunk(format, &fields, &chunk, &mut out).expect("columns of their types");
                black_box(out.len())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, encode_rows);
criterion_main!(benches);
