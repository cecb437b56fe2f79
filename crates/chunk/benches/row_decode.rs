//! How fast stored rows of TPC-H's `lineitem` become columns.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tidewater_chunk::{ColumnToDecode, MAX_CHUNK_ROWS, RowDecoder};
use tidewater_codec::{ColumnId, Handle, row::RowEncoder};
use tidewater_types::{Datum, Decimal, FieldType, Time, TimeZone};

fn types() -> Vec<FieldType> {
    let money = || FieldType::decimal(15, 2);
    vec![
        FieldType::int(),
        FieldType::int(),
        FieldType::int(),
        FieldType::int(),
        money(),
        money(),
        money(),
        money(),
        FieldType::varchar(1),
        FieldType::varchar(1),
        FieldType::date(),
        FieldType::date(),
        FieldType::date(),
        FieldType::varchar(25),
        FieldType::varchar(10),
        FieldType::varchar(44),
    ]
}

fn row(number: i64) -> Vec<Datum> {
    let money = |cents: i64| Datum::Decimal(Decimal::from_i128(i128::from(cents), 2));
    let date = |n: i64| {
        Datum::Time(Time::from_date(1995, 1 + (n % 12) as u32, 1 + (n % 28) as u32).expect("a date"))
    };
    let text = |t: &str| Datum::Bytes(t.as_bytes().to_vec());
    vec![
        Datum::Int(number),
        Datum::Int(number * 31),
        Datum::Int(number * 7),
        Datum::Int(number % 7),
        money(1700 + number),
        money(3_307_894 + number),
        money(number % 11),
        money(number % 9),
        text("N"),
        text("O"),
        date(number),
        date(number + 1),
        date(number + 2),
        text("DELIVER IN PERSON"),
        text("TRUCK"),
        text("egular courts above the"),
    ]
}

fn decode(c: &mut Criterion) {
    let types = types();
    let mut encoder = RowEncoder::new();
    let rows: Vec<Vec<u8>> = (0..MAX_CHUNK_ROWS as i64)
        .map(|number| {
            let values = row(number);
            let columns: Vec<_> = values
                .iter()
                .zip(&types)
                .enumerate()
                .map(|(i, (v, t))| (ColumnId(i as i64 + 1), v, t))
                .collect();
            let mut out = Vec::new();
            encoder.encode(&columns, &mut out).expect("an encodable row");
            out
        })
        .collect();
    let wanted = |picked: &[usize]| -> Vec<ColumnToDecode> {
        picked.iter().map(|i| ColumnToDecode::new(ColumnId(*i as i64 + 1), types[*i].clone())).collect()
    };
    let mut group = c.benchmark_group("decode_lineitem");
    group.throughput(Throughput::Elements(MAX_CHUNK_ROWS as u64));
    for (name, picked) in
        [("all_16_columns", (0..16).collect::<Vec<_>>()), ("q6_4_columns", vec![4, 5, 6, 10])]
    {
        let builders = RowDecoder::new(wanted(&picked), TimeZone::utc());
        group.bench_function(name, |b| {
            b.iter_batched(
                || builders.builders(MAX_CHUNK_ROWS),
                |mut builders| {
                    let mut decoder = RowDecoder::new(wanted(&picked), TimeZone::utc());
                    for row in &rows {
                        decoder.decode_row(&Handle::Int(1), row, &mut builders).expect("a good row");
                    }
                    builders.into_iter().for_each(|b| drop(black_box(b.finish())))
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
