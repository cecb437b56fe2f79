//! Rows and keys, as a point select, a scan and a batch insert use them.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use tidewater_codec::mvcc::{Lock, LockType, Write, WriteType};
use tidewater_codec::row::{RowEncoder, RowView, decode_i64};
use tidewater_codec::table_key::{index_key, row_key};
use tidewater_codec::{ColumnId, Handle, IndexId, StartTs, TableId, TimeStamp};
use tidewater_types::{Datum, FieldType};

/// A row of ten columns, half numbers and half text.
fn columns() -> Vec<(ColumnId, Datum, FieldType)> {
    (1..=10)
        .map(|id| match id % 2 {
            0 => (ColumnId(id), Datum::Int(id * 1000), FieldType::int()),
            _ => (ColumnId(id), Datum::from("some text of a column"), FieldType::varchar(64)),
        })
        .collect()
}

fn rows(c: &mut Criterion) {
    let columns = columns();
    let columns: Vec<_> = columns.iter().map(|(id, value, field_type)| (*id, value, field_type)).collect();
    let mut encoder = RowEncoder::new();
    let mut out = Vec::with_capacity(256);
    c.bench_function("encode_row_of_10_columns", |b| {
        b.iter(|| {
            out.clear();
            encoder.encode(black_box(&columns), &mut out)
        });
    });
    out.clear();
    encoder.encode(&columns, &mut out).expect("a row");
    c.bench_function("read_one_column_of_10", |b| {
        b.iter(|| {
            let row = RowView::parse(black_box(&out))?;
            row.find(ColumnId(6)).flatten().map_or(Ok(0), decode_i64)
        });
    });
}

fn keys(c: &mut Criterion) {
    c.bench_function("row_key_with_timestamp", |b| {
        b.iter(|| row_key(TableId(42), &Handle::Int(black_box(7))).encode().with_ts(TimeStamp::new(1 << 50)));
    });
    let (int, text) = (FieldType::int(), FieldType::string());
    let (number, name) = (Datum::Int(5), Datum::from("some customer's name"));
    c.bench_function("index_key_of_2_columns", |b| {
        b.iter(|| {
            let values = [(black_box(&number), &int), (&name, &text)];
            index_key(TableId(42), IndexId(1), &values, Some(&Handle::Int(7)))
        });
    });
}

fn records(c: &mut Criterion) {
    let write = Write::new(WriteType::Put, StartTs::new(1 << 50), Some(vec![7; 100])).to_bytes();
    c.bench_function("decode_write_record", |b| b.iter(|| Write::decode(black_box(&write))));
    let lock = Lock::new(LockType::Put, vec![7; 19], StartTs::new(1 << 50), 3000);
    c.bench_function("encode_lock_record", |b| b.iter(|| black_box(&lock).to_bytes()));
}

criterion_group!(benches, rows, keys, records);
criterion_main!(benches);
